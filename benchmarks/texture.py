"""A random forest that sees texture: each band's mean and standard deviation around a pixel.

Stronger than the forest of glacierx fit, which sees a pixel alone; made for comparison only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import DataSet, Pair
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy.ndimage import uniform_filter

from glacierx.predict.classic import units_of
from glacierx.predict.grow import Reservoir, find_sklearn
from glacierx.predict.pixels import median_of_neighbours
from glacierx.scene.geotiff import write_raster
from glacierx.scene.icemask import open_ice_mask
from glacierx.scene.icewindow import MaskChoice
from glacierx.scene.indices import INDICES, measure
from glacierx.scene.raster import Raster
from glacierx.scene.scene import open_scene
from glacierx.scene.sensors import OPTICAL

WINDOWS_PX = (3, 7, 15)
TREES, LEAF_PIXELS, CLASS_PIXELS = 200, 5, 20_000
# Of the pixels that are drawn, for each tree.
TREE_SHARE = 0.7
STRIP_ROWS = 128
# What a scene may have beside the bands of a pixel method.
EXTRA = ("tir1", "slope", "elevation")
SEED = 0

Values = NDArray[np.float32]
Valid = NDArray[np.bool_]


@dataclass(frozen=True)
class TextureForests:
    """Forests of scikit-learn, by what they see.

    Attributes:
        roles: Bands of the scene as pixel methods read it.
        extra: Bands beside these, in stored numbers.
        plain: What the first *narrow* features are enough for.
        narrow: Number of features of *roles*.
        whole: The forest that sees *extra* too, where there are any.
    """

    roles: tuple[str, ...]
    extra: tuple[str, ...]
    plain: Any
    narrow: int
    whole: Any = None

    @property
    def forests(self) -> dict[str, tuple[Any, int]]:
        """The forests with their numbers of features, by name."""
        named = {"texture forest": (self.plain, self.narrow)}
        if self.whole is not None:
            what = [*(["thermal"] if "tir1" in self.extra else [])]
            what += ["terrain"] if {"slope", "elevation"} & {*self.extra} else []
            named[f"texture forest with {' and '.join(what)}"] = (self.whole, -1)
        return named


def extra_roles(pairs: Sequence[Pair], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return those of the wanted roles that every scene of a folder has."""
    found = set(wanted)
    for pair in pairs:
        with open_scene(pair.scene) as scene:
            found &= set(scene.roles)
    return tuple(role for role in wanted if role in found)


def window_planes(planes: Sequence[Values], valid: Valid) -> list[Values]:
    """Return mean and standard deviation of the valid pixels around each pixel.

    Args:
        planes: Bands (rows, columns).
        valid: Which of their pixels count.

    Returns:
        For each band and, of these, for each window the mean, then the deviation.
    """
    weight = valid.astype(np.float64)
    counts = [
        np.maximum(uniform_filter(weight, size, mode="constant"), 1e-9) for size in WINDOWS_PX
    ]
    found = []
    for plane in planes:
        # Less a middle value, so that squares of heights lose no digits.
        middle = float(plane[valid].mean(dtype=np.float64)) if valid.any() else 0.0
        values = np.where(valid, plane - middle, 0).astype(np.float64)
        for size, count in zip(WINDOWS_PX, counts, strict=True):
            mean, squares = (
                uniform_filter(part, size, mode="constant") / count
                for part in (values, values * values)
            )
            spread = np.sqrt(np.maximum(squares - mean * mean, 0))
            found += [(mean + middle).astype(np.float32), spread.astype(np.float32)]
    return found


