"""A random forest fitted to labelled pixels by scikit-learn, which nothing else here needs."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacierx.errors import ExtraError
from glacierx.predict.forest import Forest, flatten
from glacierx.predict.labelled import Labelled

TREES, LEAF_PIXELS = 200, 5
MOST_PIXELS = 200_000


class Reservoir:
    """The pixels of one class with the lowest random numbers: an even sample of bounded size.

    Attributes:
        seen: How many pixels it was offered.
    """

    def __init__(self, size: int, roles: int) -> None:
        self.seen = 0
        self._size = size
        self._keys = np.zeros(0)
        self._values = np.zeros((roles, 0), np.float32)

    def offer(self, keys: NDArray[np.float64], values: NDArray[np.float32]) -> None:
        """Offer pixels (roles, pixels) with their random numbers."""
        self.seen += len(keys)
        if len(self._keys) == self._size:
            low = keys < self._keys[-1]
            keys, values = keys[low], values[:, low]
        keys = np.concatenate([self._keys, keys])
        values = np.concatenate([self._values, values], axis=1)
        # In the order of the numbers, which does not depend on how a scene was cut into strips.
        kept = np.argsort(keys, kind="stable")[: self._size]
        self._keys, self._values = keys[kept], values[:, kept]

    @property
    def values(self) -> NDArray[np.float32]:
        """The sample (roles, pixels)."""
        return self._values


def draw_pixels(
    strips: Iterable[Labelled], roles: int, seed: int, most: int = MOST_PIXELS
) -> tuple[Reservoir, Reservoir]:
    """Draw pixels without ice and with it, at most half of *most* of each.

    Args:
        strips: Labelled pixels.
        roles: How many roles they have.
        seed: Number that the choice follows from.
        most: How many pixels to draw.
    """
    random = np.random.default_rng(seed)
    other, ice = Reservoir(most // 2, roles), Reservoir(most // 2, roles)
    for strip in strips:
        # A number for each pixel, known or not, so that the choice hangs on its place alone.
        keys = random.random(strip.known.shape)
        for reservoir, wanted in (
            (other, strip.known & ~strip.ice),
            (ice, strip.known & strip.ice),
        ):
            reservoir.offer(keys[wanted], strip.values[:, wanted])
    return other, ice


def grow_forest(
    features: tuple[str, ...], other: NDArray[np.float32], ice: NDArray[np.float32], seed: int
) -> tuple[Forest, NDArray[np.float64]]:
    """Fit a random forest (Breiman 2001, doi:10.1023/A:1010933404324).

    200 trees, leaves of at least 5 pixels, classes weighted alike in each tree's sample.

    Args:
        features: What the rows of *other* and *ice* are.
        other: Pixels without ice (features, pixels).
        ice: Pixels with ice.
        seed: Number that the trees follow from.

    Returns:
        The forest, and for each pixel, those without ice first, the probability by the trees that
        were not fitted to it.

    Raises:
        ExtraError: scikit-learn is not installed.
    """
    grown: Any = find_sklearn().RandomForestClassifier(
        TREES,
        min_samples_leaf=LEAF_PIXELS,
        class_weight="balanced_subsample",
        oob_score=True,
        random_state=seed,
        n_jobs=-1,
    )
    pixels = np.concatenate([other, ice], axis=1).T
    label = np.repeat([0, 1], [other.shape[1], ice.shape[1]])
    grown.fit(np.ascontiguousarray(pixels), label)
    unseen: NDArray[np.float64] = grown.oob_decision_function_[:, 1]
    return flatten([tree.tree_ for tree in grown.estimators_], features), unseen


def find_sklearn() -> Any:
    """Import the part of scikit-learn that grows forests.

    Raises:
        ExtraError: It is not installed.
    """
    try:
        return import_module("sklearn.ensemble")
    except ImportError as error:
        raise ExtraError(
            "A random forest is fitted with scikit-learn, which is not installed. Run "
            "pip install 'glacierx[rf]'; to use a fitted forest it is not needed."
        ) from error
