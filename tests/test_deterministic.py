"""The same command gives the same bytes: elsewhere, in another language, time zone and order."""

import datetime
import hashlib
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from factories import ICE, ROCK, disc, tiny_card, utm_grid, write_outlines, write_tif
from factories import run_command as run

import glacierx as gx

SHAPE = (120, 120)
MASK = disc(SHAPE, (60, 38), 30) | disc(SHAPE, (60, 82), 30)
COMMANDS = (
    "extract scene.tif --dem dem.tif -o o.gpkg --probability p.tif --mask m.tif --aoi region.gpkg",
    "extract scene.tif --dem dem.tif --model tiny.safetensors --tta chu6 --threshold 0.3 -o t.gpkg",
    "extract scene.tif --dem dem.tif --model otsu -o o.shp",
    "extract scene.tif --dem dem.tif --divides o.gpkg --model ndsi -o o.geojson",
    "predict scene.tif --model gmm -o q.tif --mask n.tif",
    "outline p.tif -o c.gpkg",
    "divide c.gpkg --dem dem.tif --probability p.tif -o d.gpkg",
    "evaluate p.tif region.gpkg --json e.json --csv e.csv --figure e.png",
    "extract scene.tif --model ndsi -o w.gpkg --report w.html --picture w.jpg --picture-px 300",
    "report o.gpkg --scene scene.tif --dem dem.tif --scores e.json -o s.html --picture s.png",
    "compare d.gpkg o.gpkg --dem dem.tif --json v.json",
    "fit ratio --scene scene.tif --outlines region.gpkg -o r.safetensors",
    "simulate --size 128 --seed 3 -o made",
    "predict scene.tif --model otsu --cog -o w.tif",
    "convert d.gpkg --dem dem.tif --format rgi7 -o rgi7",
    "convert d.gpkg --dem dem.tif --format rgi6 -o rgi6",
    "convert d.gpkg --format oggm -o oggm",
    "convert d.gpkg --format glims -o glims",
    "convert d.gpkg -o x.fgb",
)
# All of them in one process, which saves the time of starting; each ends with 0.
RUN = """
import sys
from glacierx.cli.main import group
for line in sys.stdin.read().splitlines():
    try:
        group(line.split())
    except SystemExit as end:
        assert not end.code, (line, end.code)
"""
HERE = {"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "1"}
ELSEWHERE = {
    "LC_ALL": "C.UTF-8", "LANG": "de_DE.UTF-8", "LC_NUMERIC": "de_DE.UTF-8", "LANGUAGE": "de",
    "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "12345", "COLUMNS": "40",
}  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A scene of two glaciers that touch, with noise, a DEM, a region and a model."""
    folder = tmp_path_factory.mktemp("inputs")
    grid, random = utm_grid(SHAPE), np.random.default_rng(0)
    values = np.stack([np.where(MASK, ICE[role], ROCK[role]) for role in ICE])
    stored = (values * random.normal(1, 0.05, values.shape) * 1e4).astype("uint16")
    scales = (1e-4,) * len(ICE)
    write_tif(folder / "scene.tif", stored, grid, descriptions=tuple(ICE), scales=scales)
    row, column = np.indices(SHAPE) + 0.5
    heights = 4000 - 6.0 * np.abs(column - 60) + 0.2 * np.abs(row - 60)
    write_tif(folder / "dem.tif", heights[None].astype("float32"), grid)
    write_outlines(folder / "region.gpkg", [grid.footprint.buffer(-100)])
    gx.save_model(gx.build_model(tiny_card()), folder / "tiny.safetensors")
    return folder


def run_in(folder, inputs, settings):
    """Run the commands in a folder; return the SHA-256 of each file that is there afterwards."""
    shutil.copytree(inputs, folder)
    done = subprocess.run(
        [sys.executable, "-c", RUN], input="\n".join(COMMANDS), cwd=folder,
        env={**os.environ, **settings}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_commands_give_the_same_bytes_wherever_they_run(inputs, tmp_path):
    one = run_in(tmp_path / "one", inputs, HERE)
    other = run_in(tmp_path / "an other näme" / "deeper", inputs, ELSEWHERE)
    for line in COMMANDS:
        made = {name.split("/")[0] for name in one}
        assert [part for part in line.split()[2:] if part in made], line
    assert len(gx.read_outlines(tmp_path / "one" / "o.gpkg")) > 0
    assert one.keys() == other.keys()
    assert {name for name in one if one[name] != other[name]} == set()
    # What is the same today need not be tomorrow.
    today = datetime.datetime.now(datetime.UTC)
    for day in (today + datetime.timedelta(days=shift) for shift in (-1, 0, 1)):
        shown = {day.strftime(form).encode() for form in ("%Y-%m-%d", "%Y:%m:%d", "%Y%m%d")}
        table_day = bytes([day.year - 1900, day.month, day.day])
        for name in one:
            content = (tmp_path / "one" / name).read_bytes()
            assert not {text for text in shown if text in content}, name
            assert not (name.endswith(".dbf") and content[1:4] == table_day)


def test_threads_that_decode_change_nothing(inputs, tmp_path):
    for workers in ("1", "3"):
        files = [tmp_path / f"{name}{workers}" for name in ("p", "m")]
        probability, mask = (file.with_suffix(".tif") for file in files)
        run("predict", inputs / "scene.tif", "-o", probability, "--mask", mask,
            "--workers", workers)  # fmt: skip
    for name in ("p", "m"):
        one, other = (tmp_path / f"{name}{workers}.tif" for workers in ("1", "3"))
        assert one.read_bytes() == other.read_bytes()
