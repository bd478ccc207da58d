"""Prediction: a probability map in a tiled file, read by window, never whole."""

import copy
import json
from collections.abc import Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.errors import SceneError
from glacierx.scene.classes import GLACIER, Classes
from glacierx.scene.geotiff import RasterLayout, RowWriter
from glacierx.scene.handle import Handle
from glacierx.scene.masks import AreaOfInterest, area_of_interest
from glacierx.scene.raster import (
    PathLike,
    base_name,
    dataset_grid,
    nodata_is_background,
    open_dataset,
    read_mask,
    read_window,
)

# 250 steps, so that 0.5 and every other hundredth but one in two is a whole number of steps.
STEP = 0.004
STEPS = 250
NODATA = 255

Rows = tuple[NDArray[np.uint8], NDArray[np.bool_]]
"""Steps of probability (classes, rows, columns), and where they are wanted (rows, columns)."""

MASK_COLORS = {0: (235, 235, 225, 255), 1: (40, 120, 200, 255), NODATA: (0, 0, 0, 0)}


def encode(probability: Any, valid: Any) -> NDArray[np.uint8]:
    """Quantise probabilities to the steps that are written, 255 where not valid."""
    steps = np.rint(np.asarray(probability, np.float32) / np.float32(STEP))
    return np.where(valid, np.clip(steps, 0, STEPS), NODATA).astype(np.uint8)


def first_step_above(threshold: float) -> int:
    """Return the smallest step whose probability is above a threshold."""
    return int(np.floor(threshold / STEP + 1e-9)) + 1


def probability_layout(
    classes: Sequence[str], tags: Mapping[str, str], ice: Sequence[str] = (GLACIER,)
) -> RasterLayout:
    """Describe the file of a probability map: uint8 steps of 0.004, one band for each class."""
    return RasterLayout(
        bands=len(classes),
        dtype=np.uint8,
        nodata=NODATA,
        scale=STEP,
        descriptions=tuple(f"probability of {name}" for name in classes),
        tags={
            "GLACIERX_KIND": "probability",
            **class_tags(Classes(tuple(classes), tuple(ice))),
            **tags,
        },
    )


def class_tags(classes: Classes) -> dict[str, str]:
    """Return the tags that name the classes of a map, and the ice among them."""
    tags = {"GLACIERX_CLASSES": json.dumps(list(classes.names))}
    if classes.ice != (GLACIER,):
        tags["GLACIERX_ICE"] = json.dumps(list(classes.ice))
    return tags


def own_classes(tags: Mapping[str, str]) -> Classes | None:
    """Read what classes a map of glacierx holds; None where its tags say nothing that is whole."""
    names = _json_tag(tags, "GLACIERX_CLASSES", [GLACIER])
    classes = Classes(tuple(names), tuple(_json_tag(tags, "GLACIERX_ICE", [GLACIER])))
    return None if classes.problem() else classes


