"""One training of an experiment: a fold and a seed, in a folder of its own."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from glacierx.errors import OutputError
from glacierx.evaluate.metrics import pixel_scores
from glacierx.predict.modelfile import Model, save_network
from glacierx.scene.staging import staged
from glacierx.training.options import SplitOptions, TrainOptions
from glacierx.training.run import Place, identity, learn, view_of
from glacierx.training.train import Data, Scenes, part_scenes
from glacierx.training.validate import validate

Progress = Callable[[int, int, str], None]
FORMAT = "glacierx run 1"
SCORES, MODEL, FOLDER = "scores.json", "model.safetensors", "model.training"
SHOWN = ("iou", "kappa", "f1", "balanced_accuracy")
COUNTS = ("tp", "fp", "fn", "tn")


@dataclass(frozen=True)
class Run:
    """A training of an experiment.

    Attributes:
        name: Of its folder.
        seed: What its weights and patches follow from.
        fold: Which fold is held out; None where scenes are not split into folds.
    """

    name: str
    seed: int
    fold: int | None


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        run: The run.
        part: What it was scored on: ``test``, which it knew nothing of, or ``validation``, which
            also chose its weights.
        counts: Pixels of that part: tp, fp, fn and tn.
        skipped: It was done before.
        reason: Why it failed, on one line; empty where it did not.
    """

    run: Run
    part: str = ""
    counts: Mapping[str, int] | None = None
    skipped: bool = False
    reason: str = ""

    @property
    def scores(self) -> dict[str, float]:
        """Scores of its pixels; NaN where they are not defined, none where it failed."""
        if self.counts is None:
            return {}
        values = pixel_scores(*(self.counts[name] for name in COUNTS))
        return {name: float(values[name]) for name in SHOWN}


def runs_of(split: SplitOptions, options: TrainOptions, seeds: int) -> list[Run]:
    """Name every run: each fold with each seed, which count up from that of the options."""
    numbers = range(options.seed, options.seed + seeds)
    if not split.folds:
        return [Run(f"seed{seed}", seed, None) for seed in numbers]
    return [
        Run(f"fold{fold}-seed{seed}", seed, fold)
        for fold in range(1, split.folds + 1)
        for seed in numbers
    ]


def do_run(  # noqa: PLR0913 - what a run is made of
    run: Run,
    scenes: Scenes,
    model: Model,
    split: SplitOptions,
    options: TrainOptions,
    place: Place,
    *,
    progress: Progress | None = None,
) -> Outcome:
    """Train and score once, or take what was done before with the same.

    Args:
        run: Which fold and seed.
        scenes: All scenes.
        model: The network and its card, with fresh weights of the run's seed.
        split: How scenes are split; the fold is the run's.
        options: How it learns; the seed is that of the split, the run's own stands in *run*.
        place: The folder of all runs, and the device.
        progress: Called as it learns.

    Raises:
        GlacierxError: It cannot be done.
        OutputError: The folder holds a run of other scenes, options or versions.
    """
    if place.folder is None:
        raise OutputError("A run needs a folder. Give one.")
    folder = place.folder / run.name
    split = replace(split, fold=run.fold or split.fold)
    # Folds stay the same from seed to seed.
    data = part_scenes(scenes, model.card, split, options=options)
    options = replace(options, seed=run.seed)
    model = replace(model, card=replace(data.card, name=f"{model.card.name}-{run.name}"))
    key = identity(model, data.sources, options)
    done = None if place.overwrite else _done(folder, key, run)
    if done is not None:
        return done
    own = replace(place, folder=folder / FOLDER, resume=not place.overwrite)
    trained = learn(model, data.sources, options, own, about=data.about, progress=progress)
    save_network(trained, folder / MODEL, overwrite=True)
    outcome = _scored(run, trained, data, options, own)
    told = {
        "format": FORMAT, "key": key, **asdict(run), "part": outcome.part,
        "counts": outcome.counts,
        "scores": {name: plain(value) for name, value in outcome.scores.items()},
        "split": split.as_record(),
    }  # fmt: skip
    with staged(folder / SCORES, overwrite=True) as part:
        part.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return outcome


def plain(value: float) -> float | None:
    """Return a score as JSON holds it: None for one that is not defined."""
    return None if value != value else value


def _scored(run: Run, model: Model, data: Data, options: TrainOptions, place: Place) -> Outcome:
    held = {source.part for source in data.sources}
    part = "test" if "test" in held else "validation"
    sources = [source for source in data.sources if source.part == part]
    network = model.network.to(place.device)
    found = validate(network, sources, view_of(model, options, place.device)).pooled()
    return Outcome(run, part, dict(zip(COUNTS, found.four(), strict=True)))


def _done(folder: Path, key: str, run: Run) -> Outcome | None:
    try:
        told = json.loads((folder / SCORES).read_text(encoding="utf-8"))
        counts = {name: int(told["counts"][name]) for name in COUNTS}
        same, part = told["key"] == key and told["format"] == FORMAT, str(told["part"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OutputError(
            f"{folder / SCORES} is damaged. Delete it to do the run again."
        ) from error
    if not same:
        raise OutputError(
            f"{folder} holds a run with other scenes, options or versions. Give another folder, "
            "or --overwrite it."
        )
    return Outcome(run, part, counts, skipped=True) if (folder / MODEL).exists() else None
