"""A batch of scenes: what is to do, what is done already, and what became of each."""

import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rasterio.env import getenv, hasenv

from glacierx.batch.manifest import Row, find_rows
from glacierx.batch.names import Named, choose_names
from glacierx.batch.processes import Processes
from glacierx.batch.status import check_results, is_held, scene_path, write_results
from glacierx.batch.tasks import (
    BUSY,
    DONE,
    FAILED,
    LEFT,
    Outcome,
    Runner,
    Sequential,
    Task,
    Work,
    parse_shard,
)
from glacierx.batch.work import note_lost, run_scene, settle
from glacierx.errors import BatchError, BusyError
from glacierx.options import (
    DIVIDE_PRESETS,
    DivideOptions,
    EngineOptions,
    ExtractOptions,
    OutlineOptions,
    PredictOptions,
)
from glacierx.predict.classic import parse_method
from glacierx.predict.device import cores, gpus
from glacierx.predict.model import find_model
from glacierx.scene.raster import PathLike
from glacierx.scene.staging import make_folder
from glacierx.scene.trust import vrts_are_allowed

Progress = Callable[[int, int, str], None]
POLL_S, LONGEST_POLL_S = 0.5, 10.0
NAMED = 5
OF_SCENE = (
    "bands", "sensor", "level", "scale", "offset", "nodata", "invalid", "aoi", "aoi_buffer_m",
    "dem", "dem_band", "aux", "date",
)  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """What a batch keeps and does again.

    Attributes:
        probability: Keep probability maps.
        mask: Write masks.
        class_map: Write class maps.
        always_hash: Hash input files above 2 GB too.
        overwrite: Do every scene again, and replace files that no batch wrote.
        retry_failed: Do those again that failed.
    """

    probability: bool = False
    mask: bool = False
    class_map: bool = False
    always_hash: bool = False
    overwrite: bool = False
    retry_failed: bool = False


