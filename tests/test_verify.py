"""Verify finds what changed since a run, and does the run again."""

import json
import os
import re
import shutil
import sqlite3

import fiona
import numpy as np
import pytest
import rasterio
import shapely
import torch
from click.testing import CliRunner
from factories import ICE, ROCK, disc, tiny_card, utm_grid, write_outlines, write_tif
from factories import run_command as run

import glacierx as gx
from glacierx.cli.main import group
from glacierx.inputs import same_state
from glacierx.outlines.geopackage import RECORD_TAG, write_layers
from glacierx.outlines.outlines import Outlines
from glacierx.predict.card import Slot
from glacierx.rerun import record_changes
from glacierx.scene.provenance import fingerprint
from glacierx.verify import verify

SHAPE = (120, 120)
MASK = disc(SHAPE, (60, 38), 30) | disc(SHAPE, (60, 82), 30)


@pytest.fixture
def place(tmp_path, make_scene, make_dem):
    """A folder with a scene of two glaciers that touch, what goes with it, and a folder of results.

    The DEM falls away from the column between them, so that this is their divide.
    """
    grid = utm_grid(SHAPE)
    make_scene(MASK)
    random = np.random.default_rng(1)
    with rasterio.open(make_scene(MASK, name="noisy.tif"), "r+") as file:
        file.write((file.read() * random.normal(1, 0.03, SHAPE)).astype("uint16"))
        # NDSI and the like need noise of their own in each band.
        file.write((file.read(2) * random.normal(1, 0.05, SHAPE)).astype("uint16"), 2)
    row, column = np.indices(SHAPE) + 0.5
    make_dem(4000 - 6.0 * np.abs(column - 60) + 0.2 * np.abs(row - 60), grid)
    for role in ("green", "nir", "swir1"):
        values = np.where(MASK, ICE[role], ROCK[role]).astype("float32")
        write_tif(tmp_path / f"{role}.tif", values[None] * 100, grid)
    for folder, role in (("g", "green"), ("n", "nir")):
        (tmp_path / folder).mkdir()
        shutil.copy(tmp_path / f"{role}.tif", tmp_path / folder / "band.tif")
    bad = np.zeros(SHAPE, "uint8")
    bad[50:60, 20:30] = 3
    write_tif(tmp_path / "scl.tif", bad[None], grid)
    write_tif(tmp_path / "g" / "scl.tif", bad[None, ::-1] * 3, grid)
    left, bottom, right, top = grid.bounds
    middle = (left + right) / 2
    write_outlines(tmp_path / "region.gpkg", [shapely.box(left, bottom, middle + 200, top)])
    halves = [shapely.box(left, bottom, middle, top), shapely.box(middle, bottom, right, top)]
    write_outlines(tmp_path / "inventory.gpkg", halves, id=np.array(["a", "b"], dtype=object))
    gx.save_model(gx.build_model(tiny_card()), tmp_path / "tiny.safetensors")
    (tmp_path / "out").mkdir()
    return tmp_path


def save_model_of_roles(folder):
    """Save a model that takes what is computed, and what lies beside the scene."""
    terrain = ("aspect_sin", "aspect_cos", "tangential_curvature", "sadi")
    slots = (Slot("green"), Slot("ndsi", "index"), Slot("coherence", "insar"), Slot("dhdt", "aux"),
             *(Slot(role, "terrain") for role in terrain))  # fmt: skip
    beside = tiny_card(name="beside", inputs=slots, tta="d4")
    gx.save_model(gx.build_model(beside), folder / "beside.safetensors")


