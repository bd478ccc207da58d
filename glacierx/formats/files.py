"""Write the files of a format into a folder that the caller has prepared."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fiona
from fiona._err import CPLE_BaseError
from fiona.errors import FionaError

from glacierx.formats.fields import Table
from glacierx.formats.hypsometry import Hypsometry
from glacierx.outlines.geopackage import FIXED_DAY, FIXED_TIME, features
from glacierx.scene.geodesy import LONLAT
from glacierx.scene.output import cannot_write

RECORD = "run_record.json"


def write_shapefile(folder: Path, table: Table) -> None:
    """Write a table as a shapefile in UTF-8."""
    more = {"encoding": "UTF-8", **FIXED_DAY}
    _write(folder / f"{table.name}.shp", table, "ESRI Shapefile", more)


def write_geopackage(folder: Path, table: Table) -> None:
    """Write a table as a GeoPackage of one layer."""
    _write(folder / f"{table.name}.gpkg", table, "GPKG", {"layer": table.name})


def _write(path: Path, table: Table, driver: str, more: Mapping[str, str]) -> None:
    names = [field.name for field in table.fields]
    schema = {
        "geometry": table.shape,
        "properties": dict(zip(names, [one.declared for one in table.fields], strict=True)),
    }
    try:
        with (
            fiona.Env(**FIXED_TIME),
            fiona.open(
                str(path), "w", driver=driver, schema=schema, crs_wkt=LONLAT.to_wkt(), **more
            ) as file,
        ):
            file.writerecords(features(table.outlines.geometry, names, table.columns()))
    except (FionaError, CPLE_BaseError, OSError, RuntimeError, ValueError) as error:
        raise cannot_write(path, error) from error


def write_attributes(folder: Path, table: Table) -> None:
    """Write the fields of a table as CSV, and what they mean as JSON."""
    names = [field.name for field in table.fields]
    rows = [["" if one is None else one for one in row] for row in table.rows()]
    write_text(folder / f"{table.name}-attributes.csv", _csv([names, *rows]))
    meanings = {
        field.name: {"description": field.text, "datatype": field.kind, "units": field.unit}
        for field in table.fields
    }
    write_json(folder / f"{table.name}-attributes_metadata.json", meanings)


def write_hypsometry(path: Path, bands: Hypsometry, id_name: str, table: Table) -> None:
    """Write thousandths of the area for each band of elevation, named by its middle.

    The bands of a glacier without heights are empty.
    """
    head = [id_name, "area_km2", *(str(centre) for centre in bands.centres_m.tolist())]
    area = "area_km2" if "area_km2" in table.outlines.columns else "Area"
    rows = [
        [name, size, *(parts if known else [""] * len(parts))]
        for name, size, parts, known in zip(
            table.outlines[id_name].tolist(), table.outlines[area].tolist(),
            bands.permille.tolist(), bands.known.tolist(), strict=True,
        )
    ]  # fmt: skip
    write_text(path, _csv([head, *rows]))


def write_json(path: Path, content: Mapping[str, Any], *, in_order: bool = True) -> None:
    """Write JSON, with its keys in the order that they have or sorted."""
    text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=not in_order)
    write_text(path, text + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, with the same ends of lines everywhere."""
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise cannot_write(path, error) from error


def _csv(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def of_a_format(stem: str) -> Callable[[str], bool]:
    """Tell by name which files a format may have left in a folder."""
    own = re.escape(stem)
    pattern = re.compile(
        rf"{own}-[GIC](-\d\d)?[-.].*|(intersects_)?\d\d_rgi60_{own}[._].*"
        rf"|{own}-(outlines|intersects)\.gpkg|{own}-run_record\.json"
        rf"|{own}\.(shp|shx|dbf|prj|cpg|txt)"
    )
    return lambda name: pattern.fullmatch(name) is not None
