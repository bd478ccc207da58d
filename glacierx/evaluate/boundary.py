"""Where the ice ends: boundary pixels and contours, found a few rows at a time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]

# Bits of a neighbourhood of four pixels: upper left, upper right, lower left, lower right.
_CORNERS = 8, 4, 2, 1
_VERTICAL = (10, 5)  # ice on the left or on the right
_HORIZONTAL = (12, 3)  # ice above or below
_CROSSED = (9, 6)  # ice in two corners across: two pieces


@dataclass(frozen=True)
class Edges:
    """Places on the boundary of ice, from top to bottom.

    Attributes:
        at: Row and column of each (places, 2).
        codes: Which pixels around a corner are ice, for contours; None for boundary pixels.
        label: Number of the glacier that a boundary pixel belongs to, if asked for.
    """

    at: NDArray[np.int32]
    codes: NDArray[np.uint8] | None = None
    label: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.at)


class EdgeTrace:
    """Collect boundary pixels, fed with rows from top to bottom.

    A boundary pixel is ice of which one of the four neighbours is known to be none: the mask less
    its erosion. The frame and pixels without data are no neighbours, so ice that is cut by them
    has no boundary there.
    """

    def __init__(self, columns: int) -> None:
        self._first = -1
        self._ice = np.zeros((1, columns), bool)
        self._gap = np.zeros((1, columns), bool)
        self._label = np.zeros((1, columns), np.int64)
        self._at: list[NDArray[np.int32]] = []
        self._labels: list[NDArray[np.int64]] = []

    def add(self, ice: Bools, valid: Bools, label: NDArray[np.int64] | None = None) -> None:
        """Add the next rows: ice, which is valid, and where it is known whether there is."""
        ice = np.concatenate([self._ice, ice])
        gap = np.concatenate([self._gap, valid & ~ice[len(self._ice) :]])
        beside = gap[:-2] | gap[2:]
        middle = gap[1:-1]
        beside[:, 1:] |= middle[:, :-1]
        beside[:, :-1] |= middle[:, 1:]
        beside &= ice[1:-1]
        found = _positions(beside, self._first + 1)
        self._at.append(found)
        if label is not None:
            label = np.concatenate([self._label[-len(self._ice) :], label])
            self._labels.append(label[found[:, 0] - self._first, found[:, 1]])
            self._label = label[-2:]
        self._first += len(ice) - 2
        self._ice, self._gap = ice[-2:], gap[-2:]

    def finish(self) -> Edges:
        """Return what was found, once all rows were added."""
        frame = np.zeros_like(self._ice[:1])
        labelled = bool(self._labels)
        self.add(frame, frame, np.zeros(frame.shape, np.int64) if labelled else None)
        # The parts are let go of as soon as they are put together: there can be many.
        at, labels, self._at, self._labels = self._at, self._labels, [], []
        return Edges(np.concatenate(at), label=np.concatenate(labels) if labelled else None)


class ContourTrace:
    """Collect the pieces of the contour between ice and other ground, row by row.

    The contour runs between the centres of pixels, as marching squares draw it: around each corner
    where four known pixels meet, of which some are ice and some not, there is a piece of it.
    """

    def __init__(self, columns: int) -> None:
        self._first = -1
        self._ice = np.zeros((1, columns), bool)
        self._valid = np.zeros((1, columns), bool)
        self._at: list[NDArray[np.int32]] = []
        self._codes: list[NDArray[np.uint8]] = []

    def add(self, ice: Bools, valid: Bools) -> None:
        """Add the next rows."""
        ice, valid = np.concatenate([self._ice, ice]), np.concatenate([self._valid, valid])
        code = np.zeros((len(ice) - 1, ice.shape[1] - 1), np.uint8)
        known = np.ones(code.shape, bool)
        for bit, part in zip(_CORNERS, _four(ice), strict=True):
            code |= part * np.uint8(bit)
        for part in _four(valid):
            known &= part
        here = known & (code > 0) & (code < sum(_CORNERS))
        found = _positions(here, self._first)
        self._at.append(found)
        self._codes.append(code[found[:, 0] - self._first, found[:, 1]])
        self._first += len(ice) - 1
        self._ice, self._valid = ice[-1:], valid[-1:]

    def finish(self) -> Edges:
        """Return what was found."""
        at, codes, self._at, self._codes = self._at, self._codes, [], []
        return Edges(np.concatenate(at), np.concatenate(codes))


def _four(mask: Bools) -> tuple[Bools, Bools, Bools, Bools]:
    return mask[:-1, :-1], mask[:-1, 1:], mask[1:, :-1], mask[1:, 1:]


def _positions(mask: Bools, first_row: int) -> NDArray[np.int32]:
    flat = np.flatnonzero(mask)
    out = np.empty((len(flat), 2), np.int32)
    out[:, 0], out[:, 1] = np.divmod(flat, max(1, mask.shape[1]))
    out[:, 0] += first_row
    return out


def contour_lengths(codes: NDArray[np.uint8], height: float, width: float) -> NDArray[np.float64]:
    """Return the length of each piece of a contour between pixels of this height and width.

    A piece around one corner pixel joins the middles of two sides; where two corners across are
    ice there are two such pieces.
    """
    table: NDArray[np.float64] = np.full(16, 0.5 * float(np.hypot(height, width)))
    table[list(_VERTICAL)], table[list(_HORIZONTAL)] = height, width
    table[list(_CROSSED)] *= 2
    return np.asarray(table[codes])


def find_edges(ice: Any, valid: Any = None) -> Edges:
    """Return the boundary pixels of a whole mask (rows, columns); see `EdgeTrace`."""
    return _of_whole(EdgeTrace, ice, valid)


def find_contour(ice: Any, valid: Any = None) -> Edges:
    """Return the pieces of the contour of a whole mask (rows, columns); see `ContourTrace`."""
    return _of_whole(ContourTrace, ice, valid)


def _of_whole(kind: type[EdgeTrace] | type[ContourTrace], ice: Any, valid: Any) -> Edges:
    ice = np.asarray(ice, bool)
    known = np.ones(ice.shape, bool) if valid is None else np.asarray(valid, bool)
    trace = kind(ice.shape[1])
    trace.add(ice & known, known)
    return trace.finish()
