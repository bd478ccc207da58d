"""Scene + Model -> Prediction."""

import json
import time
import warnings
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from glacierx.errors import GlacierxWarning
from glacierx.options import EngineOptions, PredictOptions
from glacierx.predict.ahead import behind
from glacierx.predict.choice import choose_model
from glacierx.predict.classic import PixelMethod
from glacierx.predict.device import choose_device
from glacierx.predict.engine import Engine
from glacierx.predict.job import Job, make_record
from glacierx.predict.modelfile import Model
from glacierx.predict.pipeline import run_network
from glacierx.predict.pixels import pixel_rows
from glacierx.predict.resume import FinishedRows, forget_rows, resumable
from glacierx.profile import Profile
from glacierx.scene.classes import Classes
from glacierx.scene.classmap import classmap_layout, map_classes, write_names
from glacierx.scene.cog import make_cog
from glacierx.scene.geotiff import RasterLayout, RowWriter, check_rasters
from glacierx.scene.prediction import (
    NODATA,
    Prediction,
    PredictionWriter,
    Rows,
    mask_layout,
    probability_layout,
)
from glacierx.scene.raster import PathLike
from glacierx.scene.scene import Scene
from glacierx.scene.staging import staged

Progress = Callable[[int, int, str], None]
"""Called with how much is done, of how much, and what."""

LONG_RUN_S = 600


@dataclass(frozen=True)
class PredictionFiles:
    """Where a prediction goes, with the run record in each file.

    Attributes:
        probability: The probability map.
        mask: The mask, if wanted.
        kinds: The class map, if wanted.
        threshold: Threshold of the mask; the model's if None.
        always_hash: Hash input files above 2 GB too.
        rows: Where finished rows are kept, and found again by a run that goes on.
        also: What else a run must share to go on from them.
    """

    probability: Path
    mask: Path | None = None
    kinds: Path | None = None
    threshold: float | None = None
    always_hash: bool = False
    rows: Path | None = None
    also: Mapping[str, Any] = field(default_factory=dict)


def predict(  # noqa: PLR0913 - the two files are the point of it
    scene: Scene,
    model: PathLike | Model | PixelMethod = "auto",
    options: PredictOptions = PredictOptions(),
    *,
    path: PathLike | None = None,
    mask: PathLike | None = None,
    class_map: PathLike | None = None,
    overwrite: bool = False,
    always_hash: bool = False,
    resume: bool = False,
    cog: bool = False,
    engine: EngineOptions = EngineOptions(),
    progress: Progress | None = None,
    profile: Profile | None = None,
) -> Prediction:
    """Predict the probability of glacier for every valid pixel of a scene.

    Args:
        scene: The scene; its DEM, if it has one, gives elevation and slope to models that ask.
        model: See `choose_model`.
        options: Views and patches.
        path: File of the probability map (uint8 in steps of 0.004, nodata 255); a temporary one
            that vanishes with the prediction if None.
        mask: File of a mask (1 glacier, 0 not, 255 unknown), if wanted.
        class_map: File of the likeliest class of each pixel (255 unknown), if wanted.
        overwrite: Replace existing files.
        always_hash: Hash input files above 2 GB too.
        resume: Go on from the rows that an interrupted run of the same file finished.
        cog: Write cloud-optimised GeoTIFFs.
        engine: Device, backend, precision and batch.
        progress: Called as work goes on.
        profile: Notes where the time goes.

    Returns:
        The probability map, a context manager that reads it by window.

    Raises:
        ResumeError: The finished rows are of another run.

    Example:
        >>> with open_scene("scene.tif") as scene, predict(scene, path="prob.tif") as prediction:
        ...     prediction.grid.describe()
    """
    given = model if isinstance(model, str | Path) else None
    check_rasters((path, mask, class_map), overwrite=overwrite, inputs=[*scene.paths, given])
    chosen = choose_model(model, scene)
    with ExitStack() as stack:
        temporary = None
        if path is None:
            temporary = TemporaryDirectory(prefix="glacierx-")
            stack.callback(temporary.cleanup)
        final = Path(temporary.name) / "probability.tif" if temporary else Path(path or "")
        with ExitStack() as parts:
            part, mask_part, kinds_part = (
                parts.enter_context(staged(file, overwrite=overwrite)) if file is not None else None
                for file in (final, mask, class_map)
            )
            rows = None
            if temporary is None:
                rows = parts.enter_context(resumable(final, resume=resume))
            job = Job(scene, chosen, options, engine, profile or Profile())
            files = PredictionFiles(
                part or final, mask_part, kinds_part, always_hash=always_hash, rows=rows
            )
            write_prediction(job, files, progress=progress)
            for made in filter(None, (part, mask_part, kinds_part) if cog else ()):
                make_cog(made)
        if temporary is None:
            forget_rows(final)
        prediction = Prediction(final, aoi=scene.aoi)
        if temporary is not None:
            prediction.keep_until_closed(temporary)
        stack.pop_all()
    return prediction


