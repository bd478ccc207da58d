"""The work on one scene: done once however often it is asked for, wherever it is asked."""

import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from glacierx import __version__
from glacierx.batch.key import Input, inputs_of, key_of, what_differs, with_hashes
from glacierx.batch.status import (
    RUNNING,
    STATUS,
    Status,
    note_running,
    read_status,
    scene_path,
)
from glacierx.batch.tasks import BUSY, DONE, FAILED, Outcome, Task
from glacierx.errors import (
    MEMORY_ADVICE,
    OUT_OF_MEMORY,
    BusyError,
    GlacierxError,
    GlacierxWarning,
    OptionError,
    ResumeError,
    is_out_of_memory,
)
from glacierx.extract import Extraction, extract_to
from glacierx.predict.choice import shipped_for
from glacierx.predict.classic import PixelMethod, parse_method
from glacierx.predict.device import decoders
from glacierx.predict.memory import keep_memory
from glacierx.predict.model import check_file, find_model, load_model
from glacierx.predict.modelfile import Model
from glacierx.record import RunLog
from glacierx.scene.scene import Scene, open_scene
from glacierx.scene.staging import check_free, staged
from glacierx.scene.trust import allow_vrt

# What a scene warns of is kept for it by a setting of the whole process.
_ONE_AT_A_TIME = threading.Lock()


def run_scene(task: Task) -> Outcome:
    """Do one scene, unless it is done; whatever goes wrong is said in the outcome.

    Its folder holds the results and ``status.json``. Two processes may be given the same task:
    one does it, and the other finds it busy or done.
    """
    with _ONE_AT_A_TIME:
        try:
            with allow_vrt() if task.allow_vrt else nullcontext():
                return _run(task)
        except BusyError:
            return Outcome(task.name, scene_path(task), BUSY)
        except Exception as error:  # noqa: BLE001 - a scene never stops the others
            return _failed(task, error)


def settle(task: Task, *, hashing: bool = False) -> Outcome | None:
    """Return what became of a scene, if there is nothing to do for it.

    Args:
        task: The scene.
        hashing: Hash files whose times alone differ from what is noted; else such a scene is
            not settled.
    """
    status = read_status(Path(task.folder))
    if status is None or status.outcome.state == RUNNING:
        return None
    inputs = inputs_of(task)
    settled, _ = _settled(task, status, key_of(task, inputs), inputs, hashing=hashing)
    return settled


def note_lost(task: Task, reason: str, exit_code: int) -> Outcome:
    """Note that a scene failed because its process ended."""
    try:
        folder = _folder(task)
        with staged(folder / STATUS, overwrite=True) as part:
            status = read_status(folder)
            told = Outcome(task.name, scene_path(task), FAILED, exit_code=exit_code, reason=reason)
            if status is not None:
                mine = status.run == task.run and status.outcome.state != RUNNING
                told = status.outcome if mine else replace(told, attempts=status.outcome.attempts)
            key = status.key if status is not None else key_of(task, inputs_of(task))
            part.write_text(Status(told, key, task.run).text(), encoding="utf-8")
            return told
    except BusyError:
        return Outcome(task.name, scene_path(task), BUSY)
    except Exception as error:  # noqa: BLE001 - a scene never stops the others
        return _failed(task, error)


def _settled(
    task: Task, status: Status, key: Mapping[str, Any], inputs: list[Input], *, hashing: bool
) -> tuple[Outcome | None, str | None]:
    """Return the outcome if it stands, else why it does not."""
    old = status.outcome
    if status.run == task.run:
        return old, None
    if task.overwrite:
        return None, "--overwrite"
    differs = what_differs(status.key, key, inputs, hashing=hashing)
    if differs:
        return None, differs
    if old.state == FAILED:
        return (None, "--retry-failed") if task.retry_failed else (replace(old, skipped=True), None)
    missing = [name for name in task.outputs if not (Path(task.folder) / name).is_file()]
    if missing:
        return None, f"{missing[0]} is not there"
    return replace(old, skipped=True), None


def _run(task: Task) -> Outcome:
    if task.version != __version__:
        raise OptionError(
            f"This worker has glacierx {__version__}, and the batch {task.version}. "
            "Install the same on all."
        )
    folder = _folder(task)
    inputs = inputs_of(task)
    key = key_of(task, inputs)
    with staged(folder / STATUS, overwrite=True) as part:
        status = read_status(folder)
        note = None
        attempts = 1
        if status is None and not task.overwrite:
            for name in task.outputs:  # What is there without a status is not ours.
                check_free(folder / name)
        if status is not None:
            if status.outcome.state != RUNNING:
                settled, note = _settled(task, status, key, inputs, hashing=True)
                if settled is not None:
                    # A file that was merely copied is known by its new time from now on.
                    newer = status.key if status.run == task.run else key
                    _put(part, task, settled, status.run, newer, inputs)
                    return settled
            if what_differs(status.key, key, inputs) is None:
                attempts += status.outcome.attempts
        note_running(part, task, key, attempts)
        began = time.monotonic()
        outcome = _attempt(task, status)
        took = round(time.monotonic() - began, 3)
        outcome = replace(outcome, seconds=took, attempts=attempts, note=note)
        _put(part, task, outcome, task.run, key, inputs)
    return outcome


