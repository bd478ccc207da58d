"""A submission to GLIMS: outlines in a shapefile, and a text beside it.

Fields bear the names of the GLIMS Glacier Database and of its transfer specification 1.2; what a
submission has to say stands in NSIDC's "Information for GLIMS data providers".
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from glacierx.errors import GlacierxWarning
from glacierx.formats.contents import Contents
from glacierx.formats.delivery import Delivery
from glacierx.formats.fields import Field, Table, as_column, filled, missing
from glacierx.formats.process import process_text
from glacierx.formats.rgi7 import glims_id
from glacierx.outlines.outlines import Outlines

# The most that a field of a shapefile holds.
LONGEST = 254
BOUNDARY = "glac_bound"

FIELDS = (
    Field("glac_id", "str", "id in the way of GLIMS; empty where two would be alike", width=20),
    Field("local_id", "str", "glac_id of glacierx", "", "glac_id"),
    Field("line_type", "str", "glac_bound: a glacier; its holes are nunataks", fixed=BOUNDARY),
    Field("src_date", "str", "date of the image, ISO 8601", "date", "src_date", width=40),
    Field("area", "float", "area on the ellipsoid, holes taken off", "km2", "area_km2"),
    Field("area_unc", "float", "area of half a pixel along the margin", "km2", "area_unc_km2"),
    Field("min_elev", "float", "lowest elevation", "m", "zmin_m"),
    Field("mean_elev", "float", "mean elevation", "m", "zmean_m"),
    Field("max_elev", "float", "highest elevation", "m", "zmax_m"),
    Field("glac_name", "str", "name in the inventory whose divides were copied", "", "ref_name"),
    Field("loc_unc_x", "float", "local uncertainty of vertices, east: half a pixel", "m"),
    Field("loc_unc_y", "float", "the same, north", "m"),
    Field("glob_unc_x", "float", "uncertainty of the image's place, east", "m"),
    Field("glob_unc_y", "float", "the same, north", "m"),
    Field("orig_id", "str", "the supplier's ids of the images", width=LONGEST),
    Field("inst_name", "str", "instrument", width=80),
    Field("analysts", "str", "who made the outlines", width=LONGEST),
    Field("proc_desc", "str", "how they were made; the text file says more", width=LONGEST),
)


def table(contents: Contents, delivery: Delivery, stem: str) -> Table:
    """Return the glaciers; a warning tells what GLIMS asks for and is not known."""
    glaciers, record = contents.glaciers, contents.record
    count = len(glaciers)
    near = _half_a_pixel(record)
    far = delivery.geolocation_m
    own: dict[str, Sequence[Any]] = {
        "glac_id": [glims_id(one) for one in glaciers["glac_id"]],
        "line_type": [BOUNDARY] * count,
        "loc_unc_x": [near] * count,
        "loc_unc_y": [near] * count,
        "glob_unc_x": [far] * count,
        "glob_unc_y": [far] * count,
        "orig_id": [_cut(_images(delivery))] * count,
        "inst_name": [_instrument(contents, delivery)] * count,
        "analysts": [_cut(delivery.analyst)] * count,
        "proc_desc": [_cut(" ".join(process_text(record)) or None)] * count,
    }
    _tell_what_is_missing(contents, delivery)
    return Table(stem, filled(glaciers, FIELDS, own), FIELDS)


def _images(delivery: Delivery) -> str | None:
    return ", ".join(delivery.image_ids) or None


def _instrument(contents: Contents, delivery: Delivery) -> str | None:
    if delivery.instrument:
        return delivery.instrument
    scene = contents.record.get("scene")
    sensor = scene.get("sensor") if isinstance(scene, dict) else None
    return str(sensor) if sensor else None


def _half_a_pixel(record: Any) -> float | None:
    scene = record.get("scene")
    gsd = scene.get("gsd_m") if isinstance(scene, dict) else None
    return round(gsd / 2, 3) if isinstance(gsd, int | float) else None


def _cut(text: str | None) -> str | None:
    if text is None or len(text.encode()) <= LONGEST:
        return text
    return text.encode()[: LONGEST - 3].decode(errors="ignore") + "..."


def _tell_what_is_missing(contents: Contents, delivery: Delivery) -> None:
    dates = contents.glaciers.columns.get("src_date")
    dated = dates is not None and not any(missing(one) for one in dates)
    lacking = {
        "image ids (--image-id)": delivery.image_ids,
        "the analyst (--analyst)": delivery.analyst,
        "the instrument (--instrument)": _instrument(contents, delivery),
        "how well images are placed (--geolocation-m)": delivery.geolocation_m is not None,
        "dates of images (--date when extracting)": dated,
        "the pixel size (the run record)": _half_a_pixel(contents.record),
    }
    names = [name for name, given in lacking.items() if not given]
    if names and len(contents.glaciers):
        warnings.warn(
            f"GLIMS also asks for {', '.join(names)}. Give what you know.",
            GlacierxWarning,
            stacklevel=3,
        )


def sidecar(contents: Contents, delivery: Delivery, made: Table) -> str:
    """Return the text that goes with a submission."""
    glaciers = contents.glaciers
    dates = sorted({str(one) for one in made.outlines["src_date"].tolist() if not missing(one)})
    near = _half_a_pixel(contents.record)
    lines = [
        "GLIMS SUBMISSION",
        "",
        f"Outlines: {made.name}.shp, {len(glaciers)} glaciers, "
        f"{float(np.sum(glaciers['area_km2'])):.3f} km2, closed polygons in longitude and latitude "
        "(WGS 84, EPSG:4326); holes are nunataks.",
        f"Images: {_images(delivery) or 'not given'}",
        f"Dates: {', '.join(dates) or 'not given'}",
        f"Instrument: {_instrument(contents, delivery) or 'not given'}",
        f"Analysts: {delivery.analyst or 'not given'}",
        "",
        "PROCESS",
        "",
        *(process_text(contents.record) or ["There is no run record."]),
        "",
        "UNCERTAINTY",
        "",
        f"Local, of vertices (loc_unc_x, loc_unc_y): "
        f"{'not known' if near is None else f'{near:g} m, half a pixel'}.",
        f"Global, of the images' place (glob_unc_x, glob_unc_y): "
        f"{'not given' if delivery.geolocation_m is None else f'{delivery.geolocation_m:g} m'}.",
        "Of areas (area_unc): half a pixel along the ice margin, not along ice divides or the "
        "frame of the scene.",
        "",
        "FIELDS",
        "",
        *(
            f"{field.name}: {field.text}{f' ({field.unit})' if field.unit else ''}"
            for field in FIELDS
        ),
    ]
    return "\n".join(lines) + "\n"


def read_glaciers(found: Outlines) -> Outlines:
    """Return glaciers with our columns."""
    columns = {field.ours: found[field.name] for field in FIELDS if field.ours in TAKEN}
    if all(missing(one) for one in columns["ref_name"]):
        del columns["ref_name"]
    columns["src_date"] = as_column(found["src_date"].tolist())
    return Outlines(found.geometry, found.crs, columns)


TAKEN = {field.ours for field in FIELDS if field.ours}
