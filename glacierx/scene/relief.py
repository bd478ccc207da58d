"""Elevation, slope and forms of a DEM on a scene's grid, window by window."""

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy import ndimage
from skimage.transform import warp

from glacierx.scene.forms import ASPECT, forms, reach_of
from glacierx.scene.geodesy import GEOD, LONLAT, Floats, transform_points
from glacierx.scene.grid import Grid
from glacierx.scene.interpolation import REACH, bridge, cubic
from glacierx.scene.terrain import Dem

BLOCK_PX = 256
NODE_PX = 32
# Two cells for cubic convolution, one for the slope, one for a cell that the DEM has in part.
BEYOND = 4
COARSE = 64
# A block is looked up at so many places each way, and lies straight if none is off by more cells.
NODES, STRAIGHT = 5, 0.01
HEIGHTS = {"elevation": "m", "slope": "degrees"}
FORMS = {
    "aspect_sin": "none", "aspect_cos": "none", "aspect_north": "none", "aspect_south": "none",
    "profile_curvature": "1/m", "tangential_curvature": "1/m", "unsphericity": "1/m",
    "sadi": "none",
}  # fmt: skip
TERRAIN = {**HEIGHTS, **FORMS}
"""Roles that a DEM gives, and their units."""
# Two cells for cubic convolution, one in part, and those that a form is made of.
BEYOND_FORMS = 3 + reach_of(tuple(FORMS))
# Cubic convolution can overshoot.
BOUNDS = {
    "slope": (0.0, 90.0), "unsphericity": (0.0, np.inf), "sadi": (0.0, 1.0),
    **dict.fromkeys(ASPECT, (-1.0, 1.0)),
}  # fmt: skip

Span = tuple[int, int]


