import json

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from factories import disc, utm_grid, write_tif

from glacierx.cli.main import group

MASK = disc((60, 60), (30, 30), 20)


def run(*arguments, code=0):
    result = CliRunner().invoke(group, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def folder(tmp_path, make_scene, monkeypatch):
    make_scene(MASK)
    make_scene(MASK, scales=None, name="raw.tif")
    write_tif(
        tmp_path / "truth.tif", np.where(MASK, 2, 0).astype("uint8")[None], utm_grid((60, 60))
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


FIT = ("--scene", "scene.tif", "--outlines", "truth.tif", "--positive", "2")


@pytest.mark.parametrize("name", ["ratio", "ndsi", "sbtm", "gmm:role=green", "rf"])
def test_a_method_is_fitted_shown_and_used(folder, name):
    if name.startswith("gmm"):
        noise = np.random.default_rng(0).normal(1, 0.05, (5, 60, 60))
        with rasterio.open("scene.tif", "r+") as file:
            file.write((file.read() * noise).astype("uint16"))
    result = run("fit", name, *FIT, "-o", "m.safetensors")
    assert result.stdout == "m.safetensors\n"
    short = name.partition(":")[0]
    assert f"{short}: " in result.stderr
    assert "IoU 1.000" in result.stderr
    shown = json.loads(run("models", "show", "m.safetensors").stdout)
    assert (shown["name"], shown["kind"]) == (short, "pixel method")
    assert str(folder) not in json.dumps(shown)
    run("predict", "scene.tif", "--model", "m.safetensors", "-o", "p.tif", "--mask", "mask.tif")
    with rasterio.open("mask.tif") as file:
        assert np.array_equal(file.read(1) == 1, MASK)
        record = json.loads(file.tags()["GLACIERX_RECORD"])
    assert record["model"]["fitted"]


def test_fitting_again_gives_the_same_file(folder):
    for name in ("a", "b"):
        run("fit", "rf", *FIT, "--seed", 5, "-o", f"{name}.safetensors")
    assert (folder / "a.safetensors").read_bytes() == (folder / "b.safetensors").read_bytes()


def test_outlines_of_a_vector_file_are_fitted_to(folder):
    run("extract", "scene.tif", "--model", "ndsi", "-o", "outlines.gpkg", "--smooth-px", 0)
    vector = ("--scene", "scene.tif", "--outlines", "outlines.gpkg", "--layer", "complexes")
    assert "IoU 1.000" in run("fit", "ratio", *vector, "-o", "m.safetensors").stderr


def test_methods_take_parameters_and_a_median(folder):
    run("predict", "raw.tif", "--model", "ratio:above=2.8,blue=700", "--median", "-o", "p.tif")
    with rasterio.open("p.tif") as file:
        record = json.loads(file.tags()["GLACIERX_RECORD"])
    assert record["model"]["thresholds"] == {"ratio": 2.8, "blue": 700}
    assert record["options"]["predict"] == {"median": True}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fit", "ratio", *FIT, "-o", "m.pkl"], 6, "ending .safetensors"),
        (["fit", "ratio", *FIT, "-o", "truth.tif", "--overwrite"], 6, "ending .safetensors"),
        (["fit", "otsu", *FIT, "-o", "m.safetensors"], 2, "nothing to fit"),
        (["fit", "ratio", *FIT[:4], "-o", "m.safetensors"], 4, "--positive"),
        (["fit", "ratio", *FIT, "--scene", "raw.tif", "-o", "m.safetensors"], 4, "different units"),
        (["fit", "ratio", *FIT, "--outlines", "x.tif", "-o", "m.safetensors"], 2,
         "2 files of outlines were given for 1"),
        (["fit", "ratio", "--scene", "scene.tif", "--outlines", "none.gpkg", "-o",
          "m.safetensors"], 4, "none.gpkg"),
        (["fit", "ratio", "-o", "m.safetensors"], 2, "--scene"),
        (["fit", "ratio", *FIT, "-o", "old.safetensors"], 5, "exists already"),
        (["predict", "scene.tif", "--model", "ratio:more=2", "-o", "p.tif"], 2, "ratio takes"),
        (["predict", "scene.tif", "--model", "rf", "-o", "p.tif"], 2, "glacierx fit rf"),
        (["predict", "scene.tif", "--model", "old.safetensors", "-o", "p.tif"], 6, "safetensors"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_leaves_nothing(folder, arguments, code, message):
    (folder / "old.safetensors").write_text("precious")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    output = run(*arguments, code=code).stderr
    assert message in output
    assert "Traceback" not in output
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_model_is_an_input_that_no_result_replaces(folder):
    run("fit", "ratio", *FIT, "-o", "m.safetensors")
    (folder / "m.safetensors").rename("m.tif")
    before = (folder / "m.tif").read_bytes()
    for flags in (("-o", "m.tif"), ("-o", "p.tif", "--mask", "m.tif")):
        result = run("predict", "scene.tif", "--model", "m.tif", *flags, "--overwrite", code=5)
        assert "is an input" in result.stderr
    assert (folder / "m.tif").read_bytes() == before
