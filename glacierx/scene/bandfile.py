"""One file of a scene: its bands on the scene's grid, in physical units, with what is valid."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.windows import Window

from glacierx.errors import GridError, OptionError, SceneError
from glacierx.scene.bands import BandSource
from glacierx.scene.blocks import TALL_PX, block_rows, in_strips, row_bytes
from glacierx.scene.grid import Grid
from glacierx.scene.raster import (
    base_name,
    dataset_grid,
    open_dataset,
    overlap_share,
    read_mask,
    read_window,
    resample,
    source_window,
)
from glacierx.scene.sensors import OPTICAL, THERMAL, Level, Sensor
from glacierx.scene.stored import Stored

Nodata = float | str | None
"""A number, ``"nan"``, ``"none"`` for no such value, or None for what the file says."""


@dataclass(frozen=True)
class Radiometry:
    """How the numbers of a band become physical values.

    Attributes:
        scale: Factor.
        offset: Added after scaling.
        unit: What the value is; ``"unknown"`` where nothing says.
        source: Where scale and offset come from.
    """

    scale: float = 1.0
    offset: float = 0.0
    unit: str = "unknown"
    source: str = "none"


@dataclass(frozen=True)
class RadiometryChoice:
    """What the user says of the units: by number, or by sensor and processing level."""

    scale: float | None = None
    offset: float | None = None
    sensor: Sensor | None = None
    level: Level | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and not 0 < self.scale < math.inf:
            raise OptionError(f"--scale is {self.scale:g}. It takes a number above 0.")
        if self.offset is not None and not math.isfinite(self.offset):
            raise OptionError(f"--offset is {self.offset:g}. It takes a number.")

    def of(self, role: str, dataset: Any, index: int) -> Radiometry:
        """Choose scale and offset of a band: the user's, the file's, the sensor's, or none."""
        found = self._found(role, dataset, index)
        if role not in OPTICAL or (self.scale is None and self.offset is None):
            return found
        if self.scale is None:
            return Radiometry(found.scale, self.offset or 0.0, found.unit, "user")
        return Radiometry(self.scale, self.offset or 0.0, "reflectance", "user")

    def _found(self, role: str, dataset: Any, index: int) -> Radiometry:
        scale, offset = dataset.scales[index - 1], dataset.offsets[index - 1]
        tag = (dataset.units[index - 1] or "").strip().lower()
        if (scale, offset) != (1.0, 0.0) or tag == "reflectance":
            plain = role in OPTICAL and tag in _PLAIN
            return Radiometry(scale, offset, "reflectance" if plain else tag or "unknown", "file")
        if self.level and role in OPTICAL:
            return Radiometry(self.level.scale, self.level.offset, self.level.unit, "level")
        if self.level and self.level.thermal and role in THERMAL:
            return Radiometry(*self.level.thermal, "kelvin", "level")
        return Radiometry()


# What files with a scale call the unit of reflectance, which has none.
_PLAIN = ("", "1", "none", "reflectance", "unitless", "dimensionless")


def parse_nodata(nodata: Nodata) -> Nodata:
    """Read ``--nodata``: a number, ``nan`` or ``none``.

    Raises:
        OptionError: It is none of these.
    """
    if nodata is None or not isinstance(nodata, str):
        return nodata
    text = nodata.strip().lower()
    if text == "none":
        return "none"
    try:
        return float(text)
    except ValueError as error:
        raise OptionError(f"--nodata {nodata!r} is not a number, 'nan' or 'none'.") from error


