"""A real place: a DEM and an inventory on the grid of a scene."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window
from scipy import ndimage

from glacierx.errors import GridError, OptionError
from glacierx.outlines.divides import REFERENCE
from glacierx.outlines.reference import DATE_COLUMNS, ID_COLUMNS, NAME_COLUMNS, text_column
from glacierx.scene.geodesy import LONLAT, metric_crs, transform_geometries, transform_points
from glacierx.scene.grid import Grid
from glacierx.scene.icemask import OutlineMask
from glacierx.scene.icewindow import MaskChoice
from glacierx.scene.raster import PathLike
from glacierx.scene.terrain import Dem, slope_aspect
from glacierx.scene.vector import VectorLayer, polygons_of
from glacierx.simulate.landscape import fractal
from glacierx.simulate.light import blurred
from glacierx.simulate.relief import Relief
from glacierx.simulate.weather import Weather

FEWEST_PX = 64
SURVEY_PX = 512
ENOUGH_ICE, ENOUGH_GROUND, GOOD = 0.1, 0.2, 0.98
COLUMNS = ID_COLUMNS, NAME_COLUMNS, DATE_COLUMNS
# Sine of the angle by which a right angle may be off, and the share of turns that must be one.
STRAIGHT, MOSTLY = 0.05, 0.9
FEWEST_CORNERS, WIDEST_PIXELS_M = 30, 250.0
FEWEST_STAIRS_PX = 1.5
TRIES = 50
POLE_FACING_M = 220.0


@dataclass(frozen=True)
class Place:
    """Terrain and glaciers of a real place.

    Attributes:
        grid: The grid of the scene.
        heights: Heights in metres; where they are not known, the nearest that are.
        valid: Where they are known.
        glacier: Label of each glacier, 0 off the ice.
        ids: Id, name and date of each label, from 1, as the inventory gives them.
        dem_gsd_m: GSD of the DEM.
    """

    grid: Grid
    heights: NDArray[np.float32]
    valid: NDArray[np.bool_]
    glacier: NDArray[np.int64]
    ids: Mapping[str, NDArray[np.object_]]
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

    Outlines that follow the edges of pixels larger than ours are smoothed by about those pixels:
    no glacier ends in stairs.

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
        OptionError: The DEM has too few pixels of that GSD.
    """
    with Dem(dem) as file, OutlineMask(outlines, MaskChoice()) as mask:
        whole = _whole_grid(file, gsd_m)
        grid = whole.crop(_choose_window(whole, size, file, mask, random))
        heights, valid = _heights(file, grid)
        stairs_px = stairs_m(mask.layer, grid.crs) / gsd_m
        glacier = np.where(valid, without_stairs(_labels(mask, grid, file), stairs_px), 0)
        if not glacier.any():
            raise _no_ice(file, mask)
        ids = {
            name: text_column(mask.layer, columns, mask.rows)
            for name, columns in zip(REFERENCE, COLUMNS, strict=True)
        }
        return Place(grid, heights, valid, glacier.astype(np.int64), ids, file.gsd_m)


def _labels(mask: OutlineMask, grid: Grid, dem: Dem) -> NDArray[np.int64]:
    try:
        mask.place(grid)
    except GridError as error:
        raise _no_ice(dem, mask) from error
    label = mask.read(grid.window).label
    return np.zeros(grid.shape, np.int64) if label is None else label


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
    left, bottom, right, top = place.bounds
    rows, columns = (int(side / gsd_m + 1e-6) for side in (top - bottom, right - left))
    grid = Grid(crs, Affine(gsd_m, 0, left, 0, -gsd_m, top), (rows, columns))
    if min(grid.shape) < FEWEST_PX:
        raise OptionError(
            f"{dem.name} has room for {grid.rows} x {grid.columns} pixels of {gsd_m:g} m; a scene "
            f"needs {FEWEST_PX} x {FEWEST_PX}. Give a larger DEM or a smaller --gsd."
        )
    return grid


def _heights(dem: Dem, grid: Grid) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    raster = dem.read(grid)
    heights, valid = raster.values[0], raster.valid
    if not valid.any():
        return heights, valid
    if not valid.all():
        nearest = ndimage.distance_transform_edt(
            ~valid, return_distances=False, return_indices=True
        )
        heights = heights[tuple(nearest)]
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
    cosine, length = (np.concatenate([np.zeros(0), *parts]) for parts in (turns, lengths))
    straight = (np.abs(cosine) < STRAIGHT) | (cosine > 1 - STRAIGHT**2)
    if straight.sum() < max(FEWEST_CORNERS, MOSTLY * len(cosine)):
        return 0.0
    side = float(np.median(length))
    return side if side < WIDEST_PIXELS_M else 0.0


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
    ice = (_labels(mask, survey, dem) > 0) & known
    places = np.argwhere(ice) * factor
    if not len(places):
        raise _no_ice(dem, mask)
    best, best_score = whole.window, -1.0
    for _ in range(TRIES):
        # Somewhere around ice.
        row, column = places[random.integers(len(places))]
        top = int(np.clip(row - random.integers(rows), 0, whole.rows - rows))
        left = int(np.clip(column - random.integers(columns), 0, whole.columns - columns))
        part = (
            slice(top // factor, (top + rows) // factor + 1),
            slice(left // factor, (left + columns) // factor + 1),
        )
        share, seen = float(ice[part].mean()), float(known[part].mean())
        score = min(share / ENOUGH_ICE, 1) * min((1 - share) / ENOUGH_GROUND, 1) * seen**4
        if score > best_score:
            best, best_score = Window(left, top, columns, rows), score
        if score > GOOD:
            break
    return best


def relief_of(place: Place, weather: Weather, random: np.random.Generator) -> Relief:
    """Lay an equilibrium line over a place: lower where slopes face the pole."""
    ice = place.glacier > 0
    gsd_m = place.grid.gsd_m
    slope, aspect = slope_aspect(blurred(place.heights, 60 / gsd_m), gsd_m)
    shade = np.cos(np.radians(aspect)) * np.sin(np.radians(slope))
    lower = POLE_FACING_M if not place.southern else -POLE_FACING_M
    ela = 50 * fractal(ice.shape, 1.8, random) - lower * shade
    ela += np.quantile((place.heights - ela)[ice], weather.snow.ela_quantile)
    return Relief(
        place.heights, place.glacier, gsd_m, ela.astype(np.float32), 2.5 * place.dem_gsd_m
    )
