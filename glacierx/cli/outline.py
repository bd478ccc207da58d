"""glacierx outline."""

from pathlib import Path

import click

from glacierx.cli._options import Command, options_for, progress
from glacierx.cli._scene import (
    aoi_buffer_option,
    aoi_option,
    hash_option,
    output_option,
    overwrite_option,
)
from glacierx.options import OutlineOptions


@click.command("outline", cls=Command)
@click.argument("raster", metavar="RASTER")
@output_option("Where glacier complexes go: .gpkg, .shp or .geojson.")
@aoi_option
@aoi_buffer_option
@hash_option
@overwrite_option
@options_for(OutlineOptions, "options")
def command(
    raster: str,
    output: Path,
    aoi: Path | None,
    aoi_buffer_m: float,
    always_hash: bool,
    overwrite: bool,
    options: OutlineOptions,
) -> None:
    """Trace the outlines of glacier complexes in a probability map or a mask of 0 and 1.

    \b
    Example:
        glacierx outline prob.tif -o complexes.gpkg --min-area-km2 0.05
    """
    from glacierx.extract import outline
    from glacierx.outlines.geopackage import check_format, write_layers
    from glacierx.record import with_outline
    from glacierx.scene.output import check_output
    from glacierx.scene.prediction import open_prediction

    check_format(output)
    inputs = [raster, aoi]
    check_output(output, overwrite=overwrite, inputs=inputs)
    with open_prediction(raster, aoi=aoi, aoi_buffer_m=aoi_buffer_m) as prediction:
        complexes = outline(prediction, options, progress=progress())
        record = with_outline(prediction, options, always_hash=always_hash)
    write_layers(output, {"complexes": complexes}, record, overwrite=overwrite, inputs=inputs)
    click.echo(output)
