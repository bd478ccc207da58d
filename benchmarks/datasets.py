"""Labelled scenes that benchmarks run on: how they are laid out, read, predicted and fitted to."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from glacierx.options import PredictOptions
from glacierx.predict.classic import PixelMethod
from glacierx.predict.fit import fit
from glacierx.predict.predict import predict
from glacierx.scene.geotiff import write_raster
from glacierx.scene.raster import Raster, read_raster
from glacierx.scene.scene import open_scene

DEFAULT = Path(__file__).parents[1].parent / "shared" / "data" / "scenes"


@dataclass(frozen=True)
class DataSet:
    """How a data set is laid out and read.

    Attributes:
        name: Its folder.
        truth: File of the reference for an image's name.
        reading: What `open_scene` is told.
        methods: Methods as they are.
        fitted: Methods that are fitted to the train folder.
        positive: Numbers of the reference that mean ice.
        folders: Where the scenes are, by name.
        debris: Beginning of the name of references of debris alone, if there are any.
        note: What to know about the scores.
    """

    name: str
    truth: tuple[str, str]
    reading: dict[str, Any] = field(default_factory=dict)
    methods: tuple[str, ...] = ("ndsi", "ratio", "otsu", "sbtm", "gmm")
    fitted: tuple[str, ...] = ("ndsi", "ratio", "sbtm", "gmm", "rf")
    positive: str = "1"
    folders: tuple[tuple[str, str], ...] = (("train", "train"), ("validation", "validation"))
    debris: str = ""
    note: str = ""


SENTINEL2 = {"scale": 1e-4}
DATA_SETS = (
    DataSet(
        "landsat8_nw_himalaya",
        ("img_", "lab_"),
        {
            "bands": "blue=1,green=2,red=3,swir1=4",
            "sensor": "landsat-8",
            "level": "l1",
        },
        methods=("ndsi", "ratio", "otsu", "sbtm:role=red", "gmm"),
        fitted=("ndsi", "ratio", "sbtm:role=red", "gmm", "rf"),
        note="under snow, shadows masked out; reflectance without the sun's elevation",
    ),
    DataSet(
        "landsat7_everest",
        ("img", "lab"),
        methods=("otsu", "sbtm", "sbtm:role=green", "gmm"),
        fitted=("sbtm", "sbtm:role=green", "gmm", "rf"),
        note="8 bit without SWIR, 40 % saturated by snow; debris counts as glacier",
    ),
    DataSet(
        "sentinel2_debris",
        ("img_", "pseudo_"),
        {"bands": "blue=1,green=2,red=3,nir=4,swir1=5", **SENTINEL2},
        positive="1,2",
        debris="partial_",
        note="the reference's clean ice was made by NDSI and Red/SWIR: it flatters these methods",
    ),
    DataSet(
        "sentinel2_khumbu",
        ("img_*", "glacier_mask_rgi60"),
        {"bands": "blue=1,green=2,red=3,nir=4,swir1=5", **SENTINEL2},
        folders=(("train", "."),),
        note="fitted to itself; four seasons, mostly debris, inside landsat7_everest/train",
    ),
)


@dataclass(frozen=True)
class Pair:
    """A scene and its reference."""

    scene: Path
    truth: Path


def pairs_of(data: DataSet, root: Path, folder: str) -> list[Pair]:
    """List the scenes of a folder with their references."""
    where = root / data.name / folder
    old, new = data.truth
    pattern = old if old.endswith("*") else f"{old}*"
    found = []
    for scene in sorted(where.glob(f"{pattern}.tif")):
        name = f"{new}.tif" if old.endswith("*") else scene.name.replace(old, new, 1)
        if (where / name).exists():
            found.append(Pair(scene, where / name))
    return found


def run(
    method: str | PixelMethod, pair: Pair, data: DataSet, median: bool, mask: Path
) -> dict[str, float]:
    """Predict a scene into a mask; return the thresholds."""
    options = PredictOptions(median=median)
    with (
        open_scene(pair.scene, **data.reading) as scene,
        predict(scene, method, options, mask=mask, overwrite=True) as prediction,
    ):
        limits: dict[str, float] = prediction.record["model"]["thresholds"]
    return limits


def call_all_glacier(pair: Pair, mask: Path) -> None:
    """Write a mask of glacier everywhere."""
    grid = read_raster(pair.truth).grid
    ones = np.ones((1, *grid.shape), np.uint8)
    write_raster(mask, Raster(ones, ones[0] > 0, grid), overwrite=True)


def fitted(method: str, data: DataSet, pairs: list[Pair]) -> PixelMethod:
    """Fit a method to the train folder."""
    with ExitStack() as stack:
        scenes = [stack.enter_context(open_scene(pair.scene, **data.reading)) for pair in pairs]
        truths = [pair.truth for pair in pairs]
        return fit(method, scenes, truths, positive=data.positive)
