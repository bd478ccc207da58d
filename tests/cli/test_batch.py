import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from factories import disc, run_command

import glacierx as gx

MASK = disc((60, 60), (30, 30), 20)


@pytest.fixture
def scenes(make_scene, tmp_path):
    for name in ("a.tif", "b.tif"):
        make_scene(MASK, name=name)
    (tmp_path / "c.tif").write_bytes(b"II*\0 and no more")
    return tmp_path


def test_a_batch_prints_a_table_and_ends_with_3_where_a_scene_failed(scenes):
    flags = ("-o", scenes / "out", "--model", "ndsi", "--mask")
    result = run_command("batch", scenes / "[ab].tif", *flags)
    header, *lines = result.stdout.splitlines()
    assert header.split() == ["scene", "state", "glaciers", "area_km2", "seconds"]
    assert [line.split()[:3] for line in lines] == [["a", "done", "1"], ["b", "done", "1"]]
    assert "2 scenes: 2 done\n" in result.stderr
    assert f"Written: {scenes / 'out' / 'results.jsonl'}" in result.stderr
    # Warnings of scenes are kept for them.
    assert "Warning" not in result.stderr
    line = run_command("batch", scenes / "?.tif", *flags, code=3)
    assert line.startswith("Error: 1 of 3 scenes failed: c. ")
    # Told again with the old reason, and what was asked for reaches the rest.
    assert run_command("batch", scenes / "?.tif", *flags, code=3) == line
    assert (
        "c.tif" in json.loads((scenes / "out/results.jsonl").read_text().splitlines()[2])["reason"]
    )
    assert len(gx.read_outlines(scenes / "out/b/b.gpkg")) == 1
    assert (scenes / "out/a/a_mask.tif").exists()


def test_a_manifest_with_a_dem_divides(scenes, make_dem):
    import numpy as np
    from factories import utm_grid

    make_dem(np.full((60, 60), 3000.0), utm_grid((60, 60)))
    (scenes / "m.csv").write_text("scene,dem,name,model\na.tif,dem.tif,first,\nb.tif,,,ratio\n")
    run_command("batch", scenes / "m.csv", "-o", scenes / "out", "--model", "ndsi")
    assert set(gx.read_outlines(scenes / "out/first/first.gpkg")["divided"]) == {1}
    assert gx.read_record(scenes / "out/first/first.gpkg")["model"]["name"] == "ndsi"
    assert gx.read_record(scenes / "out/b/b.gpkg")["model"]["name"] == "ratio"
    log = json.loads((scenes / "out/first/first.log.json").read_text())
    assert str(scenes / "dem.tif") in log["inputs"]


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--shard", "5/4"], 2, "--shard is '5/4'"),
        (["--jobs", "0"], 2, "--jobs is 0"),
        (["--worker-resource", "GPU=1"], 2, "--worker-resource is for --scheduler"),
        (["--scheduler", "tcp://127.0.0.1:1", "--worker-resource", "GPU"], 2, "Give it as GPU=1"),
        (["--scheduler", "tcp://127.0.0.1:1", "--jobs", "2"], 2, "Give one"),
        (["--model", "nonsense"], 6, "no model file nonsense"),
        (["--threshold", "2"], 2, "--threshold is 2"),
    ],
)
def test_a_wrong_flag_is_one_line_and_nothing_is_begun(scenes, flags, code, said):
    line = run_command("batch", scenes / "a.tif", "-o", scenes / "out", *flags, code=code)
    assert said in line
    assert not (scenes / "out").exists()


def test_nothing_to_do_is_one_line(scenes):
    out = ("-o", scenes / "out")
    assert "No file is called" in run_command("batch", scenes / "x*.tif", *out, code=4)
    (scenes / "m.csv").write_text("scene\n")
    assert "lists no scene" in run_command("batch", scenes / "m.csv", *out, code=4)
    assert "cannot be read" in run_command("batch", scenes / "n.csv", *out, code=4)


def test_fail_fast_is_told(scenes):
    shutil.copy(scenes / "c.tif", scenes / "0.tif")
    out = ("-o", scenes / "out", "--model", "ndsi", "--fail-fast")
    assert "1 of 4 scenes failed" in run_command("batch", scenes / "?.tif", *out, code=3)
    lines = (scenes / "out/results.jsonl").read_text().splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["failed"] + ["not begun"] * 3


def begin(*arguments, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "glacierx", "batch", *map(str, arguments)],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
        # Of tests that run in the background a process would inherit that it ignores SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def wait_for(found):
    deadline = time.monotonic() + 60
    while not found() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found()


@pytest.mark.parametrize(
    ("number", "code", "all_of_them"),
    [
        (signal.SIGINT, 130, True),
        (signal.SIGTERM, 143, False),
        (signal.SIGTERM, 143, True),
        (signal.SIGKILL, -signal.SIGKILL, False),
    ],
)
def test_a_signal_ends_it_soon_and_the_rest_is_done_later(
    make_scene, tmp_path, number, code, all_of_them
):
    card = gx.Card("slow", "deeplabv3plus", (gx.Slot("green"),), patch_px=512, tta="d4")
    model = gx.save_model(gx.build_model(card), tmp_path / "slow.safetensors")
    make_scene(disc((2000, 2000), (1000, 1000), 900), name="large.tif")
    make_scene(MASK, name="small.tif")
    manifest = f"scene,model\nsmall.tif,ndsi\nlarge.tif,{model.name}\n"
    (tmp_path / "m.csv").write_text(manifest)
    with begin("m.csv", "-o", "out", folder=tmp_path) as process:
        wait_for(lambda: list(tmp_path.glob("out/large/.large.gpkg.part/new/*")))
        time.sleep(0.5)
        (os.killpg if all_of_them else os.kill)(process.pid, number)
        began = time.monotonic()
        _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert time.monotonic() - began < 8
    assert "Traceback" not in err
    assert err.strip() == ("Interrupted: no half-written file is left." if code > 0 else "")
    # What is begun can be gone on from; nothing else is left, and no process.
    wait_for(lambda: not list(tmp_path.glob("out/large/.*.part/new")))
    assert not (tmp_path / "out/large/large.gpkg").exists()
    assert json.loads((tmp_path / "out/small/status.json").read_text())["state"] == "done"
    (tmp_path / "m.csv").write_text(manifest.replace(model.name, "ndsi"))
    result = run_command("batch", tmp_path / "m.csv", "-o", tmp_path / "out")
    assert "2 scenes: 1 done, 1 done before" in result.stderr


def test_several_processes_do_each_scene_once(scenes):
    for number in range(4):
        shutil.copy(scenes / "a.tif", scenes / f"{number}.tif")
    (scenes / "c.tif").unlink()
    flags = ("?.tif", "-o", "out", "--model", "ndsi", "--jobs", "2")
    both = [begin(*flags, folder=scenes) for _ in range(2)]
    told = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    fresh = [sum(line.split()[1] == "done" for line in out.splitlines()) for out, _ in told]
    assert sum(fresh) == 6