class BandFile:
    """Bands of one file, aligned onto a grid.

    Attributes:
        grid: The file's own grid.
        sources: The bands that have a role.
    """

    def __init__(
        self,
        sources: Sequence[BandSource],
        choice: RadiometryChoice,
        *,
        workers: int = 1,
        what: str = "scene",
    ) -> None:
        self.sources = tuple(sources)
        self.path = self.sources[0].path
        self._file: Any = open_dataset(self.path, what, workers=workers)
        self.grid = dataset_grid(self._file, what)
        self._bands = {source.role: source.index for source in self.sources}
        self.radiometry = {
            source.role: choice.of(source.role, self._file, source.index) for source in self.sources
        }
        kinds = {np.dtype(self._file.dtypes[source.index - 1]).kind for source in self.sources}
        if "c" in kinds:
            self.close()
            raise SceneError(
                f"{base_name(self.path)} holds complex numbers. Give amplitudes or reflectance."
            )
        self._fill = choice.sensor.fill if choice.sensor else None

    @property
    def tags(self) -> dict[str, str]:
        """All metadata of the file."""
        return {**self._file.tags(ns="IMAGERY"), **self._file.tags()}

    def align(self, grid: Grid, nodata: Nodata) -> None:
        """Show the bands on the scene's grid from now on; other grids are interpolated.

        Raises:
            GridError: The file lies elsewhere.
        """
        if overlap_share(self.grid, grid) == 0:
            raise GridError(
                f"{base_name(self.path)} does not overlap the scene's other files. "
                "Give bands of one acquisition."
            )
        self._target = None if self.grid.matches(grid) else grid
        flags = {index: self._file.mask_flag_enums[index - 1] for index in self._bands.values()}
        self._nodata = {index: self._nodata_of(index, nodata, flags[index]) for index in flags}
        # GDAL takes the fourth band of any 8-bit file for alpha; a band with a role is not.
        # GDAL's own masks leave alpha out beside nodata, and in files of more than four bands.
        self._alpha = [
            index
            for index, color in enumerate(self._file.colorinterp, 1)
            if color == ColorInterp.alpha and index not in flags
        ]
        # One mask for the file is read once; bands of a VRT can have masks of their own, which
        # rasterio calls nothing.
        shared = [
            index
            for index, found in flags.items()
            if MaskFlags.per_dataset in found and MaskFlags.alpha not in found
        ]
        self._masked = [*shared[:1], *(index for index, found in flags.items() if not found)]

    def _nodata_of(self, index: int, nodata: Nodata, flags: Sequence[MaskFlags]) -> float | None:
        if nodata == "none":
            return None
        if nodata is not None:
            return float(nodata)
        own = self._file.nodatavals[index - 1]
        if own is not None:
            return float(own)
        return self._fill if MaskFlags.all_valid in flags else None

    @property
    def can_be_invalid(self) -> bool:
        """False where every pixel is good, so that validity need not be read."""
        kinds = {np.dtype(self._file.dtypes[index - 1]).kind for index in self._bands.values()}
        tagged = any(value is not None for value in self._nodata.values())
        masked = self._alpha or self._masked
        return bool(tagged or masked or self._target or "f" in kinds)

    def read(self, window: Window, roles: Sequence[str]) -> tuple[Stored, NDArray[np.bool_]]:
        """Read roles, and where every band is valid.

        Bands of another grid than the scene's are interpolated in physical units; others stay in
        the numbers of the file.
        """
        if self._target is None:
            return self._read_own(window, roles)
        target = self._target.crop(window)
        needed = source_window(self.grid, target)
        if needed is None:
            nothing = np.zeros((len(roles), *target.shape), np.float32)
            return Stored.physical(roles, nothing), np.zeros(target.shape, bool)
        own, valid = self._read_own(needed, roles)
        planes = [*map(own.plane, range(len(roles))), np.zeros(valid.shape, np.float32)]
        holed = np.where(valid, np.stack(planes), np.float32(np.nan))
        moved = resample(holed, self.grid.crop(needed), target, Resampling.bilinear)
        return Stored.physical(roles, moved[:-1]), np.isfinite(moved[-1])

    def _read_own(self, window: Window, roles: Sequence[str]) -> tuple[Stored, NDArray[np.bool_]]:
        wanted = [self._bands[role] for role in roles]
        checked = list(self._bands.values()) if self.can_be_invalid else wanted
        raw = read_window(self._file, checked, window)
        valid = np.ones(raw.shape[1:], bool)
        for index, values in zip(checked, raw, strict=True):
            nodata = self._nodata[index]
            if nodata is not None and not np.isnan(nodata):
                valid &= values != _as_stored(nodata, values.dtype)
            if values.dtype.kind == "f":
                valid &= np.isfinite(values)
        for alpha in self._alpha and read_window(self._file, self._alpha, window):
            valid &= alpha != 0
        for index in self._masked:
            valid &= read_mask(self._file, index, window)
        if checked != wanted:
            raw = raw[[checked.index(index) for index in wanted]]
        units = [self.radiometry[role] for role in roles]
        scale, offset = tuple(unit.scale for unit in units), tuple(unit.offset for unit in units)
        return Stored(tuple(roles), raw, scale, offset), valid

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return what a run record says of each role: band, unit, scale and offset."""
        return {
            source.role: {
                "file": base_name(source.path),
                "band": source.index,
                "unit": self.radiometry[source.role].unit,
                "scale": self.radiometry[source.role].scale,
                "offset": self.radiometry[source.role].offset,
                "scale_from": self.radiometry[source.role].source,
            }
            for source in self.sources
        }

    @property
    def block_rows(self) -> int:
        """Rows that are decoded together."""
        return block_rows(self._file) if self._target is None else 1

    @property
    def cache_bytes(self) -> int:
        """What two rows of blocks take, so that reading on decodes none of them again."""
        return 2 * min(max(block_rows(self._file), 256), TALL_PX) * row_bytes(self._file)

    @contextmanager
    def by_rows(self, folder: Path) -> Iterator[None]:
        """Make reading from top to bottom cheap however the file is cut into blocks.

        Args:
            folder: Where a copy may lie if the blocks are tall.
        """
        types = set(self._file.dtypes)
        plain = not (self._alpha or self._masked) and len(types) == 1
        if block_rows(self._file) <= TALL_PX or not plain:
            yield
            return
        original = self._file
        with in_strips(original, folder) as copied:
            self._file = copied
            try:
                yield
            finally:
                self._file = original

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _as_stored(nodata: float, dtype: np.dtype[Any]) -> Any:
    """Return nodata as the file's own type holds it, or a value that nothing equals."""
    if dtype.kind == "f":
        return np.asarray(nodata).astype(dtype)
    info = np.iinfo(dtype)
    if not float(nodata).is_integer() or not info.min <= nodata <= info.max:
        return np.nan
    return int(nodata)
