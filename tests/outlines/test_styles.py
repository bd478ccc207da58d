import sqlite3
from contextlib import closing
from xml.etree import ElementTree as Xml

import fiona
import numpy as np
import pytest
import shapely
from rasterio.crs import CRS

from glacierx.outlines.attributes import COMPLEXES, DIVIDES, GLACIERS, TITLES
from glacierx.outlines.geopackage import SCHEMAS, read_complexes, write_layers
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.outlines.styles import qml

UTM = CRS.from_epsg(32632)
LAYERS = ("glaciers", "complexes", "divides")


def rows(shapes, schema):
    columns = {
        column.name: np.full(len(shapes), {"str": "x", "int": 1, "float": 0.5}[column.kind])
        for column in schema
    }
    return Outlines(as_geometries(shapes), UTM, columns)


@pytest.fixture
def path(tmp_path):
    square = shapely.box(600_000, 5_195_000, 601_000, 5_196_000)
    layers = {
        "glaciers": rows([square], GLACIERS),
        "complexes": rows([square], COMPLEXES),
        "divides": rows(
            [shapely.LineString([(600_000, 5_195_000), (600_500, 5_195_500)])], DIVIDES
        ),
    }
    return write_layers(tmp_path / "o.gpkg", layers, {})


def query(path, text):
    with closing(sqlite3.connect(path)) as file:
        return file.execute(text).fetchall()


def test_qgis_finds_one_style_for_each_layer_and_takes_it_by_itself(path):
    found = query(
        path,
        "SELECT f_table_catalog, f_table_schema, f_table_name, f_geometry_column, useAsDefault, "
        "styleSLD FROM layer_styles ORDER BY id",
    )
    # NULL in place of '' would hide a style from QGIS, and so would a wrong geometry column.
    geometry = dict(query(path, "SELECT table_name, column_name FROM gpkg_geometry_columns"))
    assert found == [("", "", name, geometry[name], 1, "") for name in LAYERS]
    assert query(path, "SELECT data_type FROM gpkg_contents WHERE table_name='layer_styles'") == [
        ("attributes",)
    ]


def test_a_style_draws_what_the_layer_holds(path):
    kinds = {}
    for name, text in query(path, "SELECT f_table_name, styleQML FROM layer_styles"):
        root = Xml.fromstring(text)
        [renderer] = root.findall("renderer-v2")
        kinds[name] = renderer.get("type")
        symbols = {symbol.get("name"): symbol for symbol in renderer.iter("symbol")}
        used = [one.get("symbol") for one in (*renderer.iter("range"), *renderer.iter("category"))]
        assert set(used or ["0"]) == set(symbols)
        drawn = "line" if name == "divides" else "fill"
        assert {symbol.get("type") for symbol in symbols.values()} == {drawn}
        with fiona.open(path, layer=name) as file:
            columns = list(file.schema["properties"])
        assert renderer.get("attr") in (None, *columns)
        aliases = {one.get("field"): one.get("name") for one in root.iter("alias")}
        assert list(aliases) == columns
        assert aliases == {column: TITLES[column] for column in columns}
    assert kinds == {
        "glaciers": "graduatedSymbol",
        "complexes": "categorizedSymbol",
        "divides": "singleSymbol",
    }


def test_classes_of_area_follow_each_other_without_gaps():
    root = Xml.fromstring(qml("glaciers", GLACIERS))
    found = [(float(one.get("lower")), float(one.get("upper"))) for one in root.iter("range")]
    assert found[0][0] == 0
    assert [one[1] for one in found[:-1]] == [one[0] for one in found[1:]]
    assert found[-1][1] > 1e5  # larger than any glacier


def test_a_layer_without_the_column_it_is_coloured_by_has_one_colour():
    fewer = [column for column in GLACIERS if column.name != "area_km2"]
    assert 'type="singleSymbol"' in qml("glaciers", fewer)


def test_columns_bear_their_titles_and_texts(path):
    found = query(
        path, "SELECT table_name, column_name, name, title, description FROM gpkg_data_columns"
    )
    expected = [
        (layer, column.name, column.name, column.title, column.text)
        for layer in LAYERS
        for column in SCHEMAS[layer]
    ]
    assert sorted(found) == sorted(expected)
    assert all(title for *_, title, _ in found)


def test_two_columns_of_a_layer_never_share_a_title():
    for schema in SCHEMAS.values():
        titles = [column.title for column in schema]
        assert len(set(titles)) == len(titles)


def test_the_table_of_styles_is_no_layer_to_choose(path, tmp_path):
    square = shapely.box(600_000, 5_195_000, 601_000, 5_196_000)
    one = write_layers(tmp_path / "c.gpkg", {"complexes": rows([square], COMPLEXES)}, {})
    assert fiona.listlayers(one) == ["complexes", "layer_styles"]
    assert len(read_complexes(one)[0]) == 1
