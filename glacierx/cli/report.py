"""glacierx report."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from glacierx.cli._divides import dem_options
from glacierx.cli._options import Command, options_for
from glacierx.cli._scene import file_option, overwrite_option, scenes_options
from glacierx.options import ReportOptions


@click.command("report", cls=Command)
@click.argument("outlines", metavar="OUTLINES")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the page goes [default: the outlines' name with .html, here].",
)
@click.option("--scene", "path", metavar="SCENE", help="The scene, to be seen below the map.")
@dem_options[0]
@dem_options[1]
@file_option("--scores", "Show these scores, which evaluate --json wrote.")
@file_option("--picture", "Draw the outlines over the scene too (.png or .jpg).")
@click.option("--layer", metavar="NAME", help="Layer of a vector file that has several.")
@overwrite_option
@scenes_options
@options_for(ReportOptions, "options")
def command(
    outlines: str,
    output: Path | None,
    path: str | None,
    dem: str | None,
    dem_band: int | None,
    scores: Path | None,
    picture: Path | None,
    layer: str | None,
    overwrite: bool,
    scene: dict[str, Any],
    options: ReportOptions,
) -> None:
    """Show outlines as one HTML page that opens without a network.

    What the outlines do not tell is left out. Bands are those of the run record, unless they are
    given.

    \b
    Example:
        glacierx report outlines.gpkg --scene scene.tif
    """
    from glacierx.cli._report import check_shown
    from glacierx.errors import OptionError
    from glacierx.picture import outline_picture, save_picture
    from glacierx.report.report import read_scores, report_html, save_report, scene_choice
    from glacierx.report.results import read_results
    from glacierx.scene.output import check_outputs
    from glacierx.scene.raster import base_name
    from glacierx.scene.scene import open_scene
    from glacierx.scene.staging import staged
    from glacierx.scene.terrain import Dem

    output = output or Path(base_name(outlines)).with_suffix(".html")
    shown = [output, *([picture] if picture else [])]
    check_shown(output, picture)
    if picture and not path and not scene["bands"]:
        raise OptionError("--picture draws outlines over a scene. Give it with --scene.")
    check_outputs(shown, overwrite=overwrite, inputs=[outlines, path, dem, scores])
    results = read_results(outlines, layer)
    said = read_scores(scores) if scores else None
    with ExitStack() as stack:
        opened = None
        if path or scene["bands"]:
            opened = stack.enter_context(
                open_scene(path, **scene_choice(results, path, scene), dem=dem, dem_band=dem_band)
            )
            check_outputs(shown, overwrite=overwrite, inputs=opened.paths)
        heights = Dem(dem, dem_band) if dem and not opened else None
        if heights:
            stack.callback(heights.close)
        parts = [stack.enter_context(staged(one, overwrite=overwrite)) for one in shown]
        page = report_html(results, opened, dem=heights, scores=said, options=options)
        save_report(parts[0], page)
        if picture and opened:
            drawn = outline_picture(
                opened, results.glaciers, results.divides, longest_px=options.picture_px
            )
            save_picture(parts[1], drawn)
    for one in shown:
        click.echo(one)