def _put(
    part: Path,
    task: Task,
    outcome: Outcome,
    run: str,
    key: Mapping[str, Any],
    inputs: list[Input],
) -> None:
    if outcome.state == DONE:
        key = with_hashes(key, inputs, always=task.always_hash)
    part.write_text(Status(outcome, key, run).text(), encoding="utf-8")


def _folder(task: Task) -> Path:
    folder = Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _attempt(task: Task, status: Status | None) -> Outcome:
    """Extract, and say how it went; only what ends the whole process is raised."""
    trace = Path(task.folder) / f"{task.name}.traceback.txt"
    trace.unlink(missing_ok=True)
    with _told() as told:
        try:
            result = _extract(task, status, told)
        except BusyError:
            raise
        except Exception as error:  # noqa: BLE001 - a scene never stops the others
            if not isinstance(error, GlacierxError):
                with suppress(OSError):
                    trace.write_text(traceback.format_exc(), encoding="utf-8")
            return replace(_failed(task, error), warnings=_texts(told))
    return Outcome(
        task.name,
        scene_path(task),
        DONE,
        complexes=len(set(result.complexes["complex_id"].tolist())),
        glaciers=len(result.glaciers),
        area_km2=round(float(result.glaciers["area_km2"].sum()), 6),
        warnings=_texts(told),
        outputs=task.outputs,
    )


def _extract(task: Task, status: Status | None, told: list[warnings.WarningMessage]) -> Extraction:
    folder = Path(task.folder)
    _keep_memory()
    run = RunLog(task.command or None)
    rasters = {kind: folder / name for kind, name in task.rasters.items()}
    output = folder / f"{task.name}.gpkg"
    with open_scene(**task.scene, workers=decoders(task.engine)) as scene:
        model, file = _model(task.model, scene)

        def begin(*, resume: bool) -> Extraction:
            return extract_to(
                output, scene, model, task.options, divides=task.divides, resume=resume,
                overwrite=True, always_hash=task.always_hash, engine=task.engine,
                probability=rasters.get("probability"), mask=rasters.get("mask"),
                class_map=rasters.get("class_map"),
            )  # fmt: skip

        try:
            result = begin(resume=True)
        except ResumeError:
            told.clear()
            result = begin(resume=False)
        inputs = [*scene.paths, *filter(None, [task.divides, file])]
    for name in status.outcome.outputs if status is not None else ():
        # Of an earlier run with other options; it would be taken for one of this.
        if name.startswith(f"{task.name}_") and name not in task.outputs:
            (folder / Path(name).name).unlink(missing_ok=True)
    log = folder / f"{task.name}.log.json"
    run.write(log, result.record, inputs, [output, *rasters.values()], overwrite=True)
    return result


def _model(name: str, scene: Scene) -> tuple[str | Model | PixelMethod, str | None]:
    """Choose a model, of which the weights stay in memory for the next scene, and name its file."""
    if name == "auto":
        shipped = shipped_for(scene)
        if shipped is None:
            return name, None
        path = find_model(shipped)
    elif parse_method(name) is not None:
        return name, None
    else:
        path = find_model(name)
        check_file(path, scene)
    stat = path.stat()
    return _loaded(path, stat.st_size, stat.st_mtime_ns), str(path)


@lru_cache(maxsize=2)
def _loaded(path: Path, size: int, changed_ns: int) -> Model | PixelMethod:
    return load_model(path)


@lru_cache(maxsize=1)
def _keep_memory() -> None:
    keep_memory()


@contextmanager
def _told() -> Iterator[list[warnings.WarningMessage]]:
    """Collect what a user should know, instead of showing it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", GlacierxWarning)
        yield told


def _texts(told: list[warnings.WarningMessage]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(" ".join(str(one.message).split()) for one in told))


def _failed(task: Task, error: Exception) -> Outcome:
    code = 1
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, GlacierxError):
        text, code = str(error), error.exit_code
    elif is_out_of_memory(error):
        text, code = MEMORY_ADVICE, OUT_OF_MEMORY
    reason = " ".join(text.split())
    return Outcome(task.name, scene_path(task), FAILED, exit_code=code, reason=reason)
