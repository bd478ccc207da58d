"""What a GeoPackage tells a GIS of its layers: styles of QGIS, titles and texts of columns."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree as Xml

from glacierx.outlines.attributes import Column

# Size classes of inventories, in km2.
CLASSES_KM2 = (0.0, 0.1, 0.5, 1.0, 5.0, 10.0, 1e6)
BLUES = ("#deebf7", "#b5d2eb", "#85b6dc", "#519ccc", "#2a7ab9", "#0b4d94")
OUTLINE, DIVIDE, COMPLEX, CUT = "#c81e1e", "#e6b800", "#5b6470", "#e07b1f"
FIXED_TIME = "2000-01-01T00:00:00.000Z"
SCHEMA_TABLES = ("gpkg_data_columns", "gpkg_data_column_constraints")

# The tables of QGIS (its database styles) and of OGC 12-128r15, annex F.9.
_TABLES = """
CREATE TABLE layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256),
  f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
  styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT,
  owner TEXT(30), ui TEXT(30), update_time DATETIME
);
CREATE TABLE gpkg_data_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL, name TEXT, title TEXT, description TEXT,
  mime_type TEXT, constraint_name TEXT,
  CONSTRAINT pk_gdc PRIMARY KEY (table_name, column_name),
  CONSTRAINT gdc_tn UNIQUE (table_name, name)
);
CREATE TABLE gpkg_data_column_constraints (
  constraint_name TEXT NOT NULL, constraint_type TEXT NOT NULL, value TEXT, min NUMERIC,
  min_is_inclusive BOOLEAN, max NUMERIC, max_is_inclusive BOOLEAN, description TEXT,
  CONSTRAINT gdcc_ntv UNIQUE (constraint_name, constraint_type, value)
);
"""


def describe(path: Path, layers: Mapping[str, Sequence[Column]]) -> None:
    """Add styles, titles and texts to a finished GeoPackage.

    QGIS takes a style from the table ``layer_styles`` by itself; it silently leaves it where a name
    of the table is NULL instead of empty. Titles and texts stand in the schema extension.

    Args:
        path: The file, which nothing else has open.
        layers: The columns of each layer that is in it.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    with closing(sqlite3.connect(path)) as file, file:
        for command in _TABLES.split(";\n"):
            file.execute(command)
        columns: dict[str, str] = dict(
            file.execute("SELECT table_name, column_name FROM gpkg_geometry_columns").fetchall()
        )
        file.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, "
            "last_change, srs_id) VALUES ('layer_styles', 'attributes', 'layer_styles', "
            "'styles of QGIS', ?, 0)",
            (FIXED_TIME,),
        )
        file.executemany(
            "INSERT INTO gpkg_extensions VALUES (?, NULL, 'gpkg_schema', "
            "'http://www.geopackage.org/spec121/#extension_schema', 'read-write')",
            [(table,) for table in SCHEMA_TABLES],
        )
        for name, declared in layers.items():
            file.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
                "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, "
                "owner, ui, update_time) VALUES ('', '', ?, ?, ?, ?, '', 1, ?, '', NULL, ?)",
                (name, columns[name], name, qml(name, declared), _says(name), FIXED_TIME),
            )
            file.executemany(
                "INSERT INTO gpkg_data_columns VALUES (?, ?, ?, ?, ?, NULL, NULL)",
                [(name, one.name, one.name, one.title, one.text) for one in declared],
            )


def _says(name: str) -> str:
    return {"glaciers": "by area", "complexes": "whole, or cut by the frame"}.get(name, "")


