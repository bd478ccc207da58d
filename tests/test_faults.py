"""Kills, full disks and signals: results are whole or not there, and nothing else is left."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from factories import box, disc, run_command, start_command, tiny_card, utm_grid, write_outlines

import glacierx as gx
from glacierx.predict.modelfile import build_model, save_network

MASK = disc((300, 300), (150, 150), 100)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.parametrize(("what", "moments", "step"), [("formats", 50, 4), ("extraction", 10, 20)])
def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path, what, moments, step):
    """At random moments, and before every few changes to the disk; then it is run again."""
    script = Path(__file__).with_name("kill_sweep.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path, what, str(moments), str(step)],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["faults"] == []
    assert found["cut"] > found["kills"] / 3  # most were killed while they were at work


@pytest.fixture
def scene(make_scene):
    return make_scene(MASK)


@pytest.fixture
def network(tmp_path):
    return save_network(build_model(tiny_card()), tmp_path / "tiny.safetensors")


def limited(size, *arguments):
    """Run glacierx where no file may be larger than so many bytes, as on a disk that is full."""
    return subprocess.run(
        [sys.executable, "-m", "glacierx", *map(str, arguments)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("size", "output", "existing"),
    [
        (100, "o.gpkg", False), (3_000, "o.gpkg", True), (60_000, "o.gpkg", True),
        (3_000, "p.tif", True), (1_000, "o.shp", False), (1_000, "o.geojson", True),
        (100, "m.safetensors", True), (100, "e.json", True),
    ],
)  # fmt: skip
def test_a_full_disk_is_one_line_and_leaves_what_was_there(
    scene, make_probability, tmp_path, size, output, existing
):
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / output
    if existing:
        path.write_bytes(b"what was there")
    if output.endswith("tif"):
        arguments = ["predict", scene, "--model", "ndsi", "-o", path]
    elif output.endswith("safetensors"):
        truth = write_outlines(tmp_path / "truth.gpkg", [box((70, 230), (70, 230))])
        arguments = ["fit", "ndsi", "--scene", scene, "--outlines", truth, "-o", path]
    elif output.endswith("json"):
        truth = write_outlines(tmp_path / "truth.gpkg", [box((70, 230), (70, 230))])
        found = make_probability(MASK)
        arguments = ["evaluate", found, truth, "--json", path]
    else:
        arguments = ["extract", scene, "--model", "ndsi", "-o", path]
    done = limited(size, *arguments, *(["--overwrite"] if existing else []))
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert (done.returncode, len(errors)) == (5, 1), done.stderr
    assert "cannot be written" in errors[0]
    assert "Traceback" not in done.stderr
    assert names(folder) == ([output] if existing else [])
    if existing:
        assert path.read_bytes() == b"what was there"


def test_a_folder_that_vanishes_is_one_line(scene, tmp_path, monkeypatch):
    """As of a network drive that is gone."""
    folder = tmp_path / "drive"
    folder.mkdir()
    moved = tmp_path / "gone"
    closed = gx.scene.geotiff.RowWriter.close

    def close(writer):
        closed(writer)
        if folder.exists():
            folder.rename(moved)

    monkeypatch.setattr(gx.scene.geotiff.RowWriter, "close", close)
    line = run_command("extract", scene, "--model", "ndsi", "-o", folder / "o.gpkg",
                       "--probability", folder / "p.tif", code=5)  # fmt: skip
    assert "p.tif" in line or "o.gpkg" in line


def wait_for(found, seconds=60):
    deadline = time.monotonic() + seconds
    while not found() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_keeps_what_can_be_resumed_and_nothing_else(make_scene, tmp_path, number, code):
    model = save_network(build_model(tiny_card()), tmp_path / "tiny.safetensors")
    scene = make_scene(disc((1500, 800), (700, 400), 300))
    arguments = ("extract", scene, "-o", "o.gpkg", "--model", model, "--probability", "p.tif")
    folder = tmp_path / "out"
    folder.mkdir()
    kept = folder / ".o.gpkg.rows"
    with start_command(*arguments, folder=folder) as process:
        # A header and a record or two.
        wait_for(lambda: kept.exists() and kept.stat().st_size > 4000)
        sent = time.monotonic()
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
        took = time.monotonic() - sent
    assert process.returncode == code
    assert took < 4  # two seconds, and what a busy machine adds
    assert "Traceback" not in told
    assert "the same command with --resume goes on" in told
    assert "no half-written file is left" in told
    assert names(folder) == [".o.gpkg.rows"]
    with start_command(*arguments, "--resume", folder=folder) as process:
        process.communicate(timeout=120)
    assert process.returncode == 0
    assert names(folder) == ["o.gpkg", "p.tif"]


STUCK = """
import sys, time
from glacierx.cli import main as cli
from glacierx.scene.staging import staged

def stuck():
    with staged(sys.argv[1]) as part:
        part.write_text("half")
        print("ready", flush=True)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                time.sleep(30)
            except SystemExit:
                pass

cli.group = lambda **kwargs: stuck()
cli.main()
"""


def test_a_call_that_does_not_return_is_ended(tmp_path):
    """Whoever swallows the exception, or never lets Python raise it, is not waited for."""
    with subprocess.Popen(
        [sys.executable, "-c", STUCK, tmp_path / "o.txt"], stdout=subprocess.PIPE, text=True,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        sent = time.monotonic()
        process.terminate()
        process.communicate(timeout=60)
        took = time.monotonic() - sent
    assert process.returncode == 143
    assert 1 < took < 4
    assert names(tmp_path) == []


def test_a_reader_that_goes_away_is_no_matter(tmp_path):
    """As in `glacierx models | head -1`."""
    with subprocess.Popen(
        [sys.executable, "-m", "glacierx", "simulate", "--help"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        process.stdout.close()
        told = process.stderr.read()
        process.wait(timeout=60)
    assert told == ""


def test_of_two_commands_on_one_output_one_wins(make_scene, network, tmp_path):
    scene = make_scene(np.tile(disc((800, 800), (400, 400), 300), (2, 1)))
    arguments = ("predict", scene, "--model", network, "--tta", "d4", "-o", "p.tif")
    folder = tmp_path / "out"
    folder.mkdir()
    with start_command(*arguments, folder=folder) as first:
        wait_for(lambda: (folder / ".p.tif.part" / "lock").exists())
        with start_command(*arguments, folder=folder) as second:
            _, told = second.communicate(timeout=60)
        first.communicate(timeout=120)
    assert (first.returncode, second.returncode) == (0, 5)
    assert "Another run is writing p.tif" in told
    assert names(folder) == ["p.tif"]
    with gx.open_prediction(folder / "p.tif") as prediction:
        assert prediction.grid == utm_grid((1600, 800))
