"""The command convert, and --format and --cog of others."""

import json
import shutil

import fiona
import numpy as np
import pytest
import shapely
from factories import disc, utm_grid, write_outlines
from factories import run_command as run

import glacierx as gx

SHAPE = (120, 120)
MASK = disc(SHAPE, (60, 38), 30) | disc(SHAPE, (60, 82), 30)


@pytest.fixture
def scene(make_scene):
    return make_scene(MASK)


@pytest.fixture
def dem(make_dem):
    row, column = np.indices(SHAPE) + 0.5
    return make_dem(4000 - 6.0 * np.abs(column - 60) + 0.2 * np.abs(row - 60), utm_grid(SHAPE))


def test_extract_and_divide_write_what_convert_writes(scene, dem, tmp_path):
    ndsi = ("--model", "ndsi", "--dem", dem)
    run("extract", scene, *ndsi, "-o", tmp_path / "o.gpkg")
    for name in ("rgi7", "rgi6", "oggm", "glims"):
        for place in ("one", "other"):
            (tmp_path / place / name).mkdir(parents=True)
        one, other = (tmp_path / place / name / "x" for place in ("one", "other"))
        run("convert", tmp_path / "o.gpkg", "--dem", dem, "--format", name, "-o", one)
        done = run("extract", scene, *ndsi, "--format", name, "-o", other)
        assert done.stdout == f"{other}\n"
        assert sorted(file.name for file in one.iterdir()) == sorted(
            file.name for file in other.iterdir()
        )
        for file in one.iterdir():
            assert file.read_bytes() == (other / file.name).read_bytes(), file.name
    run("divide", tmp_path / "o.gpkg", "--layer", "complexes", "--dem", dem, "--format", "rgi7",
        "-o", tmp_path / "d")  # fmt: skip
    with fiona.open(tmp_path / "d" / "d-G.shp") as file:
        assert len(file) == len(gx.read_outlines(tmp_path / "o.gpkg"))


def test_extract_keeps_rasters_and_a_log_beside_a_folder(scene, dem, tmp_path):
    run("extract", scene, "--dem", dem, "--model", "ndsi", "--format", "rgi7", "-o",
        tmp_path / "x", "--probability", tmp_path / "p.tif", "--log", tmp_path / "l.json",
        "--cog")  # fmt: skip
    log = json.loads((tmp_path / "l.json").read_text())
    assert log["outputs"] == [str(tmp_path / "x"), str(tmp_path / "p.tif")]
    assert gx.open_prediction(tmp_path / "p.tif").record["model"]["name"] == "ndsi"
    run("extract", scene, "--model", "ndsi", "--format", "glims", "-o", tmp_path / "x",
        "--overwrite")  # fmt: skip
    # Another format in the same folder leaves nothing of the one before.
    assert sorted(file.name for file in (tmp_path / "x").iterdir()) == [
        "x-run_record.json", "x.cpg", "x.dbf", "x.prj", "x.shp", "x.shx", "x.txt",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["work", "new", "lock"])
def test_a_folder_may_have_the_name_of_what_lies_beside_its_work(scene, dem, tmp_path, name):
    run("extract", scene, "--model", "ndsi", "--dem", dem, "--format", "rgi7", "-o",
        tmp_path / name)  # fmt: skip
    assert (tmp_path / name / f"{name}-G.shp").exists()
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(
        ["dem.tif", "scene.tif", name]
    )


