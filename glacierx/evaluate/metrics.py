"""Pixel, outline and front scores: pure functions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

SLIVER_KM2 = 0.05

Labels = NDArray[np.int64]


def intersection_over_union(found: Any, reference: Any, valid: Any = None) -> float:
    """Return the share that two masks have in common of what either has.

    Args:
        found: True where glacier was found.
        reference: True where there is glacier.
        valid: Pixels to count; all if None.

    Returns:
        From 0 to 1; NaN where there is no glacier in either.
    """
    found, reference = np.asarray(found, bool), np.asarray(reference, bool)
    if valid is not None:
        found, reference = found[valid], reference[valid]
    either = int(np.count_nonzero(found | reference))
    return np.count_nonzero(found & reference) / either if either else float("nan")


@dataclass(frozen=True)
class Matching:
    """How well found glaciers and reference glaciers agree, one to one.

    Attributes:
        found: Number of glaciers found.
        reference: Number of reference glaciers.
        matched: Number of pairs with an IoU above 0.5.
        area_50: Share of the reference area in glaciers matched with an IoU above 0.5.
        area_75: The same above 0.75.
        f1: Matched pairs over the mean number of glaciers.
        pq: Panoptic quality: sum of the IoU of matched pairs over the mean number of glaciers.
        slivers: Found glaciers below 0.05 km2.
    """

    found: int
    reference: int
    matched: int
    area_50: float
    area_75: float
    f1: float
    pq: float
    slivers: int


def match_glaciers(found: Labels, reference: Labels, pixel_m2: float) -> Matching:
    """Match glaciers one to one so that the sum of their IoU is greatest (Hungarian method).

    Args:
        found: Labels from 1, 0 for none (rows, columns).
        reference: The same of the reference.
        pixel_m2: Area of a pixel.
    """
    _, f = np.unique(np.r_[0, found.ravel()], return_inverse=True)
    _, r = np.unique(np.r_[0, reference.ravel()], return_inverse=True)
    f, r = f.ravel()[1:], r.ravel()[1:]
    size = int(r.max(initial=0)) + 1, int(f.max(initial=0)) + 1
    table = np.bincount(r * size[1] + f, minlength=size[0] * size[1]).reshape(size)
    of_reference, of_found = table.sum(axis=1)[1:], table.sum(axis=0)[1:]
    common = table[1:, 1:]
    iou = common / np.maximum(of_reference[:, None] + of_found[None] - common, 1)
    rows, columns = linear_sum_assignment(-iou)
    best = iou[rows, columns]
    total = max(int(of_reference.sum()), 1)
    good = best > 0.5
    mean_number = (len(of_reference) + len(of_found)) / 2
    return Matching(
        found=len(of_found),
        reference=len(of_reference),
        matched=int(good.sum()),
        area_50=float(of_reference[rows[good]].sum() / total),
        area_75=float(of_reference[rows[best > 0.75]].sum() / total),
        f1=float(good.sum() / mean_number) if mean_number else float("nan"),
        pq=float(best[good].sum() / mean_number) if mean_number else float("nan"),
        slivers=int(np.count_nonzero(of_found * pixel_m2 < SLIVER_KM2 * 1e6)),
    )
