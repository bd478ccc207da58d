import builtins
import os
import signal
import threading
import time
from pathlib import Path

import batch_work
import pytest
from factories import disc, run_command

from glacierx.batch import cluster
from glacierx.batch.batch import Kept, batch
from glacierx.batch.cluster import Cluster, parse_resources
from glacierx.batch.status import read_status
from glacierx.batch.tasks import FAILED
from glacierx.errors import ExtraError, OptionError

distributed = pytest.importorskip("distributed", reason="Dask is not installed")
MASK = disc((60, 60), (30, 30), 20)


@pytest.fixture(scope="module", autouse=True)
def same_environment():
    """Dask sets numbers of threads for its workers in this process, and leaves them there."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def local():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
        resources={"GPU": 1},
    ) as made:  # fmt: skip
        yield made


@pytest.fixture
def connect(local):
    made = []

    def go(**resources):
        made.append(Cluster(local.scheduler_address, resources))
        return made[-1]

    yield go
    for one in made:
        one.close()


@pytest.mark.filterwarnings("ignore")  # Of libraries, when a worker dies.
def test_a_worker_that_is_killed_costs_nothing(local, connect, make_scene, tmp_path):
    for number in range(11):
        make_scene(MASK, name=f"s{number:02}.tif")
    (tmp_path / "s05.tif").write_bytes(b"II*\0 and no more")
    out = tmp_path / "out"
    killed = []

    def kill():
        deadline = time.monotonic() + 30
        while len(list(out.glob("*/done_here"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        worker = next(iter(local.workers.values()))
        killed.append(worker.pid)
        os.kill(worker.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    scenes = [str(tmp_path / "s*.tif")]
    done = batch(scenes, out, {"model": "ndsi"}, runner=connect(GPU=1), work=batch_work.slow)
    killer.join()
    assert len(killed) == 1
    assert [one.name for one in done.failed] == ["s05"]
    assert "s05.tif" in done.failed[0].reason
    assert len(done.outcomes) == 11
    noted = [len(file.read_text().split()) for file in out.glob("*/done_here")]
    # The worker may die when its scene is done and not yet noted; nothing is ever done twice.
    assert set(noted) == {1}
    assert len(noted) in (9, 10)
    assert all(not one.skipped for one in done.outcomes)


@pytest.mark.filterwarnings("ignore")
def test_a_scene_that_kills_its_workers_fails_alone(connect, make_scene, tmp_path):
    for name in ("a", "victim"):
        make_scene(MASK, name=f"{name}.tif")
    runner = connect()
    runner._client.run_on_scheduler(allow_one_failure)
    done = batch(
        str(tmp_path / "*.tif"), tmp_path / "out", {"model": "ndsi"}, runner=runner,
        work=batch_work.killed_always,
    )  # fmt: skip
    assert [one.state for one in done.outcomes] == ["done", "failed"]
    assert done.failed[0].exit_code == 137
    assert done.failed[0].reason.startswith("Its workers were killed 2 times. Memory may")
    assert read_status(tmp_path / "out/victim").outcome.state == FAILED


def allow_one_failure(dask_scheduler):
    dask_scheduler.allowed_failures = 1


def test_no_worker_with_the_resource_is_told_at_once(connect, make_scene, tmp_path):
    scene = make_scene(MASK)
    began = time.monotonic()
    with pytest.raises(OptionError, match=r"None of \d workers at .* has TPU=2; they have GPU=1\."):
        batch(scene, tmp_path / "out", {"model": "ndsi"}, runner=connect(TPU=2))
    with pytest.raises(OptionError, match="has GPU=2; they have GPU=1"):
        connect(GPU=2).check([])
    assert time.monotonic() - began < 10


def test_a_worker_that_cannot_do_the_work_is_told():
    mark = Path("/shared/out/.mark")
    said = {
        ("host", "9.9", True, ()): "has glacierx 9.9, and here it is",
        ("host", cluster.__version__, False, ()): "cannot write to /shared/out",
        ("host", cluster.__version__, True, ("s.tif",)): "does not see s.tif",
    }
    for answer, text in said.items():
        with pytest.raises(OptionError, match=text):
            cluster._check_answer("tcp://w:1", answer, mark)
    with pytest.raises(OptionError, match=r"cannot run glacierx \(ModuleNotFoundError: No"):
        cluster._check_answer("tcp://w:1", ModuleNotFoundError("No module"), mark)
    cluster._check_answer("tcp://w:1", ("host", cluster.__version__, True, ()), mark)


def test_a_worker_looks_at_the_files(tmp_path):
    mark = tmp_path / ".glacierx-token"
    assert cluster.look(str(mark), [])[2] is False
    mark.write_text("other")
    assert cluster.look(str(mark), [])[2] is False
    mark.write_text("token")
    assert cluster.look(str(mark), [str(mark), str(tmp_path / "x")])[1:] == (
        cluster.__version__, True, [str(tmp_path / "x")],
    )  # fmt: skip


def test_the_check_leaves_nothing(connect, make_scene, tmp_path):
    batch(make_scene(MASK), tmp_path / "out", {"model": "ndsi"}, Kept(), runner=connect())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["results.jsonl", "scene"]


def test_the_command_uses_a_cluster(local, scene_folder):
    flags = ("-o", scene_folder / "out", "--model", "ndsi", "--scheduler", local.scheduler_address)
    gpu = (*flags, "--worker-resource", "GPU=1")
    result = run_command("batch", scene_folder / "*.tif", *gpu)
    assert "2 scenes: 2 done\n" in result.stderr
    line = run_command("batch", scene_folder / "*.tif", *flags[:-1], "tcp://127.0.0.1:1", code=2)
    assert "No Dask scheduler answers" in line
    other = ("--overwrite", "--worker-resource", "TPU=1")
    assert "has TPU=1" in run_command("batch", scene_folder / "*.tif", *flags, *other, code=2)


@pytest.fixture
def scene_folder(make_scene, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    for name in ("a", "b"):
        make_scene(MASK, name=f"{name}.tif")
    return tmp_path


@pytest.mark.filterwarnings("ignore")
def test_no_scheduler_and_no_dask_are_one_line(monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    with pytest.raises(OptionError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:1\."):
        Cluster("tcp://127.0.0.1:1")
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == "distributed":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ExtraError, match=r"pip install 'glacierx\[dask\]'"):
        Cluster("tcp://127.0.0.1:1")


def test_resources_are_read():
    assert parse_resources(["GPU=1", "MEM=2e9"]) == {"GPU": 1.0, "MEM": 2e9}
    for text in ("GPU", "GPU=", "=1", "GPU=0", "GPU=nan", "GPU=inf"):
        with pytest.raises(OptionError, match="Give it as GPU=1"):
            parse_resources([text])
