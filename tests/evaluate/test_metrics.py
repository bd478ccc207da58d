import math

import numpy as np
import pytest

from glacierx.evaluate.metrics import (
    CHUNK_PX,
    Confusion,
    balanced_accuracy,
    confusion,
    intersection_over_union,
    pixel_scores,
)

# Chu et al. (2022): counts of pixels without and with test-time augmentation. The paper prints
# an F1 of .9948 for the first, which its own counts do not give.
PUBLISHED = [
    (Confusion(186712209, 966562, 949981, 230801649), 0.9908, 0.9908, 0.9949, 0.00457),
    (Confusion(186798674, 880097, 885576, 230866053), 0.9915, 0.9915, 0.9953, 0.00421),
]


@pytest.mark.parametrize(("counts", "kappa", "miou", "f1", "error"), PUBLISHED)
def test_the_published_counts_give_the_published_scores(counts, kappa, miou, f1, error):
    scores = counts.scores()
    assert round(scores["kappa"], 4) == kappa
    assert round(scores["miou"], 4) == miou
    assert round(scores["f1"], 4) == f1
    assert round(scores["error"], 5) == error
    assert counts.reasons() == {}


def test_scores_worked_out_by_hand():
    scores = Confusion(tp=20, fp=5, fn=10, tn=15).scores()
    # p_o = 35 / 50; p_e = (30 * 25 + 20 * 25) / 2500 = 1 / 2.
    assert scores["kappa"] == pytest.approx(0.4)
    assert scores["overall_accuracy"] == pytest.approx(0.7)
    assert scores["error"] == pytest.approx(0.3)
    # 20 of 30 of ice and 15 of 20 of ground.
    assert scores["balanced_accuracy"] == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert scores["precision"] == pytest.approx(0.8)
    assert scores["recall"] == pytest.approx(2 / 3)
    assert scores["f1"] == pytest.approx(2 * 0.8 * (2 / 3) / (0.8 + 2 / 3))
    assert scores["iou"] == pytest.approx(20 / 35)
    assert scores["miou"] == pytest.approx((20 / 35 + 15 / 30) / 2)


def test_balanced_accuracy_worked_out_by_hand():
    # 9 of 10 of ice, 30 of 90 of ground; nothing but ice called: all of the one, none of the other.
    assert balanced_accuracy(9, 60, 1, 30) == pytest.approx((0.9 + 1 / 3) / 2)
    assert balanced_accuracy(10, 90, 0, 0) == balanced_accuracy(0, 0, 10, 90) == 0.5
    # A truth of one kind only says nothing of the other.
    assert np.isnan(balanced_accuracy([0, 5], [3, 0], [0, 5], [6, 0])).all()


def test_why_there_is_no_balanced_accuracy():
    expected = {
        Confusion(0, 0, 0, 9): "no ice in either",
        Confusion(0, 4, 0, 5): "no ice in the truth",
        Confusion(9, 0, 0, 0): "ice everywhere in both",
        Confusion(4, 0, 5, 0): "nothing but ice in the truth",
        Confusion(0, 0, 5, 0): "nothing but ice in the truth",
        Confusion(): "no valid pixel",
    }
    for counts, reason in expected.items():
        assert math.isnan(counts.scores()["balanced_accuracy"]), counts
        assert counts.reasons()["balanced_accuracy"] == reason
    for counts in (Confusion(0, 0, 4, 5), Confusion(4, 5, 0, 0)):
        assert counts.scores()["balanced_accuracy"] == 0.5
        assert "balanced_accuracy" not in counts.reasons()