RUNS = {
    "the model that ships, with a DEM": "scene.tif --dem dem.tif",
    "a model of a file, views and patches": (
        "scene.tif --dem dem.tif --model tiny.safetensors --tta chu6 --patch-px 32 --keep 0.8 "
        "--threshold 0.4 --batch 2 --precision fp32 --backend torch"
    ),
    "a region": "scene.tif --dem dem.tif --aoi region.gpkg --aoi-buffer-m 35.5 --model ndsi",
    "numbers of the user's": "scene.tif --model ratio:above=2.8,blue=0.08 --median",
    "a threshold of the user's": "scene.tif --model sbtm:role=red,above=0.31",
    "a threshold found": "scene.tif --model sbtm:role=green --date 2023-08-15",
    "otsu without smoothing": "scene.tif --model otsu --smooth-px 0 --min-area-km2 0.02",
    "a mixture": "noisy.tif --model gmm",
    "one band by number": "scene.tif --bands nir=4,green=2 --model sbtm --nodata none",
    "bands in files, a scale and an offset": (
        "--bands nir=nir.tif,green=green.tif,swir1=swir1.tif --scale 0.01 --offset -0.001 "
        "--model ndsi --dem dem.tif"
    ),
    "an offset alone": "scene.tif --offset 0.002 --model otsu",
    "files of one name": "--bands green=g/band.tif,nir=n/band.tif --model sbtm",
    "a sensor": (
        "--bands green=green.tif,nir=nir.tif --sensor sentinel-2 --level l2a-0400 --model sbtm"
    ),
    "a quality mask": "scene.tif --invalid scl.tif=2-3 --model ndsi --dem dem.tif",
    "masks of one name": (
        "scene.tif --invalid scl.tif=2-3 --invalid g/scl.tif=3 --invalid g/scl.tif=9 --model ndsi"
    ),
    "rasters beside the scene": (
        "scene.tif --dem dem.tif --aux coherence=scl.tif --aux dhdt=g/scl.tif:1 "
        "--model beside.safetensors"
    ),
    "an inventory": "scene.tif --divides inventory.gpkg --model ndsi",
    "an inventory and a DEM": "scene.tif --divides inventory.gpkg --dem dem.tif --model ndsi",
    "another method of division": (
        "scene.tif --dem dem.tif --model ndsi --divides kienholz2013 --grid-m 20"
    ),
}


def extract(place, monkeypatch, flags, *more):
    """Run extract where the scene is; its results go elsewhere, so that files are sought."""
    monkeypatch.chdir(place)
    run("extract", *flags.split(), "-o", "out/o.gpkg", *more)
    monkeypatch.chdir(place / "out")


def run_any(*arguments):
    """Run glacierx, whatever comes of it."""
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def states(result):
    """The state of each finding by its name; names of two words by the first."""
    words = (line.split()[:2] for line in result.stdout.splitlines())
    return {name: state for state, name in words}


@pytest.mark.parametrize("flags", RUNS.values(), ids=RUNS)
def test_a_run_is_done_again_to_the_byte(place, monkeypatch, flags):
    save_model_of_roles(place)
    extract(place, monkeypatch, flags, "--probability", "out/p.tif", "--mask", "out/m.tif")
    for name in ("o.gpkg", "p.tif", "m.tif"):
        found = run("verify", name, place, "--rerun").stdout.splitlines()
        kinds = {line.split()[0] for line in found}
        assert kinds <= {"same", "ok"}, found
        assert "byte for byte" in found[-1]
    # Two glaciers or none: a run that finds nothing would be a poor test of a rerun.
    if "tiny" not in flags and "beside" not in flags:
        assert len(gx.read_outlines("o.gpkg")) >= 1


def test_the_steps_are_done_again_too(place, monkeypatch):
    monkeypatch.chdir(place)
    run("predict", "scene.tif", "--model", "ndsi", "-o", "p.tif")
    run("outline", "p.tif", "-o", "c.gpkg", "--min-hole-km2", "0.01")
    run("divide", "c.gpkg", "--dem", "dem.tif", "--probability", "p.tif", "-o", "d.gpkg")
    for name in ("p.tif", "c.gpkg", "d.gpkg"):
        assert "byte for byte" in run("verify", name, "--rerun").stdout


