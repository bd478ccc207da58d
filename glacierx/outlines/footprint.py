"""Where a scene shows the ground: its frame without the pixels that are not valid."""

import math

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window
from skimage.morphology import convex_hull_image

from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.scene.grid import row_bands
from glacierx.scene.prediction import NODATA, Prediction

CELLS = 1024
ROWS_AT_ONCE = 1024


def trace_footprint(prediction: Prediction) -> Outlines:
    """Outline the valid ground of a probability map, within its area of interest.

    Pixels are taken together to at most 1024 cells a side; a cell with a pixel that is not valid is
    left out, so that the footprint never says more than the scene knows.

    Returns:
        Polygons, none where nothing is valid, with the column invalid_share: the share of invalid
        pixels in the convex hull of the valid ones. A collar of nodata around a tilted scene lies
        outside that hull, clouds lie within.
    """
    grid = prediction.grid
    side = max(1, math.ceil(max(grid.shape) / CELLS))
    starts = np.arange(0, grid.columns, side)
    counted: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []
    for first, last in row_bands(grid.rows, side * max(1, ROWS_AT_ONCE // side)):
        window = Window(0, first, grid.columns, last - first)
        known = prediction.read(window) != NODATA
        wanted = prediction.inside(window)
        rows = np.arange(0, last - first, side)
        planes = (known & wanted, ~known & wanted, np.ones_like(known))
        one, other, every = (
            np.add.reduceat(np.add.reduceat(plane, rows, 0, np.int64), starts, 1)
            for plane in planes
        )
        counted.append((one, other, every))
    valid, invalid, pixels = (np.concatenate(part) for part in zip(*counted, strict=True))
    whole = valid == pixels
    shapes = [grid.footprint]
    if not whole.all():
        cells = grid.stretched(side, whole.shape)
        traced = rasterio.features.shapes(
            whole.astype(np.uint8), mask=whole, transform=cells.transform
        )
        # The last cells may reach beyond the frame.
        cut = shapely.intersection(
            [shapely.geometry.shape(one) for one, _ in traced], grid.footprint
        )
        shapes = [part for part in shapely.get_parts(cut) if part.area > 0]
    share = 0.0
    if invalid.any() and valid.any():
        hull = convex_hull_image(valid > 0)
        share = float(invalid[hull].sum() / (invalid[hull].sum() + valid[hull].sum()))
    return Outlines(
        as_geometries(shapes), grid.crs, {"invalid_share": np.full(len(shapes), round(share, 6))}
    )
