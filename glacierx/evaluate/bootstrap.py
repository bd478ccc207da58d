"""How sure a score is: resample glaciers, scenes or blocks of ground, never pixels."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from glacierx.evaluate.metrics import average_distance, boundary_f1, pixel_scores
from glacierx.evaluate.units import Units

SAMPLES = 2000
SEED = 0
FEWEST_UNITS = 2
FEW_UNITS, MOST_UNITS = 10, 100_000
LEAST_DEFINED = 0.95
AT_ONCE = 1 << 22

Floats = NDArray[np.float64]


def scores_of_sums(sums: Mapping[str, Floats], mean_of_means: bool = False) -> dict[str, Floats]:
    """Compute scores from sums over units.

    Args:
        sums: Sums by name, each a number for each sample: ``tp``, ``fp``, ``fn``, ``tn``;
            ``found_m2`` and ``true_m2``; ``UNIT/found``, ``UNIT/found_n``, ``UNIT/true`` and
            ``UNIT/true_n``, the distances in UNIT and their weights; ``edges/found``,
            ``edges/true``, ``TOLERANCE/found_hit``, ``TOLERANCE/true_hit`` of boundaries;
            ``glaciers``, ``glaciers_found``, ``iou_50``, ``area_50``, ``area_75`` of glaciers.
            Those that lack give no score.
        mean_of_means: Average directed means, instead of all distances at once.

    Returns:
        Scores by name.
    """
    scores: dict[str, Floats] = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        if "tn" in sums:
            scores |= pixel_scores(*(sums[name] for name in ("tp", "fp", "fn", "tn")))
        else:
            known = pixel_scores(sums["tp"], sums["fp"], sums["fn"], 0)
            scores |= {name: known[name] for name in ("iou", "precision", "recall", "f1")}
        scores["area_bias_percent"] = (sums["found_m2"] / sums["true_m2"] - 1) * 100
        for unit in ("px", "m"):
            if f"{unit}/found" in sums:
                sides = ("found", "found_n", "true", "true_n")
                of_unit = (sums[f"{unit}/{side}"] for side in sides)
                scores[f"asd_{unit}"] = average_distance(*of_unit, pooled=not mean_of_means)
        for name in sums:
            if name.endswith("/found_hit"):
                key = name.removesuffix("/found_hit")
                scores[key] = boundary_f1(
                    sums[name], sums["edges/found"], sums[f"{key}/true_hit"], sums["edges/true"]
                )
        if "glaciers" in sums:
            scores["area_50"] = sums["area_50"] / sums["true_m2"]
            scores["area_75"] = sums["area_75"] / sums["true_m2"]
            scores["pq"] = sums["iou_50"] / ((sums["glaciers"] + sums["glaciers_found"]) / 2)
    return scores


def intervals(units: Units, mean_of_means: bool = False) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of each score by the percentile bootstrap (Efron 1979).

    Args:
        units: What is drawn, with replacement; the same draws every time.
        mean_of_means: See `scores_of_sums`.

    Returns:
        Low and high by name; nothing where there are fewer than two units, or so many that it
        would take minutes. Samples in which a score is not defined do not count for it; a score
        that is not in more than one of twenty has no interval.
    """
    count = len(units)
    if not FEWEST_UNITS <= count <= MOST_UNITS:
        return {}
    generator = np.random.default_rng(SEED)
    table = np.column_stack([units.sums[name] for name in units.sums])
    drawn = []
    step = max(1, AT_ONCE // count)
    for start in range(0, SAMPLES, step):
        samples = min(step, SAMPLES - start)
        times = generator.multinomial(count, np.full(count, 1 / count), size=samples)
        drawn.append(times @ table)
    sums = dict(zip(units.sums, np.concatenate(drawn).T, strict=True))
    return {
        name: (float(low), float(high))
        for name, values in scores_of_sums(sums, mean_of_means).items()
        if np.isfinite(values).mean() >= LEAST_DEFINED
        for low, high in [np.percentile(values[np.isfinite(values)], [2.5, 97.5])]
    }