def test_files_are_found_where_the_log_says(place, monkeypatch):
    flags = "scene.tif --dem dem.tif --model tiny.safetensors"
    extract(place, monkeypatch, flags, "--log", "out/l.json")
    found = states(run_any("verify", "o.gpkg"))
    assert found["scene.tif"] == found["dem.tif"] == found["model"] == "missing"
    found = states(run("verify", "o.gpkg", "--log", "l.json"))
    assert found["log"] == "ok"
    assert found["scene.tif"] == found["dem.tif"] == found["model"] == "same"
    # Beside the result and in the current folder.
    shutil.copy(place / "scene.tif", place / "out" / "scene.tif")
    monkeypatch.chdir(place)
    found = states(run("verify", "out/o.gpkg"))
    assert found["scene.tif"] == found["dem.tif"] == found["model"] == "same"


def test_the_log_of_another_run_is_no_log_of_this_one(place, monkeypatch):
    extract(place, monkeypatch, "scene.tif --model ndsi", "--log", "out/l.json")
    monkeypatch.chdir(place)
    run("extract", "scene.tif", "--model", "ndsi:above=0.5", "-o", "out/other.gpkg",
        "--probability", "out/p.tif", "--mask", "out/m.tif", "--log", "out/other.json")  # fmt: skip
    assert "log (problem)" in run("verify", "out/o.gpkg", "--log", "out/other.json", code=8)
    for name in ("other.gpkg", "p.tif", "m.tif"):
        assert states(run("verify", f"out/{name}", "--log", "out/other.json"))["log"] == "ok"
    (place / "no.json").write_text("{}")
    assert "no log" in run("verify", "out/o.gpkg", "--log", "no.json", code=4)
    assert "cannot be read" in run("verify", "out/o.gpkg", "--log", "gone.json", code=4)


@pytest.mark.parametrize(
    ("name", "said"),
    [("scene.tif", "scene.tif"), ("dem.tif", "dem.tif"), ("region.gpkg", "region.gpkg"),
     ("scl.tif", "scl.tif"), ("inventory.gpkg", "inventory.gpkg"), ("tiny.safetensors", "model")],
)  # fmt: skip
def test_one_byte_of_a_file_is_enough(place, monkeypatch, name, said):
    flags = (
        "scene.tif --dem dem.tif --aoi region.gpkg --invalid scl.tif=3 --divides inventory.gpkg "
        "--model tiny.safetensors"
    )
    shutil.rmtree(place / "g")  # It holds a file of the same name.
    extract(place, monkeypatch, flags)
    good = states(run("verify", "o.gpkg", place))
    assert good[said] == "same"
    file = place / name
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    line = run("verify", "o.gpkg", place, "--rerun", code=8)
    assert f"{said} (changed)" in line
    assert "rerun (problem)" in line  # It would not be the same run.
    changed = states(run_any("verify", "o.gpkg", place))
    assert {key for key in good if changed[key] != good[key]} == {said}
    file.rename(place / "away")
    gone = states(run_any("verify", "o.gpkg", place))
    assert {key for key in good if gone[key] != good[key]} == {said}
    assert gone[said] == "missing"


def test_a_file_is_known_by_what_it_holds(place, monkeypatch):
    extract(place, monkeypatch, "scene.tif --model ndsi")
    renamed = (place / "scene.tif").rename(place / "other.tif")
    assert "under another name" in run("verify", "o.gpkg", renamed).stdout
    # The record of the run holds the name.
    result = run("verify", "o.gpkg", renamed, "--rerun")
    assert "same content" in result.stdout
    assert 'inputs: [{"name": "scene.tif"' in result.stdout
    dem = ("--dem", place / "dem.tif", "-o", "d.gpkg")
    run("extract", renamed, "--model", "ndsi", *dem)
    height = (place / "dem.tif").rename(place / "heights.tif")
    assert "same content" in run("verify", "d.gpkg", renamed, height, "--rerun").stdout
    # Of files of one name the one that is the same counts, wherever it lies in the folder.
    for folder in ("x", "y"):
        (place / folder).mkdir()
    (place / "x" / "scene.tif").write_bytes(b"something else")
    renamed.rename(place / "y" / "scene.tif")
    assert states(run("verify", "o.gpkg", place))["scene.tif"] == "same"
    assert "scene.tif (changed)" in run("verify", "o.gpkg", place / "x", code=8)
    assert "does not exist" in run("verify", "o.gpkg", place / "z", code=4)


