"""Labelled scenes read by window from their files; nothing is cut up on disk."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy import ndimage

from glacierx.errors import GlacierxError, OptionError
from glacierx.predict.card import Card
from glacierx.predict.normalise import JOINT, Normaliser
from glacierx.predict.sample import fit_normaliser, sample_scene
from glacierx.scene.handle import Handle
from glacierx.scene.icemask import OutlineMask, check_effect, open_ice_mask
from glacierx.scene.icewindow import IceMask, MaskChoice
from glacierx.scene.masks import QualityMask
from glacierx.scene.provenance import fingerprint
from glacierx.scene.scene import open_scene
from glacierx.training.manifest import Row
from glacierx.training.samples import (
    ICE,
    IGNORED,
    INVALID,
    OTHER,
    Labels,
    Source,
    Values,
    load_source,
    overlap,
)

Progress = Callable[[int, int, str], None]
MEMORY_BYTES = 2 * 2**30
ROWS = 512


class FileSource(Handle):
    """A labelled scene read from files; see `glacierx.training.samples.Source`.

    Args:
        row: The line of the manifest.
        card: What the network takes; the scene is checked against it.
        ignore_border_m: Width of the belt along outlines that is left out where the line gives
            none.
        ignore_border_px: The same in pixels of the scene; the wider one counts.

    Raises:
        SceneError: A file is missing or is not what it should be.
        GridError: Scene and labels lie in different places.
        OutlineError: The vector file has no polygons.
    """

    def __init__(
        self,
        row: Row,
        card: Card,
        ignore_border_m: float = 0.0,
        ignore_border_px: float = 0.0,
    ) -> None:
        with ExitStack() as closing:
            self.scene = open_scene(
                row.scene,
                bands=row.bands,
                sensor=row.sensor,
                level=row.level,
                scale=row.scale,
                offset=row.offset,
                nodata=row.nodata,
                invalid=tuple(mark.strip() for mark in (row.invalid or "").split(";") if mark),
                aoi=row.aoi,
                aoi_buffer_m=row.aoi_buffer_m,
                dem=row.dem,
                dem_band=row.dem_band,
                date=row.date,
            )
            closing.callback(self.scene.close)
            card.check(self.scene)
            self.name = row.name
            self.roles = tuple(role for role in card.roles if role in self.scene.available)
            self.shape = self.scene.grid.shape
            self.gsd_m = self.scene.grid.gsd_m
            self.part = row.split or "train"
            self.region = row.region
            self.group = row.group or self.scene.sensor or "all"
            self.weight = row.weight
            choice = MaskChoice(layer=row.layer, positive=row.positive, is_truth=True)
            self._mask: IceMask = open_ice_mask(row.labels, choice)
            closing.callback(self._mask.close)
            check_effect(choice, self._mask, prefix="")
            self._mask.place(self.scene.grid, align=True)
            self._ignored = self._open_ignored(row)
            if self._ignored is not None:
                closing.callback(self._ignored.close)
            self._belt_m = max(ignore_border_m, ignore_border_px * self.gsd_m)
            if row.ignore_border_m is not None:
                self._belt_m = row.ignore_border_m
            self._normaliser = self._fit(card)
            self._closing = closing.pop_all()

    def _open_ignored(self, row: Row) -> QualityMask | None:
        if row.ignore is None:
            return None
        if isinstance(self._mask, OutlineMask):
            raise OptionError(
                f"{row.name}: ignore is {row.ignore!r}, and {self._mask.name} holds outlines. "
                "Numbers to leave out are for rasters."
            )
        if not re.fullmatch(r"[\d,\- .]+", row.ignore):
            raise OptionError(f"{row.name}: ignore is {row.ignore!r}. It takes numbers: 2,4-6.")
        return QualityMask(f"{row.labels}={row.ignore}", self.scene.grid)

    def _fit(self, card: Card) -> Normaliser:
        if card.normalisation.kind != JOINT:
            return fit_normaliser(card.normalisation, self.scene, card.roles)
        # One scale for all bands leaves what is scaled by patch later as it is.
        sample = sample_scene(self.scene, self.roles)
        low, high = (sample.min(), sample.max()) if sample.size else (0.0, 1.0)
        planes = np.ones(len(self.roles), np.float32)
        return Normaliser(planes * low, planes * max(high - low, np.float32(1e-12)))

    @property
    def about(self) -> Mapping[str, Any]:
        """What a record says of it: files by their hash, no paths."""
        return {
            "inputs": self.scene.fingerprints(),
            "labels": fingerprint(self._mask.path),
            "sensor": self.scene.sensor,
            "date": self.scene.date,
            "ignore_border_m": self._belt_m,
            **self._place(),
        }

    def _place(self) -> dict[str, Any]:
        """Say where the scene lies, or that its mountains are nowhere."""
        made = self.scene.made
        known = {} if made is None else {"made": made}
        if made is not None and made.startswith("yes"):
            return known
        return {**known, "footprint": [round(edge, 6) for edge in self.scene.bounds_lonlat()]}

    @property
    def paths(self) -> list[str]:
        """Every file that is read."""
        return [*self.scene.paths, self._mask.path]

    def read(self, top: int, left: int, rows: int, columns: int) -> tuple[Values, Labels]:
        """Read a window, which may reach beyond the scene."""
        values = np.zeros((len(self.roles), rows, columns), np.float32)
        label = np.full((rows, columns), INVALID, np.uint8)
        inner, outer = overlap(self.shape, top, left, rows, columns)
        if inner[0].stop > inner[0].start and inner[1].stop > inner[1].start:
            window = Window.from_slices(*inner)
            raster = self.scene.read(window, self.roles)
            values[:, *outer] = self._normaliser(raster.values, raster.valid)
            found = self._labels(inner)
            found[~self.scene.inside(window) & (found <= ICE)] = IGNORED
            found[~raster.valid] = INVALID
            label[outer] = found
        return values, label

    def _labels(self, window: tuple[slice, slice]) -> Labels:
        """Read labels, with the belt along outlines unknown; scene gaps are not looked at."""
        pixel_m = self.scene.grid.pixel_m
        wide, core = [], []
        for part, length, side_m in zip(window, self.shape, pixel_m, strict=True):
            reach = int(np.ceil(self._belt_m / side_m)) + 1 if self._belt_m else 0
            first = max(0, part.start - reach)
            wide.append(slice(first, min(length, part.stop + reach)))
            core.append(slice(part.start - first, part.stop - first))
        there = self._mask.read(Window.from_slices(*wide))
        label = np.where(there.ice, np.uint8(ICE), np.uint8(OTHER))
        label[~there.valid] = IGNORED
        if self._ignored is not None:
            label[self._ignored.invalid(Window.from_slices(*wide))] = IGNORED
        # Last, because no belt lies where ice meets what is not known.
        if self._belt_m:
            label[belt(label, self._belt_m, pixel_m)] = IGNORED
        return label[core[0], core[1]]

    def check(self) -> None:
        """Read the labels once and refuse what only the whole file tells.

        Raises:
            SceneError: A value is not one of those expected, or the file is damaged.
        """
        self._mask.finish()

    def close(self) -> None:
        """Close every file."""
        self._closing.close()


def open_sources(
    rows: Sequence[Row],
    card: Card,
    closing: ExitStack,
    *,
    ignore_border_m: float = 0.0,
    ignore_border_px: float = 0.0,
    progress: Progress | None = None,
) -> list[Source]:
    """Open labelled scenes and read every pixel once, so that no fault waits for later.

    Args:
        rows: Lines of a manifest.
        card: What the network takes.
        closing: Closes the files in the end.
        ignore_border_m: See `FileSource`.
        ignore_border_px: See `FileSource`.
        progress: Called as work goes on.

    Returns:
        The scenes, in memory where they all take less than 2 GiB, else read from their files.

    Raises:
        GlacierxError: A scene or its labels cannot be used; the message begins with its name.
    """
    tell = progress or (lambda done, total, what: None)
    found: list[Source] = []
    free = MEMORY_BYTES
    for number, row in enumerate(rows):
        tell(number, len(rows), "scenes read")
        with named(row.name):
            source = FileSource(row, card, ignore_border_m, ignore_border_px)
            closing.callback(source.close)
            size = 2 * len(source.roles) * source.shape[0] * source.shape[1]
            if size <= free:
                found.append(load_source(source))
                free -= size
            else:
                for top in range(0, source.shape[0], ROWS):
                    source.read(top, 0, min(ROWS, source.shape[0] - top), source.shape[1])
                found.append(source)
            source.check()
    tell(len(rows), len(rows), "scenes read")
    return found


@contextmanager
def named(name: str) -> Iterator[None]:
    """Begin the message of an error with the scene that it is of."""
    try:
        yield
    except GlacierxError as error:
        if not str(error).startswith(name):
            error.args = (f"{name}: {error}",)
        raise


def belt(label: Labels, width_m: float, pixel_m: tuple[float, float]) -> NDArray[np.bool_]:
    """Return True within a distance of where ice and known other ground meet.

    Args:
        label: Labels (rows, columns).
        width_m: The distance, from a pixel's centre to the line between two pixels.
        pixel_m: Height and width of a pixel.
    """
    near = np.zeros(label.shape, bool)
    for kind, across in ((ICE, OTHER), (OTHER, ICE)):
        if (label == across).any():
            far = ndimage.distance_transform_edt(label != across, sampling=pixel_m)
            # The line lies half a pixel before the first centre beyond it.
            near |= (label == kind) & (far - min(pixel_m) / 2 < width_m)
    return near
