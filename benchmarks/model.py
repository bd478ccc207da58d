"""Networks on real scenes beside every method without one, and whether the first is good enough.

    python benchmarks/model.py [--data FOLDER] MODEL.safetensors [MORE_MODELS ...]

The validation folders are those of benchmarks/classic.py; what is fitted is fitted to the train
folder. Scores are those of glacierx evaluate, pooled over the scenes of a folder; 95 % intervals
resample blocks of ground. Networks read the scenes as they are, with all their bands; a network
that was trained on the train folders has seen what the fitted methods have seen.
"""

import argparse
import json
import math
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from baselines import Line, baselines, difference, line_of
from datasets import DATA_SETS, DEFAULT, DataSet, Pair, pairs_of
from pictures import draw_ends

from glacierx.errors import GlacierxError, GlacierxWarning
from glacierx.evaluate.table import aligned, json_text
from glacierx.options import PredictOptions
from glacierx.predict.model import load_model
from glacierx.predict.modelfile import Model
from glacierx.predict.predict import predict
from glacierx.scene.provenance import versions
from glacierx.scene.scene import open_scene

FOLDERS = {
    "landsat8_nw_himalaya": "Landsat 8, north-west Himalaya",
    "sentinel2_debris": "Sentinel-2, debris-covered glaciers of the Himalaya",
    "landsat7_everest": "Landsat 7, Everest",
}
BLOCK_M = 1500.0
EN_DASH = "\N{EN DASH}"
TTA = ("none", "chu6")
JUDGED = {"iou": "IoU", "balanced_accuracy": "balanced accuracy"}
MARGIN, MOST_OFTEN = 0.05, 2
DEBRIS_RECALL, DEBRIS_PRECISION = 0.5, 0.5


@dataclass(frozen=True)
class Result:
    """The lines of a folder: networks first, then what they are compared with.

    Attributes:
        data: The folder.
        models: Lines of networks.
        others: Lines of all other methods.
        notes: What could not be done, or what to know.
        first: The line of the first network as its card has it; None where it was refused.
    """

    data: DataSet
    models: Sequence[Line]
    others: Sequence[Line]
    notes: Sequence[str]
    first: Line | None

    def best(self, score: str) -> Line:
        """Return the best of the other methods."""
        return max(self.others, key=lambda line: _or_lowest(line[score]))


@dataclass(frozen=True)
class Claim:
    """A statement about the first model, and whether it holds.

    Attributes:
        text: The statement.
        holds: None where there are no data to tell.
        because: The numbers that say so.
    """

    text: str
    holds: bool | None
    because: Sequence[str]


def _or_lowest(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def read_models(paths: Sequence[Path]) -> dict[str, Model]:
    """Read networks by the names of their files."""
    models: dict[str, Model] = {}
    for path in paths:
        model = load_model(path)
        if not isinstance(model, Model):
            sys.exit(f"{path.name} holds a pixel method, and those are in the table anyway.")
        models[path.stem if path.stem not in models else f"{path.stem} ({len(models) + 1})"] = model
    return models


def predict_all(
    name: str, model: Model, tta: str, pairs: Sequence[Pair], folder: Path
) -> tuple[list[Path], list[str]]:
    """Predict scenes as they are; return maps of probabilities, and what was warned of."""
    maps = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GlacierxWarning)
        for pair in pairs:
            path = folder / f"{name}_{tta}_{pair.scene.stem}.tif"
            with (
                open_scene(pair.scene) as scene,
                predict(scene, model, PredictOptions(tta=tta), path=path, overwrite=True),
            ):
                maps.append(path)
    told = [str(item.message) for item in caught if issubclass(item.category, GlacierxWarning)]
    # Once, not for each scene.
    names = {pair.scene.name for pair in pairs}
    common = {
        " ".join("a scene" if word in names else word for word in text.split()) for text in told
    }
    return maps, sorted(common)


