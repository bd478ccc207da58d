"""Scene: open, read a window by role as float32 and valid."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.errors import MissingBandError, OptionError
from glacierx.scene.asked import AuxChoice, parse_aux
from glacierx.scene.auxiliary import Auxiliary, open_aux
from glacierx.scene.bandfile import BandFile, Nodata, RadiometryChoice, parse_nodata
from glacierx.scene.bands import BandChoice, find_bands
from glacierx.scene.blocks import TALL_PX, block_cache
from glacierx.scene.dates import find_date
from glacierx.scene.derived import MADE_OF, derive, why_not
from glacierx.scene.geodesy import LONLAT, transform_geometries
from glacierx.scene.grid import Grid
from glacierx.scene.handle import Handle
from glacierx.scene.masks import AreaOfInterest, QualityMask, area_of_interest
from glacierx.scene.provenance import fingerprint
from glacierx.scene.raster import PathLike, Raster, base_name, raster_parts
from glacierx.scene.relief import TERRAIN, Relief
from glacierx.scene.sensors import INDEX, find_sensor, how_to_give
from glacierx.scene.stored import Stored
from glacierx.scene.terrain import Dem


class Scene(Handle):
    """One acquisition by one sensor: bands by role on one grid.

    Made by `open_scene`; close it, or use it in a ``with`` statement.

    Attributes:
        name: The base name of its file.
        grid: Where its pixels lie: the grid of its finest file.
        dem: Heights, if a DEM was given; it gives terrain where no band does.
        aux: Other rasters of the same ground, by their role.
        aoi: The region to map, if one was given.
        date: Date of acquisition, ISO 8601, or None.
        date_source: Where the date comes from.
        sensor: Name of the sensor, if it was given.
        made: What the file says of how it was made, where no satellite saw it; else None.
    """

    def __init__(self, name: str, files: Sequence[BandFile], grid: Grid) -> None:
        self.name = name
        self.grid = grid
        self.dem: Dem | None = None
        self.aux: dict[str, Auxiliary] = {}
        self.aoi: AreaOfInterest | None = None
        self.date: str | None = None
        self.date_source = ""
        self.sensor: str | None = None
        self.made: str | None = None
        self._files = tuple(files)
        self._masks: list[QualityMask] = []
        self._inputs: dict[str, Any] = {}
        self._closing = ExitStack()

    @property
    def roles(self) -> tuple[str, ...]:
        """What its bands measure."""
        return tuple(source.role for file in self._files for source in file.sources)

    @property
    def available(self) -> tuple[str, ...]:
        """What can be read: bands, rasters beside them, terrain of the DEM, indices of bands."""
        return (*self.roles, *self.aux, *self.from_dem(TERRAIN), *self.from_bands(INDEX))

    def from_dem(self, roles: Iterable[str]) -> tuple[str, ...]:
        """Return those of these roles that the DEM gives; what is given itself comes first."""
        if self.dem is None:
            return ()
        given = (*self.roles, *self.aux)
        return tuple(role for role in roles if role in TERRAIN and role not in given)

    def from_bands(self, roles: Iterable[str]) -> tuple[str, ...]:
        """Return those of these roles that are computed from bands, if they are there."""
        given = (*self.roles, *self.aux)
        indices = (role for role in roles if role in INDEX and role not in given)
        return tuple(role for role in indices if self._why_not(role) is None)

    def _why_not(self, index: str) -> str | None:
        bands = self.roles
        known = set(MADE_OF[index]) <= set(bands) and self.has_reflectance(MADE_OF[index])
        return why_not(index, bands, self.sensor, reflectance=known)

    def missing(self, role: str, reason: str = "") -> MissingBandError:
        """Return the error that a role is not there, with how it could be."""
        advice = self._why_not(role) if role in INDEX else how_to_give(role)
        return MissingBandError(role, self.available, self.name, reason, advice or "")

    @cached_property
    def _relief(self) -> Relief | None:
        return None if self.dem is None else Relief(self.dem, self.grid)

    @property
    def paths(self) -> list[str]:
        """Every file that is read: bands, quality masks, other rasters, the DEM, the region."""
        heights = self.dem.parts if self.dem else []
        beside = [path for raster in self.aux.values() for path in raster.parts]
        return [*self._pixels, *beside, *heights, *([self.aoi.path] if self.aoi else [])]

    @cached_property
    def _pixels(self) -> list[str]:
        own = [file.path for file in self._files] + [mask.rule.path for mask in self._masks]
        return list(dict.fromkeys(part for path in own for part in raster_parts(path)))

    def unit(self, role: str) -> str:
        """Return the unit of a role: ``"reflectance ..."``, ``"kelvin"``, ``"unknown"`` ..."""
        if role in self.aux:
            return self.aux[role].unit
        if self.from_dem([role]):
            return TERRAIN[role]
        if self.from_bands([role]):
            return "none"
        return self._file(role).radiometry[role].unit

    def has_reflectance(self, roles: Sequence[str]) -> bool:
        """Tell whether the values of these roles are known to be reflectance."""
        return all(self.unit(role).startswith("reflectance") for role in roles)

    def _file(self, role: str, reason: str = "") -> BandFile:
        for file in self._files:
            if role in file.radiometry:
                return file
        raise self.missing(role, reason)

    def read(
        self,
        window: Window,
        roles: Sequence[str] | None = None,
        needed: Iterable[str] | None = None,
    ) -> Raster:
        """Read a window as float32 in physical units.

        Args:
            window: Whole pixels within the grid.
            roles: What to read, in this order; all bands if None. Terrain that is not given
                comes from the DEM, and an index from its bands.
            needed: See `read_stored`.

        Returns:
            Values (roles, rows, columns), 0 where not valid. A pixel is valid where no band of the
            scene and no quality mask says otherwise, whichever roles are read, nor another raster
            that is read. Where the DEM has no heights, elevation is about that of the nearest ones
            and other terrain is 0.

        Raises:
            MissingBandError: A role is not in the scene.
            SceneError: A file is damaged in this window.
        """
        roles = self.roles if roles is None else tuple(roles)
        parts, valid = self.read_stored(window, roles, needed)
        values = np.zeros((len(roles), *valid.shape), np.float32)
        for part in parts:
            for index, role in enumerate(part.roles):
                values[roles.index(role)] = part.plane(index)
        values[:, ~valid] = 0
        return Raster(values, valid, self.grid.crop(window))

    def read_stored(
        self, window: Window, roles: Sequence[str], needed: Iterable[str] | None = None
    ) -> tuple[tuple[Stored, ...], NDArray[np.bool_]]:
        """Read a window in the numbers of the files, for those who bring them to units themselves.

        Args:
            window: Whole pixels within the grid.
            roles: What to read.
            needed: Roles of other rasters without which a pixel is not valid; all that are read if
                None. Where the others have no data they are 0.

        Returns:
            Planes of each file, of other rasters, of the DEM and of indices, in an order and of
            types that are the same for every window; and where pixels are valid.

        Raises:
            MissingBandError: A role is not in the scene.
            SceneError: A file is damaged in this window.
        """
        indices, served = self.from_bands(roles), self.from_dem(roles)
        beside = tuple(role for role in roles if role in self.aux)
        bands = [role for role in roles if role not in (*indices, *served, *beside)]
        below = [band for index in indices for band in MADE_OF[index]]
        for role in bands:
            self._file(role)
        found, valid = self._read_bands(window, tuple(dict.fromkeys([*bands, *below])))
        parts = [kept for part in found if (kept := part.only(bands)).roles]
        needed = beside if needed is None else tuple(needed)
        for role in beside:
            plane, good = self.aux[role].read(window)
            parts.append(Stored.physical((role,), plane[None]))
            if role in needed:
                valid &= good
        if served and self._relief is not None:
            values = self._relief.read_where(valid, window, served, self.name)
            parts.append(Stored.physical(served, values))
        if indices:
            known = self.has_reflectance(below)
            parts.append(derive(indices, found, self.sensor, reflectance=known))
        return tuple(parts), valid

    def _read_bands(
        self, window: Window, roles: Sequence[str]
    ) -> tuple[list[Stored], NDArray[np.bool_]]:
        valid = np.ones((int(window.height), int(window.width)), bool)
        parts = []
        for file in self._files:
            own = [role for role in roles if role in file.radiometry]
            if own or file.can_be_invalid:
                part, good = file.read(window, own)
                valid &= good
                parts += [part] if own else []
        for mask in self._masks:
            valid &= ~mask.invalid(window)
        return parts, valid

    @property
    def block_rows(self) -> int:
        """Rows that its files decode together, so that reading such rows at once is cheap."""
        return max(min(file.block_rows, TALL_PX) for file in self._files)

    @property
    def cache_bytes(self) -> int:
        """What GDAL keeps of its blocks while it is read from top to bottom."""
        beside = sum(raster.cache_bytes for raster in self.aux.values())
        return sum(file.cache_bytes for file in self._files) + beside

    @contextmanager
    def by_rows(self, folder: Path) -> Iterator[None]:
        """Prepare for reading full rows from top to bottom, each block of a file decoded once.

        GDAL's block cache is kept to what that needs. A file whose blocks are higher than 1024
        rows is first copied into *folder*.
        """
        with ExitStack() as stack:
            stack.enter_context(block_cache(self.cache_bytes))
            for file in self._files:
                stack.enter_context(file.by_rows(folder))
            yield

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """Return True where a pixel of the window is within the area of interest."""
        if self.aoi is None:
            return np.ones((int(window.height), int(window.width)), bool)
        return self.aoi.inside(window)

    def describe(self, *, always_hash: bool = False) -> dict[str, Any]:
        """Return what a run record says of the scene: inputs, bands, units, date, grid."""
        region: dict[str, Any] = {"aoi": None, "aoi_buffer_m": None}
        if self.aoi is not None:
            region = self.aoi.describe(always_hash=always_hash)
        bands = {
            role: {"input": self._pixels.index(file.path), **told}
            for file in self._files
            for role, told in file.describe().items()
        }
        beside = {
            role: raster.describe(always_hash=always_hash) for role, raster in self.aux.items()
        }
        return {
            "name": self.name,
            "sensor": self.sensor,
            "src_date": self.date,
            "src_date_from": self.date_source or None,
            "gsd_m": self.grid.gsd_m,
            "crs": self.grid.crs_name,
            "shape": list(self.grid.shape),
            "transform": list(self.grid.transform)[:6],
            "bands": bands,
            **({"aux": beside} if beside else {}),
            **self._inputs,
            **region,
        }

    def fingerprints(self, *, always_hash: bool = False) -> list[dict[str, Any]]:
        """Describe the files of bands and quality masks, to recognise and repeat a run."""
        return [fingerprint(path, always_hash=always_hash) for path in self._pixels]

    def bounds_lonlat(self) -> tuple[float, float, float, float]:
        """Return (west, south, east, north) in degrees."""
        box = transform_geometries(self.grid.footprint, self.grid.crs, LONLAT).bounds
        return float(box[0]), float(box[1]), float(box[2]), float(box[3])

    def close(self) -> None:
        """Close every file."""
        self._closing.close()


def open_scene(  # noqa: PLR0913 - one keyword for each flag of the command line
    path: PathLike | None = None,
    *,
    bands: BandChoice | None = None,
    sensor: str | None = None,
    level: str | None = None,
    scale: float | None = None,
    offset: float | None = None,
    nodata: Nodata = None,
    invalid: str | Sequence[str] = (),
    aoi: PathLike | None = None,
    aoi_buffer_m: float = 0.0,
    dem: PathLike | None = None,
    dem_band: int | None = None,
    aux: AuxChoice | None = None,
    date: str | None = None,
    workers: int = 1,
) -> Scene:
    """Open a scene; nothing is read but headers.

    Args:
        path: A raster that GDAL reads, local or remote; or the folder of the files in *bands*.
        bands: Which band has which role: ``"blue=1,nir=2"``, ``"blue,green,-,nir"`` in file
            order, or files, ``"nir=B08.tif,swir1=B11.tif"``. Without it the sensor, the file's
            descriptions or its colour interpretation must say.
        sensor: A key of `SENSORS`.
        level: Processing level of that sensor, which gives scale and offset.
        scale: Reflectance = scale x number + offset, for all optical bands.
        offset: See *scale*; alone it keeps the scale of the file or level.
        nodata: Number that means no data; ``"none"`` if the file's own is wrong.
        invalid: Quality masks as ``FILE[:BAND][=VALUES]``.
        aoi: Vector file of the region to map.
        aoi_buffer_m: Widen the region by this many metres.
        dem: DEM for division and elevations, and for models that take terrain.
        dem_band: Its band, if it has several.
        aux: Other rasters of the same ground by the role that they get, ``{"coherence":
            "coh.tif"}``, on any grid: a role that no band has, or a new word.
        date: Date of acquisition, ISO 8601, instead of the file's.
        workers: Threads that decode its files, where their format allows.

    Returns:
        The scene, a context manager.

    Raises:
        SceneError: A file is missing, unreadable or ambiguous.
        GridError: A file has no place on Earth, or lies elsewhere than the others.
        OptionError: A sensor, level or role is unknown.

    Example:
        >>> with open_scene("stack.tif", bands="blue,green,red,nir", dem="dem.tif") as scene:
        ...     scene.roles
    """
    record = find_sensor(sensor) if sensor else None
    if level and record is None:
        raise OptionError(f"--level {level!r} needs --sensor, whose levels differ.")
    choice = RadiometryChoice(
        scale, offset, record, record.level(level) if record and level else None
    )
    marks = [invalid] if isinstance(invalid, str) else list(invalid)
    parsed = parse_nodata(nodata)
    beside = parse_aux(aux)
    sources = find_bands(path, bands, record)
    with ExitStack() as closing:
        files = []
        for name in dict.fromkeys(source.path for source in sources):
            own = [source for source in sources if source.path == name]
            files.append(BandFile(own, choice, workers=workers))
            closing.callback(files[-1].close)
        finest = min(file.grid.gsd_m for file in files)
        # Of files with the same pixel size up to their place on the map, the first one counts.
        reference = next(file for file in files if file.grid.gsd_m < 1.01 * finest)
        for file in files:
            file.align(reference.grid, parsed)
        scene = Scene(base_name(path or reference.path), files, reference.grid)
        scene.sensor = record.name if record else None
        scene.made = reference.tags.get("GLACIERX_MADE")
        scene.date, scene.date_source = find_date(date, reference.tags)
        # Choices that change the result, without the folders that they name.
        scene._inputs = {
            "level": level,
            "nodata": None if nodata is None else str(nodata),
            "invalid": [re.sub(r"^.*[/\\]", "", mark) for mark in marks],
        }
        for text in marks:
            scene._masks.append(QualityMask(text, scene.grid))
            closing.callback(scene._masks[-1].close)
        scene.aoi = area_of_interest(aoi, aoi_buffer_m, scene.grid)
        if dem is not None:
            scene.dem = Dem(dem, dem_band)
            closing.callback(scene.dem.close)
            scene.dem.check_overlap(scene.grid, scene.name)
        scene.aux = open_aux(beside, scene.grid, scene.name, scene.roles, closing)
        scene._closing = closing.pop_all()
    return scene