def write_prediction(job: Job, files: PredictionFiles, *, progress: Progress | None = None) -> None:
    """Predict a scene into files that the caller has prepared; see `predict`."""
    scene, model = job.scene, job.model
    card = model.card if isinstance(model, Model) else None
    classes = card.told if card else Classes()
    threshold = files.threshold
    if threshold is None:
        threshold = card.threshold if card else 0.5
    with ExitStack() as stack:
        stack.enter_context(scene.by_rows(files.probability.parent))
        kept = None
        if files.rows is not None:
            kept = stack.enter_context(FinishedRows(files.rows, scene.grid.columns))
        job, engine, record = _begin(job, kept.batch if kept else None, files.always_hash)
        if kept is not None:
            kept.begin(_run(record, files.also), engine.batch if engine else None)
        tags = {
            "GLACIERX_THRESHOLD": repr(threshold),
            "GLACIERX_AOI": "yes" if scene.aoi is not None else "no",
            "GLACIERX_RECORD": json.dumps(record, sort_keys=True),
        }
        writer = _writer(stack, files, scene, classes, threshold, tags)

        def write(steps: NDArray[np.uint8], wanted: NDArray[np.bool_] | None = None) -> None:
            # GDAL's errors become exceptions in threads that have an environment.
            with rasterio.Env(), job.profile.measure("write"):
                if wanted is not None:
                    steps = np.where(wanted, steps, np.uint8(NODATA))
                    if kept is not None:
                        kept.add(steps)
                writer.write(steps)

        first_row = kept.rows if kept else 0
        rows = stack.enter_context(closing(_rows(job, engine, first_row, progress)))
        hand_over = stack.enter_context(behind(write))
        for steps in kept.found() if first_row and kept else ():
            hand_over(steps)
        for found in rows:
            hand_over(*found)
    if files.kinds is not None:
        write_names(files.kinds, map_classes(classes))


def _writer(
    stack: ExitStack,
    files: PredictionFiles,
    scene: Scene,
    classes: Classes,
    threshold: float,
    tags: Mapping[str, str],
) -> PredictionWriter:
    """Open the files that rows are written to."""

    def rows(path: Path | None, layout: RasterLayout) -> RowWriter | None:
        return stack.enter_context(RowWriter(path, scene.grid, layout)) if path else None

    probability = rows(files.probability, probability_layout(classes.names, tags, classes.ice))
    assert probability is not None
    return PredictionWriter(
        probability,
        rows(files.mask, mask_layout(tags)),
        rows(files.kinds, classmap_layout(map_classes(classes), tags)),
        threshold,
        classes.numbers,
    )


def _run(record: Mapping[str, Any], also: Mapping[str, Any]) -> dict[str, Any]:
    """Say all that a run follows from."""
    options = {**record["options"], **also.get("options", {})}
    return {**record, **also, "options": options}


def _begin(
    job: Job, batch: int | None, always_hash: bool
) -> tuple[Job, Engine | None, dict[str, Any]]:
    """Make ready what predicts, and its run record: inputs are hashed while a scene is sampled."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(make_record, job, always_hash=always_hash)
        ready, engine = _ready(job, batch)
        record = coming.result()
    if ready is not job:
        record = make_record(ready, always_hash=always_hash)
    return ready, engine, record


def _ready(job: Job, batch: int | None) -> tuple[Job, Engine | None]:
    """Make ready what predicts: a network on the device chosen, or on the CPU where it is full."""
    if isinstance(job.model, PixelMethod):
        if job.engine.device != "auto":
            choose_device(job.engine.device)  # It needs none; a wrong name is still an error.
        return job, None
    try:
        return job, job.make_engine(batch)
    except MemoryError:
        if job.engine.device != "auto" or job.resolved.device == "cpu":
            raise
    warnings.warn(
        "The GPU has too little free memory for one patch, so the CPU is used. Free it, or give a "
        "smaller --patch-px.",
        GlacierxWarning,
        stacklevel=3,
    )
    job = replace(job, engine=replace(job.engine, device="cpu"))
    return job, job.make_engine(batch)


def _rows(
    job: Job, engine: Engine | None, first_row: int, progress: Progress | None
) -> Generator[Rows, None, None]:
    """Return finished rows from top to bottom, from one that begins a strip."""
    if engine is None:
        assert isinstance(job.model, PixelMethod)
        return pixel_rows(
            job.scene, job.model, median=job.options.median, first_row=first_row, progress=progress
        )
    began = time.monotonic()
    told = False

    def done(patches: int) -> None:
        nonlocal told
        if not told and engine.patches_run:
            seconds = (time.monotonic() - began) / engine.patches_run * job.tiling.patches
            _say_what_tta_costs(job.tta, engine.views, seconds)
            told = True
        if progress:
            progress(patches, job.tiling.patches, "patches")

    return run_network(
        job.reader(first_row), job.tiling, engine, len(job.network.card.classes),
        profile=job.profile, done=done,
    )  # fmt: skip


def _say_what_tta_costs(tta: str, views: int, seconds: float) -> None:
    if views > 1 and seconds > LONG_RUN_S:
        warnings.warn(
            f"--tta {tta} averages {views} views and will take about {seconds / 60:.0f} minutes; "
            f"--tta none would take about {seconds / 60 / views:.0f}.",
            GlacierxWarning,
            stacklevel=3,
        )
