"""A DEM onto a Grid; slope and aspect."""

import re
import warnings
from functools import cached_property
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.fill import fillnodata
from rasterio.windows import Window
from scipy import ndimage

from glacierx.errors import GlacierxWarning, GridError, SceneError
from glacierx.scene.bands import role_in_text
from glacierx.scene.geodesy import LONLAT, transform_geometries, transform_points
from glacierx.scene.grid import Grid, row_bands
from glacierx.scene.handle import Handle
from glacierx.scene.provenance import fingerprint
from glacierx.scene.raster import (
    PathLike,
    Raster,
    base_name,
    dataset_grid,
    open_dataset,
    overlap_share,
    raster_parts,
    read_mask,
    read_window,
    resample,
    source_window,
)

# No land lies outside; what does is an untagged void or another unit.
LOWEST_M, HIGHEST_M = -500.0, 9000.0
LARGEST_VOID_KM2 = 0.25
STRIP_ROWS = 256


class Dem(Handle):
    """Heights in metres, read onto any grid.

    Attributes:
        name: The file's name.
        path: The file.
        band: The band with the heights, counted from 1.
        grid: The DEM's own grid.
    """

    def __init__(self, path: PathLike, band: int | None = None) -> None:
        self.path = str(path)
        self.name = base_name(path)
        self._file = open_dataset(path, "DEM")
        self.band = self._choose_band(band)
        self.grid = dataset_grid(self._file, "DEM")
        if np.dtype(self._file.dtypes[self.band - 1]).kind not in "iuf":
            raise SceneError(f"{self.name} holds complex numbers. Give heights in metres.")
        unit = self._file.units[self.band - 1] or ""
        if re.search(r"\b(ft|foot|feet|inch(es)?|[kcdm]m)\b", unit.lower()):
            raise SceneError(
                f"The heights of {self.name} are in {unit}. Convert them to metres "
                "(gdal_calc.py --calc 'A*0.3048' for feet)."
            )
        self._told: set[str] = set()

    def _choose_band(self, band: int | None) -> int:
        count = self._file.count
        if band is not None:
            if not 1 <= band <= count:
                raise SceneError(f"{self.name} has {count} bands; --dem-band is {band}.")
            return band
        if count == 1:
            return 1
        named = [
            index
            for index, text in enumerate(self._file.descriptions, 1)
            if text and role_in_text(text) == "elevation"
        ]
        if len(named) != 1:
            raise SceneError(
                f"{self.name} has {count} bands and does not say which holds the heights. "
                "Give it with --dem-band NUMBER."
            )
        return named[0]

    @cached_property
    def parts(self) -> list[str]:
        """The files that it is made of: its own first, then those that a VRT shows."""
        return raster_parts(self.path)

    def describe(self, *, always_hash: bool = False) -> dict[str, Any]:
        """Return what a run record says of the DEM."""
        own, *parts = (fingerprint(path, always_hash=always_hash) for path in self.parts)
        return {**own, "band": self.band, **({"parts": parts} if parts else {})}

    @property
    def source(self) -> str:
        """The DEM's name for the column dem_source."""
        return self.name.rsplit(".", 1)[0]

    @property
    def gsd_m(self) -> float:
        """Ground sampling distance in metres."""
        return self.grid.gsd_m

    def warn_once(self, text: str, kind: str = "") -> None:
        """Warn, unless that or another text of the same kind was told of this DEM before."""
        if (kind or text) not in self._told:
            self._told.add(kind or text)
            warnings.warn(text, GlacierxWarning, stacklevel=3)

    def check_overlap(self, grid: Grid, name: str) -> None:
        """Refuse a grid that the DEM does not touch; warn where it covers only a part.

        Raises:
            GridError: The DEM lies elsewhere.
        """
        share = overlap_share(self.grid, grid)
        if share == 0:
            raise GridError(
                f"The DEM {self.name} ({_place(self.grid)}) does not overlap {name} "
                f"({_place(grid)}). Give a DEM of the same area."
            )
        if share < 0.995:
            warnings.warn(
                f"The DEM {self.name} covers {share:.0%} of {name}: ice outside it is not divided.",
                GlacierxWarning,
                stacklevel=2,
            )

    def read(self, grid: Grid) -> Raster:
        """Read heights onto a grid; small voids are filled.

        A DEM finer than the grid is averaged, a coarser one interpolated cubically. Voids that are
        enclosed by heights and at most 0.25 km2 large are interpolated, others are invalid.

        Returns:
            Heights (1, rows, columns) in metres, float32.
        """
        # The longitudes of a DEM may count from 0 to 360 degrees.
        turns = (0, -360, 360) if self.grid.crs.is_geographic else (0,)
        placed = (self.grid.moved_east(turn) for turn in turns)
        windows = ((own, source_window(own, grid)) for own in placed)
        turned, window = next((pair for pair in windows if pair[1] is not None), (self.grid, None))
        if window is None:
            nothing = np.zeros((1, *grid.shape), np.float32)
            return Raster(nothing, np.zeros(grid.shape, bool), grid)
        # Averaging to about half the spacing of the grid bounds the memory that a fine DEM takes.
        step = max(1, int(grid.gsd_m / self.gsd_m / 2))
        heights, own = self._averaged(turned, window, step)
        finer = self.gsd_m < 0.99 * grid.gsd_m
        moved = resample(
            heights[None], own, grid, Resampling.average if finer else Resampling.cubic
        )[0]
        heights, valid = fill_small_voids(
            moved, np.isfinite(moved), LARGEST_VOID_KM2 * 1e6 / grid.gsd_m**2
        )
        return Raster(heights[None], valid, grid)

    def read_cells(self, window: Window, step: int) -> NDArray[np.float32]:
        """Read the DEM's own pixels, averaged over blocks of *step* x *step*; NaN in voids."""
        return self._averaged(self.grid, window, step)[0]

    def _averaged(self, grid: Grid, window: Window, step: int) -> tuple[NDArray[np.float32], Grid]:
        """Read heights averaged over blocks of *step* x *step* of the DEM's pixels, and their grid.

        Voids are left out first: an average over an untagged one would look like a height.
        """
        top, left, height, width = (
            int(part) for part in (window.row_off, window.col_off, window.height, window.width)
        )
        rows, columns = -(-height // step), -(-width // step)
        own = grid.crop(Window(left, top, columns * step, rows * step))
        if step == 1:
            return self._clean(window), own
        out = np.full((rows, columns), np.nan, np.float32)
        starts = np.arange(0, width, step)
        for first, last in row_bands(rows, max(1, STRIP_ROWS // step)):
            strip = Window(left, top + first * step, width, min(height, last * step) - first * step)
            heights = self._clean(strip)
            known = np.isfinite(heights)
            lines = np.arange(0, int(strip.height), step)
            count, total = (
                np.add.reduceat(np.add.reduceat(part, lines, axis=0), starts, axis=1)
                for part in (known.astype(np.float64), np.where(known, heights, 0.0))
            )
            np.divide(total, count, out=out[first:last], where=count > 0, casting="same_kind")
        return out, own.coarsened((rows, columns))

    def _clean(self, window: Window) -> NDArray[np.float32]:
        """Read the DEM's own pixels in metres, NaN in voids, tagged or not."""
        raw = read_window(self._file, [self.band], window)[0]
        known = read_mask(self._file, self.band, window)
        heights = raw.astype(np.float32) * np.float32(self._scale) + np.float32(self._offset)
        absurd = known & ~((heights >= LOWEST_M) & (heights <= HIGHEST_M))
        absurd &= np.isfinite(heights)
        if absurd.any():
            self.warn_once(
                f"{self.name} holds heights such as {heights[absurd][0]:.0f} m without calling "
                "them nodata; they are taken as voids.",
                kind="values",
            )
        return np.where(known & ~absurd, heights, np.float32(np.nan))

    @property
    def _scale(self) -> float:
        return float(self._file.scales[self.band - 1])

    @property
    def _offset(self) -> float:
        return float(self._file.offsets[self.band - 1])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _place(grid: Grid) -> str:
    box = transform_geometries(grid.footprint, grid.crs, LONLAT).bounds
    return f"lon {box[0]:.3f} to {box[2]:.3f}, lat {box[1]:.3f} to {box[3]:.3f}"


def fill_small_voids(
    heights: NDArray[np.float32], valid: NDArray[np.bool_], largest: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Interpolate voids that heights enclose.

    Args:
        heights: Heights (rows, columns).
        valid: True where they are good.
        largest: Largest void to fill, in cells.

    Returns:
        Heights, 0 where still unknown, and where they are good.
    """
    heights = np.where(valid, heights, np.float32(0))
    if valid.all() or not valid.any():
        return heights, valid
    label, count = ndimage.label(~valid)
    size = np.bincount(label.ravel(), minlength=count + 1)
    at_frame = np.unique(np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]]))
    small = size <= largest
    small[at_frame] = False
    small[0] = False
    holes = small[label]
    if not holes.any():
        return heights, valid
    reach = float(np.sqrt(largest)) + 2
    filled = fillnodata(heights.copy(), mask=valid.astype(np.uint8), max_search_distance=reach)
    return np.where(holes, filled, heights).astype(np.float32), valid | holes


def metric_grid(crs: CRS, bounds: tuple[float, float, float, float], spacing_m: float) -> Grid:
    """Lay a north-up grid of square cells over map bounds, on multiples of the spacing.

    Args:
        crs: A CRS in metres.
        bounds: (left, bottom, right, top).
        spacing_m: Side of a cell.
    """
    left, bottom = (np.floor(value / spacing_m) * spacing_m for value in bounds[:2])
    columns = max(1, int(np.ceil((bounds[2] - left) / spacing_m)))
    rows = max(1, int(np.ceil((bounds[3] - bottom) / spacing_m)))
    top = bottom + rows * spacing_m
    return Grid(crs, Affine(spacing_m, 0, left, 0, -spacing_m, top), (rows, columns))


def slope_aspect(heights: Any, spacing_m: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return slope and aspect of a north-up grid after Horn (1981).

    Args:
        heights: Heights in metres (rows, columns).
        spacing_m: Side of a cell.

    Returns:
        Slope in degrees, and the azimuth that the slope faces in degrees clockwise from grid north.
    """
    east, north = _rises(heights, spacing_m)
    aspect = np.degrees(np.arctan2(-east, -north)) % 360
    return _steepness(east, north), aspect


def slope_deg(heights: Any, spacing_m: float) -> NDArray[np.float64]:
    """Return the slope of `slope_aspect` alone, in half the time."""
    return _steepness(*_rises(heights, spacing_m))


def _rises(heights: Any, spacing_m: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    z = np.asarray(heights, np.float64)
    east = ndimage.sobel(z, axis=1, mode="nearest") / (8 * spacing_m)
    north = -ndimage.sobel(z, axis=0, mode="nearest") / (8 * spacing_m)
    return east, north


def _steepness(east: NDArray[np.float64], north: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.degrees(np.arctan(np.hypot(east, north))))


def grid_north(grid: Grid) -> float:
    """Return the azimuth of the grid's up direction at its middle, in degrees from true north.

    It is small in a UTM zone and can be anything on a polar grid.
    """
    x, y = grid.to_map(grid.rows / 2, grid.columns / 2)
    lon, lat = transform_points(x, y, grid.crs, LONLAT)
    away = 1e-4 if lat < 89 else -1e-4
    x2, y2 = transform_points(lon, lat + away, LONLAT, grid.crs)
    turn = np.degrees(np.arctan2(float(x2 - x), float(y2 - y)))
    return float(-(turn if away > 0 else turn + 180))
