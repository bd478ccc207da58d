"""The outline schema; area, elevation, slope, aspect, date."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from glacierx.outlines.divides import REFERENCE, Division
from glacierx.outlines.elevation import elevation_columns
from glacierx.outlines.outlines import Outlines
from glacierx.outlines.zonal import zonal_columns
from glacierx.scene.classes import key_of
from glacierx.scene.geodesy import (
    LONLAT,
    areas_km2,
    lengths_m,
    to_lonlat,
    transform_geometries,
    wrap_longitude,
)
from glacierx.scene.prediction import Prediction
from glacierx.scene.terrain import Dem

Progress = Callable[[int, int, str], None]

TERM_NOT_KNOWN = 9


@dataclass(frozen=True)
class Column:
    """A column of a layer.

    Attributes:
        name: Its name; that of RGI 7.0 where the meaning is the same.
        kind: ``str``, ``int`` or ``float``.
        text: What it says.
        short: Its name in a shapefile, where ten letters are the limit.
    """

    name: str
    kind: str
    text: str
    short: str = ""

    @property
    def title(self) -> str:
        """What a table shows above it."""
        return TITLES.get(self.name) or f"Area of {class_of(self.name)} (km2)"


TITLES = {
    "cenlon": "Longitude",
    "cenlat": "Latitude",
    "area_km2": "Area (km2)",
    "area_unc_km2": "Area, half a pixel (km2)",
    "src_date": "Date",
    "utm_zone": "UTM zone",
    "mean_probability": "Mean probability",
    "touches_edge": "Cut by the frame",
    "touches_nodata": "Touches invalid pixels",
    "invalid_share": "Invalid share",
    "cut_by_aoi": "Cut by the area of interest",
    "glac_id": "Glacier",
    "zmin_m": "Lowest (m)",
    "zmax_m": "Highest (m)",
    "zmed_m": "Median elevation (m)",
    "zmean_m": "Mean elevation (m)",
    "slope_deg": "Slope (degrees)",
    "aspect_deg": "Aspect (degrees)",
    "aspect_sec": "Aspect, sector",
    "dem_source": "DEM",
    "dem_share": "Share with heights",
    "term_type": "Terminus",
    "divided": "Divided",
    "ref_id": "Id in the inventory",
    "ref_name": "Name",
    "ref_date": "Date of the inventory",
    "complex_id": "Glacier complex",
    "glac_id_1": "Glacier on one side",
    "glac_id_2": "Glacier on the other",
    "length_m": "Length (m)",
    "source": "Scenes",
    "rule": "Taken by",
    "joined": "Pieces joined",
}


PLACE = (
    Column("cenlon", "float", "longitude of a point inside, degrees"),
    Column("cenlat", "float", "latitude of that point, degrees"),
    Column("area_km2", "float", "area on the WGS 84 ellipsoid, nunataks taken off"),
    Column(
        "area_unc_km2",
        "float",
        "area of half a pixel along the ice margin, not along divides or the scene's frame",
        "unc_km2",
    ),
)
TIME = (
    Column("src_date", "str", "date of the scene, ISO 8601"),
    Column("utm_zone", "int", "UTM zone of the point inside"),
)
PIXELS = (
    Column("mean_probability", "float", "mean probability of its pixels", "mean_prob"),
    Column("touches_edge", "int", "1 if the scene's frame cuts it", "tch_edge"),
    Column("touches_nodata", "int", "1 if it touches invalid pixels", "tch_nodata"),
    Column(
        "invalid_share", "float", "share of invalid pixels within, nunataks filled", "inv_share"
    ),
    Column("cut_by_aoi", "int", "1 if the area of interest cuts it"),
)
MERGED = (
    Column("source", "str", "the scenes it comes from, that of most of it first"),
    Column(
        "rule",
        "str",
        "only: one scene sees it; whole: the best one that sees it whole; or --prefer",
    ),
    Column("joined", "int", "number of pieces of several scenes that it is made of"),
)
COMPLEXES = (
    Column("complex_id", "int", "glacier complex; outlines that touch share it"),
    *PLACE,
    *TIME,
    *PIXELS,
    *MERGED,
)
GLACIERS = (
    Column("glac_id", "str", "GLIMS-like id of the point inside"),
    *PLACE,
    Column("zmin_m", "float", "lowest elevation"),
    Column("zmax_m", "float", "highest elevation"),
    Column("zmed_m", "float", "median elevation"),
    Column("zmean_m", "float", "mean elevation"),
    Column("slope_deg", "float", "mean slope"),
    Column("aspect_deg", "float", "mean aspect, degrees clockwise from north"),
    Column("aspect_sec", "int", "sector of the aspect: 1 N, 2 NE ... 8 NW, 9 none"),
    Column("dem_source", "str", "the DEM"),
    Column("dem_share", "float", "share of the glacier whose elevation is known"),
    *TIME,
    Column("term_type", "int", "terminus: 9 not assessed"),
    Column("complex_id", "int", "the glacier complex it is part of"),
    Column("divided", "int", "1 if a DEM or an inventory says how its ice is divided"),
    *PIXELS,
    Column("ref_id", "str", "id of the inventory's glacier whose divides it has"),
    Column("ref_name", "str", "its name"),
    Column("ref_date", "str", "its date"),
    *MERGED,
)
DIVIDES = (
    Column("complex_id", "int", "the glacier complex it divides"),
    Column("glac_id_1", "str", "the glacier on one side"),
    Column("glac_id_2", "str", "the glacier on the other"),
    Column("length_m", "float", "length on the ellipsoid"),
)
FOOTPRINT = (
    Column("source", "str", "the scene"),
    Column("src_date", "str", "its date"),
    Column("invalid_share", "float", "share of invalid pixels in the hull of the valid ones"),
)
# A map of several classes of ice adds a column for each after these.
AREA_OF_CLASS = re.compile(r"area_([0-9a-z]\w*)_km2")
AFTER = "area_unc_km2"
# Columns that a layer has only where there is something to say.
OPTIONAL = (*REFERENCE, *(column.name for column in MERGED))


def class_of(column: str) -> str | None:
    """Return the class of whose area a column is; None for any other column."""
    found = None if column in TITLES else AREA_OF_CLASS.fullmatch(column)
    return found[1] if found else None


def widened(schema: tuple[Column, ...], names: Iterable[str]) -> tuple[Column, ...]:
    """Return a schema with the columns for areas of classes that are among some names."""
    own = [name for name in names if class_of(name)]
    at = next((number for number, one in enumerate(schema, 1) if one.name == AFTER), None)
    if at is None or not own:
        return schema
    shorts: list[str] = []
    for name in own:
        number, short = 1, f"a_{class_of(name)}"[:10]
        while short in shorts:
            number += 1
            short = f"{short[: 10 - len(str(number))]}{number}"
        shorts.append(short)
    added = [
        Column(name, "float", f"area where {class_of(name)} is the likeliest class of ice", short)
        for name, short in zip(own, shorts, strict=True)
    ]
    return (*schema[:at], *added, *schema[at:])


def class_areas(columns: Mapping[str, Any], shares: Mapping[str, Any]) -> dict[str, Any]:
    """Return the area of each class from its share of the area."""
    return {
        f"area_{key_of(name)}_km2": np.round(columns["area_km2"] * share, 6)
        for name, share in shares.items()
    }


def add_complex_attributes(
    complexes: Outlines,
    *,
    prediction: Prediction | None = None,
    gsd_m: float | None = None,
    src_date: str | None = None,
) -> Outlines:
    """Return glacier complexes with every column of their layer.

    Args:
        complexes: Polygons with the column complex_id.
        prediction: The probability map that they were traced from.
        gsd_m: Ground sampling distance of the scene.
        src_date: Date of the scene.
    """
    margin_m = _margins_m(complexes, prediction)
    done = complexes.with_columns(**place_columns(complexes, margin_m, gsd_m, src_date))
    if prediction is not None:
        zones = zonal_columns(done, prediction)
        done = done.with_columns(**zones.columns, **class_areas(done.columns, zones.shares))
    return in_schema(done, COMPLEXES)


def add_attributes(
    division: Division,
    *,
    dem: Dem | None = None,
    prediction: Prediction | None = None,
    gsd_m: float | None = None,
    src_date: str | None = None,
    progress: Progress | None = None,
) -> Division:
    """Return glaciers and divides with every column of their layers.

    Args:
        division: What `split_glaciers` gave.
        dem: Heights.
        prediction: The probability map. Without it a glacier has what its complex has, if the
            complex was not cut or the answer is no; else nothing.
        gsd_m: Ground sampling distance of the scene.
        src_date: Date of the scene.
        progress: Called as work goes on.
    """
    glaciers, divides = division
    length = lengths_m(divides.geometry, divides.crs)
    margin_m = _margins_m(glaciers, prediction)
    for side in ("first", "second"):
        np.subtract.at(margin_m, divides[side], length)
    place = place_columns(glaciers, margin_m, gsd_m, src_date)
    if prediction is not None:
        zones = zonal_columns(glaciers, prediction)
        from_pixels = {**zones.columns, **class_areas(place, zones.shares)}
    else:
        from_pixels = _inherited(glaciers)
    done = glaciers.with_columns(
        **place,
        **elevation_columns(glaciers, dem, progress),
        **from_pixels,
        term_type=np.full(len(glaciers), TERM_NOT_KNOWN),
    )
    done = done.with_columns(glac_id=glacier_ids(done["cenlon"], done["cenlat"]))
    lines = divides.with_columns(
        complex_id=done["complex_id"][divides["first"]],
        glac_id_1=done["glac_id"][divides["first"]],
        glac_id_2=done["glac_id"][divides["second"]],
        length_m=np.round(length, 2),
    )
    return Division(in_schema(done, GLACIERS), in_schema(lines, DIVIDES))


def _margins_m(outlines: Outlines, prediction: Prediction | None) -> NDArray[np.float64]:
    """Measure outlines and their nunataks in metres, without what lies on the scene's frame."""
    boundary = shapely.boundary(outlines.geometry)
    if prediction is None:
        return lengths_m(boundary, outlines.crs)
    grid = prediction.grid
    boundary = transform_geometries(boundary, outlines.crs, grid.crs)
    frame = grid.footprint.boundary.buffer(0.01 * math.sqrt(abs(grid.transform.determinant)))
    cut = shapely.intersects(boundary, frame)
    boundary[cut] = shapely.difference(boundary[cut], frame)
    return lengths_m(boundary, grid.crs)


