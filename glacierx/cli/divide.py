"""glacierx divide."""

from contextlib import ExitStack
from pathlib import Path

import click

from glacierx.cli._divides import dem_options, divides_option
from glacierx.cli._format import format_options
from glacierx.cli._options import Command, options_for, progress
from glacierx.cli._scene import (
    aoi_buffer_option,
    aoi_option,
    file_option,
    hash_option,
    output_option,
    overwrite_option,
)
from glacierx.formats.delivery import Delivery
from glacierx.options import DivideOptions


@click.command("divide", cls=Command)
@click.argument("complexes", metavar="COMPLEXES")
@output_option(
    "Where glaciers and divides go: .gpkg, .shp, .fgb, .geojson or, with --format, a folder."
)
@format_options
@click.option("--layer", metavar="NAME", help="The layer of complexes, if there are several.")
@dem_options[0]
@dem_options[1]
@divides_option
@file_option("--probability", "Probability map, for the columns that come from its pixels.")
@aoi_option
@aoi_buffer_option
@hash_option
@overwrite_option
@options_for(DivideOptions, "options")
def command(
    complexes: str,
    output: Path,
    layer: str | None,
    dem: str | None,
    dem_band: int | None,
    divides: Path | None,
    probability: Path | None,
    aoi: Path | None,
    aoi_buffer_m: float,
    always_hash: bool,
    overwrite: bool,
    delivery: Delivery | None,
    options: DivideOptions,
) -> None:
    """Divide glacier complexes into glaciers.

    \b
    Example:
        glacierx divide complexes.gpkg --dem dem.tif -o glaciers.gpkg
    """
    from glacierx.errors import GridError, OptionError
    from glacierx.extract import divide
    from glacierx.formats.write import check_target, write_format
    from glacierx.outlines.geopackage import read_complexes, write_layers
    from glacierx.outlines.reference import inventory_around
    from glacierx.record import foreign_record, with_divide
    from glacierx.scene.prediction import open_prediction
    from glacierx.scene.raster import base_name, overlap_share
    from glacierx.scene.terrain import Dem

    if aoi and not probability:
        raise OptionError("--aoi says where the probability map ends: give it with --probability.")
    inputs = [complexes, dem, divides, probability, aoi]
    check_target(output, delivery, overwrite=overwrite, inputs=inputs)
    outlines, record = read_complexes(complexes, layer)
    record = record or foreign_record(complexes, always_hash=always_hash)
    with ExitStack() as stack:
        heights = stack.enter_context(Dem(dem, dem_band)) if dem else None
        if heights is not None and len(outlines):
            heights.check_overlap(outlines.frame, base_name(complexes))
        pixels = None
        if probability:
            pixels = open_prediction(probability, aoi=aoi, aoi_buffer_m=aoi_buffer_m)
            stack.enter_context(pixels)
            if len(outlines) and overlap_share(pixels.grid, outlines.frame) == 0:
                raise GridError(
                    f"{pixels.name} does not overlap {base_name(complexes)}. "
                    "Give the probability map that these outlines were traced from."
                )
        division = divide(
            outlines,
            heights,
            options,
            inventory=inventory_around(divides, outlines) if divides else None,
            prediction=pixels,
            gsd_m=record.get("scene", {}).get("gsd_m"),
            progress=progress(),
        )
        record = with_divide(record, options, heights, divides, always_hash=always_hash)
        layers = {"glaciers": division.glaciers, "divides": division.divides}
        if delivery is not None:
            write_format(output, layers, record, delivery, dem=heights, overwrite=overwrite)
    if delivery is None:
        write_layers(output, layers, record, overwrite=overwrite, inputs=inputs)
    click.echo(output)
