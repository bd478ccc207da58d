"""What is to be done for a scene, and what became of it; imports nothing that is slow to load."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from glacierx import __version__
from glacierx.errors import OptionError
from glacierx.options import EngineOptions, ExtractOptions

DONE, FAILED, BUSY, LEFT = "done", "failed", "busy", "not begun"
"""States of a scene; busy while another run does it, not begun where the batch stopped before."""


@dataclass(frozen=True)
class Task:
    """All that the work on one scene follows from; can be sent to another machine.

    Attributes:
        name: The name of its results.
        where: What messages call its line of the manifest.
        folder: Where its results go: a whole path.
        scene: The arguments of `open_scene`, with whole paths.
        model: A model by name or whole path, or a pixel method.
        options: Every tunable of what is found.
        engine: What a network runs on.
        divides: An inventory whose divides are copied.
        probability: Keep the probability map too.
        mask: Write a mask too.
        class_map: Write a class map too.
        always_hash: Hash input files above 2 GB too.
        overwrite: Do it again even if it is done, and replace files of others.
        retry_failed: Do it again if it failed.
        allow_vrt: Trust files that point to others.
        run: Names the batch, so that what it did already is not done again by it.
        version: Of glacierx, where the task was made.
        command: The command line, for the log.
    """

    name: str
    where: str
    folder: str
    scene: Mapping[str, Any]
    model: str = "auto"
    options: ExtractOptions = field(default_factory=ExtractOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)
    divides: str | None = None
    probability: bool = False
    mask: bool = False
    class_map: bool = False
    always_hash: bool = False
    overwrite: bool = False
    retry_failed: bool = False
    allow_vrt: bool = False
    run: str = ""
    version: str = __version__
    command: tuple[str, ...] = ()

    @property
    def rasters(self) -> dict[str, str]:
        """Names of the rasters that are kept beside the outlines, by what they are."""
        wanted = {"probability": self.probability, "mask": self.mask, "class_map": self.class_map}
        return {
            kind: f"{self.name}_{kind.removesuffix('_map')}.tif"
            for kind, kept in wanted.items()
            if kept
        }

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the files in its folder."""
        return (f"{self.name}.gpkg", *self.rasters.values(), f"{self.name}.log.json")


@dataclass(frozen=True)
class Outcome:
    """What became of a scene.

    Attributes:
        name: Its name.
        scene: Its file, folder or URL.
        state: ``done``, ``failed``, ``busy`` or ``not begun``.
        skipped: Nothing was done now: an earlier run, or another, did it or failed.
        exit_code: What `glacierx extract` would have ended with.
        reason: Why it failed, on one line.
        note: Why it was done again.
        seconds: How long it took.
        attempts: How often it was begun with these inputs and options.
        complexes: Number of glacier complexes.
        glaciers: Number of glaciers.
        area_km2: Their area.
        warnings: What a user should know.
        outputs: Names of the files in its folder.
    """

    name: str
    scene: str
    state: str
    skipped: bool = False
    exit_code: int | None = None
    reason: str | None = None
    note: str | None = None
    seconds: float | None = None
    attempts: int = 0
    complexes: int | None = None
    glaciers: int | None = None
    area_km2: float | None = None
    warnings: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


Work = Callable[[Task], Outcome]
"""Does one scene, and never raises."""

Lost = Callable[[Task, str, int], Outcome]
"""Notes that a task was lost with its process: why, and an exit code."""


class Runner(Protocol):
    """What runs the scenes of a batch."""

    def check(self, tasks: Sequence[Task]) -> None:
        """Refuse what could not be run, before any work is done."""

    def run(self, work: Work, tasks: Iterator[Task], lost: Lost) -> Iterator[Outcome]:
        """Do each task, and yield outcomes as they come.

        Args:
            work: Does one task.
            tasks: What to do; one is taken when something is free to do it.
            lost: Notes a task whose process ended before it did.
        """


class Sequential:
    """One scene after another, in this process."""

    def check(self, tasks: Sequence[Task]) -> None:
        """Refuse nothing."""

    def run(self, work: Work, tasks: Iterator[Task], lost: Lost) -> Iterator[Outcome]:
        """Do each task here."""
        yield from map(work, tasks)


def parse_shard(text: str) -> tuple[int, int]:
    """Read a share of a batch: ``3/16`` is the third of sixteen.

    Raises:
        OptionError: It is none.
    """
    parts = text.split("/")
    if len(parts) == 2 and all(part.isascii() and part.isdigit() for part in parts):
        number, of = int(parts[0]), int(parts[1])
        if 1 <= number <= of:
            return number, of
    raise OptionError(f"--shard is {text!r}. Give the share and their number as 3/16, from 1/16.")
