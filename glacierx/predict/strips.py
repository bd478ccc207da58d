"""Full-width rows of a scene, each read once, and the patches that are cut from them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glacierx.predict.tiling import Span, Tiling, mirrored
from glacierx.scene.stored import Stored

LEAST_ROWS = 256

Context = tuple[NDArray[np.float32], NDArray[np.bool_]]


@dataclass(frozen=True)
class Strip:
    """Full-width rows of a scene, in the numbers of its files.

    Attributes:
        down: Which rows these are, and which of them are kept.
        parts: Planes of each file; none where no pixel is wanted.
        valid: True where pixels are good (rows, columns).
        wanted: True where a prediction is wanted; invalid pixels and those outside the area of
            interest are not.
    """

    down: Span
    parts: tuple[Stored, ...]
    valid: NDArray[np.bool_]
    wanted: NDArray[np.bool_]


class Patch(NamedTuple):
    """What a network is given.

    Attributes:
        parts: Planes of each file (roles, patch, patch), mirrored where the scene is smaller.
        valid: True where they are good.
        context: A wider, coarser view and where it is valid, shaped like the patch, or None.
    """

    parts: tuple[Stored, ...]
    valid: NDArray[np.bool_]
    context: Context | None = None


ReadRows = Callable[[int, int], tuple[tuple[Stored, ...], NDArray[np.bool_]]]
"""Read rows from .. to, full width: planes of each file, and where they are valid."""

Inside = Callable[[int, int], NDArray[np.bool_]]
"""Tell which pixels of rows from .. to are in the area of interest."""


def strips(
    tiling: Tiling, read: ReadRows, inside: Inside, block_rows: int = 1, first_row: int = 0
) -> Iterator[Strip]:
    """Read a scene from top to bottom, each row once; strips share the rows that overlap.

    Rows are asked for in whole blocks of the file, so that none is decoded twice, and in the same
    ones wherever reading begins. Strips that lie outside the area of interest are not read.

    Args:
        tiling: How the scene is cut.
        read: Reads rows.
        inside: Tells which pixels are in the area of interest.
        block_rows: Rows that the file decodes together.
        first_row: Strips that keep only rows above it are left out.
    """
    rows, columns = tiling.shape
    step = -(-LEAST_ROWS // block_rows) * block_rows
    held = _Rows(0, columns)
    for down in tiling.below(first_row):
        last = min(down.start + tiling.patch_px, rows)
        there = inside(down.start, last)
        if not there.any():
            yield Strip(down, (), np.zeros_like(there), there)
            continue
        held = held.moved_to(down.start, last + step)
        while held.last < last:
            begin = held.last // step * step
            parts, valid = read(begin, min(begin + step, rows))
            new = slice(held.last - begin, None)
            held.add(_rows_of(parts, new), valid[new])
        parts, valid = held.view(last)
        yield Strip(down, parts, valid, valid & there)


class _Rows:
    """Rows that were read and are still needed, in one block of memory for each file."""

    def __init__(self, first: int, columns: int, room: int = 0) -> None:
        self.first = self.last = first
        self._parts: list[Stored] = []
        self._valid = np.empty((room, columns), bool)

    def moved_to(self, first: int, end: int) -> "_Rows":
        """Return rows from *first* on, with room up to *end*; those held already are copied."""
        other = _Rows(first, self._valid.shape[1], end - first)
        if self.first <= first < self.last:
            rows = slice(first - self.first, self.last - self.first)
            other.add(_rows_of(self._parts, rows), self._valid[rows])
        return other

    def add(self, parts: tuple[Stored, ...], valid: NDArray[np.bool_]) -> None:
        """Add rows below those held."""
        at = slice(self.last - self.first, self.last - self.first + len(valid))
        if not self._parts:
            shape = self._valid.shape
            self._parts = [
                replace(part, values=np.empty((len(part.roles), *shape), part.values.dtype))
                for part in parts
            ]
        for own, part in zip(self._parts, parts, strict=True):
            own.values[:, at] = part.values
        self._valid[at] = valid
        self.last += len(valid)

    def view(self, last: int) -> tuple[tuple[Stored, ...], NDArray[np.bool_]]:
        """Return the rows from the first one to *last*, without copying."""
        rows = slice(0, last - self.first)
        return _rows_of(self._parts, rows), self._valid[rows]


def _rows_of(parts: Sequence[Stored], rows: slice) -> tuple[Stored, ...]:
    return tuple(replace(part, values=part.values[:, rows]) for part in parts)


def patch_of(strip: Strip, span: Span, patch_px: int, context: Context | None = None) -> Patch:
    """Cut a patch out of a strip."""
    columns = slice(span.start, span.start + patch_px)
    return Patch(
        tuple(
            replace(part, values=mirrored(part.values[..., columns], patch_px))
            for part in strip.parts
        ),
        mirrored(strip.valid[:, columns], patch_px),
        context,
    )
