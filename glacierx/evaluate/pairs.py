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
from glacierx.scene.classmask import open_classes
from glacierx.scene.grid import Grid, row_bands
from glacierx.scene.handle import Handle
from glacierx.scene.icemask import OutlineMask, check_effect
from glacierx.scene.icewindow import IceMask, IceWindow, MaskChoice
from glacierx.scene.raster import (
    PathLike,
    dataset_grid,
    is_remote,
    open_dataset,
    read_mask,
    tell_apart,
)
from glacierx.scene.rastermask import RasterMask

LOOK_ROWS = 64
COLUMNS = {
    "prediction": ("prediction", "pred"),
    "truth": ("truth", "reference", "labels"),
    "like": ("like",),
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

    @property
    def paths(self) -> list[PathLike]:
        """Every file that is read."""
        return [path for path in (self.prediction, self.truth, self.like, self.image) if path]


class Template(Handle):
    """A raster whose grid is scored on, and whose pixels without data are left out.

    Attributes:
        grid: Its grid.
    """

    def __init__(self, path: PathLike) -> None:
        self._file = open_dataset(path, "raster of --like")
        self.grid = dataset_grid(self._file, "raster of --like")
        # A template of zeros with a nodata of 0 has nothing to say of the ground.
        self._blank = not any(
            read_mask(self._file, 1, Window(0, first, self.grid.columns, last - first)).any()
            for first, last in row_bands(self.grid.rows, LOOK_ROWS)
        )

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

    def read(self, window: Window) -> tuple[IceWindow, IceWindow, NDArray[np.bool_]]:
        """Read a window of the prediction and of the truth, and tell which pixels count."""
        found, true = self.found.read(window), self.truth.read(window)
        valid = found.valid & true.valid
        if self.template is not None:
            valid &= self.template.ground(window)
        return found, true, valid


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
    found = stack.enter_context(open_classes(pair.prediction, choice))
    known = found.classes if found.classes and len(found.classes.names) > 1 else None
    truth = stack.enter_context(open_classes(pair.truth, truth_choice, known))
    # Reading every class takes longer, and tells nothing where the truth knows none.
    found.tells_kinds = truth.tells_kinds and known is not None
    _check_use(choice, (found, truth))
    check_effect(pair.truth_choice, truth, "--truth-")
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
    names = ("layer", "band", "positive", "classes", "legend", "field")
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
    for name in ("classes", "legend", "field"):
        asked = getattr(choice, name)
        if asked is not None and not any(mask.classes for mask in masks):
            raise OptionError(
                f"--{name} {asked!r} has no effect: neither {names} tells classes apart. "
                "Leave it out, or give a map of classes."
            )
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


def read_pairs(path: PathLike, default: Pair) -> list[Pair]:
    """Read a table of pairs.

    Args:
        path: A CSV with the columns prediction and truth; and, if wanted, like, layer, band,
            positive, threshold, classes, legend, field, and the same of the truth as truth_layer
            and so on. Paths count from the folder of the CSV.
        default: What is meant where a row does not say.

    Raises:
        SceneError: The file is missing, has other columns or no rows.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [
                (number, [value.strip() for value in row])
                for number, row in enumerate(csv.reader(file, skipinitialspace=True), 1)
                if any(value.strip() for value in row)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SceneError(f"The table of pairs {path} cannot be read: {error}.") from error
    if len(lines) < 2:
        raise SceneError(
            f"{path.name} holds no pairs. It needs a line of names, prediction,truth, and a line "
            "for each pair."
        )
    names = _names(lines[0][1], path.name)
    return [_pair(names, values, path, number, default) for number, values in lines[1:]]


def _names(header: list[str], table: str) -> list[str]:
    """Return the columns of a table of pairs, under the names that we use."""
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise SceneError(
            f"The values of {table} are not parted by commas: its first line is {header[0]!r}. "
            "Save it as CSV with commas."
        )
    known = {alias: name for name, aliases in COLUMNS.items() for alias in aliases}
    known |= {name: name for name in CHOICES}
    known |= {f"truth_{name}": f"truth_{name}" for name in CHOICES if name != "threshold"}
    odd = [name for name in header if name.lower() not in known]
    if odd:
        raise SceneError(
            f"{table} has the columns {', '.join(odd)}. It takes {', '.join(sorted(known))}."
        )
    names = [known[name.lower()] for name in header]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SceneError(f"{table} has the column {', '.join(twice)} twice. Leave one out.")
    return names


def _pair(names: list[str], values: list[str], path: Path, line: int, default: Pair) -> Pair:
    where = f"{path.name}, line {line}"
    if len(values) > len(names):
        raise SceneError(f"{where}, has more values than names. Check its commas.")
    text = {name: value for name, value in zip(names, values, strict=False) if value}
    for column in ("prediction", "truth"):
        if column not in text:
            raise SceneError(f"{where}, names no {column}. Fill in that column.")
    files = {
        name: text[name] if is_remote(text[name]) else str(path.parent / text[name])
        for name in COLUMNS
        if name in text
    }
    return replace(
        default,
        **files,
        choice=_chosen(text, "", default.choice, where),
        truth_choice=_chosen(text, "truth_", default.truth_choice, where),
    )


def _chosen(text: Mapping[str, str], prefix: str, default: MaskChoice, where: str) -> MaskChoice:
    kinds: dict[str, Callable[[str], Any]] = {"band": int, "threshold": float}
    chosen = {}
    for name in CHOICES:
        if prefix + name in text:
            value = text[prefix + name]
            try:
                chosen[name] = kinds.get(name, str)(value)
            except ValueError as error:
                raise SceneError(
                    f"{where}: {prefix}{name} is {value[:40]!r}, no number."
                ) from error
    try:
        return replace(default, **chosen)
    except OptionError as error:
        raise SceneError(f"{where}: {error}") from error
