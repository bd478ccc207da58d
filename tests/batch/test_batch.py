import json
import os
import shutil
import sys
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import batch_work
import numpy as np
import pytest
from factories import box as polygon
from factories import disc, run_command, tiny_card, utm_grid, write_outlines, write_tif

import glacierx as gx
from glacierx.batch.batch import Kept, batch, make_tasks
from glacierx.batch.manifest import find_rows
from glacierx.batch.processes import Processes
from glacierx.batch.status import STATUS, read_status
from glacierx.batch.tasks import DONE, FAILED, Sequential, Task, parse_shard
from glacierx.batch.work import note_lost, run_scene, settle
from glacierx.errors import BatchError, ModelError, OptionError, OutputError, ResumeError
from glacierx.predict.modelfile import build_model, save_network
from glacierx.scene.staging import staged

MASK = disc((60, 60), (30, 30), 20)
NDSI = {"model": "ndsi"}


@pytest.fixture
def three(make_scene, tmp_path):
    """Three scenes, the second of which is cut short."""
    for name in ("a.tif", "b.tif", "c.tif"):
        make_scene(MASK, name=name)
    whole = (tmp_path / "b.tif").read_bytes()
    (tmp_path / "b.tif").write_bytes(whole[:2000])
    return tmp_path


def run(folder, pattern="?.tif", **changes):
    """Run a batch on the scenes of a folder, and count what was done now."""
    kept = changes.pop("kept", Kept())
    defaults = NDSI | changes.pop("defaults", {})
    work = changes.pop("work", batch_work.counted)
    return batch(str(folder / pattern), folder / "out", defaults, kept, work=work, **changes)


def told(done, what="state"):
    return [getattr(one, what) for one in done.outcomes]


def times_done(folder, name):
    file = folder / "out" / name / "done_here"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_each_scene_has_a_folder_and_a_failed_one_stops_no_other(three):
    done = run(three, kept=Kept(probability=True, mask=True))
    assert told(done) == ["done", "failed", "done"]
    assert told(done, "glaciers") == [1, None, 1]
    with gx.open_scene(three / "a.tif") as scene:
        gx.write_outlines(gx.extract(scene, "ndsi"), three / "plain.gpkg")
    assert (three / "out/a/a.gpkg").read_bytes() == (three / "plain.gpkg").read_bytes()
    assert np.array_equal(gx.read_raster(three / "out/c/c_mask.tif").values[0] == 1, MASK)
    assert (three / "out/c/c_probability.tif").exists()
    log = json.loads((three / "out/a/a.log.json").read_text())
    assert log["inputs"] == [str(three / "a.tif")]
    assert sorted(p.name for p in (three / "out/b").iterdir()) == [STATUS]
    [failed] = done.failed
    assert failed.exit_code == 4
    assert failed.reason.startswith("b.tif ")
    lines = [json.loads(line) for line in done.results.read_text().splitlines()]
    assert [(line["name"], line["state"]) for line in lines] == [
        ("a", "done"), ("b", "failed"), ("c", "done"),
    ]  # fmt: skip
    assert lines[1]["reason"] == failed.reason
    area = lines[0]["area_km2"]
    assert area == pytest.approx(MASK.sum() * 1e-4, rel=0.01)
    # What a user should know of a scene is kept for it, and is in no other's way.
    assert any("no DEM" in text for text in lines[0]["warnings"])
    with pytest.raises(BatchError, match=r"1 of 3 scenes failed: b\. "):
        done.check()


def test_what_is_done_is_not_done_again_and_failed_ones_wait_to_be_asked_for(three):
    run(three)
    again = run(three)
    assert told(again) == ["done", "failed", "done"]
    assert told(again, "skipped") == [True, True, True]
    assert [times_done(three, name) for name in "abc"] == [1, 0, 1]
    assert again.failed[0].reason.startswith("b.tif ")
    retried = run(three, kept=Kept(retry_failed=True))
    assert told(retried, "skipped") == [True, False, True]
    assert retried.failed[0].attempts == 2
    assert retried.failed[0].note == "--retry-failed"
    # A failed one whose file was put right needs no asking.
    shutil.copy(three / "a.tif", three / "b.tif")
    mended = run(three)
    assert told(mended) == ["done"] * 3
    assert mended.outcomes[1].note == "the scene b.tif changed"
    mended.check()


