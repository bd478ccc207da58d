"""Scores of a prediction against the truth, per glacier and as a whole."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacierx.errors import GlacierxError, OptionError, SceneError
from glacierx.evaluate.distances import Ruler
from glacierx.evaluate.matching import Matched
from glacierx.evaluate.pairs import Opened, Pair, open_pair
from glacierx.evaluate.scores import Scores, make_scores, pool
from glacierx.evaluate.tally import Tally, tally
from glacierx.options import EvaluateOptions
from glacierx.outlines.reference import ID_COLUMNS, text_column
from glacierx.scene.blocks import block_cache
from glacierx.scene.icemask import OutlineMask
from glacierx.scene.icewindow import IceMask, MaskChoice
from glacierx.scene.raster import PathLike

GLACIER_COLUMNS = (
    "glacier", "found", "area_km2", "found_km2", "iou", "area_bias_percent", "recall",
)  # fmt: skip

Progress = Callable[[int, int, str], None]


def evaluate(  # noqa: PLR0913 - one keyword for each flag of the command line
    prediction: PathLike,
    truth: PathLike,
    options: EvaluateOptions = EvaluateOptions(),
    *,
    like: PathLike | None = None,
    align: bool = False,
    choice: MaskChoice = MaskChoice(),
    truth_choice: MaskChoice = MaskChoice(),
    progress: Progress | None = None,
) -> Scores:
    """Score a prediction against the truth.

    Args:
        prediction: A mask, a probability map or a vector layer of outlines.
        truth: A mask or a vector layer of outlines.
        options: What is measured.
        like: A raster whose grid outlines are burnt on, instead of the truth's; its pixels
            without data are left out.
        align: Warp a raster of another grid onto the one that is scored (nearest neighbour).
        choice: Layer, band, numbers and threshold of the prediction, and of the truth where that
            has none of its own.
        truth_choice: The same of the truth.
        progress: Called as work goes on.

    Returns:
        The scores, on pixels that are valid in both.

    Raises:
        GridError: The two lie on different grids or places.
        SceneError: A file cannot be read as ice, or no pixel is valid in both.
        OutlineError: A layer is missing or holds no polygons.
        OptionError: ``scenes`` are to be resampled, of which there is one.

    Example:
        >>> evaluate("prediction.tif", "truth.tif")["iou"]
        0.91
    """
    pair = Pair(prediction, truth, like, choice=choice, truth_choice=truth_choice)
    return evaluate_one(pair, options, align=align, progress=progress)


def evaluate_one(
    pair: Pair,
    options: EvaluateOptions = EvaluateOptions(),
    *,
    align: bool = False,
    progress: Progress | None = None,
) -> Scores:
    """Score one pair; see `evaluate`."""
    if options.bootstrap == "scenes":
        raise OptionError("--bootstrap scenes needs several pairs. Give them with --pairs FILE.")
    return _evaluate(pair, options, align=align, progress=progress)


def open_cached(pair: Pair, stack: ExitStack, *, align: bool = False) -> Opened:
    """Open a pair, see `open_pair`, with a cache that does not grow with the machine."""
    stack.enter_context(block_cache())
    return open_pair(pair, stack, align=align)


def _evaluate(
    pair: Pair, options: EvaluateOptions, *, align: bool, progress: Progress | None
) -> Scores:
    with ExitStack() as stack:
        opened = open_cached(pair, stack, align=align)
        counted = tally(opened, options, progress=progress)
        if not counted.confusion.pixels:
            raise SceneError(_nothing_valid(opened, counted))
        return make_scores(
            (opened.found.name, opened.truth.name),
            counted,
            options,
            glaciers=_glacier_rows(opened, counted.matched),
            grid=_describe(opened, counted),
            notes=tuple(_notes(opened, counted)),
        )


def _nothing_valid(opened: Opened, counted: Tally) -> str:
    names = opened.found.name, opened.truth.name
    empty = [name for name, valid in zip(names, counted.valid, strict=True) if not valid]
    what = (
        f"{' and '.join(empty)} holds nothing but nodata"
        if empty
        else (f"{names[0]} and {names[1]} have data in different places")
    )
    return f"No pixel can be scored: {what}. Give two files with data of the same ground."


def _describe(opened: Opened, counted: Tally) -> dict[str, Any]:
    grid = opened.grid
    return {
        "crs": grid.crs_name,
        "gsd_m": Ruler(grid).side or grid.gsd_m,
        "shape": list(grid.shape),
        "overlap": opened.found.overlap,
        "valid_share": counted.confusion.pixels / (grid.rows * grid.columns),
    }


def _notes(opened: Opened, counted: Tally) -> list[str]:
    notes = [*opened.found.notes, *opened.truth.notes]
    for mask in (opened.found, opened.truth):
        if mask.own_grid is not None and not mask.own_grid.matches(opened.grid):
            notes.append(
                f"{mask.name} was warped onto {opened.grid.describe()} (nearest neighbour) and "
                f"covers {mask.overlap:.1%} of it"
            )
    total = opened.grid.rows * opened.grid.columns
    share = 1 - counted.confusion.pixels / total
    if share > 0:
        notes.append(f"{share:.1%} of the pixels have no data and are left out")
    seen = {opened.found: counted.matched.found, opened.truth: counted.matched.reference}
    for mask, numbers in seen.items():
        if isinstance(mask, OutlineMask) and len(numbers) < len(mask.rows):
            notes.append(
                f"{len(mask.rows) - len(numbers)} of the {len(mask.rows)} outlines of {mask.name} "
                "on this grid hold the centre of no scored pixel, and are not counted"
            )
    sides = {"found": opened.found, "true": opened.truth}
    pieces = [side for side, mask in sides.items() if mask.kind in ("mask", "probability")]
    if pieces:
        notes.append(f"glaciers {' and '.join(pieces)} are pieces of connected ice")
    return notes


def _glacier_rows(opened: Opened, matched: Matched) -> list[dict[str, Any]]:
    """List each true glacier, then each one found that is nobody's partner."""
    found_names = _names(opened.found, matched.found)
    true_names = _names(opened.truth, matched.reference)
    rows = []
    for at, partner in enumerate(matched.partner.tolist()):
        area = float(matched.reference_m2[at])
        found = float(matched.found_m2[partner]) if partner >= 0 else 0.0
        rows.append(
            {
                "glacier": true_names[at],
                "found": found_names[partner] if partner >= 0 else None,
                "area_km2": area / 1e6,
                "found_km2": found / 1e6,
                "iou": float(matched.iou[at]),
                "area_bias_percent": (found / area - 1) * 100,
                "recall": float(matched.covered_m2[at]) / area,
            }
        )
    partners = set(matched.partner.tolist())
    rows += [
        {
            "glacier": None,
            "found": found_names[at],
            "area_km2": 0.0,
            "found_km2": float(area) / 1e6,
            "iou": 0.0,
            "area_bias_percent": None,
            "recall": None,
        }
        for at, area in enumerate(matched.found_m2.tolist())
        if at not in partners
    ]
    return rows


