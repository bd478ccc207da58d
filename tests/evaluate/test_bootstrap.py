import numpy as np
import pytest

from glacierx.evaluate.bootstrap import intervals, scores_of_sums
from glacierx.evaluate.units import Units


def units(tp, fp, fn, tn, kind="blocks"):
    names = ("tp", "fp", "fn", "tn")
    sums = {
        name: np.asarray(values, float)
        for name, values in zip(names, (tp, fp, fn, tn), strict=True)
    }
    sums |= {"found_m2": sums["tp"] + sums["fp"], "true_m2": sums["tp"] + sums["fn"]}
    return Units(kind, sums)


def test_units_that_are_alike_leave_no_doubt():
    ends = intervals(units([60] * 20, [10] * 20, [30] * 20, [100] * 20))
    assert ends["iou"] == pytest.approx((0.6, 0.6))
    assert ends["balanced_accuracy"] == pytest.approx(((60 / 90 + 100 / 110) / 2,) * 2)
    assert ends["area_bias_percent"] == pytest.approx((-100 * 20 / 90,) * 2)


def test_the_interval_of_a_share_is_that_of_theory():
    # Recall of 400 units, each wholly found or wholly missed: a binomial share of one half.
    hit = np.arange(400) % 2
    low, high = intervals(units(hit, hit * 0, 1 - hit, hit * 0 + 1))["recall"]
    spread = 1.96 * np.sqrt(0.25 / 400)
    assert low == pytest.approx(0.5 - spread, abs=0.006)
    assert high == pytest.approx(0.5 + spread, abs=0.006)
    # Pixels are not what is drawn: a thousand times as many make it no surer.
    more = intervals(units(hit * 1000, hit * 0, (1 - hit) * 1000, hit * 0))["recall"]
    assert more == pytest.approx((low, high))


def test_it_is_the_same_every_time_and_one_unit_gives_none():
    some = units([1, 5, 9], [2, 2, 2], [3, 1, 0], [7, 7, 7])
    assert intervals(some) == intervals(some)
    assert intervals(units([1], [2], [3], [4])) == {}


def test_scores_of_sums_are_those_of_the_formulas():
    sums = {
        "tp": np.array([20.0]), "fp": np.array([5.0]), "fn": np.array([10.0]),
        "found_m2": np.array([25.0]), "true_m2": np.array([30.0]),
        "px/found": np.array([6.0]), "px/found_n": np.array([4.0]),
        "px/true": np.array([5.0]), "px/true_n": np.array([10.0]),
        "edges/found": np.array([4.0]), "edges/true": np.array([10.0]),
        "boundary_f1_1px/found_hit": np.array([3.0]), "boundary_f1_1px/true_hit": np.array([5.0]),
        "glaciers": np.array([4.0]), "glaciers_found": np.array([2.0]), "iou_50": np.array([1.5]),
        "area_50": np.array([15.0]), "area_75": np.array([6.0]),
    }  # fmt: skip
    scores = {name: float(value[0]) for name, value in scores_of_sums(sums).items()}
    assert scores["iou"] == pytest.approx(20 / 35)
    assert scores["asd_px"] == pytest.approx(11 / 14)
    assert scores["boundary_f1_1px"] == pytest.approx(2 * 0.75 * 0.5 / 1.25)
    assert scores["pq"] == pytest.approx(0.5)
    assert scores["area_50"] == pytest.approx(0.5)
    assert scores["area_75"] == pytest.approx(0.2)
    # Ground without ice belongs to no glacier, so what counts it has no interval there.
    lacking = {"kappa", "overall_accuracy", "balanced_accuracy", "miou", "error"}
    assert not lacking & set(scores)
    assert scores_of_sums(sums, mean_of_means=True)["asd_px"] == pytest.approx((1.5 + 0.5) / 2)


def test_pairs_are_joined_as_scenes_or_as_their_units():
    one, other = units([1, 2], [0, 0], [1, 1], [3, 3]), units([5], [1], [0], [2])
    assert Units.join([one, other], "scenes").sums["tp"].tolist() == [3, 5]
    assert Units.join([one, other], "blocks").sums["tp"].tolist() == [1, 2, 5]


def test_a_sample_without_any_place_near_has_a_boundary_f1_of_nothing():
    sums = {
        "edges/found": np.array([5.0, 0.0, 5.0, 0.0]), "edges/true": np.array([5.0, 5.0, 5.0, 0.0]),
        "near/found_hit": np.array([0.0, 0.0, 5.0, 0.0]),
        "near/true_hit": np.array([0.0, 0.0, 5.0, 0.0]),
        **{name: np.ones(4) for name in ("tp", "fp", "fn", "found_m2", "true_m2")},
    }  # fmt: skip
    found = scores_of_sums(sums)["near"]
    assert found[:3].tolist() == [0, 0, 1]
    assert np.isnan(found[3])


def test_a_score_that_samples_often_lack_has_no_interval():
    # One unit in two has ice: a quarter of the samples have none, and no IoU.
    ends = intervals(units([5, 0], [0, 0], [5, 0], [5, 9]))
    assert "iou" not in ends
    assert "overall_accuracy" in ends
