"""Read and write layers and the run record."""

import itertools
import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from sqlite3 import Error as SqlError
from typing import Any

import fiona
import numpy as np
import shapely
from fiona._err import CPLE_BaseError
from fiona.errors import FionaError
from numpy.typing import NDArray
from rasterio.crs import CRS

from glacierx.errors import GlacierxWarning, OutlineError, OutputError
from glacierx.outlines.attributes import (
    COMPLEXES,
    DIVIDES,
    FOOTPRINT,
    GLACIERS,
    Column,
    widened,
)
from glacierx.outlines.outlines import (
    Outlines,
    as_geometries,
    connected_groups,
    touching_pairs,
)
from glacierx.outlines.styles import describe
from glacierx.scene.geodesy import LONLAT, transform_geometries
from glacierx.scene.output import Files, cannot_write, check_output, check_suffix
from glacierx.scene.raster import PathLike, base_name
from glacierx.scene.staging import staged
from glacierx.scene.vector import VectorLayer, has_layer, polygons_of, read_layer

RECORD_TAG = "GLACIERX_RECORD"
SCHEMAS = {
    "glaciers": GLACIERS, "complexes": COMPLEXES, "divides": DIVIDES, "footprint": FOOTPRINT
}  # fmt: skip
SHAPES = {
    "glaciers": "Polygon", "complexes": "Polygon", "divides": "LineString", "footprint": "Polygon"
}  # fmt: skip
DRIVERS = {
    ".gpkg": "GPKG", ".shp": "ESRI Shapefile", ".geojson": "GeoJSON", ".fgb": "FlatGeobuf",
}  # fmt: skip
PARQUET = (".parquet", ".geoparquet")

# GDAL writes the time of day into a GeoPackage unless it is told another; with a fixed one the
# same run gives the same bytes.
FIXED_TIME = {"OGR_CURRENT_DATE": "2000-01-01T00:00:00.000Z"}
# The table of a shapefile holds a day, too.
FIXED_DAY = {"DBF_DATE_LAST_UPDATE": "2000-01-01"}


# A shapefile has room for ten letters of a name.
_LONGER = {column.short: column.name for column in (*COMPLEXES, *GLACIERS) if column.short}


def check_format(path: PathLike) -> str:
    """Return the driver for a file's ending.

    Raises:
        OutputError: The ending is none that outlines are written in.
    """
    if Path(path).suffix.lower() in PARQUET:
        raise OutputError(
            f"{path} would be GeoParquet, which the GDAL of fiona cannot write. Write a .gpkg, and "
            "turn it into one with geopandas (pip install geopandas pyarrow): "
            "read_file(...).to_parquet(...)."
        )
    return DRIVERS[check_suffix(path, tuple(DRIVERS), "outlines")]


def write_layers(
    path: PathLike,
    layers: Mapping[str, Outlines],
    record: Mapping[str, Any],
    *,
    overwrite: bool = False,
    inputs: Files = (),
) -> Path:
    """Write layers into one file, whole or not at all.

    Args:
        path: A ``.gpkg``, which holds every layer, their styles and the run record; or a ``.shp``,
            ``.fgb`` or ``.geojson``, which hold only the glaciers (or the only layer), the last in
            WGS 84.
        layers: Layers by name: glaciers, complexes, divides.
        record: The run record.
        overwrite: Replace an existing file.
        inputs: Files that must not be overwritten.

    Raises:
        OutputError: The file exists, or cannot be written.
    """
    driver = check_format(path)
    check_output(path, overwrite=overwrite, inputs=inputs)
    with staged(path, overwrite=overwrite) as part:
        save_layers(part, layers, record, driver)
    return Path(path)


def save_layers(
    part: Path, layers: Mapping[str, Outlines], record: Mapping[str, Any], driver: str
) -> None:
    """Write layers into a file that the caller has prepared; see `write_layers`."""
    chosen = dict(layers)
    if driver != "GPKG":
        name = "glaciers" if "glaciers" in layers else next(iter(layers))
        chosen = {name: layers[name]}
    text = json.dumps(record, sort_keys=True)
    try:
        with fiona.Env(**FIXED_TIME):
            for name, outlines in chosen.items():
                _write_layer(part, name, outlines, driver, text)
        if driver == "GPKG":
            describe(part, {name: _declared(name, one) for name, one in chosen.items()})
    except (FionaError, CPLE_BaseError, OSError, RuntimeError, ValueError, SqlError) as error:
        raise cannot_write(part, error) from error


def _declared(name: str, outlines: Outlines) -> list[Column]:
    schema = widened(SCHEMAS[name], outlines.columns)
    return [column for column in schema if column.name in outlines.columns]


