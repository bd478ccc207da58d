"""Polygons -> runs of pixels, row by row, for any number of polygons at once."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import shapely
from numpy.typing import NDArray

from glacierx.scene.grid import Grid

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Spans:
    """Runs of pixels along rows.

    Attributes:
        row: Row of each run.
        begin: First column.
        end: Column after the last.
        owner: What each run belongs to.
    """

    row: Ints
    begin: Ints
    end: Ints
    owner: Ints

    def pixels(self, columns: int) -> tuple[Ints, Ints]:
        """Return all pixels, counted row by row in so many columns, and their owners."""
        length = self.end - self.begin
        offset = self.row * columns + self.begin - np.cumsum(length) + length
        pixels = np.repeat(offset, length)
        pixels += np.arange(len(pixels))
        return pixels, np.repeat(self.owner, length)


@dataclass(frozen=True)
class Edges:
    """Edges of rings in pixels, none along a row, with the upper end first.

    Attributes:
        top: Row of the upper end.
        bottom: Row of the lower end.
        column: Column of the upper end.
        lean: Columns to the right for each row down.
        owner: What each edge belongs to.
    """

    top: Floats
    bottom: Floats
    column: Floats
    lean: Floats
    owner: Ints

    @classmethod
    def of(cls, rings: NDArray[np.object_], owner: Ints, grid: Grid) -> Self:
        """Take the edges of rings, each of which has an owner, in the CRS of a grid."""
        xy, ring_of = shapely.get_coordinates(rings, return_index=True)
        row, column = grid.to_pixels(*xy.T)
        down = np.diff(row)
        used = np.flatnonzero((ring_of[1:] == ring_of[:-1]) & (down != 0))
        upper = np.where(down[used] > 0, used, used + 1)
        return cls(
            row[upper],
            row[2 * used + 1 - upper],
            column[upper],
            np.diff(column)[used] / down[used],
            owner[ring_of[used]],
        )

    def between(self, first: int, last: int) -> Self:
        """Return the edges that reach into rows from .. to."""
        at = np.flatnonzero((self.top < last) & (self.bottom > first))
        places = self.top[at], self.bottom[at], self.column[at], self.lean[at]
        return type(self)(*places, self.owner[at])

    def spans(self, rows: tuple[int, int], columns: tuple[int, int]) -> Spans:
        """Find the pixels of a window whose middle lies inside, as `rasterio.features` does.

        Args:
            rows: Rows from .. to.
            columns: Columns from .. to.

        Returns:
            Runs in rows and columns of the window, ordered by owner.
        """
        begin = np.clip(np.ceil(self.top - 0.5), *rows).astype(np.int64)
        count = np.clip(np.ceil(self.bottom - 0.5), *rows).astype(np.int64) - begin
        edge = np.repeat(np.arange(len(begin)), count)
        row = np.arange(len(edge)) + np.repeat(begin - np.cumsum(count) + count, count)
        column = self.column[edge] + self.lean[edge] * (row + 0.5 - self.top[edge])
        owner = self.owner[edge]
        # A ring crosses the middle of a row an even number of times: into and out of the polygon.
        order = np.lexsort((column, owner * rows[1] + row))
        into, out = order[0::2], order[1::2]
        ends = np.clip(np.floor(column + 0.5), *columns).astype(np.int64) - columns[0]
        filled = ends[out] > ends[into]
        into, out = into[filled], out[filled]
        return Spans(row[into] - rows[0], ends[into], ends[out], owner[into])