def describe(
    pair: Pair, data: DataSet, roles: tuple[str, ...], extra: tuple[str, ...]
) -> tuple[Values, Valid, int]:
    """Describe every pixel of a scene by itself and by what is around it.

    Returns:
        Features (features, rows, columns): bands, indices, means and standard deviations of bands,
        then the same of extra bands; which pixels are valid; how many features are of *roles*.
    """
    with open_scene(pair.scene, **data.reading) as scene:
        rows, columns = scene.grid.shape
        window = Window(0, 0, columns, rows)
        units = units_of(scene, roles)
        raster = scene.read(window, roles)
    by_role = dict(zip(roles, raster.values, strict=True))
    planes = list(raster.values)
    planes += [
        measure(name, by_role, units) for name, needed in INDICES.items() if set(needed) <= {*roles}
    ]
    planes += window_planes(list(raster.values), raster.valid)
    narrow = len(planes)
    if extra:
        with open_scene(pair.scene) as scene:
            more = scene.read(window, extra).values
        planes += [*more, *window_planes(list(more), raster.valid)]
    return np.stack(planes), raster.valid, narrow


def fit_texture(
    data: DataSet, pairs: Sequence[Pair], beside: Sequence[str] = EXTRA
) -> TextureForests:
    """Fit forests to the scenes of a folder, to as many pixels of ice as of other ground.

    Args:
        data: The data set.
        pairs: Its scenes with their references.
        beside: Roles that the second forest sees beside the bands, where there are any.
    """
    with open_scene(pairs[0].scene, **data.reading) as scene:
        roles = tuple(role for role in OPTICAL if role in scene.roles)
    extra = extra_roles(pairs, beside)
    random = np.random.default_rng(SEED)
    samples: list[Reservoir] = []
    narrow = 0
    for pair in pairs:
        planes, valid, narrow = describe(pair, data, roles, extra)
        samples = samples or [Reservoir(CLASS_PIXELS, len(planes)) for _ in range(2)]
        with (
            open_scene(pair.scene, **data.reading) as scene,
            open_ice_mask(pair.truth, MaskChoice(positive=data.positive)) as mask,
        ):
            mask.place(scene.grid, align=False)
            truth = mask.read(Window(0, 0, scene.grid.columns, scene.grid.rows))
            mask.finish()
        keys = random.random(valid.shape)
        known = valid & truth.valid
        for sample, wanted in zip(samples, (known & ~truth.ice, known & truth.ice), strict=True):
            sample.offer(keys[wanted], planes[:, wanted])
    other, ice = (sample.values for sample in samples)
    pixels = np.ascontiguousarray(np.concatenate([other, ice], axis=1).T)
    label = np.repeat([0, 1], [other.shape[1], ice.shape[1]])
    plain = _grow(pixels[:, :narrow], label)
    return TextureForests(roles, extra, plain, narrow, _grow(pixels, label) if extra else None)


def _grow(pixels: Values, label: NDArray[np.int64]) -> Any:
    forest = find_sklearn().RandomForestClassifier(
        TREES,
        min_samples_leaf=LEAF_PIXELS,
        max_samples=TREE_SHARE,
        class_weight="balanced_subsample",
        random_state=SEED,
        n_jobs=-1,
    )
    forest.fit(pixels, label)
    return forest


def run_texture(
    fitted: TextureForests, pair: Pair, data: DataSet, masks: Mapping[str, tuple[Path, Path]]
) -> None:
    """Decide a scene into two masks for each forest: as it says, and its 3 x 3 median."""
    planes, valid, _ = describe(pair, data, fitted.roles, fitted.extra)
    with open_scene(pair.scene, **data.reading) as scene:
        grid = scene.grid
    for name, (forest, count) in fitted.forests.items():
        found = np.zeros(valid.shape, np.float32)
        for first in range(0, len(valid), STRIP_ROWS):
            part = slice(first, first + STRIP_ROWS)
            wanted = valid[part]
            if wanted.any():
                pixels = planes[: count if count > 0 else None, part][:, wanted].T
                found[part][wanted] = forest.predict_proba(pixels)[:, 1]
        decided = found, median_of_neighbours(found, valid)
        for path, values in zip(masks[name], decided, strict=True):
            ice = (values > 0.5)[None].astype(np.uint8)
            write_raster(path, Raster(ice, valid, grid), nodata=255, overwrite=True)
