"""The scenes of a batch on a Dask cluster that is there; Dask is imported when it is used."""

import logging
import os
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from glacierx import __version__
from glacierx.batch.tasks import Lost, Outcome, Task, Work
from glacierx.errors import BatchError, ExtraError, OptionError
from glacierx.scene.raster import is_remote

CONNECT_S = 10
LOOK_S = 2.0
PATIENCE_S = 120.0
ATTEMPTS = 3
SEEN = 20
"""Files that each worker is asked for before work begins."""


class Cluster:
    """Workers of a Dask scheduler.

    A scene whose worker dies is given to another by the scheduler, and fails once that has
    happened as often as its setting ``allowed-failures`` says. Each worker has to see the same
    files under the same paths.

    Args:
        address: Of the scheduler, ``tcp://host:8786``.
        resources: What a worker must have for each scene, ``{"GPU": 1}``.

    Raises:
        ExtraError: Dask is not installed.
        OptionError: No scheduler answers.
    """

    def __init__(self, address: str, resources: Mapping[str, float] | None = None) -> None:
        self._address = address
        self._resources = dict(resources or {})
        try:
            import distributed  # noqa: PLC0415 - an extra, and slow to import
        except ImportError as error:
            raise ExtraError(
                "--scheduler needs Dask, which is not installed: pip install 'glacierx[dask]'."
            ) from error
        self._dask = distributed
        # It logs what our line says, with its traceback.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        try:
            self._client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise OptionError(
                f"No Dask scheduler answers at {address}. Start one with `dask scheduler`, or "
                "check --scheduler."
            ) from error

    def check(self, tasks: Sequence[Task]) -> None:
        """Refuse a cluster that cannot do the work, instead of waiting for it for ever.

        Raises:
            OptionError: No worker has the resources, one has another version of glacierx, or one
                does not see the files.
        """
        workers = self._workers()
        if not workers:
            raise OptionError(self._nobody())
        token = uuid.uuid4().hex
        folders = sorted({str(Path(task.folder).parent) for task in tasks})[:1]
        files = [path for path in _some_files(tasks) if Path(path).exists()]
        mark = Path(folders[0]) / f".glacierx-{token}" if folders else None
        try:
            if mark is not None:
                mark.write_text(token, encoding="utf-8")
            found = self._client.run(
                look, str(mark) if mark else None, files, workers=list(workers), on_error="return"
            )
        finally:
            if mark is not None:
                mark.unlink(missing_ok=True)
        for worker, answer in sorted(found.items()):
            _check_answer(worker, answer, mark)

    def run(self, work: Work, tasks: Iterator[Task], lost: Lost) -> Iterator[Outcome]:
        """Give tasks to workers that are free, and yield outcomes; see `Runner`."""
        waiting: dict[Any, tuple[Task, int]] = {}
        workers, looked = self._workers(), monotonic()
        seen = looked
        try:
            while True:
                while len(waiting) < max(1, len(workers)):
                    task = next(tasks, None)
                    if task is None:
                        break
                    waiting[self._submit(work, task)] = task, 1
                if not waiting:
                    return
                for future in self._ended(list(waiting)):
                    task, attempt = waiting.pop(future)
                    outcome = self._take(future, task, attempt, lost)
                    if outcome is None:
                        waiting[self._submit(work, task)] = task, attempt + 1
                    else:
                        yield outcome
                if monotonic() - looked > LOOK_S:
                    workers, looked = self._workers(), monotonic()
                    seen = looked if workers else seen
                    if looked - seen > PATIENCE_S:
                        raise BatchError(f"{self._nobody()} Then give the same command again.")
        finally:
            with suppress(Exception):  # The scheduler may be gone.
                self._client.cancel(list(waiting), force=True)

    def close(self) -> None:
        """Leave the cluster."""
        self._client.close(timeout=2)

    def _submit(self, work: Work, task: Task) -> Any:
        # A name of its own: the same scene may be asked for twice.
        return self._client.submit(
            work, task, key=f"glacierx-{uuid.uuid4().hex}", pure=False, resources=self._resources
        )

    def _ended(self, futures: Sequence[Any]) -> list[Any]:
        try:
            with self._client.as_current():
                ended = self._dask.wait(futures, timeout=LOOK_S, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            return []
        except Exception as error:
            if self._client.status == "running":
                raise
            raise self._gone() from error
        return list(ended)

    def _take(self, future: Any, task: Task, attempt: int, lost: Lost) -> Outcome | None:
        """Return the outcome of a task that has ended; None where it is to be tried again."""
        try:
            outcome: Outcome = future.result(timeout=60)
        except self._dask.KilledWorker as error:
            workers = "its worker was" if error.allowed_failures < 1 else "its workers were"
            reason = f"{workers} killed {error.allowed_failures + 1} times"
            advice = "Memory may have run out: give workers more, or look at this scene by itself."
            return lost(task, f"{reason[0].upper()}{reason[1:]}. {advice}", 137)
        except Exception as error:
            if self._client.status != "running":
                raise self._gone() from error
            if attempt < ATTEMPTS:
                return None
            text = " ".join(f"{type(error).__name__}: {error}".split())
            return lost(task, f"The cluster could not do it: {text}", 1)
        return outcome

    def _workers(self) -> dict[str, Any]:
        """Return the workers that have what is asked for."""
        return {
            address: facts
            for address, facts in self._all().items()
            if all(facts["resources"].get(k, 0) >= v for k, v in self._resources.items())
        }

    def _all(self) -> dict[str, Any]:
        try:
            found = self._client.scheduler_info()["workers"]
        except Exception as error:
            raise self._gone() from error
        return dict(found)

    def _nobody(self) -> str:
        here = self._all()
        if not here:
            return (
                f"The scheduler at {self._address} has no worker. Start some: dask worker ADDRESS."
            )
        asked = " ".join(f"{name}={value:g}" for name, value in self._resources.items())
        had = {" ".join(f"{k}={v:g}" for k, v in one["resources"].items()) for one in here.values()}
        return (
            f"None of {len(here)} workers at {self._address} has {asked}; they have "
            f"{' or '.join(sorted(had - {''})) or 'no resources'}. "
            f"Start some with --resources '{asked}', or ask for another --worker-resource."
        )

    def _gone(self) -> BatchError:
        return BatchError(
            f"The scheduler at {self._address} has gone. What is done stays: give the same "
            "command again when it is back."
        )


def look(mark: str | None, files: Sequence[str]) -> tuple[str, str, bool, list[str]]:
    """Tell what a worker sees: its host, version, the file in the output folder, missing files."""
    writable = True
    if mark is not None:
        try:
            writable = Path(mark).read_text(encoding="utf-8") == mark.rsplit("-", 1)[1]
            writable = writable and os.access(Path(mark).parent, os.W_OK)
        except OSError:
            writable = False
    return socket.gethostname(), __version__, writable, [f for f in files if not Path(f).exists()]


def _check_answer(worker: str, answer: Any, mark: Path | None) -> None:
    if isinstance(answer, BaseException):
        raise OptionError(
            f"The worker {worker} cannot run glacierx ({type(answer).__name__}: {answer}). "
            f"Install glacierx {__version__} there."
        )
    host, version, writable, missing = answer
    if version != __version__:
        raise OptionError(
            f"The worker {worker} on {host} has glacierx {version}, and here it is {__version__}. "
            "Install the same on all."
        )
    if not writable and mark is not None:
        raise OptionError(
            f"The worker {worker} on {host} cannot write to {mark.parent}. Choose an output "
            "folder that all machines share under the same path."
        )
    if missing:
        raise OptionError(
            f"The worker {worker} on {host} does not see {missing[0]}. Scenes have to lie where "
            "all machines find them under the same path."
        )


def _some_files(tasks: Sequence[Task]) -> list[str]:
    """Name some files of the tasks: of scenes from first to last, and each DEM and region once."""
    step = max(1, len(tasks) // SEEN)
    found: list[str] = []
    for task in tasks[::step]:
        named = (task.scene.get("path"), task.scene.get("dem"), task.scene.get("aoi"), task.divides)
        found += [str(path) for path in named if path]
        found += [task.model] if task.model.endswith(".safetensors") else []
    return [path for path in dict.fromkeys(found) if not is_remote(path)]


def parse_resources(texts: Sequence[str]) -> dict[str, float]:
    """Read ``NAME=NUMBER``, several of them.

    Raises:
        OptionError: One is something else.
    """
    found = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            found[name.strip()] = float(number)
            if not name.strip() or not 0 < float(number) < float("inf"):
                raise ValueError
        except ValueError as error:
            raise OptionError(f"--worker-resource is {text!r}. Give it as GPU=1.") from error
    return found
