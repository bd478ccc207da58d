"""Glaciers found and true glaciers, matched one to one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

SLIVER_KM2 = 0.05

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


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
        pq: Panoptic quality: sum of the IoU of matched pairs over the mean number of glaciers
            (Kirillov et al. 2019).
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


@dataclass(frozen=True)
class Overlaps:
    """What found glaciers and reference glaciers have in common: a sparse table.

    Attributes:
        reference: Number of the reference glacier from 1, 0 for none; one for each pair.
        found: Number of the glacier found from 1, 0 for none.
        pixels: Pixels that the two share.
        area_m2: Their area.
    """

    reference: Ints
    found: Ints
    pixels: Ints
    area_m2: Floats

    @classmethod
    def gather(cls, reference: Ints, found: Ints, pixels: Ints, area_m2: Floats) -> "Overlaps":
        """Add up pairs that occur several times; pairs of nothing with nothing are left out."""
        some = (reference > 0) | (found > 0)
        wide = int(found.max(initial=0)) + 1
        codes, of = np.unique(reference[some] * wide + found[some], return_inverse=True)
        count = len(codes)
        return cls(
            codes // wide,
            codes % wide,
            np.bincount(of, pixels[some], minlength=count).astype(np.int64),
            np.bincount(of, area_m2[some], minlength=count).astype(np.float64),
        )


def count_overlaps(found: Ints, reference: Ints, row_m2: Floats) -> Overlaps:
    """Count the pixels that glaciers share.

    Args:
        found: Numbers of glaciers from 1, 0 for none (rows, columns).
        reference: The same of the reference.
        row_m2: Area of a pixel in each row.
    """
    # Runs of like pixels along a row are counted at once.
    starts: NDArray[np.bool_] = np.ones(found.shape, bool)
    np.not_equal(found[:, 1:], found[:, :-1], out=starts[:, 1:])
    starts[:, 1:] |= reference[:, 1:] != reference[:, :-1]
    begin = np.flatnonzero(starts)
    pixels = np.diff(np.r_[begin, found.size])
    area = pixels * row_m2[begin // max(1, found.shape[1])]
    return Overlaps.gather(reference.ravel()[begin], found.ravel()[begin], pixels, area)


@dataclass(frozen=True)
class Matched:
    """Each reference glacier and its partner.

    Attributes:
        matching: The summary.
        reference: Numbers of the reference glaciers that there are.
        found: Numbers of the glaciers found.
        reference_m2: Area of each reference glacier.
        found_m2: Area of each glacier found.
        covered_m2: Area of each reference glacier that any glacier found covers.
        partner: Index of the glacier found that each reference glacier is matched with, -1 for
            none.
        iou: Of each reference glacier with its partner, 0 without.
        home: For each glacier found the index of the reference glacier that it shares most with,
            -1 for none.
    """

    matching: Matching
    reference: Ints
    found: Ints
    reference_m2: Floats
    found_m2: Floats
    covered_m2: Floats
    partner: Ints
    iou: Floats
    home: Ints

    @classmethod
    def join(cls, parts: "Sequence[Matched]") -> "Matched":
        """Put the glaciers of several pairs together; none is matched across pairs."""
        iou = np.concatenate([part.iou for part in parts])
        reference_m2 = np.concatenate([part.reference_m2 for part in parts])
        found_m2 = np.concatenate([part.found_m2 for part in parts])
        # Indices go on counting where those of the pair before end.
        r0 = np.cumsum([0, *(len(part.reference) for part in parts)])
        f0 = np.cumsum([0, *(len(part.found) for part in parts)])

        def shifted(arrays: list[Ints], starts: Ints) -> Ints:
            return np.concatenate(
                [
                    np.where(array < 0, -1, array + at)
                    for array, at in zip(arrays, starts, strict=False)
                ]
            )

        return cls(
            summarise(reference_m2, found_m2, iou),
            np.concatenate([part.reference for part in parts]),
            np.concatenate([part.found for part in parts]),
            reference_m2,
            found_m2,
            np.concatenate([part.covered_m2 for part in parts]),
            shifted([part.partner for part in parts], f0),
            iou,
            shifted([part.home for part in parts], r0),
        )


def match(overlaps: Overlaps) -> Matched:
    """Match glaciers one to one so that the sum of their IoU is greatest (Hungarian method)."""
    r_all, f_all, area = overlaps.reference, overlaps.found, overlaps.area_m2
    reference, r = np.unique(np.r_[0, r_all], return_inverse=True)
    found, f = np.unique(np.r_[0, f_all], return_inverse=True)
    r, f = r[1:], f[1:]
    of_reference, of_found = (
        np.bincount(side, area, minlength=len(numbers))[1:].astype(np.float64)
        for side, numbers in ((r, reference), (f, found))
    )
    both = (r > 0) & (f > 0)
    r, f, common = r[both] - 1, f[both] - 1, area[both]
    iou_of = common / (of_reference[r] + of_found[f] - common)
    chosen = _assign(r, f, iou_of, len(of_reference))
    partner = np.full(len(of_reference), -1, np.int64)
    iou: Floats = np.zeros(len(of_reference))
    partner[r[chosen]], iou[r[chosen]] = f[chosen], iou_of[chosen]
    home = np.full(len(of_found), -1, np.int64)
    order = np.argsort(common, kind="stable")
    home[f[order]] = r[order]
    return Matched(
        summarise(of_reference, of_found, iou),
        reference[1:],
        found[1:],
        of_reference,
        of_found,
        np.bincount(r, common, minlength=len(of_reference)).astype(np.float64),
        partner,
        iou,
        home,
    )


def _assign(r: Ints, f: Ints, iou: Floats, references: int) -> Ints:
    """Return the pairs to choose: the assignment of the greatest sum, on the sparse table."""
    if not len(r):
        return np.zeros(0, np.int64)
    # Each reference glacier may also stay alone, which a column of its own stands for. Every row
    # has then one pair, so a constant added to all weights changes nothing, and none is zero.
    wide = int(f.max()) + 1
    own = np.arange(references)
    weights = csr_array(
        (
            np.concatenate([1 + iou, np.ones(references)]),
            (np.concatenate([r, own]), np.concatenate([f, wide + own])),
        ),
        shape=(references, wide + references),
    )
    rows, columns = min_weight_full_bipartite_matching(weights, maximize=True)
    paired = columns < wide
    order = np.lexsort((f, r))
    wanted = rows[paired].astype(np.int64) * wide + columns[paired]
    chosen: Ints = order[np.searchsorted((r * wide + f)[order], wanted)]
    return chosen


def summarise(reference_m2: Floats, found_m2: Floats, iou: Floats) -> Matching:
    """Sum up a matching.

    Args:
        reference_m2: Area of each reference glacier.
        found_m2: Area of each glacier found.
        iou: Of each reference glacier with its partner.
    """
    good = iou > 0.5
    total = float(reference_m2.sum())
    mean_number = (len(reference_m2) + len(found_m2)) / 2
    return Matching(
        found=len(found_m2),
        reference=len(reference_m2),
        matched=int(good.sum()),
        area_50=float(reference_m2[good].sum() / total) if total else math.nan,
        area_75=float(reference_m2[iou > 0.75].sum() / total) if total else math.nan,
        f1=float(good.sum() / mean_number) if mean_number else math.nan,
        pq=float(iou[good].sum() / mean_number) if mean_number else math.nan,
        slivers=int(np.count_nonzero(found_m2 < SLIVER_KM2 * 1e6)),
    )


def match_glaciers(found: Any, reference: Any, pixel_m2: float) -> Matching:
    """Match the glaciers of two label rasters.

    Args:
        found: Labels from 1, 0 for none (rows, columns).
        reference: The same of the reference.
        pixel_m2: Area of a pixel.
    """
    found, reference = (np.atleast_2d(np.asarray(label, np.int64)) for label in (found, reference))
    return match(count_overlaps(found, reference, np.full(len(found), float(pixel_m2)))).matching
