"""glacierx evaluate."""

from pathlib import Path
from typing import Any

import click

from glacierx.cli._options import Command, options_for, progress, say
from glacierx.cli._results import check_results, json_option, show_results
from glacierx.cli._scene import file_option, overwrite_option
from glacierx.options import EvaluateOptions


@click.command("evaluate", cls=Command)
@click.argument("prediction", metavar="[PREDICTION]", required=False)
@click.argument("truth", metavar="[TRUTH]", required=False)
@file_option("--pairs", "Score the pairs of this CSV: prediction,truth,like,threshold ...")
@click.option("--layer", metavar="NAME", help="Layer of a vector file that has several.")
@click.option("--truth-layer", metavar="NAME", help="That of the truth, if it is another.")
@click.option("--band", type=int, metavar="N", help="Band of a raster that has several.")
@click.option("--truth-band", type=int, metavar="N", help="That of the truth, if it is another.")
@click.option(
    "--positive",
    metavar="VALUES",
    help="Numbers that mean glacier: 1,2 or 3-8; 'labels' if each number above 0 is one glacier.",
)
@click.option("--truth-positive", metavar="VALUES", help="Those of the truth, if others.")
@click.option(
    "--classes",
    metavar="NAME,...",
    help="Classes that are scored as glacier, together [default: the map's own].",
)
@click.option(
    "--legend",
    metavar="VALUE=NAME,...",
    help="What numbers of a raster of classes stand for: 0=background,1=debris,2=ice.",
)
@click.option("--truth-legend", metavar="VALUE=NAME,...", help="That of the truth, if another.")
@click.option("--field", metavar="NAME", help="Column of outlines that holds their class.")
@click.option("--truth-field", metavar="NAME", help="That of the truth, if it is another.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="NUM",
    help="A pixel above this probability is glacier [default: the map's own].",
)
@click.option(
    "--like",
    metavar="RASTER",
    help="Score on this raster's grid, where it has data; needed for two vector files.",
)
@click.option("--align", is_flag=True, help="Warp a raster of another grid (nearest neighbour).")
@json_option
@file_option("--csv", "Write a table of glaciers as CSV; - for standard output.")
@file_option("--figure", "Draw agreement, missed and false ice (PNG).")
@click.option(
    "--image", metavar="RASTER", help="Draw the figure over this raster [default: that of --like]."
)
@click.option(
    "--fail-under",
    multiple=True,
    metavar="NAME=NUM,...",
    help="End with exit code 8 if a score is below: iou=0.9,f1=0.95.",
)
@click.option(
    "--fail-over",
    multiple=True,
    metavar="NAME=NUM,...",
    help="The same if a distance or an error is above: asd_m=20.",
)
@overwrite_option
@options_for(EvaluateOptions, "options")
def command(
    prediction: str | None,
    truth: str | None,
    pairs: Path | None,
    like: str | None,
    image: str | None,
    align: bool,
    json: Path | None,
    csv: Path | None,
    figure: Path | None,
    fail_under: tuple[str, ...],
    fail_over: tuple[str, ...],
    overwrite: bool,
    options: EvaluateOptions,
    **chosen: Any,
) -> None:
    """Score a prediction against the truth: masks, probability maps or outlines.

    Pixels that have no data in either are left out. The table goes to standard output.

    \b
    Example:
        glacierx evaluate pred.tif truth.tif
        glacierx evaluate outlines.gpkg inventory.gpkg --like scene.tif --json scores.json
    """
    from glacierx.errormap import check_figure, draw_errors
    from glacierx.errors import OptionError
    from glacierx.evaluate.checks import check_scores, parse_limits
    from glacierx.evaluate.evaluate import GLACIER_COLUMNS, evaluate_one, evaluate_pairs
    from glacierx.evaluate.pairs import Pair, read_pairs
    from glacierx.evaluate.table import pairs_record, pairs_text, scores_text
    from glacierx.scene.icewindow import MaskChoice

    limits = [*parse_limits(fail_under, options), *parse_limits(fail_over, options, over=True)]
    if (pairs is None) == (prediction is None or truth is None) or (pairs and prediction):
        raise OptionError("Give PREDICTION and TRUTH, or --pairs FILE.")
    if pairs and figure:
        raise OptionError("--figure draws one pair, and --pairs gives several. Leave one out.")
    if image and not figure:
        raise OptionError("--image lies below the figure: give it with --figure FILE.")
    choice = MaskChoice(**{key: one for key, one in chosen.items() if key[:6] != "truth_"})
    truth_choice = MaskChoice(
        **{key[6:]: one for key, one in chosen.items() if key[:6] == "truth_"}
    )
    wanted = Pair(str(prediction), str(truth), like, image or like, choice, truth_choice)
    several = read_pairs(pairs, wanted) if pairs else [wanted]
    read = [path for pair in several for path in pair.paths]
    check_results(json, csv, [figure], overwrite, [*read, pairs])
    if figure:
        check_figure(figure, wanted.image)
    columns: tuple[str, ...] = GLACIER_COLUMNS
    if pairs:
        rows, scores = evaluate_pairs(several, options, align=align, progress=progress())
        text, record = pairs_text(rows, scores), pairs_record(rows, scores)
        columns = ("prediction", "truth", *columns)
    else:
        scores = evaluate_one(wanted, options, align=align, progress=progress())
        text, record = scores_text(scores), scores.as_record()
    table = columns, scores.glaciers
    show_results(text, record, table, (json, csv), overwrite=overwrite)
    if figure:
        draw_errors(wanted, figure, align=align, overwrite=overwrite)
        say(f"Written: {figure}")
    check_scores(scores, limits)
