"""A real place: a DEM and an inventory on the grid of a scene."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window
from scipy import ndimage

from glacierx.errors import GridError
from glacierx.scene.geodesy import LONLAT, metric_crs, transform_geometries, transform_points
from glacierx.scene.grid import Grid
from glacierx.scene.icemask import OutlineMask
from glacierx.scene.icewindow import MaskChoice
from glacierx.scene.raster import PathLike
from glacierx.scene.terrain import Dem, metric_grid, slope_aspect
from glacierx.scene.vector import VectorLayer, polygons_of
from glacierx.simulate.landscape import fractal
from glacierx.simulate.light import blurred
from glacierx.simulate.relief import Relief
from glacierx.simulate.weather import Weather

SURVEY_PX = 512
# Sine of the angle by which a right angle may be off, and the share of turns that must be one.
STRAIGHT, MOSTLY = 0.05, 0.9
FEWEST_STAIRS_PX = 1.5
TRIES = 200
POLE_FACING_M = 220.0


@dataclass(frozen=True)
class Place:
    """Terrain and glaciers of a real place.

    Attributes:
        grid: The grid of the scene.
        heights: Heights in metres, filled where unknown.
        valid: Where they are known.
        glacier: Label of each glacier, 0 off the ice.
        rows: For each label, from 1, the row of the inventory that it is.
        dem_gsd_m: GSD of the DEM.
    """

    grid: Grid
    heights: NDArray[np.float32]
    valid: NDArray[np.bool_]
    glacier: NDArray[np.int64]
    dem_gsd_m: float

    @property
    def southern(self) -> bool:
        """True south of the equator."""
        x, y = self.grid.to_map(self.grid.rows / 2, self.grid.columns / 2)
        return bool(transform_points(x, y, self.grid.crs, LONLAT)[1] < 0)


def read_place(
    dem: PathLike, outlines: PathLike, size: int, gsd_m: float, random: np.random.Generator
) -> Place:
    """Read heights and glaciers of a place.

    Args:
        dem: Heights; they give the CRS (the UTM zone where theirs is not one of metres) and the
            frame.
        outlines: An inventory, in any CRS.
        size: Most rows and columns; of a larger DEM a window that holds ice and other ground is
            taken.
        gsd_m: GSD of the scene.
        random: Source of randomness for the window.

    Raises:
        GridError: No glacier lies on the DEM.
    """
    with Dem(dem) as file:
        whole = _whole_grid(file, gsd_m)
        mask = OutlineMask(outlines, MaskChoice())
        grid = whole.crop(_choose_window(whole, size, file, mask, random))
        heights, valid = _heights(file, grid)
        mask.place(grid)
        stairs_px = stairs_m(mask.layer, grid.crs) / gsd_m
        glacier = without_stairs(mask.read(grid.window).label, stairs_px)
        glacier = np.where(valid, glacier, 0)
        if not glacier.any():
            raise _no_ice(file, mask)
        return Place(grid, heights, valid, glacier.astype(np.int64), file.gsd_m)


def _no_ice(dem: Dem, mask: OutlineMask) -> GridError:
    return GridError(
        f"No outline of {mask.name} lies on the heights of {dem.name}. "
        "Give a DEM and outlines of the same area."
    )


def _whole_grid(dem: Dem, gsd_m: float) -> Grid:
    """Lay the largest grid of a GSD over a DEM."""
    crs, place = dem.grid.crs, dem.grid.footprint
    if metric_crs(crs, place.bounds) != crs or not crs.is_projected:
        x, y = place.centroid.x, place.centroid.y
        lon, lat = (float(v) for v in transform_points(x, y, crs, LONLAT))
        zone = int((lon + 180) % 360 // 6) + 1
        crs = CRS.from_epsg((32600 if lat >= 0 else 32700) + zone)
        place = transform_geometries(place.segmentize(place.length / 80), dem.grid.crs, crs)
    return metric_grid(crs, place.bounds, gsd_m)


def _heights(dem: Dem, grid: Grid) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    raster = dem.read(grid)
    heights, valid = raster.values[0], raster.valid
    if not valid.any():
        return heights, valid
    heights = np.where(valid, heights, heights[valid].mean()).astype(np.float32)
    # Cubic convolution leaves kinks at the DEM's own cells, which low light would show.
    kinks = 0.5 * dem.gsd_m / grid.gsd_m
    return (blurred(heights, kinks) if kinks > 0.5 else heights), valid


def stairs_m(layer: VectorLayer, crs: CRS) -> float:
    """Return the side of the pixels whose edges outlines follow, 0 if they follow none.

    Such outlines turn by right angles or not at all.
    """
    shapes = transform_geometries(polygons_of(layer.geometry), layer.crs, crs)
    rings = shapely.get_rings(shapely.get_parts(shapes))
    turns, lengths = [], []
    for ring in rings:
        sides = np.diff(shapely.get_coordinates(ring), axis=0)
        length = np.hypot(*sides.T)
        following, longer = np.roll(sides, -1, axis=0), np.roll(length, -1)
        cosine = (sides * following).sum(axis=1) / np.maximum(length * longer, 1e-9)
        turns.append(cosine)
        lengths.append(length)
    if not turns:
        return 0.0
    cosine = np.concatenate(turns)
    straight = (np.abs(cosine) < STRAIGHT) | (cosine > 1 - STRAIGHT**2)
    if straight.mean() < MOSTLY:
        return 0.0
    return float(np.percentile(np.concatenate(lengths), 10))


def without_stairs(label: NDArray[np.int64], stairs_px: float) -> NDArray[np.int64]:
    """Smooth glaciers whose outlines follow pixels of so many of ours; coarse pixels are kept."""
    if stairs_px < FEWEST_STAIRS_PX:
        return label
    sigma = 0.6 * stairs_px
    most = 1 - ndimage.gaussian_filter((label > 0).astype(np.float32), sigma)
    out = np.zeros_like(label)
    room = int(4 * sigma) + 1
    for index, found in enumerate(ndimage.find_objects(label), 1):
        if found is None:
            continue
        window = tuple(slice(max(0, part.start - room), part.stop + room) for part in found)
        share = ndimage.gaussian_filter((label[window] == index).astype(np.float32), sigma)
        more = share > most[window]
        out[window][more], most[window][more] = index, share[more]
    return out


def _choose_window(
    whole: Grid, size: int, dem: Dem, mask: OutlineMask, random: np.random.Generator
) -> Window:
    """Choose where heights are known and there is both ice and other ground."""
    rows, columns = min(size, whole.rows), min(size, whole.columns)
    if (rows, columns) == whole.shape:
        return whole.window
    factor = max(1, round(max(whole.shape) / SURVEY_PX))
    survey = whole.stretched(factor, (-(-whole.rows // factor), -(-whole.columns // factor)))
    known = dem.read(survey).valid
    try:
        mask.place(survey)
    except GridError as error:
        raise _no_ice(dem, mask) from error
    ice = mask.read(survey.window).ice & known
    best, best_score = whole.window, -1.0
    for _ in range(TRIES):
        top = int(random.integers(whole.rows - rows + 1))
        left = int(random.integers(whole.columns - columns + 1))
        part = (
            slice(top // factor, max(1, (top + rows) // factor)),
            slice(left // factor, max(1, (left + columns) // factor)),
        )
        share, seen = float(ice[part].mean()), float(known[part].mean())
        score = min(share, 0.1) / 0.1 * min(1 - share, 0.2) / 0.2 * seen**4
        if score > best_score:
            best, best_score = Window(left, top, columns, rows), score
        if score > 0.98:
            break
    return best


def relief_of(place: Place, weather: Weather, random: np.random.Generator) -> Relief:
    """Lay an equilibrium line over a place: lower where slopes face the pole."""
    ice = place.glacier > 0
    line = float(np.quantile(place.heights[ice], weather.snow.ela_quantile))
    gsd_m = place.grid.gsd_m
    slope, aspect = slope_aspect(blurred(place.heights, 60 / gsd_m), gsd_m)
    shade = np.cos(np.radians(aspect)) * np.sin(np.radians(slope))
    pole = -POLE_FACING_M if not place.southern else POLE_FACING_M
    ela = line + pole * shade + 50 * fractal(ice.shape, 1.8, random)
    return Relief(
        place.heights, place.glacier, gsd_m, ela.astype(np.float32), 2.5 * place.dem_gsd_m
    )
