"""Every fold with every seed: trained, scored on what was held out, brought into a table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from glacierx.errors import (
    MEMORY_ADVICE,
    BatchError,
    GlacierxError,
    is_out_of_memory,
)
from glacierx.evaluate.table import json_text
from glacierx.experiments.runs import Outcome, Run, do_run, runs_of
from glacierx.experiments.table import table_csv, table_record, table_text
from glacierx.predict.card import Card
from glacierx.predict.modelfile import build_model
from glacierx.scene.provenance import versions
from glacierx.scene.staging import make_folder, staged
from glacierx.training.loop import check_network
from glacierx.training.options import SplitOptions, TrainOptions
from glacierx.training.run import Place
from glacierx.training.train import Scenes, open_scenes

Progress = Callable[[int, int, str], None]
SCHEMA = "glacierx-crossval/1"
NAMED = 5


@dataclass(frozen=True)
class Crossval:
    """What the runs of an experiment reached.

    Attributes:
        outcomes: One for each run, fold by fold.
        folder: Where they lie, with results.csv and results.json.
    """

    outcomes: tuple[Outcome, ...]
    folder: Path

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Those that failed."""
        return tuple(one for one in self.outcomes if one.reason)

    def check(self) -> None:
        """Say which runs failed.

        Raises:
            BatchError: Some did.
        """
        if not self.failed:
            return
        names = [one.run.name for one in self.failed]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        raise BatchError(
            f"{len(names)} of {len(self.outcomes)} runs failed: {', '.join(names[:NAMED])}{more}. "
            f"Their reasons stand above and in {self.folder / 'results.json'}; the same command "
            "does them again."
        )

    def __str__(self) -> str:
        """Return a table of all runs, with means and standard deviations."""
        return table_text(self.outcomes)


def crossval(  # noqa: PLR0913 - one keyword for each thing that can be given
    data: str | Path,
    card: Card,
    output: str | Path,
    options: TrainOptions = TrainOptions(),
    split: SplitOptions = SplitOptions(split="folds:5"),
    *,
    seeds: int = 1,
    place: Place = Place(),
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Crossval:
    """Train a network once for every fold and seed, and score it on what was held out.

    Folds follow from the seed of the options and are the same for every seed of the runs. A run
    that is finished is not done again where scenes, options and versions are the same; one that was
    interrupted goes on. A run that fails stops no other.

    Args:
        data: A manifest (csv, jsonl) of scenes and labels, or a sample file (npz).
        card: What the network is; each run begins with fresh weights of its seed.
        output: The folder of all runs.
        options: How it learns.
        split: What is held out; without folds the parts are the same in every run.
        seeds: How many seeds, counted up from that of the options.
        place: The device, and whether runs are done again; its folder is not used.
        progress: Called as work goes on.
        say: Called with what a user should know while it runs.

    Returns:
        What became of each run.

    Raises:
        GlacierxError: The scenes cannot be used, whatever the fold.

    Example:
        >>> preset = load_preset("unet-resnet18")
        >>> options = preset.train_options()
        >>> crossval("scenes.csv", preset.card, "folds/", options, seeds=3).check()
    """
    folder = Path(output)
    check_network(build_model(card).network, options)
    tell = say or (lambda text: None)
    with open_scenes(data, card, split.ignore_border_m, progress=progress) as scenes:
        make_folder(folder)
        place = Place(folder, device=place.device, overwrite=place.overwrite)
        runs = runs_of(split, options, seeds)
        outcomes = []
        for number, run in enumerate(runs, 1):
            outcome = _tried(run, scenes, card, split, options, place, progress)
            outcomes.append(outcome)
            tell(f"{number}/{len(runs)} {_line(outcome)}")
    found = Crossval(tuple(outcomes), folder)
    _write(found, split, options, seeds)
    return found


def _tried(  # noqa: PLR0913 - what a run is made of
    run: Run,
    scenes: Scenes,
    card: Card,
    split: SplitOptions,
    options: TrainOptions,
    place: Place,
    progress: Progress | None,
) -> Outcome:
    try:
        first = build_model(card, run.seed)
        return do_run(run, scenes, first, split, options, place, progress=progress)
    except GlacierxError as error:
        return Outcome(run, reason=" ".join(str(error).split()))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return Outcome(run, reason=MEMORY_ADVICE)


def _line(outcome: Outcome) -> str:
    if outcome.reason:
        return f"{outcome.run.name} failed: {outcome.reason}"
    done = "done before" if outcome.skipped else "done"
    return f"{outcome.run.name} {done}: IoU {outcome.scores['iou']:.3f} on {outcome.part}"


def _write(found: Crossval, split: SplitOptions, options: TrainOptions, seeds: int) -> None:
    record = {
        "schema": SCHEMA, **table_record(found.outcomes), "split": split.as_record(),
        "options": options.as_record(), "seeds": seeds, "versions": versions("torch"),
    }  # fmt: skip
    texts = {"results.json": json_text(record), "results.csv": table_csv(found.outcomes)}
    for name, text in texts.items():
        with staged(found.folder / name, overwrite=True) as part:
            part.write_text(text, encoding="utf-8")
