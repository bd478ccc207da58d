"""RGI 6.0, and the same columns as OGGM reads them.

Columns, types and codes are those of the RGI 6.0 technical note; what OGGM takes from them stands
in its user guide ("OGGM Shop", "Glacier outlines and intersects").
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from glacierx.formats.contents import Contents
from glacierx.formats.delivery import Delivery
from glacierx.formats.fields import Field, Table, as_column, filled, missing
from glacierx.outlines.attributes import TERM_NOT_KNOWN
from glacierx.outlines.outlines import Outlines

# An id of RGI itself would be that of another glacier, whose mass balance OGGM would take.
PREFIX = "GLX60"
NOT_KNOWN = 9
NO_HEIGHT, NO_ANGLE = -999, -9
NO_DATE = "-9999999"
WHOLE = ("Zmin", "Zmax", "Zmed", "Aspect")
# Terminus by our code (RGI 7.0) and by that of RGI 6.0.
TERMINUS = {0: 0, 1: 1, 2: 2, 3: 5, TERM_NOT_KNOWN: NOT_KNOWN}

FIELDS = (
    Field("RGIId", "str", "GLX60-region.number; RGI gives ids of its own", width=20),
    Field("GLIMSId", "str", "glac_id of glacierx, in the way of GLIMS", "", "glac_id", width=20),
    Field("BgnDate", "str", "date of the image; -9999999 not known", "YYYYMMDD", width=8),
    Field("EndDate", "str", "-9999999: one image", "YYYYMMDD", fixed=NO_DATE, width=8),
    Field("CenLon", "float", "longitude of a point inside", "degrees", "cenlon"),
    Field("CenLat", "float", "latitude of that point", "degrees", "cenlat"),
    Field("O1Region", "str", "first-order region; 0 not given", width=2),
    Field("O2Region", "str", "second-order region; 0 not given", width=2),
    Field("Area", "float", "area on the ellipsoid", "km2", "area_km2"),
    Field("Zmin", "int", "lowest elevation; -999 not known", "m", "zmin_m", NO_HEIGHT),
    Field("Zmax", "int", "highest elevation; -999 not known", "m", "zmax_m", NO_HEIGHT),
    Field("Zmed", "int", "median elevation; -999 not known", "m", "zmed_m", NO_HEIGHT),
    Field("Slope", "float", "mean slope; -9 not known", "degrees", "slope_deg", float(NO_ANGLE)),
    Field("Aspect", "int", "mean aspect; -9 not known", "degrees", "aspect_deg", NO_ANGLE),
    Field("Lmax", "int", "length of the longest flow line; -9 not known", "m", fixed=NO_ANGLE),
    Field("Status", "int", "0 glacier, 1 complex that is not divided, 9 not known"),
    Field("Connect", "int", "connection to the Greenland ice sheet: 0 none", fixed=0),
    Field("Form", "int", "9 not assigned", fixed=NOT_KNOWN),
    Field("TermType", "int", "0 land, 1 marine, 2 lake, 5 shelf, 9 not assigned"),
    Field("Surging", "int", "9 not assigned", fixed=NOT_KNOWN),
    Field("Linkages", "int", "link to mass-balance data: 9 not provided", fixed=NOT_KNOWN),
    Field("Name", "str", "name in the inventory whose divides were copied", "", "ref_name"),
)
CHECK = Field("check_geom", "str", "what was mended in a geometry; empty: nothing")
INTERSECTS = (
    Field("RGIId_1", "str", "glacier on one side", width=20),
    Field("RGIId_2", "str", "glacier on the other side", width=20),
    Field("length_m", "float", "length on the ellipsoid", "m", "length_m"),
)


def tables(contents: Contents, delivery: Delivery, stem: str) -> tuple[Table, Table]:
    """Return the glaciers and what lies between them, named as RGI 6.0 or as OGGM takes them."""
    glaciers, divides = contents.glaciers, contents.divides
    count, area = len(glaciers), delivery.o1region or "00"
    ids = [f"{PREFIX}-{area}.{number:05d}" for number in range(1, count + 1)]
    sub = int(delivery.o2region.split("-")[1]) if delivery.o2region else 0
    by_glacier = dict(zip(glaciers["glac_id"].tolist(), ids, strict=True))
    own: dict[str, Sequence[Any]] = {
        "RGIId": ids,
        "BgnDate": [_compact(one) for one in _column(glaciers, "src_date")],
        "O1Region": [str(int(area))] * count,
        "O2Region": [str(sub)] * count,
        "Status": [_status(one) for one in _column(glaciers, "divided")],
        "TermType": [TERMINUS.get(one, NOT_KNOWN) for one in _column(glaciers, "term_type")],
        **{field.name: _rounded(glaciers, field) for field in FIELDS if field.name in WHOLE},
    }
    lines = {
        f"RGIId_{side}": [by_glacier.get(one) for one in divides[f"glac_id_{side}"].tolist()]
        for side in (1, 2)
    }
    fields: Sequence[Field] = FIELDS
    names = (f"{area}_rgi60_{stem}", f"intersects_{area}_rgi60_{stem}")
    if delivery.format == "oggm":
        fields = (*FIELDS, CHECK)
        names = (f"{stem}-outlines", f"{stem}-intersects")
    return (
        Table(names[0], filled(glaciers, fields, own), fields),
        Table(names[1], filled(divides, INTERSECTS, lines), INTERSECTS, "LineString"),
    )


def _column(outlines: Outlines, name: str) -> list[Any]:
    if name not in outlines.columns:
        return [None] * len(outlines)
    return outlines[name].tolist()  # type: ignore[no-any-return]  # NumPy's objects are anything


def _rounded(glaciers: Outlines, field: Field) -> list[Any]:
    values = _column(glaciers, field.ours)
    whole = [field.fixed if missing(one) else round(one) for one in values]
    return [0 if field.name == "Aspect" and one == 360 else one for one in whole]


def _status(divided: Any) -> int:
    return NOT_KNOWN if missing(divided) else 0 if divided == 1 else 1


def _compact(date: Any) -> str:
    """Return a date as RGI 6.0 has it, 20030730; 9999 and 99 where month and day are not known."""
    found = re.match(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", "" if missing(date) else str(date))
    return f"{found[1]}{found[2] or '99'}{found[3] or '99'}" if found else NO_DATE


def _iso(date: Any) -> str | None:
    found = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", str(date))
    if not found or found[1] == "9999":
        return None
    return "-".join(part for part in found.groups() if part != "99")


def read_glaciers(found: Outlines) -> Outlines:
    """Return glaciers with our columns; numbers that stand for none become none."""
    columns = {field.ours: found[field.name] for field in FIELDS if field.ours}
    for field in FIELDS:
        if field.ours and field.fixed is not None:
            values = found[field.name].astype(float)
            values[values == field.fixed] = np.nan
            columns[field.ours] = values
    back = {rgi6: ours for ours, rgi6 in TERMINUS.items()}
    columns["term_type"] = np.array(
        [back.get(_code(one), TERM_NOT_KNOWN) for one in found["TermType"].tolist()], np.int64
    )
    status = [_code(one) for one in found["Status"].tolist()]
    columns["divided"] = as_column([{0: 1, 1: 0}.get(one) for one in status])
    columns["src_date"] = as_column([_iso(one) for one in found["BgnDate"].tolist()])
    if all(missing(one) or one == "" for one in columns["ref_name"]):
        del columns["ref_name"]
    return Outlines(found.geometry, found.crs, columns)


def _code(value: Any) -> int:
    return int(value) if not missing(value) and str(value).isdigit() else NOT_KNOWN


def read_intersects(found: Outlines, glacier_of: dict[str, str]) -> Outlines:
    """Return ice divides with our columns.

    Args:
        found: The intersects.
        glacier_of: Our id of each glacier, by that of RGI.
    """
    columns = {
        f"glac_id_{side}": as_column([glacier_of.get(str(one)) for one in found[f"RGIId_{side}"]])
        for side in (1, 2)
    }
    columns["length_m"] = found["length_m"]
    return Outlines(found.geometry, found.crs, columns)
