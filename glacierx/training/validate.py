"""How well a network does on the scenes that were kept from it, and how sure it may be."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from glacierx.errors import ModelError
from glacierx.networks.layers import Inputs
from glacierx.predict.precision import Precision
from glacierx.predict.tiling import cut, mirrored
from glacierx.scene.classes import Classes, key_of
from glacierx.training.heads import logit_of_ice
from glacierx.training.kinds import (
    Seen,
    class_ious,
    least_temperature,
    mean_defined,
    reliability_of,
)
from glacierx.training.samples import ICE, INVALID, OTHER, Source, as_ice

LOGITS = np.linspace(-15.0, 15.0, 1501)
KEEP = 0.7
# Pixels of a scene by which the temperature of a softmax is found.
SAMPLED = 20_000


@dataclass
class Counts:
    """Pixels of a group of scenes by what they are and what the network says of them.

    Attributes:
        other: Pixels without ice, by logit in steps of 0.02.
        ice: Pixels with ice.
    """

    other: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LOGITS), np.int64))
    ice: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LOGITS), np.int64))

    def add(self, logit: NDArray[np.float32], label: NDArray[np.uint8]) -> None:
        """Count pixels."""
        step = (LOGITS[-1] - LOGITS[0]) / (len(LOGITS) - 1)
        at = np.rint((logit - LOGITS[0]) / step).clip(0, len(LOGITS) - 1).astype(np.int64)
        # A pixel at the threshold itself is no ice, so none may be rounded across it.
        middle = len(LOGITS) // 2
        at = np.where((at == middle) & (logit > 0), middle + 1, at)
        self.other += np.bincount(at[label == OTHER], minlength=len(LOGITS))
        self.ice += np.bincount(at[label == ICE], minlength=len(LOGITS))

    def four(self) -> tuple[int, int, int, int]:
        """Return tp, fp, fn and tn at a probability of a half."""
        middle = len(LOGITS) // 2 + 1
        tp, fp = int(self.ice[middle:].sum()), int(self.other[middle:].sum())
        fn, tn = int(self.ice[:middle].sum()), int(self.other[:middle].sum())
        return tp, fp, fn, tn

    def scores(self) -> dict[str, float]:
        """Return IoU, F1 and balanced accuracy at a probability of a half; NaN where undefined."""
        tp, fp, fn, tn = self.four()

        def ratio(part: float, whole: float) -> float:
            return part / whole if whole else float("nan")

        recall, rest = ratio(tp, tp + fn), ratio(tn, tn + fp)
        return {
            "iou": ratio(tp, tp + fp + fn),
            "f1": ratio(2 * tp, 2 * tp + fp + fn),
            "recall": recall,
            "precision": ratio(tp, tp + fp),
            "balanced_accuracy": (recall + rest) / 2,
        }

    @property
    def mean_iou(self) -> float:
        """The mean IoU of ice and of other ground, of those that there are."""
        middle = len(LOGITS) // 2 + 1
        found = [[self.other[:middle].sum(), self.other[middle:].sum()],
                 [self.ice[:middle].sum(), self.ice[middle:].sum()]]  # fmt: skip
        return mean_defined(class_ious(np.array(found)))


@dataclass(frozen=True)
class View:
    """How a network is shown whole scenes.

    Attributes:
        roles: What the network's planes measure.
        side: Side of the tiles, in pixels.
        device: Where the network is.
        precision: Numbers that it computes in.
        jointly: Scale each tile by the least and greatest of all its planes together.
        classes: What the network tells apart.
    """

    roles: Sequence[str]
    side: int
    device: torch.device
    precision: Precision
    jointly: bool = False
    classes: Classes = field(default_factory=Classes)


@dataclass(frozen=True)
class Validation:
    """What was found on held-out scenes.

    Attributes:
        groups: Counts by group.
        dice: Mean soft Dice of the scenes of which anything is known. Chu et al. choose their
            weights by that of their tiles.
        kinds: Pixels by class (true, found) of each group; of a network of several classes.
        names: Its classes.
        seen: What it said of some pixels.
    """

    groups: Mapping[str, Counts]
    dice: float
    kinds: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    seen: Seen | None = None

    def scores(self) -> dict[str, dict[str, float]]:
        """Return the scores of each group."""
        return {
            name: {**counts.scores(), **self._classes(name)} for name, counts in self.groups.items()
        }

    def _classes(self, group: str) -> dict[str, float]:
        if group not in self.kinds:
            return {}
        found = class_ious(self.kinds[group])
        return {
            "mean_iou": mean_defined(found),
            **{f"iou_{key_of(name)}": one for name, one in zip(self.names, found, strict=True)},
        }

    def rounded(self) -> dict[str, dict[str, float | None]]:
        """Return the scores of each group to four digits; None where they are undefined."""
        return {name: rounded_scores(scores) for name, scores in self.scores().items()}

    def value(self, metric: str) -> float:
        """Return what a choice is made by: the mean over groups where it is defined."""
        if metric == "dice":
            return self.dice
        key = metric.replace("-", "_")
        found = [scores[key] for scores in self.scores().values() if key in scores]
        if key == "mean_iou" and not found:
            found = [counts.mean_iou for counts in self.groups.values()]
        return mean_defined(found)

    def pooled(self) -> Counts:
        """Return the counts of all groups together."""
        return Counts(
            sum((c.other for c in self.groups.values()), np.zeros(len(LOGITS), np.int64)),
            sum((c.ice for c in self.groups.values()), np.zeros(len(LOGITS), np.int64)),
        )


def planes_of(
    values: NDArray[np.float32], own: Sequence[str], roles: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Put a source's planes into the network's slots.

    Returns:
        Planes (roles, rows, columns), zero where a role is absent, and 1 where it is not (roles).
    """
    planes = np.zeros((len(roles), *values.shape[1:]), np.float32)
    present = np.zeros(len(roles), np.float32)
    for number, role in enumerate(roles):
        if role in own:
            planes[number] = values[list(own).index(role)]
            present[number] = 1
    return planes, present


