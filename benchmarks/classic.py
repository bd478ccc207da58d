"""Pixel methods on real scenes: each as it is, and fitted to the scenes of the train folder.

    python benchmarks/classic.py [FOLDER] [DATA SET ...]

FOLDER holds the data sets named in DATA_SETS, each with the folders train and validation; without
it ../shared/data/scenes is looked for. Scores are those of glacierx evaluate, pooled over all
scenes of a folder; intervals resample scenes.
"""

import sys
import tempfile
import warnings
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from glacierx.errors import GlacierxError, GlacierxWarning
from glacierx.evaluate.evaluate import evaluate_pairs
from glacierx.evaluate.pairs import Pair as GlacierPair
from glacierx.evaluate.scores import Scores
from glacierx.options import PredictOptions
from glacierx.predict.classic import PixelMethod
from glacierx.predict.fit import fit
from glacierx.predict.predict import predict
from glacierx.scene.geotiff import write_raster
from glacierx.scene.icewindow import MaskChoice
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
        note: What to know about the scores.
    """

    name: str
    truth: tuple[str, str]
    reading: dict[str, Any] = field(default_factory=dict)
    methods: tuple[str, ...] = ("ndsi", "ratio", "otsu", "sbtm", "gmm")
    fitted: tuple[str, ...] = ("ndsi", "ratio", "sbtm", "gmm", "rf")
    positive: str = "1"
    folders: tuple[tuple[str, str], ...] = (("train", "train"), ("validation", "validation"))
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


def row_of(scores: Scores) -> str:
    """Write IoU with its 95 % interval over scenes, F1, precision, recall, kappa, ASD, bias."""
    ends = scores.intervals.get("iou")
    between = f"{ends[0]:.2f}-{ends[1]:.2f}" if ends else "-"
    share = " ".join(f"{scores[name]:5.3f}" for name in ("f1", "precision", "recall", "kappa"))
    bias = scores["area_bias_percent"]
    return f"{scores['iou']:5.3f} {between:9} {share} {scores['asd_m']:6.0f} {bias:+7.0f}"


def score(masks: list[Path], pairs: list[Pair], positive: str) -> str:
    """Score masks against their references, all scenes together."""
    wanted = MaskChoice(positive=positive)
    chosen = [
        GlacierPair(mask, pair.truth, truth_choice=wanted)
        for mask, pair in zip(masks, pairs, strict=True)
    ]
    return row_of(evaluate_pairs(chosen)[1])


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


def show(data: DataSet, root: Path) -> None:
    """Print the table of a data set."""
    print(f"\n{data.name}: {data.note}")
    folders = {name: pairs_of(data, root, where) for name, where in data.folders}
    columns = "IoU   95 %      F1    prec  rec   kappa  ASD m  bias %"
    print(f"{'method':26} " + "  ".join(f"{f'{name}: {columns}':64}" for name in folders))
    methods: list[tuple[str, str | PixelMethod]] = [(name, name) for name in data.methods]
    for name in data.fitted:
        try:
            best = fitted(name, data, folders["train"])
        except GlacierxError as error:
            print(f"{f'{name} fitted':26} {error}")
        else:
            methods.append((f"{name} fitted", best))
    with tempfile.TemporaryDirectory() as temporary:
        masks = {
            name: [Path(temporary) / f"{name}_{at}.tif" for at in range(len(pairs))]
            for name, pairs in folders.items()
        }

        def line_of(label: str, limits: str = "") -> None:
            line = [
                f"{score(masks[name], pairs, data.positive):64}" for name, pairs in folders.items()
            ]
            print(f"{label:26} {'  '.join(line)}  {limits}".rstrip(), flush=True)

        for name, method in methods:
            for median in (False, True):
                used = [
                    run(method, pair, data, median, mask)
                    for folder, pairs in folders.items()
                    for pair, mask in zip(pairs, masks[folder], strict=True)
                ]
                limits = " ".join(
                    f"{key}{'<' if key == 'ndvi' else '>='}{low:.3g}"
                    + (f"..{high:.3g}" if high > low else "")
                    for key, (low, high) in _ranges(used).items()
                )
                line_of(f"{name}{' + median' if median else ''}", "" if median else limits)
        for folder, pairs in folders.items():
            for pair, mask in zip(pairs, masks[folder], strict=True):
                call_all_glacier(pair, mask)
        line_of("all called glacier")


def _ranges(used: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    keys = {key for limits in used for key in limits}
    every = {key: [limits[key] for limits in used if key in limits] for key in sorted(keys)}
    return {key: (min(values), max(values)) for key, values in every.items()}


def main(root: Path, names: list[str]) -> None:
    """Print one table for each data set that is there."""
    there = [data for data in DATA_SETS if (root / data.name).is_dir()]
    if not there:
        sys.exit(f"There are no data sets in {root}: give the folder that holds them.")
    for data in there:
        if not names or data.name in names:
            show(data, root)


if __name__ == "__main__":
    warnings.simplefilter("ignore", GlacierxWarning)
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT, sys.argv[2:])
