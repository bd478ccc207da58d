import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from factories import TINY, disc, run_command, tiny_card, utm_grid, write_tif

from glacierx.errors import GlacierxWarning
from glacierx.predict.modelfile import build_model, load_network, save_network

MASKS = {name: disc((96, 96), center, 30)
         for name, center in (("a", (48, 48)), ("b", (40, 60)), ("c", (60, 40)))}  # fmt: skip
QUICK = ("--patch-px", 32, "--batch", 4, "--epochs", 2, "--epoch-patches", 8, "--ema", 0.5,
         "--precision", "fp32", "--device", "cpu")  # fmt: skip


@pytest.fixture
def folder(tmp_path, make_scene, monkeypatch):
    """Three scenes with labels, a manifest, and a tiny network to begin with."""
    for name, mask in MASKS.items():
        make_scene(mask, name=f"{name}.tif")
        write_tif(tmp_path / f"{name}_lab.tif", mask[None].astype("uint8"), utm_grid((96, 96)))
    parts = {"a": "train", "b": "train", "c": "validation"}
    manifest(tmp_path, [f"{n}.tif,{n}_lab.tif,{part}" for n, part in parts.items()])
    save_network(build_model(tiny_card()), tmp_path / "tiny.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def manifest(folder, lines, header="scene,labels,split"):
    (folder / "scenes.csv").write_text("\n".join([header, *lines]) + "\n")


def train(*arguments, code=0, init="tiny.safetensors"):
    start = ("--init", init) if init else ()
    return run_command("train", "scenes.csv", *start, *QUICK, *arguments, code=code)


def test_a_manifest_becomes_a_model_that_maps_a_scene(folder):
    result = train("-o", "m.safetensors", "--name", "mine", "--licence", "CC BY 4.0")
    assert result.stdout == "m.safetensors\n"
    assert "all: iou " in result.stderr
    card = load_network(folder / "m.safetensors").card
    assert (card.name, card.licence) == ("mine", "CC BY 4.0")
    assert [scene["part"] for scene in card.training["scenes"]] == ["train", "train", "validation"]
    assert str(folder) not in card.to_json()
    west, south, east, north = card.training["footprints"][0]
    assert 8 < west < east < 12
    assert 46 < south < north < 48
    kept = {file.name for file in (folder / "m.training").iterdir()}
    assert {"log.jsonl", "curves.png", "record.json", "pictures"} <= kept
    run_command("predict", "c.tif", "--model", "m.safetensors", "-o", "p.tif")
    shown = json.loads(run_command("models", "show", "m.safetensors").stdout)
    assert shown["training"]["options"]["patch_px"] == 32


def test_the_same_command_writes_the_same_bytes(folder):
    for name in ("x", "y"):
        (folder / name).mkdir()
        train("-o", f"{name}/m.safetensors", "--half")
    first, second = ((folder / n / "m.safetensors").read_bytes() for n in ("x", "y"))
    assert first == second


def test_an_estimate_is_printed_and_nothing_written(folder):
    before = {path.name for path in folder.iterdir()}
    found = train("--estimate", "-o", "m.safetensors").stdout
    assert "2 scenes to learn from, 1 for validation" in found
    known, ice = 2 * 96 * 96, sum(int(MASKS[name].sum()) for name in "ab")
    assert f"{known / 1e6:.2f} million known pixels, {ice / known:.0%} ice" in found
    assert "4 steps, 16 patches at " in found
    assert {path.name for path in folder.iterdir()} == before


def test_a_result_is_never_replaced_unasked(folder):
    train("-o", "m.safetensors")
    assert "exists already" in train("-o", "m.safetensors", code=5)
    # Without its model the folder still holds a run.
    (folder / "m.safetensors").unlink()
    line = train("-o", "m.safetensors", code=5)
    assert "m.training holds a run already" in line
    train("-o", "m.safetensors", "--resume")
    line = train("-o", "m.safetensors", "--resume", "--overwrite", "--lr", 5e-4, code=6)
    assert "is of a run with other scenes, options or versions" in line
    train("-o", "m.safetensors", "--overwrite", "--lr", 5e-4)


def log(folder):
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "patches_per_s")} for row in rows]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 here")
def test_a_run_that_was_killed_in_mid_epoch_goes_on_as_if_nothing_had_been(folder):
    (folder / "whole").mkdir()
    (folder / "cut").mkdir()
    more = ("--epochs", 3, "--epoch-patches", 40)
    train("-o", "whole/m.safetensors", *more)
    arguments = ["train", "scenes.csv", "--init", "tiny.safetensors", *QUICK, *more]
    command = [sys.executable, "-m", "glacierx", *map(str, arguments), "-o", "cut/m.safetensors"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state = folder / "cut" / "m.training" / "state.safetensors"
    deadline = time.monotonic() + 60
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (folder / "cut" / "m.safetensors").exists()
    assert len(log(state.parent)) < 3
    train("-o", "cut/m.safetensors", *more, "--resume")
    first, second = ((folder / n / "m.safetensors").read_bytes() for n in ("whole", "cut"))
    assert first == second
    assert log(folder / "cut" / "m.training") == log(folder / "whole" / "m.training")
    assert not [file for file in state.parent.iterdir() if file.name.startswith(".")]


def test_one_bad_scene_of_three_is_named_before_anything_is_learnt(folder):
    (folder / "b_lab.tif").write_bytes(b"no raster")
    line = train("-o", "m.safetensors", code=4)
    assert line.startswith("Error: ")
    assert "b.tif: " in line
    assert not (folder / "m.training").exists()


BAD = {
    "missing": ("none.tif,b_lab.tif,train", 4, "none.tif"),
    "elsewhere": ("b.tif,far.tif,train", 4, "b.tif: .*does not overlap"),
    "numbers": ("b.tif,seven.tif,train", 4, "b.tif: .*holds the values"),
    "split": ("b.tif,b_lab.tif,", 2, "Some lines of the manifest say"),
    "part": ("b.tif,b_lab.tif,exam", 4, "scenes.csv, line 3: split is 'exam'"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_a_line_is_one_line(folder, case):
    import re

    write_tif(folder / "far.tif", MASKS["b"][None].astype("u1"), utm_grid((96, 96), corner=(0, 0)))
    write_tif(folder / "seven.tif", (7 * MASKS["b"])[None].astype("u1"), utm_grid((96, 96)))
    line, code, said = BAD[case]
    manifest(folder, ["a.tif,a_lab.tif,train", line, "c.tif,c_lab.tif,validation"])
    assert re.search(said, train("-o", "m.safetensors", code=code))
    assert not (folder / "m.training").exists()


@pytest.mark.parametrize(("value", "said"), [(0, "show no ice"), (1, "show nothing but ice")])
def test_labels_of_one_kind_are_refused(folder, value, said):
    for name in ("a", "b"):
        label = np.full((1, 96, 96), value, "uint8")
        write_tif(folder / f"{name}_lab.tif", label, utm_grid((96, 96)))
    assert said in train("-o", "m.safetensors", code=4)


def test_a_preset_whose_bands_a_scene_lacks_names_scene_and_band(folder, make_scene):
    make_scene(MASKS["a"], name="a.tif", roles=("blue", "green", "red"))
    line = train("--preset", "chu2022", "-o", "m.safetensors", init=None, code=4)
    assert "a.tif" in line
    assert "has no 'nir' band that the model m needs: it has blue, green, red" in line


USAGE = [
    (
        ("--preset", "nonsense", "-o", "m.safetensors"),
        2,
        "no preset 'nonsense'. Known: chu2022, de",
    ),
    ((), 2, "Give the file of the model with -o"),
    (("-o", "m.pt"), 6, "give it the ending .safetensors"),
    (("-o", "none/m.safetensors"), 5, "The folder none does not exist"),
    (("-o", "m.safetensors", "--share-low", 0.9, "--share-high", 0.1), 2, "--share-low is above"),
    (("-o", "m.safetensors", "--device", "abacus"), 2, "--device 'abacus' is not to be had"),
    (("-o", "m.safetensors", "--init", "ndsi"), 6, "There is no model file ndsi"),
    (("-o", "m.safetensors", "--init", "none.safetensors"), 6, "none.safetensors"),
    (("-o", "m.safetensors", "--patch-px", 40), 2, "--patch-px 40 is not divisible"),
    (("-o", "m.safetensors", "--split", "region"), 2, "needs the column region"),
    (("--export", "s.zip"), 4, "give it the ending .npz"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), USAGE, ids=[said for *_, said in USAGE])
def test_wrong_use_is_one_line(folder, arguments, code, said):
    init = None if "--init" in arguments else "tiny.safetensors"
    assert said in train(*arguments, code=code, init=init)
    assert not (folder / "m.training").exists()


def test_a_preset_gives_defaults_that_flags_and_a_file_win_over(folder):
    (folder / "run.toml").write_text('preset = "chu2022"\nlr = 3e-4\n')
    arguments = ("--config", "run.toml", "--metric", "iou", "-o", "m.safetensors")
    train(*arguments)
    options = load_network(folder / "m.safetensors").card.training["options"]
    assert options["schedule"] == "cosine-restarts"  # of the preset
    assert options["lr"] == 3e-4  # of the file
    assert options["metric"] == "iou"  # of the command line
    assert options["patch_px"] == 32


@pytest.mark.parametrize("how", ["block", "scene", "random-patches"])
def test_a_manifest_that_says_nothing_of_parts_is_split(folder, how):
    manifest(folder, [f"{name}.tif,{name}_lab.tif" for name in MASKS], "scene,labels")
    if how == "scene":
        # All three lie on one place, so there is nothing to split by scene.
        assert "There is one scene" in train("-o", "m.safetensors", "--split", how, code=2)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlacierxWarning)
        result = train("-o", "m.safetensors", "--split", how, "--block-m", 320)
    assert ("lie beside each other" in result.stderr) == (how == "random-patches")
    scenes = load_network(folder / "m.safetensors").card.training["scenes"]
    assert [scene["part"] for scene in scenes] == ["train", "validation"] * 3


def test_auto_splits_scenes_of_several_places_whole(folder):
    for step, (name, mask) in enumerate(MASKS.items()):
        grid = utm_grid((96, 96), corner=(600_000.0 + 5000 * step, 5_200_000.0))
        for path, kind in ((f"{name}.tif", "uint16"), (f"{name}_lab.tif", "uint8")):
            values = np.stack([mask * 3000 + 500] * 5 if kind == "uint16" else [mask])
            names = ("blue", "green", "red", "nir", "swir1")[: len(values)]
            write_tif(folder / path, values.astype(kind), grid, descriptions=names)
    manifest(folder, [f"{name}.tif,{name}_lab.tif" for name in MASKS], "scene,labels")
    train("-o", "m.safetensors")
    card = load_network(folder / "m.safetensors").card
    assert sorted(s["part"] for s in card.training["scenes"]) == ["train", "train", "validation"]
    assert len(card.training["footprints"]) == 2


@pytest.mark.parametrize("what", ["none", "bare"])
def test_validation_that_cannot_judge_is_warned_of(folder, what):
    if what == "none":
        manifest(folder, [f"{name}.tif,{name}_lab.tif,train" for name in "ab"])
    else:
        write_tif(folder / "c_lab.tif", np.zeros((1, 96, 96), "u1"), utm_grid((96, 96)))
    result = train("-o", "m.safetensors")
    assert "Warning: " in result.stderr
    assert "the weights of the last step are taken" in result.stderr
    card = load_network(folder / "m.safetensors").card
    assert card.training["best"]["value"] is None


BARE = Path(__file__).parents[1] / "test_bare.py"


def run_bare(*arguments):
    """Run glacierx.training where no geodata library can be imported."""
    import importlib.util

    specification = importlib.util.spec_from_file_location("bare", BARE)
    bare = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(bare)
    code = "from glacierx.training.__main__ import main\nsys.exit(main(sys.argv[1:]))"
    return bare.run_bare(code, *map(str, arguments))


def test_samples_are_exported_and_learnt_from_without_geodata_libraries(folder):
    assert train("--export", "s.npz").stdout == "s.npz\n"
    assert not (folder / "m.training").exists()
    train("-o", "m.safetensors")
    options = [str(argument) for argument in QUICK]
    start = ("s.npz", "--init", "tiny.safetensors", *options)
    (folder / "bare").mkdir()
    found = run_bare(*start, "-o", "bare/m.safetensors")
    assert found.returncode == 0, found.stderr
    assert found.stdout == "bare/m.safetensors\n"
    # The same scenes, options and seed: the same bytes as from the files themselves.
    first, second = ((folder / n).read_bytes() for n in ("m.safetensors", "bare/m.safetensors"))
    assert first == second
    # And by the command line, from the same file.
    run_command("train", "s.npz", "--init", "tiny.safetensors", *QUICK, "-o", "n.safetensors")


def test_a_manifest_needs_geodata_libraries_and_says_so(folder):
    found = run_bare("scenes.csv", "-o", "m.safetensors")
    assert found.returncode == 2
    [line] = found.stderr.splitlines()
    assert "not installed here: No module named 'rasterio'. Export them elsewhere" in line


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("s.npz", "-o", "m.pt"), 6, "give it the ending .safetensors"),
        (("s.npz", "-o", "m.safetensors"), 6, "s.npz was made for another network"),
        (("none.npz", "-o", "m.safetensors"), 4, "none.npz does not exist"),
        (("s.npz", "-o", "m.safetensors", "--lr", "7"), 2, "--lr is 7"),
        (("s.npz", "-o", "m.safetensors", "--device", "abacus"), 2, "is not to be had here"),
        (("s.npz", "-o", "tiny.safetensors"), 5, "exists already"),
    ],
)
def test_wrong_use_of_the_module_is_one_line_before_any_work(folder, capsys, arguments, code, said):
    from glacierx.training.__main__ import main

    if arguments[0] == "s.npz":
        train("--export", "s.npz")
    assert main(arguments) == code
    shown = capsys.readouterr()
    [line] = shown.err.splitlines()
    assert line.startswith("Error: ")
    assert said in line
    assert not shown.out
    assert not (folder / "m.training").exists()


