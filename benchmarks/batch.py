"""Many scenes on a Dask cluster whose workers are killed, beside plain extraction one by one.

    python benchmarks/batch.py [--scenes N] [--kills N] [--workers N] [--size N] [--work FOLDER]

One scene of the made ones is cut short. A worker is killed in the midst of its scenes; all but that
one have to be done, each once. Then what a runner takes for scenes that take no time at all.
"""

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from distributed import LocalCluster

from glacierx.batch.batch import Kept, batch, make_tasks, summary
from glacierx.batch.cluster import Cluster
from glacierx.batch.manifest import find_rows
from glacierx.batch.processes import Processes
from glacierx.batch.status import read_status
from glacierx.batch.tasks import DONE, Outcome, Runner, Task
from glacierx.batch.work import note_lost, run_scene
from glacierx.errors import GlacierxError
from glacierx.extract import extract, write_outlines
from glacierx.options import SimulateOptions
from glacierx.scene.scene import open_scene
from glacierx.simulate.simulate import simulate


def counted(task: Task) -> Outcome:
    """Do a scene, and note in its folder whenever that was done."""
    before = read_status(Path(task.folder))
    known = before is not None and before.run == task.run and before.outcome.state == DONE
    outcome = run_scene(task)
    if outcome.state == DONE and not outcome.skipped and not known:
        with (Path(task.folder) / "done_here").open("a") as file:
            file.write("x")
    return outcome


def nothing(task: Task) -> Outcome:
    """Do nothing."""
    return Outcome(task.name, task.folder, DONE)


def make(made: Path, folder: Path, scenes: int, size: int) -> Path:
    """Make scenes, cut a copy of one of them short, and list them in a manifest."""
    lines = ["scene,dem,name"]
    for number in range(scenes):
        name = f"s{number:04}"
        place = made.absolute() / f"{size}_{number:04}"
        if not place.exists():
            simulate(place, SimulateOptions(size=size, gsd=30, seed=number + 1))
        scene = place / "scene.tif"
        if number == scenes // 2:
            whole = scene.read_bytes()
            scene = folder / "scene.tif"
            scene.write_bytes(whole[: len(whole) // 2])
        lines.append(f"{scene},{place / 'dem.tif'},{name}")
    manifest = folder / "scenes.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def one_by_one(manifest: Path, out: Path) -> float:
    """Extract each scene plainly, and return scenes a second."""
    out.mkdir()
    failed = 0
    rows = find_rows(manifest, {})
    began = time.perf_counter()
    for row in rows:
        try:
            with open_scene(row.values["scene"], dem=row.values["dem"]) as scene:
                write_outlines(extract(scene), out / f"{row.values['name']}.gpkg")
        except GlacierxError:
            failed += 1
    took = time.perf_counter() - began
    print(f"plain: {len(rows)} scenes one by one in {took:.1f} s, {failed} failed")
    return len(rows) / took


def kill(made: Any, out: Path, times: int, scenes: int, killed: list[int]) -> None:
    """Kill the first worker in the midst of a scene, evenly over the work."""
    nanny = next(iter(made.workers.values()))
    for number in range(times):
        while len(list(out.glob("*/done_here"))) < scenes * (number + 1) // (times + 1):
            time.sleep(0.02)
        # The nanny has a new process, and every worker is at a scene.
        while nanny.pid in (None, *killed) or len(list(out.glob("*/.status.json.part"))) < len(
            made.workers
        ):
            time.sleep(0.005)
        killed.append(nanny.pid)
        os.kill(nanny.pid, signal.SIGKILL)


def demonstrate(made: Any, manifest: Path, out: Path, kills: int) -> float:
    """Do all scenes while a worker is killed; return scenes a second."""
    scenes = len(find_rows(manifest, {}))
    killed: list[int] = []
    killer = threading.Thread(target=kill, args=(made, out, kills, scenes, killed), daemon=True)
    runner = Cluster(made.scheduler_address, {"GPU": 1})
    killer.start()
    began = time.perf_counter()
    done = batch(manifest, out, runner=runner, work=counted)
    took = time.perf_counter() - began
    runner.close()
    times = Counter(
        len(path.read_text()) if path.exists() else 0
        for path in (out / one.name / "done_here" for one in done.outcomes if one.state == DONE)
    )
    again = sum(one.attempts > 1 for one in done.outcomes)
    print(f"cluster: {summary(done.outcomes)} in {took:.1f} s, {len(killed)} kills")
    print(f"cluster: done once {times[1]}, another number of times {times.total() - times[1]}")
    print(f"cluster: begun again {again}")
    for one in done.failed:
        print(f"cluster: {one.name} failed: {one.reason}")
    return scenes / took


def overhead(name: str, runner: Runner, manifest: Path, out: Path) -> None:
    """Print what a runner takes for a scene that takes no time, once it is under way."""
    tasks = make_tasks(find_rows(manifest, {}), out, Kept())
    ends = [time.perf_counter() for _ in runner.run(nothing, iter(tasks), note_lost)]
    each = (ends[-1] - ends[0]) / max(1, len(ends) - 1)
    print(f"overhead: {name} {1000 * each:.1f} ms for each of {len(ends)} scenes")


def whole_overhead(name: str, runner: Runner, manifest: Path, out: Path) -> None:
    """Print what a whole batch takes for a scene that takes no time, from manifest to results."""
    began = time.perf_counter()
    done = batch(manifest, out, runner=runner, work=nothing)
    each = (time.perf_counter() - began) / len(done.outcomes)
    print(f"overhead: {name}, from manifest to results, {1000 * each:.1f} ms")


def main() -> int:
    """Run all, and print figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(dir=given.work) as name:
        folder = Path(name)
        folder = folder.absolute()
        manifest = make(given.work or folder, folder, given.scenes, given.size)
        plain = one_by_one(manifest, folder / "plain")
        with cluster(given.workers) as made:
            many = demonstrate(made, manifest, folder / "out", given.kills)
            print(f"throughput: {plain:.2f} scenes/s plain, {many:.2f} on {given.workers} workers")
            print(f"throughput: ratio {many / plain:.2f}")
            runner = Cluster(made.scheduler_address, {"GPU": 1})
            overhead("Dask", runner, manifest, folder / "no")
            whole_overhead("Dask", runner, manifest, folder / "whole")
            runner.close()
        overhead("processes", Processes([{}] * given.workers), manifest, folder / "no")
    return 0


def cluster(workers: int) -> LocalCluster:
    """Start workers of one thread each, with a nanny that starts them again."""
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None,
        resources={"GPU": 1}, silence_logs=50,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
