"""Scores as people read them: aligned tables, JSON and CSV."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from glacierx.evaluate.classes import SHOWN
from glacierx.evaluate.scores import Scores, plain

TITLES = {
    "overall_accuracy": "overall accuracy",
    "error": "error share",
    "balanced_accuracy": "balanced accuracy",
    "kappa": "kappa",
    "miou": "MIoU",
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "area_found_km2": "area found, km2",
    "area_true_km2": "true area, km2",
    "area_bias_percent": "area bias, %",
    "asd_px": "ASD, pixels",
    "asd_m": "ASD, m",
    "hd95_px": "Hausdorff 95 %, pixels",
    "hd95_m": "Hausdorff 95 %, m",
    "boundary_f1_1px": "boundary F1, 1 pixel",
    "boundary_f1_2px": "boundary F1, 2 pixels",
    "glaciers_found": "glaciers found",
    "glaciers_true": "true glaciers",
    "glaciers_matched": "matched, IoU > .5",
    "area_50": "area@.5",
    "area_75": "area@.75",
    "pq": "panoptic quality",
    "slivers": "slivers < 0.05 km2",
    "ece": "calibration error",
    "brier": "Brier score",
}
GROUPS = (
    ("overall_accuracy", "pixels"),
    ("area_found_km2", "area"),
    ("asd_px", "boundary"),
    ("glaciers_found", "glaciers"),
    ("ece", "calibration"),
)
# What a line of many pairs has room for.
SHORT = {
    "iou": "IoU", "f1": "F1", "precision": "prec.", "recall": "recall", "kappa": "kappa",
    "miou": "MIoU", "asd_px": "ASD px", "asd_m": "ASD m", "area_bias_percent": "bias %",
    "area_50": "area@.5", "pq": "PQ",
}  # fmt: skip


def title(name: str) -> str:
    """Return what a score is called in a table."""
    if name.startswith("boundary_f1_") and name not in TITLES:
        return f"boundary F1, {name.removeprefix('boundary_f1_').removesuffix('m')} m"
    return TITLES.get(name, name)


def number(name: str, value: float) -> str:
    """Write a score with the digits that it deserves; a dash where there is none."""
    if not math.isfinite(value):
        return "-"
    if name.startswith("glaciers_") or name == "slivers":
        return f"{value:,.0f}"
    if name == "area_bias_percent":
        return signed(value)
    if name.endswith(("_km2", "_px", "_m")):
        return f"{value:,.2f}"
    return f"{value:.4f}"


def signed(value: float) -> str:
    """Write a difference with its sign, and nothing as nothing."""
    text = f"{value:+,.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Pad cells to columns: the first *left* to the left, the others to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if at < left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def scores_text(scores: Scores) -> str:
    """Write the scores of one pair as an aligned table."""
    counts = scores.tally.confusion
    head = [["prediction", scores.prediction], ["truth", scores.truth]]
    if scores.grid:
        rows, columns = scores.grid["shape"]
        head.append(
            [
                "grid",
                f"{rows} x {columns} pixels of {scores.grid['gsd_m']:.4g} m, {scores.grid['crs']}; "
                f"{scores.grid['valid_share']:.1%} scored",
            ]
        )
    lines = [*aligned(head, 2), ""]
    lines += aligned(
        [
            ["", "truth: ice", "truth: none"],
            ["found: ice", f"{counts.tp:,}", f"{counts.fp:,}"],
            ["found: none", f"{counts.fn:,}", f"{counts.tn:,}"],
        ]
    )
    resampled = f"95 % interval, {scores.units:,} {scores.resampled}" if scores.intervals else ""
    table = [["", "value", resampled]]
    starts = dict(GROUPS)
    for name, value in scores.values.items():
        if name in starts:
            table.append([f"-- {starts[name]}", "", ""])
        ends = scores.intervals.get(name)
        extra = f"{number(name, ends[0])} to {number(name, ends[1])}" if ends else ""
        extra = extra or scores.reasons.get(name, "")
        table.append([title(name), number(name, value), extra])
    lines += ["", *aligned(table), *classes_lines(scores)]
    if scores.notes:
        lines += ["", *(f"Note: {note}." for note in scores.notes)]
    return "\n".join(lines)


def classes_lines(scores: Scores) -> list[str]:
    """Write how many pixels of each class were found as which, and the scores of each."""
    counts = scores.tally.classes
    if counts is None:
        return []
    pixels = [["truth, down", *(f"found {name}" for name in counts.names)]]
    for name, row in zip(counts.names, counts.pixels.tolist(), strict=True):
        pixels.append([name, *(f"{value:,}" for value in row)])
    table = [["class", *(title(key) for key in SHOWN)]]
    for name, each in counts.scores().items():
        table.append([name, *(number(key, each[key]) for key in SHOWN)])
    means = [
        ["mean IoU of classes", number("iou", counts.mean_iou)],
        ["pixels of the right class", number("iou", counts.accuracy)],
    ]
    return ["", *aligned(pixels), "", *aligned(table), "", *aligned(means)]


def pairs_text(rows: Sequence[Scores], pooled: Scores) -> str:
    """Write the scores of several pairs, a line each, and those of all together."""
    table = [["prediction", "truth", *SHORT.values()]]
    table += [
        [row.prediction, row.truth, *(number(name, row[name]) for name in SHORT)] for row in rows
    ]
    table.append(["all", "", *(number(name, pooled[name]) for name in SHORT)])
    if pooled.intervals:
        for label, end in (("  from", 0), ("  to", 1)):
            table.append(
                [
                    label,
                    "",
                    *(
                        number(name, pooled.intervals[name][end])
                        if name in pooled.intervals
                        else ""
                        for name in SHORT
                    ),
                ]
            )
    lines = aligned(table, 2)
    lines += classes_lines(pooled)
    if pooled.intervals:
        lines += ["", f"from, to: 95 % interval over {pooled.units:,} {pooled.resampled}"]
    told = list(dict.fromkeys([*pooled.notes, *(note for row in rows for note in row.notes)]))
    lines += ["", *(f"Note: {note}." for note in told)] if told else []
    return "\n".join(lines)


def json_text(record: Mapping[str, Any]) -> str:
    """Return a record as JSON; a number that is none is not allowed to slip in."""
    return json.dumps(record, indent=1, allow_nan=False) + "\n"


def csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV under the names of their columns; empty where there is no value."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        values = (plain(row.get(name)) for name in columns)
        writer.writerow("" if value is None else value for value in values)
    return file.getvalue()


def pairs_record(rows: Sequence[Scores], pooled: Scores) -> dict[str, Any]:
    """Return the scores of several pairs as plain values for JSON."""
    whole = pooled.as_record()
    return {
        "schema": whole["schema"],
        "pairs": [row.as_record() for row in rows],
        "pooled": {
            name: value for name, value in whole.items() if name not in ("schema", "glaciers")
        },
    }