def _write_layer(part: Path, name: str, outlines: Outlines, driver: str, record: str) -> None:
    columns = _declared(name, outlines)
    shapefile = driver == "ESRI Shapefile"
    names = [column.short or column.name if shapefile else column.name for column in columns]
    schema = {
        "geometry": SHAPES[name],
        "properties": dict(zip(names, [column.kind for column in columns], strict=True)),
    }
    crs, geometry = outlines.crs, outlines.geometry
    options: dict[str, str] = {}
    if driver == "GeoJSON":
        crs, geometry = LONLAT, transform_geometries(geometry, outlines.crs, LONLAT)
        options = {"RFC7946": "YES", "COORDINATE_PRECISION": "9"}
    if driver == "GPKG":
        options = {"layer": name}
    if shapefile:
        options = FIXED_DAY
    values = [plain_values(outlines[column.name], column.kind) for column in columns]
    records = features(geometry, names, values)
    with fiona.open(
        str(part), "w", driver=driver, schema=schema, crs_wkt=crs.to_wkt(), **options
    ) as file:
        if driver == "GPKG":
            file.update_tags({RECORD_TAG: record})
        file.writerecords(records)


def features(
    geometry: NDArray[np.object_], names: list[str], values: list[list[Any]]
) -> Iterator[dict[str, Any]]:
    """Describe rows as fiona writes them."""
    for shape, *row in zip(_mappings(geometry), *values, strict=True):
        properties = dict(zip(names, row, strict=True))
        yield {"type": "Feature", "geometry": shape, "properties": properties}


def _mappings(geometry: NDArray[np.object_]) -> Iterator[Any]:
    """Describe each geometry as `shapely.geometry.mapping` does."""
    polygons = shapely.get_type_id(geometry) == shapely.GeometryType.POLYGON
    if not polygons.all() or shapely.is_empty(geometry).any() or shapely.has_z(geometry).any():
        yield from map(shapely.geometry.mapping, geometry)
        return
    rings, polygon_of = shapely.get_rings(geometry, return_index=True)
    x, y = shapely.get_coordinates(rings).T.copy()
    ends = np.r_[0, np.cumsum(shapely.get_num_coordinates(rings))].tolist()
    first = np.searchsorted(polygon_of, np.arange(len(geometry) + 1)).tolist()
    for one, other in itertools.pairwise(first):
        parts = [slice(*part) for part in itertools.pairwise(ends[one : other + 1])]
        # Python's collector leaves tuples of numbers alone, but not lists of them.
        coordinates = [list(zip(x[k].tolist(), y[k].tolist(), strict=True)) for k in parts]
        yield {"type": "Polygon", "coordinates": coordinates}


def plain_values(column: NDArray[Any], kind: str) -> list[Any]:
    """Turn a column into values of a kind of `Column`, None where there is none."""
    convert = {"int": int, "float": float, "str": str}[kind]
    return [
        None
        if value is None or (isinstance(value, float) and not math.isfinite(value))
        else convert(value)
        for value in column.tolist()
    ]


def read_outlines(path: PathLike, layer: str | None = None) -> Outlines:
    """Read polygons and their columns from any vector file.

    Args:
        path: A GeoPackage, shapefile, GeoJSON or whatever else GDAL reads.
        layer: The layer; without it ``glaciers``, else the only one.

    Returns:
        One row for each polygon; several parts of one feature become several rows. Geometries are
        made valid.

    Raises:
        OutlineError: There is no such layer, or it holds no polygons.
    """
    return _outlines(path, read_layer(path, layer, prefer=("glaciers",)))


def read_layers(path: PathLike) -> tuple[dict[str, Outlines], dict[str, Any]]:
    """Read every layer of ours that a file has, and its run record.

    Returns:
        Layers by name, without columns that bear a name of ours and hold something else; and the
        run record, empty if there is none.
    """
    record: dict[str, Any] = {}
    layers: dict[str, Outlines] = {}
    for name, schema in SCHEMAS.items():
        if not has_layer(path, name):
            continue
        source = read_layer(path, name)
        record = record or _record(source)
        if SHAPES[name] == "Polygon":
            rows = _outlines(path, source)
        else:
            columns = {key: _column(values) for key, values in source.columns.items()}
            rows = Outlines(source.geometry, source.crs, columns)
        ours = {column.name: column for column in widened(schema, rows.columns)}
        kept = {
            key: values for key, values in rows.columns.items()
            if key in ours and _fits(values, ours[key])
        }  # fmt: skip
        layers[name] = Outlines(rows.geometry, rows.crs, kept)
    return layers, record


