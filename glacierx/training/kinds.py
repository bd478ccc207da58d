"""What is found of several classes on held-out pixels, and how sure a network may be."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax

BINS = 10
HOTTEST = 10.0


def class_ious(pixels: NDArray[np.int64]) -> list[float]:
    """Return the IoU of each class from pixels (true, found); NaN for one that is in neither."""
    both = np.diag(pixels).astype(np.float64)
    either = pixels.sum(axis=0) + pixels.sum(axis=1) - both
    return [float(a / b) if b else float("nan") for a, b in zip(both, either, strict=True)]


def mean_defined(values: Iterable[float]) -> float:
    """Return the mean of the scores that are defined; NaN where none is."""
    defined = [value for value in values if value == value]
    return float(np.mean(defined)) if defined else float("nan")


@dataclass(frozen=True)
class Seen:
    """What a network of several classes said of some known pixels.

    Attributes:
        logits: Of each class (pixels, classes).
        label: Number of the class (pixels).
        ice: Labels that are ice.
    """

    logits: NDArray[np.float32]
    label: NDArray[np.uint8]
    ice: tuple[int, ...]

    @classmethod
    def join(cls, parts: Sequence["Seen"]) -> "Seen":
        """Put the pixels of several scenes together."""
        return cls(
            np.concatenate([part.logits for part in parts]),
            np.concatenate([part.label for part in parts]),
            parts[0].ice,
        )

    def best_temperature(self) -> float:
        """Return the one temperature of the softmax with the least cross-entropy."""
        if len(np.unique(self.label)) < 2:
            return 1.0
        z = self.logits.astype(np.float64)
        own = z[np.arange(len(z)), self.label]

        def entropy(log_temperature: float) -> float:
            t = np.exp(log_temperature)
            return float((logsumexp(z / t, axis=1) - own / t).mean())

        return least_temperature(entropy)

    def reliability(self, temperature: float = 1.0) -> dict[str, Any]:
        """Compare probabilities of ice with how often there is ice; see `reliability`."""
        p = softmax(self.logits.astype(np.float64) / temperature, axis=1)[:, list(self.ice)]
        ice = np.isin(self.label, self.ice)
        return reliability_of(p.sum(axis=1).clip(0, 1), ice.astype(np.int64), np.ones(len(p), int))


def least_temperature(entropy: Callable[[float], float]) -> float:
    """Return the temperature at which an entropy by the log of the temperature is least."""
    end = float(np.log(HOTTEST))
    found = minimize_scalar(entropy, bounds=(-end, end), method="bounded")
    return float(np.exp(found.x))


def reliability_of(
    p: NDArray[np.float64], ice: NDArray[np.int64], total: NDArray[np.int64]
) -> dict[str, Any]:
    """Compare probabilities with how often there is ice.

    Args:
        p: Probabilities.
        ice: Pixels with ice of each.
        total: All pixels of each.

    Returns:
        See `glacierx.training.validate.reliability`.
    """
    which = np.minimum((p * BINS).astype(int), BINS - 1)
    pixels = np.bincount(which, total, BINS)
    said = np.bincount(which, total * p, BINS)
    seen = np.bincount(which, ice, BINS)
    full = pixels > 0
    return {
        "ece": float(np.abs(said - seen).sum() / max(1.0, pixels.sum())),
        "bins": [
            [round(float(a / n), 4), round(float(b / n), 4), int(n)]
            for a, b, n in zip(said[full], seen[full], pixels[full], strict=True)
        ],
    }