def joint_minmax(x: Tensor, present: Tensor, label: Tensor) -> Tensor:
    """Scale each patch to 0..1 by the least and greatest of all its planes together."""
    there = present[..., None, None].bool() & (label != INVALID)[:, None]
    low = torch.where(there, x, torch.inf).amin(dim=(1, 2, 3), keepdim=True)
    high = torch.where(there, x, -torch.inf).amax(dim=(1, 2, 3), keepdim=True)
    scaled = (x - low) / (high - low).clamp_min(1e-12)
    return torch.where(there, scaled, 0.0)


def predict_source(network: nn.Module, source: Source, view: View) -> NDArray[np.float32]:
    """Return a network's logits of ice for a whole scene (rows, columns).

    Args:
        network: The network, in evaluation mode.
        source: The scene.
        view: How it is shown.

    Raises:
        ModelError: A logit is no number.
    """
    return _answers(network, source, view).ice


@dataclass(frozen=True)
class _Answers:
    """What a network says of a scene.

    Attributes:
        ice: Logits of ice (rows, columns).
        kinds: The likeliest class (rows, columns); None for a network of one class.
        some: Logits of every *step*-th row and column (classes, rows, columns); None likewise.
        step: So few pixels that they can be kept.
    """

    ice: NDArray[np.float32]
    kinds: NDArray[np.uint8] | None
    some: NDArray[np.float32] | None
    step: int


