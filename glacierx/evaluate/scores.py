"""Scores: what a prediction reached, with intervals and with reasons where there is no number."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from glacierx.evaluate.bootstrap import FEW_UNITS, FEWEST_UNITS, MOST_UNITS, intervals
from glacierx.evaluate.calibration import Calibration
from glacierx.evaluate.classes import joined
from glacierx.evaluate.matching import Matched
from glacierx.evaluate.tally import Tally
from glacierx.evaluate.units import Units, tolerances
from glacierx.options import EvaluateOptions

SCHEMA = "glacierx-scores/1"

LOWER_IS_BETTER = ("error", "area_bias_percent", "asd_", "hd95_", "slivers", "ece", "brier")


@dataclass(frozen=True)
class Scores:
    """How good a prediction is.

    Attributes:
        prediction: Name of the prediction's file.
        truth: Name of the truth's file.
        values: Each score by name; NaN where it is not defined.
        reasons: Why scores are not defined, or are what they are by rule.
        intervals: 95 % intervals, low and high, by score.
        resampled: What the intervals resample: ``blocks``, ``glaciers``, ``scenes`` or ``none``.
        units: How many of them there are.
        glaciers: One row for each true glacier, and for each one found without a partner.
        tally: The counts that all this is made of.
        grid: CRS, GSD and shape of the grid that was scored on.
        notes: What a user should know.
    """

    prediction: str
    truth: str
    values: Mapping[str, float]
    reasons: Mapping[str, str]
    intervals: Mapping[str, tuple[float, float]]
    resampled: str
    units: int
    glaciers: Sequence[Mapping[str, Any]]
    tally: Tally
    grid: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> float:
        """Return a score by name."""
        return self.values[name]

    def as_record(self) -> dict[str, Any]:
        """Return everything as plain values for JSON; null where a score is not defined."""
        calibration = self.tally.calibration
        return {
            "schema": SCHEMA,
            "prediction": self.prediction,
            "truth": self.truth,
            "grid": dict(self.grid),
            "confusion": {**asdict(self.tally.confusion), "pixels": self.tally.confusion.pixels},
            "scores": {name: plain(value) for name, value in self.values.items()},
            "reasons": dict(self.reasons),
            "intervals": {
                "percent": 95,
                "resampled": self.resampled,
                "units": self.units,
                "scores": {name: list(ends) for name, ends in self.intervals.items()},
            },
            "calibration": None if calibration is None else calibration.rows(),
            "classes": None if self.tally.classes is None else self.tally.classes.as_record(),
            "glaciers": [
                {name: plain(value) for name, value in row.items()} for row in self.glaciers
            ],
            "notes": list(self.notes),
        }


def plain(value: Any) -> Any:
    """Return a value as JSON has it: None for a number that is none."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def is_better_low(name: str) -> bool:
    """Tell whether less is better for a score."""
    return name.startswith(LOWER_IS_BETTER)


def values_of(tally: Tally, options: EvaluateOptions) -> dict[str, float]:
    """Compute every score of a tally by name."""
    matching = tally.matched.matching
    kind = options.asd
    found, true = tally.found_m2 / 1e6, tally.true_m2 / 1e6
    values = {
        **tally.confusion.scores(),
        "area_found_km2": found,
        "area_true_km2": true,
        "area_bias_percent": (found / true - 1) * 100 if true else math.nan,
        "asd_px": tally.surface.average(kind),
        "asd_m": tally.surface_m.average(kind),
        "hd95_px": tally.edges.hausdorff(),
        "hd95_m": tally.edges_m.hausdorff(),
    }
    for name, (unit, tolerance) in tolerances(options).items():
        apart = tally.edges if unit == "px" else tally.edges_m
        values[name] = apart.boundary_f1(tolerance)
    values |= {
        "glaciers_found": matching.found,
        "glaciers_true": matching.reference,
        "glaciers_matched": matching.matched,
        "area_50": matching.area_50,
        "area_75": matching.area_75,
        "pq": matching.pq,
        "slivers": matching.slivers,
    }
    if tally.calibration is not None:
        values |= {"ece": tally.calibration.error, "brier": tally.calibration.brier}
    return values


