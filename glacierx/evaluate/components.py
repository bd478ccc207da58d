"""Glaciers of a mask that knows none: pieces of connected ice, found a few rows at a time."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from glacierx.outlines.outlines import connected_groups

EIGHT = np.ones((3, 3), int)

Ints = NDArray[np.int64]


class Components:
    """Number connected ice, fed with rows from top to bottom.

    Pixels that touch at a corner are one piece, as in a glacier complex. Numbers are given before
    it is known which pieces meet farther down; `final` tells afterwards.
    """

    def __init__(self, columns: int) -> None:
        self._count = 0
        self._above: Ints = np.zeros(columns, np.int64)
        self._a: list[Ints] = []
        self._b: list[Ints] = []

    def label(self, ice: NDArray[np.bool_]) -> Ints:
        """Give each pixel of the next rows a number for now, 0 where there is no ice."""
        found, count = ndimage.label(ice, EIGHT)
        label: Ints = found.astype(np.int64)
        label[ice] += self._count
        self._count += count
        upper, lower = self._above, label[0]
        for one, other in ((upper, lower), (upper[1:], lower[:-1]), (upper[:-1], lower[1:])):
            meet = (one > 0) & (other > 0)
            self._a.append(one[meet] - 1)
            self._b.append(other[meet] - 1)
        self._above = label[-1]
        return label

    def final(self) -> Ints:
        """Return the number of the piece, from 1, for each number that was given; 0 for 0."""
        if not self._count:
            return np.zeros(1, np.int64)
        groups = connected_groups(self._count, np.concatenate(self._a), np.concatenate(self._b))
        final: Ints = np.r_[0, groups + 1]
        return final