def measure(data: DataSet, models: Mapping[str, Model], arguments: argparse.Namespace) -> Result:
    """Score networks and all other methods on a validation folder."""
    pairs = pairs_of(data, arguments.data, "validation")
    kept = baselines(data, arguments.data, arguments.cache, arguments.block_m)
    lines: list[Line] = []
    notes = list(kept.notes)
    first: Line | None = None
    with tempfile.TemporaryDirectory() as temporary:
        for number, (name, model) in enumerate(models.items()):
            for tta in dict.fromkeys((*TTA, model.card.tta)):
                try:
                    maps, told = predict_all(str(number), model, tta, pairs, Path(temporary))
                except GlacierxError as error:
                    notes.append(f"{name}: {error}")
                    break
                line = line_of(f"{name}, tta {tta}", maps, pairs, data, arguments.block_m)
                lines.append(replace(line, notes=told))
                notes += [text for text in told if text not in notes]
                if number == 0 and tta == model.card.tta:
                    first = lines[-1]
                    if arguments.pictures is not None:
                        draw_ends(data, pairs, maps, line.scenes, arguments.pictures)
    return Result(data, lines, kept.lines, notes, first)


def judge(results: Mapping[str, Result]) -> list[Claim]:
    """Say which statements hold of the first model with its card's test-time augmentation."""
    missing = [name for name in FOLDERS if name not in results]
    told = [f"{name} is not there" for name in missing]
    ahead: dict[str, dict[str, float]] = {}
    shown: dict[str, list[str]] = {score: list(told) for score in JUDGED}
    for name, result in results.items():
        for score, title in JUDGED.items():
            best = result.best(score)
            own = result.first[score] if result.first is not None else math.nan
            gain = own - best[score]
            ahead.setdefault(score, {})[name] = gain if math.isfinite(gain) else -math.inf
            ends = difference(result.first, best, score) if result.first is not None else None
            between = f" ({ends[0]:+.3f} to {ends[1]:+.3f})" if ends else ""
            shown[score].append(
                f"{name}: {title} {own:.3f}, best other {best[score]:.3f} ({best.name}), "
                f"difference {gain:+.3f}{between}"
            )
    below = any(gain < 0 for gains in ahead.values() for gain in gains.values())
    clear = sum(gain >= MARGIN for gain in ahead["iou"].values())
    most = clear + len(missing)
    often = True if clear >= MOST_OFTEN else None if most >= MOST_OFTEN else False
    claims = [
        Claim(
            "On no folder below the best of all other methods in IoU or balanced accuracy",
            False if below else None if missing else True,
            [*shown["iou"], *(line for line in shown["balanced_accuracy"] if line not in told)],
        ),
        Claim(
            f"On at least two of the three folders its IoU is {MARGIN} or more above the best",
            often,
            [f"on {clear} of {len(results)}", *told],
        ),
    ]
    return [*claims, _debris_claim(results)]


def _debris_claim(results: Mapping[str, Result]) -> Claim:
    text = (
        "At least half of the debris of the Sentinel-2 validation is found at a precision of "
        f"{DEBRIS_PRECISION} or more"
    )
    found = [result for result in results.values() if result.data.debris]
    if not found:
        return Claim(text, None, ["sentinel2_debris is not there"])
    [result] = found
    if result.first is None:
        return Claim(text, False, ["the model cannot read sentinel2_debris"])
    recall, precision = (
        result.first.debris["scores"][key] or 0.0 for key in ("recall", "precision")
    )
    holds = recall >= DEBRIS_RECALL and precision >= DEBRIS_PRECISION
    best = max(result.others, key=_debris_f1)
    return Claim(
        text,
        holds,
        [
            f"recall {recall:.3f}, precision {precision:.3f}; the best F1 of the others is "
            f"{_debris_f1(best):.3f} ({best.name}), its own {_debris_f1(result.first):.3f}"
        ],
    )


def _debris_f1(line: Line) -> float:
    value: float | None = line.debris["scores"]["f1"]
    return 0.0 if value is None else value


def _cell(value: float | None, ends: Sequence[float] | None, dash: str) -> str:
    if value is None or not math.isfinite(value):
        return dash
    return f"{value:.3f}" + (f" ({ends[0]:.2f}{dash}{ends[1]:.2f})" if ends else "")


def rows_of(result: Result, dash: str) -> list[list[str]]:
    """Return the table of a folder, names of columns first."""
    head = ["Method", "IoU (95 %)", "Balanced accuracy (95 %)", "F1", "Kappa", "ASD m"]
    with_debris = bool(result.data.debris)
    rows = [head + (["Debris recall (95 %)", "Debris precision (95 %)"] if with_debris else [])]
    for line in (*result.models, *result.others):
        row = [line.name]
        row += [
            _cell(line.scores[name], line.intervals.get(name), dash)
            for name in ("iou", "balanced_accuracy")
        ]
        row += [_cell(line.scores[name], None, dash) for name in ("f1", "kappa")]
        asd = line["asd_m"]
        row.append(f"{asd:.0f}" if math.isfinite(asd) else _cell(None, None, dash))
        if with_debris:
            row += [
                _cell(line.debris["scores"][name], line.debris["intervals"].get(name), dash)
                for name in ("recall", "precision")
            ]
        rows.append(row)
    return rows


