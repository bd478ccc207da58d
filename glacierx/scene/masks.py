"""Pixels to leave out: quality masks and the area of interest."""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window

from glacierx.errors import GridError, OptionError, OutlineError, SceneError
from glacierx.scene.geodesy import is_near, metric_crs, part_near, transform_geometries
from glacierx.scene.grid import Grid
from glacierx.scene.provenance import fingerprint
from glacierx.scene.raster import (
    PathLike,
    base_name,
    dataset_grid,
    open_dataset,
    overlap_share,
    read_nearest,
    read_window,
)
from glacierx.scene.vector import polygons_of, read_layer

# A number of 64-bit floating point holds this many bits and no more.
HIGHEST_BIT = 52

# A region is cut to the scene and this much around it before it is moved into the scene's CRS.
ROOM_M = 1000.0

_NUMBER = r"-?[0-9]+(?:\.[0-9]*)?"


def number_range(text: str) -> tuple[float, float] | None:
    """Read a number, or a range of them from low to high such as 8-10; None if it is neither."""
    number = re.fullmatch(rf"({_NUMBER})(?:-({_NUMBER}))?", text.strip(), re.ASCII)
    low, high = (float(number[1]), float(number[2] or number[1])) if number else (1, 0)
    return (low, high) if low <= high else None


@dataclass(frozen=True)
class MaskRule:
    """Which numbers of a quality mask make a pixel invalid.

    Attributes:
        path: The mask file.
        band: Its band, counted from 1; None if not given.
        ranges: Numbers from .. to that are invalid.
        bits: Bits that are invalid when set.
    """

    path: str
    band: int | None
    ranges: tuple[tuple[float, float], ...]
    bits: int

    @classmethod
    def parse(cls, text: str) -> "MaskRule":
        """Read ``FILE``, ``FILE=3,8-10``, ``FILE:6`` or ``QA_PIXEL.TIF=bit1-4``."""
        match = re.fullmatch(r"(.+?)(?::([0-9]+))?(?:=([-\w., ]+))?", text.strip(), re.ASCII)
        if match is None:
            raise OptionError(f"--invalid {text!r} is not FILE[:BAND][=VALUES].")
        path, band, values = match.groups()
        ranges: list[tuple[float, float]] = []
        bits = 0
        for item in values.replace(" ", "").split(",") if values else ():
            numbers = number_range(item)
            flags = re.fullmatch(r"bit([0-9]+)(?:-([0-9]+))?", item)
            first, last = (int(flags[1]), int(flags[2] or flags[1])) if flags else (1, 0)
            if numbers:
                ranges.append(numbers)
            elif first <= last <= HIGHEST_BIT:
                bits |= (1 << last + 1) - (1 << first)
            else:
                raise OptionError(
                    f"--invalid {text!r}: {item!r} is no value. Give numbers, ranges from low to "
                    f"high, or bits from 0 to {HIGHEST_BIT}: =3,8-10 or =bit3,bit4 or =bit1-4."
                )
        return cls(path, int(band) if band else None, tuple(ranges), bits)

    @property
    def is_plain(self) -> bool:
        """True where no values are given, so that the mask must be of zeros and ones."""
        return not self.ranges and not self.bits


