"""Pixel methods on real scenes: each as it is, and fitted to the scenes of the train folder.

    python benchmarks/classic.py [FOLDER] [DATA SET ...]

FOLDER holds the data sets named in DATA_SETS, each with the folders train and validation; without
it ../shared/data/scenes is looked for. Scores are those of glacierx evaluate, pooled over all
scenes of a folder; intervals resample scenes.
"""

import sys
import tempfile
import warnings
from pathlib import Path

from datasets import (
    DATA_SETS,
    DEFAULT,
    DataSet,
    Pair,
    call_all_glacier,
    fitted,
    pairs_of,
    run,
)

from glacierx.errors import GlacierxError, GlacierxWarning
from glacierx.evaluate.evaluate import evaluate_pairs
from glacierx.evaluate.pairs import Pair as GlacierPair
from glacierx.evaluate.scores import Scores
from glacierx.predict.classic import PixelMethod
from glacierx.scene.icewindow import MaskChoice


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
