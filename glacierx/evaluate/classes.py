"""Scores of each class, where prediction and truth both tell classes apart."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from glacierx.evaluate.metrics import pixel_scores

SHOWN = ("iou", "precision", "recall", "f1")


@dataclass(frozen=True)
class ClassCounts:
    """Pixels by what they are and by what was found.

    Attributes:
        names: The classes.
        pixels: Pixels of each class (true, found) that are valid in both.
    """

    names: tuple[str, ...]
    pixels: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        names: tuple[str, ...],
        found: NDArray[np.uint8],
        true: NDArray[np.uint8],
        valid: NDArray[np.bool_],
    ) -> Self:
        """Count the pixels of a window.

        Args:
            names: The classes.
            found: Numbers of the classes found, 255 where not known (rows, columns).
            true: The same of the truth.
            valid: Pixels to count.
        """
        count = len(names)
        counted = valid & (found < count) & (true < count)
        pairs = true[counted].astype(np.int64) * count + found[counted]
        return cls(names, np.bincount(pairs, minlength=count * count).reshape(count, count))

    def __add__(self, other: "ClassCounts") -> "ClassCounts":
        return ClassCounts(self.names, self.pixels + other.pixels)

    def scores(self) -> dict[str, dict[str, float]]:
        """Return IoU, precision, recall and F1 of each class; NaN where not defined."""
        both = np.diag(self.pixels)
        found, true = self.pixels.sum(axis=0), self.pixels.sum(axis=1)
        rest = self.pixels.sum() - found - true + both
        each = pixel_scores(both, found - both, true - both, rest)
        return {
            name: {key: float(each[key][number]) for key in SHOWN}
            for number, name in enumerate(self.names)
        }

    @property
    def mean_iou(self) -> float:
        """The mean IoU of the classes that are in either."""
        found = np.array([row["iou"] for row in self.scores().values()])
        known = found[np.isfinite(found)]
        return float(known.mean()) if len(known) else float("nan")

    @property
    def accuracy(self) -> float:
        """The share of pixels whose class is right."""
        whole = int(self.pixels.sum())
        return int(np.trace(self.pixels)) / whole if whole else float("nan")

    def as_record(self) -> dict[str, Any]:
        """Return everything as plain values for JSON; null where a score is not defined."""

        def plain(value: float) -> float | None:
            return value if np.isfinite(value) else None

        return {
            "names": list(self.names),
            "confusion": self.pixels.tolist(),
            "scores": {
                name: {key: plain(value) for key, value in row.items()}
                for name, row in self.scores().items()
            },
            "mean_iou": plain(self.mean_iou),
            "overall_accuracy": plain(self.accuracy),
        }


def joined(parts: list[ClassCounts | None]) -> ClassCounts | None:
    """Add up the counts of several pairs; None where one has none, or other classes."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or len({part.names for part in known}) != 1:
        return None
    return sum(known[1:], known[0])
