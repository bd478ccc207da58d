"""A random forest as flat arrays: its probabilities, without the library that fitted it."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacierx.errors import ModelError

LEAF = -1
# Pixels that are walked through the trees at once, by each of so many threads: what they read and
# write stays near the processor. Pixels that have reached a leaf are sorted out every few levels.
CHUNK_PX, MOST_THREADS, LEVELS = 32768, 8, 4


@dataclass(frozen=True)
class Forest:
    """Decision trees, one after the other, each in the order of a walk that goes left first.

    The left child of a node is the next one. A pixel goes left where its feature is at most the
    node's number.

    Attributes:
        features: Bands and indices that pixels are described by.
        starts: Where each tree begins.
        feature: Which feature a node asks for; `LEAF` in a leaf.
        right: The right child, counted from the start of all trees; 0 in a leaf.
        number: The threshold of a node, the probability of ice in a leaf.
    """

    features: tuple[str, ...]
    starts: NDArray[np.int64]
    feature: NDArray[np.int16]
    right: NDArray[np.int32]
    number: NDArray[np.float32]

    @property
    def trees(self) -> int:
        """How many trees there are."""
        return len(self.starts)

    def probability(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean over trees of the share of ice in the leaf that a pixel falls into.

        Args:
            values: Features (features, ...).
        """
        pixels = np.ascontiguousarray(values.reshape(len(values), -1).T, np.float32)
        parts = [pixels[at : at + CHUNK_PX] for at in range(0, len(pixels), CHUNK_PX)]
        with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
            found = list(pool.map(self._mean, parts))
        flat = np.concatenate(found) if found else np.zeros(0, np.float32)
        return flat.reshape(values.shape[1:])

    def _mean(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        total = np.zeros(len(pixels))
        ends = [*self.starts[1:].tolist(), len(self.feature)]
        for start, end in zip(self.starts.tolist(), ends, strict=True):
            self._walk(start, end, pixels, total)
        return (total / self.trees).astype(np.float32)

    def _walk(
        self, start: int, end: int, pixels: NDArray[np.float32], total: NDArray[np.float64]
    ) -> None:
        """Walk one tree with all pixels at once, and add the probabilities of their leaves.

        A leaf is its own child; pixels that wait in one drop out every few levels.
        """
        feature, number = self.feature[start:end].astype(np.intp), self.number[start:end]
        leaf, node = feature == LEAF, np.arange(end - start)
        right = np.where(leaf, node, self.right[start:end] - start)
        children = np.stack([right, np.where(leaf, node, node + 1)], axis=1).ravel()
        feature[leaf] = 0
        flat, pixel = pixels.ravel(), np.arange(len(pixels))
        first = pixel * pixels.shape[1]
        at = np.zeros(len(pixels), np.intp)
        while len(at):
            for _ in range(LEVELS):
                value = flat.take(first + feature.take(at))
                at = children.take(2 * at + (value <= number.take(at)))
            done = leaf.take(at)
            ended, going = np.flatnonzero(done), np.flatnonzero(~done)
            total[pixel.take(ended)] += number.take(at.take(ended))
            at, first, pixel = at.take(going), first.take(going), pixel.take(going)


def flatten(trees: Sequence[Any], features: Sequence[str]) -> Forest:
    """Flatten the trees of scikit-learn.

    Args:
        trees: Its ``tree_`` of each tree; the second class is ice.
        features: What the columns were that they were fitted to.
    """
    starts = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
    parts = []
    for start, tree in zip(starts, trees, strict=True):
        leaf = tree.children_left < 0
        share = tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1)
        # The trees compare with float64. The largest float32 below parts float32 pixels alike.
        limit = tree.threshold.astype(np.float32)
        above = limit.astype(np.float64) > tree.threshold
        limit[above] = np.nextafter(limit[above], np.float32(-np.inf))
        parts.append(
            (
                np.where(leaf, LEAF, tree.feature).astype(np.int16),
                np.where(leaf, 0, tree.children_right + start).astype(np.int32),
                np.where(leaf, share, limit).astype(np.float32),
            )
        )
    feature, right, number = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Forest(tuple(features), starts.astype(np.int64), feature, right, number)


def check_forest(forest: Forest, name: str) -> None:
    """Refuse arrays that are no forest, so that a walk always ends within its tree.

    Raises:
        ModelError: A number is out of its range.
    """
    nodes = len(forest.feature)
    ends = np.append(forest.starts[1:], nodes)
    inner = forest.feature != LEAF
    at = np.arange(nodes)
    # Checked first: what follows indexes by them.
    ordered = (
        forest.trees > 0
        and forest.starts[0] == 0
        and bool((np.diff(np.append(forest.starts, nodes)) > 0).all())
    )
    problems = {
        "its arrays are not of one length": len({nodes, len(forest.right), len(forest.number)}) > 1
    }
    if not ordered:
        problems["its trees do not follow one another"] = True
    elif not any(problems.values()):
        end = ends[np.searchsorted(forest.starts, at, "right") - 1]
        # The right child comes after the left one, the next node, and both within the tree.
        inside = (forest.right > at + 1) & (forest.right < end)
        leaves = forest.number[~inner]
        problems |= {
            "a child does not follow its parent within the tree": not inside[inner].all(),
            "a node asks for a feature that there is not": bool(
                ((forest.feature < LEAF) | (forest.feature >= len(forest.features))).any()
            ),
            "a number is not finite": not np.isfinite(forest.number).all(),
            "a leaf is no probability": not bool(((leaves >= 0) & (leaves <= 1)).all()),
        }
    for problem, found in problems.items():
        if found:
            raise ModelError(
                f"The random forest of {name} cannot be used: {problem}. The file is damaged or "
                "was edited; get it again, or fit it anew."
            )
