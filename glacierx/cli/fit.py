"""glacierx fit."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from glacierx.cli._options import Command, progress, say
from glacierx.cli._scene import output_option, overwrite_option, scenes_options


@click.command("fit", cls=Command)
@click.argument("method", metavar="METHOD")
@click.option(
    "--scene",
    "paths",
    multiple=True,
    required=True,
    metavar="SCENE",
    help="A scene to fit to; as often as there are scenes.",
)
@click.option(
    "--outlines",
    multiple=True,
    required=True,
    metavar="FILE",
    help="Reference outlines or mask: one file for all scenes, or one for each in order.",
)
@output_option("The fitted method (.safetensors), which --model takes.")
@click.option("--layer", metavar="NAME", help="Layer of the outlines, if there are several.")
@click.option(
    "--positive", metavar="NUMBERS", help="Numbers of a mask that mean ice, such as 1,2 or 3-8."
)
@click.option("--align", is_flag=True, help="Warp a mask of another grid (nearest neighbour).")
@scenes_options
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Number that a random forest follows from.",
)
@overwrite_option
def command(
    method: str,
    paths: tuple[str, ...],
    output: Path,
    overwrite: bool,
    scene: dict[str, Any],
    outlines: tuple[str, ...],
    **arguments: Any,
) -> None:
    """Fit a pixel method to reference outlines: ndsi, ratio, sbtm, gmm or rf.

    Thresholds are those of the highest IoU over all scenes; rf is a random forest.

    \b
    Example:
        glacierx fit ratio --scene scene.tif --outlines outlines.gpkg -o ratio.safetensors
    """
    from glacierx.predict.fit import fit
    from glacierx.predict.model import save_model
    from glacierx.predict.modelfile import check_model_path
    from glacierx.scene.output import check_output
    from glacierx.scene.scene import open_scene

    check_model_path(output)
    with ExitStack() as stack:
        scenes = [stack.enter_context(open_scene(path, **scene)) for path in paths]
        inputs = [*(name for opened in scenes for name in opened.paths), *outlines]
        check_output(output, overwrite=overwrite, inputs=inputs)
        fitted = fit(method, scenes, outlines, progress=progress(), **arguments)
    save_model(fitted, output, overwrite=overwrite)
    say(fitted.summary())
    click.echo(output)
