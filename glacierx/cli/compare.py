"""glacierx compare."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from glacierx.cli._divides import dem_options
from glacierx.cli._options import Command, progress, say
from glacierx.cli._scene import aoi_option, file_option, overwrite_option


@click.command("compare", cls=Command)
@click.argument("first", metavar="FIRST")
@click.argument("second", metavar="SECOND")
@dem_options[0]
@dem_options[1]
@click.option("--layer", metavar="NAME", help="Layer of a file that has several.")
@click.option("--second-layer", metavar="NAME", help="That of the second, if it is another.")
@click.option("--region", metavar="COLUMN", help="Column that names the region of each glacier.")
@aoi_option
@file_option("--json", "Write everything as JSON; - for standard output.")
@file_option("--csv", "Write the table of areas as CSV.")
@overwrite_option
def command(
    first: str,
    second: str,
    dem: str | None,
    dem_band: int | None,
    json: Path | None,
    csv: Path | None,
    overwrite: bool,
    **arguments: Any,
) -> None:
    """Compare two inventories of one area: how much ice, above and below z50, which glaciers.

    Differences are FIRST less SECOND. With a DEM each glacier is divided at the median elevation
    that it has in FIRST.

    \b
    Example:
        glacierx compare outlines.gpkg inventory.gpkg --dem dem.tif
    """
    from glacierx.errors import OptionError
    from glacierx.evaluate.compare import compare
    from glacierx.evaluate.table import json_text, write_csv, write_json
    from glacierx.scene.output import check_outputs
    from glacierx.scene.terrain import Dem

    if dem is None and dem_band is not None:
        raise OptionError("--dem-band names a band of the DEM: give it with --dem.")
    to_stdout = str(json) == "-"
    files = [None if to_stdout else json, csv]
    check_outputs(files, overwrite=overwrite, inputs=[first, second, dem, arguments["aoi"]])
    with ExitStack() as stack:
        heights = stack.enter_context(Dem(dem, dem_band)) if dem else None
        found = compare(first, second, heights, **arguments, progress=progress())
    if json and not to_stdout:
        write_json(json, found.as_record(), overwrite=overwrite)
    if csv:
        write_csv(csv, [row.as_row() for row in found.rows], overwrite=overwrite)
    click.echo(json_text(found.as_record()) if to_stdout else found.as_text())
    for path in filter(None, files):
        say(f"Written: {path}")
