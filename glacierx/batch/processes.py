"""The scenes of a batch in processes of this machine, which outlast each other's deaths."""

import os
import pickle
import queue
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from glacierx.batch.tasks import Lost, Outcome, Task, Work
from glacierx.scene.staging import abandon

ATTEMPTS = 2
# The command line waits for less, and then a process that nobody hears ends by itself.
PATIENCE_S = 10.0


class Processes:
    """Processes of this machine, one scene at a time in each.

    A process that is killed, or that a library brings down, takes its scene with it alone: the
    scene is tried once more in a new one.

    Args:
        environments: What is set in the environment of each process; there are as many.
    """

    def __init__(self, environments: Sequence[Mapping[str, str]] = ({},)) -> None:
        self._environments = list(environments)

    @property
    def count(self) -> int:
        """How many processes there are."""
        return len(self._environments)

    def check(self, tasks: Sequence[Task]) -> None:
        """Refuse nothing."""

    def run(self, work: Work, tasks: Iterator[Task], lost: Lost) -> Iterator[Outcome]:
        """Do each task in one of the processes; see `Runner`."""
        first = pickle.dumps(work)
        places: list[_Place] = []
        begun: Counter[str] = Counter()
        again: deque[Task] = deque()
        try:
            while True:
                for slot in range(len(self._environments)):
                    if slot < len(places) and places[slot].task is not None:
                        continue
                    task = again.popleft() if again else next(tasks, None)
                    if task is None:
                        break
                    if slot == len(places):
                        places.append(_Place(self._environments[slot], first))
                    begun[task.name] += 1
                    places[slot].begin(task)
                working = [place for place in places if place.task is not None]
                if not working:
                    return
                for place in _ready(working):
                    task, answer = place.take()
                    if isinstance(answer, Outcome):
                        yield answer
                    elif begun[task.name] < ATTEMPTS:
                        again.append(task)
                    else:
                        yield lost(task, *_reason(answer))
        finally:
            _end(places)


class _Place:
    """Where one process at a time works."""

    def __init__(self, environment: Mapping[str, str], first: bytes) -> None:
        self.task: Task | None = None
        self.process: Any = None
        self.pipe: Connection
        self._environment, self._first = dict(environment), first

    def begin(self, task: Task) -> None:
        """Give a task to the process; make one where there is none."""
        self.task = task
        if self.process is None:
            self._start()
        with suppress(OSError):  # It has just died, which is found where its answer is awaited.
            self.pipe.send_bytes(pickle.dumps(task))

    def _start(self) -> None:
        context = get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(other, self._environment), daemon=True, name="glacierx batch"
        )
        # Until it has said otherwise, a Ctrl-C meant for all would end it with a traceback.
        held = {signal.SIGINT, signal.SIGTERM}
        if hasattr(signal, "pthread_sigmask"):
            before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
        try:
            self.process.start()
        finally:
            if hasattr(signal, "pthread_sigmask"):
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        other.close()
        with suppress(OSError):
            self.pipe.send_bytes(self._first)

    def take(self) -> tuple[Task, Outcome | int]:
        """Return the task with its outcome, or with the exit code of the process that died."""
        task, self.task = self.task, None
        assert task is not None
        try:
            outcome: Outcome = pickle.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            self.process.join()
            code = int(self.process.exitcode)
            self.pipe.close()
            self.process = None
            return task, code
        return task, outcome


def _ready(places: Sequence[_Place]) -> list[_Place]:
    """Wait for those that have answered, or whose process has ended."""
    found = wait([one for place in places for one in (place.pipe, place.process.sentinel)])
    return [p for p in places if p.pipe in found or p.process.sentinel in found]


def _reason(code: int) -> tuple[str, int]:
    if code >= 0:
        return f"Its process ended by itself with exit code {code}, {ATTEMPTS} times.", code or 1
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    advice = {
        "SIGKILL": "Memory may have run out: use fewer --jobs, or a smaller --patch-px or --batch.",
    }.get(name, "A library failed: look at this scene by itself with glacierx extract.")
    return f"Its process was killed ({name}), {ATTEMPTS} times. {advice}", 128 - code


def _end(places: Sequence[_Place]) -> None:
    """End the processes, which clear up when nobody is there to hear them."""
    running = [place for place in places if place.process is not None]
    for place in running:
        place.pipe.close()
    until = time.monotonic() + PATIENCE_S
    for place in running:
        place.process.join(max(0.0, until - time.monotonic()))
        if place.process.is_alive():
            place.process.kill()
            place.process.join()


def _serve(pipe: Connection, environment: Mapping[str, str]) -> None:
    """Do what comes through the pipe, until it is closed."""
    os.environ.update(environment)  # Before the libraries that read it are imported.
    held = {signal.SIGINT, signal.SIGTERM}
    for number in held:
        signal.signal(number, signal.SIG_IGN)  # The parent ends this process.
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
    told: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, told), daemon=True).start()
    work: Work = pickle.loads(told.get())
    while True:
        answer = pickle.dumps(work(pickle.loads(told.get())))
        with suppress(OSError):  # The parent is gone, which the listener finds, too.
            pipe.send_bytes(answer)


def _listen(pipe: Connection, told: "queue.SimpleQueue[bytes]") -> None:
    """Pass on what comes, and end this process at once when the other end closes."""
    with suppress(EOFError, OSError):
        while True:
            told.put(pipe.recv_bytes())
    abandon()
    os._exit(0)
