"""Scene + Model -> Prediction."""

import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.errors import GlacierxWarning, OptionError
from glacierx.options import PredictOptions
from glacierx.predict.choice import choose_model
from glacierx.predict.classic import PixelMethod
from glacierx.predict.device import choose_device
from glacierx.predict.engine import Engine
from glacierx.predict.modelfile import Model
from glacierx.predict.pixels import Rows, pixel_rows, read_strip
from glacierx.predict.sample import fit_normaliser
from glacierx.predict.tiling import Patch, Tiler
from glacierx.scene.geotiff import RowWriter, check_rasters
from glacierx.scene.grid import row_bands
from glacierx.scene.prediction import (
    GLACIER,
    Prediction,
    PredictionWriter,
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
CONTEXT_LINES = 64


@dataclass(frozen=True)
class PredictionFiles:
    """Where a prediction goes, and what is noted in the files.

    Attributes:
        probability: The probability map.
        mask: The mask, if wanted.
        threshold: Threshold of the mask; the model's if None.
        record: The run record.
    """

    probability: Path
    mask: Path | None = None
    threshold: float | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


def predict(  # noqa: PLR0913 - the two files are the point of it
    scene: Scene,
    model: PathLike | Model | PixelMethod = "auto",
    options: PredictOptions = PredictOptions(),
    *,
    path: PathLike | None = None,
    mask: PathLike | None = None,
    overwrite: bool = False,
    always_hash: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Prediction:
    """Predict the probability of glacier for every valid pixel of a scene.

    Args:
        scene: The scene; its DEM, if it has one, gives elevation and slope to models that ask.
        model: See `choose_model`.
        options: Views, patches and batch.
        path: File of the probability map (uint8 in steps of 0.004, nodata 255); a temporary one
            that vanishes with the prediction if None.
        mask: File of a mask (1 glacier, 0 not, 255 unknown), if wanted.
        overwrite: Replace existing files.
        always_hash: Hash input files above 2 GB too.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        progress: Called as work goes on.

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
            record = make_record(scene, chosen, options, always_hash=always_hash)
            files = PredictionFiles(part or final, mask_part, record=record)
            write_prediction(scene, chosen, files, options, device=device, progress=progress)
        prediction = Prediction(final, aoi=scene.aoi)
        if temporary is not None:
            prediction.keep_until_closed(temporary)
        stack.pop_all()
    return prediction


def make_record(
    scene: Scene,
    model: Model | PixelMethod,
    options: PredictOptions,
    *,
    always_hash: bool = False,
) -> dict[str, Any]:
    """Say what is predicted, from what and with which versions, without paths or times."""
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
        "options": {"predict": _effective(options, model)},
        "versions": versions("torch") if isinstance(model, Model) else versions(),
    }


def _effective(options: PredictOptions, model: Model | PixelMethod) -> dict[str, Any]:
    """Return the options that change the result, with the card's where none were given.

    Raises:
        OptionError: An option is given that the model does not take.
    """
    if not isinstance(model, Model):
        return {"median": options.median}
    if options.median:
        raise OptionError(
            f"--median is for pixel methods, and {model.name} is a network, which sees the "
            "neighbours itself. Leave it out."
        )
    return {
        "tta": options.tta or model.card.tta,
        "patch_px": options.patch_px or model.card.patch_px,
        "keep": options.keep,
    }


def write_prediction(
    scene: Scene,
    model: Model | PixelMethod,
    files: PredictionFiles,
    options: PredictOptions = PredictOptions(),
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> None:
    """Predict a scene into files that the caller has prepared; see `predict`."""
    if not isinstance(model, Model) and device != "auto":
        choose_device(device)  # A pixel method needs none; a name that is wrong is still an error.
    card = model.card if isinstance(model, Model) else None
    classes = card.classes if card else (GLACIER,)
    threshold = files.threshold
    if threshold is None:
        threshold = card.threshold if card else 0.5
    tags = {
        "GLACIERX_THRESHOLD": repr(threshold),
        "GLACIERX_AOI": "yes" if scene.aoi is not None else "no",
        "GLACIERX_RECORD": json.dumps(files.record, sort_keys=True),
    }
    rows = (
        _network_rows(scene, model, options, device=device, progress=progress)
        if isinstance(model, Model)
        else pixel_rows(scene, model, median=options.median, progress=progress)
    )
    with ExitStack() as stack:
        probability = stack.enter_context(
            RowWriter(files.probability, scene.grid, probability_layout(classes, tags))
        )
        mask = None
        if files.mask is not None:
            mask = stack.enter_context(RowWriter(files.mask, scene.grid, mask_layout(tags)))
        writer = PredictionWriter(probability, mask, threshold, classes.index(GLACIER))
        for values, wanted in rows:
            writer.write(values, wanted)


def _network_rows(
    scene: Scene,
    model: Model,
    options: PredictOptions,
    *,
    device: str,
    progress: Progress | None,
) -> Rows:
    card = model.card
    roles = tuple(role for role in card.roles if role in scene.available)
    present = [role in scene.available for role in card.roles]
    tta = options.tta or card.tta
    patch_px = options.patch_px or card.patch_px
    check_patch(model, patch_px)
    engine = Engine(
        model,
        fit_normaliser(card.normalisation, scene, card.roles),
        present,
        tta=tta,
        device=device,
    )
    tiler = Tiler(
        scene.grid.shape,
        patch_px=patch_px,
        keep=options.keep,
        classes=len(card.classes),
        batch=options.batch,
    )
    context = None
    if card.context:

        def context(row: int, column: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            return read_context(scene, roles, (row, column), tiler.patch_px, card.context)

    def run(patches: Sequence[Patch]) -> NDArray[np.float32]:
        began, first = time.monotonic(), not engine.patches_run
        found = engine.run(patches)
        if first:
            whole = (time.monotonic() - began) / len(patches) * tiler.patches
            _say_what_tta_costs(tta, engine.views, whole)
        return found

    done = 0
    for values, wanted, patches in tiler.run(
        lambda first, last: read_strip(scene, roles, first, last), run, context
    ):
        yield values, wanted
        done += patches
        if progress:
            progress(done, tiler.patches, "patches")


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


def read_context(
    scene: Scene, roles: tuple[str, ...], corner: tuple[int, int], patch_px: int, factor: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read a view *factor* times as wide around a patch, averaged to the size of the patch.

    Args:
        scene: The scene.
        roles: What to read.
        corner: Row and column of the patch's first pixel.
        patch_px: Side of the patch.
        factor: Side of a block of pixels that is averaged.

    Returns:
        Values (roles, patch, patch), and True where a block holds valid pixels of the scene.
    """
    values = np.zeros((len(roles), patch_px, patch_px), np.float32)
    valid = np.zeros((patch_px, patch_px), bool)
    shift = (patch_px * factor - patch_px) // 2
    top, left = corner[0] - shift, corner[1] - shift
    rows, columns = scene.grid.shape
    from_column, to_column = max(0, left), min(columns, left + patch_px * factor)
    for line, end in row_bands(patch_px, CONTEXT_LINES):
        first, last = max(0, top + line * factor), min(rows, top + end * factor)
        if first >= last or from_column >= to_column:
            continue
        raster = scene.read(
            Window(from_column, first, to_column - from_column, last - first), roles
        )
        down = (np.arange(first, last) - top) // factor - line
        right = (np.arange(from_column, to_column) - left) // factor
        block = (down[:, None] * patch_px + right).ravel()
        shape = (end - line, patch_px)
        count, *totals = (
            np.bincount(block, plane.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
            for plane in (raster.valid, *(raster.values * raster.valid))
        )
        for index, total in enumerate(totals):
            np.divide(
                total, count, out=values[index, line:end], where=count > 0, casting="same_kind"
            )
        valid[line:end] = count > 0
    return values, valid
