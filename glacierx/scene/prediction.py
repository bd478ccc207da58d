"""Prediction: a probability map in a tiled file, read by window, never whole."""

import json
from collections.abc import Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.errors import SceneError
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
GLACIER = "glacier"

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


def probability_layout(classes: Sequence[str], tags: Mapping[str, str]) -> RasterLayout:
    """Describe the file of a probability map: uint8 steps of 0.004, one band for each class."""
    return RasterLayout(
        bands=len(classes),
        dtype=np.uint8,
        nodata=NODATA,
        scale=STEP,
        descriptions=tuple(f"probability of {name}" for name in classes),
        tags={
            "GLACIERX_KIND": "probability",
            "GLACIERX_CLASSES": json.dumps(list(classes)),
            **tags,
        },
    )


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


def own_probability_band(dataset: Any) -> int | None:
    """Return the band of glacier in a probability map that glacierx wrote; None for any other."""
    classes = _json_tag(dataset.tags(), "GLACIERX_CLASSES", [GLACIER])
    named = len(classes) == dataset.count and GLACIER in classes
    return classes.index(GLACIER) + 1 if named and _is_own(dataset, 1) else None


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
        self._band = self._glacier_band(_json_tag(tags, "GLACIERX_CLASSES", [GLACIER]))
        self._scale = float(self._file.scales[self._band - 1])
        self._offset = float(self._file.offsets[self._band - 1])
        self._own = _is_own(self._file, self._band)
        if np.dtype(self._file.dtypes[self._band - 1]).kind not in "iuf":
            raise SceneError(f"{self.name} holds complex numbers. Give probabilities from 0 to 1.")
        self._background = nodata_is_background(self._file, self._band)
        self._temporary: TemporaryDirectory[str] | None = None

    def _glacier_band(self, classes: Sequence[str]) -> int:
        count = self._file.count
        if len(classes) == count and (GLACIER in classes or count == 1):
            return classes.index(GLACIER) + 1 if GLACIER in classes else 1
        raise SceneError(
            f"{self.name} has {count} bands and does not say which is the probability of glacier. "
            "Give a raster with one band."
        )

    def keep_until_closed(self, folder: "TemporaryDirectory[str]") -> None:
        """Delete the folder that holds the file when the prediction is closed."""
        self._temporary = folder

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Read the steps of a window (rows, columns): 0 to 250, 255 where unknown.

        Raises:
            SceneError: A value is neither a probability nor 0 or 1.
        """
        raw = read_window(self._file, [self._band], window)[0]
        if self._own:
            return np.asarray(raw, np.uint8)
        valid = np.ones(raw.shape, bool)
        if not self._background:
            valid = read_mask(self._file, self._band, window)
        if raw.dtype.kind == "f":
            valid &= ~np.isnan(raw)
        whole = raw.dtype.kind in "iu" and self._scale == 1
        if raw.dtype != np.uint8:
            values = self._values(raw)
            self._check(values[valid], whole=whole)
            return encode(values, valid)
        # So few different values are looked up, five times as fast.
        values = self._values(np.arange(256))
        found = raw if valid.all() else raw[valid]
        if found.size and not _are_shares(values[[found.min(), found.max()]]):
            self._check(values[np.unique(found)], whole=whole)
        return np.where(valid, encode(values, True)[raw], np.uint8(NODATA))

    def _values(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        values = raw.astype(np.float32) * np.float32(self._scale) + np.float32(self._offset)
        return np.asarray(values, np.float32)

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


class PredictionWriter:
    """Write a probability map, and a mask beside it, row by row.

    Args:
        probability: The file of the probability map.
        mask: The file of the mask, if wanted.
    """

    def __init__(
        self,
        probability: RowWriter,
        mask: RowWriter | None,
        threshold: float,
        glacier_band: int,
    ) -> None:
        self._probability = probability
        self._mask = mask
        self._cut = first_step_above(threshold)
        self._band = glacier_band

    def write(self, steps: NDArray[np.uint8]) -> None:
        """Add the next rows: steps (classes, rows, columns), 255 where not valid."""
        self._probability.write(steps)
        if self._mask is not None:
            glacier = steps[self._band]
            ice = (glacier >= self._cut).astype(np.uint8)
            self._mask.write(np.where(glacier == NODATA, np.uint8(NODATA), ice)[None])
