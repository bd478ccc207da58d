import json

import fiona
import numpy as np
import pytest
import shapely
from rasterio.crs import CRS

from glacierx.errors import GlacierxWarning, OutlineError, OutputError
from glacierx.outlines.attributes import GLACIERS, OPTIONAL, add_attributes, add_complex_attributes
from glacierx.outlines.divides import split_glaciers
from glacierx.outlines.geopackage import (
    read_complexes,
    read_outlines,
    read_record,
    write_layers,
)
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.scene.geodesy import LONLAT, transform_points
from glacierx.scene.vector import read_layer

UTM = CRS.from_epsg(32632)
RECORD = {"model": {"name": "ndsi"}, "versions": {"glacierx": "x"}, "ümlaut": "<&>"}


def layers():
    boxes = as_geometries(
        [
            shapely.box(600_000, 5_195_000, 601_000, 5_196_000).difference(
                shapely.box(600_400, 5_195_400, 600_500, 5_195_500)
            ),
            shapely.box(602_000, 5_195_000, 603_000, 5_196_000),
        ]
    )
    complexes = add_complex_attributes(
        Outlines(boxes, UTM, {"complex_id": np.array([1, 2])}), gsd_m=10
    )
    division = add_attributes(split_glaciers(complexes, None), gsd_m=10)
    return {"glaciers": division.glaciers, "complexes": complexes, "divides": division.divides}


def test_a_geopackage_holds_every_layer_and_the_record(tmp_path):
    path = write_layers(tmp_path / "o.gpkg", layers(), RECORD)
    assert fiona.listlayers(path) == ["glaciers", "complexes", "divides", "layer_styles"]
    assert read_record(path) == RECORD
    for name in ("glaciers", "complexes", "divides"):
        with fiona.open(path, layer=name) as source:
            assert json.loads(source.tags()["GLACIERX_RECORD"]) == RECORD
            assert CRS.from_wkt(source.crs_wkt) == UTM
    with fiona.open(path, layer="divides") as source:
        assert source.schema["geometry"] == "LineString"
        assert len(source) == 0


def test_what_is_written_is_read_again(tmp_path):
    made = layers()["glaciers"]
    back = read_outlines(write_layers(tmp_path / "o.gpkg", layers(), RECORD))
    assert all(a.equals(b) for a, b in zip(made.geometry, back.geometry, strict=True))
    assert list(back.columns) == list(made.columns)
    assert back["area_km2"] == pytest.approx(made["area_km2"], rel=1e-15)
    assert back["zmin_m"].tolist() == [None, None]
    assert back["divided"].tolist() == [0, 0]


def test_the_same_layers_give_the_same_bytes(tmp_path):
    one = write_layers(tmp_path / "a.gpkg", layers(), RECORD)
    (tmp_path / "b").mkdir()
    two = write_layers(tmp_path / "b" / "b.gpkg", layers(), RECORD)
    assert one.read_bytes() == two.read_bytes()


def test_an_existing_file_is_never_touched(tmp_path):
    path = write_layers(tmp_path / "o.gpkg", layers(), RECORD)
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"exists already\. Use --overwrite"):
        write_layers(path, layers(), {})
    assert path.read_bytes() == before
    with pytest.raises(OutputError, match="is an input"):
        write_layers(path, layers(), {}, overwrite=True, inputs=[path])
    write_layers(path, layers(), {}, overwrite=True)
    assert read_record(path) == {}


@pytest.mark.parametrize("suffix", [".shp", ".geojson"])
def test_other_formats_hold_the_glaciers(tmp_path, suffix):
    path = write_layers(tmp_path / f"o{suffix}", layers(), RECORD)
    back = read_outlines(path)
    assert len(back) == 2
    epsg = 4326 if suffix == ".geojson" else 32632
    assert back.crs.to_epsg() == epsg
    written = [column for column in GLACIERS if column.name not in OPTIONAL]
    assert list(back.columns) == [column.name for column in written]
    with fiona.open(path) as file:
        names = [
            (column.short or column.name) if suffix == ".shp" else column.name for column in written
        ]
        assert list(file.schema["properties"]) == names
    assert len(back.geometry[0].interiors) == 1


