"""What adapting to half of the outlines of a scene brings on its other half.

    python benchmarks/adapt.py [--data FOLDER] [--minutes 10] [MODEL.safetensors]

Each scene of SCENES is parted in two. One half's labels are given to `glacierx adapt`, and to a
random forest; scores are of the other half, which neither of them saw the labels of.
"""

import argparse
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import DEFAULT
from numpy.typing import NDArray

from glacierx.errors import GlacierxWarning
from glacierx.evaluate.metrics import confusion
from glacierx.options import PredictOptions
from glacierx.predict.classic import PixelMethod
from glacierx.predict.fit import fit
from glacierx.predict.model import load_model
from glacierx.predict.modelfile import Model
from glacierx.predict.predict import predict
from glacierx.scene.geotiff import write_raster
from glacierx.scene.raster import Raster, read_raster
from glacierx.scene.scene import open_scene
from glacierx.training.adapt import adapt
from glacierx.training.manifest import Row
from glacierx.training.options import AdaptOptions

UNKNOWN = 255


@dataclass(frozen=True)
class Case:
    """A labelled scene.

    Attributes:
        scene: Its file, below the folder of the data.
        labels: The reference, in the same folder.
        positive: Numbers of it that are ice.
        axis: 0 parts rows, 1 columns.
    """

    scene: str
    labels: str
    positive: tuple[int, ...]
    axis: int


SCENES = (
    Case("landsat8_nw_himalaya/validation/img_12_12.tif", "lab_12_12.tif", (1,), 1),
    Case("sentinel2_debris/validation/img_163.tif", "pseudo_163.tif", (1, 2), 1),
    Case("landsat7_everest/validation/img.tif", "lab.tif", (1,), 0),
)


def halves(path: Path, case: Case) -> tuple[Raster, Raster]:
    """Return the labels with their second half unknown, and with their first half unknown."""
    raster = read_raster(path)
    labels = np.where(
        np.isin(raster.values, case.positive), 1, np.where(raster.values == 0, 0, UNKNOWN)
    ).astype(np.uint8)
    labels[:, ~raster.valid & (raster.values[0] != 0)] = UNKNOWN
    middle = labels.shape[1 + case.axis] // 2
    first, second = labels.copy(), labels.copy()
    np.moveaxis(first, 1 + case.axis, 0)[middle:] = UNKNOWN
    np.moveaxis(second, 1 + case.axis, 0)[:middle] = UNKNOWN
    everywhere = np.ones(labels.shape[1:], bool)
    return Raster(first, everywhere, raster.grid), Raster(second, everywhere, raster.grid)


def scores(
    scene: Path, model: Model | PixelMethod, truth: NDArray[np.uint8], *, median: bool = False
) -> str:
    """Predict a scene and score it where the truth is known."""
    with tempfile.TemporaryDirectory() as folder:
        mask = Path(folder) / "mask.tif"
        with (
            open_scene(scene) as opened,
            predict(opened, model, PredictOptions(median=median), mask=mask),
        ):
            pass
        found = read_raster(mask).values[0]
    known = (truth != UNKNOWN) & (found != UNKNOWN)
    reached = confusion(found == 1, truth == 1, known).scores()
    names = {"IoU": "iou", "F1": "f1", "bal. acc.": "balanced_accuracy"}
    return "  ".join(f"{text} {reached[name]:.3f}" for text, name in names.items())


def show(case: Case, data: Path, model: Model, minutes: float) -> None:
    """Print the scores of a scene's second half, before and after, and of a forest."""
    scene = data / case.scene
    given, kept = halves(scene.with_name(case.labels), case)
    print(f"\n{case.scene}, half of its labels given, scored on the other half", flush=True)
    print(f"  {model.card.name:24} {scores(scene, model, kept.values[0])}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        labels = Path(folder) / "half.tif"
        write_raster(labels, given)
        with open_scene(scene) as opened:
            forest = fit("rf", [opened], [labels], positive="1")
        for median in (False, True):
            name = f"forest{' + median' if median else ''}"
            text = scores(scene, forest, kept.values[0], median=median)
            print(f"  {name:24} {text}", flush=True)
        adapted = adapt(
            model, [Row(str(scene), str(labels), positive="1")], AdaptOptions(minutes=minutes)
        )
    print(f"  {'adapted':24} {scores(scene, adapted.model, kept.values[0])}")
    print(f"  it says itself: {adapted.summary()} ({adapted.minutes:.1f} minutes)", flush=True)


def main() -> None:
    """Print a table for each scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="starter")
    parser.add_argument("--data", type=Path, default=DEFAULT)
    parser.add_argument("--minutes", type=float, default=10.0)
    given = parser.parse_args()
    model = load_model(given.model)
    if not isinstance(model, Model):
        raise SystemExit(f"{given.model} is a pixel method.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlacierxWarning)
        for case in SCENES:
            show(case, given.data, model, given.minutes)


if __name__ == "__main__":
    main()
