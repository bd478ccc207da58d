"""glacierx extract."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from glacierx.cli._divides import dem_options, divides_option
from glacierx.cli._format import format_options
from glacierx.cli._options import Command, found, options_for, progress, say
from glacierx.cli._scene import (
    aux_option,
    cog_option,
    file_option,
    hash_option,
    model_option,
    output_option,
    overwrite_option,
    profile_option,
    resume_option,
    scene_options,
)
from glacierx.formats.delivery import Delivery
from glacierx.options import (
    DivideOptions,
    EngineOptions,
    ExtractOptions,
    OutlineOptions,
    PredictOptions,
    ReportOptions,
)


@click.command("extract", cls=Command)
@scene_options
@output_option(
    "Where outlines go: .gpkg (every layer), .shp, .fgb or .geojson (glaciers); with --format a "
    "folder."
)
@format_options
@dem_options[0]
@dem_options[1]
@aux_option
@model_option
@divides_option
@file_option("--probability", "Keep the probability map (GeoTIFF).")
@file_option("--mask", "Write a mask too: 1 glacier, 0 not, 255 unknown (GeoTIFF).")
@file_option("--class-map", "Write the likeliest class of each pixel too, with colours (GeoTIFF).")
@file_option("--report", "Write a page that shows the result, map and table (HTML).")
@file_option("--picture", "Draw the outlines over the scene (.png or .jpg).")
@file_option("--log", "Write paths, times and the run record (JSON).")
@cog_option
@hash_option
@overwrite_option
@resume_option
@profile_option
@click.option(
    "--estimate",
    "only_estimate",
    is_flag=True,
    help="Tell patches, memory, disk and minutes from a few timed patches, and write nothing.",
)
@options_for(EngineOptions, "engine")
@options_for(PredictOptions, "predicting")
@options_for(OutlineOptions, "outlining")
@options_for(DivideOptions, "dividing")
@options_for(ReportOptions, "showing")
def command(
    scene: dict[str, Any],
    output: Path,
    dem: str | None,
    dem_band: int | None,
    aux: tuple[str, ...],
    report: Path | None,
    picture: Path | None,
    log: Path | None,
    overwrite: bool,
    delivery: Delivery | None,
    resume: bool,
    profile: bool,
    only_estimate: bool,
    engine: EngineOptions,
    predicting: PredictOptions,
    outlining: OutlineOptions,
    dividing: DivideOptions,
    showing: ReportOptions,
    **arguments: Any,
) -> None:
    """Extract the outlines of individual glaciers from a scene.

    Without a DEM glacier complexes are not divided. Result paths go to standard output.

    \b
    Example:
        glacierx extract scene.tif --dem dem.tif -o outlines.gpkg
    """
    from glacierx.cli._report import check_shown, shown_beside
    from glacierx.estimate import estimate
    from glacierx.extract import extract_to
    from glacierx.formats.write import check_target
    from glacierx.predict.device import decoders
    from glacierx.predict.memory import keep_memory
    from glacierx.profile import Profile
    from glacierx.record import RunLog
    from glacierx.scene.geotiff import check_rasters
    from glacierx.scene.output import check_outputs
    from glacierx.scene.scene import open_scene

    check_target(output, delivery, overwrite=overwrite)
    rasters = [path for kind in ("probability", "mask", "class_map") if (path := arguments[kind])]
    shown = check_shown(report, picture)
    paths = [output, *rasters, *shown]
    files = paths if delivery is None else [*rasters, *shown]
    check_rasters(rasters, overwrite=overwrite)
    check_outputs([*files, log], overwrite=overwrite)
    run = RunLog()
    took = Profile(exact=profile)
    keep_memory()
    with ExitStack() as stack:
        opened = stack.enter_context(
            open_scene(**scene, dem=dem, dem_band=dem_band, aux=aux, workers=decoders(engine))
        )
        inputs = [*opened.paths, *filter(None, [arguments["divides"]])]
        read = [*inputs, arguments["model"]]
        check_outputs([*files, log], overwrite=overwrite, inputs=read)
        options = ExtractOptions(predicting, outlining, dividing)
        if only_estimate:
            model = arguments["model"]
            click.echo(estimate(opened, model, options, engine=engine, rasters=len(rasters)))
            return
        result = extract_to(
            output, opened, options=options, overwrite=overwrite, delivery=delivery,
            resume=resume, engine=engine, progress=progress(), profile=took,
            beside=shown_beside(report, picture, opened, output, showing), **arguments,
        )  # fmt: skip
    if log:
        # A model by name is no file.
        inputs += [file for file in read[-1:] if Path(file).is_file()]
        run.write(log, result.record, inputs, paths, overwrite=overwrite)
    say(f"{found(result)}, by {result.record['model']['name']}")
    if profile:
        click.echo(took, err=True)
    for path in [*paths, *filter(None, [log])]:
        click.echo(path)