def test_a_geojson_is_cut_at_the_antimeridian(tmp_path):
    # In UTM zone 60 the meridian of 180 degrees crosses this square near its middle.
    zone = CRS.from_epsg(32660)
    x, y = (float(value) for value in transform_points(180.0, 65.0, LONLAT, zone))
    square = shapely.box(x - 700, y - 600, x + 700, y + 600)
    outlines = Outlines(as_geometries([square]), zone, {"complex_id": np.ones(1, int)})
    path = write_layers(tmp_path / "o.geojson", {"complexes": outlines}, {})
    [feature] = json.loads(path.read_text())["features"]
    parts = shapely.get_parts(shapely.geometry.shape(feature["geometry"]))
    assert len(parts) == 2
    assert max(part.bounds[2] - part.bounds[0] for part in parts) < 0.05


def test_other_endings_are_refused(tmp_path):
    for name in ("o.kml", "o"):
        with pytest.raises(OutputError, match=r"outlines are written as \.gpkg, \.shp, \.geojson"):
            write_layers(tmp_path / name, layers(), {})


def test_readers_take_glaciers_else_the_only_layer(tmp_path):
    both = write_layers(tmp_path / "a.gpkg", layers(), {})
    assert "glac_id" in read_outlines(both).columns
    assert "glac_id" not in read_outlines(both, "complexes").columns
    one = write_layers(tmp_path / "b.gpkg", {"complexes": layers()["complexes"]}, {})
    assert "complex_id" in read_outlines(one).columns
    two = {name: layers()[name] for name in ("complexes", "divides")}
    with pytest.raises(OutlineError, match=r"2 layers: complexes, divides\. Give one"):
        read_outlines(write_layers(tmp_path / "c.gpkg", two, {}))
    with pytest.raises(OutlineError, match="no layer 'lakes'"):
        read_outlines(both, "lakes")
    with pytest.raises(OutlineError, match="holds no polygons"):
        read_outlines(write_layers(tmp_path / "d.gpkg", with_a_divide(), {}), "divides")


def with_a_divide():
    line = as_geometries([shapely.LineString([(0, 0), (1, 1)])])
    columns = {"complex_id": np.array([1]), "length_m": np.array([1.4])}
    return {"divides": Outlines(line, UTM, columns)}


def test_foreign_polygons_become_rows_with_complexes(tmp_path):
    schema = {"geometry": "Unknown", "properties": {"name": "str"}}
    multi = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(5, 5, 6, 6)])
    bow = shapely.Polygon([(10, 10), (12, 12), (12, 10), (10, 12)])
    near = shapely.box(1, 0, 2, 1)
    path = tmp_path / "f.gpkg"
    with fiona.open(path, "w", "GPKG", schema=schema, crs="EPSG:32632") as file:
        for name, shape in (("multi", multi), ("bow", bow), ("near", near)):
            file.write({"type": "Feature", "geometry": shape.__geo_interface__,
                        "properties": {"name": name}})  # fmt: skip
    outlines, record = read_complexes(path)
    assert outlines["name"].tolist() == ["multi", "multi", "bow", "bow", "near"]
    assert shapely.is_valid(outlines.geometry).all()
    ids = outlines["complex_id"]
    assert ids[0] == ids[4] != ids[1]  # the first box and its neighbour share a side
    assert ids[2] == ids[3]
    assert record == {}