def read_complexes(path: PathLike, layer: str | None = None) -> tuple[Outlines, dict[str, Any]]:
    """Read glacier complexes, and the run record of the file if it has one.

    Without a column complex_id, outlines that touch are taken for one complex. Columns that bear a
    name of ours and hold something else are left out; of outlines that overlap a warning tells.
    """
    source = read_layer(path, layer, prefer=("complexes",))
    outlines = fitting(_outlines(path, source))
    a, b = touching_pairs(outlines.geometry)
    _warn_of_overlaps(base_name(path), outlines.geometry[a], outlines.geometry[b])
    if "complex_id" not in outlines.columns:
        number = connected_groups(len(outlines), a, b) + 1
        outlines = outlines.with_columns(complex_id=number)
    return outlines, _record(source)


def fitting(outlines: Outlines, schema: Sequence[Column] = (*COMPLEXES, *GLACIERS)) -> Outlines:
    """Leave out columns that bear a name of ours and hold something else.

    A column complex_id of any kind is turned into whole numbers.
    """
    ours = {column.name: column for column in widened(tuple(schema), outlines.columns)}
    columns = {
        name: values
        for name, values in outlines.columns.items()
        if name not in ours or name == "complex_id" or _fits(values, ours[name])
    }
    if "complex_id" in columns:
        columns["complex_id"] = _numbers(columns["complex_id"])
    return Outlines(outlines.geometry, outlines.crs, columns)


def _fits(values: NDArray[Any], column: Column) -> bool:
    try:
        plain_values(values, column.kind)
    except (TypeError, ValueError):
        return False
    return True


def _numbers(values: NDArray[Any]) -> NDArray[np.int64]:
    """Keep whole numbers; number anything else by first appearance, empty values one by one."""
    if values.dtype == np.int64:
        return values
    seen: dict[str, int] = {}
    plain = [None if value is None or value != value else str(value) for value in values.tolist()]
    return np.array(
        [
            seen.setdefault(f"row {row}" if value is None else f"id {value}", len(seen) + 1)
            for row, value in enumerate(plain)
        ],
        np.int64,
    )


def _warn_of_overlaps(name: str, one: NDArray[np.object_], other: NDArray[np.object_]) -> None:
    twice = shapely.area(shapely.intersection(one, other)) > 1e-6 * shapely.area(one)
    if twice.any():
        warnings.warn(
            f"{int(twice.sum())} pairs of outlines in {name} overlap: their ice is "
            "counted twice. Dissolve them, or remove one of each.",
            GlacierxWarning,
            stacklevel=3,
        )


def read_record(path: PathLike, layer: str | None = None) -> dict[str, Any]:
    """Read the run record of a file that glacierx wrote; empty if there is none."""
    return _record(read_layer(path, layer, prefer=("glaciers", "complexes")))


def _record(source: VectorLayer) -> dict[str, Any]:
    try:
        record = json.loads(source.tags.get(RECORD_TAG, "{}"))
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def read_lines(path: PathLike, layer: str | None = None) -> Outlines:
    """Read lines and their columns, one row for each part; what are no lines are left out."""
    source = read_layer(path, layer, prefer=("divides",))
    kept = np.flatnonzero(shapely.get_dimensions(source.geometry) == 1)
    parts, part_of = shapely.get_parts(source.geometry[kept], return_index=True)
    columns = {name: _column(values)[kept[part_of]] for name, values in source.columns.items()}
    return fitting(Outlines(as_geometries(parts), source.crs, columns), DIVIDES)


def _outlines(path: PathLike, source: VectorLayer) -> Outlines:
    shapes = source.geometry
    kept = np.flatnonzero(shapely.get_dimensions(shapes) == 2)
    if len(shapes) and not len(kept):
        raise OutlineError(
            f"The layer {source.name} of {base_name(path)} holds no polygons. Give one that does."
        )
    parts, part_of = shapely.get_parts(polygons_of(shapes[kept]), return_index=True)
    filled = ~shapely.is_empty(parts)
    rows = kept[part_of[filled]]
    columns = {
        _LONGER.get(name, name): _column(values)[rows] for name, values in source.columns.items()
    }
    crs: CRS = source.crs
    return Outlines(as_geometries(parts[filled]), crs, columns)


def _column(values: list[Any]) -> NDArray[Any]:
    """Put a file's column into an array: whole numbers, numbers with NaN, or anything."""
    if values and all(isinstance(value, int) for value in values):
        return np.array(values, np.int64)
    if any(isinstance(value, float) for value in values) and all(
        value is None or isinstance(value, int | float) for value in values
    ):
        return np.array([np.nan if value is None else value for value in values], np.float64)
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out