def test_a_given_file_that_the_run_did_not_read_is_told(place, monkeypatch):
    extract(place, monkeypatch, "scene.tif --model ndsi")
    result = run("verify", "o.gpkg", place / "scene.tif", place / "dem.tif")
    assert states(result)["dem.tif"] == "note"
    assert "no problem" in result.stderr


def test_a_rerun_does_not_warn_again(place, monkeypatch):
    monkeypatch.chdir(place)
    assert (
        "There is no DEM" in run("extract", "scene.tif", "--model", "ndsi", "-o", "o.gpkg").stderr
    )
    assert "Warning" not in run("verify", "o.gpkg", "--rerun").stderr


def test_the_shipped_model_that_another_took_the_place_of_has_changed(place, monkeypatch):
    from glacierx.predict import model as models

    extract(place, monkeypatch, "scene.tif")
    assert "ships with glacierx" in run("verify", "o.gpkg", place / "scene.tif").stdout
    folder = place / "weights"
    folder.mkdir()
    shutil.copy(place / "tiny.safetensors", folder / "starter.safetensors")
    monkeypatch.setattr(models, "WEIGHTS", folder)
    result = run_any("verify", "o.gpkg", place / "scene.tif")
    assert states(result)["model"] == "changed"
    assert "ships another starter" in result.stdout


@pytest.mark.parametrize(
    ("facts", "state"),
    [({"weak": True}, "unknown"), ({"weak": True, "bytes": 5, "mtime": 7}, "unknown"),
     ({"weak": True, "bytes": 6, "mtime": 7}, "changed")],
)  # fmt: skip
def test_a_file_without_a_hash_cannot_be_told(tmp_path, facts, state, monkeypatch):
    path = tmp_path / "large.tif"
    path.write_bytes(b"12345")
    os.utime(path, (7, 7))
    monkeypatch.setattr("glacierx.scene.provenance.HASH_LIMIT_BYTES", 4)
    found, why = same_state(str(path), {"name": "large.tif", **facts})
    assert found == state
    assert state == "changed" or "cannot be told" in why
    # With a hash in the record a large file is hashed again, however long that takes.
    whole = fingerprint(path, always_hash=True)
    assert same_state(str(path), whole)[0] == "same"


def test_a_large_scene_is_unknown_but_no_fault(place, monkeypatch):
    monkeypatch.setattr("glacierx.scene.provenance.HASH_LIMIT_BYTES", 1000)
    extract(place, monkeypatch, "scene.tif --model ndsi")
    result = run("verify", "o.gpkg", place / "scene.tif", "--rerun")
    assert states(result)["scene.tif"] == "unknown"
    assert "byte for byte" in result.stdout


def edit(path, layer, change):
    """Rewrite a layer of a GeoPackage feature by feature, as a person in a GIS does."""
    with fiona.open(path, layer=layer) as source:
        tags, profile = source.tags(), source.profile
        features = [
            {"geometry": feature.geometry.__geo_interface__, "properties": dict(feature.properties)}
            for feature in source
        ]
    features = change(features)
    with fiona.open(path, "w", **{**profile, "layer": layer}) as sink:
        sink.update_tags(tags)
        sink.writerecords(features)


def moved_vertex(features):
    first, *rest = features
    rings = [list(ring) for ring in first["geometry"]["coordinates"]]
    x, y = rings[0][1]
    rings[0][1] = (x + 1.5, y)
    return [{**first, "geometry": {"type": "Polygon", "coordinates": rings}}, *rest]