class QualityMask:
    """A raster that says which pixels of a scene are bad, on whatever grid it has."""

    def __init__(self, text: str, grid: Grid) -> None:
        self.rule = MaskRule.parse(text)
        self._grid = grid
        self._file = open_dataset(self.rule.path, "quality mask")
        self._own = dataset_grid(self._file, "quality mask")
        self._band = self._choose_band()
        if overlap_share(self._own, grid) == 0:
            raise GridError(
                f"{base_name(self.rule.path)} does not overlap the scene. Give the mask of the "
                "same acquisition."
            )
        self._check_sample()

    def _choose_band(self) -> int:
        name, count = base_name(self.rule.path), self._file.count
        band = self.rule.band
        if band is None and count > 1:
            raise SceneError(
                f"{name} has {count} bands. Say which one is the mask: --invalid {name}:1=VALUES"
            )
        if band is not None and not 1 <= band <= count:
            raise SceneError(f"{name} has {count} bands; --invalid asks for number {band}.")
        return band or 1

    def _check_sample(self) -> None:
        """Refuse a mask of many values before any work; the rest is checked while reading."""
        if self.rule.is_plain:
            shape = min(512, self._own.rows), min(512, self._own.columns)
            sample = read_window(self._file, [self._band], self._own.window, shape)
            self._check_plain(np.unique(sample))

    def _check_plain(self, values: NDArray[Any]) -> None:
        values = values[np.isfinite(values)]
        if not (np.isin(values, (0, 1)).all() or np.isin(values, (0, 255)).all()):
            found = ", ".join(f"{value:g}" for value in values[:8])
            name = base_name(self.rule.path)
            raise SceneError(
                f"{name} holds the values {found}: more than a mask of 0 and 1. Say which are "
                f"invalid: --invalid {name}=VALUES, or =bit3,bit4 for flags."
            )

    def invalid(self, window: Window) -> NDArray[np.bool_]:
        """Return True where the mask makes a pixel of the scene's window invalid."""
        values = self._values(window)
        known = np.isfinite(values)
        if self.rule.is_plain:
            self._check_plain(np.unique(values[known]))
            return np.asarray(known & (values != 0))
        bad = np.zeros(values.shape, bool)
        for low, high in self.rule.ranges:
            bad |= (values >= low) & (values <= high)
        if self.rule.bits:
            flags = np.where(known, values, 0).astype(np.int64)
            bad |= (flags & self.rule.bits) != 0
        return np.asarray(bad)

    def _values(self, window: Window) -> NDArray[Any]:
        """Read the mask's numbers on the scene's grid, NaN outside it.

        A number that the file calls nodata is read like any other: 0 is often that of "clear".
        """
        if self._own.matches(self._grid):
            return np.asarray(read_window(self._file, [self._band], window)[0])

        def read(needed: Window) -> NDArray[Any]:
            values = read_window(self._file, [self._band], needed)[0]
            # 32 bits do not hold the whole numbers of large flags.
            return np.asarray(values.astype(np.result_type(values.dtype, np.float32)))

        return read_nearest(read, self._own, self._grid.crop(window))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def area_of_interest(path: PathLike | None, buffer_m: float, grid: Grid) -> "AreaOfInterest | None":
    """Read the region that ``--aoi`` and ``--aoi-buffer-m`` ask for, or None if none is.

    Raises:
        OptionError: There is a width and no region.
    """
    if path is not None:
        return AreaOfInterest(path, buffer_m, grid)
    if buffer_m:
        raise OptionError("--aoi-buffer-m widens a region: give it with --aoi.")
    return None


def read_area(path: PathLike) -> tuple[NDArray[np.object_], CRS]:
    """Read the polygons of an area of interest and their CRS.

    Raises:
        OutlineError: There are none.
    """
    layer = read_layer(path, prefer=("glaciers",))
    shapes = layer.geometry[shapely.get_dimensions(layer.geometry) == 2]
    if not len(shapes):
        raise OutlineError(f"{base_name(path)} holds no polygons, so it is no area of interest.")
    return shapes, layer.crs


class AreaOfInterest:
    """The region of a scene that is mapped.

    Attributes:
        path: The vector file.
        buffer_m: By how much it is widened.
        polygon: The region in the scene's CRS, within its footprint.
    """

    def __init__(self, path: PathLike, buffer_m: float, grid: Grid) -> None:
        if not 0 <= buffer_m < math.inf:
            raise OptionError(f"--aoi-buffer-m is {buffer_m:g}. It takes a number from 0.")
        self.path, self.buffer_m = str(path), buffer_m
        shapes, crs = read_area(path)
        metric = metric_crs(grid.crs, grid.bounds)
        near = shapes[is_near(shapes, crs, grid.footprint, grid.crs, buffer_m)]
        around = part_near(polygons_of(near), crs, grid.footprint, grid.crs, 2 * buffer_m + ROOM_M)
        moved = transform_geometries(around, crs, metric)
        region = shapely.union_all(shapely.buffer(moved, buffer_m))
        self.polygon = shapely.intersection(
            transform_geometries(region, metric, grid.crs), grid.footprint
        )
        if self.polygon.is_empty:
            raise GridError(
                f"{base_name(path)} does not overlap the scene. Give an area that does, "
                "or a wider --aoi-buffer-m."
            )
        self._grid = grid
        shapely.prepare(self.polygon)

    def describe(self, *, always_hash: bool = False) -> dict[str, Any]:
        """Return what a run record says of the region."""
        return {
            "aoi": fingerprint(self.path, always_hash=always_hash),
            "aoi_buffer_m": self.buffer_m,
        }

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """Return True where the centre of a pixel of the window lies in the region."""
        grid = self._grid.crop(window)
        if shapely.contains(self.polygon, grid.footprint):
            return np.ones(grid.shape, bool)
        part = shapely.intersection(self.polygon, grid.footprint)
        if shapely.get_dimensions(part) < 2 or part.is_empty:
            return np.zeros(grid.shape, bool)
        burnt = rasterio.features.rasterize(
            [part], out_shape=grid.shape, transform=grid.transform, dtype="uint8"
        )
        return np.asarray(burnt, bool)
