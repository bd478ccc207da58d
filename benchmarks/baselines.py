"""What a network has to beat on a validation folder, and how a line of scores is made.

Baselines are kept as JSON under a hash of the data, of the code that they hang on and of the
versions, because the forests among them take minutes.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from datasets import DataSet, Pair, call_all_glacier, fitted, pairs_of, run
from texture import fit_texture, run_texture

import glacierx
from glacierx.errors import GlacierxError
from glacierx.evaluate.bootstrap import FEWEST_UNITS, SAMPLES, SEED
from glacierx.evaluate.evaluate import evaluate_pairs
from glacierx.evaluate.metrics import pixel_scores
from glacierx.evaluate.pairs import Pair as GlacierPair
from glacierx.evaluate.scores import Scores, plain
from glacierx.options import EvaluateOptions
from glacierx.predict.classic import PixelMethod
from glacierx.scene.icewindow import MaskChoice
from glacierx.scene.provenance import versions

COUNTS = ("tp", "fp", "fn", "tn")
# What baselines hang on: rooms and modules of the package, and these modules.
CODE = ("scene", "predict", "evaluate", "options.py")
MODULES = ("datasets", "texture", "baselines")


@dataclass(frozen=True)
class Line:
    """What a method reached on a folder, all scenes together.

    Attributes:
        name: What it is called.
        scores: Scores by name; None where one is not defined.
        intervals: 95 % intervals over blocks of ground.
        blocks: How many of these there are.
        counts: Pixels of each block: tp, fp, fn and tn.
        scenes: IoU of each scene.
        debris: Scores of debris alone, with their intervals, where there is a reference of it.
        notes: What to know.
    """

    name: str
    scores: Mapping[str, float | None]
    intervals: Mapping[str, Sequence[float]]
    blocks: int
    counts: Mapping[str, Sequence[float]]
    scenes: Mapping[str, float | None]
    debris: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __getitem__(self, name: str) -> float:
        """Return a score, NaN where it is not defined."""
        value = self.scores[name]
        return np.nan if value is None else value


@dataclass(frozen=True)
class Lines:
    """The lines of a folder, and what could not be made.

    Attributes:
        lines: Scores by method.
        notes: Methods that were refused, with the reason.
    """

    lines: Sequence[Line]
    notes: Sequence[str] = ()


def line_of(
    name: str, found: Sequence[Path], pairs: Sequence[Pair], data: DataSet, block_m: float
) -> Line:
    """Score masks or maps of probabilities against their references, and against debris alone."""
    rows, whole = _evaluate(found, [pair.truth for pair in pairs], data.positive, block_m)
    debris: dict[str, Any] = {}
    if data.debris:
        truths = [
            pair.scene.with_name(pair.scene.name.replace(data.truth[0], data.debris, 1))
            for pair in pairs
        ]
        _, of_debris = _evaluate(found, truths, "1", block_m)
        debris = {
            "scores": {key: plain(of_debris[key]) for key in ("recall", "precision", "f1", "iou")},
            "intervals": {
                key: list(of_debris.intervals[key])
                for key in ("recall", "precision")
                if key in of_debris.intervals
            },
        }
    units = whole.tally.units
    return Line(
        name,
        {key: plain(value) for key, value in whole.values.items()},
        {key: list(ends) for key, ends in whole.intervals.items()},
        len(units),
        {key: units.sums[key].tolist() for key in COUNTS},
        {pair.scene.stem: plain(scores["iou"]) for pair, scores in zip(pairs, rows, strict=True)},
        debris,
    )


def _evaluate(
    found: Sequence[Path], truths: Sequence[Path], positive: str, block_m: float
) -> tuple[list[Scores], Scores]:
    wanted = MaskChoice(positive=positive)
    chosen = [
        GlacierPair(mask, truth, truth_choice=wanted)
        for mask, truth in zip(found, truths, strict=True)
    ]
    return evaluate_pairs(chosen, EvaluateOptions(bootstrap="blocks", block_m=block_m))


def difference(one: Line, other: Line, score: str) -> tuple[float, float] | None:
    """Return the 95 % interval of the difference of a score over the same blocks.

    Both lines are resampled together, so that ground that is hard for both does not count.

    Returns:
        None where the two were not scored on the same blocks.
    """
    tables = [np.array([line.counts[key] for key in COUNTS]) for line in (one, other)]
    totals = [table.sum(axis=0) for table in tables]
    if one.blocks < FEWEST_UNITS or not np.array_equal(*totals):
        return None
    count = one.blocks
    times = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=SAMPLES)
    first, second = (pixel_scores(*(times @ table.T).T)[score] for table in tables)
    low, high = np.nanpercentile(first - second, [2.5, 97.5])
    return float(low), float(high)


def baselines(data: DataSet, root: Path, cache: Path, block_m: float) -> Lines:
    """Return the lines of every method without a network, from the cache where they are in it."""
    path = cache / f"{data.name}-{_key(data, root, block_m)[:20]}.json"
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Lines([Line(**line) for line in kept["lines"]], kept["notes"])
    notes: list[str] = []
    lines = list(_made(data, root, block_m, notes))
    made = Lines(lines, notes)
    cache.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(made), allow_nan=False), encoding="utf-8")
    part.replace(path)
    return made


def _key(data: DataSet, root: Path, block_m: float) -> str:
    package, own = Path(glacierx.__file__).parent, Path(__file__).parent
    sources = [
        file for name in CODE for file in [package / name, *sorted((package / name).rglob("*.py"))]
    ]
    sources += [own / f"{name}.py" for name in MODULES]
    scenes = sorted((root / data.name).glob("*/*.tif"))
    whole = hashlib.sha256(
        json.dumps([data.name, block_m, versions("scikit-learn", "scipy")]).encode()
    )
    for file in [*sources, *scenes]:
        if file.is_file():
            whole.update(f"{file.parent.name}/{file.name}".encode())
            whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def _made(data: DataSet, root: Path, block_m: float, notes: list[str]) -> Iterator[Line]:
    """Fit to the train folder, predict the validation folder and score, method by method."""
    train, pairs = (pairs_of(data, root, folder) for folder in ("train", "validation"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        masks = [folder / f"{at}.tif" for at in range(len(pairs))]

        def line(name: str) -> Line:
            return line_of(name, masks, pairs, data, block_m)

        for name, method in _methods(data, train, notes):
            for median in (False, True) if name.startswith("rf") else (False,):
                try:
                    for pair, mask in zip(pairs, masks, strict=True):
                        run(method, pair, data, median, mask)
                except GlacierxError as error:
                    notes.append(f"{name}: {error}")
                    break
                yield line(name + " + median" * median)
        _tell(data, "texture forest")
        forests = fit_texture(data, train)
        made = [
            {
                name: (folder / f"{at}_{number}.tif", folder / f"{at}_{number}_median.tif")
                for number, name in enumerate(forests.forests)
            }
            for at in range(len(pairs))
        ]
        for pair, files in zip(pairs, made, strict=True):
            run_texture(forests, pair, data, files)
        for name in forests.forests:
            for which, suffix in enumerate(("", " + median")):
                chosen = [files[name][which] for files in made]
                yield line_of(name + suffix, chosen, pairs, data, block_m)
        for pair, mask in zip(pairs, masks, strict=True):
            call_all_glacier(pair, mask)
        yield line("all called glacier")


def _methods(
    data: DataSet, train: list[Pair], notes: list[str]
) -> Iterator[tuple[str, str | PixelMethod]]:
    for name in data.methods:
        _tell(data, name)
        yield name, name
    for name in data.fitted:
        _tell(data, f"{name} fitted")
        try:
            method = fitted(name, data, train)
        except GlacierxError as error:
            notes.append(f"{name} fitted: {error}")
        else:
            yield f"{name} fitted", method


def _tell(data: DataSet, name: str) -> None:
    print(f"{data.name}: {name} ...", file=sys.stderr, flush=True)