def bow_tie(features):
    first, *rest = features
    ring = [(600_000, 5_199_000), (600_100, 5_199_100), (600_100, 5_199_000),
            (600_000, 5_199_100), (600_000, 5_199_000)]  # fmt: skip
    return [{**first, "geometry": {"type": "Polygon", "coordinates": [ring]}}, *rest]


def same_id(features):
    one, other, *rest = features
    properties = {**other["properties"], "glac_id": one["properties"]["glac_id"]}
    return [one, {**other, "properties": properties}, *rest]


def other_name(features):
    first, *rest = features
    return [{**first, "properties": {**first["properties"], "slope_deg": 77.0}}, *rest]


EDITS = {
    "a vertex": (moved_vertex, "area_km2 is not that of the polygon", "the geometry of 1 of 2"),
    "a bow tie": (bow_tie, "not valid", "the geometry of 1 of 2"),
    "an id": (same_id, "more than once", "glac_id in 1 of 2 rows"),
    "a number": (other_name, "", "slope_deg in 1 of 2 rows"),
    "a row": (lambda features: features[:1], "", "1 rows in the result, 2 in the run"),
}


@pytest.mark.parametrize(("change", "unsound", "differs"), EDITS.values(), ids=EDITS)
def test_an_edited_result_is_told(place, monkeypatch, change, unsound, differs):
    extract(place, monkeypatch, "scene.tif --dem dem.tif --model ndsi")
    assert len(gx.read_outlines("o.gpkg")) == 2
    edit("o.gpkg", "glaciers", change)
    result = run_any("verify", "o.gpkg", place)
    assert (states(result)["glaciers"] == "problem") == bool(unsound)
    assert unsound in result.stdout
    again = run_any("verify", "o.gpkg", place, "--rerun")
    assert again.exit_code == 8
    assert differs in again.stdout
    assert "changed after it was written" in again.stdout
    assert states(again)["rerun"] == "differs"


def test_a_moved_vertex_is_measured(place, monkeypatch):
    extract(place, monkeypatch, "scene.tif --dem dem.tif --model ndsi")
    before = gx.read_outlines("o.gpkg")
    edit("o.gpkg", "glaciers", moved_vertex)
    after = gx.read_outlines("o.gpkg")
    [off] = [
        a.symmetric_difference(b).area
        for a, b in zip(before.geometry, after.geometry, strict=True)
        if not a.equals_exact(b, 0)
    ]
    said = run_any("verify", "o.gpkg", place, "--rerun").stdout
    # The scale of UTM is within 0.0004 of one on the map, twice that for areas.
    [shown] = re.findall(r"geometry of 1 of 2 \(.*?\), ([\d.e-]+) km2", said)
    assert float(shown) == pytest.approx(off / 1e6, rel=1e-3)
    assert str(before["glac_id"][0]) in said


def test_a_column_taken_away_and_a_file_touched_are_told_apart(place, monkeypatch):
    extract(place, monkeypatch, "scene.tif --dem dem.tif --model ndsi")
    with sqlite3.connect("o.gpkg") as file:
        file.execute("CREATE TABLE notes (text TEXT)")
    file.close()
    result = run("verify", "o.gpkg", place, "--rerun")
    assert "the same content; the file's bytes differ" in result.stdout
    glaciers, record = gx.read_outlines("o.gpkg"), gx.read_record("o.gpkg")
    columns = {key: value for key, value in glaciers.columns.items() if key != "zmax_m"}
    less = Outlines(glaciers.geometry, glaciers.crs, columns)
    write_layers("less.gpkg", {"glaciers": less}, record)
    result = run_any("verify", "less.gpkg", place, "--rerun")
    assert result.exit_code == 8
    assert "the column zmax_m is missing" in result.stdout
    assert "the column zmax_m is in the run alone" in result.stdout


