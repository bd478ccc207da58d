"""Sums over glaciers, scenes and blocks of ground: what the bootstrap resamples."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacierx.evaluate.boundary import Edges
from glacierx.evaluate.distances import Measured, is_within
from glacierx.evaluate.matching import Matched, Overlaps
from glacierx.options import EvaluateOptions
from glacierx.scene.grid import Grid

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Units:
    """What is resampled, and what each unit adds to every score.

    Attributes:
        kind: ``glaciers``, ``scenes`` or ``blocks``.
        sums: Sums by name, one number for each unit; see `scores_of_sums`.
    """

    kind: str
    sums: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(next(iter(self.sums.values()), ()))

    @classmethod
    def join(cls, parts: Sequence["Units"], kind: str) -> "Units":
        """Put the units of several pairs together; as scenes each pair is one unit."""
        names = set.intersection(*(set(part.sums) for part in parts)) if parts else set()
        whole = kind == "scenes"
        return cls(
            kind,
            {
                name: np.concatenate(
                    [[part.sums[name].sum()] if whole else part.sums[name] for part in parts]
                )
                for name in sorted(names)
            },
        )


def tolerances(options: EvaluateOptions) -> dict[str, tuple[str, float]]:
    """Return the name of each boundary F1, and its tolerance in pixels (px) or metres (m)."""
    wanted = {"boundary_f1_1px": ("px", 1.0), "boundary_f1_2px": ("px", 2.0)}
    if options.tolerance_m is not None:
        wanted[f"boundary_f1_{options.tolerance_m:g}m"] = ("m", options.tolerance_m)
    return wanted


def _boundary_sums(
    unit: tuple[Ints, Ints], count: int, between: Measured, options: EvaluateOptions
) -> dict[str, Floats]:
    """Count for each unit the boundary pixels, and those within the tolerances."""
    sums: dict[str, Floats] = {}
    for side, name in enumerate(("found", "true")):
        sums[f"edges/{name}"] = _add(unit[side], count)
        for key, (measure_in, tolerance) in tolerances(options).items():
            near = is_within(between.distances(measure_in, side), tolerance)
            sums[f"{key}/{name}_hit"] = _add(unit[side], count, near)
    return sums


def _distance_sums(unit: tuple[Ints, Ints], count: int, surface: Measured) -> dict[str, Floats]:
    """Add up for each unit the distances and their weights."""
    sums: dict[str, Floats] = {}
    for name in ("px", "m"):
        for side, key in enumerate(("found", "true")):
            distances, weights = surface.distances(name, side), surface.weights(name, side)
            known = np.isfinite(distances)
            weight = known.astype(np.float64) if weights is None else weights * known
            sums[f"{name}/{key}"] = _add(unit[side], count, np.where(known, distances, 0) * weight)
            sums[f"{name}/{key}_n"] = _add(unit[side], count, weight)
    return sums


def _add(unit: Ints, count: int, weight: Any = None) -> Floats:
    return np.bincount(unit, weight, minlength=count).astype(np.float64)


class Blocks:
    """Sums over square blocks of ground."""

    def __init__(self, grid: Grid, block_m: float) -> None:
        self._grid = grid
        height, width = grid.pixel_m
        self._rows = max(1, round(block_m / height))
        self._columns = max(1, round(block_m / width))
        self._shape = (
            math.ceil(grid.rows / self._rows),
            math.ceil(grid.columns / self._columns),
        )
        self._counts = np.zeros((4, *self._shape), np.int64)

    def add(self, first: int, found: Bools, true: Bools, valid: Bools) -> None:
        """Add the next rows, of which the first is number *first*."""
        starts = np.arange(0, self._grid.columns, self._columns)
        row = first
        while row < first + len(found):
            block = row // self._rows
            end = min((block + 1) * self._rows, first + len(found))
            part = slice(row - first, end - first)
            for at, mask in enumerate(
                (found[part] & true[part], found[part], true[part], valid[part])
            ):
                along = mask.sum(axis=0, dtype=np.int32)
                self._counts[at, block] += np.add.reduceat(along, starts)
            row = end

    def sums(
        self,
        edges: tuple[Edges, Edges],
        between: Measured,
        places: tuple[Edges, Edges],
        surface: Measured,
        options: EvaluateOptions,
    ) -> Mapping[str, Floats]:
        """Return the sums of the blocks that hold valid pixels."""
        both, found, true, valid = self._counts.reshape(4, -1).astype(np.float64)
        middle = np.minimum(
            (np.arange(self._shape[0]) + 0.5) * self._rows, self._grid.rows - 1
        ).astype(int)
        pixel_m2 = np.repeat(self._grid.row_areas_m2(0, self._grid.rows)[middle], self._shape[1])
        count = len(both)
        sums = {
            "tp": both,
            "fp": found - both,
            "fn": true - both,
            "tn": valid - found - true + both,
            "found_m2": found * pixel_m2,
            "true_m2": true * pixel_m2,
            **_boundary_sums(self._units(edges), count, between, options),
            **_distance_sums(self._units(places), count, surface),
        }
        return {name: values[valid > 0] for name, values in sums.items()}

    def _units(self, places: tuple[Edges, Edges]) -> tuple[Ints, Ints]:
        one, other = (
            edges.at[:, 0] // self._rows * self._shape[1] + edges.at[:, 1] // self._columns
            for edges in places
        )
        return one, other


def glacier_sums(
    overlaps: Overlaps,
    matched: Matched,
    marked: tuple[Ints, Ints],
    between: Measured,
    options: EvaluateOptions,
) -> dict[str, Floats]:
    """Sum up each true glacier together with the ice found that it shares most with.

    Ice found apart from all true glaciers is a unit of its own; ground without ice belongs to none.
    """
    true = len(matched.reference)
    alone = matched.home < 0
    unit_of_found = np.where(alone, true + np.cumsum(alone) - 1, matched.home)
    count = true + int(alone.sum())
    r = np.searchsorted(matched.reference, overlaps.reference)
    f = np.searchsorted(matched.found, overlaps.found)
    in_true, in_found = overlaps.reference > 0, overlaps.found > 0
    unit = np.where(in_true, r, np.append(unit_of_found, 0)[f])
    good = matched.iou > 0.5
    own = np.arange(true)

    def total(chosen: Bools, weight: NDArray[Any]) -> Floats:
        return _add(unit[chosen], count, weight[chosen])

    edge_units = (
        unit_of_found[np.searchsorted(matched.found, marked[0])],
        np.searchsorted(matched.reference, marked[1]).astype(np.int64),
    )
    sums = {
        "tp": total(in_true & in_found, overlaps.pixels),
        "fp": total(~in_true, overlaps.pixels),
        "fn": total(~in_found, overlaps.pixels),
        "found_m2": total(in_found, overlaps.area_m2),
        "true_m2": total(in_true, overlaps.area_m2),
        "glaciers": _add(own, count),
        "glaciers_found": _add(unit_of_found, count),
        "iou_50": _add(own, count, matched.iou * good),
        "area_50": _add(own, count, matched.reference_m2 * good),
        "area_75": _add(own, count, matched.reference_m2 * (matched.iou > 0.75)),
        **_boundary_sums(edge_units, count, between, options),
    }
    if options.asd != "surface-distance":
        sums |= _distance_sums(edge_units, count, between)
    return sums
