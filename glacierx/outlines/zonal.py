"""What a probability map says of each outline."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.scene.geodesy import transform_geometries
from glacierx.scene.grid import Grid
from glacierx.scene.prediction import NODATA as UNKNOWN
from glacierx.scene.prediction import STEP, Prediction

BAND_ROWS = 512

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass
class _Sums:
    """Counts of pixels for each outline, added up band by band."""

    pixels: Ints
    steps: NDArray[np.float64]
    unknown_in_holes: Ints
    at_edge: Mask
    at_unknown: Mask
    at_aoi: Mask

    @classmethod
    def of(cls, count: int) -> "_Sums":
        return cls(
            np.zeros(count, np.int64),
            np.zeros(count),
            np.zeros(count, np.int64),
            *(np.zeros(count, bool) for _ in range(3)),
        )


def zonal_columns(outlines: Outlines, prediction: Prediction) -> dict[str, NDArray[Any]]:
    """Measure each outline on the probability map that it was traced from.

    Args:
        outlines: Polygons that do not overlap, in the map's CRS or another.
        prediction: The map, read band by band.

    Returns:
        mean_probability, touches_edge, touches_nodata, invalid_share and cut_by_aoi; None where
        only an area of interest was mapped and is not known.
    """
    grid = prediction.grid
    shapes = transform_geometries(outlines.geometry, outlines.crs, grid.crs)
    sums = _Sums.of(len(shapes))
    holes, hole_of = _holes(shapes)
    top, bottom, left, right = _extents(shapes, grid)
    for first in range(0, grid.rows, BAND_ROWS):
        last = min(first + BAND_ROWS, grid.rows)
        here = np.flatnonzero((top < last) & (bottom > first))
        if len(here):
            columns = (
                max(0, int(left[here].min()) - 1),
                min(grid.columns, int(right[here].max()) + 2),
            )
            window = Window(columns[0], first, columns[1] - columns[0], last - first)
            _add_band(sums, prediction, window, (shapes, here), (holes, hole_of))
    return _columns(sums, prediction)


def _holes(shapes: NDArray[np.object_]) -> tuple[NDArray[np.object_], Ints]:
    parts, shape_of = shapely.get_parts(shapes, return_index=True)
    holes, owner = [], []
    for part, shape in zip(parts, shape_of.tolist(), strict=True):
        for ring in part.interiors:
            holes.append(shapely.Polygon(ring))
            owner.append(shape)
    return as_geometries(holes), np.array(owner, np.int64)


def _extents(shapes: NDArray[np.object_], grid: Grid) -> tuple[Any, Any, Any, Any]:
    x, y = shapely.get_coordinates(shapes).T
    row, column = grid.to_pixels(x, y)
    begin = np.r_[0, np.cumsum(shapely.get_num_coordinates(shapes))[:-1]]
    low, high = np.minimum.reduceat, np.maximum.reduceat
    if not len(shapes):
        return (np.zeros(0),) * 4
    return low(row, begin), high(row, begin), low(column, begin), high(column, begin)


def _add_band(
    sums: _Sums,
    prediction: Prediction,
    window: Window,
    outlines: tuple[NDArray[np.object_], Ints],
    holes: tuple[NDArray[np.object_], Ints],
) -> None:
    grid = prediction.grid
    shapes, here = outlines
    zone = _burn(shapes[here], here, grid.crop(window))
    # One row more on each side tells what the pixels of the first and last row touch.
    above, below = min(1, window.row_off), min(1, grid.rows - window.row_off - window.height)
    tall = Window(
        window.col_off, window.row_off - above, window.width, window.height + above + below
    )
    steps = prediction.read(tall)
    inside = prediction.inside(tall)
    core = slice(above, above + window.height)
    ice = zone >= 0
    known = steps[core] != UNKNOWN
    count = len(sums.pixels)
    sums.pixels += np.bincount(zone[ice & known], minlength=count)
    sums.steps += np.bincount(zone[ice & known], steps[core][ice & known], minlength=count)
    for flag, beside in (
        (sums.at_unknown, _touches((steps == UNKNOWN) & inside)[core]),
        (sums.at_aoi, _touches(~inside)[core]),
        (sums.at_edge, _frame(grid, window)),
    ):
        flag[np.unique(zone[ice & beside])] = True
    polygons, owner = holes
    near = np.flatnonzero(np.isin(owner, here))
    if len(near):
        hole = _burn(polygons[near], owner[near], grid.crop(window))
        unknown = (hole >= 0) & ~known & inside[core] & ~ice
        sums.unknown_in_holes += np.bincount(hole[unknown], minlength=count)


def _burn(shapes: NDArray[np.object_], values: Ints, grid: Grid) -> Ints:
    burnt = rasterio.features.rasterize(
        list(zip(shapes, (values + 1).tolist(), strict=True)),
        out_shape=grid.shape,
        transform=grid.transform,
        dtype="int32",
    )
    return np.asarray(burnt, np.int64) - 1


def _touches(mask: Mask) -> Mask:
    """Return True for pixels that share a side with one of a mask."""
    found = np.zeros_like(mask)
    found[1:] |= mask[:-1]
    found[:-1] |= mask[1:]
    found[:, 1:] |= mask[:, :-1]
    found[:, :-1] |= mask[:, 1:]
    return found


def _frame(grid: Grid, window: Window) -> Mask:
    rows = np.arange(window.row_off, window.row_off + window.height)
    columns = np.arange(window.col_off, window.col_off + window.width)
    found: Mask = np.logical_or.outer(
        (rows == 0) | (rows == grid.rows - 1), (columns == 0) | (columns == grid.columns - 1)
    )
    return found


def _columns(sums: _Sums, prediction: Prediction) -> dict[str, NDArray[Any]]:
    pixels = np.maximum(sums.pixels, 1)
    covered = np.maximum(sums.pixels + sums.unknown_in_holes, 1)
    nodata, aoi = sums.at_unknown.astype(object), sums.at_aoi.astype(object)
    nodata[:], aoi[:] = sums.at_unknown.astype(int), sums.at_aoi.astype(int)
    if prediction.limited and prediction.aoi is None:
        # The edge of the area and that of the data look the same in the map.
        nodata[sums.at_unknown], aoi[sums.at_unknown] = None, None
    mean = np.where(sums.pixels > 0, np.round(sums.steps / pixels * STEP, 4), np.nan)
    return {
        "mean_probability": mean,
        "touches_edge": sums.at_edge.astype(np.int64),
        "touches_nodata": nodata,
        "invalid_share": np.round(sums.unknown_in_holes / covered, 4),
        "cut_by_aoi": aoi,
    }
