"""Probability map -> glacier complexes."""

from collections.abc import Callable, Iterator

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.options import OutlineOptions
from glacierx.outlines.outlines import (
    Outlines,
    as_geometries,
    connected_groups,
    polygons_of_rings,
)
from glacierx.outlines.rings import Corners, Ints, find_corners, follow
from glacierx.scene.geodesy import areas_km2
from glacierx.scene.grid import Grid, row_bands
from glacierx.scene.prediction import NODATA as UNKNOWN
from glacierx.scene.prediction import Prediction, first_step_above

STRIP_ROWS = 512

Progress = Callable[[int, int, str], None]


def trace_outlines(
    prediction: Prediction,
    options: OutlineOptions = OutlineOptions(),
    *,
    progress: Progress | None = None,
) -> Outlines:
    """Trace the outlines of glacier complexes along pixel edges.

    The map is read in strips of rows; no outline is cut where they meet. Pixels that touch at a
    corner only are not joined, so that every ring is simple; such outlines share a complex_id.
    Nunataks are holes.

    Args:
        prediction: The probability map.
        options: Classes, threshold, minimum area and minimum nunatak.
        progress: Called as work goes on.

    Returns:
        Valid polygons in the map's CRS with the column complex_id, counted from 1 from top to
        bottom; none where there is no ice.
    """
    prediction = prediction.of(options.classes)
    threshold = prediction.threshold if options.threshold is None else options.threshold
    corners = find_corners(_ice(prediction, first_step_above(threshold), progress))
    polygons, crossings = _polygons(corners, prediction.grid, options.min_hole_km2)
    areas = areas_km2(polygons, prediction.grid.crs)
    kept = areas >= options.min_area_km2
    group = _groups(len(polygons), crossings, kept)[kept]
    _, complex_id = np.unique(group, return_inverse=True)
    return Outlines(
        polygons[kept], prediction.grid.crs, {"complex_id": complex_id.astype(np.int64) + 1}
    )


def _ice(
    prediction: Prediction, cut: int, progress: Progress | None
) -> Iterator[NDArray[np.bool_]]:
    rows, columns = prediction.grid.shape
    for first, last in row_bands(rows, STRIP_ROWS):
        window = Window(0, first, columns, last - first)
        steps = prediction.read(window)
        yield (steps >= cut) & (steps != UNKNOWN) & prediction.inside(window)
        if progress:
            progress(last, rows, "rows traced")


def _polygons(
    corners: Corners, grid: Grid, min_hole_km2: float
) -> tuple[NDArray[np.object_], Ints]:
    """Build polygons in map coordinates, and the pairs of them that touch at a corner."""
    rings = follow(corners)
    if not rings:
        return as_geometries([]), np.zeros((0, 2), np.int64)
    flat, ring_of = np.concatenate(rings), np.repeat(np.arange(len(rings)), [*map(len, rings)])
    pixels = np.column_stack([corners.column[flat], corners.row[flat]]).astype(np.float64)
    area = _signed_areas(pixels, ring_of, len(rings))
    shell = np.flatnonzero(area > 0)
    hole = np.flatnonzero(area < 0)
    closed = as_geometries(shapely.linearrings(pixels, indices=ring_of))
    owner = np.full(len(rings), -1)
    owner[shell] = np.arange(len(shell))
    owner[hole] = _owners(closed, shell, hole, area)
    x, y = grid.to_map(pixels[:, 1], pixels[:, 0])
    mapped = as_geometries(shapely.linearrings(np.column_stack([x, y]), indices=ring_of))
    filled = hole[:0]
    if min_hole_km2:
        small = areas_km2(as_geometries(shapely.polygons(mapped[hole])), grid.crs) < min_hole_km2
        filled = hole[small]
    open_holes = np.setdiff1d(hole, filled)
    # The shell of each polygon, then its holes.
    order = np.r_[shell, open_holes]
    order = order[np.argsort(owner[order], kind="stable")]
    polygons = polygons_of_rings(mapped[order], owner[order])
    swallowed = _inside(closed, filled, shell)
    touching = _crossings(corners, flat, owner[ring_of])
    keep = ~swallowed
    number = np.cumsum(keep) - 1
    touching = touching[keep[touching].all(axis=1)]
    return shapely.orient_polygons(polygons[keep]), number[touching]


def _signed_areas(xy: NDArray[np.float64], ring_of: Ints, count: int) -> NDArray[np.float64]:
    """Return areas in pixels, positive for rings with ice inside."""
    last = np.r_[ring_of[1:] != ring_of[:-1], True]
    start = np.flatnonzero(np.r_[True, ring_of[1:] != ring_of[:-1]])
    following = np.r_[xy[1:], xy[:1]]
    following[last] = xy[start]
    cross = xy[:, 0] * following[:, 1] - xy[:, 1] * following[:, 0]
    return -np.bincount(ring_of, cross, minlength=count) / 2


def _owners(rings: NDArray[np.object_], shell: Ints, hole: Ints, area: NDArray[np.float64]) -> Ints:
    """Find for each hole the smallest shell around the pixel of ice above its first corner."""
    if not len(hole):
        return np.zeros(0, np.int64)
    first = shapely.get_coordinates(shapely.get_point(rings[hole], 0))
    xy, ring = shapely.get_coordinates(rings[hole], return_index=True)
    # The first of the top row, then of the left: the pixel above it is ice.
    order = np.lexsort((xy[:, 0], xy[:, 1], ring))
    first = xy[order][np.searchsorted(ring[order], np.arange(len(hole)))]
    above = as_geometries(shapely.points(first[:, 0] + 0.5, first[:, 1] - 0.5))
    around, inside = shapely.STRtree(above).query(
        shapely.polygons(rings[shell]), predicate="contains"
    )
    order = np.lexsort((area[shell[around]], inside))
    _, at = np.unique(inside[order], return_index=True)
    return np.asarray(around[order][at], np.int64)


def _inside(rings: NDArray[np.object_], filled: Ints, shell: Ints) -> NDArray[np.bool_]:
    """Tell which shells lie in a hole that was filled, and so are part of it."""
    found = np.zeros(len(shell), bool)
    if len(filled):
        tree = shapely.STRtree(as_geometries(shapely.polygons(rings[shell])))
        found[tree.query(shapely.polygons(rings[filled]), predicate="contains")[1]] = True
    return found


def _crossings(corners: Corners, flat: Ints, polygon: Ints) -> Ints:
    """Return pairs of polygons that share a corner."""
    of_corner = np.full(len(corners.row), -1)
    of_corner[flat] = polygon
    pairs = of_corner[np.flatnonzero(corners.crossing)].reshape(-1, 2)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def _groups(count: int, pairs: Ints, kept: NDArray[np.bool_]) -> Ints:
    """Number groups of kept polygons that touch at corners."""
    pairs = pairs[kept[pairs].all(axis=1)]
    return connected_groups(count, pairs[:, 0], pairs[:, 1])