class Relief:
    """A DEM's heights, slopes and forms for the pixels of a grid.

    Slopes and forms (`glacierx.scene.forms`) are found on the DEM's own cells, averaged first where
    they are finer than the pixels, and all are brought to the pixels by cubic convolution (Keys
    1981, doi:10.1109/TASSP.1981.1163711): slopes of heights that were interpolated would show the
    cells as facets. Blocks of pixels that lie straight on the cells, to a hundredth of one, go the
    way of scikit-image, which is the same and faster. All places are counted from the corners of
    the two grids, so that a window holds what the same part of the whole does.

    Args:
        dem: The DEM.
        grid: The grid of the pixels.
    """

    def __init__(self, dem: Dem, grid: Grid) -> None:
        self._dem = dem
        self._grid = grid
        self._step = max(1, round(grid.gsd_m / dem.gsd_m))
        rows, columns = (max(1, length // self._step) for length in dem.grid.shape)
        self._cells = dem.grid.stretched(self._step, (rows, columns))

    def read(
        self, window: Window, roles: Sequence[str]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read terrain, in the units of `TERRAIN`.

        Args:
            window: Whole pixels within the grid.
            roles: Which of `TERRAIN`.

        Returns:
            Values (roles, rows, columns), and where the DEM has heights. Elsewhere elevation is
            about that of the nearest heights, and all else is 0.
        """
        top, left, height, width = (
            int(part) for part in (window.row_off, window.col_off, window.height, window.width)
        )
        values = np.zeros((len(roles), height, width), np.float32)
        known = np.zeros((height, width), bool)
        # Blocks keep the memory that this takes small beside that of the values.
        for rows in _blocks(top, top + height):
            for columns in _blocks(left, left + width):
                part = (
                    slice(rows[0] - top, rows[1] - top),
                    slice(columns[0] - left, columns[1] - left),
                )
                found = self._mixed(rows, columns, roles)
                there = np.isfinite(found)
                known[part] = there.all(axis=0)
                for index, role in enumerate(roles):
                    if role == "elevation" and not there[index].all():
                        found[index] = np.where(
                            there[index], found[index], self._coarsely(rows, columns)
                        )
                    values[(index, *part)] = np.nan_to_num(found[index])
        return values, known

    def read_where(
        self, valid: NDArray[np.bool_], window: Window, roles: Sequence[str], name: str
    ) -> NDArray[np.float32]:
        """Read terrain for the valid pixels of a scene; warn once where it has no heights."""
        if not valid.any():
            return np.zeros((len(roles), *valid.shape), np.float32)
        values, known = self.read(window, roles)
        if not known[valid].all():
            self._dem.warn_once(
                f"{self._dem.name} has no heights in parts of {name}: for the model elevation "
                "there is that of the nearest heights, and slope and forms are 0.",
                kind="gaps",
            )
        return values

    def _mixed(self, rows: Span, columns: Span, roles: Sequence[str]) -> Floats:
        """Return roles (roles, rows, columns), NaN where the DEM has none.

        Forms are made of more cells than slopes. Each kind is read by itself, so that a value does
        not hang on what is read with it.
        """
        kinds = [[role for role in roles if role in kind] for kind in (HEIGHTS, FORMS)]
        found = [self._block(rows, columns, kind) for kind in kinds if kind]
        order = [role for kind in kinds for role in kind]
        return np.concatenate(found)[[order.index(role) for role in roles]]

    def _block(self, rows: Span, columns: Span, roles: Sequence[str]) -> Floats:
        """Return roles of one kind (roles, rows, columns), NaN where the DEM has none."""
        line = self._line(rows[0] // BLOCK_PX, columns[0] // BLOCK_PX)
        if line is not None:
            return self._along(line, rows, columns, roles)
        down, right = smooth_field(self._place, self._grid.shape, rows, columns)
        inside = (down >= 0) & (right >= 0)
        inside &= (down <= self._dem.grid.rows) & (right <= self._dem.grid.columns)
        if not inside.any():
            return np.full((len(roles), *inside.shape), np.nan)
        down, right = (
            np.where(inside, place, place[inside].min()) / self._step for place in (down, right)
        )
        planes, shift_down, shift_right = self._around(down, right, roles)
        found = cubic(planes, down + shift_down, right + shift_right)
        found[:, ~inside] = np.nan
        return _bounded(found, roles)

    def _around(
        self, down: Floats, right: Floats, roles: Sequence[str]
    ) -> tuple[Floats, float, float]:
        """Return roles on the cells around positions, and what is added to reach them there."""
        beyond = _beyond(roles)
        spans = [
            (
                min(max(0, int(place.min()) - REACH - beyond), length - 1),
                min(length, int(place.max()) + REACH + beyond + 1),
            )
            for place, length in zip((down, right), self._cells.shape, strict=True)
        ]
        planes = self._planes(spans[0], spans[1], roles)
        return planes, beyond - spans[0][0], beyond - spans[1][0]

    def _line(self, row: int, column: int) -> Floats | None:
        """Return how a block of pixels lies on the cells, if that is a straight affair.

        Returns:
            Positions on the cells as a matrix for (row, column, 1) (2, 3), right to a hundredth of
            a cell; None where there is no such, or where the block reaches beyond the DEM.
        """
        nodes = [
            np.linspace(at * BLOCK_PX, min((at + 1) * BLOCK_PX, length), NODES)
            for at, length in zip((row, column), self._grid.shape, strict=True)
        ]
        rows, columns = np.meshgrid(*nodes, indexing="ij")
        place = self._place(rows, columns)
        room = np.array(self._dem.grid.shape)[:, None, None]
        if not (np.isfinite(place) & (place >= 0) & (place <= room)).all():
            return None
        known = np.stack([rows.ravel(), columns.ravel(), np.ones(rows.size)], axis=1)
        cells = place.reshape(2, -1).T / self._step
        line, *_ = np.linalg.lstsq(known, cells)
        straight = np.abs(known @ line - cells).max() <= STRAIGHT
        return np.asarray(line.T) if straight else None

    def _along(self, line: Floats, rows: Span, columns: Span, roles: Sequence[str]) -> Floats:
        """Return roles where pixels lie on the cells by a matrix; see `_line`."""
        corners = np.array([[row, column, 1] for row in rows for column in columns]).T
        down, right = line @ corners
        planes, *shift = self._around(down, right, roles)
        # The first pixel's centre, counted from the centre of the first cell.
        start = line @ (rows[0] + 0.5, columns[0] + 0.5, 1) + shift - 0.5
        own = np.array(
            [
                [line[1, 1], line[1, 0], start[1]],
                [line[0, 1], line[0, 0], start[0]],
                [0, 0, 1],
            ]
        )
        shape = rows[1] - rows[0], columns[1] - columns[0]
        found = [
            warp(plane, own, order=3, output_shape=shape, mode="edge", clip=False)
            for plane in planes
        ]
        return _bounded(np.stack(found), roles)

    def _planes(self, rows: Span, columns: Span, roles: Sequence[str]) -> Floats:
        """Return roles on the DEM's cells, and so far beyond its frame, NaN in voids."""
        beyond, step, (height, width) = _beyond(roles), self._step, self._dem.grid.shape
        top, bottom = rows[0] * step, min(rows[1] * step, height)
        left, right = columns[0] * step, min(columns[1] * step, width)
        window = Window(left, top, right - left, bottom - top)
        heights = bridge(self._dem.read_cells(window, step).astype(np.float64))
        # Beyond the frame a plane goes on as a plane.
        heights = np.pad(heights, beyond, mode="reflect", reflect_type="odd")
        if all(role == "elevation" for role in roles):
            return np.stack([heights for _ in roles])
        field = self._metric if "slope" in roles else self._frame
        steps = smooth_field(field, self._cells.shape, rows, columns)
        steps = np.pad(steps, ((0, 0), (beyond, beyond), (beyond, beyond)), mode="edge")
        if "slope" not in roles:
            return forms(heights, steps, roles)
        slopes = slope(heights, steps)
        return np.stack([heights if role == "elevation" else slopes for role in roles])

    def _place(self, rows: Floats, columns: Floats) -> Floats:
        """Return where pixels lie on the DEM's grid: rows and columns (2, ...)."""
        grid, own = self._grid, self._dem.grid
        x, y = transform_points(*grid.to_map(rows, columns), grid.crs, own.crs)
        there = np.isfinite(x) & np.isfinite(y)
        x, y = np.where(there, x, np.nan), np.where(there, y, np.nan)
        if own.crs.is_geographic:
            # Longitudes may jump within the scene, or count from 0 to 360; and not all are in
            # degrees.
            circle = 2 * math.pi / own.crs.units_factor[1]
            x = x - np.round((x - self._middle) / circle) * circle
            away = own.to_map(own.rows / 2, own.columns / 2)[0] - self._middle
            x = x + np.round(away / circle) * circle
        return np.stack(own.to_pixels(x, y))

    @cached_property
    def _middle(self) -> float:
        grid = self._grid
        x, y = grid.to_map(grid.rows / 2, grid.columns / 2)
        return float(transform_points(x, y, grid.crs, self._dem.grid.crs)[0])

    def _metric(self, rows: Floats, columns: Floats) -> Floats:
        return metric(self._cells, rows, columns)

    def _frame(self, rows: Floats, columns: Floats) -> Floats:
        return frame(self._cells, rows, columns)

    def _coarsely(self, rows: Span, columns: Span) -> Floats:
        """Return heights of the nearest cells of a coarse DEM."""
        coarse = self._coarse
        down, right = (
            ((np.arange(*span) + 0.5) * cells / length).clip(0.5, cells - 0.5) + 2
            for span, cells, length in zip(
                (rows, columns), coarse.shape, self._grid.shape, strict=True
            )
        )
        padded = np.pad(coarse, 2, mode="edge")
        places = np.meshgrid(down, right, indexing="ij")
        found: Floats = cubic(padded[None], *places)[0]
        return found

    @cached_property
    def _coarse(self) -> Floats:
        shape = (min(COARSE, self._grid.rows), min(COARSE, self._grid.columns))
        heights = self._dem.read(self._grid.coarsened(shape))
        if not heights.valid.any():
            return np.zeros(shape)
        nearest = ndimage.distance_transform_edt(
            ~heights.valid, return_distances=False, return_indices=True
        )
        return np.asarray(heights.values[0][tuple(nearest)], np.float64)


def _blocks(first: int, last: int) -> list[Span]:
    """Cut a span at multiples of a block, so that a pixel's block is the same in every window."""
    starts = range(first // BLOCK_PX * BLOCK_PX, last, BLOCK_PX)
    return [(max(first, start), min(last, start + BLOCK_PX)) for start in starts]


def _beyond(roles: Sequence[str]) -> int:
    return BEYOND_FORMS if any(role in FORMS for role in roles) else BEYOND


def _bounded(found: Floats, roles: Sequence[str]) -> Floats:
    for index, role in enumerate(roles):
        if role in BOUNDS:
            found[index] = found[index].clip(*BOUNDS[role])
    return found


def smooth_field(
    field: Callable[[Floats, Floats], Floats], shape: tuple[int, int], rows: Span, columns: Span
) -> Floats:
    """Evaluate what hardly bends at every 32nd pixel, and bilinearly between.

    Args:
        field: Takes rows and columns of positions and returns values (values, ...).
        shape: Of the grid, from whose corner pixels are counted.
        rows: First row, and the one after the last.
        columns: Likewise.

    Returns:
        Values (values, rows, columns) at the centres of pixels, the same for each pixel whatever
        the span.
    """
    nodes, below, share = zip(
        *(_nodes(span, length) for span, length in zip((rows, columns), shape, strict=True)),
        strict=True,
    )
    known = field(*np.meshgrid(*nodes, indexing="ij"))
    down, right = share[0][:, None], share[1]
    known = known[:, below[0]] * (1 - down) + known[:, below[0] + 1] * down
    found: Floats = known[..., below[1]] * (1 - right) + known[..., below[1] + 1] * right
    return found


def _nodes(span: Span, length: int) -> tuple[Floats, NDArray[np.intp], Floats]:
    index = np.arange(*span)
    first = span[0] // NODE_PX
    count = (span[1] - 1) // NODE_PX - first + 2
    nodes = np.minimum((first + np.arange(count)) * NODE_PX, length - 1) + 0.5
    below = index // NODE_PX - first
    share = (index + 0.5 - nodes[below]) / np.maximum(nodes[below + 1] - nodes[below], 1)
    return nodes, below, share


def metric(grid: Grid, rows: Floats, columns: Floats) -> Floats:
    """Measure what a step to the next row and to the next column is on the ground.

    Args:
        grid: A grid in any CRS.
        rows: Positions.
        columns: Positions.

    Returns:
        In square metres the step down by itself, the two by each other, and the step right by
        itself (3, ...), NaN where the grid is nowhere on Earth.
    """
    one, _, down = GEOD.inv(
        *_lonlat(grid, rows - 0.5, columns), *_lonlat(grid, rows + 0.5, columns)
    )
    other, _, right = GEOD.inv(
        *_lonlat(grid, rows, columns - 0.5), *_lonlat(grid, rows, columns + 0.5)
    )
    mixed = down * right * np.cos(np.radians(one - other))
    return np.stack([down * down, mixed, right * right])


def frame(grid: Grid, rows: Floats, columns: Floats) -> Floats:
    """Say where a step to the next column and one to the next row lead on the ground.

    Args:
        grid: A grid in any CRS.
        rows: Positions.
        columns: Positions.

    Returns:
        Metres east and true north of a step right, and of a step down (4, ...), NaN where the grid
        is nowhere on Earth.
    """
    found = []
    for down, right in ((0.0, 0.5), (0.5, 0.0)):
        start = _lonlat(grid, rows - down, columns - right)
        azimuth, _, length = GEOD.inv(*start, *_lonlat(grid, rows + down, columns + right))
        found += [length * np.sin(np.radians(azimuth)), length * np.cos(np.radians(azimuth))]
    return np.stack(found)


def _lonlat(grid: Grid, rows: Floats, columns: Floats) -> Floats:
    x, y = grid.to_map(rows, columns)
    found = np.stack(transform_points(x, y, grid.crs, LONLAT))
    return np.where(np.isfinite(found).all(axis=0), found, np.nan)


def slope(heights: Floats, steps: Floats) -> Floats:
    """Return the slope in degrees after Horn (1981), on a grid in any CRS.

    Args:
        heights: Heights in metres (rows, columns).
        steps: What `metric` returns for each of them.
    """
    down, right = (ndimage.sobel(heights, axis=axis, mode="nearest") / 8 for axis in (0, 1))
    own, mixed, other = steps
    squared = down * down * other - 2 * down * right * mixed + right * right * own
    slopes: Floats = np.degrees(np.arctan(np.sqrt((squared / (own * other - mixed**2)).clip(0))))
    return slopes
