"""A prediction and a truth, brought onto one grid."""

import csv
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.errors import GlacierxWarning, GridError, OptionError, OutlineError, SceneError
from glacierx.scene.grid import Grid
from glacierx.scene.handle import Handle
from glacierx.scene.icemask import OutlineMask, open_ice_mask
from glacierx.scene.icewindow import IceMask, MaskChoice
from glacierx.scene.raster import (
    PathLike,
    dataset_grid,
    is_remote,
    open_dataset,
    read_mask,
    tell_apart,
)
from glacierx.scene.rastermask import RasterMask

SAMPLE_PX = 512
COLUMNS = {
    "prediction": ("prediction", "pred"),
    "truth": ("truth", "reference", "labels"),
    "like": ("like",),
    "image": ("image", "scene"),
}
CHOICES = tuple(item.name for item in fields(MaskChoice) if item.type is not bool)


@dataclass(frozen=True)
class Pair:
    """A prediction and the truth that goes with it.

    Attributes:
        prediction: A mask, a probability map or outlines.
        truth: A mask or outlines.
        like: A raster whose grid is scored on.
        image: A raster to draw errors over.
        choice: What of the prediction is meant.
        truth_choice: What of the truth is meant.
    """

    prediction: PathLike
    truth: PathLike
    like: PathLike | None = None
    image: PathLike | None = None
    choice: MaskChoice = field(default_factory=MaskChoice)
    truth_choice: MaskChoice = field(default_factory=MaskChoice)


class Template(Handle):
    """A raster whose grid is scored on, and whose pixels without data are left out.

    Attributes:
        grid: Its grid.
    """

    def __init__(self, path: PathLike) -> None:
        self._file = open_dataset(path, "raster of --like")
        self.grid = dataset_grid(self._file, "raster of --like")
        shape = min(SAMPLE_PX, self.grid.rows), min(SAMPLE_PX, self.grid.columns)
        # A template of zeros with a nodata of 0 has nothing to say of the ground.
        self._blank = not read_mask(self._file, 1, self.grid.window, shape).any()

    def ground(self, window: Window) -> NDArray[np.bool_]:
        """Return True where the raster has data, in every band."""
        known = np.ones((int(window.height), int(window.width)), bool)
        for band in range(1, 0 if self._blank else self._file.count + 1):
            known &= read_mask(self._file, band, window)
        return known

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True)
class Opened:
    """A pair on one grid, ready to be read.

    Attributes:
        found: The prediction.
        truth: The truth.
        template: The raster of ``like``, if one was given.
    """

    found: IceMask
    truth: IceMask
    template: Template | None

    @property
    def grid(self) -> Grid:
        """The grid that is scored on."""
        return self.truth.grid


def open_pair(pair: Pair, stack: ExitStack, *, align: bool = False) -> Opened:
    """Open a prediction and the truth on one grid.

    Args:
        pair: The files.
        stack: Closes them.
        align: Warp rasters of another grid onto the one that is scored.

    Raises:
        GridError: They lie on different grids or places, or there is no grid.
    """
    choice, truth_choice = _shared_choice(pair)
    found = stack.enter_context(open_ice_mask(pair.prediction, choice))
    truth = stack.enter_context(open_ice_mask(pair.truth, truth_choice))
    _check_use(choice, (found, truth))
    found.name, truth.name = tell_apart(pair.prediction, pair.truth)
    template = stack.enter_context(Template(pair.like)) if pair.like else None
    grid = template.grid if template else truth.own_grid or found.own_grid
    if grid is None:
        raise GridError(
            f"{found.name} and {truth.name} are both vector layers, which have no pixels to "
            "score. Give the raster to burn them like: --like scene.tif."
        )
    for mask in (found, truth):
        mask.place(grid, align=align)
    _warn_of_swap(found, truth)
    return Opened(found, truth, template)


def _shared_choice(pair: Pair) -> tuple[MaskChoice, MaskChoice]:
    """Let what is said of one file count for the other where nothing is said of that."""
    own, other = pair.choice, pair.truth_choice
    names = ("layer", "band", "positive")
    taken = {
        name: getattr(own, name) if getattr(other, name) is None else getattr(other, name)
        for name in names
    }
    shared = all(getattr(other, name) is None for name in names)
    return replace(own, shared=shared), MaskChoice(**taken, is_truth=True, shared=shared)


