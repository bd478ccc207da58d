"""glacierx merge."""

from contextlib import ExitStack
from pathlib import Path

import click

from glacierx.cli._divides import dem_options
from glacierx.cli._format import format_options
from glacierx.cli._options import Command, found, options_for, progress, say
from glacierx.cli._scene import hash_option, output_option, overwrite_option
from glacierx.formats.delivery import Delivery
from glacierx.options import MergeOptions


@click.command("merge", cls=Command)
@click.argument("outlines", metavar="OUTLINES...", nargs=-1, required=True)
@output_option("Where the inventory goes: .gpkg, .shp, .fgb or .geojson; with --format a folder.")
@click.option("--crs", metavar="CRS", help="CRS of the result [default: that of most of the ice].")
@dem_options[0]
@dem_options[1]
@hash_option
@overwrite_option
@format_options
@options_for(MergeOptions, "options")
def command(
    outlines: tuple[str, ...],
    output: Path,
    crs: str | None,
    dem: str | None,
    dem_band: int | None,
    always_hash: bool,
    overwrite: bool,
    delivery: Delivery | None,
    options: MergeOptions,
) -> None:
    """Merge the outlines of many scenes into one inventory.

    OUTLINES are files that glacierx wrote, folders of such (those of a batch too), or patterns.
    Glaciers that a scene's edge cuts are taken whole from another scene or joined, and nothing is
    there twice.

    \b
    Example:
        glacierx merge results/ -o region.gpkg
    """
    from glacierx.errors import OptionError
    from glacierx.merge import merge_to
    from glacierx.scene.terrain import Dem

    if dem is None and dem_band is not None:
        raise OptionError("--dem-band names a band of the DEM: give it with --dem.")
    with ExitStack() as stack:
        heights = stack.enter_context(Dem(dem, dem_band)) if dem else None
        result = merge_to(
            output,
            outlines,
            options,
            crs=crs,
            dem=heights,
            delivery=delivery,
            overwrite=overwrite,
            always_hash=always_hash,
            progress=progress(),
        )
    scenes = len(result.record["merge"])
    joined = int((result.glaciers["joined"] > 1).sum()) if len(result.glaciers) else 0
    say(f"{found(result)}, of {scenes} scenes; {joined} joined")
    click.echo(output)