@pytest.fixture
def all_inputs(make_scene, make_dem, tmp_path):
    """A scene with all that can change about it, and how each does."""
    scene = make_scene(MASK, name="a.tif")
    grid = utm_grid((60, 60))
    row, column = np.indices(grid.shape) + 0.5
    heights = 4000 - 4.0 * np.hypot(row - 30, column - 30)
    make_dem(heights, grid)
    write_outlines(tmp_path / "aoi.gpkg", [polygon([0, 60], [0, 60])])
    write_outlines(
        tmp_path / "inventory.gpkg", [polygon([0, 60], [0, 30]), polygon([0, 60], [30, 60])]
    )
    write_tif(tmp_path / "bad.tif", np.zeros((1, 60, 60), "uint8"), grid)
    save_network(build_model(tiny_card()), tmp_path / "m.safetensors")
    row = {
        "scene": scene, "dem": "dem.tif", "aoi": "aoi.gpkg", "divides": "inventory.gpkg",
        "invalid": "bad.tif=1", "model": "m.safetensors", "date": "2023-08-15",
    }  # fmt: skip

    def change(name):
        path = tmp_path / name
        if name == "m.safetensors":
            model = build_model(tiny_card(), seed=1)
            return save_network(model, path, overwrite=True)
        if path.suffix == ".tif":
            return write_tif(path, gx.read_raster(path).values.astype("uint16") + 1, grid)
        return write_outlines(path, [polygon([0, 50], [0, 60])])

    return row, change


def do(folder, row, kept=Kept()):
    manifest = folder / "m.jsonl"
    manifest.write_text(json.dumps({key: str(value) for key, value in row.items()}))
    [outcome] = batch(manifest, folder / "out", kept=kept, work=batch_work.counted).outcomes
    return outcome


def test_a_change_of_anything_has_it_done_again(all_inputs, tmp_path):
    row, change = all_inputs
    assert do(tmp_path, row).state == DONE
    assert do(tmp_path, row).skipped
    for name, what in (
        ("a.tif", "the scene"), ("dem.tif", "the DEM"), ("aoi.gpkg", "the region"),
        ("inventory.gpkg", "the inventory"), ("bad.tif", "a quality mask"),
        ("m.safetensors", "the model"),
    ):  # fmt: skip
        change(name)
        outcome = do(tmp_path, row)
        assert not outcome.skipped, name
        assert outcome.note == f"{what} {name} changed"
        if name == "a.tif":  # It has lost the names of its bands.
            assert outcome.state == FAILED
            row["bands"] = "blue,green,red,nir,swir1"
            assert do(tmp_path, row).note == "bands changed"
        assert do(tmp_path, row).skipped, name
    for column, value in (
        ("threshold", 0.3), ("date", "2023-08-16"), ("tta", "none"), ("grid_m", 20),
        ("aoi_buffer_m", 10), ("precision", "fp32"), ("invalid", "bad.tif=2"), ("nodata", 3),
    ):  # fmt: skip
        row[column] = value
        assert do(tmp_path, row).note == f"{column} changed"
    for column, value in (("workers", 1), ("batch", 2)):
        row[column] = value
        assert do(tmp_path, row).skipped, column


def test_a_file_that_was_only_copied_is_the_same(three):
    run(three)
    os.utime(three / "a.tif", (1, 1))
    assert settle(one_task(three)) is None
    again = run(three)
    assert told(again, "skipped") == [True] * 3
    assert times_done(three, "a") == 1
    # Its new time is noted, so that it is hashed once.
    assert settle(one_task(three)).skipped


