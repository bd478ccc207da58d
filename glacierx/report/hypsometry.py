"""Ice area by elevation."""

import math
from dataclasses import dataclass

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.outlines.outlines import Outlines
from glacierx.report.results import Results
from glacierx.scene.geodesy import metric_crs, transform_geometries
from glacierx.scene.grid import row_bands
from glacierx.scene.terrain import Dem, metric_grid

BAND_M = 50
MOST_CELLS = 12_000_000
STRIP_ROWS = 512
LEAST_CELL_M = 10.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Hypsometry:
    """Ice area in bands of elevation.

    Attributes:
        lowest_m: Lower end of the first band.
        areas_km2: Area of each band, from the lowest up.
        unknown_km2: Area whose elevation is not known.
        source: What it was found from: the name of a DEM, or empty where it was guessed from the
            lowest, median and highest elevation of each glacier.
    """

    lowest_m: float
    areas_km2: Floats
    unknown_km2: float
    source: str

    @property
    def lows_m(self) -> Floats:
        """Lower end of each band."""
        lows: Floats = self.lowest_m + BAND_M * np.arange(len(self.areas_km2), dtype=np.float64)
        return lows


def hypsometry_of(results: Results, dem: Dem | None) -> Hypsometry | None:
    """Add up ice by elevation: of a DEM, else roughly of the glaciers' columns, if they have them.

    Returns:
        None where no elevation is known.
    """
    if dem is not None and len(results):
        return measured(results.glaciers, dem)
    return guessed(results)


def measured(glaciers: Outlines, dem: Dem) -> Hypsometry | None:
    """Add up the cells of a DEM within glaciers, each with its area on the ellipsoid."""
    bounds = shapely.total_bounds(glaciers.geometry).tolist()
    crs = metric_crs(glaciers.crs, bounds)
    shapes = transform_geometries(glaciers.geometry, glaciers.crs, crs)
    left, bottom, right, top = shapely.total_bounds(shapes).tolist()
    least = math.sqrt((right - left) * (top - bottom) / MOST_CELLS)
    grid = metric_grid(crs, (left, bottom, right, top), max(LEAST_CELL_M, dem.gsd_m, least))
    tree = shapely.STRtree(shapes)
    sums, unknown = np.zeros(20000 // BAND_M), 0.0
    for first, last in row_bands(grid.rows, STRIP_ROWS):
        strip = grid.crop(Window(0, first, grid.columns, last - first))
        here = tree.query(strip.footprint)
        if not len(here):
            continue
        ice = rasterio.features.rasterize(
            shapes[np.sort(here)].tolist(),
            out_shape=strip.shape,
            transform=strip.transform,
            dtype="uint8",
        ).astype(bool)
        if not ice.any():
            continue
        heights = dem.read(strip)
        area = np.broadcast_to(strip.row_areas_m2(0, strip.rows)[:, None] / 1e6, strip.shape)
        known = ice & heights.valid
        band = np.floor(heights.values[0][known] / BAND_M).astype(np.int64) + 5000 // BAND_M
        sums += np.bincount(band, area[known], minlength=len(sums))
        unknown += float(area[ice & ~heights.valid].sum())
    return _trimmed(sums, unknown, dem.name)


def guessed(results: Results) -> Hypsometry | None:
    """Spread half of each glacier evenly below its median elevation, and half above."""
    columns = [results.numbers(name) for name in ("zmin_m", "zmed_m", "zmax_m")]
    low, middle, high = columns
    if low is None or middle is None or high is None:
        return None
    sums, unknown = np.zeros(20000 // BAND_M), 0.0
    edges = np.arange(len(sums) + 1) * BAND_M - 5000.0
    for bottom, median, top, area in zip(low, middle, high, results.areas, strict=True):
        if not (bottom <= median <= top):
            unknown += float(area)
            continue
        for begin, end in ((bottom, median), (median, top)):
            end = max(end, begin + 1e-3)
            share = (np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin)).clip(0)
            sums += area / 2 * share / (end - begin)
    return _trimmed(sums, unknown, "")


def _trimmed(sums: Floats, unknown: float, source: str) -> Hypsometry | None:
    found = np.flatnonzero(sums > 0)
    if not len(found):
        return None
    first, last = int(found[0]), int(found[-1]) + 1
    return Hypsometry(first * BAND_M - 5000.0, sums[first:last], unknown, source)