def qml(name: str, columns: Sequence[Column]) -> str:
    """Return the style of a layer as QGIS 3 reads it.

    Glaciers are coloured by area, complexes by whether the scene's frame cuts them, divides are
    lines of one colour; every column has its title as alias.
    """
    root = Xml.Element("qgis", version="3.22.0", styleCategories="Symbology|Fields")
    names = [column.name for column in columns]
    if name == "glaciers" and "area_km2" in names:
        _by_area(root)
    elif name == "complexes" and "touches_edge" in names:
        _by_edge(root)
    else:
        renderer = _renderer(root, "singleSymbol")
        _symbols(renderer, [_line(DIVIDE) if name == "divides" else _fill("", COMPLEX)])
    aliases = Xml.SubElement(root, "aliases")
    for index, column in enumerate(columns, 1):  # The first is fid.
        Xml.SubElement(aliases, "alias", index=str(index), field=column.name, name=column.title)
    Xml.SubElement(root, "layerGeometryType").text = "1" if name == "divides" else "2"
    doctype = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    return doctype + Xml.tostring(root, encoding="unicode")


def _renderer(root: Xml.Element, kind: str, **more: str) -> Xml.Element:
    fixed = {"symbollevels": "0", "enableorderby": "0", "forceraster": "0"}
    return Xml.SubElement(root, "renderer-v2", {"type": kind, **fixed, **more})


def _by_area(root: Xml.Element) -> None:
    renderer = _renderer(root, "graduatedSymbol", attr="area_km2", graduatedMethod="GraduatedColor")
    ranges = Xml.SubElement(renderer, "ranges")
    last = len(BLUES) - 1
    for index in range(len(BLUES)):
        low, high = CLASSES_KM2[index : index + 2]
        label = f"{low:g} to {high:g} km2" if index < last else f"{low:g} km2 and more"
        Xml.SubElement(
            ranges, "range", lower=f"{low:.6f}", upper=f"{high:.6f}", symbol=str(index),
            label=label, render="true",
        )  # fmt: skip
    _symbols(renderer, [_fill(blue, OUTLINE) for blue in BLUES])


def _by_edge(root: Xml.Element) -> None:
    renderer = _renderer(root, "categorizedSymbol", attr="touches_edge")
    categories = Xml.SubElement(renderer, "categories")
    classes = (("0", "whole"), ("1", "cut by the frame"), ("", "not known"))
    for index, (value, label) in enumerate(classes):
        Xml.SubElement(
            categories, "category", value=value, symbol=str(index), label=label, render="true"
        )
    _symbols(renderer, [_fill("", COMPLEX), _fill("", CUT), _fill("", COMPLEX)])


Symbol = tuple[str, str, dict[str, str]]


def _fill(inside: str, outline: str) -> Symbol:
    options = {
        "color": _rgba(inside, 140) if inside else "0,0,0,0",
        "style": "solid" if inside else "no",
        "outline_color": _rgba(outline),
        "outline_style": "solid",
        "outline_width": "0.36",
        "outline_width_unit": "MM",
        "joinstyle": "round",
    }
    return "fill", "SimpleFill", options


def _line(color: str) -> Symbol:
    options = {
        "line_color": _rgba(color),
        "line_style": "solid",
        "line_width": "0.36",
        "line_width_unit": "MM",
        "capstyle": "round",
        "joinstyle": "round",
    }
    return "line", "SimpleLine", options


def _rgba(color: str, alpha: int = 255) -> str:
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return f"{red},{green},{blue},{alpha}"


def _symbols(renderer: Xml.Element, symbols: Sequence[Symbol]) -> None:
    parent = Xml.SubElement(renderer, "symbols")
    for index, (kind, layer, options) in enumerate(symbols):
        symbol = Xml.SubElement(
            parent, "symbol", name=str(index), type=kind, alpha="1", clip_to_extent="1",
            force_rhr="0",
        )  # fmt: skip
        drawn = Xml.SubElement(
            symbol, "layer", {"class": layer, "enabled": "1", "locked": "0", "pass": "0"}
        )
        # QGIS up to 3.24 reads <prop>, later ones the map of options.
        mapped = Xml.SubElement(drawn, "Option", type="Map")
        for key, value in options.items():
            Xml.SubElement(mapped, "Option", name=key, type="QString", value=value)
        for key, value in options.items():
            Xml.SubElement(drawn, "prop", k=key, v=value)
