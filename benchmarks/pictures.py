"""Scenes beside what a network says of them and where it is wrong: the best and the worst."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from datasets import DataSet, Pair
from rasterio.windows import Window

from glacierx.evaluate.evaluate import open_cached
from glacierx.evaluate.pairs import Pair as GlacierPair
from glacierx.predict.normalise import Normalisation
from glacierx.predict.sample import fit_normaliser
from glacierx.scene.icewindow import MaskChoice
from glacierx.scene.scene import open_scene
from glacierx.training.pictures import SHOWN, draw_validation
from glacierx.training.samples import ICE, IGNORED, INVALID, OTHER, Sample

LEAST = 1e-3


def draw_ends(
    data: DataSet,
    pairs: Sequence[Pair],
    maps: Sequence[Path],
    iou: Mapping[str, float | None],
    folder: Path,
) -> None:
    """Draw the scenes with the highest and the lowest IoU, or the only one."""
    known = {
        value: (pair, found)
        for pair, found in zip(pairs, maps, strict=True)
        if (value := iou[pair.scene.stem]) is not None
    }
    folder.mkdir(parents=True, exist_ok=True)
    ends = {"best": max, "worst": min} if len(known) > 1 else {"best": max} if known else {}
    for word, end in ends.items():
        pair, found = known[end(known)]
        draw_one(data, pair, found, folder / f"{data.name}_{word}.png")


def draw_one(data: DataSet, pair: Pair, probability: Path, path: Path) -> None:
    """Draw a scene, the probability of ice and, over the scene, what is right and wrong."""
    with ExitStack() as stack:
        scene = stack.enter_context(open_scene(pair.scene))
        choice = MaskChoice(positive=data.positive)
        opened = open_cached(GlacierPair(probability, pair.truth, truth_choice=choice), stack)
        window = Window(0, 0, scene.grid.columns, scene.grid.rows)
        found, true, _ = opened.read(window)
        roles = next((names for names in SHOWN if {*names} <= {*scene.roles}), scene.roles[:1])
        raster = scene.read(window, roles)
        scaled = fit_normaliser(Normalisation(), scene, roles)(raster.values, raster.valid)
    label = np.where(true.ice, ICE, OTHER).astype(np.uint8)
    label[~true.valid], label[~raster.valid] = IGNORED, INVALID
    share = np.zeros(label.shape) if found.probability is None else found.probability
    share = share.astype(np.float64).clip(LEAST, 1 - LEAST)
    logit = np.log(share / (1 - share))
    # What is drawn as found is what the threshold of the card decided.
    logit = np.where(found.ice, np.maximum(logit, LEAST), np.minimum(logit, -LEAST))
    source = Sample(pair.scene.stem, roles, scaled.astype(np.float16), label, scene.grid.gsd_m)
    draw_validation(source, logit.astype(np.float32), path)
