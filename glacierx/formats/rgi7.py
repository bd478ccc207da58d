"""RGI 7.0: the glacier, intersects and complex products.

Fields, types and files are those of the RGI 7.0 user guide (GLIMS-RGI/rgi_user_guide, "Data
description"). Only the ids are our own: those of RGI are given by RGI.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from glacierx.errors import OutlineError
from glacierx.formats.contents import Contents
from glacierx.formats.delivery import Delivery
from glacierx.formats.fields import Field, Table, as_column, filled, missing
from glacierx.formats.hypsometry import Hypsometry
from glacierx.outlines.outlines import Outlines

PLACE = (
    Field("cenlon", "float", "longitude of a point inside, not the centroid", "degrees", "cenlon"),
    Field("cenlat", "float", "latitude of that point", "degrees", "cenlat"),
    Field("utm_zone", "int", "UTM zone of that point; geometries are in WGS 84", "", "utm_zone"),
    Field("area_km2", "float", "area on the ellipsoid", "km2", "area_km2"),
)
REGION = (
    Field("o1region", "str", "first-order region, as given", width=10),
    Field("o2region", "str", "second-order region, as given", width=10),
)
GLACIERS = (
    Field("rgi_id", "str", "glac_id of glacierx; RGI gives ids of its own", "", "glac_id"),
    *REGION,
    Field("glims_id", "str", "id in the way of GLIMS; empty where two would be alike", width=20),
    Field("anlys_id", "int", "analysis id that GLIMS gives; empty"),
    Field("subm_id", "int", "submission id that GLIMS gives; empty"),
    Field("src_date", "str", "date of the image, ISO 8601", "date", width=40),
    *PLACE,
    Field("primeclass", "int", "WGMS primary classification: 0 uncertain", fixed=0),
    Field("conn_lvl", "int", "connection to the Greenland ice sheet: 0 none", fixed=0),
    Field("surge_type", "int", "evidence of surging: 9 not assessed", fixed=9),
    Field("term_type", "int", "0 land, 1 marine, 2 lake, 3 shelf, 9 not assessed", "", "term_type"),
    Field("glac_name", "str", "name in the inventory whose divides were copied", "", "ref_name"),
    Field("is_rgi6", "int", "1 if the outline is that of RGI 6.0", fixed=0),
    Field("termlon", "float", "longitude of the lowest point of the outline", "degrees"),
    Field("termlat", "float", "latitude of that point", "degrees"),
    Field("zmin_m", "float", "lowest elevation", "m", "zmin_m"),
    Field("zmax_m", "float", "highest elevation", "m", "zmax_m"),
    Field("zmed_m", "float", "median elevation", "m", "zmed_m"),
    Field("zmean_m", "float", "mean elevation", "m", "zmean_m"),
    Field("slope_deg", "float", "mean slope", "degrees", "slope_deg"),
    Field("aspect_deg", "float", "mean aspect, clockwise from north", "degrees", "aspect_deg"),
    Field("aspect_sec", "int", "1 N, 2 NE ... 8 NW, 9 none", "", "aspect_sec"),
    Field("dem_source", "str", "the DEM", "", "dem_source"),
    Field("lmax_m", "int", "length of the longest centreline; empty: none is drawn", "m"),
)
INTERSECTS = (
    Field("rgi_id", "str", "id of the line"),
    Field("rgi_g_id_1", "str", "glacier on one side", "", "glac_id_1"),
    Field("rgi_g_id_2", "str", "glacier on the other side", "", "glac_id_2"),
    Field("length_m", "float", "length on the ellipsoid", "m", "length_m"),
)
COMPLEXES = (
    Field("rgi_id", "str", "id of the complex; ends in its complex_id"),
    *REGION,
    *PLACE,
)
PRODUCTS = ("G", "I", "C")


def tables(
    contents: Contents, delivery: Delivery, stem: str, bands: Hypsometry | None
) -> tuple[Table, Table, Table]:
    """Return the glacier, intersects and complex products."""
    glaciers, complexes, divides = contents.glaciers, contents.complexes, contents.divides
    area = f"-{delivery.o1region}" if delivery.o1region else ""

    def name(product: str) -> str:
        return f"{stem}-{product}{area}"

    def number(product: str, value: int) -> str:
        return f"{product}{area}-{value:05d}"

    def region(count: int) -> dict[str, Sequence[Any]]:
        return {"o1region": [delivery.o1region] * count, "o2region": [delivery.o2region] * count}

    ends = bands.terminus if bands is not None else np.full((len(glaciers), 2), np.nan)
    dates = glaciers.columns.get("src_date", as_column([None] * len(glaciers)))
    own = {
        **region(len(glaciers)),
        "glims_id": [glims_id(one) for one in glaciers["glac_id"]],
        "src_date": [with_time(one) for one in dates.tolist()],
        "termlon": ends[:, 0].tolist(),
        "termlat": ends[:, 1].tolist(),
    }
    lines = {"rgi_id": [number("I", index + 1) for index in range(len(divides))]}
    wholes = {
        **region(len(complexes)),
        "rgi_id": [number("C", int(one)) for one in complexes["complex_id"]],
    }
    return (
        Table(name("G"), filled(glaciers, GLACIERS, own), GLACIERS),
        Table(name("I"), filled(divides, INTERSECTS, lines), INTERSECTS, "LineString"),
        Table(name("C"), filled(complexes, COMPLEXES, wholes), COMPLEXES),
    )


def links(contents: Contents, complexes: Table) -> dict[str, list[str]]:
    """Return the ids of the glaciers of each complex, by its id."""
    members: dict[int, list[str]] = {}
    rows = zip(contents.glaciers["complex_id"], contents.glaciers["glac_id"], strict=True)
    for number, glacier in rows:
        members.setdefault(int(number), []).append(glacier)
    return {
        name: members.get(int(number), [])
        for name, number in zip(
            complexes.outlines["rgi_id"], contents.complexes["complex_id"], strict=True
        )
    }


def glims_id(glac_id: str) -> str | None:
    """Return an id in the way of GLIMS; none for a glacier that would share it with another."""
    return glac_id if re.fullmatch(r"G\d{6}E\d{5}[NS]", glac_id) else None


def with_time(date: Any) -> str | None:
    """Return a date as RGI 7.0 has it, 2003-07-30T00:00:00."""
    if missing(date):
        return None
    return f"{date}T00:00:00" if re.fullmatch(r"\d{4}-\d\d-\d\d", str(date)) else str(date)


def read_glaciers(found: Outlines, complex_of: Mapping[str, int]) -> Outlines:
    """Return glaciers with our columns.

    Args:
        found: The glacier product.
        complex_of: The complex_id of each glacier, by its id.
    """
    columns = {field.ours: found[field.name] for field in GLACIERS if field.ours}
    columns["src_date"] = as_column(
        [str(one).removesuffix("T00:00:00") if one else None for one in found["src_date"].tolist()]
    )
    if complex_of:
        ids = [complex_of.get(str(one)) for one in found["rgi_id"]]
        columns["complex_id"] = as_column(ids) if None in ids else np.array(ids, np.int64)
    if all(missing(one) for one in columns["ref_name"]):
        del columns["ref_name"]
    return Outlines(found.geometry, found.crs, columns)


def read_complexes(found: Outlines) -> Outlines:
    """Return complexes with our columns."""
    columns = {field.ours: found[field.name] for field in COMPLEXES if field.ours}
    columns["complex_id"] = np.array([number_of(one) for one in found["rgi_id"]], np.int64)
    return Outlines(found.geometry, found.crs, columns)


def read_intersects(found: Outlines, complex_of: Mapping[str, int]) -> Outlines:
    """Return ice divides with our columns."""
    columns = {field.ours: found[field.name] for field in INTERSECTS if field.ours}
    columns["complex_id"] = as_column([complex_of.get(one) for one in columns["glac_id_1"]])
    return Outlines(found.geometry, found.crs, columns)


def number_of(complex_rgi_id: str) -> int:
    """Return the complex_id in the id of a complex.

    Raises:
        OutlineError: It ends in no number.
    """
    found = re.search(r"-(\d{1,18})$", str(complex_rgi_id))
    if not found:
        raise OutlineError(
            f"{complex_rgi_id!r} is no id of a glacier complex, which ends in a number (C-00001). "
            "Convert the glaciers alone: give the shapefile of the product G."
        )
    return int(found[1])
