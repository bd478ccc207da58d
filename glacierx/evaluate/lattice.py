"""Heights on one lattice of cells, so that the same ice has the same cells in every inventory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage

from glacierx.scene.geodesy import LONLAT, M_PER_DEGREE
from glacierx.scene.grid import Grid
from glacierx.scene.terrain import Dem

# Half a cell of the DEM, but not so fine that it is work for nothing nor so coarse that it shows.
FINEST_M, COARSEST_M = 10.0, 30.0
MOST_CELLS = 25_000_000
ROOM = 1


@dataclass(frozen=True)
class Cells:
    """The cells of the lattice around one outline.

    Attributes:
        grid: Where they lie.
        ice: True for those whose centre is within the outline (rows, columns).
        heights: Heights in metres.
        known: True for those of the ice whose height is known.
    """

    grid: Grid
    ice: NDArray[np.bool_]
    heights: NDArray[np.float32]
    known: NDArray[np.bool_]

    def nearest(self, polygons: Sequence[Any]) -> NDArray[np.int64]:
        """Return for each cell which of several polygons holds it, or else is nearest."""
        burnt = _burn(self.grid, [(shape, at + 1) for at, shape in enumerate(polygons)])
        if not burnt.any():
            return np.zeros(self.grid.shape, np.int64)
        where = ndimage.distance_transform_edt(
            burnt == 0, return_distances=False, return_indices=True
        )
        owner: NDArray[np.int64] = burnt[tuple(where)].astype(np.int64) - 1
        return owner


class Lattice:
    """Cells of equal size in longitude and latitude, about square, over a region.

    Args:
        dem: Heights.
        outlines: All outlines that will be asked for, in longitude and latitude.
    """

    def __init__(self, dem: Dem, outlines: NDArray[np.object_]) -> None:
        self._dem = dem
        boxes = shapely.bounds(outlines) if len(outlines) else np.zeros((1, 4))
        middle = math.cos(math.radians(float(boxes[:, [1, 3]].mean())))
        self._stretch = max(middle, 0.01)
        largest = float(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).max())
        fewest = math.sqrt(largest * self._stretch * M_PER_DEGREE**2 / MOST_CELLS)
        side_m = max(min(max(dem.gsd_m / 2, FINEST_M), COARSEST_M), fewest)
        self._height = side_m / M_PER_DEGREE
        self._width = self._height / self._stretch

    def cells(self, outline: Any) -> Cells:
        """Read the cells of an outline; one smaller than a cell has those that it touches."""
        west, south, east, north = outline.bounds
        left, right = math.floor(west / self._width) - ROOM, math.ceil(east / self._width) + ROOM
        bottom = math.floor(south / self._height) - ROOM
        top = math.ceil(north / self._height) + ROOM
        corner = Affine(self._width, 0, left * self._width, 0, -self._height, top * self._height)
        grid = Grid(LONLAT, corner, (top - bottom, right - left))
        ice = _burn(grid, [(outline, 1)]) > 0
        if not ice.any():
            ice = _burn(grid, [(outline, 1)], all_touched=True) > 0
        raster = self._dem.read(grid)
        return Cells(grid, ice, raster.values[0], ice & raster.valid)


def _burn(
    grid: Grid, shapes: list[tuple[Any, int]], *, all_touched: bool = False
) -> NDArray[np.int32]:
    box = shapely.box(*grid.bounds)
    near = [(shape, value) for shape, value in shapes if shape.intersects(box)]
    if not near:
        return np.zeros(grid.shape, np.int32)
    return np.asarray(
        rasterio.features.rasterize(
            near,
            out_shape=grid.shape,
            transform=grid.transform,
            dtype="int32",
            all_touched=all_touched,
        )
    )