def _check_use(choice: MaskChoice, masks: tuple[IceMask, IceMask]) -> None:
    """Refuse what would have no effect: a layer or band that neither file has, a threshold."""
    names = " and ".join(mask.name for mask in masks)
    if choice.threshold is not None and isinstance(masks[0], OutlineMask):
        raise OptionError(
            f"--threshold is for a raster of probabilities, and {masks[0].name} holds outlines. "
            "Leave it out."
        )
    if choice.positive is not None and all(isinstance(mask, OutlineMask) for mask in masks):
        raise OptionError(f"--positive is for rasters, and {names} hold outlines. Leave it out.")
    layers = [mask.layer.name for mask in masks if isinstance(mask, OutlineMask)]
    if choice.layer is not None and choice.layer not in layers:
        found = ", ".join(layers) or "no layer at all"
        raise OutlineError(f"--layer {choice.layer!r} is in neither {names}: they have {found}.")
    bands = [mask.band for mask in masks if isinstance(mask, RasterMask)]
    if choice.band is not None and choice.band not in bands:
        raise SceneError(
            f"--band {choice.band} is in neither {names}: a raster of one band needs no --band."
        )


def _warn_of_swap(found: IceMask, truth: IceMask) -> None:
    def ours(mask: IceMask) -> bool:
        tags = mask.layer.tags if isinstance(mask, OutlineMask) else getattr(mask, "tags", {})
        return '"model":' in tags.get("GLACIERX_RECORD", "")

    if ours(truth) and not ours(found):
        warnings.warn(
            f"{truth.name} was made by glacierx and is taken for the truth, {found.name} for the "
            "prediction. If it is the other way round, swap the two.",
            GlacierxWarning,
            stacklevel=4,
        )


def read_pairs(path: PathLike, choice: MaskChoice, truth_choice: MaskChoice) -> list[Pair]:
    """Read a table of pairs.

    Args:
        path: A CSV with the columns prediction and truth; and, if wanted, like, image, layer,
            band, positive, threshold, truth_layer, truth_band and truth_positive. Paths count
            from the folder of the CSV.
        choice: What of predictions is meant where a row does not say.
        truth_choice: The same of truths.

    Raises:
        SceneError: The file is missing, has other columns or no rows.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [dict(row) for row in csv.DictReader(file, skipinitialspace=True)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SceneError(f"The table of pairs {path} cannot be read: {error}.") from error
    if not rows:
        raise SceneError(
            f"{path.name} holds no pairs. It needs a line of names, prediction,truth, and a line "
            "for each pair."
        )
    return [_pair(row, number, path, (choice, truth_choice)) for number, row in enumerate(rows, 2)]


def _pair(
    row: Mapping[Any, Any], line: int, path: Path, choices: tuple[MaskChoice, MaskChoice]
) -> Pair:
    known = {name for names in COLUMNS.values() for name in names}
    known |= {*CHOICES, *(f"truth_{name}" for name in CHOICES if name != "threshold")}
    text = {str(key).strip(): (value or "").strip() for key, value in row.items() if key}
    odd = sorted(set(text) - known)
    if odd or None in row:
        what = f"the columns {', '.join(odd)}" if odd else "more values than names"
        raise SceneError(
            f"{path.name}, line {line}, has {what}. It takes {', '.join(sorted(known))}."
        )
    found = {
        column: next((text[name] for name in names if text.get(name)), None)
        for column, names in COLUMNS.items()
    }
    for column in ("prediction", "truth"):
        if not found[column]:
            raise SceneError(f"{path.name}, line {line}, names no {column}. Fill in that column.")
    files = {
        column: None if name is None else name if is_remote(name) else str(path.parent / name)
        for column, name in found.items()
    }
    own, other = choices
    return Pair(
        str(files["prediction"]),
        str(files["truth"]),
        files["like"],
        files["image"],
        _chosen(text, "", own, f"{path.name}, line {line}"),
        _chosen(text, "truth_", other, f"{path.name}, line {line}"),
    )


def _chosen(text: Mapping[str, str], prefix: str, default: MaskChoice, where: str) -> MaskChoice:
    given = {name: text.get(prefix + name) for name in CHOICES}
    kinds: dict[str, Callable[[str], Any]] = {"band": int, "threshold": float}
    chosen = {}
    for name, value in given.items():
        if value:
            try:
                chosen[name] = kinds.get(name, str)(value)
            except ValueError as error:
                raise SceneError(f"{where}: {prefix}{name} is {value!r}, no number.") from error
    return replace(default, **chosen)
