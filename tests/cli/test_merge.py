"""glacierx merge as a user runs it."""

import os
import re
import shutil

import numpy as np
import pytest
import rasterio
from factories import disc, run_command, utm_grid

import glacierx as gx
from glacierx.outlines.geopackage import read_layers, write_layers


@pytest.fixture
def results(make_scene, tmp_path):
    """What a batch leaves: a folder for each of two scenes of 1.2 km that overlap by 0.6 km.

    A disc with a radius of 0.3 km lies in the middle of the overlap, 0.9 km from the corner.
    """
    folder = tmp_path / "out dir"
    for name, start, date in (("wést [1]", 0, "2019-08-01"), ("east", 60, "2021-08-01")):
        ice = disc((120, 180), (60, 90), 25)[:, start : start + 120]
        grid = utm_grid((120, 120), corner=(600_000 + 10 * start, 5_200_000))
        scene = make_scene(ice, grid=grid, name=f"{name}.tif")
        (folder / name).mkdir(parents=True)
        output = folder / name / f"{name}.gpkg"
        run_command("extract", scene, "--model", "ndsi", "--date", date, "-o", output, "-q")
    return folder


def test_a_folder_of_results_becomes_one_file(results, tmp_path):
    region = tmp_path / "region.gpkg"
    done = run_command("merge", results, "-o", region)
    assert done.stdout.split() == [str(region)]
    assert re.search(r"1 glacier in 1 complex, [0-9.]+ km2, of 2 scenes; 0 joined", done.stderr)
    [row] = gx.read_outlines(region).rows()
    assert (row["source"], row["rule"], row["src_date"]) == ("east", "newest", "2021-08-01")
    assert row["area_km2"] == pytest.approx(np.pi * 0.25**2, rel=0.01)
    assert {one["footprint"] for one in gx.read_record(region)["merge"]} == {"footprint"}
    # The same from patterns, from files in another order, and written as a shapefile.
    again = tmp_path / "again.gpkg"
    run_command("merge", results / "east" / "*.gpkg", results / "w*" / "*.gpkg", "-o", again, "-q")
    assert again.read_bytes() == region.read_bytes()
    run_command("merge", results, "-o", tmp_path / "region.shp", "-q")
    assert gx.read_outlines(tmp_path / "region.shp")["source"].tolist() == ["east"]


def test_a_region_goes_into_the_folder_of_a_format(results, tmp_path):
    run_command(
        "merge", results, "--format", "rgi7", "--region", "11", "-o", tmp_path / "rgi", "-q"
    )
    [glacier] = gx.read_result(tmp_path / "rgi")[0]["glaciers"].rows()
    assert glacier["src_date"] == "2021-08-01"
    assert glacier["area_km2"] == pytest.approx(np.pi * 0.25**2, rel=0.01)
    line = run_command("merge", results, "--region", "11", "-o", tmp_path / "r.gpkg", code=2)
    assert "Give one with --format" in line


def test_a_region_in_the_folder_of_its_scenes_is_left_out(results):
    region = results / "region.gpkg"
    run_command("merge", results, "-o", region, "-q")
    first = region.read_bytes()
    assert "exists already" in run_command("merge", results, "-o", region, code=5)
    done = run_command("merge", results, "-o", region, "--overwrite")
    assert "Left out, as they are not of one scene: region.gpkg" in done.stderr
    assert region.read_bytes() == first
    line = run_command("merge", region, "-o", results / "other.gpkg", code=4)
    assert "region.gpkg is a merged inventory" in line


def test_what_cannot_be_merged_is_refused_in_a_line(results, tmp_path):
    east = results / "east" / "east.gpkg"
    before = east.read_bytes()
    assert "is an input" in run_command("merge", results, "-o", east, "--overwrite", code=5)
    assert east.read_bytes() == before
    out = tmp_path / "region.gpkg"
    assert "does not exist" in run_command("merge", tmp_path / "none.gpkg", "-o", out, code=4)
    assert "does not exist" in run_command("merge", tmp_path / "no*.gpkg", "-o", out, code=4)
    (tmp_path / "empty").mkdir()
    assert "holds no GeoPackage" in run_command("merge", tmp_path / "empty", "-o", out, code=4)
    assert "is no CRS" in run_command("merge", results, "--crs", "moon", "-o", out, code=2)
    assert "--prefer" in run_command("merge", results, "--prefer", "best", "-o", out, code=2)
    assert not out.exists()


def test_the_same_file_counts_once(results, tmp_path):
    east = results / "east" / "east.gpkg"
    shutil.copy(east, tmp_path / "copy.gpkg")
    out = tmp_path / "region.gpkg"
    done = run_command("merge", east, os.path.relpath(east), tmp_path / "copy.gpkg", "-o", out)
    assert "read once: copy.gpkg (as east.gpkg)" in done.stderr
    assert gx.read_outlines(out)["rule"].tolist() == ["only"]


def test_a_scene_without_its_footprint_goes_by_its_frame(results, tmp_path):
    for name in ("wést [1]", "east"):
        path = results / name / f"{name}.gpkg"
        layers, record = read_layers(path)
        del layers["footprint"]
        if name == "east":
            # The newer scene sees no ice now.
            layers = {key: rows.select(np.zeros(len(rows), bool)) for key, rows in layers.items()}
        write_layers(path, layers, record, overwrite=True)
    run_command("merge", results, "-o", tmp_path / "region.gpkg", "-q")
    region = tmp_path / "region.gpkg"
    assert len(gx.read_outlines(region)) == 0
    assert {one["footprint"] for one in gx.read_record(region)["merge"]} == {"frame"}


def test_nodata_of_a_newer_scene_takes_no_ice_away(make_scene, tmp_path):
    ice, grid = disc((120, 120), (60, 40), 25), utm_grid((120, 120))
    older = make_scene(ice, grid=grid, name="older.tif")
    newer = make_scene(ice, grid=grid, name="newer.tif", nodata=0)
    with rasterio.open(newer, "r+") as file:
        # The western two thirds, where the glacier lies, were not seen.
        file.write(file.read() * np.where(np.arange(120) < 80, 0, 1).astype("uint16"))
    for path, date in ((older, "2019-08-01"), (newer, "2021-08-01")):
        run_command("extract", path, "--model", "ndsi", "--date", date, "-q",
                    "-o", path.with_suffix(".gpkg"))  # fmt: skip
    run_command("merge", older.with_suffix(".gpkg"), newer.with_suffix(".gpkg"),
                "-o", tmp_path / "region.gpkg", "-q")  # fmt: skip
    [row] = gx.read_outlines(tmp_path / "region.gpkg").rows()
    assert (row["source"], row["rule"]) == ("older", "only")
    newest = gx.read_outlines(newer.with_suffix(".gpkg"), "footprint")
    assert newest.geometry[0].area == pytest.approx(40 * 10 * 1200)
    # The valid ground is a rectangle: what is missing is a collar, no cloud.
    assert newest["invalid_share"].tolist() == [0]