def one_task(folder, pattern="a.tif", **changes):
    rows = find_rows(str(folder / pattern), NDSI)
    return replace(make_tasks(rows, folder / "out", Kept())[0], **changes)


def test_a_result_that_is_gone_or_is_newly_asked_for_is_made(three):
    run(three)
    (three / "out/a/a.gpkg").unlink()
    done = run(three, "[ac].tif")
    assert told(done, "note") == ["a.gpkg is not there", None]
    done = run(three, "[ac].tif", kept=Kept(mask=True))
    assert told(done, "skipped") == [False, False]
    assert run(three, "[ac].tif").outcomes[0].skipped
    # With other options a mask that is not asked for would be of the old ones.
    other = run(three, "a.tif", defaults={"min_area_km2": 0.02})
    assert other.outcomes[0].note == "min_area_km2 changed"
    assert not (three / "out/a/a_mask.tif").exists()
    assert (three / "out/c/c_mask.tif").exists()


def test_another_version_does_it_again(three, monkeypatch):
    run(three)
    task = one_task(three, run="later")
    assert run_scene(replace(task, version="9.9")).reason.startswith("This worker has glacierx 0.")
    status = three / "out/a" / STATUS
    status.write_text(
        status.read_text().replace(f'"version": "{gx.__version__}"', '"version": "0.0"')
    )
    assert run_scene(task).note == f"glacierx is {gx.__version__} and was 0.0"


def test_files_of_others_are_not_replaced(three):
    (three / "out/a").mkdir(parents=True)
    (three / "out/a/a.gpkg").write_text("mine")
    for _ in range(2):
        [outcome] = run(three, "a.tif", kept=Kept(retry_failed=True)).outcomes
        assert outcome.exit_code == 5
        assert "exists already" in outcome.reason
        assert (three / "out/a/a.gpkg").read_text() == "mine"
    assert run(three, "a.tif", kept=Kept(overwrite=True)).outcomes[0].state == DONE
    (three / "out/results.jsonl").write_text("mine\n")
    with pytest.raises(OutputError, match=r"results.jsonl exists already and is no list"):
        run(three, "a.tif")


def test_overwrite_does_it_again(three):
    run(three, "a.tif")
    assert not run(three, "a.tif", kept=Kept(overwrite=True)).outcomes[0].skipped
    assert times_done(three, "a") == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": "glacierx batch 1"}'])
def test_a_journal_that_cannot_be_read_tells_nothing(three, damage):
    run(three, "a.tif")
    (three / "out/a" / STATUS).write_text(damage)
    assert read_status(three / "out/a") is None
    [outcome] = run(three, "a.tif").outcomes
    assert "exists already" in outcome.reason  # It cannot be known whose the result is.


def test_an_unexpected_error_is_its_scenes_alone(three, monkeypatch):
    from glacierx.batch import work

    real = work.extract_to

    def broken(output, scene, *args, **kwargs):
        if scene.name == "a.tif":
            raise KeyError("surprise")
        if scene.name == "c.tif":
            raise MemoryError
        return real(output, scene, *args, **kwargs)

    monkeypatch.setattr(work, "extract_to", broken)
    shutil.copy(three / "a.tif", three / "d.tif")
    done = run(three)
    assert told(done) == ["failed", "failed", "failed", "done"]
    assert told(done, "exit_code") == [1, 4, 7, None]
    assert done.outcomes[0].reason == "KeyError: 'surprise'"
    assert "in broken" in (three / "out/a/a.traceback.txt").read_text()
    assert "use a smaller --patch-px" in done.outcomes[2].reason
    monkeypatch.undo()
    assert run(three, kept=Kept(retry_failed=True)).outcomes[0].state == DONE
    assert not (three / "out/a/a.traceback.txt").exists()