def write_geojson(path, properties, shapes):
    features = [
        {"type": "Feature", "properties": row, "geometry": shapely.geometry.mapping(shape)}
        for row, shape in zip(properties, shapes, strict=True)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


SQUARES = [shapely.box(x, 46, x + 0.01, 46.01) for x in (10, 10.1, 10.2)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7, 3, 7], [7, 3, 7]),
        (["b", "a", "b"], [1, 2, 1]),
        ([5, None, 5], [1, 2, 1]),
        ([1.5, None, None], [1, 2, 3]),
        ([None, None, None], [1, 2, 3]),
        ([True, False, True], [1, 2, 1]),
    ],
)
def test_complexes_are_told_apart_by_ids_of_any_kind(tmp_path, values, expected):
    rows = [{"complex_id": value, "touches_edge": "perhaps"} for value in values]
    outlines, _ = read_complexes(write_geojson(tmp_path / "c.geojson", rows, SQUARES))
    number = outlines["complex_id"].tolist()
    pairs = {(one, other) for one, other in zip(number, expected, strict=True)}
    assert len(pairs) == len(set(number)) == len(set(expected))
    # A column of ours that holds something else is not taken for it.
    assert "touches_edge" not in outlines.columns
    write_layers(tmp_path / "o.gpkg", {"complexes": add_complex_attributes(outlines)}, {})


def test_outlines_that_overlap_are_told(tmp_path):
    path = write_geojson(tmp_path / "c.geojson", [{}] * 2, [SQUARES[0], SQUARES[0]])
    with pytest.warns(GlacierxWarning, match=r"1 pairs of outlines in c\.geojson overlap"):
        read_complexes(path)


def test_a_table_without_geometry_is_no_layer_to_choose(tmp_path):
    path = tmp_path / "q.gpkg"
    write_layers(path, {"complexes": layers()["complexes"]}, {})
    schema = {"geometry": "None", "properties": {"style": "str"}}
    with fiona.open(path, "w", "GPKG", layer="layer_styles", schema=schema) as file:
        file.write({"type": "Feature", "geometry": None, "properties": {"style": "x"}})
    assert len(read_layer(path).geometry) == 2


@pytest.mark.parametrize(
    ("crs", "shape", "message"),
    [
        (4326, shapely.box(600_000, 5_195_000, 601_000, 5_196_000), "its CRS .EPSG:4326. does not"),
        (32632, shapely.box(1e9, 1e9, 2e9, 2e9), "its CRS .EPSG:32632. does not have"),
    ],
)
def test_coordinates_of_another_crs_are_refused(tmp_path, crs, shape, message):
    outlines = Outlines(as_geometries([shape]), CRS.from_epsg(crs), {"complex_id": np.ones(1, int)})
    path = tmp_path / "c.gpkg"
    with fiona.open(path, "w", "GPKG", crs_wkt=outlines.crs.to_wkt(),
                    schema={"geometry": "Polygon", "properties": {}}) as file:  # fmt: skip
        file.write({"type": "Feature", "geometry": shapely.geometry.mapping(shape),
                    "properties": {}})  # fmt: skip
    with pytest.raises(OutlineError, match=message):
        read_complexes(path)


def test_a_column_of_mixed_values_is_told(tmp_path):
    rows = [{"x": 1}, {"x": "y"}, {"x": 2}]
    path = write_geojson(tmp_path / "m.geojson", rows, SQUARES)
    with pytest.raises(OutlineError, match="numbers and text together"):
        read_outlines(path)


def test_files_that_hold_no_vectors(tmp_path):
    (tmp_path / "text.gpkg").write_text("no database")
    with pytest.raises(OutlineError, match="cannot be read as a vector layer"):
        read_outlines(tmp_path / "text.gpkg")
    with pytest.raises(OutlineError, match="does not exist"):
        read_outlines(tmp_path / "none.gpkg")


def test_outlines_speak_geojson():
    made = layers()["glaciers"]
    features = made.__geo_interface__["features"]
    assert len(features) == 2
    assert features[0]["properties"]["zmin_m"] is None
    assert shapely.geometry.shape(features[1]["geometry"]).equals(made.geometry[1])
    assert json.dumps(made.__geo_interface__)


def test_values_are_not_changed_in_place():
    made = layers()["glaciers"]
    more = made.with_columns(extra=np.array([1, 2]))
    assert "extra" not in made.columns
    assert more.select(np.array([False, True]))["extra"].tolist() == [2]
