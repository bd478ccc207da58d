"""glacierx simulate."""

from pathlib import Path

import click

from glacierx.cli._options import Command, options_for, progress
from glacierx.cli._scene import output_option, overwrite_option
from glacierx.options import SimulateOptions


@click.command("simulate", cls=Command)
@output_option("Folder for scene.tif, dem.tif and outlines.gpkg.")
@overwrite_option
@options_for(SimulateOptions, "options")
def command(output: Path, overwrite: bool, options: SimulateOptions) -> None:
    """Make a scene of glaciers in mountains, its DEM and its true outlines.

    \b
    Example:
        glacierx simulate --size 2048 --gsd 10 --seed 1 -o made/
    """
    from glacierx.simulate.simulate import simulate

    made = simulate(output, options, overwrite=overwrite, progress=progress())
    for path in (made.scene, made.dem, made.outlines):
        click.echo(path)
