"""glacierx simulate."""

from pathlib import Path

import click

from glacierx.cli._options import Command, options_for, progress
from glacierx.cli._scene import file_option, output_option, overwrite_option
from glacierx.options import SimulateOptions


@click.command("simulate", cls=Command)
@output_option("Folder for scene.tif, dem.tif and outlines.gpkg.")
@overwrite_option
@file_option("--dem", "Render the terrain of this DEM instead of made mountains.")
@file_option("--outlines", "Its glaciers: an inventory that any vector file holds.")
@options_for(SimulateOptions, "options")
def command(
    output: Path,
    overwrite: bool,
    dem: Path | None,
    outlines: Path | None,
    options: SimulateOptions,
) -> None:
    """Make a scene of glaciers in mountains, its DEM and its true outlines.

    With a DEM and outlines the terrain and the glaciers are real, and only the light, the snow and
    the debris are made.

    \b
    Example:
        glacierx simulate --size 2048 --gsd 10 --seed 1 -o made/
    """
    from glacierx.simulate.simulate import simulate

    made = simulate(
        output, options, dem=dem, outlines=outlines, overwrite=overwrite, progress=progress()
    )
    for path in (made.scene, made.dem, made.outlines):
        click.echo(path)
