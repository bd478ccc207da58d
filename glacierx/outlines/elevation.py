"""What a DEM says of each outline."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from scipy import ndimage

from glacierx.outlines.outlines import Outlines
from glacierx.scene.geodesy import metric_crs, transform_geometries
from glacierx.scene.raster import Raster
from glacierx.scene.terrain import Dem, grid_north, metric_grid, slope_aspect

LEAST_SHARE = 0.5
FLAT_SECTOR = 9

Progress = Callable[[int, int, str], None]

NAMES = ("zmin_m", "zmax_m", "zmed_m", "zmean_m", "slope_deg", "aspect_deg", "dem_share")


def elevation_columns(
    outlines: Outlines, dem: Dem | None, progress: Progress | None = None
) -> dict[str, NDArray[Any]]:
    """Measure elevations, slope and aspect of each outline.

    As in RGI 7.0 the DEM is brought onto a local grid of 14 sqrt(area in km2) + 10 metres, at most
    100; the aspect is the circular mean of the cells'.

    Args:
        outlines: Polygons.
        dem: Heights; every column is empty without.
        progress: Called as work goes on.

    Returns:
        zmin_m, zmax_m, zmed_m, zmean_m, slope_deg, aspect_deg, aspect_sec, dem_source, and
        dem_share, the share of the outline whose heights are known. Where that is below a half
        the others are empty; a flat outline has no aspect and sector 9.
    """
    count = len(outlines)
    found = np.full((count, len(NAMES)), np.nan)
    if dem is not None:
        for index, polygon in enumerate(outlines.geometry):
            found[index] = _measure(polygon, outlines, dem)
            if progress:
                progress(index + 1, count, "elevations")
    columns: dict[str, NDArray[Any]] = {
        name: np.round(found[:, at], 3) for at, name in enumerate(NAMES)
    }
    measured = np.isfinite(columns["zmean_m"])
    source = np.full(count, None, dtype=object)
    if dem is not None:
        source[measured] = dem.source
    columns["dem_source"] = source
    sector = aspect_sector(columns["aspect_deg"]).astype(object)
    sector[~measured] = None
    columns["aspect_sec"] = sector
    return columns


def aspect_sector(aspect_deg: Any) -> NDArray[np.int64]:
    """Return RGI's sector of an aspect: 1 north, 2 north-east ... 8 north-west, 9 none."""
    aspect = np.asarray(aspect_deg, np.float64)
    known = np.isfinite(aspect)
    sector = np.floor((np.where(known, aspect, 0) + 22.5) / 45).astype(np.int64) % 8 + 1
    return np.where(known, sector, FLAT_SECTOR)


@dataclass(frozen=True)
class Surface:
    """The heights of one outline on a local grid.

    Attributes:
        raster: Heights of the grid around it.
        ice: True in its cells (rows, columns).
        shape: The outline in the CRS of the grid.
    """

    raster: Raster
    ice: NDArray[np.bool_]
    shape: Any

    @property
    def known(self) -> NDArray[np.bool_]:
        """True in those of its cells whose heights are known."""
        return np.asarray(self.ice & self.raster.valid)

    @property
    def share(self) -> float:
        """Share of its cells whose heights are known."""
        return float(self.known.sum() / max(1, self.ice.sum()))


def surface_of(polygon: Any, crs: CRS, dem: Dem) -> Surface:
    """Bring a DEM onto the local grid of one outline, as RGI 7.0 does."""
    local = metric_crs(crs, shapely.bounds(polygon).tolist())
    moved = transform_geometries(polygon, crs, local)
    spacing = min(100.0, 14 * np.sqrt(moved.area / 1e6) + 10)
    left, bottom, right, top = moved.bounds
    room = 2 * spacing
    grid = metric_grid(local, (left - room, bottom - room, right + room, top + room), spacing)
    raster = dem.read(grid)
    ice = np.zeros(grid.shape, bool)
    for all_touched in (False, True):
        if not ice.any():
            ice = rasterio.features.rasterize(
                [moved],
                out_shape=grid.shape,
                transform=grid.transform,
                dtype="uint8",
                all_touched=all_touched,
            ).astype(bool)
    return Surface(raster, ice, moved)


def _measure(polygon: Any, outlines: Outlines, dem: Dem) -> list[float]:
    surface = surface_of(polygon, outlines.crs, dem)
    raster, known, share = surface.raster, surface.known, surface.share
    grid = raster.grid
    if share < LEAST_SHARE:
        return [np.nan] * 6 + [share]
    z = raster.values[0][known].astype(np.float64)
    slope, aspect = slope_aspect(
        np.where(raster.valid, raster.values[0], z.mean()), grid.transform.a
    )
    # A slope beside a void would be that of the void's edge.
    around = known & ndimage.binary_erosion(raster.valid, np.ones((3, 3), bool), border_value=1)
    sloping = around if around.any() else known
    steep = sloping & (slope > 0)
    facing = np.nan
    if steep.any():
        angle = np.radians(aspect[steep] + grid_north(grid))
        facing = float(np.degrees(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean())) % 360)
    return [z.min(), z.max(), float(np.median(z)), z.mean(), slope[sloping].mean(), facing, share]