def test_a_disk_that_takes_nothing_is_the_scenes_reason(three):
    (three / "out").mkdir()
    (three / "out/a").write_text("a file where the folder should be")
    done = run(three, "[ac].tif")
    assert told(done) == ["failed", "done"]
    assert "FileExistsError" in done.outcomes[0].reason


def test_fail_fast_begins_no_more(three):
    done = run(three, fail_fast=True)
    assert told(done) == ["done", "failed", "not begun"]
    assert times_done(three, "c") == 0
    # A failure of before does not keep what is left from being done.
    assert told(run(three, fail_fast=True)) == ["done", "failed", "done"]


def test_shards_do_every_scene_once(three):
    shutil.copy(three / "a.tif", three / "b.tif")
    for name in "defg":
        shutil.copy(three / "a.tif", three / f"{name}.tif")
    seen = []
    for shard in ("1/3", "2/3", "3/3"):
        done = run(three, shard=shard)
        seen += told(done, "name")
        assert done.results.name == f"results-{shard.replace('/', '-of-')}.jsonl"
        assert len(done.results.read_text().splitlines()) == len(done.outcomes)
    assert sorted(seen) == list("abcdefg")
    whole = run(three)
    assert told(whole, "skipped") == [True] * 7
    assert len(whole.results.read_text().splitlines()) == 7
    for shard in ("0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/3/3"):
        with pytest.raises(OptionError, match="--shard is"):
            parse_shard(shard)


