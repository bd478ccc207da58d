"""The thresholds that fit outlines best, found exactly in one pass over the scenes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# DL4GAM (Diaconu et al. 2025): the ratio from 0.5 to 5.5, blue from 0 to 0.15 reflectance.
RATIO_GRID = np.round(np.arange(0.5, 5.51, 0.1), 2)
NDSI_GRID = np.round(np.arange(0.0, 0.901, 0.02), 2)
BLUE_GRID = np.round(np.linspace(0, 0.15, 31), 3)
BAND_STEPS, BLUE_STEPS = 200, 31
LEVEL_GRID = np.round(np.arange(0.05, 0.951, 0.05), 2)


@dataclass(frozen=True)
class Calibration:
    """What a search over thresholds found.

    Attributes:
        above: The threshold of the band or index.
        blue: The threshold of blue; None where it gains nothing.
        iou: What they reach over all pixels counted.
        at_end: True where one of them is at an end of the thresholds tried, or does as well as
            one that is, so that the best may lie beyond.
    """

    above: float
    blue: float | None
    iou: float
    at_end: bool


class Counts:
    """How many pixels, with ice and without, lie at or above each pair of thresholds.

    Attributes:
        steps: Thresholds of the band or index, rising.
        blue: Thresholds of blue, rising; the first, which all pixels pass, stands for none.
    """

    def __init__(self, steps: NDArray[np.float64], blue: NDArray[np.float64] | None = None) -> None:
        self.steps = steps
        self.blue = np.zeros(1) if blue is None else blue
        # The last rows count pixels: [not ice, ice], below all steps first.
        self._count = np.zeros((2, len(self.steps) + 1, len(self.blue)), np.int64)

    def add(
        self,
        values: NDArray[np.float32],
        ice: NDArray[np.bool_],
        *,
        blue: NDArray[np.float32] | None = None,
        passing: NDArray[np.bool_] | None = None,
    ) -> None:
        """Count pixels.

        Args:
            values: Their band or index.
            ice: True where the outlines have ice.
            blue: Their blue.
            passing: False where another condition fails, so that no threshold calls them ice.
        """
        # Compared as a method compares: float32 pixels with thresholds rounded to float32.
        row = np.searchsorted(self.steps.astype(np.float32), values, side="right")
        if passing is not None:
            row = np.where(passing, row, 0)
        column = np.zeros(len(row), np.intp)
        if blue is not None:
            column = np.searchsorted(self.blue[1:].astype(np.float32), blue, side="right")
        _, rows, columns = self._count.shape
        cell = (ice * rows + row) * columns + column
        self._count += np.bincount(cell, minlength=self._count.size).reshape(self._count.shape)

    @property
    def pixels(self) -> tuple[int, int]:
        """Pixels without ice and with it."""
        other, ice = self._count.sum(axis=(1, 2)).tolist()
        return int(other), int(ice)

    def iou(self) -> NDArray[np.float64]:
        """Return the intersection over union of each pair of thresholds (steps, blue)."""
        reaching = self._count[:, ::-1, ::-1].cumsum(axis=1).cumsum(axis=2)[:, ::-1, ::-1]
        false, true = reaching[:, 1:]
        union = false + self._count[1].sum()
        return np.asarray(true / np.maximum(union, 1), np.float64)

    def best(self) -> Calibration:
        """Return the thresholds of the highest IoU.

        Of equal ones it is the middle of the longest run: without a condition on blue if that
        does as well, else in the middle of the blue thresholds that do.
        """
        scores = self.iou()
        top = scores.max()
        reach = (scores == top).any(axis=0)
        column = 0 if reach[0] else _middle(reach)
        row = _middle(scores[:, column] == top)
        blue = float(self.blue[column]) if column else None
        equal = scores[:, column] == top
        at_end = bool(equal[0] or equal[-1]) or column == len(self.blue) - 1 > 0
        return Calibration(float(self.steps[row]), blue, float(top), at_end)


def _middle(good: NDArray[np.bool_]) -> int:
    """Return the middle of the longest run of true, the first of equally long ones."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(np.int8), [0]])))
    starts, ends = edges[::2], edges[1::2]
    longest = int((ends - starts).argmax())
    return int(starts[longest] + ends[longest] - 1) // 2