def summed(parts: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Add up the steps of classes, at most all 250; 255 where one is not known."""
    if len(parts) == 1:
        return parts[0]
    whole = np.minimum(np.sum(parts, axis=0, dtype=np.uint16), STEPS).astype(np.uint8)
    unknown = np.any([part == NODATA for part in parts], axis=0)
    return np.where(unknown, np.uint8(NODATA), whole)


def mask_layout(tags: Mapping[str, str]) -> RasterLayout:
    """Describe the file of a mask: 1 glacier, 0 not, 255 unknown, with colours."""
    return RasterLayout(
        bands=1,
        dtype=np.uint8,
        nodata=NODATA,
        descriptions=("1 glacier, 0 not glacier",),
        tags={"GLACIERX_KIND": "mask", **tags},
        colors=MASK_COLORS,
    )


def own_probability(dataset: Any) -> Classes | None:
    """Return the classes of a probability map that glacierx wrote, a band each; else None."""
    classes = own_classes(dataset.tags())
    named = classes is not None and len(classes.names) == dataset.count
    return classes if named and _is_own(dataset, 1) else None


def own_threshold(tags: Mapping[str, str], name: str) -> float:
    """Return the threshold that a probability map says goes with it, 0.5 where it says none.

    Raises:
        SceneError: It says something else than a number from 0 to 1.
    """
    text = tags.get("GLACIERX_THRESHOLD", "0.5")
    try:
        if not 0 <= float(text) <= 1:
            raise ValueError
    except ValueError as error:
        raise SceneError(
            f"{name} says that its threshold is {text[:40]!r}; expected a number from 0 to 1. "
            "Remove the tag GLACIERX_THRESHOLD (gdal_edit.py -unsetmd)."
        ) from error
    return float(text)


def _is_own(dataset: Any, band: int) -> bool:
    return bool(
        dataset.tags().get("GLACIERX_KIND") == "probability"
        and dataset.dtypes[0] == "uint8"
        and dataset.scales[band - 1] == STEP
    )


class Prediction(Handle):
    """A probability map of glacier, in the steps that are written to its file.

    Attributes:
        name: The base name of its file.
        path: The file.
        grid: Where its pixels lie.
        threshold: The threshold that goes with it.
        record: The run record so far.
        classes: The classes that the map holds, and which of them are read together.
        aoi: The region that was mapped, if known.
        limited: True where only an area of interest was mapped, known or not.
    """

    def __init__(self, path: PathLike, *, aoi: AreaOfInterest | None = None) -> None:
        self.name = base_name(path)
        self.path = str(path)
        self._file = open_dataset(path, "probability map")
        self.grid = dataset_grid(self._file, "probability map")
        tags = self._file.tags()
        self.record: dict[str, Any] = _json_tag(tags, "GLACIERX_RECORD", {})
        self.threshold = own_threshold(tags, self.name)
        self.aoi = aoi
        self.limited = aoi is not None or tags.get("GLACIERX_AOI") == "yes"
        self.classes = self._told(own_classes(tags))
        self._bands = [number + 1 for number in self.classes.numbers]
        for band in self._bands:
            if np.dtype(self._file.dtypes[band - 1]).kind not in "iuf":
                raise SceneError(
                    f"{self.name} holds complex numbers. Give probabilities from 0 to 1."
                )
        self._temporary: TemporaryDirectory[str] | None = None

    def _told(self, classes: Classes | None) -> Classes:
        count = self._file.count
        if classes is not None and len(classes.names) == count:
            return classes
        if count == 1:
            return Classes()
        raise SceneError(
            f"{self.name} has {count} bands and does not say which is the probability of glacier. "
            "Give a raster with one band."
        )

    def of(self, classes: str | None) -> "Prediction":
        """Return the same map, in which other classes are read than those of glacier.

        Args:
            classes: Names of classes, parted by commas, whose probabilities are added up; None
                for those of glacier.

        Raises:
            OptionError: The map does not hold a class.
        """
        if classes is None:
            return self
        found = copy.copy(self)
        found.classes = self.classes.chosen(classes, self.name)
        found._bands = [number + 1 for number in found.classes.numbers]
        # Whoever opened the file closes it.
        found._temporary = None
        return found

    def keep_until_closed(self, folder: "TemporaryDirectory[str]") -> None:
        """Delete the folder that holds the file when the prediction is closed."""
        self._temporary = folder

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Read the steps of a window (rows, columns): 0 to 250, 255 where unknown.

        Those of several classes of glacier are added up.

        Raises:
            SceneError: A value is neither a probability nor 0 or 1.
        """
        return summed(self.read_classes(window))

    def read_classes(self, window: Window) -> list[NDArray[np.uint8]]:
        """Read the steps of each class that is read together, in the order of `classes.ice`."""
        raw = read_window(self._file, self._bands, window)
        return [
            self._steps(band, values, window) for band, values in zip(self._bands, raw, strict=True)
        ]

    def _steps(self, band: int, raw: NDArray[Any], window: Window) -> NDArray[np.uint8]:
        if _is_own(self._file, band):
            return np.asarray(raw, np.uint8)
        valid = np.ones(raw.shape, bool)
        if not nodata_is_background(self._file, band):
            valid = read_mask(self._file, band, window)
        if raw.dtype.kind == "f":
            valid &= ~np.isnan(raw)
        scale, offset = float(self._file.scales[band - 1]), float(self._file.offsets[band - 1])

        def values_of(stored: NDArray[Any]) -> NDArray[np.float32]:
            return np.asarray(stored.astype(np.float32) * np.float32(scale) + np.float32(offset))

        whole = raw.dtype.kind in "iu" and scale == 1
        if raw.dtype != np.uint8:
            values = values_of(raw)
            self._check(values[valid], whole=whole)
            return encode(values, valid)
        # So few different values are looked up, five times as fast.
        values = values_of(np.arange(256))
        found = raw if valid.all() else raw[valid]
        if found.size and not _are_shares(values[[found.min(), found.max()]]):
            self._check(values[np.unique(found)], whole=whole)
        return np.where(valid, encode(values, True)[raw], np.uint8(NODATA))

    def _check(self, values: NDArray[np.float32], *, whole: bool) -> None:
        if values.size == 0 or _are_shares(values):
            return
        found = ", ".join(f"{value:g}" for value in np.unique(values)[:6])
        expected = "a mask of 0 and 1" if whole else "probabilities from 0 to 1"
        raise SceneError(
            f"{self.name} holds the values {found}; expected {expected}. "
            "Recode it, or write its scale into it (gdal_edit.py -scale)."
        )

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """Return True where a pixel of the window is within the area of interest."""
        if self.aoi is None:
            return np.ones((int(window.height), int(window.width)), bool)
        return self.aoi.inside(window)

    def close(self) -> None:
        """Close the file; remove it if nobody asked to keep it."""
        self._file.close()
        if self._temporary is not None:
            self._temporary.cleanup()


def _are_shares(values: NDArray[np.float32]) -> bool:
    return bool(values.min() >= 0 and values.max() <= 1)


def open_prediction(
    path: PathLike, *, aoi: PathLike | None = None, aoi_buffer_m: float = 0.0
) -> Prediction:
    """Open a probability map, or a mask of 0 and 1.

    Args:
        path: A raster written by `predict`; or any one-band raster of probabilities from 0 to 1,
            or of 0 and 1.
        aoi: Vector file of the region that was mapped, if it was not all.
        aoi_buffer_m: By how many metres that was widened.

    Raises:
        SceneError: It cannot be read, or has several bands.
        GridError: It has no CRS or geotransform.
    """
    prediction = Prediction(path)
    prediction.aoi = area_of_interest(aoi, aoi_buffer_m, prediction.grid)
    return prediction


def _json_tag(tags: Mapping[str, str], name: str, default: Any) -> Any:
    try:
        value = json.loads(tags[name])
    except (KeyError, ValueError, RecursionError):
        return default
    return value if isinstance(value, type(default)) else default


def likeliest(steps: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the number of the likeliest class, the first of equal ones; 255 where not known.

    Args:
        steps: Steps of probability (classes, rows, columns).
    """
    found = np.argmax(steps, axis=0).astype(np.uint8)
    return np.where(steps[0] == NODATA, np.uint8(NODATA), found)


class PredictionWriter:
    """Write a probability map, and a mask and a class map beside it, row by row.

    Args:
        probability: The file of the probability map.
        mask: The file of the mask, if wanted.
        kinds: The file of the class map, if wanted.
        threshold: Probability above which a pixel is glacier.
        ice: The planes of the classes that are glacier together.
    """

    def __init__(
        self,
        probability: RowWriter,
        mask: RowWriter | None,
        kinds: RowWriter | None,
        threshold: float,
        ice: Sequence[int],
    ) -> None:
        self._probability = probability
        self._mask = mask
        self._kinds = kinds
        self._cut = first_step_above(threshold)
        self._ice = list(ice)

    def write(self, steps: NDArray[np.uint8]) -> None:
        """Add the next rows: steps (classes, rows, columns), 255 where not valid."""
        self._probability.write(steps)
        if self._mask is None and self._kinds is None:
            return
        glacier = summed(list(steps[self._ice]))
        ice = np.where(glacier == NODATA, np.uint8(NODATA), (glacier >= self._cut).astype(np.uint8))
        if self._mask is not None:
            self._mask.write(ice[None])
        if self._kinds is not None:
            self._kinds.write((likeliest(steps) if len(steps) > 1 else ice)[None])