@pytest.mark.parametrize("kind", ["probability", "mask"])
def test_pixels_that_were_changed_are_counted(place, monkeypatch, kind):
    flags = ("--probability", "out/probability.tif", "--mask", "out/mask.tif")
    extract(place, monkeypatch, "scene.tif --model ndsi", *flags)
    with rasterio.open(f"{kind}.tif", "r+") as file:
        values = file.read(1)
        values[3, 5:9] = 1 - values[3, 5:9] if kind == "mask" else 50
        file.write(values, 1)
    assert states(run("verify", f"{kind}.tif", place))[kind] == "ok"
    result = run_any("verify", f"{kind}.tif", place, "--rerun")
    assert result.exit_code == 8
    # 50 steps of 0.004.
    assert f"{kind}: 4 pixels" + ", by 0.200" * (kind == "probability") in result.stdout
    with rasterio.open(f"{kind}.tif", "r+") as file:
        values[3, 5] = 252
        file.write(values, 1)
    assert states(run_any("verify", f"{kind}.tif", place))[kind] == "problem"


def test_a_file_without_a_record_says_so(place, monkeypatch):
    monkeypatch.chdir(place)
    for name in ("scene.tif", "tiny.safetensors", "gone.gpkg", "gone.tif"):
        assert name in run("verify", name, code=4)
    assert "holds no run record" in run("verify", "scene.tif", code=4)
    run("extract", "scene.tif", "--model", "ndsi", "-o", "o.geojson")
    assert "holds no run record" in run("verify", "o.geojson", code=4)
    # Outlines of somebody else.
    write_layers("bare.gpkg", {"glaciers": gx.read_outlines("o.geojson")}, {})
    assert "empty" in run("verify", "bare.gpkg", code=4)


def with_record(path, change):
    """Change the run record of a GeoPackage in every layer."""
    for layer in sorted(set(fiona.listlayers(path)) - {"layer_styles"}):
        with fiona.open(path, layer=layer) as source:
            tags, profile, features = source.tags(), source.profile, list(source)
        record = change(json.loads(tags[RECORD_TAG]))
        with fiona.open(path, "w", **{**profile, "layer": layer}) as sink:
            text = record if isinstance(record, str) else json.dumps(record, sort_keys=True)
            sink.update_tags({**tags, RECORD_TAG: text})
            sink.writerecords(features)


def without(*keys):
    def change(record):
        part = record
        for key in keys[:-1]:
            part = part[key]
        del part[keys[-1]]
        return record

    return change


OLD = {
    "no options": (without("options"), "does not say"),
    "an option fewer": (without("options", "outline", "smooth_px"), "option smooth_px"),
    "no median": (without("options", "predict", "median"), "option"),
    "no bands": (without("scene", "bands"), "the scene's bands"),
    "no numbers": (without("model", "thresholds"), "numbers of ndsi"),
    "no band of the DEM": (without("dem", "band"), "which band of the DEM"),
    "no model": (without("model"), "names no model"),
    "no inputs": (without("inputs"), "which file holds"),
    "nonsense": (lambda record: dict.fromkeys(record, 3), "names no model"),
}


@pytest.mark.parametrize(("change", "said"), OLD.values(), ids=OLD)
def test_a_record_of_another_version_ends_in_one_line(place, monkeypatch, change, said):
    extract(place, monkeypatch, "scene.tif --dem dem.tif --model ndsi")
    with_record("o.gpkg", change)
    result = run_any("verify", "o.gpkg", place, "--rerun")
    assert result.exit_code == 8, result.output
    [line] = [line for line in result.stdout.splitlines() if line.split()[1] == "rerun"]
    assert line.startswith("problem")
    assert said in line
    assert states(run("verify", "o.gpkg", place))["glaciers"] == "ok"


