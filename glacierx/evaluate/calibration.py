"""Whether a probability of 0.7 is right seven times in ten."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 10

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Predicted probabilities and how often they came true, in bins of equal width.

    Attributes:
        pixels: Valid pixels in each bin.
        predicted: Sum of their probabilities.
        true: How many of them are glacier.
        squares: Sum of the squared differences between probability and truth, of all.
    """

    pixels: Floats
    predicted: Floats
    true: Floats
    squares: float

    @classmethod
    def empty(cls) -> "Calibration":
        """Return bins without pixels."""
        return cls(np.zeros(BINS), np.zeros(BINS), np.zeros(BINS), 0.0)

    @classmethod
    def of(cls, probability: NDArray[np.float32], ice: NDArray[np.bool_]) -> "Calibration":
        """Sort valid pixels into bins; a probability of exactly a tenth opens the bin above."""
        p = probability.astype(np.float64)
        at = np.minimum(np.floor(p * BINS + 1e-6).astype(np.int64), BINS - 1)
        return cls(
            np.bincount(at, minlength=BINS).astype(np.float64),
            np.bincount(at, p, minlength=BINS).astype(np.float64),
            np.bincount(at, ice, minlength=BINS).astype(np.float64),
            float(((p - ice) ** 2).sum()),
        )

    def __add__(self, other: "Calibration") -> "Calibration":
        return Calibration(
            self.pixels + other.pixels,
            self.predicted + other.predicted,
            self.true + other.true,
            self.squares + other.squares,
        )

    @property
    def error(self) -> float:
        """Expected calibration error (Guo et al. 2017) of the probability of glacier."""
        total = float(self.pixels.sum())
        return float(np.abs(self.predicted - self.true).sum() / total) if total else math.nan

    @property
    def brier(self) -> float:
        """Brier score: mean squared difference between probability and truth."""
        total = float(self.pixels.sum())
        return self.squares / total if total else math.nan

    def rows(self) -> list[dict[str, float | None]]:
        """Return the reliability diagram: mean probability and share of glacier in each bin."""
        return [
            {
                "from": index / BINS,
                "to": (index + 1) / BINS,
                "pixels": int(count),
                "predicted": float(predicted / count) if count else None,
                "true": float(true / count) if count else None,
            }
            for index, (count, predicted, true) in enumerate(
                zip(self.pixels, self.predicted, self.true, strict=True)
            )
        ]
