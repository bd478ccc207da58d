"""What a probability map says of each outline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.outlines.outlines import Outlines
from glacierx.outlines.spans import Edges
from glacierx.scene.geodesy import transform_geometries
from glacierx.scene.grid import row_bands
from glacierx.scene.prediction import NODATA as UNKNOWN
from glacierx.scene.prediction import STEP, Prediction, summed

BAND_ROWS = 256

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
    class_m2: NDArray[np.float64]

    @classmethod
    def of(cls, count: int, classes: int) -> "_Sums":
        return cls(
            np.zeros(count, np.int64),
            np.zeros(count),
            np.zeros(count, np.int64),
            np.zeros(count, bool),
            np.zeros(count, bool),
            np.zeros(count, bool),
            np.zeros((classes, count)),
        )


@dataclass(frozen=True)
class Zones:
    """What a map says of outlines.

    Attributes:
        columns: mean_probability, touches_edge, touches_nodata, invalid_share and cut_by_aoi; None
            where only an area of interest was mapped and is not known.
        shares: For each class of glacier, where there are several, the share of the ground in each
            outline where it is the likeliest of them, the first of equal ones; NaN where an outline
            holds the centre of no pixel that is known.
    """

    columns: Mapping[str, NDArray[Any]]
    shares: Mapping[str, NDArray[np.float64]]


def zonal_columns(outlines: Outlines, prediction: Prediction) -> Zones:
    """Measure each outline on the probability map that it was traced from.

    Args:
        outlines: Polygons that do not overlap, in the map's CRS or another.
        prediction: The map, read band by band.
    """
    grid = prediction.grid
    shapes = transform_geometries(outlines.geometry, outlines.crs, grid.crs)
    ice = prediction.classes.ice
    sums = _Sums.of(len(shapes), len(ice) if len(ice) > 1 else 0)
    parts, shape_of = shapely.get_parts(shapes, return_index=True)
    rings, part_of = shapely.get_rings(parts, return_index=True)
    owner = shape_of[part_of]
    edges = Edges.of(rings, owner, grid)
    inner = np.flatnonzero(part_of[1:] == part_of[:-1]) + 1
    holes = Edges.of(rings[inner], owner[inner], grid)
    for rows in row_bands(grid.rows, BAND_ROWS):
        here = edges.between(*rows)
        if len(here.owner):
            ends = here.column + here.lean * (here.bottom - here.top)
            columns = (
                max(0, int(min(here.column.min(), ends.min())) - 1),
                min(grid.columns, int(max(here.column.max(), ends.max())) + 2),
            )
            if columns[0] < columns[1]:
                _add_band(sums, prediction, (rows, columns), (here, holes))
    whole = sums.class_m2.sum(axis=0)
    shares = np.divide(
        sums.class_m2, whole, out=np.full(sums.class_m2.shape, np.nan), where=whole > 0
    )
    return Zones(_columns(sums, prediction), dict(zip(ice, shares, strict=False)))


def _add_band(
    sums: _Sums,
    prediction: Prediction,
    place: tuple[tuple[int, int], tuple[int, int]],
    edges: tuple[Edges, Edges],
) -> None:
    grid, ((first, last), (left, right)) = prediction.grid, place
    width = right - left
    outer, holes = edges
    spans = outer.spans(*place)
    pixel, owner = spans.pixels(width)
    # One row more on each side tells what the pixels of the first and last row touch.
    above, below = min(1, first), min(1, grid.rows - last)
    tall = Window(left, first - above, width, last - first + above + below)
    parts = prediction.read_classes(tall)
    steps = summed(parts)
    inside = prediction.inside(tall)
    core = slice(above, above + last - first)
    unknown = steps == UNKNOWN
    count = len(sums.pixels)
    if not inside.all():
        sums.at_aoi[owner[_touches(~inside)[core].ravel()[pixel]]] = True
    if unknown.any():
        sums.at_unknown[owner[_touches(unknown & inside)[core].ravel()[pixel]]] = True
        hole, hole_owner = holes.between(first, last).spans(*place).pixels(width)
        empty = (unknown & inside)[core].ravel()
        empty[pixel] = False
        sums.unknown_in_holes += np.bincount(hole_owner[empty[hole]], minlength=count)
        known = ~unknown[core].ravel()[pixel]
        pixel, owner = pixel[known], owner[known]
    sums.pixels += np.bincount(owner, minlength=count)
    sums.steps += np.bincount(owner, steps[core].ravel()[pixel], minlength=count)
    if len(sums.class_m2):
        _add_classes(sums, np.stack(parts)[:, core], pixel, owner, grid.row_areas_m2(first, last))
    row, begin, end = spans.row + first, spans.begin + left, spans.end + left
    at_frame = (row == 0) | (row == grid.rows - 1) | (begin == 0) | (end == grid.columns)
    sums.at_edge[spans.owner[at_frame]] = True


def _add_classes(
    sums: _Sums,
    steps: NDArray[np.uint8],
    pixel: Ints,
    owner: Ints,
    row_m2: NDArray[np.float64],
) -> None:
    """Add the ground of the pixels of outlines to that of the likeliest class of each."""
    classes, rows, width = steps.shape
    kind = steps.argmax(axis=0).ravel()[pixel]
    count = len(sums.pixels)
    ground = np.broadcast_to(row_m2, rows)[pixel // width]
    found = np.bincount(kind * count + owner, ground, minlength=classes * count)
    sums.class_m2 += found.reshape(classes, count)


def _touches(mask: Mask) -> Mask:
    """Return True for pixels that share a side with one of a mask."""
    found = np.zeros_like(mask)
    found[1:] |= mask[:-1]
    found[:-1] |= mask[1:]
    found[:, 1:] |= mask[:, :-1]
    found[:, :-1] |= mask[:, 1:]
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
