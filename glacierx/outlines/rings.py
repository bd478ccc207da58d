"""Pixel edges of a mask as rings, from rows that come a few at a time."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# What is around a corner, as bits: 1 upper left, 2 upper right, 4 lower left, 8 lower right. An
# ice edge turns where one or three of the four are ice; where two lie across from each other, two
# corners fall together, one for each pixel of ice, so that diagonal neighbours stay apart.
_TURNS = np.zeros(16, np.int64)
_TURNS[[1, 2, 4, 7, 8, 11, 13, 14]] = 1
_TURNS[[6, 9]] = 2
# For each corner: does its level edge lie to the right, its upright edge below, and does the ring,
# with ice on its left, leave along the level edge? Crossings have a second row for the second one.
_RIGHT = np.zeros((16, 2), bool)
_BELOW = np.zeros((16, 2), bool)
_LEVEL = np.zeros((16, 2), bool)
_RIGHT[[2, 7, 8, 13], 0] = True
_BELOW[[4, 7, 8, 11], 0] = True
_LEVEL[[2, 4, 7, 14], 0] = True
_RIGHT[[6, 9], 1] = True
_BELOW[6, 0] = True  # First the lower left pixel of ice, then the upper right one.
_BELOW[9, 1] = True  # First the upper left pixel of ice, then the lower right one.
_LEVEL[6] = True


@dataclass(frozen=True)
class Corners:
    """Corners of the ice edge, in row order.

    Attributes:
        row: Row of the corner.
        column: Column of the corner.
        below: True where the upright edge lies below the corner.
        level: True where the ring leaves along the level edge.
        crossing: True where two corners fall together.
    """

    row: Ints
    column: Ints
    below: NDArray[np.bool_]
    level: NDArray[np.bool_]
    crossing: NDArray[np.bool_]


def find_corners(strips: Iterable[NDArray[np.bool_]]) -> Corners:
    """Find the corners of the ice edge in a mask that comes in strips of full-width rows."""
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]] = []
    top = 0
    above: NDArray[np.bool_] | None = None
    for strip in strips:
        if above is None:
            above = np.zeros(strip.shape[1], bool)
        parts.append(_codes(np.vstack([above, strip]), top))
        top += len(strip)
        above = strip[-1]
    if above is not None:
        parts.append(_codes(np.vstack([above, np.zeros_like(above)]), top))
    row, column, code = (
        np.concatenate(found) if found else np.zeros(0, np.int64)
        for found in (zip(*parts, strict=True) if parts else ([], [], []))
    )
    code = code.astype(np.int64)
    crossing = _TURNS[code] == 2
    repeats = np.where(crossing, 2, 1)
    order = np.repeat(np.arange(len(code)), repeats)
    second = np.zeros(len(order), np.int64)
    second[1:] = order[1:] == order[:-1]
    code, row, column = code[order], row[order], column[order]
    return Corners(row, column, _BELOW[code, second], _LEVEL[code, second], crossing[order])


def _codes(mask: NDArray[np.bool_], top: int) -> tuple[Ints, Ints, NDArray[np.uint8]]:
    """Find corners between each row of a mask and the next; the first lies at row *top*."""
    ice = np.pad(mask.astype(np.uint8), ((0, 0), (1, 1)))
    around = ice[:-1, :-1] | ice[:-1, 1:] << 1 | ice[1:, :-1] << 2 | ice[1:, 1:] << 3
    code: NDArray[np.uint8] = np.asarray(around, np.uint8)
    row, column = np.nonzero(_TURNS.astype(bool)[code])
    return row.astype(np.int64) + top, column.astype(np.int64), code[row, column]


def follow(corners: Corners) -> list[Ints]:
    """Follow the ice edge from corner to corner.

    Returns:
        Rings as indices of corners, ice on the left, each visiting a place once: where a ring
        touches itself it is cut into a ring and a hole.
    """
    count = len(corners.row)
    # Along a row of corners the edges are between the first and second, third and fourth, ...
    level = np.arange(count) ^ 1
    height = int(corners.row.max(initial=0)) + 1
    key = (corners.column * height + corners.row) * 2 + corners.below
    order = np.argsort(key, kind="stable")
    upright = np.empty(count, np.int64)
    upright[order[0::2]], upright[order[1::2]] = order[1::2], order[0::2]
    following = np.where(corners.level, level, upright)
    place = corners.row * (int(corners.column.max(initial=0)) + 1) + corners.column
    # Level and upright edges take turns, so that every other corner tells the ring.
    next_but_one = following[following].tolist()
    seen = bytearray(count)
    marks = np.frombuffer(seen, np.uint8)
    rings: list[Ints] = []
    start = 0
    while (start := seen.find(0, start)) >= 0:
        steps, at = [], start
        while not seen[at]:
            seen[at] = 1
            steps.append(at)
            at = next_but_one[at]
        ring = np.empty(2 * len(steps), np.int64)
        ring[0::2] = steps
        ring[1::2] = following[ring[0::2]]
        marks[ring[1::2]] = 1
        crosses = np.flatnonzero(corners.crossing[ring])
        rings.extend(_cut(ring, crosses, place) if len(crosses) else [ring])
    return rings


def _cut(ring: Ints, crosses: Ints, place: Ints) -> list[Ints]:
    """Cut a ring wherever it comes to a place for the second time, at the given crossings."""
    pieces: list[Ints] = []
    head, *stretches = np.split(ring, crosses)
    path = [head]
    position: dict[int, int] = {}
    for stretch in stretches:
        where = int(place[stretch[0]])
        if where in position:
            begin = position[where]
            pieces.append(np.concatenate(path[begin:]))
            for left in path[begin:]:
                del position[int(place[left[0]])]
            del path[begin:]
        position[where] = len(path)
        path.append(stretch)
    pieces.append(np.concatenate(path))
    return pieces
