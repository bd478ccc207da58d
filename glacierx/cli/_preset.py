"""A recipe by name or file, whose options are defaults of the running command."""

from typing import TYPE_CHECKING

import click

from glacierx.cli._options import prefer

if TYPE_CHECKING:
    from glacierx.training.preset import Preset


def choose_preset(ctx: click.Context, param: click.Parameter, value: str) -> "Preset":
    """Take what a recipe sets of training as defaults."""
    from glacierx.training.preset import load_preset

    preset = load_preset(value)
    prefer(ctx, preset.options, strong=False)
    return preset


def choose_experiment(ctx: click.Context, param: click.Parameter, value: str) -> "Preset":
    """Take what a recipe sets of training and of its folds as defaults."""
    preset = choose_preset(ctx, param, value)
    prefer(ctx, {"split": "folds:5", **preset.split}, strong=False)
    return preset
