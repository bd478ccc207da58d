"""Where a raster of numbers or a layer of outlines says which class the ground is of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.errors import OptionError, OutlineError, SceneError
from glacierx.scene.classes import BACKGROUND, GLACIER, Classes, parse_legend
from glacierx.scene.icemask import OutlineMask, open_ice_mask
from glacierx.scene.icewindow import EVERY, IceMask, IceWindow, MaskChoice
from glacierx.scene.masks import number_range
from glacierx.scene.prediction import own_classes
from glacierx.scene.raster import PathLike
from glacierx.scene.rastermask import UNKNOWN, RasterMask

NOT_KNOWN = 255


class ClassRaster(RasterMask):
    """A raster of whole numbers that stand for classes; 255 and nodata are not known."""

    def __init__(
        self, path: PathLike, choice: MaskChoice, legend: Mapping[str, str], known: Classes | None
    ) -> None:
        if choice.positive is not None:
            raise OptionError(
                f"--positive {choice.positive!r} and a legend both say what numbers mean. Give one."
            )
        super().__init__(path, replace(choice, positive=EVERY, shared=False, classes=None))
        self.kind = "mask"
        self.tells_kinds = True
        try:
            self.classes = told(legend.values(), choice.classes, known, self.name)
            self._legend = [(self._range(value), name) for value, name in legend.items()]
        except OptionError:
            self.close()
            raise

    def _range(self, value: str) -> tuple[float, float]:
        found = number_range(value)
        if found is None:
            raise OptionError(
                f"{value!r} of the legend is no number, and {self.name} is a raster. Give one such "
                "as 0=background,1=debris,2=ice."
            )
        return found

    def read(self, window: Window) -> IceWindow:
        """Read a window of the grid in use; see `IceMask.read`."""
        raw, valid = self._numbers(window)
        kind = np.full(raw.shape, NOT_KNOWN, np.uint8)
        assert self.classes is not None
        for (low, high), name in self._legend:
            kind[valid & (raw >= low) & (raw <= high)] = self.classes.names.index(name)
        odd = valid & (kind == NOT_KNOWN)
        if odd.any():
            values = np.unique(raw[odd])
            if not (self._spare and values.tolist() == [UNKNOWN]):
                found = ", ".join(f"{value:g}" for value in values[:6])
                raise SceneError(
                    f"{self.name} holds the values {found}, which its legend does not name. Add "
                    "them to it, or write them as nodata."
                )
        return _window(kind, self.classes)


class ClassOutlines(OutlineMask):
    """Outlines with a column that tells the class of each; what lies in none is other ground."""

    def __init__(
        self, path: PathLike, choice: MaskChoice, legend: Mapping[str, str], known: Classes | None
    ) -> None:
        super().__init__(path, choice)
        assert choice.field is not None
        column = self.layer.columns.get(choice.field)
        if column is None:
            there = ", ".join(self.layer.columns) or "none"
            raise OutlineError(
                f"{self.name} has no column {choice.field!r} of classes. Its columns: {there}."
            )
        texts = [_text(value) for value in column]
        names = [legend.get(text, "") if legend else text for text in texts]
        pairs = zip(texts, names, strict=True)
        unnamed = sorted({text for text, name in pairs if text and not name})
        if unnamed:
            raise OutlineError(
                f"The column {choice.field} of {self.name} holds {', '.join(unnamed[:6])}, which "
                "the legend does not name. Add them to it."
            )
        elsewhere = BACKGROUND if known is None else known.elsewhere
        if elsewhere is None:
            raise OptionError(
                f"What lies outside the outlines of {self.name} could be of several classes. Name "
                f"one of the classes {BACKGROUND!r}."
            )
        seen = [elsewhere, *sorted(set(filter(None, names)))]
        self.tells_kinds = True
        self.classes = told(legend.values() if legend else seen, choice.classes, known, self.name)
        if elsewhere not in self.classes.names:
            self.classes = Classes((*self.classes.names, elsewhere), self.classes.ice)
        number = {name: at for at, name in enumerate(self.classes.names)}
        # The last is that of ground in no outline.
        self._numbers = np.array(
            [*(number.get(name, NOT_KNOWN) for name in names), number[elsewhere]], np.uint8
        )

    def read(self, window: Window) -> IceWindow:
        """Read a window of the grid in use; see `IceMask.read`."""
        label = super().read(window).label
        assert label is not None
        assert self.classes is not None
        rows = np.r_[len(self._numbers) - 1, self.rows]
        found = _window(self._numbers[rows[label]], self.classes)
        return replace(found, label=np.where(found.ice, label, 0))


def _window(kind: NDArray[np.uint8], classes: Classes) -> IceWindow:
    ice = np.zeros(256, bool)
    ice[list(classes.numbers)] = True
    return IceWindow(ice[kind], kind != NOT_KNOWN, kind=kind)


def _text(value: Any) -> str:
    """Write a value of a column as a legend does."""
    if value is None or value != value:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value).strip()


def told(names: Iterable[str], asked: str | None, known: Classes | None, where: str) -> Classes:
    """Return the classes of a file that names some of them.

    Args:
        names: Those that it names.
        asked: Those that are ice, where somebody says so.
        known: Classes whose numbers come first, and whose ice is ice here too.
        where: The file.

    Raises:
        OptionError: None of the classes is known to be ice.
    """
    own = tuple(dict.fromkeys(names))
    first = known.names if known else ()
    more = tuple(name for name in own if name not in first)
    whole = Classes((*first, *more), (GLACIER,))
    if asked is not None:
        return whole.chosen(asked, where)
    ice = tuple(name for name in (known.ice if known else (GLACIER,)) if name in (*first, *own))
    if not set(ice) & set(own) and known is None:
        raise OptionError(
            f"{where} names the classes {', '.join(own)}. Say which of them are glacier: "
            "--classes debris,ice."
        )
    return Classes(whole.names, ice)


def open_classes(
    path: PathLike, choice: MaskChoice = MaskChoice(), known: Classes | None = None
) -> IceMask:
    """Open a file as `open_ice_mask` does, with its classes where it or somebody names them.

    Args:
        path: A raster or vector file.
        choice: What of it is meant; *legend* and *field* name classes, and a class map of glacierx
            names its own.
        known: Classes of what it goes with, whose numbers are kept.

    Raises:
        OptionError: A legend cannot be read, or which classes are ice cannot be told.
        SceneError: It is neither a raster nor a vector file, or has several bands.
        OutlineError: It has no such column, or a value that the legend does not name.
    """
    plain = replace(choice, classes=choice.classes if known is None else None)
    mask = open_ice_mask(path, plain)
    if isinstance(mask, OutlineMask):
        if choice.field is None and choice.legend is None:
            return mask
        mask.close()
        if choice.field is None:
            raise OptionError(
                f"{mask.name} holds outlines, and a legend of them needs the column of their "
                "classes. Name it with --field NAME."
            )
        legend = parse_legend(choice.legend) if choice.legend else {}
        return ClassOutlines(path, choice, legend, known)
    assert isinstance(mask, RasterMask)
    own = own_classes(mask.tags) if mask.tags.get("GLACIERX_KIND") == "classes" else None
    ours = mask.kind == "probability" and mask.classes is not None
    if choice.legend is None and own is None:
        return mask
    if ours and choice.shared:
        return mask
    mask.close()
    if own is None or (choice.legend is not None and not choice.shared):
        return ClassRaster(path, choice, parse_legend(str(choice.legend)), known)
    legend = {str(number): name for number, name in enumerate(own.names)}
    return ClassRaster(path, choice, legend, known or own)


def numbered(names: Sequence[str]) -> str:
    """Write the legend of a raster whose numbers are those of classes."""
    return ",".join(f"{number}={name}" for number, name in enumerate(names))