def text_of(result: Result, *, markdown: bool) -> str:
    """Write the table of a folder as aligned text or as Markdown."""
    title = FOLDERS[result.data.name]
    blocks = max(line.blocks for line in result.others)
    about = f"{blocks} blocks; {result.data.note}."
    if not markdown:
        lines = [f"{title} ({result.data.name})", about, *aligned(rows_of(result, "-"))]
        return "\n".join([*lines, *(f"Note: {note}" for note in result.notes)])
    head, *rows = rows_of(result, EN_DASH)
    table = [head, ["---"] * len(head), *rows]
    lines = [f"## {title}", "", about[0].upper() + about[1:], ""]
    lines += [
        "|" + "|".join(row) + "|" if row[0] == "---" else f"| {' | '.join(row)} |" for row in table
    ]
    return "\n".join([*lines, "", *(f"- {note}" for note in result.notes)]).rstrip()


def claims_text(claims: Sequence[Claim], name: str, *, markdown: bool) -> str:
    """Write what holds and what does not, with the numbers."""
    words = {True: "holds", False: "does not hold", None: "cannot be told"}
    lines = [f"## Of {name}" if markdown else f"Of {name}:", *([""] if markdown else [])]
    for number, claim in enumerate(claims, 1):
        lines.append(
            f"{number}. {claim.text}: **{words[claim.holds]}**."
            if markdown
            else f"({number}) {words[claim.holds].upper()}: {claim.text}."
        )
        lines += [f"   {'- ' if markdown else ' '}{reason}" for reason in claim.because]
    return "\n".join(lines)


def record_of(
    results: Mapping[str, Result], claims: Sequence[Claim], models: Mapping[str, Model]
) -> dict[str, Any]:
    """Return everything as plain values for JSON."""
    return {
        "schema": "glacierx-benchmark/1",
        "versions": versions("torch", "scikit-learn"),
        "models": {
            name: {"card": model.card.name, "tta": model.card.tta, "sha256": model.sha256}
            for name, model in models.items()
        },
        "folders": {
            name: {
                "models": [asdict(line) for line in result.models],
                "others": [asdict(line) for line in result.others],
                "notes": list(result.notes),
            }
            for name, result in results.items()
        },
        "claims": [asdict(claim) for claim in claims],
    }


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.safetensors")
    parser.add_argument("--data", type=Path, default=DEFAULT, help="folder of the data sets")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "glacierx-baselines",
        help="folder that keeps what methods without a network reached [default: a temporary one]",
    )
    parser.add_argument(
        "--block-m", type=float, default=BLOCK_M, help="side of the blocks of the intervals"
    )
    parser.add_argument("--pictures", type=Path, help="folder for the best and the worst scenes")
    parser.add_argument("--json", type=Path, help="file for all the numbers")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    return parser.parse_args()


def main() -> None:
    """Print a table for each folder that is there, then what holds of the first model."""
    arguments = parsed()
    there = {data.name: data for data in DATA_SETS if (arguments.data / data.name).is_dir()}
    wanted = [there[name] for name in FOLDERS if name in there]
    if not wanted:
        sys.exit(f"There are no data sets in {arguments.data}: give the folder that holds them.")
    models = read_models(arguments.models)
    results = {}
    for data in wanted:
        results[data.name] = measure(data, models, arguments)
        print(text_of(results[data.name], markdown=arguments.markdown), end="\n\n", flush=True)
    claims = judge(results)
    name, model = next(iter(models.items()))
    title = f"{name}, tta {model.card.tta}"
    print(claims_text(claims, title, markdown=arguments.markdown))
    if arguments.json is not None:
        record = record_of(results, claims, models)
        arguments.json.write_text(json_text(json.loads(json.dumps(record))), encoding="utf-8")


if __name__ == "__main__":
    warnings.simplefilter("ignore", GlacierxWarning)
    main()