def test_convert_goes_between_files_by_their_ending(scene, dem, tmp_path):
    run("extract", scene, "--dem", dem, "--model", "ndsi", "-o", tmp_path / "o.gpkg")
    made = gx.read_outlines(tmp_path / "o.gpkg")
    for name in ("o.shp", "o.fgb", "o.geojson", "again.gpkg"):
        run("convert", tmp_path / "o.gpkg", "-o", tmp_path / name)
        back = gx.read_outlines(tmp_path / name)
        # FlatGeobuf orders rows by where they lie.
        assert sorted(back["glac_id"]) == sorted(made["glac_id"])
        assert set(back.columns) == set(made.columns)
        assert back["area_km2"].sum() == pytest.approx(made["area_km2"].sum(), rel=1e-12)
    assert (tmp_path / "again.gpkg").read_bytes() == (tmp_path / "o.gpkg").read_bytes()


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("-o", "x.parquet"), 5, "geopandas (pip install geopandas pyarrow)"),
        (("-o", "x.kml"), 5, "written as .gpkg, .shp, .geojson, .fgb"),
        (("-o", "x.gpkg", "--region", "11"), 2, "Give one with --format"),
        (("-o", "x.gpkg", "--image-id", "a"), 2, "--image-id says something of a format"),
        (("-o", "x.gpkg", "--dem", "dem.tif"), 2, "--dem is read for a format"),
        (("-o", "x", "--format", "rgi7", "--region", "Alps"), 2, "region of RGI"),
        (("-o", "g.gpkg", "--format", "rgi7"), 5, "is a file. Give the name of a folder"),
        (("-o", "taken", "--format", "rgi7"), 5, "holds files already"),
        (("-o", ".", "--format", "rgi7", "--overwrite"), 5, "holds an input"),
        (("-o", "g.gpkg", "--overwrite"), 5, "is an input"),
        (("-o", "x" * 300, "--format", "rgi7"), 5, "name too long"),
        (("-o", "none/x", "--format", "rgi7"), 5, "does not exist"),
    ],
)
def test_what_cannot_be_converted_so_is_told_in_a_line(flags, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_outlines("g.gpkg", [utm_grid(SHAPE).footprint])
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    assert message in run("convert", "g.gpkg", *flags, code=code).replace("File name", "name")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def folder(tmp_path):
    squares = [shapely.box(600_000 + x, 5_195_000, 601_000 + x, 5_196_000) for x in (0, 1000)]
    write_outlines(tmp_path / "g.gpkg", squares)
    run("convert", tmp_path / "g.gpkg", "--format", "rgi7", "-o", tmp_path / "x")
    return tmp_path / "x"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("x-C-CtoG_links.json", "{", "cannot be read as JSON"),
        ("x-C-CtoG_links.json", "[1]", "holds no table of names"),
        ("x-C-CtoG_links.json", '{"C-1": 7}', "does not list the glaciers of C-1"),
        ("x-C-CtoG_links.json", '{"C": ["a"]}', "is no id of a glacier complex"),
        ("x-run_record.json", "nonsense", "cannot be read as JSON"),
        ("y-G.shp", "", "either could be meant"),
        ("x-G.dbf", "nonsense", "x-G.shp has no columns rgi_id"),
    ],
)
def test_a_folder_that_was_spoilt_is_told_in_a_line(folder, file, content, message, tmp_path):
    (folder / file).write_text(content)
    assert message in run("convert", folder, "-o", tmp_path / "back.gpkg", code=4)
    assert not (tmp_path / "back.gpkg").exists()


def test_names_that_are_none_are_told(tmp_path):
    for name in ("x" * 300, "none.gpkg"):
        run("convert", tmp_path / name, "-o", tmp_path / "y.gpkg", code=4)


def test_a_folder_without_outlines_is_told(tmp_path):
    (tmp_path / "x").mkdir()
    assert "holds no outlines" in run("convert", tmp_path / "x", "-o", tmp_path / "y.gpkg", code=4)


def test_columns_of_a_format_with_other_values_are_told(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "y")
    with fiona.open(tmp_path / "y" / "x-I.shp") as file:
        profile, rows = file.profile, list(file)
    fields = {**profile["schema"]["properties"], "length_m": "str:20"}
    del fields["rgi_g_id_2"]
    profile["schema"] = {**profile["schema"], "properties": fields}
    with fiona.open(tmp_path / "y" / "x-I.shp", "w", **profile) as file:
        for row in rows:
            values = {key: str(value) for key, value in row.properties.items() if key in fields}
            file.write({"type": "Feature", "geometry": row.geometry, "properties": values})
    line = run("convert", tmp_path / "y", "-o", tmp_path / "back.gpkg", code=4)
    assert "x-I.shp has no columns rgi_g_id_2" in line
