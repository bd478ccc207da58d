"""glacierx predict."""

from pathlib import Path
from typing import Any

import click

from glacierx.cli._divides import dem_options
from glacierx.cli._options import Command, options_for, progress
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
from glacierx.options import EngineOptions, PredictOptions


@click.command("predict", cls=Command)
@scene_options
@output_option("The probability map (GeoTIFF, uint8 in steps of 0.004, nodata 255).")
@file_option("--mask", "Write a mask too: 1 glacier, 0 not, 255 unknown (GeoTIFF).")
@file_option("--class-map", "Write the likeliest class of each pixel too, with colours (GeoTIFF).")
@dem_options[0]
@dem_options[1]
@aux_option
@model_option
@cog_option
@hash_option
@overwrite_option
@resume_option
@profile_option
@options_for(EngineOptions, "engine")
@options_for(PredictOptions, "options")
def command(
    scene: dict[str, Any],
    output: Path,
    dem: str | None,
    dem_band: int | None,
    aux: tuple[str, ...],
    mask: Path | None,
    class_map: Path | None,
    overwrite: bool,
    profile: bool,
    engine: EngineOptions,
    **arguments: Any,
) -> None:
    """Predict the probability of glacier for every pixel of a scene.

    A DEM is read for models that take terrain.

    \b
    Example:
        glacierx predict scene.tif -o prob.tif
    """
    from glacierx.predict.device import decoders
    from glacierx.predict.memory import keep_memory
    from glacierx.predict.predict import predict
    from glacierx.profile import Profile
    from glacierx.scene.geotiff import check_rasters
    from glacierx.scene.scene import open_scene

    check_rasters((output, mask, class_map), overwrite=overwrite)
    took = Profile(exact=profile)
    keep_memory()
    with (
        open_scene(
            **scene, dem=dem, dem_band=dem_band, aux=aux, workers=decoders(engine)
        ) as opened,
        predict(
            opened,
            path=output,
            mask=mask,
            class_map=class_map,
            overwrite=overwrite,
            engine=engine,
            progress=progress(),
            profile=took,
            **arguments,
        ),
    ):
        pass
    if profile:
        click.echo(took, err=True)
    for path in filter(None, (output, mask, class_map)):
        click.echo(path)
