"""How many pixels other numbers, backends and batches decide otherwise than fp32 one by one.

    python benchmarks/rounding.py [--data FOLDER] [--model NAME]

On the validation scenes of benchmarks/model.py: pixels that flip at a probability of a half as a
share of the valid ones, the greatest distance of one that flips from a half, and how far IoU moves.
"""

import argparse
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import DATA_SETS, DEFAULT, pairs_of
from extract import has, model_of
from numpy.typing import NDArray

from glacierx.errors import GlacierxWarning
from glacierx.options import EngineOptions, PredictOptions
from glacierx.predict.modelfile import Model
from glacierx.predict.predict import predict
from glacierx.scene.prediction import NODATA, STEP
from glacierx.scene.raster import read_raster
from glacierx.scene.scene import open_scene

PLAIN = EngineOptions(device="cpu", backend="torch", precision="fp32", batch=1)
OTHERS = {
    "fp32, batch 4": EngineOptions(device="cpu", backend="torch", precision="fp32", batch=4),
    "bf16": EngineOptions(device="cpu", backend="torch", precision="bf16", batch=1),
    "openvino fp32": EngineOptions(device="cpu", backend="openvino", precision="fp32", batch=1),
    "openvino bf16": EngineOptions(device="cpu", backend="openvino", precision="bf16", batch=1),
}
MIDDLE = int(0.5 / STEP)


@dataclass
class Difference:
    """What differs over all scenes.

    Attributes:
        valid: Pixels.
        flips: Those that are decided otherwise.
        farthest: Greatest distance of one of them from a half, by fp32.
        counts: Pixels in both, and in either, of the truth and of each of the two.
    """

    valid: int = 0
    flips: int = 0
    farthest: float = 0.0
    counts: NDArray[Any] | None = None

    def add(self, plain: NDArray[Any], other: NDArray[Any], truth: NDArray[np.bool_]) -> None:
        """Count a scene: steps of both, and where there is ice."""
        known = plain != NODATA
        one, two = (known & (steps > MIDDLE) for steps in (plain, other))
        flipped = one != two
        self.valid += int(known.sum())
        self.flips += int(flipped.sum())
        if flipped.any():
            away = np.abs(plain[flipped] * STEP - 0.5).max()
            self.farthest = max(self.farthest, float(away))
        ice = truth & known
        found = [[(ice & mask).sum(), (ice | mask).sum()] for mask in (one, two)]
        self.counts = np.array(found) + (0 if self.counts is None else self.counts)

    @property
    def moved(self) -> float:
        """By how much IoU moves."""
        assert self.counts is not None
        one, two = self.counts[:, 0] / self.counts[:, 1]
        return float(two - one)


def steps_of(model: Model, path: Path, engine: EngineOptions, folder: Path) -> NDArray[np.uint8]:
    """Predict a scene and return its steps."""
    with (
        open_scene(path) as scene,
        predict(scene, model, PredictOptions(tta="none"), path=folder / "p.tif", overwrite=True,
                engine=engine) as prediction,
    ):  # fmt: skip
        return prediction.read(prediction.grid.window)


def main() -> None:
    """Print a line for each data set and each way to compute."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT)
    parser.add_argument("--model", default="starter")
    given = parser.parse_args()
    warnings.simplefilter("ignore", GlacierxWarning)
    model = model_of(given.model)
    others = {
        name: engine
        for name, engine in OTHERS.items()
        if engine.backend != "openvino" or has("openvino")
    }
    for data in DATA_SETS[:3]:
        pairs = pairs_of(data, given.data, "validation")
        found = {name: Difference() for name in others if pairs}
        with tempfile.TemporaryDirectory() as folder:
            for pair in pairs:
                labels = read_raster(pair.truth)
                positive = [float(number) for number in data.positive.split(",")]
                truth = np.isin(labels.values[0], positive) & labels.valid
                plain = steps_of(model, pair.scene, PLAIN, Path(folder))
                for name, engine in others.items():
                    other = steps_of(model, pair.scene, engine, Path(folder))
                    found[name].add(plain, other, truth)
        for name, difference in found.items():
            print(
                f"{data.name}: {name}: {difference.flips} of {difference.valid} pixels flip "
                f"({difference.flips / difference.valid:.1e}), at most {difference.farthest:.3f} "
                f"from a half, IoU {difference.moved:+.5f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
