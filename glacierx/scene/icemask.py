"""Where a raster or a vector layer says that there is ice, read by window."""

from pathlib import Path

import numpy as np
import rasterio.features
import shapely
from fiona.errors import FionaError
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from glacierx.errors import GridError, OptionError, OutlineError, SceneError
from glacierx.scene.geodesy import is_near, part_near, transform_geometries
from glacierx.scene.grid import Grid
from glacierx.scene.icewindow import IceMask, IceWindow, MaskChoice
from glacierx.scene.masks import ROOM_M
from glacierx.scene.raster import PathLike, base_name, is_remote
from glacierx.scene.rastermask import RasterMask
from glacierx.scene.trust import open_features, open_pixels
from glacierx.scene.vector import has_layer, polygon_rows, polygons_of, read_layer

VECTORS = (".gpkg", ".shp", ".geojson", ".json", ".fgb", ".kml", ".gml", ".gdb", ".sqlite")


class OutlineMask(IceMask):
    """Polygons of a vector layer, burnt where they hold the centre of a pixel.

    Attributes:
        layer: The layer as it stands in the file.
        rows: For each label, from 1, the row of the layer that it is.
    """

    kind = "outlines"
    own_grid = None

    def __init__(self, path: PathLike, choice: MaskChoice) -> None:
        super().__init__(path)
        layer = choice.layer
        if choice.shared and layer is not None and not has_layer(path, layer):
            layer = None
        self.layer = read_layer(path, layer, prefer=("glaciers",))
        self._usable = polygon_rows(self.layer, path)
        self.rows = np.zeros(0, np.int64)
        self._shapes: NDArray[np.object_] = np.zeros(0, dtype=object)
        self._areas: NDArray[np.float64] = np.zeros(0)
        self._tree = shapely.STRtree([])

    def place(self, grid: Grid, *, align: bool = False) -> None:
        """Put the outlines on a grid; see `IceMask.place`."""
        self._grid = grid
        source, crs = self.layer.geometry, self.layer.crs
        near = self._usable[is_near(source[self._usable], crs, grid.footprint, grid.crs, 0)]
        around = part_near(polygons_of(source[near]), crs, grid.footprint, grid.crs, ROOM_M)
        shapes = np.asarray(transform_geometries(around, crs, grid.crs), dtype=object)
        inside = shapely.intersects(shapes, grid.footprint) & ~shapely.is_empty(shapes)
        if len(self._usable) and not inside.any():
            raise GridError(
                f"No outline of {self.name} lies within the grid that is scored "
                f"({grid.describe()}). Give outlines of this area."
            )
        self._shapes, self.rows = shapes[inside], near[inside]
        self._areas = shapely.area(self._shapes)
        self._tree = shapely.STRtree(self._shapes)

    def read(self, window: Window) -> IceWindow:
        """Read a window of the grid in use; see `IceMask.read`."""
        grid = self.grid.crop(window)
        burnt = np.zeros(grid.shape, np.int32)
        near = self._tree.query(grid.footprint)
        if len(near):
            # The smaller of two overlapping glaciers is burnt last.
            order = near[np.lexsort((near, -self._areas[near]))]
            # Only what is here is handed over: an outline can have a million vertices elsewhere.
            left, bottom, right, top = _with_room(grid)
            here = shapely.clip_by_rect(self._shapes[order], left, bottom, right, top)
            rasterio.features.rasterize(
                [
                    (shape, int(at) + 1)
                    for shape, at in zip(here, order, strict=True)
                    if not shape.is_empty
                ]
                or [(grid.footprint, 0)],
                out=burnt,
                transform=grid.transform,
            )
        return IceWindow(burnt > 0, np.ones(grid.shape, bool), burnt.astype(np.int64))


def open_ice_mask(path: PathLike, choice: MaskChoice = MaskChoice()) -> IceMask:
    """Open a mask, a map of probabilities or a layer of outlines.

    Args:
        path: A raster or vector file that GDAL reads.
        choice: What of it is meant.

    Raises:
        SceneError: It is neither, or has several bands.
        GridError: It lies nowhere on Earth.
        OutlineError: It is a vector file without polygons, or with several layers.
    """
    if not str(path) or (_is_folder(path) and Path(path).suffix.lower() != ".gdb"):
        raise SceneError(
            f"{str(path) or 'An empty name'!r} is no file. Give a raster or a vector file."
        )
    if Path(base_name(path)).suffix.lower() in VECTORS:
        kind: type[RasterMask] | type[OutlineMask] = OutlineMask
        if _is_raster_package(path):
            kind = RasterMask
    else:
        kind = OutlineMask if _is_vector_only(path) else RasterMask
    return kind(path, choice)


def _is_folder(path: PathLike) -> bool:
    try:
        return Path(path).is_dir()
    except OSError:  # The name is too long, or it lies where nobody may look.
        return False


def check_effect(choice: MaskChoice, mask: IceMask, prefix: str = "--") -> None:
    """Refuse what is said of a file of the other kind.

    Args:
        choice: What was asked for.
        mask: The file it was asked of.
        prefix: What its flags begin with.

    Raises:
        OptionError: A layer of a raster, or a band or numbers of outlines.
    """
    outlines = isinstance(mask, OutlineMask)
    for name, of_outlines in (("layer", True), ("band", False), ("positive", False)):
        if getattr(choice, name) is not None and outlines != of_outlines:
            flag = prefix + name
            kind = "vector files" if of_outlines else "rasters"
            raise OptionError(
                f"{flag} has no effect on {mask.name}: {flag} is for {kind}. Leave it out."
            )


def _is_raster_package(path: PathLike) -> bool:
    """Tell whether a file with a vector's ending holds pixels, as a GeoPackage can."""
    try:
        with open_pixels(str(path), remote=is_remote(path)) as file:
            return bool(file.count)
    except SceneError:
        raise
    except (RasterioError, OSError, ValueError):
        return False


def _is_vector_only(path: PathLike) -> bool:
    if _is_raster_package(path):
        return False
    try:
        if not is_remote(path) and not Path(path).exists():
            return False
        with open_features(str(path), remote=is_remote(path)) as file:
            return str(file.schema["geometry"]) != "None"
    except OutlineError:
        raise
    except (FionaError, OSError, ValueError):
        return False


def _with_room(grid: Grid) -> tuple[float, float, float, float]:
    """Return the bounds of a grid and a pixel more on each side."""
    x, y = grid.to_map(
        [-1, -1, grid.rows + 1, grid.rows + 1], [-1, grid.columns + 1, grid.columns + 1, -1]
    )
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())
