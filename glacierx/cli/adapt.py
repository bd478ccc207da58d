"""glacierx adapt."""

from pathlib import Path
from typing import Any

import click

from glacierx.cli._divides import dem_options
from glacierx.cli._options import Command, options_for, progress, say
from glacierx.cli._scene import (
    aux_option,
    device_option,
    file_option,
    output_option,
    overwrite_option,
    scenes_options,
)
from glacierx.training.options import AdaptOptions


@click.command("adapt", cls=Command)
@click.argument("paths", metavar="SCENE...", nargs=-1, required=True)
@click.option(
    "--outlines",
    multiple=True,
    required=True,
    metavar="FILE",
    help="Inventory or mask, which may be old: one for all scenes, or one for each in order.",
)
@output_option("The adapted model (.safetensors), which --model takes.")
@click.option(
    "--model",
    default="starter",
    show_default=True,
    metavar="NAME|FILE",
    help="The model to begin with.",
)
@click.option("--layer", metavar="NAME", help="Layer of the outlines, if there are several.")
@click.option(
    "--positive", metavar="NUMBERS", help="Numbers of a mask that mean ice, such as 1,2 or 3-8."
)
@click.option(
    "--legend",
    metavar="VALUE=NAME,...",
    help="Classes that numbers of a mask stand for, for a model of several: 0=background,1=ice.",
)
@click.option("--field", metavar="NAME", help="Column of the outlines that holds their class.")
@file_option("--replay", "Sample file (.npz) to learn from too, instead of made scenes.")
@click.option("--half", is_flag=True, help="Store the weights in 16 bits, half the size.")
@dem_options[0]
@dem_options[1]
@aux_option
@scenes_options
@device_option
@overwrite_option
@options_for(AdaptOptions, "options")
def command(
    paths: tuple[str, ...],
    outlines: tuple[str, ...],
    output: Path,
    model: str,
    layer: str | None,
    positive: str | None,
    legend: str | None,
    field: str | None,
    replay: Path | None,
    half: bool,
    dem: str | None,
    dem_band: int | None,
    aux: tuple[str, ...],
    scene: dict[str, Any],
    device: str,
    overwrite: bool,
    options: AdaptOptions,
) -> None:
    """Fine-tune a model on scenes of your own and an inventory, which may be old.

    A belt along the outlines is left out, labels that look wrong count less, and part of the
    ground is kept back: scores there before and after are said at the end.

    \b
    Example:
        glacierx adapt scene.tif --outlines old_inventory.gpkg -o mine.safetensors
    """
    from glacierx.errors import OptionError
    from glacierx.predict.device import choose_device
    from glacierx.predict.labelled import Reference
    from glacierx.predict.memory import keep_memory
    from glacierx.predict.model import load_model
    from glacierx.predict.modelfile import Model, check_model_path, save_network
    from glacierx.scene.icewindow import MaskChoice
    from glacierx.scene.output import check_output
    from glacierx.training.adapt import adapt
    from glacierx.training.manifest import Row
    from glacierx.training.run import Place

    check_model_path(output)
    check_output(output, overwrite=overwrite, inputs=[*paths, *outlines, model, dem, replay])
    start = load_model(model)
    if not isinstance(start, Model):
        raise OptionError(f"--model {model} is a pixel method: fit it with glacierx fit.")
    reading = {
        **scene,
        "invalid": ";".join(scene["invalid"]) or None,
        "nodata": None if scene["nodata"] is None else str(scene["nodata"]),
    }
    buffer_m = reading.pop("aoi_buffer_m")
    files = Reference(outlines, MaskChoice()).of(paths)
    rows = [
        Row(
            path,
            str(labels),
            layer=layer,
            positive=positive,
            legend=legend,
            label_field=field,
            dem=dem,
            dem_band=dem_band,
            aux=";".join(aux) or None,
            aoi_buffer_m=buffer_m,
            **reading,
        )
        for path, labels in zip(paths, files, strict=True)
    ]
    place = Place(device=choose_device(device))
    keep_memory()
    adapted = adapt(
        start,
        rows,
        options,
        replay=replay,
        name=output.stem,
        place=place,
        progress=progress(),
    )
    save_network(adapted.model, output, overwrite=overwrite, half=half)
    say(adapted.summary())
    click.echo(output)