def _answers(network: nn.Module, source: Source, view: View) -> _Answers:
    rows, columns = source.shape
    count, numbers = len(view.classes.names), view.classes.numbers
    step = max(1, math.ceil(math.sqrt(rows * columns / SAMPLED)))
    ice = np.zeros((rows, columns), np.float32)
    kinds = np.zeros((rows, columns), np.uint8) if count > 1 else None
    some = np.zeros((count, -(-rows // step), -(-columns // step)), np.float32)
    for (down, across), mask in _tiles(network, source, view):
        ice[down, across] = logit_of_ice(mask, numbers)[0].float().cpu().numpy()
        if kinds is not None:
            kinds[down, across] = mask[0].argmax(dim=0).cpu().numpy().astype(np.uint8)
            (top, high), (left, wide) = (
                (-part.start % step, part.start) for part in (down, across)
            )
            picked = mask[0, :, top::step, left::step].float().cpu().numpy()
            first, second = (high + top) // step, (wide + left) // step
            some[:, first : first + picked.shape[1], second : second + picked.shape[2]] = picked
    if not np.isfinite(ice).all():
        raise ModelError(
            "The network's answers are no numbers any more. Give a smaller --lr, or "
            "--precision fp32."
        )
    return _Answers(ice, kinds, some if kinds is not None else None, step)


def _tiles(
    network: nn.Module, source: Source, view: View
) -> Iterator[tuple[tuple[slice, slice], Tensor]]:
    """Yield places of a scene and the logits there (1, classes, rows, columns)."""
    rows, columns = source.shape
    side = view.side
    with torch.inference_mode():
        for down in cut(rows, side, KEEP):
            for across in cut(columns, side, KEEP):
                # As a scene is predicted: beyond a small one its mirror image, not nothing.
                values, label = (
                    mirrored(pixels, side)
                    for pixels in source.read(
                        down.start, across.start, min(side, rows), min(side, columns)
                    )
                )
                planes, present = planes_of(values, source.roles, view.roles)
                x = torch.from_numpy(planes)[None].to(view.device)
                told = torch.from_numpy(present)[None].to(view.device)
                if view.jointly:
                    x = joint_minmax(x, told, torch.from_numpy(label)[None].to(view.device))
                with view.precision.autocast():
                    mask = network(
                        Inputs(x.contiguous(memory_format=torch.channels_last), present=told)
                    ).mask
                kept = (
                    slice(down.first - down.start, down.last - down.start),
                    slice(across.first - across.start, across.last - across.start),
                )
                place = slice(down.first, down.last), slice(across.first, across.last)
                yield place, mask[:, :, *kept]


def validate(network: nn.Module, sources: Sequence[Source], view: View) -> Validation:
    """Run a network in evaluation mode over every pixel of some scenes, one at a time."""
    network.eval()
    groups: dict[str, Counts] = {}
    kinds: dict[str, NDArray[np.int64]] = {}
    dices, seen = [], []
    for source in sources:
        said = _answers(network, source, view)
        _, label = source.read(0, 0, *source.shape)
        ice = as_ice(label, source.ice)
        groups.setdefault(source.group, Counts()).add(said.ice, ice)
        known = ice <= ICE
        if known.any():
            p = expit(said.ice[known].astype(np.float64))
            truth = ice[known] == ICE
            dices.append((2 * p[truth].sum() + 1) / (p.sum() + truth.sum() + 1))
        if said.kinds is not None and said.some is not None:
            count = len(view.classes.names)
            pairs = label[known].astype(np.int64) * count + said.kinds[known]
            found = np.bincount(pairs, minlength=count * count).reshape(count, count)
            kinds[source.group] = kinds.get(source.group, 0) + found
            here = (slice(None, None, said.step),) * 2
            seen.append(Seen(said.some[:, known[here]].T, label[here][known[here]], source.ice))
    return Validation(
        groups,
        float(np.mean(dices)) if dices else float("nan"),
        kinds,
        view.classes.names,
        Seen.join(seen) if seen else None,
    )


def rounded_scores(scores: Mapping[str, float]) -> dict[str, float | None]:
    """Return scores to four digits; None where they are undefined."""
    return {key: rounded(value, 4) for key, value in scores.items()}


def rounded(value: float, digits: int) -> float | None:
    """Return a score as JSON can hold it: None for one that is undefined."""
    return round(value, digits) if value == value else None


def best_temperature(counts: Counts) -> float:
    """Return the temperature with the least cross-entropy (Guo et al. 2017, arXiv:1706.04599)."""
    if not counts.ice.sum() or not counts.other.sum():
        return 1.0

    def entropy(log_temperature: float) -> float:
        z = LOGITS / np.exp(log_temperature)
        return float((counts.ice * np.logaddexp(0, -z) + counts.other * np.logaddexp(0, z)).sum())

    return least_temperature(entropy)


def reliability(counts: Counts, temperature: float = 1.0) -> dict[str, Any]:
    """Compare probabilities with how often there is ice.

    Returns:
        ``ece``, the mean distance of the two over ten equal bins weighted by their pixels, and
        ``bins``: probability, share of ice and pixels of each that holds any.
    """
    return reliability_of(expit(LOGITS / temperature), counts.ice, counts.ice + counts.other)
