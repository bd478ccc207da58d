"""What extracting a scene will take, from a few of its patches."""

import statistics
import sys
import time
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.errors import GlacierxWarning, OptionError
from glacierx.extract import divide, outline
from glacierx.options import EngineOptions, ExtractOptions
from glacierx.predict.choice import choose_model
from glacierx.predict.classic import PixelMethod
from glacierx.predict.device import has_spare_core
from glacierx.predict.engine import Engine
from glacierx.predict.job import Job
from glacierx.predict.modelfile import Model
from glacierx.predict.strips import Strip, patch_of
from glacierx.predict.tiling import Span
from glacierx.profile import Profile
from glacierx.scene.blocks import block_cache
from glacierx.scene.geotiff import RowWriter
from glacierx.scene.prediction import NODATA, Prediction, probability_layout
from glacierx.scene.raster import PathLike
from glacierx.scene.scene import Scene

# Rows of each strip that are looked at to tell which patches hold valid pixels.
LOOKS = 4
TIMED = 6
# What a vertex of an outline takes while it is traced, smoothed and described, and in the file.
VERTEX_BYTES, VERTEX_STORED = 350, 20

Place = tuple[Span, Span]


@dataclass(frozen=True)
class Estimate:
    """What a job will take.

    Attributes:
        patches: Patches of the scene.
        skipped: Those of them without a pixel to map.
        memory_mb: Most memory of the process; NaN where the system does not tell.
        disk_mb: Results and work files together.
        minutes: From start to end.
    """

    patches: int
    skipped: int
    memory_mb: float
    disk_mb: float
    minutes: float

    def __str__(self) -> str:
        """Return a line for each."""
        return "\n".join(
            [
                f"patches  {self.patches}, of which {self.skipped} hold nothing to map",
                f"memory   {self.memory_mb:.0f} MB",
                f"disk     {self.disk_mb:.1f} MB",
                f"time     {self.minutes:.1f} minutes",
            ]
        )


@dataclass
class _Sample:
    """What a few patches took: seconds, bytes and vertices of each."""

    reading: list[float]
    running: list[float]
    outlining: list[float]
    stored: list[int]
    vertices: list[int]


def estimate(
    scene: Scene,
    model: PathLike | Model | PixelMethod = "auto",
    options: ExtractOptions = ExtractOptions(),
    *,
    engine: EngineOptions = EngineOptions(),
    rasters: int = 0,
) -> Estimate:
    """Estimate what `extract` will take, before anything is written.

    A few patches are read, run, outlined and divided, and their cost is multiplied.

    Args:
        scene: The scene.
        model: See `extract`.
        options: Every tunable.
        engine: Device, backend, precision and batch.
        rasters: How many of probability map and mask are kept.

    Raises:
        OptionError: A pixel method was chosen, which has no patches.
    """
    began = time.monotonic()
    chosen = choose_model(model, scene)
    if isinstance(chosen, PixelMethod):
        raise OptionError(
            f"--estimate times the patches of a network, and {chosen.name} is a pixel method: it "
            "takes about as long as reading the scene."
        )
    job = Job(scene, chosen, options.predict, engine, Profile())
    places = _wanted_places(job)
    tiling = job.tiling
    skipped = tiling.patches - len(places)
    if not places:
        return Estimate(tiling.patches, skipped, _peak_mb(), 0.0, 0.0)
    with block_cache(scene.cache_bytes):
        made = job.make_engine()
        starting = time.monotonic() - began
        sample = _run_some(job, made, places, options)
    ahead = statistics.median(sample.reading)
    each = statistics.median(sample.running) + statistics.fmean(sample.outlining)
    # Where no processor is left to read beside the network, it waits.
    each = max(each, ahead) if has_spare_core(made.device) else each + ahead
    vertices = statistics.fmean(sample.vertices) * len(places)
    stored = statistics.fmean(sample.stored) * len(places)
    return Estimate(
        tiling.patches,
        skipped,
        _peak_mb() + max(_strips_mb(job), vertices * VERTEX_BYTES / 1e6),
        (stored * max(rasters, 1) + vertices * VERTEX_STORED) / 1e6,
        (starting + each * len(places)) / 60,
    )


