"""How well a network does on the scenes that were kept from it, and how sure it may be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit
from torch import Tensor, nn

from glacierx.errors import ModelError
from glacierx.networks.layers import Inputs
from glacierx.predict.precision import Precision
from glacierx.predict.tiling import cut, mirrored
from glacierx.training.samples import ICE, INVALID, OTHER, Source

LOGITS = np.linspace(-15.0, 15.0, 1501)
KEEP = 0.7
BINS = 10
HOTTEST = 10.0


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

    def scores(self) -> dict[str, float]:
        """Return IoU, F1 and balanced accuracy at a probability of a half; NaN where undefined."""
        middle = len(LOGITS) // 2 + 1
        tp, fp = int(self.ice[middle:].sum()), int(self.other[middle:].sum())
        fn, tn = int(self.ice[:middle].sum()), int(self.other[:middle].sum())

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


@dataclass(frozen=True)
class View:
    """How a network is shown whole scenes.

    Attributes:
        roles: What the network's planes measure.
        side: Side of the tiles, in pixels.
        device: Where the network is.
        precision: Numbers that it computes in.
        jointly: Scale each tile by the least and greatest of all its planes together.
    """

    roles: Sequence[str]
    side: int
    device: torch.device
    precision: Precision
    jointly: bool = False


@dataclass(frozen=True)
class Validation:
    """What was found on held-out scenes.

    Attributes:
        groups: Counts by group.
        dice: Mean soft Dice of the scenes of which anything is known. Chu et al. choose their
            weights by that of their tiles.
    """

    groups: Mapping[str, Counts]
    dice: float

    def scores(self) -> dict[str, dict[str, float]]:
        """Return the scores of each group."""
        return {name: counts.scores() for name, counts in self.groups.items()}

    def rounded(self) -> dict[str, dict[str, float | None]]:
        """Return the scores of each group to four digits; None where they are undefined."""
        return {name: rounded_scores(scores) for name, scores in self.scores().items()}

    def value(self, metric: str) -> float:
        """Return what a choice is made by: the mean over groups where it is defined."""
        if metric == "dice":
            return self.dice
        key = metric.replace("-", "_")
        found = [scores[key] for scores in self.scores().values()]
        defined = [value for value in found if value == value]
        return float(np.mean(defined)) if defined else float("nan")

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
    rows, columns = source.shape
    side = view.side
    logits = np.zeros((rows, columns), np.float32)
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
                    out = network(
                        Inputs(x.contiguous(memory_format=torch.channels_last), present=told)
                    ).mask[0, 0]
                kept = (
                    slice(down.first - down.start, down.last - down.start),
                    slice(across.first - across.start, across.last - across.start),
                )
                logits[down.first : down.last, across.first : across.last] = (
                    out.float().cpu().numpy()[kept]
                )
    if not np.isfinite(logits).all():
        raise ModelError(
            "The network's answers are no numbers any more. Give a smaller --lr, or "
            "--precision fp32."
        )
    return logits


def validate(network: nn.Module, sources: Sequence[Source], view: View) -> Validation:
    """Run a network in evaluation mode over every pixel of some scenes, one at a time."""
    network.eval()
    groups: dict[str, Counts] = {}
    dices = []
    for source in sources:
        logit = predict_source(network, source, view)
        _, label = source.read(0, 0, *source.shape)
        groups.setdefault(source.group, Counts()).add(logit, label)
        known = label <= ICE
        if known.any():
            p = expit(logit[known].astype(np.float64))
            truth = label[known] == ICE
            dices.append((2 * p[truth].sum() + 1) / (p.sum() + truth.sum() + 1))
    return Validation(groups, float(np.mean(dices)) if dices else float("nan"))


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

    end = float(np.log(HOTTEST))
    found = minimize_scalar(entropy, bounds=(-end, end), method="bounded")
    return float(np.exp(found.x))


def reliability(counts: Counts, temperature: float = 1.0) -> dict[str, Any]:
    """Compare probabilities with how often there is ice.

    Returns:
        ``ece``, the mean distance of the two over ten equal bins weighted by their pixels, and
        ``bins``: probability, share of ice and pixels of each that holds any.
    """
    p = expit(LOGITS / temperature)
    total = counts.ice + counts.other
    which = np.minimum((p * BINS).astype(int), BINS - 1)
    pixels = np.bincount(which, total, BINS)
    said = np.bincount(which, total * p, BINS)
    seen = np.bincount(which, counts.ice, BINS)
    full = pixels > 0
    return {
        "ece": float(np.abs(said - seen).sum() / max(1.0, pixels.sum())),
        "bins": [
            [round(float(a / n), 4), round(float(b / n), 4), int(n)]
            for a, b, n in zip(said[full], seen[full], pixels[full], strict=True)
        ],
    }