def _names(mask: IceMask, numbers: NDArray[np.int64]) -> list[str]:
    """Name glaciers as their file does, else by number."""
    if not isinstance(mask, OutlineMask):
        return [str(number) for number in numbers.tolist()]
    rows = mask.rows[numbers - 1]
    ids = text_column(mask.layer, ID_COLUMNS, rows)
    return [
        str(row + 1) if name is None else name
        for row, name in zip(rows.tolist(), ids.tolist(), strict=True)
    ]


def evaluate_pairs(
    pairs: Sequence[Pair],
    options: EvaluateOptions = EvaluateOptions(),
    *,
    align: bool = False,
    progress: Progress | None = None,
) -> tuple[list[Scores], Scores]:
    """Score several pairs, each by itself and all together.

    Args:
        pairs: Predictions and truths.
        options: What is measured.
        align: Warp rasters of another grid onto the one that is scored.
        progress: Called as work goes on.

    Returns:
        The scores of each pair, and those of all: their counts and distances are added up.

    Raises:
        GlacierxError: As `evaluate` does, naming the pair.
    """
    rows = []
    for number, pair in enumerate(pairs, 1):
        try:
            scores = _evaluate(pair, options, align=align, progress=progress)
        except GlacierxError as error:
            raise type(error)(f"Pair {number} of {len(pairs)}: {error}") from error
        rows.append(
            replace(scores, intervals={}, resampled="none", units=0)
            if options.bootstrap == "scenes"
            else scores
        )
    return rows, pool(rows, options)