def test_the_module_estimates_and_writes_nothing(folder, capsys):
    from glacierx.training.__main__ import main

    train("--export", "s.npz")
    before = {path.name for path in folder.iterdir()}
    start = ["s.npz", "--init", "tiny.safetensors", *map(str, QUICK)]
    assert main([*start, "--estimate", "-o", "new.safetensors"]) == 0
    assert "2 scenes to learn from, 1 for validation" in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == before


def test_the_module_has_the_flags_of_the_command(capsys):
    from dataclasses import fields

    from glacierx.training.__main__ import main
    from glacierx.training.options import TrainOptions

    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for field in fields(TrainOptions):
        assert f"--{field.name.replace('_', '-')} " in shown, field.name


def test_a_model_trained_on_made_scenes_maps_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = []
    for seed, part in ((1, "train"), (2, "validation")):
        run_command("simulate", "--size", 256, "--gsd", 30, "--seed", seed, "-o", f"made{seed}")
        lines.append(f"made{seed}/scene.tif,made{seed}/outlines.gpkg,glaciers,{part}")
    manifest(tmp_path, lines, "scene,labels,layer,split")
    card = tiny_card(arguments={**TINY, "skips": [0], "dropouts": [0.0, 0.0]})
    save_network(build_model(card), tmp_path / "tiny.safetensors")
    train("-o", "m.safetensors", "--patch-px", 64, "--epochs", 5, "--epoch-patches", 40,
          "--lr", 2e-2, "--augment", "flips", "--band-dropout", 0)  # fmt: skip
    rows = log(tmp_path / "m.training")
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    scores = load_network("m.safetensors").card.scores["validation"]["all"]
    # Calling everything or nothing glacier has a balanced accuracy of a half.
    assert scores["balanced_accuracy"] > 0.75
    run_command("extract", "made2/scene.tif", "--dem", "made2/dem.tif", "--model", "m.safetensors",
                "-o", "o.gpkg")  # fmt: skip
