"""glacierx evaluate."""

from pathlib import Path
from typing import Any

import click

from glacierx.cli._options import Command, options_for, progress, say
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
@file_option("--json", "Write scores as JSON; - for standard output.")
@file_option("--csv", "Write a table of glaciers as CSV.")
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
    from glacierx.errors import OptionError
    from glacierx.evaluate.checks import check_scores, parse_limits
    from glacierx.evaluate.evaluate import evaluate_one, evaluate_pairs
    from glacierx.evaluate.pairs import Pair, read_pairs
    from glacierx.evaluate.table import (
        json_text,
        pairs_record,
        pairs_text,
        scores_text,
        write_csv,
        write_json,
    )
    from glacierx.scene.icewindow import MaskChoice
    from glacierx.scene.output import check_outputs

    limits = [*parse_limits(fail_under, options), *parse_limits(fail_over, options, over=True)]
    if (pairs is None) == (prediction is None or truth is None) or (pairs and prediction):
        raise OptionError("Give PREDICTION and TRUTH, or --pairs FILE.")
    if pairs and figure:
        raise OptionError("--figure draws one pair, and --pairs gives several. Leave one out.")
    to_stdout = str(json) == "-"
    files = [None if to_stdout else json, csv, figure]
    check_outputs(files, overwrite=overwrite, inputs=[prediction, truth, pairs, like, image])
    choice = MaskChoice(chosen["layer"], chosen["band"], chosen["positive"], chosen["threshold"])
    truth_choice = MaskChoice(chosen["truth_layer"], chosen["truth_band"], chosen["truth_positive"])
    if pairs:
        rows, scores = evaluate_pairs(
            read_pairs(pairs, choice, truth_choice), options, align=align, progress=progress()
        )
        text, record = pairs_text(rows, scores), pairs_record(rows, scores)
    else:
        pair = Pair(str(prediction), str(truth), like, image or like, choice, truth_choice)
        scores = evaluate_one(pair, options, align=align, progress=progress())
        text, record = scores_text(scores), scores.as_record()
        if figure:
            from glacierx.errormap import draw_errors

            draw_errors(pair, figure, align=align, overwrite=overwrite)
    if json and not to_stdout:
        write_json(json, record, overwrite=overwrite)
    if csv:
        write_csv(csv, scores.glaciers, overwrite=overwrite)
    click.echo(json_text(record) if to_stdout else text)
    for path in filter(None, files):
        say(f"Written: {path}")
    check_scores(scores, limits)