@dataclass(frozen=True)
class Batch:
    """What became of the scenes of a batch.

    Attributes:
        outcomes: One for each scene, in the order of the manifest.
        results: The file that says the same, one JSON object a line.
    """

    outcomes: tuple[Outcome, ...]
    results: Path

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Those that failed, now or before."""
        return tuple(one for one in self.outcomes if one.state == FAILED)

    def check(self) -> None:
        """Say which scenes failed.

        Raises:
            BatchError: Some did.
        """
        if not self.failed:
            return
        names = [one.name for one in self.failed]
        shown = ", ".join(names[:NAMED])
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        raise BatchError(
            f"{len(names)} of {len(self.outcomes)} scenes failed: {shown}{more}. "
            f"Their reasons stand above and in {self.results}; --retry-failed does them again."
        )

    def __str__(self) -> str:
        """Return a table of all scenes."""
        return table(self.outcomes)


def batch(  # noqa: PLR0913 - one keyword for each flag of the command line
    scenes: PathLike | Sequence[PathLike | Mapping[str, Any]],
    output: PathLike,
    defaults: Mapping[str, Any] | None = None,
    kept: Kept = Kept(),
    *,
    runner: Runner | None = None,
    shard: str | None = None,
    fail_fast: bool = False,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    work: Work = run_scene,
) -> Batch:
    """Extract the outlines of many scenes, each into a folder of its own.

    What is done with the same inputs, options and version is not done again. A scene that fails
    stops no other. Two batches may share a folder: each scene is done by one of them.

    Args:
        scenes: A manifest (csv, jsonl), a name of files with ``*``, or several of them; a mapping
            is a row of a manifest.
        output: The folder of results.
        defaults: What holds for each scene that says nothing else, by column.
        kept: What is kept and done again.
        runner: What runs the scenes; this process if None.
        shard: ``3/16`` does the third of sixteen shares alone.
        fail_fast: Begin no more scenes once one has failed.
        progress: Called as scenes end.
        say: Called with what a user should know while it runs.
        work: Does one scene.

    Returns:
        What became of each.

    Raises:
        SceneError: There is no scene, or the manifest is wrong.
        OutputError: The folder cannot be written to.
        ModelError: The model for all is not there.

    Example:
        >>> batch("scenes.csv", "results/", {"model": "ndsi"}).check()
    """
    given = dict(defaults or {})
    _check_model(str(given.get("model", "auto")))
    share = parse_shard(shard) if shard is not None else None
    tasks = make_tasks(find_rows(scenes, given), Path(output).absolute(), kept)
    results = Path(output) / "results.jsonl"
    if share is not None:
        number, of = share
        tasks = sorted(tasks, key=lambda task: task.name)[number - 1 :: of]
        results = results.with_name(f"results-{number}-of-{of}.jsonl")
    make_folder(results.parent)
    check_results(results, overwrite=kept.overwrite)
    going = _Going(tasks, progress, fail_fast=fail_fast)
    going.note(outcome for task in tasks if (outcome := settle(task)) is not None)
    going.run(runner or Sequential(), work, say or (lambda text: None))
    outcomes = _write(results, tasks, going.finished())
    return Batch(tuple(outcomes), results)


class _Going:
    """A batch that is going on."""

    def __init__(
        self, tasks: Sequence[Task], progress: Progress | None, *, fail_fast: bool
    ) -> None:
        self._tasks = {task.name: task for task in tasks}
        self._outcomes: dict[str, Outcome] = {}
        self._progress = progress
        self._fail_fast = fail_fast
        self._stopped = False
        self._ended = 0

    def note(self, outcomes: Iterator[Outcome]) -> None:
        """Take outcomes as they come."""
        for outcome in outcomes:
            self._outcomes[outcome.name] = outcome
            if outcome.state == FAILED and not outcome.skipped:
                self._stopped = self._fail_fast
            if self._progress:
                if outcome.state != BUSY:
                    self._ended += 1
                self._progress(self._ended, len(self._tasks), "scenes")

    def run(self, runner: Runner, work: Work, say: Callable[[str], None]) -> None:
        """Do what is left; wait for what others do, and take over what they leave."""
        todo = [task for name, task in self._tasks.items() if name not in self._outcomes]
        if not todo:
            return
        runner.check(todo)
        pause = POLL_S
        while todo and not self._stopped:
            self.note(runner.run(work, self._feed(todo), note_lost))
            busy = [self._tasks[one.name] for one in self._outcomes.values() if one.state == BUSY]
            if busy and pause == POLL_S:
                say(f"{len(busy)} scenes are being done by another run: waiting for it.")
            todo = []
            while busy and not todo and not self._stopped:
                time.sleep(pause)
                pause = min(LONGEST_POLL_S, pause * 1.5)
                free = [task for task in busy if not is_held(Path(task.folder))]
                self.note(told for task in free if (told := settle(task)) is not None)
                left = {name for name, one in self._outcomes.items() if one.state == BUSY}
                todo = [task for task in free if task.name in left]
                busy = [task for task in busy if task.name in left]

    def finished(self) -> dict[str, Outcome]:
        """Return an outcome for each scene."""
        told = "Not begun, because another scene failed (--fail-fast)."
        return {
            name: self._outcomes.get(name) or Outcome(name, scene_path(task), LEFT, reason=told)
            for name, task in self._tasks.items()
        }

    def _feed(self, tasks: Sequence[Task]) -> Iterator[Task]:
        for task in tasks:
            if self._stopped:
                return
            yield task


def make_tasks(rows: Sequence[Row], output: Path, kept: Kept) -> list[Task]:
    """Turn the rows of a manifest into what is to be done.

    Raises:
        SceneError: Two scenes have the same name, or one has none that a folder can have.
    """
    named = []
    for row in rows:
        first = str(row.values.get("bands", "")).partition("=")[2].partition(",")[0]
        path = row.values.get("scene") or first
        named.append(Named(row.values.get("name"), str(path), row.where))
    run = uuid.uuid4().hex
    return [
        _task(name, row, output, kept, run)
        for name, row in zip(choose_names(named), rows, strict=True)
    ]


def _task(name: str, row: Row, output: Path, kept: Kept, run: str) -> Task:
    values = row.values
    scene = {"path": values.get("scene"), "aoi_buffer_m": 0.0}
    scene |= {column: values[column] for column in OF_SCENE if column in values}
    divides = values.get("divides")
    return Task(
        name=name,
        where=row.where,
        folder=str(output / name),
        scene=scene,
        model=values.get("model", "auto"),
        options=ExtractOptions(
            PredictOptions.build(values), OutlineOptions.build(values), DivideOptions.build(values)
        ),
        engine=EngineOptions.build(values),
        divides=None if divides in DIVIDE_PRESETS else divides,
        allow_vrt=vrts_are_allowed(),
        run=run,
        command=tuple(sys.argv),
        **{one.name: getattr(kept, one.name) for one in fields(Kept)},
    )


def local_runner(jobs: int | None, device: str = "auto") -> Processes:
    """Return processes of this machine.

    Args:
        jobs: How many; None is one for each GPU where there are several, else one.
        device: What networks run on.
    """
    cards = gpus() if device in ("auto", "cuda") else []
    count = jobs or (len(cards) if len(cards) > 1 else 1)
    shared: dict[str, str] = {}
    if hasenv():  # What --aws-profile and its kin set.
        shared = {name: str(value) for name, value in getenv().items() if name.startswith("AWS_")}
    if count > 1:
        threads = str(max(1, cores() // count))
        shared |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads)
    each = []
    for number in range(count):
        own = {"CUDA_VISIBLE_DEVICES": cards[number % len(cards)]} if len(cards) > 1 else {}
        each.append({**shared, **own})
    return Processes(each)


def with_decoders(defaults: Mapping[str, Any], jobs: int) -> dict[str, Any]:
    """Let the threads that decode scenes share the processors, where nothing else was asked for."""
    if jobs < 2 or defaults.get("workers") is not None:
        return dict(defaults)
    return {**defaults, "workers": max(1, min(8, cores() // jobs))}


def _check_model(name: str) -> None:
    if name != "auto" and parse_method(name) is None:
        find_model(name)


def _write(path: Path, tasks: Sequence[Task], outcomes: Mapping[str, Outcome]) -> list[Outcome]:
    """Write the list of results; two batches of one folder may end in the same moment."""
    for _ in range(20):
        with suppress(BusyError):
            return write_results(path, tasks, outcomes)
        time.sleep(0.1)
    return write_results(path, tasks, outcomes)


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a line for each scene: its state, glaciers, area, seconds, and why it failed."""
    width = max([5, *(len(one.name) for one in outcomes)])
    lines = [f"{'scene':<{width}}  {'state':<9}  glaciers  area_km2  seconds"]
    for one in outcomes:
        ended = one.state == DONE
        numbers = (
            f"{one.glaciers if ended else '-':>8}",
            f"{one.area_km2:>8.2f}" if ended else f"{'-':>8}",
            f"{one.seconds:>7.1f}" if one.seconds is not None else f"{'-':>7}",
        )
        state = "skipped" if one.skipped and ended else one.state
        said = f"  {one.reason}" if one.reason else ""
        lines.append(f"{one.name:<{width}}  {state:<9}  {'  '.join(numbers)}{said}")
    return "\n".join(lines)


def summary(outcomes: Sequence[Outcome]) -> str:
    """Count outcomes, on one line."""
    states = Counter("skipped" if o.skipped and o.state == DONE else o.state for o in outcomes)
    order = {DONE: "done", "skipped": "done before", FAILED: "failed", BUSY: "busy", LEFT: LEFT}
    told = [f"{states[state]} {text}" for state, text in order.items() if states[state]]
    return f"{len(outcomes)} scenes: {', '.join(told)}"
