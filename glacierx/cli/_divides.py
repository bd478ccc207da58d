"""The flag --divides: a method by name, or an inventory to copy from."""

from dataclasses import asdict
from pathlib import Path

import click

from glacierx.cli._options import prefer
from glacierx.options import DIVIDE_PRESETS


def _choose(ctx: click.Context, param: click.Parameter, value: str) -> Path | None:
    """Take a method's parameters as defaults; return an inventory's path."""
    if value not in DIVIDE_PRESETS:
        return Path(value)
    prefer(ctx, asdict(DIVIDE_PRESETS[value]), strong=False)
    return None


divides_option = click.option(
    "--divides",
    default="flowsheds",
    show_default=True,
    metavar="NAME|FILE",
    is_eager=True,
    callback=_choose,
    help="How complexes are divided: flowsheds, kienholz2013, or an inventory to copy from.",
)

dem_options = (
    click.option("--dem", metavar="FILE", help="DEM in metres; on any grid, in any CRS."),
    click.option("--dem-band", type=int, metavar="N", help="Its band, if it has several."),
)