def test_a_record_without_the_number_of_an_input_goes_by_its_name(place, monkeypatch):
    flags = "--bands green=green.tif,nir=nir.tif --model sbtm"
    extract(place, monkeypatch, flags)

    def older(record):
        for band in record["scene"]["bands"].values():
            del band["input"]
        return record

    with_record("o.gpkg", older)
    result = run("verify", "o.gpkg", place, "--rerun")
    assert "same content" in result.stdout
    assert "scene.bands.green.input: null -> " in result.stdout


def test_a_newer_record_is_not_run_by_halves(place, monkeypatch):
    extract(place, monkeypatch, "scene.tif --model ndsi")
    newer = {"outline": {"magic_m": 3.0}}

    def change(record):
        record["options"]["outline"] |= newer["outline"]
        return record

    with_record("o.gpkg", change)
    result = run_any("verify", "o.gpkg", place, "--rerun")
    assert result.exit_code == 8
    assert "option magic_m, which this version" in result.stdout


def test_a_damaged_record_is_bad_input(place, monkeypatch):
    extract(place, monkeypatch, "scene.tif --model ndsi")
    shutil.copy("o.gpkg", "two.gpkg")
    with_record("o.gpkg", lambda record: json.dumps(record)[:50])
    assert "damaged" in run("verify", "o.gpkg", code=4)
    other = iter([{"scene": {"name": name}} for name in "abcd"])
    with_record("two.gpkg", lambda record: next(other))
    assert "different runs" in run("verify", "two.gpkg", code=4)


def test_versions_that_differ_are_a_note_and_explain(place, monkeypatch):
    extract(place, monkeypatch, "scene.tif --model otsu")

    def older(record):
        record["versions"]["scipy"] = "0.0.1"
        record["model"]["thresholds"]["green"] += 0.01
        return record

    with_record("o.gpkg", older)
    result = run("verify", "o.gpkg", place)
    assert states(result)["versions"] == "note"
    assert "scipy 0.0.1 then" in result.stdout
    edit("o.gpkg", "glaciers", moved_vertex)
    again = run_any("verify", "o.gpkg", place, "--rerun")
    assert again.exit_code == 8
    [cause] = [line for line in again.stdout.splitlines() if line.split()[1] == "cause"]
    assert "versions.scipy" in cause
    assert "model.thresholds.green" in cause


def test_a_device_that_is_not_here_is_told(place, monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    extract(place, monkeypatch, "scene.tif --model tiny.safetensors --precision fp32")

    def elsewhere(record):
        record["options"]["predict"]["device"] = "cuda"
        return record

    with_record("o.gpkg", elsewhere)
    result = run("verify", "o.gpkg", place, "--rerun")
    assert "it ran on cuda, torch, fp32, which this machine does not have" in result.stdout


def test_json_holds_every_line(place, monkeypatch):
    extract(place, monkeypatch, "scene.tif --model ndsi")
    result = run_any("verify", "o.gpkg", "--json", "-")
    assert result.exit_code == 8
    record = json.loads(result.stdout)
    assert record["ok"] is False
    assert {one["name"]: one["state"] for one in record["findings"]}["scene.tif"] == "missing"
    run("verify", "o.gpkg", place, "--json", "v.json")
    assert json.loads((place / "out" / "v.json").read_text())["ok"] is True
    assert "is an input" in run("verify", "o.gpkg", "--json", "o.gpkg", "--overwrite", code=5)


def test_the_library_does_the_same(place, monkeypatch):
    extract(place, monkeypatch, "scene.tif --model ndsi")
    [scene, model, *_] = verify("o.gpkg", [place])
    assert (scene.name, scene.state) == ("scene.tif", "same")
    assert (model.name, model.state) == ("model", "same")


def test_changes_of_records_are_named_by_their_keys():
    one = {"a": {"b": 1, "c": [1, 2]}, "d": None}
    other = {"a": {"b": 2, "c": [1, 2]}, "e": "x"}
    assert record_changes(one, other) == ["a.b: 1 -> 2", 'e: null -> "x"']