def test_two_batches_share_the_work(three):
    for name in "bdefg":
        shutil.copy(three / "a.tif", three / f"{name}.tif")
    both = {}

    def go(number):
        said = []
        runner = Processes()
        both[number] = run(three, runner=runner, work=batch_work.slow, say=said.append)

    threads = [threading.Thread(target=go, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert told(both[1]) == told(both[2]) == ["done"] * 7
    assert [times_done(three, name) for name in "abcdefg"] == [1] * 7
    mine = [sum(not one.skipped for one in done.outcomes) for done in both.values()]
    assert sum(mine) == 7


def test_a_scene_that_another_run_does_is_waited_for_and_taken_over(three):
    (three / "out/a").mkdir(parents=True)
    said = []
    held = threading.Event()

    def hold():
        try:
            with staged(three / "out/a" / STATUS, overwrite=True):
                held.set()
                time.sleep(1)
                raise KeyError("It gave up.")
        except KeyError:
            pass

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    done = run(three, "[ac].tif", say=said.append)
    other.join()
    assert told(done) == ["done", "done"]
    assert said == ["1 scenes are being done by another run: waiting for it."]
    assert [times_done(three, name) for name in "ac"] == [1, 1]


def test_a_killed_process_costs_its_scene_one_try(three):
    shutil.copy(three / "a.tif", three / "victim.tif")
    done = run(three, "*.tif", runner=Processes([{}, {}]), work=batch_work.killed_once)
    assert told(done) == ["done", "failed", "done", "done"]
    assert times_done(three, "victim") == 1


def test_a_scene_that_kills_its_process_fails_alone(three):
    shutil.copy(three / "a.tif", three / "victim.tif")
    done = run(three, "*.tif", runner=Processes([{}, {}]), work=batch_work.killed_always)
    assert told(done) == ["done", "failed", "done", "failed"]
    victim = done.outcomes[-1]
    assert victim.exit_code == 128 + 9
    assert victim.reason.startswith("Its process was killed (SIGKILL), 2 times. Memory may have")
    assert (three / "out/victim/kills").read_text() == "xx"
    assert run(three, "*.tif").outcomes[-1].skipped
    assert run(three, "*.tif", kept=Kept(retry_failed=True)).outcomes[-1].state == DONE


def test_what_was_interrupted_is_done(three):
    run(three, "a.tif")
    task = one_task(three, run="killed", overwrite=True)
    status = read_status(three / "out/a")
    running = replace(status.outcome, state="running")
    (three / "out/a" / STATUS).write_text(replace(status, outcome=running, run="killed").text())
    assert settle(task) is None
    [outcome] = run(three, "a.tif").outcomes
    assert not outcome.skipped
    assert outcome.attempts == 2


def test_what_was_done_before_its_process_died_stays_done(three):
    task = one_task(three, run="this")
    assert run_scene(task).state == DONE
    assert note_lost(task, "killed", 137).state == DONE
    assert note_lost(replace(task, run="next"), "killed", 137).state == FAILED


def test_it_goes_on_from_finished_rows_of_the_same_run_alone(three, monkeypatch):
    from glacierx.batch import work

    asked = []
    real = work.extract_to

    def other_rows(*args, resume, **kwargs):
        asked.append(resume)
        if resume:
            warnings.warn("Finished rows are kept", gx.GlacierxWarning, stacklevel=2)
            raise ResumeError("The rows are of another run.")
        return real(*args, resume=resume, **kwargs)

    monkeypatch.setattr(work, "extract_to", other_rows)
    [outcome] = run(three, "a.tif").outcomes
    assert outcome.state == DONE
    assert asked == [True, False]
    assert not any("rows" in text for text in outcome.warnings)


def test_a_model_that_is_not_there_ends_it_at_once(three):
    with pytest.raises(ModelError, match="no model file nonsense"):
        run(three, defaults={"model": "nonsense"})
    assert not (three / "out").exists()


def test_a_network_is_loaded_once(three, monkeypatch):
    from glacierx.batch import work

    save_network(build_model(tiny_card()), three / "m.safetensors")
    loads = []
    real = work.load_model
    monkeypatch.setattr(work, "load_model", lambda path: loads.append(path) or real(path))
    done = run(three, defaults={"model": str(three / "m.safetensors")}, runner=Sequential())
    assert told(done) == ["done", "failed", "done"]
    assert len(loads) == 1
    with gx.open_scene(three / "c.tif") as scene:
        plain = gx.extract(scene, three / "m.safetensors")
    gx.write_outlines(plain, three / "plain.gpkg")
    assert (three / "out/c/c.gpkg").read_bytes() == (three / "plain.gpkg").read_bytes()


def test_processes_share_gpus_and_processors(monkeypatch):
    import torch

    from glacierx.batch.batch import local_runner, with_decoders
    from glacierx.predict import device

    monkeypatch.setattr(sys.modules["glacierx.batch.batch"], "cores", lambda: 8)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert local_runner(None)._environments == [{}]
    threads = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    assert local_runner(4)._environments == [threads] * 4
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert device.gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, 7")
    cards = [one["CUDA_VISIBLE_DEVICES"] for one in local_runner(None)._environments]
    assert cards == ["5", "7"]
    cards = [one["CUDA_VISIBLE_DEVICES"] for one in local_runner(3)._environments]
    assert cards == ["5", "7", "5"]
    assert local_runner(None, "cpu")._environments == [{}]
    assert with_decoders({}, 4) == {"workers": 2}
    assert with_decoders({"workers": 3}, 4) == {"workers": 3}
    assert with_decoders({}, 1) == {}


def test_the_environment_of_a_process_is_there_before_its_work(three):
    [outcome] = Processes([{"GLACIERX_TEST": "here"}]).run(
        batch_work.environment, iter([one_task(three)]), note_lost
    )
    assert outcome.reason == "here"


def test_a_task_can_be_sent(three):
    import pickle

    task = one_task(three)
    assert isinstance(task, Task)
    assert pickle.loads(pickle.dumps(task)) == task


def test_progress_counts_scenes(three):
    seen = []
    run(three, progress=lambda *step: seen.append(step))
    assert seen == [(1, 3, "scenes"), (2, 3, "scenes"), (3, 3, "scenes")]


def test_the_rest_of_a_result_is_checked_by_verify(three):
    run(three, "a.tif")
    shown = run_command("verify", three / "out/a/a.gpkg", three / "a.tif").stdout
    assert "changed" not in shown
    assert Path(three / "out/a").is_dir()
