"""README, CONTRIBUTING and examples say what is so: their commands run, their tables agree."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

import glacierx as gx
from glacierx.cli.main import COMMANDS, group
from glacierx.evaluate.table import TITLES
from glacierx.options import (
    DivideOptions,
    EngineOptions,
    EvaluateOptions,
    MergeOptions,
    OutlineOptions,
    PredictOptions,
    ReportOptions,
    SimulateOptions,
)
from glacierx.outlines.attributes import DIVIDES, GLACIERS
from glacierx.outlines.geopackage import DRIVERS, PARQUET
from glacierx.training.options import AdaptOptions, SplitOptions, TrainOptions

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {path.stem: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
GROUPS = (
    EngineOptions, PredictOptions, OutlineOptions, DivideOptions, ReportOptions, EvaluateOptions,
    MergeOptions, SimulateOptions,
)  # fmt: skip
OF_TRAINING = (SplitOptions, TrainOptions, AdaptOptions)
# What these print is a table, not the paths of results.
TABLES = ("evaluate", "compare")


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL)


def commands():
    lines = "".join(blocks("sh")).splitlines()
    return [line for line in lines if line.startswith("glacierx ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("readme")


def test_the_commands_of_the_readme_run_in_order(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert len(commands()) >= 8
    for line in commands():
        result = CliRunner().invoke(group, shlex.split(line)[1:])
        assert result.exit_code == 0, (line, result.output)
        if shlex.split(line)[1] not in TABLES:
            for path in result.stdout.split():
                assert Path(path).exists(), (line, path)
    assert Path("errors.png").exists()
    assert Path("by_glacier.csv").read_text().startswith("glacier,found,")


def test_the_python_of_the_readme_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    if not (folder / "made").exists():
        gx.simulate(folder / "made", SimulateOptions(size=256, gsd=30))
    for code in blocks("python"):
        exec(compile(code, "README.md", "exec"), {})
    assert len(gx.read_outlines("from_python.gpkg")) > 0
    assert gx.load_model("untrained.safetensors").name == "mine"


def test_the_set_up_is_what_ci_runs():
    setup, test = (block.strip() for block in blocks("sh")[:2])
    ci = (ROOT / ".ci" / "run").read_text()
    install = setup.split(" && .venv/bin/glacierx")[0]
    assert install in ci
    assert "glacierx demo --out" in setup
    assert "glacierx demo --out" in ci
    assert ci.strip().endswith(test)


def test_every_command_and_exit_code_is_in_the_readme():
    from glacierx import errors

    for name in COMMANDS:
        assert f"| `glacierx {name}` |" in README
    codes = {value.exit_code for value in vars(errors).values() if hasattr(value, "exit_code")} | {
        errors.OUT_OF_MEMORY,
        errors.INTERRUPTED,
        errors.TERMINATED,
    }
    line = README.split("Exit codes:")[1].split("\n\n")[0]
    assert codes <= {int(number) for number in re.findall(r"\b\d+\b", line)}


def test_the_tables_of_options_are_those_of_the_code():
    tables = README + PAGES["training"]
    table = re.findall(r"^\| `(--[a-z0-9-]+)` \| (.*?) \| (.*?) \|$", tables, re.MULTILINE)
    declared = [field for group in (*GROUPS, *OF_TRAINING) for field in fields(group)]
    flags = ["--" + field.name.replace("_", "-") for field in declared]
    assert [flag for flag, *_ in table] == flags
    for field, (_, default, text) in zip(declared, table, strict=True):
        expected = str(field.default)
        if field.metadata["auto"]:
            expected = "auto"
        elif field.default is None:
            expected = re.search(r"\[default: ([^,\]]*)", field.metadata["help"])[1]
        elif isinstance(field.default, bool):
            expected = "on" if field.default else "off"
        assert default == expected, field.name
        assert text == re.sub(r" \[default: .*?\]", "", field.metadata["help"])


def test_every_flag_of_the_readme_exists():
    known = set()
    for name in COMMANDS:
        command = group.get_command(None, name)
        for parameter in getattr(command, "params", []):
            known |= {*parameter.opts, *parameter.secondary_opts}
    known |= {flag for parameter in group.params for flag in parameter.opts}
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", README))
    assert used <= known


def test_every_sensor_and_architecture_is_in_the_readme():
    for name in gx.SENSORS:
        assert f"`{name}`" in README
    for name in gx.ARCHITECTURES:
        assert f"| `{name}` |" in README


def test_every_architecture_and_encoder_is_described():
    from glacierx.networks.encoders import ENCODERS

    described = (ROOT / "docs" / "networks.md").read_text()
    for name in (*gx.ARCHITECTURES, *ENCODERS):
        assert f"| `{name}` |" in described, name


def test_every_preset_is_described():
    from glacierx.training.preset import presets

    described = PAGES["presets"]
    for name in presets():
        assert f"| `{name}` |" in PAGES["training"]
        assert f" | `{name}` | " in described
        assert f"\n## {name}\n" in described


@pytest.mark.parametrize(
    "path", sorted((ROOT / "glacierx" / "presets").glob("*.toml")), ids=lambda path: path.stem
)
def test_what_is_ours_in_a_preset_is_described(path):
    source = tomllib.loads(path.read_text())["source"]
    described = (ROOT / "docs" / "presets.md").read_text().split(f"\n## {path.stem}\n")[1]
    described = described.split("\n## ")[0]
    for text in (source["published"], *source["ours"], *source.get("missing", [])):
        assert text in described


def test_every_score_is_defined():
    defined = (ROOT / "docs" / "scores.md").read_text()
    for name in TITLES:
        if name not in ("area_found_km2", "area_true_km2", "boundary_f1_2px"):
            assert f"`{name}`" in defined, name


def test_every_column_is_explained_in_contributing_or_the_schema():
    assert all(column.text for column in GLACIERS)


def test_every_format_and_field_is_described():
    from glacierx.formats import glims, rgi6, rgi7
    from glacierx.formats.delivery import FORMATS

    described = PAGES["formats"]
    for name in FORMATS:
        assert f"| `{name}` |" in PAGES["results"]
        assert f"### {name}\n" in described
    groups = (rgi7.GLACIERS, rgi7.INTERSECTS, rgi7.COMPLEXES, rgi6.FIELDS, glims.FIELDS)
    for field in (field for fields_of in groups for field in fields_of):
        ours = f"`{field.ours}`" if field.ours else ""
        row = f"| `{field.name}` | {field.kind} | {field.unit} | {ours} | {field.text} |"
        assert row in described
    for column in (*GLACIERS, *DIVIDES):
        assert f"| `{column.name}` | {column.kind} |" in described
        assert f"| {column.text} |" in described
    for ending in (*DRIVERS, *PARQUET[:1]):
        assert f"| `{ending}`" in described


def test_the_layers_of_contributing_are_those_of_the_test():
    import importlib.util

    specification = importlib.util.spec_from_file_location("layers", ROOT / "tests/test_layers.py")
    layers = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(layers)
    rows = re.findall(r"^\| (\d) \| (.*?) \|", CONTRIBUTING, re.MULTILINE)
    for number, rooms in enumerate(layers.LAYERS):
        [shown] = [text for index, text in rows if int(index) == number]
        for name in rooms:
            assert f"`{name}`" in shown, (number, name)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_an_example_runs_and_is_short(path):
    assert len(path.read_text().splitlines()) <= 40
    if path.stem == "outlines_in_oggm":
        return  # tests/formats/test_readers.py runs it, where OGGM is and without its downloads
    subprocess.run(
        [sys.executable, "-W", "ignore", path], check=True, capture_output=True, timeout=120
    )


def test_the_benchmark_runs_on_a_made_case(tmp_path):
    import numpy as np
    from factories import utm_grid, write_tif

    case = tmp_path / "made"
    case.mkdir()
    grid = utm_grid((90, 190), 30)
    row, column = np.indices((90, 190)) + 0.5
    heights = 3000 - 6.0 * np.abs(column - 95) + 0.27 * (row - 45) ** 2
    truth = np.zeros((90, 190), "int32")
    truth[15:75, 10:95], truth[15:75, 95:180] = 1, 2
    write_tif(case / "dem.tif", heights[None].astype("float32"), grid)
    write_tif(case / "complex_mask.tif", (truth > 0)[None].astype("uint8"), grid)
    write_tif(case / "truth_labels.tif", truth[None], grid, nodata=0)
    result = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "divides.py", tmp_path],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["made", "no"],
        ["made", "flowsheds"],
        ["made", "kienholz2013"],
    ]
    assert lines[2].split()[2:6] == ["2", "2", "1.000", "1.000"]
    nothing = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "divides.py", tmp_path / "none"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert nothing.returncode == 1
    assert "There are no cases" in nothing.stderr


def test_the_benchmark_of_scores_runs_on_small_masks():
    result = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "metrics.py",
         "--size", "600", "--large", "700", "--rounds", "1"],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    lines = result.stdout.splitlines()
    assert lines[0] == "600 x 600 pixels"
    ours, theirs = (line.split("added")[1] for line in lines[1:3])
    assert ours == theirs
    ours, theirs = (float(line.split("added")[1]) for line in lines[4:6])
    assert ours == pytest.approx(theirs, abs=1e-9)
    assert "700 x 700 pixels" in lines[7]
    assert "'iou': 0." in lines[8]


def test_the_benchmark_of_extracting_runs_on_a_small_scene(tmp_path):
    result = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "extract.py", "engine", "memory", "routes",
         "--size", "256", "--rounds", "1", "--threads", "1", "--work", tmp_path],
        check=True, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    lines = result.stdout.splitlines()
    engine = [line for line in lines if line.startswith("engine: 256 x 256")]
    assert [line.split("tta ")[1].split(",")[0] for line in engine] == ["none", "chu6"]
    # The whole takes longer than the network alone.
    assert all(float(line.split("wall / network ")[1].split()[0]) > 1 for line in engine)
    [memory] = [line for line in lines if line.startswith("memory: ")]
    low, high = re.search(r": (\d+) MB / (\d+) MB", memory).groups()[::-1]
    assert 0 < int(low) <= int(high) * 2
    routes = {line.split(": ")[1] for line in lines if line.startswith("routes: ")}
    assert {"plain", "auto", "fp32"} <= routes
    assert (tmp_path / "scene_512x256.tif").exists()


def test_the_benchmark_of_rounding_runs_on_made_scenes(tmp_path):
    make_everest(tmp_path)
    result = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "rounding.py", "--data", tmp_path],
        check=True, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    lines = result.stdout.splitlines()
    assert lines[0].startswith("landsat7_everest: fp32, batch 4: 0 of 3600 pixels flip")
    assert lines[1].startswith("landsat7_everest: bf16: ")


def test_the_benchmark_of_outlines_runs_on_a_small_mask_and_terrain():
    result = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "outlines.py",
         "--size", "500", "--terrain", "160", "--rounds", "1"],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    lines = result.stdout.splitlines()
    assert lines[0] == "Mask to GeoPackage, 500 x 500 pixels of 10 m"
    # Both sides trace the same polygons.
    ours, theirs = re.search(r"(\d+) polygons.* \((\d+) of shapes\)", lines[1]).groups()
    assert ours == theirs != "0"
    names = ["shapes alone", "trace", "smooth", "attributes", "write", "together"]
    assert [re.match(r"  (\D+?) +[\d.]+ s", line)[1] for line in lines[2:8]] == names
    assert lines[2].endswith("1.00 of shapes")
    assert lines[9] == "Divides, 160 x 160 cells of 30 m"
    assert int(re.search(r"(\d+) glaciers", lines[10])[1]) > 0
    assert all("s per 1000 km2 of ice" in line for line in lines[11:13])


def test_the_benchmark_of_merging_runs_on_few_scenes():
    result = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "merge.py",
         "--scenes", "4", "--glaciers", "60", "--vertices", "20"],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    lines = result.stdout.splitlines()
    rules = ["made", "newest", "least-cloud", "highest-probability", "write"]
    assert [line.split(":")[0] for line in lines] == rules
    made, merged = (int(re.search(r"(\d+) glaciers", lines[at])[1]) for at in (0, 1))
    # What two scenes show is there once.
    assert 0 < merged < made


def test_the_benchmark_of_reports_runs_on_few_glaciers(tmp_path):
    result = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "report.py", "--glaciers", "500", "--rounds", "1"],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    lines = result.stdout.splitlines()
    assert lines[0].startswith("500 glaciers of 158500 vertices")
    # Every page holds its programs and a scene of 2048 pixels, 3 MB; of the 12 MB that 5,000
    # glaciers may take beside them these may take a tenth.
    assert float(re.search(r"^size ([\d.]+) MB", lines[2])[1]) < 3 + 1.2
    opened = re.search(r"^opened in ([\d.]+) s|^time to open: .* not installed", lines[3])
    assert float(opened[1] or 0) < 3


def make_everest(folder):
    """Make scenes like those of landsat7_everest: a disc of ice in noisy rock."""
    import numpy as np
    from factories import ICE, ROCK, disc, utm_grid, write_tif

    roles = ("blue", "green", "red", "nir")
    random = np.random.default_rng(0)
    for part, radius in (("train", 20), ("validation", 25)):
        where = folder / "landsat7_everest" / part
        where.mkdir(parents=True)
        ice, grid = disc((60, 60), (30, 30), radius), utm_grid((60, 60), 30)
        values = np.stack([np.where(ice, ICE[role], ROCK[role]) * 255 for role in roles])
        noisy = (values * random.normal(1, 0.03, values.shape)).astype("uint8")
        write_tif(where / "img.tif", noisy, grid, descriptions=roles)
        write_tif(where / "lab.tif", ice[None].astype("uint8"), grid)


def test_the_benchmark_of_pixel_methods_runs_on_made_scenes(tmp_path):
    from factories import disc

    make_everest(tmp_path)
    result = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "classic.py", tmp_path],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    lines = result.stdout.splitlines()
    for name in ("otsu", "sbtm", "gmm", "sbtm fitted", "rf fitted"):
        [line] = [line for line in lines if re.match(rf"{name} +\d", line)]
        assert line[26:].split()[0] == line[26:].split()[8] == "1.000", line
    # Of 60 x 60 pixels the discs cover the share that calling all of it glacier is right about.
    assert lines[-1].split()[11] == f"{disc((60, 60), (30, 30), 25).mean():.3f}"


def test_the_benchmark_of_batches_runs_on_few_scenes(tmp_path):
    pytest.importorskip("distributed", reason="Dask is not installed")
    result = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "batch.py",
         "--scenes", "6", "--kills", "1", "--work", tmp_path],
        check=True, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    lines = result.stdout.splitlines()
    assert lines[0].endswith("1 failed")
    assert lines[1].startswith("cluster: 6 scenes: 5 done, 1 failed in ")
    # Scenes so few and small may all be done before both workers are seen to be at one.
    assert re.search(", [01] kills$", lines[1])
    assert lines[2] == "cluster: done once 5, another number of times 0"
    assert any(line.startswith("cluster: s0003 failed: scene.tif ") for line in lines)
    for line in lines[-3:]:
        assert float(re.search(r"([\d.]+) ms", line)[1]) < 1000


def test_the_benchmark_of_networks_runs_on_made_scenes(tmp_path):
    from factories import disc, tiny_card
    from PIL import Image

    from glacierx.predict.modelfile import build_model, save_network

    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    make_everest(tmp_path / "data")
    save_network(build_model(tiny_card()), tmp_path / "tiny.safetensors")
    command = [
        sys.executable, ROOT / "benchmarks" / "model.py", tmp_path / "tiny.safetensors",
        "--data", tmp_path / "data", "--cache", tmp_path / "cache", "--block-m", "300",
    ]  # fmt: skip
    more = ["--json", tmp_path / "all.json", "--pictures", tmp_path / "pictures"]
    made = subprocess.run(
        [*command, *more], check=True, capture_output=True, text=True, timeout=120
    )
    lines = made.stdout.splitlines()
    [forest] = [line for line in lines if line.startswith("texture forest  ")]
    assert float(forest.split()[2]) > 0.95
    # What is right about nothing but ice: the share of it, and half of the two kinds.
    [whole] = [line for line in lines if line.startswith("all called glacier")]
    values = [text for text in whole.split()[3:] if not text.startswith("(")]
    share = disc((60, 60), (30, 30), 25).mean()
    assert values[:4] == [f"{share:.3f}", "0.500", f"{2 * share / (1 + share):.3f}", "0.000"]
    assert [line.split(":")[0] for line in lines if line.startswith("(")] == [
        "(1) DOES NOT HOLD",
        "(2) CANNOT BE TOLD",
        "(3) CANNOT BE TOLD",
    ]
    record = json.loads((tmp_path / "all.json").read_text())
    [folder] = record["folders"].values()
    assert [line["name"] for line in folder["models"]] == ["tiny, tta none", "tiny, tta chu6"]
    with Image.open(tmp_path / "pictures" / "landsat7_everest_best.png") as picture:
        assert picture.size == (180, 60)
    # Again from the cache, as Markdown.
    again = subprocess.run(
        [*command, "--markdown"], check=True, capture_output=True, text=True, timeout=120
    )
    assert "texture forest ..." in made.stderr
    assert "..." not in again.stderr
    cells = [line.split("|")[1:] for line in again.stdout.splitlines() if line.startswith("| text")]
    assert cells[0][0].strip() == "texture forest"
    assert cells[0][1].split()[0] == forest.split()[2]


def test_the_benchmark_of_presets_runs_on_made_scenes_and_goes_on(tmp_path):
    make_everest(tmp_path / "data")
    command = [
        sys.executable, ROOT / "benchmarks" / "presets.py", tmp_path / "work",
        "--data", tmp_path / "data", "--presets", "starter", "--no-classic",
        "--steps", "2", "--batch", "2", "--patch-px", "32", "--block-m", "300", "--device", "cpu",
    ]  # fmt: skip
    made = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert "a smoke comparison" in made.stdout
    rows = [line.split(" | ") for line in made.stdout.splitlines() if line.startswith("| starter")]
    assert [row[0] for row in rows] == ["| starter", "| starter as it ships"]
    # The two have one network: 6.16 million parameters, and the same count of operations.
    assert [row[5] for row in rows] == ["2", "-"]
    assert [row[6] for row in rows] == ["6.16", "6.16"]
    assert rows[0][7] == rows[1][7]
    model = tmp_path / "work" / "landsat7_everest" / "starter.safetensors"
    before = model.stat().st_mtime_ns
    again = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert model.stat().st_mtime_ns == before
    assert [
        line.split(" | ")[1] for line in again.stdout.splitlines() if "| starter |" in line
    ] == [rows[0][1]]
    assert (tmp_path / "work" / "presets.md").read_text() == again.stdout


def test_at_equal_arithmetic_steps_go_by_operations(tmp_path):
    make_everest(tmp_path / "data")
    made = subprocess.run([
        sys.executable, ROOT / "benchmarks" / "presets.py", tmp_path / "work",
        "--data", tmp_path / "data", "--presets", "starter", "mobile-unet", "--no-classic",
        "--steps", "5", "--equal", "arithmetic", "--batch", "2", "--patch-px", "32",
        "--block-m", "300", "--device", "cpu",
    ], check=True, capture_output=True, text=True, timeout=120)  # fmt: skip
    rows = [line.split(" | ") for line in made.stdout.splitlines()]
    steps, operations = ({row[0]: row[at] for row in rows if len(row) > 8} for at in (5, 7))
    assert steps["| starter"] == "5"
    assert operations["| starter"] == "48"
    # 48 against 103 thousand million operations: 2.3 steps.
    assert operations["| mobile-unet +"] == "103"
    assert steps["| mobile-unet +"] == "2"


def test_nothing_speaks_of_a_machine():
    for path in ROOT.rglob("*"):
        if path.suffix in {".py", ".md", ".toml", ".sh"} and ".venv" not in path.parts:
            text = path.read_text()
            assert "/work/" not in text or path.name == "test_docs.py", path
            assert "/tmp/" not in text or path.name == "test_docs.py", path


def test_the_tests_that_promises_name_exist():
    text = (ROOT / "docs" / "promises.md").read_text()
    named = re.findall(r"`(tests/\S+\.py)` ((?:`test_\w+`(?:, )?)+)", text)
    assert len(named) > 15
    for file, tests in named:
        for name in re.findall(r"`(\w+)`", tests):
            assert f"def {name}(" in (ROOT / file).read_text(), (file, name)


def test_the_tables_of_scaling_are_those_of_its_benchmark():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "scaling.py"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() in (ROOT / "docs" / "scaling.md").read_text()
    [all_regions] = [line for line in done.stdout.splitlines() if line.startswith("| All")][:1]
    # 274,531 glaciers are in RGI 7.0; the ground at 10 m has 100 pixels to the hectare.
    assert "| 274,531 |" in all_regions
    caps, others = 105010 + 40861 + 90482 + 11020 + 33959 + 51551 + 133432, 240_354
    assert f"| {(3 * caps + 15 * others) / 100:,.0f} |" in all_regions
