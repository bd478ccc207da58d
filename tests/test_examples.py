"""The shell scripts among the examples do what they say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from factories import disc

import glacierx as gx

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def place(make_scene, make_dem, tmp_path):
    """A folder of three scenes, a list of them, a DEM, and a command called glacierx."""
    (tmp_path / "scenes").mkdir()
    for index in range(3):
        make_scene(disc((120, 120), (60, 40 + 20 * index), 30), name=f"scenes/{'abc'[index]}.tif")
    with gx.open_scene(tmp_path / "scenes" / "a.tif") as scene:
        # A slope down to the south, which divides nothing.
        make_dem(3000 - 5.0 * np.indices((120, 120))[0], scene.grid)
    rows = [f"scenes/{name}.tif,dem.tif,ndsi" for name in "abc"]
    (tmp_path / "scenes.csv").write_text("\n".join(["scene,dem,model", *rows]) + "\n")
    command = tmp_path / "bin" / "glacierx"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m glacierx "$@"\n')
    command.chmod(0o755)
    return tmp_path


def shell(place, *arguments, code=0, **variables):
    path = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(one) for one in arguments], cwd=place, env={**os.environ, "PATH": path, **variables},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def test_a_slurm_array_shares_the_scenes(place):
    """Each job takes what the scheduler tells it in its environment."""
    done = {}
    for number in ("1", "2"):
        shell(
            place, "bash", EXAMPLES / "slurm_array.sh", "scenes.csv", "results",
            SLURM_ARRAY_TASK_ID=number, SLURM_ARRAY_TASK_COUNT="2",
        )  # fmt: skip
        [file] = (place / "results").glob(f"results*{number}-of-2.jsonl")
        done[number] = {json.loads(line)["name"] for line in file.read_text().splitlines()}
    assert done["1"] | done["2"] == {"a", "b", "c"}
    assert not done["1"] & done["2"]
    for name in "abc":
        assert len(gx.read_outlines(place / "results" / name / f"{name}.gpkg")) == 1


def test_a_loop_goes_on_where_it_was_and_says_that_one_failed(place):
    (place / "scenes" / "b.tif").rename(place / "b.tif")
    (place / "scenes" / "b.tif").write_bytes((place / "b.tif").read_bytes()[:3000])
    script = ("sh", EXAMPLES / "each_scene.sh", "scenes", "dem.tif", "results")
    shell(place, *script, code=3)
    results = place / "results"
    first = {file.name: file.stat().st_mtime_ns for file in results.glob("*.gpkg")}
    assert set(first) == {"a.gpkg", "c.gpkg"}
    (place / "b.tif").replace(place / "scenes" / "b.tif")
    shell(place, *script)
    second = {file.name: file.stat().st_mtime_ns for file in results.glob("*.gpkg")}
    assert set(second) == {"a.gpkg", "b.gpkg", "c.gpkg"}
    assert all(second[name] == first[name] for name in first)


def test_the_rules_of_the_snakefile_are_commands_that_work(place):
    """Snakemake itself is not asked; what it would run is."""
    text = (EXAMPLES / "Snakefile").read_text()
    merge, extract = re.findall(r'shell:\n\s+"(.*)"', text)
    (place / "results").mkdir()
    for name in "ab":
        output = f"results/{name}.gpkg"
        inputs = SimpleNamespace(scene=f"scenes/{name}.tif", dem="dem.tif")
        command = extract.format(input=inputs, output=output)
        shell(place, "sh", "-c", command)
        assert (place / output).exists()
    shell(place, "sh", "-c", merge.format(input="results/a.gpkg results/b.gpkg", output="r.gpkg"))
    assert len(gx.read_outlines(place / "r.gpkg")) >= 1