def place_columns(
    outlines: Outlines, margin_m: NDArray[np.float64], gsd_m: Any, src_date: str | None = None
) -> dict[str, Any]:
    """Measure where outlines lie and how large they are.

    Args:
        outlines: Polygons.
        margin_m: Length of the ice margin of each.
        gsd_m: Ground sampling distance, one or for each; None or NaN where it is not known.
        src_date: Date of the scene.
    """
    lonlat = to_lonlat(outlines.geometry, outlines.crs)
    inside = shapely.point_on_surface(lonlat)
    lon, lat = wrap_longitude(shapely.get_x(inside)), shapely.get_y(inside)
    area = areas_km2(lonlat, LONLAT)
    unsure = np.full(len(outlines), np.nan)
    if gsd_m is not None:
        # For a band of half a pixel to either side, (A(+b) - A(-b)) / 2 is its length times b.
        unsure = np.minimum(margin_m * gsd_m / 2 / 1e6, area)
    date = np.full(len(outlines), src_date, dtype=object)
    if src_date is None and "src_date" in outlines.columns:
        date = outlines["src_date"]
    return {
        "cenlon": lon,
        "cenlat": lat,
        "area_km2": area,
        "area_unc_km2": unsure,
        "src_date": date,
        "utm_zone": (np.floor((lon + 180) / 6).astype(np.int64) % 60) + 1,
    }


