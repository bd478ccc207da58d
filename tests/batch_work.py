"""Work for batches that processes of their own import: some of it goes wrong."""

import os
import signal
import time
from pathlib import Path

from glacierx.batch.status import read_status
from glacierx.batch.tasks import DONE, Outcome, Task
from glacierx.batch.work import run_scene


def nothing(task: Task) -> Outcome:
    """Do nothing, for how long the rest takes."""
    return Outcome(task.name, task.folder, DONE)


def environment(task: Task) -> Outcome:
    """Tell what is set in the environment."""
    return Outcome(task.name, task.folder, DONE, reason=os.environ.get("GLACIERX_TEST"))


def counted(task: Task) -> Outcome:
    """Do a scene, and note in its folder that it was done now."""
    before = read_status(Path(task.folder))
    known = before is not None and before.run == task.run and before.outcome.state == DONE
    outcome = run_scene(task)
    if outcome.state == DONE and not outcome.skipped and not known:
        with (Path(task.folder) / "done_here").open("a") as file:
            file.write(f"{os.getpid()}\n")
    return outcome


def slow(task: Task) -> Outcome:
    """Do a scene, and be in no hurry."""
    time.sleep(0.2)
    return counted(task)


def killed_once(task: Task) -> Outcome:
    """Die with the scene called victim, the first time that it is begun."""
    return _killed(task, times=1)


def killed_always(task: Task) -> Outcome:
    """Die with the scene called victim whenever it is begun."""
    return _killed(task, times=1000)


def _killed(task: Task, times: int) -> Outcome:
    if task.name == "victim":
        folder = Path(task.folder)
        folder.mkdir(exist_ok=True)
        with (folder / "kills").open("a") as file:
            file.write("x")
        if (folder / "kills").stat().st_size <= times:
            os.kill(os.getpid(), signal.SIGKILL)
    return counted(task)
