"""glacierx convert."""

from pathlib import Path

import click

from glacierx.cli._divides import dem_options
from glacierx.cli._format import format_options
from glacierx.cli._options import Command
from glacierx.cli._scene import output_option, overwrite_option
from glacierx.formats.delivery import Delivery


@click.command("convert", cls=Command)
@click.argument("result", metavar="RESULT")
@output_option("A folder with --format, else .gpkg, .shp, .fgb or .geojson.")
@format_options
@click.option("--layer", metavar="NAME", help="The layer of glaciers, if there are several.")
@dem_options[0]
@dem_options[1]
@overwrite_option
def command(
    result: str,
    output: Path,
    delivery: Delivery | None,
    layer: str | None,
    dem: str | None,
    dem_band: int | None,
    overwrite: bool,
) -> None:
    """Convert a result to the format of RGI 7.0, RGI 6.0, OGGM or GLIMS, and back.

    RESULT is a result of glacierx, a folder that this command wrote, or any layer of glaciers.
    A DEM is read for the hypsometry, and for elevations where RESULT has none.

    \b
    Example:
        glacierx convert outlines.gpkg --format rgi7 --region 11-01 --dem dem.tif -o rgi7/
    """
    from contextlib import ExitStack

    from glacierx.errors import OptionError
    from glacierx.formats.reading import read_result
    from glacierx.formats.write import check_target, write_format
    from glacierx.outlines.geopackage import write_layers
    from glacierx.scene.terrain import Dem

    inputs = [result, dem]
    if dem and delivery is None:
        raise OptionError("--dem is read for a format. Give one with --format.")
    check_target(output, delivery, overwrite=overwrite, inputs=inputs)
    layers, record = read_result(result, layer)
    if delivery is None:
        write_layers(output, layers, record, overwrite=overwrite, inputs=inputs)
    else:
        with ExitStack() as stack:
            heights = stack.enter_context(Dem(dem, dem_band)) if dem else None
            write_format(output, layers, record, delivery, dem=heights, overwrite=overwrite)
    click.echo(output)
