"""Where the time of a run goes, stage by stage."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

STAGES = (
    "read", "normalise", "network", "stitch", "write", "outlines", "divides", "attributes",
)  # fmt: skip


class Profile:
    """Seconds that each stage took; stages of different threads run beside each other.

    Attributes:
        seconds: Seconds of each stage by the clock.
        cpu: Seconds that the processors worked in it, for the thread that ran it alone.
        calls: How often each stage was entered.
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.cpu = dict.fromkeys(STAGES, 0.0)
        self.calls = dict.fromkeys(STAGES, 0)
        self._began = time.perf_counter()
        self._lock = threading.Lock()

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time that a block takes to a stage."""
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
            with self._lock:
                self.seconds[stage] += wall
                self.cpu[stage] += cpu
                self.calls[stage] += 1

    @property
    def elapsed(self) -> float:
        """Seconds since the profile was made."""
        return time.perf_counter() - self._began

    def __str__(self) -> str:
        """Return a table: seconds of each stage, and their share of the time that passed."""
        whole = self.elapsed
        lines = [
            f"{stage:<11}{self.seconds[stage]:>9.2f} s{self.seconds[stage] / whole:>7.0%}"
            for stage in STAGES
            if self.calls[stage]
        ]
        beside = "Reading and writing run beside the network."
        return "\n".join([*lines, f"{'in all':<11}{whole:>9.2f} s", beside])
