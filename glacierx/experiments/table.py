"""What the runs of an experiment reached: a table with means and standard deviations."""

import math
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from glacierx.evaluate.metrics import pixel_scores
from glacierx.evaluate.table import aligned, csv_text, number, title
from glacierx.experiments.runs import COUNTS, SHOWN, Outcome, plain

COLUMNS = ("run", "fold", "seed", "part", "state", *SHOWN, *COUNTS, "reason")


def summary(outcomes: Sequence[Outcome]) -> dict[str, dict[str, dict[str, float]]]:
    """Return means and standard deviations over runs, and over seeds with all folds pooled.

    Returns:
        ``runs`` and ``pooled``, each with ``mean``, ``std`` (that of a sample, NaN for a single
        one) and ``count`` by score; runs that failed, and scores that are not defined, are left
        out. A seed of which a fold is missing is not pooled.
    """
    done = [outcome for outcome in outcomes if outcome.counts is not None]
    seeds = sorted({outcome.run.seed for outcome in outcomes})
    whole = []
    for seed in seeds:
        own = [outcome for outcome in outcomes if outcome.run.seed == seed]
        if all(outcome.counts is not None for outcome in own):
            sums = [sum((outcome.counts or {})[name] for outcome in own) for name in COUNTS]
            whole.append({name: float(value) for name, value in pixel_scores(*sums).items()})
    return {"runs": _both([outcome.scores for outcome in done]), "pooled": _both(whole)}


def _both(scores: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {"mean": {}, "std": {}, "count": {}}
    for name in SHOWN:
        values = [one[name] for one in scores if math.isfinite(one[name])]
        found["count"][name] = len(values)
        found["mean"][name] = mean(values) if values else math.nan
        found["std"][name] = stdev(values) if len(values) > 1 else math.nan
    return found


def rows_of(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return a row for each run."""
    return [
        {
            "run": one.run.name, "fold": one.run.fold, "seed": one.run.seed, "part": one.part,
            "state": "failed" if one.reason else "done", "reason": one.reason,
            **{name: plain(value) for name, value in one.scores.items()},
            **(one.counts or {}),
        }
        for one in outcomes
    ]  # fmt: skip


def table_text(outcomes: Sequence[Outcome]) -> str:
    """Write runs, a line each, then means and standard deviations."""
    rows = [["run", "scored on", *(title(name) for name in SHOWN)]]
    for one in outcomes:
        cells = [number(name, one.scores.get(name, math.nan)) for name in SHOWN]
        rows.append([one.run.name, "failed" if one.reason else one.part, *cells])
    found = summary(outcomes)
    folds = len({one.run.fold for one in outcomes})
    kinds = {"runs": "", "pooled": ", folds pooled"} if folds > 1 else {"runs": ""}
    for kind, what in kinds.items():
        for key, text in (("mean", "mean"), ("std", "standard deviation")):
            values = [number(name, found[kind][key][name]) for name in SHOWN]
            rows.append([f"{text}{what}", "", *values])
    return "\n".join(aligned(rows, 2))


def table_csv(outcomes: Sequence[Outcome]) -> str:
    """Write runs, a line each, then means and standard deviations, as CSV."""
    rows = rows_of(outcomes)
    found = summary(outcomes)
    for kind, suffix in (("runs", ""), ("pooled", "_pooled")):
        rows += [{"run": f"{key}{suffix}", **found[kind][key]} for key in ("mean", "std")]
    return csv_text(COLUMNS, rows)


def table_record(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return runs, means and standard deviations as plain values for JSON."""
    found = {
        kind: {
            key: {name: plain(value) for name, value in values.items()}
            for key, values in group.items()
        }
        for kind, group in summary(outcomes).items()
    }
    return {"runs": rows_of(outcomes), "over_runs": found["runs"], "pooled": found["pooled"]}
