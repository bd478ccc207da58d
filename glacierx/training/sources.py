"""Labelled scenes read by window from their files; nothing is cut up on disk."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy import ndimage

from glacierx.errors import GlacierxError, OptionError
from glacierx.predict.card import Card
from glacierx.predict.normalise import JOINT, Normaliser
from glacierx.predict.sample import fit_normaliser, sample_scene
from glacierx.scene.classes import Classes
from glacierx.scene.classmask import numbered, open_classes
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
    ice_labels,
    load_source,
    overlap,
)
from glacierx.training.scaling import moments, scaled_by

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
                aux=[one for one in (row.aux or "").split(";") if one],
                date=row.date,
            )
            closing.callback(self.scene.close)
            card.check(self.scene)
            self.name = row.name
            self.roles = tuple(role for role in card.roles if role in self.scene.available)
            self._needed = card.needed
            self.shape = self.scene.grid.shape
            self.gsd_m = self.scene.grid.gsd_m
            self.part = row.split or "train"
            self.region = row.region
            self.group = row.group or self.scene.sensor or "all"
            self.weight = row.weight
            self.ice = ice_labels(card.told)
            self._mask: IceMask = open_labels(row, card.told)
            closing.callback(self._mask.close)
            said = {"legend": row.legend, "label_field": row.label_field}
            self._said = {key: text for key, text in said.items() if text is not None}
            self._kinds = _kinds_of(card.told)
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
            **self._beside(),
            "sensor": self.scene.sensor,
            "date": self.scene.date,
            "ignore_border_m": self._belt_m,
            **self._said,
            **self._place(),
        }

    def _beside(self) -> dict[str, Any]:
        """Say what else the planes are made of: the DEM, and other rasters."""
        said: dict[str, Any] = {}
        if self.scene.dem is not None and self.scene.from_dem(self.roles):
            said["dem"] = self.scene.dem.describe()
        taken = {
            role: self.scene.aux[role].describe() for role in self.roles if role in self.scene.aux
        }
        return {**said, **({"aux": taken} if taken else {})}

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
            raster = self.scene.read(window, self.roles, self._needed)
            values[:, *outer] = self._normaliser(raster.values, raster.valid)
            found = self._labels(inner)
            found[~self.scene.inside(window) & (found < INVALID)] = IGNORED
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
        # Of a class that is not known the number is 255, as here.
        label = np.where(there.ice, *self._kinds) if there.kind is None else there.kind.copy()
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


def open_labels(row: Row, classes: Classes) -> IceMask:
    """Open the labels of a line of a manifest for a network that tells these classes apart.

    Raises:
        OptionError: They do not say which of its classes the ground is of.
    """
    choice = MaskChoice(
        layer=row.layer, positive=row.positive, legend=row.legend, field=row.label_field,
        is_truth=True,
    )  # fmt: skip
    several = len(classes.names) > 1
    if not several and (row.legend or row.label_field):
        raise OptionError(
            f"{row.name}: legend and label_field are for networks of several classes, and this one "
            "tells ice from other ground. Say which numbers are ice with positive."
        )
    mask = (
        open_classes(row.labels, choice, classes) if several else open_ice_mask(row.labels, choice)
    )
    try:
        numbers = not (isinstance(mask, OutlineMask) or mask.tells_kinds or row.positive)
        if numbers and len(classes.names) > 2:
            mask.close()
            choice = replace(choice, legend=numbered(classes.names))
            mask = open_classes(row.labels, choice, classes)
        check_effect(choice, mask, prefix="")
        _check_classes(row, mask, classes)
    except BaseException:
        mask.close()
        raise
    return mask


def _check_classes(row: Row, mask: IceMask, classes: Classes) -> None:
    listed = ", ".join(classes.names)
    if mask.tells_kinds:
        more = set(mask.classes.names if mask.classes else ()) - set(classes.names)
        if more:
            raise OptionError(
                f"{row.name}: the labels name the classes {', '.join(sorted(more))}, and the "
                f"network tells {listed} apart. Give a legend with these names."
            )
    elif not ice_is_enough(classes):
        raise OptionError(
            f"{row.name}: the labels tell ice from other ground, and the network tells {listed} "
            "apart. Name the column of their class (label_field of a manifest, --field of adapt), "
            "or give a raster of classes with a legend."
        )


def ice_is_enough(classes: Classes) -> bool:
    """Return whether labels that tell ice from other ground say the class of every pixel."""
    one = len(classes.names) == 1
    return one or (len(classes.ice) == 1 and classes.elsewhere is not None)


def _kinds_of(classes: Classes) -> tuple[np.uint8, np.uint8]:
    """Return the labels of ice and of other ground, for labels that tell no more."""
    if len(classes.names) == 1:
        return np.uint8(ICE), np.uint8(OTHER)
    elsewhere = classes.elsewhere or classes.names[0]
    return np.uint8(classes.numbers[0]), np.uint8(classes.names.index(elsewhere))


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


def rough_scaling(rows: Sequence[Row], card: Card) -> Card:
    """Scale roles by samples of all scenes, so that 16 bits hold their values.

    What the scenes for training alone say is found once it is known which those are.

    Args:
        rows: Lines of a manifest.
        card: What the network takes.

    Raises:
        GlacierxError: A scene or its labels cannot be used; the message begins with its name.
    """
    planes = len(card.roles)
    count, total, squares = np.zeros((3, planes))
    bare = scaled_by(card, np.zeros(planes), np.ones(planes))
    for row in rows:
        with named(row.name), FileSource(row, bare) as source:
            sample = sample_scene(source.scene, source.roles).astype(np.float64)
            at = [card.roles.index(role) for role in source.roles]
            count[at] += sample.shape[1]
            total[at] += sample.sum(axis=1)
            squares[at] += (sample**2).sum(axis=1)
    return scaled_by(card, *moments(count, total, squares, card.roles))


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
    """Return True within a distance of where ice and known other ground, or two classes, meet.

    Args:
        label: Labels (rows, columns).
        width_m: The distance, from a pixel's centre to the line between two pixels.
        pixel_m: Height and width of a pixel.
    """
    near = np.zeros(label.shape, bool)
    known = label < INVALID
    for kind in np.unique(label[known]):
        across = known & (label != kind)
        if across.any():
            far = ndimage.distance_transform_edt(~across, sampling=pixel_m)
            # The line lies half a pixel before the first centre beyond it.
            near |= (label == kind) & (far - min(pixel_m) / 2 < width_m)
    return near
