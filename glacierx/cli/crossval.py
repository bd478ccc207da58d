"""glacierx crossval."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from glacierx.cli._options import Command, options_for, progress, say
from glacierx.cli._preset import choose_experiment
from glacierx.cli._scene import device_option
from glacierx.training.options import SplitOptions, TrainOptions

if TYPE_CHECKING:
    from glacierx.training.preset import Preset


@click.command("crossval", cls=Command)
@click.argument("preset", metavar="PRESET", is_eager=True, callback=choose_experiment)
@click.argument("data", metavar="DATA", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where runs go, a folder for each, and results.csv and results.json.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    metavar="N",
    help="Seeds of each fold, counted up from --seed; the folds stay the same.",
)
@click.option("--overwrite", is_flag=True, help="Do every run again.")
@device_option
@options_for(SplitOptions, "split")
@options_for(TrainOptions, "options")
def command(
    preset: "Preset",
    data: Path,
    output: Path,
    seeds: int,
    overwrite: bool,
    device: str,
    split: SplitOptions,
    options: TrainOptions,
) -> None:
    """Train a preset once for every fold and seed, and score it on what was held out.

    PRESET is a name or a .toml, DATA a manifest or a sample file as for train. Without --split
    there are five folds, or those of the preset; every fold is held out once, whatever --fold says.
    The same command goes on where it was interrupted: finished runs are not done again.

    \b
    Example:
        glacierx crossval unet-resnet18 scenes.csv -o folds/ --seeds 3
    """
    from glacierx.experiments.crossval import crossval
    from glacierx.predict.device import choose_device
    from glacierx.predict.memory import keep_memory
    from glacierx.training.run import Place

    keep_memory()
    place = Place(device=choose_device(device), overwrite=overwrite)
    found = crossval(
        data, preset.card, output, options, split, seeds=seeds, place=place,
        progress=progress(), say=say,
    )  # fmt: skip
    click.echo(found)
    say(f"Written: {output / 'results.csv'}, {output / 'results.json'}")
    found.check()
