"""Pixel methods on real scenes: each as it is, and fitted to the scenes of the train folder.

    python benchmarks/classic.py [FOLDER] [DATA SET ...]

FOLDER holds the data sets named in DATA_SETS, each with the folders train and validation; without
it ../shared/data/scenes is looked for. Scores are pooled over the pixels of all scenes of a folder.
"""

import sys
import tempfile
import warnings
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from glacierx.errors import GlacierxError, GlacierxWarning
from glacierx.options import PredictOptions
from glacierx.predict.classic import PixelMethod
from glacierx.predict.fit import fit
from glacierx.predict.predict import predict
from glacierx.scene.scene import open_scene

DEFAULT = Path(__file__).parents[1].parent / "shared" / "data" / "scenes"
UNKNOWN = 255


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


def score(mask: Path, truth: Path, positive: str = "1") -> NDArray[np.int64]:
    """Count pixels known in both: true and false positives, false and true negatives."""
    with rasterio.open(mask) as file:
        found = file.read(1)
    with rasterio.open(truth) as file:
        there = file.read(1)
    known = (found != UNKNOWN) & (there != UNKNOWN)
    ice = np.isin(there[known], [int(number) for number in positive.split(",")])
    glacier = found[known] == 1
    counts = [ice & glacier, ~ice & glacier, ice & ~glacier, ~ice & ~glacier]
    return np.array([np.count_nonzero(part) for part in counts], np.int64)


def row_of(counts: NDArray[np.int64]) -> str:
    """Write IoU, F1, precision, recall and kappa."""
    tp, fp, fn, tn = (float(value) for value in counts)
    total = tp + fp + fn + tn
    agree = (tp + tn) / total
    chance = ((tp + fn) * (tp + fp) + (fp + tn) * (fn + tn)) / total**2
    kappa = (agree - chance) / (1 - chance) if chance < 1 else float("nan")
    values = (
        tp / max(tp + fp + fn, 1),
        2 * tp / max(2 * tp + fp + fn, 1),
        tp / max(tp + fp, 1),
        tp / max(tp + fn, 1),
        kappa,
    )
    return " ".join(f"{value:5.3f}" for value in values)


def run(
    method: str | PixelMethod, pair: Pair, data: DataSet, median: bool, folder: Path
) -> tuple[NDArray[np.int64], dict[str, float]]:
    """Predict a scene and count; return the thresholds too."""
    mask = folder / "mask.tif"
    options = PredictOptions(median=median)
    with (
        open_scene(pair.scene, **data.reading) as scene,
        predict(scene, method, options, mask=mask, overwrite=True) as prediction,
    ):
        limits = prediction.record["model"]["thresholds"]
    return score(mask, pair.truth, data.positive), limits


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
    columns = "IoU   F1    prec  rec   kappa"
    print(f"{'method':26} " + "  ".join(f"{f'{name}: {columns}':40}" for name in folders))
    methods: list[tuple[str, str | PixelMethod]] = [(name, name) for name in data.methods]
    for name in data.fitted:
        try:
            best = fitted(name, data, folders["train"])
        except GlacierxError as error:
            print(f"{f'{name} fitted':26} {error}")
        else:
            methods.append((f"{name} fitted", best))
    with tempfile.TemporaryDirectory() as temporary:
        for name, method in methods:
            for median in (False, True):
                line, used = [], []
                for pairs in folders.values():
                    found = [run(method, pair, data, median, Path(temporary)) for pair in pairs]
                    counts = np.sum([count for count, _ in found], axis=0)
                    used += [limits for _, limits in found]
                    line.append(f"{row_of(counts):40}")
                label = f"{name}{' + median' if median else ''}"
                limits = " ".join(
                    f"{key}>={low:.3g}" + (f"..{high:.3g}" if high > low else "")
                    for key, (low, high) in _ranges(used).items()
                )
                print(f"{label:26} {'  '.join(line)}  {'' if median else limits}", flush=True)
    for name, pairs in folders.items():
        counts = np.sum([score(pair.truth, pair.truth, data.positive) for pair in pairs], axis=0)
        share = (counts[0] + counts[2]) / counts.sum()
        print(f"all of {name} called glacier: IoU {share:.3f}")


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
