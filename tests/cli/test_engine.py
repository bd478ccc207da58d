"""Flags that say what a network runs on, what it will take and what it took."""

import re

import numpy as np
import pytest
from factories import disc, tiny_card
from factories import run_command as run

import glacierx as gx
from glacierx.predict.modelfile import build_model, save_network
from glacierx.profile import STAGES

MASK = disc((120, 120), (60, 60), 40)


@pytest.fixture
def model(tmp_path):
    return save_network(build_model(tiny_card()), tmp_path / "tiny.safetensors")


@pytest.fixture
def scene(make_scene):
    return make_scene(MASK)


def test_profile_tells_where_the_time_went(scene, model, tmp_path):
    result = run("extract", scene, "--model", model, "-o", tmp_path / "o.gpkg", "--profile")
    told = [line.split()[0] for line in result.stderr.splitlines() if re.search(r"\d s +\d", line)]
    assert told == list(STAGES)
    assert result.stdout.split() == [str(tmp_path / "o.gpkg")]
    quiet = run("predict", scene, "--model", model, "-o", tmp_path / "p.tif", "--profile")
    told = [line.split()[0] for line in quiet.stderr.splitlines() if re.search(r"\d s +\d", line)]
    assert told == ["read", "normalise", "network", "stitch", "write"]


def test_estimate_tells_and_writes_nothing(scene, model, tmp_path):
    before = sorted(file.name for file in tmp_path.iterdir())
    result = run("extract", scene, "--model", model, "-o", tmp_path / "o.gpkg", "--estimate")
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["patches", "memory", "disk", "time"]
    assert sorted(file.name for file in tmp_path.iterdir()) == before
    refused = run("extract", scene, "--model", "ndsi", "-o", tmp_path / "o.gpkg", "--estimate",
                  code=2)  # fmt: skip
    assert "ndsi is a pixel method" in refused


def test_batches_threads_and_precision_are_taken(scene, model, tmp_path):
    plain = ["--device", "cpu", "--backend", "torch", "--precision", "fp32"]
    found = []
    for name, flags in {
        "a": [], "b": ["--batch", "3"], "c": ["--batch", "auto", "--workers", "3"],
    }.items():  # fmt: skip
        path = tmp_path / f"{name}.tif"
        run("predict", scene, "--model", model, "-o", path, *plain, *flags)
        found.append(gx.read_raster(path).values)
    assert np.abs(found[0].astype(int) - found[1]).max() <= 1
    assert np.array_equal(found[0], found[2])


@pytest.mark.parametrize(("flags", "said"), [
    (("--batch", "none"), "neither a whole number nor auto"),
    (("--batch", "0"), "--batch is 0. It takes a number from 1 to 4096"),
    (("--workers", "99"), "--workers is 99"),
    (("--precision", "fp16", "--device", "cpu"), "fp16 needs a CUDA device"),
    (("--precision", "fp64"), "fp64"),
    (("--backend", "onnx"), "onnx"),
    (("--device", "tpu"), "--device 'tpu' is not to be had here"),
])  # fmt: skip
def test_what_cannot_be_had_is_one_line(scene, model, tmp_path, flags, said):
    result = run("extract", scene, "--model", model, "-o", tmp_path / "o.gpkg", *flags, code=2)
    assert said in result
    assert "Traceback" not in result
    assert not (tmp_path / "o.gpkg").exists()


def test_a_config_file_may_say_auto(scene, model, tmp_path):
    (tmp_path / "run.toml").write_text("batch = 'auto'\nworkers = 2\n")
    run("predict", scene, "--model", model, "-o", tmp_path / "p.tif",
        "--config", tmp_path / "run.toml")  # fmt: skip
    (tmp_path / "bad.toml").write_text("batch = 'many'\n")
    result = run("predict", scene, "--model", model, "-o", tmp_path / "q.tif",
                 "--config", tmp_path / "bad.toml", code=2)  # fmt: skip
    assert "It takes a whole number, or auto" in result
