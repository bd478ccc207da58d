"""glacierx presets and crossval, and what a card sets of later steps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from factories import TINY, disc, run_command, tiny_card, utm_grid, write_tif

from glacierx.predict.modelfile import build_model, load_network, save_network
from glacierx.training.preset import presets

MINE = """
[source]
paper = "mine"
ours = ["A line that is long enough to go on in another one, because it says so very much."]

[model]
architecture = "deeplabv3plus"
required = ["green", "nir"]

[model.arguments]
depth = 18
widths = [4, 4, 4, 4, 16]
pyramid_width = 4
low_width = 2

[train]
patch_px = 32
batch = 4
epochs = 1
epoch_patches = 8
ema = 0.0
precision = "fp32"

[outline]
threshold = 0.25
min_area_km2 = 0.7
"""


@pytest.fixture
def folder(tmp_path, make_scene, monkeypatch):
    """Four scenes with labels, a manifest, and a recipe."""
    lines = ["scene,labels"]
    for number, name in enumerate("abcd"):
        ice = disc((64, 64), (32, 32), 20)
        make_scene(ice, name=f"{name}.tif")
        corner = (600_000.0 + 5000 * number, 5_200_000.0)
        grid = utm_grid((64, 64), corner=corner)
        with_bands = [[ice * 3000 + 500] * 2]
        write_tif(tmp_path / f"{name}.tif", with_bands[0], grid, descriptions=("green", "nir"))
        write_tif(tmp_path / f"{name}_lab.tif", ice[None].astype("u1"), grid)
        lines.append(f"{name}.tif,{name}_lab.tif")
    (tmp_path / "scenes.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "mine.toml").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_presets_are_listed_with_network_inputs_and_source():
    head, *rows = run_command("presets", "list").stdout.splitlines()
    assert head.split() == ["preset", "network", "inputs", "classes", "source"]
    assert [row.split()[0] for row in rows] == presets()
    assert rows[0].split()[1:4] == ["attention_deeplabv3plus", "4", "1"]
    assert "Chu et al. 2022" in rows[0]
    found = json.loads(run_command("presets", "list", "--json").stdout)
    assert [one["name"] for one in found] == presets()
    assert found[0]["model"]["required"] == ["blue", "green", "red", "nir"]


def test_a_preset_is_shown_with_all_it_sets_and_what_is_ours(folder):
    shown = run_command("presets", "show", "chu2022").stdout
    assert "doi: 10.5194/tc-16-4273-2022" in shown
    assert "Ours:\n  - The patches of an epoch" in shown
    assert "25.67 million parameters" in shown
    assert "  lr: 0.0001\n" in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert "min_area_km2: 0.7" in run_command("presets", "show", "mine.toml").stdout
    found = json.loads(run_command("presets", "show", "chu2022", "--json").stdout)
    assert found["parameters"] == 25_670_628
    assert found["predict"] == {"keep": 0.9}
    assert "no preset 'none'" in run_command("presets", "show", "none", code=2)


def test_a_list_needs_no_torch():
    code = (
        "import sys\nfrom click.testing import CliRunner\n"
        "from glacierx.cli.presets import command\n"
        "from glacierx.training import preset\npreset.presets = lambda: ['chu2022']\n"
        "found = CliRunner().invoke(command, ['list'])\n"
        "assert 'chu2022' in found.output, found\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_file_of_ones_own_trains_and_its_model_keeps_what_it_sets(folder):
    run_command("train", "scenes.csv", "--preset", "mine.toml", "-o", "m.safetensors",
                "--device", "cpu")  # fmt: skip
    card = load_network("m.safetensors").card
    assert card.training["options"]["epoch_patches"] == 8
    assert card.defaults == {"outline": {"threshold": 0.25, "min_area_km2": 0.7}}
    shown = json.loads(run_command("models", "show", "m.safetensors").stdout)
    assert shown["defaults"] == card.defaults


def options_of(*more):
    run_command("extract", "a.tif", "--model", "t.safetensors", "-o", "o.gpkg", "--overwrite",
                "--log", "log.json", "--device", "cpu", *more)  # fmt: skip
    return json.loads(Path("log.json").read_text())["record"]["options"]


def test_a_card_sets_defaults_that_a_file_and_flags_win_over(folder):
    card = tiny_card(
        arguments=TINY,
        defaults={"predict": {"keep": 0.5}, "outline": {"threshold": 0.25, "min_area_km2": 0.7}},
    )
    save_network(build_model(card), "t.safetensors")
    found = options_of()
    assert found["predict"]["keep"] == 0.5
    assert found["outline"]["threshold"] == 0.25
    assert found["outline"]["min_area_km2"] == 0.7
    (folder / "run.toml").write_text("min_area_km2 = 0.3\n")
    found = options_of("--config", "run.toml", "--threshold", 0.6)
    assert found["outline"]["min_area_km2"] == 0.3
    assert found["outline"]["threshold"] == 0.6
    assert found["predict"]["keep"] == 0.5


def test_crossval_runs_every_fold_prints_a_table_and_goes_on(folder):
    start = ("crossval", "mine.toml", "scenes.csv", "-o", "runs", "--split", "folds:2",
             "--device", "cpu")  # fmt: skip
    result = run_command(*start)
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "run", "fold1-seed0", "fold2-seed0", "mean", "standard", "mean,", "standard",
    ]  # fmt: skip
    assert "1/2 fold1-seed0 done: IoU" in result.stderr
    assert (folder / "runs" / "results.csv").exists()
    again = run_command(*start)
    assert again.stdout == result.stdout
    assert "1/2 fold1-seed0 done before" in again.stderr
    line = run_command(*start, "--lr", 0.1, code=3)
    assert "2 of 2 runs failed: fold1-seed0, fold2-seed0" in line


def test_crossval_of_a_preset_whose_bands_are_not_there_says_which(folder):
    line = run_command("crossval", "chu2022", "scenes.csv", "-o", "runs", code=4)
    assert "a.tif" in line
    assert "has no 'blue' band" in line
    assert not (folder / "runs").exists()