def glacier_ids(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.object_]:
    """Make ids like those of GLIMS, GxxxxxxEyyyyyN, from points inside the glaciers.

    Longitude counts from 0 to 360 degrees east, both in thousandths; glaciers whose ids would be
    the same get _2, _3 and so on.
    """
    seen: dict[str, int] = {}
    out = np.empty(len(lon), dtype=object)
    for index, (x, y) in enumerate(zip(lon.tolist(), lat.tolist(), strict=True)):
        east = round((x % 360) * 1000) % 360000
        name = f"G{east:06d}E{round(abs(y) * 1000):05d}{'N' if y >= 0 else 'S'}"
        seen[name] = seen.get(name, 0) + 1
        out[index] = name if seen[name] == 1 else f"{name}_{seen[name]}"
    return out


def _inherited(glaciers: Outlines) -> dict[str, NDArray[Any]]:
    """Carry over what the complex's pixels say where that holds for the glacier too."""
    _, back, count = np.unique(glaciers["parent"], return_inverse=True, return_counts=True)
    whole = count[back] == 1
    out: dict[str, NDArray[Any]] = {}
    for name in (*(column.name for column in PIXELS), *filter(class_of, glaciers.columns)):
        if name in glaciers.columns:
            values = np.array(glaciers[name].tolist(), dtype=object)
            known = whole | np.array([value in (0, 0.0) for value in values], bool)
            values[~known] = None
            out[name] = values
    return out


def in_schema(outlines: Outlines, schema: tuple[Column, ...]) -> Outlines:
    """Return the columns of a schema in order; those that are missing are empty.

    Areas of classes have a place in that of glaciers and that of complexes.
    """
    columns: dict[str, NDArray[Any]] = {}
    for column in widened(schema, outlines.columns):
        if column.name in outlines.columns:
            columns[column.name] = outlines[column.name]
        elif column.name not in OPTIONAL:
            columns[column.name] = np.full(len(outlines), None, dtype=object)
    return Outlines(outlines.geometry, outlines.crs, columns)
