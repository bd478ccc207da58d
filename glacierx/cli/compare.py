"""glacierx compare."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from glacierx.cli._divides import dem_options
from glacierx.cli._options import Command, progress
from glacierx.cli._results import check_results, json_option, show_results
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
@json_option
@file_option("--csv", "Write the table of areas as CSV; - for standard output.")
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
    from glacierx.evaluate.compare import COLUMNS, compare
    from glacierx.scene.terrain import Dem

    if dem is None and dem_band is not None:
        raise OptionError("--dem-band names a band of the DEM: give it with --dem.")
    check_results(json, csv, [], overwrite, [first, second, dem, arguments["aoi"]])
    with ExitStack() as stack:
        heights = stack.enter_context(Dem(dem, dem_band)) if dem else None
        found = compare(first, second, heights, **arguments, progress=progress())
    rows = [row.as_row() for row in found.rows]
    show_results(
        found.as_text(), found.as_record(), (COLUMNS, rows), (json, csv), overwrite=overwrite
    )
