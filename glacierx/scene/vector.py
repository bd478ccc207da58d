"""Polygons and their columns from any vector file."""

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely
from fiona.errors import FionaError
from numpy.typing import NDArray
from rasterio.crs import CRS

from glacierx.errors import OutlineError
from glacierx.scene.geodesy import LONLAT, transform_points
from glacierx.scene.grid import crs_name
from glacierx.scene.raster import PathLike, base_name, gdal_reason, is_remote
from glacierx.scene.trust import layers_in, open_features

# QGIS keeps styles in a table beside the layers, and so do we.
STYLES = "layer_styles"


@dataclass(frozen=True)
class VectorLayer:
    """A layer as it stands in a file.

    Attributes:
        geometry: Shapely geometries without a third dimension; None where the file has none.
        columns: Values of each column, in the order of the geometries.
        crs: Their CRS.
        name: Name of the layer.
        tags: Metadata of the layer.
    """

    geometry: NDArray[np.object_]
    columns: dict[str, list[Any]]
    crs: CRS
    name: str
    tags: dict[str, str]


def read_layer(path: PathLike, layer: str | None = None, prefer: Sequence[str] = ()) -> VectorLayer:
    """Read one layer of a vector file.

    Args:
        path: Any vector file that GDAL reads.
        layer: The layer's name. Without it the first of *prefer* that exists is read, else the
            only layer with geometries.
        prefer: Names to look for.

    Raises:
        OutlineError: The file or layer is missing or unreadable, has no CRS, or several layers
            could be meant.
    """
    name = base_name(path)
    with _explained(name):
        if not is_remote(path) and not Path(path).exists():
            raise OutlineError(f"The vector file {path} does not exist. Check the path.")
        chosen = _choose_layer(path, layer, prefer)
        with open_features(str(path), chosen, remote=is_remote(path)) as source:
            if not source.crs_wkt:
                raise OutlineError(
                    f"{name} has no CRS, so its outlines lie nowhere on Earth. "
                    "Give it one (ogr2ogr -a_srs EPSG:...)."
                )
            features = list(source)
            columns = {
                key: [feature.properties[key] for feature in features]
                for key in source.schema["properties"]
            }
            crs, geometry = CRS.from_wkt(source.crs_wkt), _shapes(features)
            _check_place(name, geometry, crs)
            return VectorLayer(geometry, columns, crs, name=chosen, tags=dict(source.tags()))


def polygon_rows(source: VectorLayer, path: PathLike) -> NDArray[np.int64]:
    """Return the rows of a layer that are polygons.

    Raises:
        OutlineError: It holds other geometries, and no polygon.
    """
    shapes = source.geometry
    filled = np.flatnonzero(~(shapely.is_missing(shapes) | shapely.is_empty(shapes)))
    rows: NDArray[np.int64] = filled[shapely.get_dimensions(shapes[filled]) == 2]
    if len(filled) and not len(rows):
        raise OutlineError(
            f"The layer {source.name} of {base_name(path)} holds no polygons. Give one that does."
        )
    return rows


def has_layer(path: PathLike, layer: str) -> bool:
    """Tell whether a vector file has a layer of that name.

    Raises:
        OutlineError: It cannot be read.
    """
    with _explained(base_name(path)):
        return layer in layers_in(str(path), remote=is_remote(path))


def _check_place(name: str, geometry: NDArray[np.object_], crs: CRS) -> None:
    """Refuse coordinates that are no numbers or lie nowhere on Earth."""
    xy = shapely.get_coordinates(geometry[~shapely.is_empty(geometry)])
    if not np.isfinite(xy).all():
        raise OutlineError(f"{name} holds coordinates that are not numbers. Mend or remove them.")
    if crs.is_geographic:
        placed = np.abs(xy) <= (540, 90 + 1e-6)
    else:
        try:
            placed = np.isfinite(transform_points(xy[:, 0], xy[:, 1], crs, LONLAT))
        except pyproj.exceptions.ProjError as error:
            raise OutlineError(
                f"The CRS of {name} ({crs_name(crs)}) has no place on Earth. "
                "Give it the right one (ogr2ogr -a_srs EPSG:...)."
            ) from error
    if not placed.all():
        raise OutlineError(
            f"{name} holds coordinates that its CRS ({crs_name(crs)}) does not have, so it is "
            "probably another. Give it the right one (ogr2ogr -a_srs EPSG:...)."
        )