@pytest.mark.parametrize(
    ("counts", "expected", "reason"),
    [
        # No ice in either: the ground alone has an IoU.
        (Confusion(0, 0, 0, 9), {"kappa": None, "iou": None, "f1": None, "precision": None,
                                 "recall": None, "miou": 1, "overall_accuracy": 1}, "either"),
        # Ice everywhere in both: the ice alone has one.
        (Confusion(9, 0, 0, 0), {"kappa": None, "iou": 1, "f1": 1, "miou": 1}, "everywhere"),
        # One of the two has none: nothing is right about the ice.
        (Confusion(0, 0, 4, 5), {"kappa": 0, "iou": 0, "f1": 0, "precision": None, "recall": 0,
                                 "miou": 5 / 18}, "no ice in the prediction"),
        (Confusion(0, 4, 0, 5), {"kappa": 0, "iou": 0, "f1": 0, "precision": 0, "recall": None,
                                 "miou": 5 / 18}, "no ice in the truth"),
        (Confusion(), {"kappa": None, "iou": None, "miou": None, "error": None}, "no valid pixel"),
    ],
)  # fmt: skip
def test_empty_and_one_class_maps_follow_the_rules(counts, expected, reason):
    scores, reasons = counts.scores(), counts.reasons()
    for name, value in expected.items():
        if value is None:
            assert math.isnan(scores[name]), name
            assert reason in reasons[name]
        else:
            assert scores[name] == pytest.approx(value, abs=0), name
    assert any(reason in text for text in reasons.values())


def test_scores_of_arrays_are_those_of_numbers():
    counts = np.array([[20, 5, 10, 15], [0, 0, 0, 9], [1, 2, 3, 4]])
    together = pixel_scores(*counts.T)
    for index, row in enumerate(counts):
        for name, value in Confusion(*row.tolist()).scores().items():
            assert together[name][index] == pytest.approx(value, nan_ok=True), name


def test_counts_of_a_billion_lose_nothing():
    # In 32 or 64 bits of whole numbers the products of eq. 9 would wrap around.
    big = Confusion(4 * 10**9, 10**9, 10**9, 4 * 10**9)
    assert big.scores()["kappa"] == pytest.approx(0.6)


def test_pixels_are_counted_where_valid():
    generator = np.random.default_rng(0)
    found, reference, valid = (generator.random((700, 800)) < p for p in (0.4, 0.5, 0.8))
    assert found.size > 2 * CHUNK_PX
    counts = confusion(found, reference, valid)
    assert counts.tp == (found & reference & valid).sum()
    assert counts.fp == (found & ~reference & valid).sum()
    assert counts.fn == (~found & reference & valid).sum()
    assert counts.tn == (~found & ~reference & valid).sum()
    assert counts.pixels == valid.sum()
    assert confusion(found, reference).pixels == found.size
    # Masks that are not contiguous in memory.
    assert confusion(found.T, reference.T, valid.T) == counts


def test_iou_of_two_boxes():
    a, b = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    a[:, :6] = b[:, 4:] = True
    assert intersection_over_union(a, b) == pytest.approx(20 / 100)
    assert intersection_over_union(a, a) == 1
    assert intersection_over_union(a, b, valid=a) == pytest.approx(20 / 60)
    assert math.isnan(intersection_over_union(~a & a, ~b & b))


def test_scores_are_those_of_scikit_learn_and_simpleitk():
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    generator = np.random.default_rng(5)
    for share in (0.1, 0.5, 0.9):
        true = generator.random((90, 110)) < share
        found = true ^ (generator.random(true.shape) < 0.2)
        scores = confusion(found, true).scores()
        flat = true.ravel(), found.ravel()
        assert scores["kappa"] == pytest.approx(sklearn.cohen_kappa_score(*flat), abs=1e-9)
        assert scores["balanced_accuracy"] == pytest.approx(
            sklearn.balanced_accuracy_score(*flat), abs=1e-9
        )
        assert scores["iou"] == pytest.approx(sklearn.jaccard_score(*flat), abs=1e-9)
        assert scores["miou"] == pytest.approx(
            sklearn.jaccard_score(*flat, average="macro"), abs=1e-9
        )
        assert scores["f1"] == pytest.approx(sklearn.f1_score(*flat), abs=1e-9)
        assert scores["precision"] == pytest.approx(sklearn.precision_score(*flat), abs=1e-9)
        assert scores["recall"] == pytest.approx(sklearn.recall_score(*flat), abs=1e-9)
        overlap = sitk.LabelOverlapMeasuresImageFilter()
        overlap.Execute(*(sitk.GetImageFromArray(mask.astype("uint8")) for mask in (true, found)))
        assert scores["f1"] == pytest.approx(overlap.GetDiceCoefficient(), abs=1e-9)
        assert scores["iou"] == pytest.approx(overlap.GetJaccardCoefficient(), abs=1e-9)
