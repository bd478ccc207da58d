"""glacierx models."""

import json

import click

from glacierx.cli._options import Command


@click.group("models")
def command() -> None:
    """List and show models.

    \b
    Example:
        glacierx models list
    """


@command.command("list", cls=Command)
def list_models() -> None:
    """List the models that ship, the pixel methods, the architectures, and presets to train by.

    \b
    Example:
        glacierx models list
    """
    from glacierx.networks import architectures
    from glacierx.predict.classic import METHODS
    from glacierx.predict.model import find_model, shipped_models
    from glacierx.predict.modelfile import load_card
    from glacierx.training.preset import presets

    names = shipped_models()
    click.echo("Models:" if names else "Models: none is installed; give a file with --model.")
    for name in names:
        card = load_card(find_model(name))
        click.echo(f"  {name}  {card.architecture}, {', '.join(card.roles)}")
    click.echo("Pixel methods, without a network:")
    for name, text in METHODS.items():
        click.echo(f"  {name}  {text}")
    click.echo("  Files of glacierx fit are given to --model as those of networks are.")
    click.echo(f"Architectures: {', '.join(sorted(architectures()))}")
    click.echo(f"Presets of glacierx train: {', '.join(presets())}")


@command.command("show", cls=Command)
@click.argument("model")
def show_model(model: str) -> None:
    """Show the card of a model as JSON.

    \b
    Example:
        glacierx models show model.safetensors
    """
    from glacierx.predict.classic import METHODS, PixelMethod
    from glacierx.predict.methodfile import card_of
    from glacierx.predict.model import find_model, load_model
    from glacierx.predict.modelfile import METHOD_KEY, load_card, read_metadata

    if model in METHODS:
        click.echo(json.dumps({"name": model, "kind": "pixel method", "rule": METHODS[model]}))
        return
    path = find_model(model)
    if METHOD_KEY not in read_metadata(path):
        click.echo(load_card(path).to_json())
        return
    # Loaded, so that a file that could not be used is not shown as one that can.
    method = load_model(path)
    if isinstance(method, PixelMethod):
        click.echo(
            json.dumps({"kind": "pixel method", **card_of(method)}, sort_keys=True, indent=1)
        )