@contextmanager
def _explained(name: str) -> Any:
    try:
        with warnings.catch_warnings(), _undecoded():
            # Fiona speaks of fields that it cannot type; the columns we need are plain.
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    except OutlineError:
        raise
    except json.JSONDecodeError as error:  # Fiona takes a column of mixed values for JSON.
        raise OutlineError(
            f"A column of {name} holds numbers and text together, which cannot be read. "
            f"Write it to a GeoPackage first (ogr2ogr one.gpkg {name})."
        ) from error
    except (FionaError, OSError, ValueError, shapely.errors.ShapelyError) as error:
        raise OutlineError(
            f"{name} cannot be read as a vector layer: {gdal_reason(error)}. "
            "Give a GeoPackage, GeoJSON or shapefile."
        ) from error


@contextmanager
def _undecoded() -> Iterator[None]:
    """Keep from the screen that GDAL's words, which hold bytes of the file, are no UTF-8.

    Fiona fails over them where nothing can be raised; what GDAL meant is raised all the same.
    """
    unraised, shown = sys.unraisablehook, sys.excepthook

    def tell(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, UnicodeDecodeError):
            unraised(unraisable)

    def show(kind: Any, error: BaseException, trace: Any) -> None:
        if not isinstance(error, UnicodeDecodeError):
            shown(kind, error, trace)

    sys.unraisablehook, sys.excepthook = tell, show
    try:
        yield
    finally:
        sys.unraisablehook, sys.excepthook = unraised, shown


def _choose_layer(path: PathLike, layer: str | None, prefer: Sequence[str]) -> str:
    name = base_name(path)
    found = layers_in(str(path), remote=is_remote(path))
    layers = [one for one in found if one != STYLES]
    listed = ", ".join(layers) or "none"
    if layer is not None:
        if layer not in layers:
            raise OutlineError(f"{name} has no layer {layer!r}. It has: {listed}.")
        return layer
    for wanted in prefer:
        if wanted in layers:
            return wanted
    if len(layers) > 1:
        layers = [str(one) for one in layers if _has_geometry(path, one)]
    if len(layers) != 1:
        raise OutlineError(
            f"{name} has {len(layers)} layers: {listed}. Give one with --layer where there is that "
            f"option, else write it into a file of its own (ogr2ogr one.gpkg {name} LAYER)."
        )
    return layers[0]


def _has_geometry(path: PathLike, layer: str) -> bool:
    with open_features(str(path), layer, remote=is_remote(path)) as source:
        return str(source.schema["geometry"]) != "None"


def _shapes(features: Sequence[Any]) -> NDArray[np.object_]:
    shapes = np.empty(len(features), dtype=object)
    for index, feature in enumerate(features):
        shapes[index] = shapely.geometry.shape(feature.geometry) if feature.geometry else None
    return np.asarray(shapely.force_2d(shapes), dtype=object)


def polygons_of(geometries: NDArray[np.object_]) -> NDArray[np.object_]:
    """Make geometries valid and keep only their polygons (Polygon, MultiPolygon or empty)."""
    fixed = shapely.make_valid(geometries)
    for index in np.flatnonzero(shapely.get_type_id(fixed) != shapely.GeometryType.POLYGON):
        parts = shapely.get_parts(shapely.get_parts(fixed[index]))
        fixed[index] = shapely.union_all(parts[shapely.get_dimensions(parts) == 2])
    return np.asarray(fixed, dtype=object)
