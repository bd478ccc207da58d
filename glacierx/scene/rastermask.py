"""Ice in a raster: a mask, classes, glacier numbers or probabilities."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from glacierx.errors import GridError, OptionError, SceneError
from glacierx.scene.classes import Classes
from glacierx.scene.grid import Grid
from glacierx.scene.icewindow import EVERY, IceMask, IceWindow, MaskChoice
from glacierx.scene.masks import number_range
from glacierx.scene.prediction import (
    NODATA,
    likeliest,
    own_probability,
    own_threshold,
    summed,
)
from glacierx.scene.raster import (
    PathLike,
    dataset_grid,
    nodata_is_background,
    open_dataset,
    overlap_share,
    read_mask,
    read_nearest,
    read_window,
)

Stored = Callable[[Window], tuple[NDArray[Any], NDArray[np.bool_]]]

UNKNOWN = 255
ALPHA = ColorInterp.alpha
SAMPLE_PX = 1024
# What is left of 1 when 255 / 255 was stored with a scale of 32 bits.
ROUNDING = 1e-5


class RasterMask(IceMask):
    """A raster of 0 and 1, of classes, of glacier numbers, or of probabilities.

    Attributes:
        band: The band that is read, counted from 1.
        tags: Metadata of the file.
        threshold: Probability above which a pixel is ice.
    """

    def __init__(self, path: PathLike, choice: MaskChoice) -> None:
        super().__init__(path)
        self._file = open_dataset(path)
        self.own_grid = self._grid = dataset_grid(self._file)
        self.classes = self._chosen(own_probability(self._file), choice)
        own = self.classes.numbers[0] + 1 if self.classes else None
        self.band = self._choose_band(choice, own)
        self._bands = [self.band]
        if self.classes and choice.band is None:
            self._bands = [number + 1 for number in self.classes.numbers]
        self.tags = self._file.tags()
        kind = np.dtype(self._file.dtypes[self.band - 1]).kind
        if kind not in "biuf":
            raise SceneError(f"{self.name} holds complex numbers. Give a mask of 0 and 1.")
        self._scale = float(self._file.scales[self.band - 1])
        self._offset = float(self._file.offsets[self.band - 1])
        self._whole = kind in "biu" and (self._scale, self._offset) == (1.0, 0.0)
        self._choice = choice
        positive = choice.positive
        self._ranges = _ranges(positive)
        if choice.shared and positive is not None and (own or self._is_plain()):
            positive, self._ranges = None, []
        self.threshold = choice.threshold
        if own is not None and positive is None:
            if choice.is_truth:
                raise self._swapped()
            self.kind = "probability"
            if self.threshold is None:
                self.threshold = own_threshold(self.tags, self.name)
        elif self.threshold is not None:
            self.kind = "probability"
            if self._whole or positive is not None:
                raise OptionError(
                    f"--threshold is for a raster of probabilities, and {self.name} is one of "
                    "whole numbers. Leave it out, or write the scale into the file."
                )
        else:
            self.kind = "labels" if positive == EVERY else "mask"
        self._background = nodata_is_background(self._file, self.band)
        if self._background and self.kind != "probability":
            self.notes.append(f"{self.name}: its nodata 0 is taken for ground without ice")
        # Without a nodata value of its own 255 is what a mask of bytes calls unknown.
        self._spare = self._whole and self._file.nodatavals[self.band - 1] != UNKNOWN
        self._seen: set[float] = set()

    def _chosen(self, own: Classes | None, choice: MaskChoice) -> Classes | None:
        """Return the classes of a probability map of ours, with those that are asked for as ice."""
        if own is None or (choice.shared and len(own.names) == 1):
            return own
        return own.chosen(choice.classes, self.name)

    def _choose_band(self, choice: MaskChoice, own: int | None) -> int:
        band, count = choice.band, self._file.count
        if choice.shared and count == 1:
            return 1
        pixels = [at for at in range(1, count + 1) if self._file.colorinterp[at - 1] != ALPHA]
        if band is None and len(pixels) == 1:
            return pixels[0]
        if band is not None and not 1 <= band <= count:
            raise SceneError(f"{self.name} has {count} bands; band {band} was asked for.")
        if band is None and own is None and count > 1:
            raise SceneError(
                f"{self.name} has {count} bands, and a mask has one. Say which with --band NUMBER."
            )
        return band or own or 1

    def _is_plain(self) -> bool:
        """Tell whether numbers of ice are meant for another file: this is of 0 and 1 anyway."""
        if any(low <= 1 <= high for low, high in self._ranges):
            return False
        shape = min(SAMPLE_PX, self._file.height), min(SAMPLE_PX, self._file.width)
        window = Window(0, 0, self._file.width, self._file.height)
        raw = read_window(self._file, [self.band], window, shape)
        nodata = self._file.nodatavals[self.band - 1]
        expected = [0, 1, UNKNOWN if nodata is None else nodata]
        return bool(np.isin(raw[np.isfinite(raw)], expected).all())

    def place(self, grid: Grid, *, align: bool = False) -> None:
        """Put the ice on a grid; see `IceMask.place`."""
        own = self.own_grid
        assert own is not None
        if own.matches(grid):
            self._grid = grid
            return
        self.overlap = min(1.0, overlap_share(own, grid))
        if self.overlap == 0:
            raise GridError(
                f"{self.name} ({own.describe()}) does not overlap the grid that is scored "
                f"({grid.describe()}). Give two files of the same area."
            )
        if not align:
            raise GridError(
                f"{self.name} lies on another grid than the one that is scored: "
                f"{grid.difference(own)} (there: {self.name}). "
                "Use --align to warp it (nearest neighbour)."
            )
        self._grid = grid

    def read(self, window: Window) -> IceWindow:
        """Read a window of the grid in use; see `IceMask.read`."""
        raw, valid = self._numbers(window)
        if self.kind == "probability":
            found = self._probabilities(raw, valid)
            return replace(found, kind=self._kinds(window)) if self.tells_kinds else found
        if self._ranges or self.kind == "labels":
            if self._spare and not self._is_positive(np.array([UNKNOWN])).any():
                valid = valid & (raw != UNKNOWN)
            ice = valid & self._is_positive(raw)
            label = None if self.kind == "mask" else np.where(ice, raw, 0).astype(np.int64)
            return IceWindow(ice, valid, label)
        ice = valid & (raw == 1)
        other = valid & ~ice & (raw != 0)
        if other.any():
            values = np.unique(raw[other])
            self._seen |= set(values[:8].tolist())
            if not (self._spare and values.tolist() == [UNKNOWN]):
                raise self._unexpected(np.unique(raw[valid]))
            valid = valid & (raw != UNKNOWN)
        if ice.any():
            self._seen.add(1.0)
        return IceWindow(ice, valid)

    def _is_positive(self, raw: NDArray[Any]) -> NDArray[np.bool_]:
        if self.kind == "labels":
            return np.asarray(raw > 0)
        ice = np.zeros(raw.shape, bool)
        for low, high in self._ranges:
            ice |= (raw >= low) & (raw <= high)
        return ice

    def _kinds(self, window: Window) -> NDArray[np.uint8]:
        """Read the likeliest class of each pixel of a map of ours, 255 where not known."""

        def stored(window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
            steps = read_window(self._file, list(self._file.indexes), window)
            kinds = likeliest(np.asarray(steps, np.uint8))
            return kinds, kinds != NODATA

        kinds, known = self._numbers(window, stored)
        return np.where(known, kinds, NODATA).astype(np.uint8)

    def _numbers(
        self, window: Window, stored: Stored | None = None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read what is stored, on the grid in use."""
        own, read = self.own_grid, stored or self._stored
        assert own is not None
        if own.matches(self.grid):
            return read(window)

        def known(window: Window) -> NDArray[np.float64]:
            raw, valid = read(window)
            return np.where(valid, raw.astype(np.float64), np.nan)

        moved = read_nearest(known, own, self.grid.crop(window))
        there = np.isfinite(moved)
        return np.where(there, moved, 0), there

    def _stored(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        if len(self._bands) > 1:  # Of a map of ours, whose steps add up.
            steps = read_window(self._file, self._bands, window)
            whole = summed(list(np.asarray(steps, np.uint8)))
            return whole, whole != NODATA
        raw = read_window(self._file, [self.band], window)[0]
        valid = np.ones(raw.shape, bool)
        if not self._background:
            valid = read_mask(self._file, self.band, window)
        if raw.dtype.kind == "f":
            valid &= np.isfinite(raw)
        return raw, valid

    def _probabilities(self, raw: NDArray[Any], valid: NDArray[np.bool_]) -> IceWindow:
        assert self.threshold is not None
        values = np.where(valid, raw * np.float64(self._scale) + self._offset, 0)
        beyond = (values < -ROUNDING) | (values > 1 + ROUNDING)
        if beyond.any():
            raise self._unexpected(np.unique(values[beyond]))
        values = values.clip(0, 1)
        # A probability that was rounded to the threshold when it was stored is not above it.
        slack = np.finfo(raw.dtype).eps if raw.dtype.kind == "f" else self._scale * 1e-6
        ice = valid & (values > self.threshold + slack)
        return IceWindow(ice, valid, probability=values.astype(np.float32))

    def _unexpected(self, values: NDArray[Any]) -> SceneError:
        found = ", ".join(f"{value:.4g}" for value in values[:6])
        more = " ..." if len(values) > 6 else ""
        if self.kind == "probability":
            advice = "expected probabilities from 0 to 1. Write its scale into it, or recode it"
        elif not self._whole and self._are_shares(values):
            if self._choice.is_truth:
                return self._swapped()
            advice = "expected a mask of 0 and 1. For probabilities give --threshold"
        else:
            advice = (
                "expected a mask of 0 and 1. Say which mean glacier with --positive, such as "
                f"--positive 1,2, or --positive {EVERY}"
            )
        return SceneError(f"{self.name} holds the values {found}{more}; {advice}.")

    def _are_shares(self, values: NDArray[Any]) -> bool:
        real = values * self._scale + self._offset
        return bool(real.min() >= -ROUNDING and real.max() <= 1 + ROUNDING)

    def _swapped(self) -> SceneError:
        return SceneError(
            f"{self.name} holds probabilities and was given as the truth, which is a mask or "
            "outlines. Are the two swapped? The prediction comes first."
        )

    def finish(self) -> None:
        """Check what only the whole file tells; see `IceMask.finish`."""
        if UNKNOWN in self._seen and 1.0 not in self._seen:
            raise SceneError(
                f"{self.name} holds 0 and 255, so it is not clear whether 255 is glacier or "
                "unknown. Give --positive 255, or --positive 1 if it is unknown."
            )
        if UNKNOWN in self._seen:
            self.notes.append(f"{self.name}: 255 is taken for unknown")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _ranges(text: str | None) -> list[tuple[float, float]]:
    """Read the numbers that mean ice."""
    if text is None or text == EVERY:
        return []
    found = [number_range(item) for item in text.split(",")]
    ranges = [one for one in found if one is not None]
    if len(ranges) < len(found):
        raise OptionError(
            f"--positive {text!r} is no list of numbers. Give 1,2 or 3-8, or {EVERY} where "
            "each number above 0 is a glacier."
        )
    return ranges
