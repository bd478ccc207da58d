"""Scene + Model -> Prediction."""

import json
import time
import warnings
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from glacierx.errors import GlacierxWarning, OptionError
from glacierx.options import EngineOptions, PredictOptions
from glacierx.predict.ahead import behind
from glacierx.predict.backend import OPENVINO, resolve
from glacierx.predict.choice import choose_model
from glacierx.predict.classic import PixelMethod
from glacierx.predict.device import choose_device
from glacierx.predict.engine import Engine
from glacierx.predict.modelfile import Model
from glacierx.predict.pipeline import Reader, run_network
from glacierx.predict.pixels import pixel_rows
from glacierx.predict.sample import fit_normaliser
from glacierx.predict.tiling import Tiling
from glacierx.predict.tta import VIEWS
from glacierx.profile import Profile
from glacierx.scene.geotiff import RowWriter, check_rasters
from glacierx.scene.prediction import (
    GLACIER,
    Prediction,
    PredictionWriter,
    Rows,
    mask_layout,
    probability_layout,
)
from glacierx.scene.provenance import versions
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
        threshold: Threshold of the mask; the model's if None.
        always_hash: Hash input files above 2 GB too.
    """

    probability: Path
    mask: Path | None = None
    threshold: float | None = None
    always_hash: bool = False


def predict(  # noqa: PLR0913 - the two files are the point of it
    scene: Scene,
    model: PathLike | Model | PixelMethod = "auto",
    options: PredictOptions = PredictOptions(),
    *,
    path: PathLike | None = None,
    mask: PathLike | None = None,
    overwrite: bool = False,
    always_hash: bool = False,
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
        overwrite: Replace existing files.
        always_hash: Hash input files above 2 GB too.
        engine: Device, backend, precision and batch.
        progress: Called as work goes on.
        profile: Notes where the time goes.

    Returns:
        The probability map, a context manager that reads it by window.

    Example:
        >>> with open_scene("scene.tif") as scene, predict(scene, path="prob.tif") as prediction:
        ...     prediction.grid.describe()
    """
    given = model if isinstance(model, str | Path) else None
    check_rasters((path, mask), overwrite=overwrite, inputs=[*scene.paths, given])
    chosen = choose_model(model, scene)
    with ExitStack() as stack:
        temporary = None
        if path is None:
            temporary = TemporaryDirectory(prefix="glacierx-")
            stack.callback(temporary.cleanup)
        final = Path(temporary.name) / "probability.tif" if temporary else Path(path or "")
        with ExitStack() as parts:
            part, mask_part = (
                parts.enter_context(staged(file, overwrite=overwrite)) if file is not None else None
                for file in (final, mask)
            )
            job = Job(scene, chosen, options, engine, profile or Profile())
            files = PredictionFiles(part or final, mask_part, always_hash=always_hash)
            write_prediction(job, files, progress=progress)
        prediction = Prediction(final, aoi=scene.aoi)
        if temporary is not None:
            prediction.keep_until_closed(temporary)
        stack.pop_all()
    return prediction


@dataclass(frozen=True)
class Job:
    """A scene, what predicts it, and how.

    Attributes:
        scene: The scene.
        model: The model or pixel method.
        options: Views and patches.
        engine: Device, backend, precision and batch.
        profile: Where the time is noted.
    """

    scene: Scene
    model: Model | PixelMethod
    options: PredictOptions
    engine: EngineOptions
    profile: Profile

    @property
    def network(self) -> Model:
        """The model, of which the rest is asked only where it is a network."""
        assert isinstance(self.model, Model)
        return self.model

    @property
    def roles(self) -> tuple[str, ...]:
        """What of the scene a network takes."""
        return tuple(role for role in self.network.card.roles if role in self.scene.available)

    @cached_property
    def tiling(self) -> Tiling:
        """How the scene is cut for a network."""
        patch_px = self.options.patch_px or self.network.card.patch_px
        return Tiling(self.scene.grid.shape, patch_px, self.options.keep)

    @property
    def tta(self) -> str:
        """Name of the views that are averaged."""
        return self.options.tta or self.network.card.tta

    @cached_property
    def passes(self) -> int:
        """How often a patch goes through the network, at most."""
        return self.tiling.patches * len(VIEWS[self.tta])

    @cached_property
    def resolved(self) -> EngineOptions:
        """What the network runs on here."""
        return resolve(self.engine, self.passes)

    def make_engine(self) -> Engine:
        """Make the network ready for the scene."""
        card = self.network.card
        check_patch(self.network, self.tiling.patch_px)
        with self.profile.measure("normalise"):
            normaliser = fit_normaliser(card.normalisation, self.scene, card.roles)
        return Engine(
            self.network,
            normaliser,
            [role in self.scene.available for role in card.roles],
            tta=self.tta,
            options=self.resolved,
            patch_px=self.tiling.patch_px,
            across=len(self.tiling.across),
        )

    def reader(self) -> Reader:
        """Return what reads the scene for the network."""
        wider = self.network.card.context
        return Reader(self.scene, self.roles, self.tiling, wider, self.profile)


