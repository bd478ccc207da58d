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
        exact: Wait for a GPU at the end of its stage, so that what it does is not taken for what
            comes next; costs a little time.
        seconds: Seconds of each stage by the clock.
        calls: How often each stage was entered.
    """

    def __init__(self, *, exact: bool = False) -> None:
        self.exact = exact
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.calls = dict.fromkeys(STAGES, 0)
        self._began = time.perf_counter()
        self._lock = threading.Lock()

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time that a block takes to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - began
            with self._lock:
                self.seconds[stage] += took
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
