"""glacierx train."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glacierx.cli._options import Command, options_for, progress, say
from glacierx.cli._preset import choose_preset
from glacierx.cli._scene import device_option, file_option, overwrite_option
from glacierx.training.options import SplitOptions, TrainOptions

if TYPE_CHECKING:
    from glacierx.training.preset import Preset


@click.command("train", cls=Command)
@click.argument("data", metavar="DATA", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The model (.safetensors), which --model takes.",
)
@click.option(
    "--preset",
    default="starter",
    show_default=True,
    metavar="NAME|FILE",
    is_eager=True,
    callback=choose_preset,
    help="A recipe: the network, what it takes and how it learns; see glacierx presets list, or "
    "give a .toml of your own. Options given here win.",
)
@click.option("--init", metavar="NAME|FILE", help="Begin with the weights and card of a model.")
@click.option(
    "--classes",
    metavar="NAME,...",
    help="What the network tells apart [default: the preset's]: background,debris,ice.",
)
@click.option("--ice", metavar="NAME,...", help="Which of the classes are glacier: debris,ice.")
@click.option("--name", metavar="TEXT", help="What the model is called [default: its file's].")
@click.option("--licence", metavar="TEXT", help="Terms of the weights, for the card.")
@click.option("--half", is_flag=True, help="Store the weights in 16 bits, half the size.")
@file_option("--export", "Write the scenes into a sample file (.npz) instead of training.")
@click.option("--estimate", "only_estimate", is_flag=True, help="Say how long it takes, no more.")
@click.option("--resume", is_flag=True, help="Go on with a run that was interrupted.")
@device_option
@overwrite_option
@options_for(SplitOptions, "split")
@options_for(TrainOptions, "options")
def command(
    data: Path,
    output: Path | None,
    preset: "Preset",
    init: str | None,
    classes: str | None,
    ice: str | None,
    name: str | None,
    licence: str | None,
    half: bool,
    export: Path | None,
    only_estimate: bool,
    resume: bool,
    device: str,
    overwrite: bool,
    split: SplitOptions,
    options: TrainOptions,
) -> None:
    """Train a network on the labelled scenes of a manifest (csv, jsonl) or sample file (npz).

    State, log.jsonl, curves.png and pictures are kept in a folder beside the model.

    \b
    Example:
        glacierx train scenes.csv -o model.safetensors
    """
    from glacierx.errors import OptionError
    from glacierx.predict.device import choose_device
    from glacierx.predict.memory import keep_memory
    from glacierx.predict.model import load_model
    from glacierx.predict.modelfile import Model, build_model, check_model_path, save_network
    from glacierx.scene.output import check_output
    from glacierx.training.preset import with_classes
    from glacierx.training.run import Place
    from glacierx.training.train import estimate, open_data, train
    from glacierx.training.train import export as write_samples

    preset_card = with_classes(preset.card, classes, ice)
    if init is not None and (classes or ice):
        raise OptionError("--init brings its classes with it. Leave out --classes and --ice.")
    model: Any = build_model(preset_card, options.seed) if init is None else load_model(init)
    if not isinstance(model, Model):
        raise OptionError(f"--init {init} is a pixel method. Give the model of a network.")
    place = Place(device=choose_device(device))
    keep_memory()
    if export is not None or only_estimate:
        if export is not None:
            check_output(export, overwrite=overwrite, inputs=[data])
        with open_data(data, model.card, split, options=options, progress=progress()) as opened:
            if only_estimate:
                click.echo(estimate(model, opened, options, place).summary())
            if export is not None:
                click.echo(write_samples(opened, export, overwrite=overwrite))
        return
    if output is None:
        raise OptionError("Give the file of the model with -o, or --export, or --estimate.")
    check_model_path(output)
    check_output(output, overwrite=overwrite, inputs=[data])
    card = replace(
        model.card, name=name or output.stem, licence=licence or model.card.licence, scores={}
    )
    place = replace(
        place, folder=output.with_suffix(".training"), resume=resume, overwrite=overwrite
    )
    trained = train(data, replace(model, card=card), options, split, place, progress=progress())
    save_network(trained, output, overwrite=overwrite, half=half)
    for group, scores in trained.card.scores.get("validation", {}).items():
        known = {key: value for key, value in scores.items() if value is not None}
        say(f"{group}: " + ", ".join(f"{key} {value:.3f}" for key, value in known.items()))
    click.echo(output)
