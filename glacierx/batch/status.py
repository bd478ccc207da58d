"""The journal of a batch: a file for each scene, which one process at a time writes."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from glacierx.batch.tasks import DONE, FAILED, Outcome, Task
from glacierx.errors import BusyError, OutputError
from glacierx.scene.staging import staged

FORMAT = "glacierx batch 1"
STATUS = "status.json"
RUNNING = "running"


@dataclass(frozen=True)
class Status:
    """What the file of a scene says.

    Attributes:
        outcome: What became of it; while it is worked on the state is ``running``.
        key: What the outcome follows from.
        run: The batch that wrote it.
    """

    outcome: Outcome
    key: Mapping[str, Any]
    run: str

    def text(self) -> str:
        """Return the file."""
        told = asdict(self.outcome)
        del told["skipped"]
        whole = {"format": FORMAT, **told, "run": self.run, "key": self.key}
        return json.dumps(whole, indent=1) + "\n"


def read_status(folder: Path) -> Status | None:
    """Read what became of a scene; None where nothing can be told."""
    try:
        found = json.loads((folder / STATUS).read_text(encoding="utf-8"))
        if found["format"] != FORMAT or found["state"] not in (DONE, FAILED, RUNNING):
            return None
        names = [one.name for one in fields(Outcome) if one.name != "skipped"]
        told = {name: found[name] for name in names}
        told = {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}
        return Status(Outcome(**told), dict(found["key"]), str(found["run"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def note_running(part: Path, task: Task, key: Mapping[str, Any], attempts: int) -> None:
    """Say that a scene is worked on; whoever calls holds its file through `staged`.

    What is found later without an end was interrupted, and its files are not to be trusted.
    """
    beside = part.with_name("running.json")
    outcome = Outcome(task.name, scene_path(task), RUNNING, attempts=attempts)
    beside.write_text(Status(outcome, key, task.run).text(), encoding="utf-8")
    beside.replace(Path(task.folder) / STATUS)


def is_held(folder: Path) -> bool:
    """Tell whether another process works on a scene."""
    try:
        with staged(folder / STATUS, overwrite=True):
            raise _FreeError
    except BusyError:
        return True
    except (OutputError, _FreeError):
        return False


class _FreeError(Exception):
    """Leaves `staged` without writing anything."""


def scene_path(task: Task) -> str:
    """Return what a scene is told by: its file, or those of its bands."""
    return str(task.scene.get("path") or task.scene.get("bands"))


def write_results(
    path: Path, tasks: Sequence[Task], outcomes: Mapping[str, Outcome]
) -> list[Outcome]:
    """Write one line for each scene, in the order of the tasks.

    Raises:
        OutputError: It cannot be written.
    """
    lines = []
    for task in tasks:
        told = {"format": FORMAT, **asdict(outcomes[task.name]), "folder": task.folder}
        lines.append(json.dumps({**told, "where": task.where}, ensure_ascii=False))
    with staged(path, overwrite=True) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [outcomes[task.name] for task in tasks]


def check_results(path: Path, *, overwrite: bool = False) -> None:
    """Refuse to replace a list of results that no batch wrote.

    Raises:
        OutputError: The file is another.
    """
    if overwrite or not path.exists():
        return
    with suppress(OSError, ValueError, AttributeError, RecursionError), path.open("rb") as file:
        if json.loads(file.readline()).get("format") == FORMAT:
            return
    raise OutputError(f"{path} exists already and is no list of results. Use --overwrite.")
