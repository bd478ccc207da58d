"""How the area of each glacier spreads over elevations, and where it ends."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from glacierx.outlines.elevation import LEAST_SHARE, Surface, surface_of
from glacierx.outlines.outlines import Outlines
from glacierx.scene.geodesy import LONLAT, transform_points
from glacierx.scene.terrain import Dem

BAND_M = 50
THOUSAND = 1000

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Hypsometry:
    """Bands of elevation of several glaciers.

    Attributes:
        centres_m: Middle of each band of 50 m, from the lowest that holds ice to the highest.
        permille: Thousandths of each glacier's area (glaciers, bands), each row with the sum 1000;
            zero throughout where its heights are not known.
        known: True where they are.
        terminus: Longitude and latitude of the lowest point of each outline (glaciers, 2).
    """

    centres_m: Ints
    permille: Ints
    known: NDArray[np.bool_]
    terminus: Floats


def measure(glaciers: Outlines, dem: Dem) -> Hypsometry:
    """Measure the hypsometry of glaciers on the local grids of RGI 7.0.

    A glacier counts as known where half of its heights are; their bands stand for all of it.
    """
    bands: list[Ints] = []
    terminus = np.full((len(glaciers), 2), np.nan)
    for index, polygon in enumerate(glaciers.geometry):
        surface = surface_of(polygon, glaciers.crs, dem)
        heights = surface.raster.values[0][surface.known].astype(np.float64)
        enough = surface.share >= LEAST_SHARE and len(heights) > 0
        bands.append(np.floor(heights / BAND_M).astype(np.int64) if enough else np.zeros(0, int))
        if enough:
            terminus[index] = lowest_point(surface)
    known = np.array([len(band) > 0 for band in bands], bool)
    if not known.any():
        return Hypsometry(
            np.zeros(0, np.int64), np.zeros((len(bands), 0), np.int64), known, terminus
        )
    low = min(int(band.min()) for band in bands if len(band))
    high = max(int(band.max()) for band in bands if len(band))
    permille = [
        largest_remainder(np.bincount(band - low, minlength=high - low + 1))
        if len(band)
        else np.zeros(high - low + 1, np.int64)
        for band in bands
    ]
    centres = np.arange(low, high + 1) * BAND_M + BAND_M // 2
    return Hypsometry(centres, np.array(permille), known, terminus)


def largest_remainder(counts: Ints) -> Ints:
    """Return thousandths of a sum as whole numbers whose sum is 1000.

    Every share is rounded down; what is missing goes to the largest remainders, of equal ones to
    the first.
    """
    scaled = counts * THOUSAND
    down, left = np.divmod(scaled, counts.sum())
    order = np.argsort(-left, kind="stable")
    down[order[: THOUSAND - int(down.sum())]] += 1
    return np.asarray(down, np.int64)


def lowest_point(surface: Surface) -> tuple[float, float]:
    """Return longitude and latitude of the lowest point of an outline, in steps of half a cell."""
    grid = surface.raster.grid
    ring = shapely.segmentize(shapely.get_exterior_ring(surface.shape), grid.transform.a / 2)
    x, y = shapely.get_coordinates(ring).T
    row, column = (np.floor(part).astype(np.int64) for part in grid.to_pixels(x, y))
    heights = np.where(
        surface.raster.valid[row, column], surface.raster.values[0][row, column], np.inf
    )
    at = int(np.argmin(heights))
    if not np.isfinite(heights[at]):
        return np.nan, np.nan
    lon, lat = transform_points(x[at], y[at], grid.crs, LONLAT)
    return float(lon), float(lat)