def make_record(job: Job, *, always_hash: bool = False) -> dict[str, Any]:
    """Say what is predicted, from what and with which versions, without paths or times."""
    scene, model = job.scene, job.model
    served = scene.from_dem(model.card.roles) if isinstance(model, Model) else ()
    terrain: dict[str, Any] = {}
    if served and scene.dem is not None:
        source = scene.dem.describe(always_hash=always_hash)
        terrain = {"terrain": {"roles": list(served), "dem": source}}
    return {
        "scene": scene.describe(always_hash=always_hash),
        **terrain,
        "inputs": scene.fingerprints(always_hash=always_hash),
        "model": model.describe(),
        "options": {"predict": _effective(job)},
        "versions": _versions(job),
    }


def _versions(job: Job) -> dict[str, str]:
    if not isinstance(job.model, Model):
        return versions()
    return versions("torch", *([OPENVINO] if job.resolved.backend == OPENVINO else []))


def _effective(job: Job) -> dict[str, Any]:
    """Return the options that change the result, with the card's where none were given.

    Raises:
        OptionError: An option is given that the model does not take.
    """
    options, model = job.options, job.model
    if not isinstance(model, Model):
        return {"median": options.median}
    if options.median:
        raise OptionError(
            f"--median is for pixel methods, and {model.name} is a network, which sees the "
            "neighbours itself. Leave it out."
        )
    engine = job.resolved
    return {
        "tta": job.tta,
        "patch_px": job.tiling.patch_px,
        "keep": options.keep,
        "device": engine.device.partition(":")[0],
        "backend": engine.backend,
        "precision": engine.precision,
        **({"compile": True} if engine.compile else {}),
    }


def write_prediction(job: Job, files: PredictionFiles, *, progress: Progress | None = None) -> None:
    """Predict a scene into files that the caller has prepared; see `predict`."""
    scene, model = job.scene, job.model
    card = model.card if isinstance(model, Model) else None
    classes = card.classes if card else (GLACIER,)
    threshold = files.threshold
    if threshold is None:
        threshold = card.threshold if card else 0.5
    with ExitStack() as stack:
        stack.enter_context(scene.by_rows(files.probability.parent))
        # The inputs are hashed while the scene is sampled.
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(make_record, job, always_hash=files.always_hash)
            rows = stack.enter_context(closing(_rows(job, progress)))
            record = coming.result()
        tags = {
            "GLACIERX_THRESHOLD": repr(threshold),
            "GLACIERX_AOI": "yes" if scene.aoi is not None else "no",
            "GLACIERX_RECORD": json.dumps(record, sort_keys=True),
        }
        probability = stack.enter_context(
            RowWriter(files.probability, scene.grid, probability_layout(classes, tags))
        )
        mask = None
        if files.mask is not None:
            mask = stack.enter_context(RowWriter(files.mask, scene.grid, mask_layout(tags)))
        writer = PredictionWriter(probability, mask, threshold, classes.index(GLACIER))

        def write(steps: NDArray[np.uint8], wanted: NDArray[np.bool_]) -> None:
            # GDAL's errors become exceptions in threads that have an environment.
            with rasterio.Env(), job.profile.measure("write"):
                writer.write(steps, wanted)

        hand_over = stack.enter_context(behind(write))
        for steps, wanted in rows:
            hand_over(steps, wanted)


def _rows(job: Job, progress: Progress | None) -> Generator[Rows, None, None]:
    """Make ready what predicts, and return finished rows from top to bottom."""
    if isinstance(job.model, PixelMethod):
        if job.engine.device != "auto":
            choose_device(job.engine.device)  # It needs none; a wrong name is still an error.
        return pixel_rows(job.scene, job.model, median=job.options.median, progress=progress)
    engine = job.make_engine()
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
        job.reader(), job.tiling, engine, len(job.model.card.classes),
        profile=job.profile, done=done,
    )  # fmt: skip


def check_patch(model: Model, patch_px: int) -> None:
    """Refuse a side of patches that the network's strides do not divide.

    Raises:
        OptionError: It is not a multiple of the network's stride.
    """
    stride = getattr(model.network, "stride", 1)
    if patch_px % stride:
        below = patch_px // stride * stride
        raise OptionError(
            f"--patch-px is {patch_px} and {model.card.architecture} takes multiples of {stride}, "
            f"such as {below or stride} or {below + stride}."
        )


def _say_what_tta_costs(tta: str, views: int, seconds: float) -> None:
    if views > 1 and seconds > LONG_RUN_S:
        warnings.warn(
            f"--tta {tta} averages {views} views and will take about {seconds / 60:.0f} minutes; "
            f"--tta none would take about {seconds / 60 / views:.0f}.",
            GlacierxWarning,
            stacklevel=3,
        )
