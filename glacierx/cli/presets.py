"""glacierx presets."""

import json
import textwrap
from typing import TYPE_CHECKING, Any

import click

from glacierx.cli._options import Command

if TYPE_CHECKING:
    from glacierx.training.preset import Preset

WIDTH = 100


@click.group("presets")
def command() -> None:
    """List and show presets: published and own recipes to train by.

    \b
    Example:
        glacierx presets list
    """


@command.command("list", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_presets(as_json: bool) -> None:
    """List the presets that ship, with their networks, inputs and sources.

    \b
    Example:
        glacierx presets list
    """
    from glacierx.evaluate.table import aligned
    from glacierx.training.preset import load_preset, presets

    found = [load_preset(name) for name in presets()]
    if as_json:
        click.echo(json.dumps([preset.as_record() for preset in found], indent=1))
        return
    rows = [["preset", "network", "inputs", "classes", "source"]]
    rows += [
        [
            preset.name,
            network_of(preset),
            str(len(preset.card.inputs)),
            str(len(preset.card.classes)),
            preset.origin.paper,
        ]
        for preset in found
    ]
    click.echo("\n".join(aligned(rows, len(rows[0]))))


@command.command("show", cls=Command)
@click.argument("preset")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_preset(preset: str, as_json: bool) -> None:
    """Show a preset, by name or file: its source, all it sets, and which choices are ours.

    \b
    Example:
        glacierx presets show chu2022
    """
    from glacierx.predict.modelfile import count_parameters
    from glacierx.training.preset import load_preset

    found = load_preset(preset)
    record = {**found.as_record(), "parameters": count_parameters(found.card)}
    click.echo(json.dumps(record, indent=1) if as_json else _shown(record))


def network_of(preset: "Preset") -> str:
    """Say which network a preset has: its architecture, and its encoder if it names one."""
    encoder = preset.card.arguments.get("encoder")
    return preset.card.architecture + (f", {encoder}" if isinstance(encoder, str) else "")


def _shown(record: dict[str, Any]) -> str:
    source = record["source"]
    lines = [record["name"], *_lines("", {**source, "ours": None, "missing": None}, only_told=True)]
    for key, title in (("ours", "Ours"), ("missing", "Not there")):
        lines += [f"{title}:"] * bool(source[key])
        for text in source[key]:
            lines += textwrap.wrap(text, WIDTH, initial_indent="  - ", subsequent_indent="    ")
    lines.append(f"{record['parameters'] / 1e6:.2f} million parameters")
    for table in ("model", "train", "split", "predict", "outline", "divide"):
        if record[table]:
            lines += [f"[{table}]", *_lines("  ", record[table])]
    return "\n".join(lines)


def _lines(indent: str, values: dict[str, Any], *, only_told: bool = False) -> list[str]:
    found = []
    for key, value in values.items():
        if value is None or (only_told and not value):
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        found += textwrap.wrap(
            f"{key}: {text}", WIDTH, initial_indent=indent, subsequent_indent=f"{indent}    "
        )
    return found
