"""Scores of pixels: pure functions of four counts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# What fits in a core's cache together with two of its kind.
CHUNK_PX = 1 << 18

PIXEL_SCORES = (
    "overall_accuracy", "error", "balanced_accuracy", "kappa", "miou", "iou", "precision",
    "recall", "f1",
)  # fmt: skip


@dataclass(frozen=True)
class Confusion:
    """Counts of valid pixels.

    Attributes:
        tp: Glacier in both.
        fp: Glacier in the prediction only.
        fn: Glacier in the truth only.
        tn: Glacier in neither.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn
        )

    @property
    def pixels(self) -> int:
        """Number of valid pixels."""
        return self.tp + self.fp + self.fn + self.tn

    def scores(self) -> dict[str, float]:
        """Return `pixel_scores` of these counts; NaN where a score is not defined."""
        values = pixel_scores(self.tp, self.fp, self.fn, self.tn)
        return {name: float(value) for name, value in values.items()}

    def reasons(self) -> dict[str, str]:
        """Say in words why scores are not defined, or are what they are by rule."""
        if not self.pixels:
            return dict.fromkeys(PIXEL_SCORES, "no valid pixel")
        found, true = self.tp + self.fp, self.tp + self.fn
        if not found and not true:
            why = "no ice in either"
            return {
                **dict.fromkeys(
                    ("balanced_accuracy", "kappa", "iou", "precision", "recall", "f1"), why
                ),
                "miou": f"{why}: the IoU of the ground alone",
            }
        if found == true == self.pixels:
            why = "ice everywhere in both"
            return {
                **dict.fromkeys(("balanced_accuracy", "kappa"), why),
                "miou": f"{why}: the IoU of the ice alone",
            }
        if not found:
            reasons = dict.fromkeys(("precision", "iou"), "no ice in the prediction")
        elif not true:
            reasons = dict.fromkeys(("recall", "iou", "balanced_accuracy"), "no ice in the truth")
        else:
            reasons = {}
        if true == self.pixels:
            reasons["balanced_accuracy"] = "nothing but ice in the truth"
        return reasons


def pixel_scores(tp: Any, fp: Any, fn: Any, tn: Any) -> dict[str, Floats]:
    """Compute the scores of Chu et al. (2022, eq. 8-13) and their kin from counts.

    Args:
        tp: Glacier in both; a number or an array, like the others.
        fp: Glacier in the prediction only.
        fn: Glacier in the truth only.
        tn: Glacier in neither.

    Returns:
        overall_accuracy; error, the share of wrong pixels; balanced_accuracy, the mean of the
        shares of glacier and of ground that are right (Brodersen et al. 2010,
        doi:10.1109/ICPR.2010.764); kappa (Cohen 1960); miou, the mean IoU of glacier and ground,
        of those that there are; iou, precision, recall and f1 of glacier.
        NaN where a score is a quotient of nothing; where only one map has ice iou, f1 and kappa
        are 0.
    """
    tp, fp, fn, tn = (np.asarray(count, np.float64) for count in (tp, fp, fn, tn))
    total = tp + fp + fn + tn
    iou, ground = _over(tp, tp + fp + fn), _over(tn, tn + fp + fn)
    # Eq. 8-9 without the difference of two numbers close to one.
    chance = (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn)
    return {
        "overall_accuracy": _over(tp + tn, total),
        "error": _over(fp + fn, total),
        "balanced_accuracy": balanced_accuracy(tp, fp, fn, tn),
        "kappa": _over(2 * (tp * tn - fp * fn), chance),
        "miou": np.where(
            np.isnan(iou), ground, np.where(np.isnan(ground), iou, (iou + ground) / 2)
        ),
        "iou": iou,
        "precision": _over(tp, tp + fp),
        "recall": _over(tp, tp + fn),
        "f1": _over(2 * tp, 2 * tp + fp + fn),
    }


def balanced_accuracy(tp: Any, fp: Any, fn: Any, tn: Any) -> Floats:
    """Average the share of glacier and the share of ground that are right, see `pixel_scores`.

    Returns:
        0.5 for a map of glacier alone or of ground alone, whatever the truth holds of either; NaN
        where the truth holds one of them only.
    """
    tp, fp, fn, tn = (np.asarray(count, np.float64) for count in (tp, fp, fn, tn))
    return (_over(tp, tp + fn) + _over(tn, tn + fp)) / 2


def average_distance(
    found: Any, found_n: Any, true: Any, true_n: Any, *, pooled: bool = True
) -> Floats:
    """Average distances between two boundaries from their sums.

    Args:
        found: Sum of the distances from the boundary found; a number or an array, like the others.
        found_n: Their number, or the length of that boundary.
        true: Sum of the distances from the true boundary.
        true_n: Their number, or the length of that boundary.
        pooled: Over all of them (Heimann et al. 2009; Chu et al. 2022, eq. 14-15), or else the mean
            of the two directed means.

    Returns:
        NaN where it is a quotient of nothing.
    """
    found, found_n, true, true_n = (
        np.asarray(number, np.float64) for number in (found, found_n, true, true_n)
    )
    if pooled:
        return _over(found + true, found_n + true_n)
    return (_over(found, found_n) + _over(true, true_n)) / 2


def boundary_f1(found_hit: Any, found: Any, true_hit: Any, true: Any) -> Floats:
    """Compute the F1 of boundary places that lie near the other boundary (Csurka et al. 2013).

    Args:
        found_hit: Places of the boundary found that do; a number or an array, like the others.
        found: All of them.
        true_hit: Places of the true boundary that do.
        true: All of them.

    Returns:
        0 where one of the boundaries is missing or none is near, NaN where both are missing.
    """
    hit, found, true_hit, true = (
        np.asarray(count, np.float64) for count in (found_hit, found, true_hit, true)
    )
    precision, recall = _over(hit, found), _over(true_hit, true)
    f1 = np.nan_to_num(_over(2 * precision * recall, precision + recall))
    return np.where(found + true > 0, f1, np.nan)


def _over(part: Floats, whole: Floats) -> Floats:
    quotient: Floats = np.full(np.broadcast(part, whole).shape, np.nan)
    return np.divide(part, whole, out=quotient, where=whole != 0)


def confusion(found: Any, reference: Any, valid: Any = None) -> Confusion:
    """Count pixels of two masks.

    Args:
        found: True where glacier was found (rows, columns).
        reference: True where there is glacier.
        valid: Pixels to count; all if None.
    """
    found, reference = (np.ravel(np.asarray(mask, bool)) for mask in (found, reference))
    known = None if valid is None else np.ravel(np.asarray(valid, bool))
    counts = np.zeros(4, np.int64)
    for start in range(0, found.size, CHUNK_PX):
        part = slice(start, start + CHUNK_PX)
        f, r = found[part], reference[part]
        pixels = f.size
        if known is not None:
            f, r, pixels = f & known[part], r & known[part], np.count_nonzero(known[part])
        counts += np.count_nonzero(f & r), np.count_nonzero(f), np.count_nonzero(r), pixels
    both, in_found, in_reference, total = counts.tolist()
    return Confusion(
        both, in_found - both, in_reference - both, total - in_found - in_reference + both
    )


def intersection_over_union(found: Any, reference: Any, valid: Any = None) -> float:
    """Return the share that two masks have in common of what either has; NaN if neither has ice."""
    return confusion(found, reference, valid).scores()["iou"]
