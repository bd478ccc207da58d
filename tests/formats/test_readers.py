"""Libraries that others read our files with, where they are installed."""

import json
import sqlite3
import warnings
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import shapely
from factories import run_command as run

import glacierx as gx


@pytest.fixture
def geopandas():
    return pytest.importorskip("geopandas")


@pytest.fixture
def oggm(tmp_path):
    """OGGM without its tables of regions, which it would download."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = import_module("oggm")
            for part in ("cfg", "workflow", "tasks", "utils"):
                import_module(f"oggm.{part}")
    except (ImportError, OSError) as error:  # It also downloads when it is imported.
        pytest.skip(f"no OGGM: {error}")
    pandas = import_module("pandas")
    names = pandas.Series({0: "None", 11: "Central Europe"})
    for version in ("6", "7"):
        found.utils._funcs._RGI_METADATA[version] = (names, pandas.Series({"11-01": "Alps"}))
    found.cfg.initialize_minimal(logging_level="ERROR")
    found.cfg.PARAMS["use_multiprocessing"] = False
    found.cfg.PARAMS["border"] = 10
    found.cfg.PATHS["working_dir"] = str(tmp_path / "oggm")
    (tmp_path / "oggm").mkdir()
    return found


def test_geopandas_takes_outlines_as_features(geopandas, layers):
    made = layers["glaciers"]
    frame = geopandas.GeoDataFrame.from_features(made, crs=made.crs.to_wkt())
    assert list(frame.columns) == ["geometry", *made.columns]
    assert frame.crs.to_epsg() == 32632
    assert frame["glac_id"].tolist() == made["glac_id"].tolist()
    assert frame["area_km2"].tolist() == made["area_km2"].tolist()
    assert frame["ref_name"][0] == "Grüner Ferner"
    assert all(a.equals(b) for a, b in zip(frame.geometry, made.geometry, strict=True))
    assert frame.area.sum() == pytest.approx(shapely.area(made.geometry).sum())


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".fgb"])
def test_geopandas_reads_every_kind_of_file(geopandas, result, layers, suffix, tmp_path):
    path = tmp_path / f"again{suffix}"
    run("convert", result, "-o", path)
    chosen = {"layer": "glaciers"} if suffix == ".gpkg" else {}
    frame = geopandas.read_file(path, **chosen)
    assert sorted(frame["glac_id"]) == sorted(layers["glaciers"]["glac_id"])
    assert frame.crs.to_epsg() == (4326 if suffix == ".geojson" else 32632)
    assert frame["area_km2"].sum() == pytest.approx(layers["glaciers"]["area_km2"].sum())


@pytest.mark.parametrize(
    ("name", "file"),
    [("rgi7", "x-G.shp"), ("rgi6", "00_rgi60_x.shp"), ("oggm", "x-outlines.gpkg"),
     ("glims", "x.shp")],
)  # fmt: skip
def test_geopandas_reads_every_format(geopandas, result, layers, name, file, tmp_path):
    run("convert", result, "--format", name, "-o", tmp_path / "x")
    frame = geopandas.read_file(tmp_path / "x" / file)
    assert len(frame) == 3
    assert frame.crs.to_epsg() == 4326
    assert frame.is_valid.all()
    km2 = frame.to_crs(6933).area.sum() / 1e6
    assert km2 == pytest.approx(layers["glaciers"]["area_km2"].sum(), rel=1e-4)


def test_pyogrio_sees_styles_as_a_table_beside_the_layers(result):
    pyogrio = pytest.importorskip("pyogrio")
    found = dict(pyogrio.list_layers(result).tolist())
    assert found == {
        "glaciers": "Polygon", "complexes": "Polygon", "divides": "LineString",
        "layer_styles": None,
    }  # fmt: skip
    info = pyogrio.read_info(result, layer="glaciers")
    assert info["features"] == 3
    assert info["layer_metadata"]["GLACIERX_RECORD"].startswith("{")


FOR_OGGM = {
    "oggm": ("x-outlines.gpkg", "x-intersects.gpkg"),
    "rgi6": ("11_rgi60_x.shp", "intersects_11_rgi60_x.shp"),
    "rgi7": ("x-G-11.shp", "x-I-11.shp"),
}


@pytest.mark.parametrize("name", FOR_OGGM)
def test_oggm_takes_them_as_they_are(oggm, geopandas, result, layers, dem, tmp_path, name):
    folder, (file, lines) = tmp_path / "x", FOR_OGGM[name]
    run("convert", result, "--format", name, "--region", "11-01", "--dem", dem, "-o", folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # They are OGGM's.
        oggm.cfg.set_intersects_db(str(folder / lines))
        oggm.cfg.PATHS["dem_file"] = str(dem)
        glaciers = oggm.workflow.init_glacier_directories(geopandas.read_file(folder / file))
        assert len(glaciers) == 3
        for one in glaciers:
            oggm.tasks.define_glacier_region(one, source="USER")
            oggm.tasks.glacier_masks(one)
        beside = [one.read_shapefile("intersects") for one in glaciers[:2]]
    assert [len(one) for one in beside] == [1, 1]
    made = layers["glaciers"]
    for index, one in enumerate(glaciers):
        assert one.rgi_area_km2 == pytest.approx(made["area_km2"][index], rel=1e-9)
        assert one.cenlon == pytest.approx(made["cenlon"][index])
        assert one.rgi_date == 2019  # the last year that OGGM takes; the scene is of 2023
        assert one.rgi_region == "11"
    assert glaciers[0].name == "Grüner Ferner"


def test_the_example_of_oggm_makes_a_directory_of_each_glacier(oggm, tmp_path):
    path = Path(__file__).parents[2] / "examples" / "outlines_in_oggm.py"
    specification = spec_from_file_location("outlines_in_oggm", path)
    example = module_from_spec(specification)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # They are OGGM's.
        specification.loader.exec_module(example)
        made = example.main(tmp_path)
    found = gx.read_result(tmp_path / "alps")[0]["glaciers"]
    assert made == len(found) > 5
    assert len(list(tmp_path.glob("per_glacier/**/centerlines.pkl"))) == made


def test_a_geopackage_is_whole_and_names_its_extensions(result):
    file = sqlite3.connect(result)
    assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert file.execute("PRAGMA foreign_key_check").fetchall() == []
    tables = {name for (name,) in file.execute("SELECT name FROM sqlite_master")}
    rows = file.execute("SELECT table_name, extension_name, scope FROM gpkg_extensions").fetchall()
    assert {name for name, *_ in rows if name} <= tables
    assert {name for name, kind, _ in rows if kind == "gpkg_schema"} == {
        "gpkg_data_columns",
        "gpkg_data_column_constraints",
    }
    file.close()


def test_features_are_json(layers):
    features = json.loads(json.dumps(layers["glaciers"].__geo_interface__))["features"]
    assert features[1]["properties"]["ref_name"] is None
    assert np.array(features[0]["geometry"]["coordinates"][0]).shape[1] == 2
    assert gx.Outlines.__geo_interface__.__doc__