def reasons_of(tally: Tally, values: Mapping[str, float]) -> dict[str, str]:
    """Say why scores are not defined."""
    reasons = tally.confusion.reasons()
    counts = tally.confusion
    sides = {"prediction": counts.tp + counts.fp, "truth": counts.tp + counts.fn}
    missing = [side for side, pixels in sides.items() if not pixels]
    if len(missing) == 2:
        why = "no ice in either"
    elif missing:
        why = f"no ice in the {missing[0]}"
    else:
        open_ = [
            side
            for side, spread in zip(sides, (tally.edges.found, tally.edges.reference), strict=True)
            if not spread.weight
        ]
        why = f"the ice of the {' and the '.join(open_)} nowhere ends within the valid pixels"
    for name, value in values.items():
        if math.isnan(value) and name not in reasons:
            of_truth = name in ("area_bias_percent", "area_50", "area_75")
            reasons[name] = "no ice in the truth" if of_truth else why
    return reasons


def make_scores(
    names: tuple[str, str],
    tally: Tally,
    options: EvaluateOptions,
    *,
    glaciers: Sequence[Mapping[str, Any]] = (),
    grid: Mapping[str, Any] | None = None,
    notes: tuple[str, ...] = (),
) -> Scores:
    """Compute the scores of a tally.

    Args:
        names: Names of the prediction and the truth.
        tally: What was counted.
        options: What was asked for.
        glaciers: Rows of the table of glaciers.
        grid: What to say of the grid.
        notes: What a user should know.
    """
    values = values_of(tally, options)
    kind, count = tally.units.kind, len(tally.units)
    if kind != "none" and not FEWEST_UNITS <= count <= MOST_UNITS:
        much = "few" if count < FEWEST_UNITS else "many"
        notes = (*notes, f"no intervals: {count:,} {kind} are too {much} to resample")
    elif kind != "none" and count < FEW_UNITS:
        notes = (*notes, f"intervals rest on {count} {kind} only")
    ends = intervals(tally.units, options.asd != "heimann")
    return Scores(
        names[0],
        names[1],
        values,
        reasons_of(tally, values),
        {name: ends[name] for name in values if name in ends and math.isfinite(values[name])},
        kind,
        count,
        glaciers,
        tally,
        grid or {},
        notes,
    )


def pool(parts: Sequence[Scores], options: EvaluateOptions) -> Scores:
    """Score several pairs as if they were one: counts and distances are added, scores are not.

    Args:
        parts: Scores of the pairs.
        options: What they were scored with.
    """
    tallies = [part.tally for part in parts]
    scenes = options.bootstrap in ("auto", "scenes")
    own = [tally.units for tally in tallies]
    kind = "scenes" if scenes else tallies[0].units.kind
    first, *others = tallies
    added = {
        name: sum((getattr(tally, name) for tally in others), getattr(first, name))
        for name in ("confusion", "found_m2", "true_m2", "surface", "surface_m", "edges", "edges_m")
    }
    whole = Tally(
        **added,
        matched=Matched.join([tally.matched for tally in tallies]),
        calibration=_calibrations(tallies),
        units=Units.join(own, kind),
        valid=(sum(tally.valid[0] for tally in tallies), sum(tally.valid[1] for tally in tallies)),
        classes=joined([tally.classes for tally in tallies]),
    )
    silent = sum(1 for part in parts if math.isnan(part["asd_px"]))
    notes = (f"{silent} of {len(parts)} pairs have no ASD and count for none",) if silent else ()
    glaciers = [
        {"prediction": part.prediction, "truth": part.truth, **row}
        for part in parts
        for row in part.glaciers
    ]
    title = f"all {len(parts)} pairs"
    return make_scores((title, title), whole, options, glaciers=glaciers, notes=notes)


def _calibrations(tallies: Sequence[Tally]) -> Calibration | None:
    parts = [tally.calibration for tally in tallies]
    known = [part for part in parts if part is not None]
    return sum(known[1:], known[0]) if len(known) == len(parts) else None