def _wanted_places(job: Job) -> list[Place]:
    """Return the patches that hold something to map, as a few rows of each strip tell."""
    scene, tiling = job.scene, job.tiling
    found = []
    for down in tiling.down:
        wanted = np.zeros(scene.grid.columns, bool)
        for row in np.linspace(down.first, down.last - 1, LOOKS).astype(int).tolist():
            window = Window(0, row, scene.grid.columns, 1)
            inside = scene.inside(window)
            if inside.any():
                _, valid = scene.read_stored(window, ())
                wanted |= (valid & inside)[0]
        found += [(down, span) for span in tiling.across if wanted[span.first : span.last].any()]
    return found


def _run_some(
    job: Job, engine: Engine, places: Sequence[Place], options: ExtractOptions
) -> _Sample:
    chosen = [places[at] for at in np.linspace(0, len(places) - 1, TIMED).astype(int).tolist()]
    sample = _Sample([], [], [], [], [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlacierxWarning)
        # What is done once only is not multiplied: a first patch, and outlines of no ice.
        steps, _ = _run_one(job, engine, chosen[0])
        _outline_one(job, chosen[0], steps, options)
        began = time.perf_counter()
        _outline_one(job, chosen[0], np.zeros_like(steps), options)
        once = time.perf_counter() - began
        for place in chosen:
            began = time.perf_counter()
            steps, read = _run_one(job, engine, place)
            ran = time.perf_counter()
            vertices = _outline_one(job, place, steps, options)
            sample.reading.append(read)
            sample.running.append(ran - began - read)
            sample.outlining.append(max(0.0, time.perf_counter() - ran - once))
            sample.stored.append(len(zlib.compress(steps.tobytes(), 6)))
            sample.vertices.append(vertices)
    return sample


def _run_one(job: Job, engine: Engine, place: Place) -> tuple[NDArray[np.uint8], float]:
    """Return the steps of a patch's kept part, and the seconds that reading and scaling took."""
    down, span = place
    patch_px, (rows, columns) = job.tiling.patch_px, job.scene.grid.shape
    height, width = min(patch_px, rows - down.start), min(patch_px, columns - span.start)
    window = Window(span.start, down.start, width, height)
    began = time.perf_counter()
    parts, valid = job.scene.read_stored(window, job.roles, job.network.card.needed)
    strip = Strip(down, parts, valid, valid & job.scene.inside(window))
    planes = engine.feed([patch_of(strip, Span(0, 0, 0), patch_px)])
    read = time.perf_counter() - began
    steps = engine.steps(planes)[0].cpu().numpy()
    engine.check()
    wanted = strip.wanted[down.kept, span.kept]
    return np.where(wanted, steps[:, down.kept, span.kept], np.uint8(NODATA)), read


def _outline_one(job: Job, place: Place, steps: NDArray[np.uint8], options: ExtractOptions) -> int:
    """Outline and divide the ice of a patch alone; return how many vertices that gave."""
    down, span = place
    card = job.network.card
    rows, columns = down.last - down.first, span.last - span.first
    grid = job.scene.grid.crop(Window(span.first, down.first, columns, rows))
    with TemporaryDirectory(prefix="glacierx-") as folder:
        path = Path(folder) / "probability.tif"
        threshold = {"GLACIERX_THRESHOLD": repr(card.threshold)}
        layout = probability_layout(card.classes, threshold, card.ice)
        with RowWriter(path, grid, layout) as file:
            file.write(steps)
        with Prediction(path) as whole:
            prediction = whole.of(options.outline.classes)
            complexes = outline(prediction, options.outline)
            found = divide(complexes, job.scene.dem, options.divide, prediction=prediction)
    return complexes.vertices + found.glaciers.vertices


def _strips_mb(job: Job) -> float:
    """Return what two strips take in memory, and as much again while the next rows are read."""
    scene = job.scene
    parts, _ = scene.read_stored(Window(0, 0, 1, 1), job.roles)
    pixel = sum(part.values.itemsize * len(part.roles) for part in parts) + 2
    rows = job.tiling.patch_px + scene.block_rows
    return 4 * rows * scene.grid.columns * pixel / 1e6


def _peak_mb() -> float:
    """Return the most memory that this process has held, NaN where the system does not tell."""
    if sys.platform == "win32":
        return float("nan")
    import resource  # noqa: PLC0415 - not everywhere

    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
