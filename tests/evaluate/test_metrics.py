import math

import numpy as np
import pytest

from glacierx.evaluate.metrics import intersection_over_union, match_glaciers


def test_iou_of_two_boxes():
    a, b = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    a[:, :6] = b[:, 4:] = True
    assert intersection_over_union(a, b) == pytest.approx(20 / 100)
    assert intersection_over_union(a, a) == 1
    assert intersection_over_union(a, b, valid=a) == pytest.approx(20 / 60)
    assert math.isnan(intersection_over_union(~a & a, ~b & b))


def test_a_perfect_match():
    labels = np.repeat([[0, 1, 2, 3]], 10, axis=0)
    found = match_glaciers(labels * 7, labels, 100.0)
    assert (found.found, found.reference, found.matched) == (3, 3, 3)
    assert found.area_50 == found.area_75 == found.pq == found.f1 == 1
    assert found.slivers == 3  # of 1000 m2


def test_scores_worked_out_by_hand():
    # Reference: A 60 cells, B 40. Found: X 50 of A, Y the other 10 of A and 30 of B, Z 10 of B.
    reference = np.repeat([1] * 60 + [2] * 40, 1)[None]
    found = np.array([1] * 50 + [2] * 40 + [3] * 10)[None]
    score = match_glaciers(found, reference, 10_000.0)
    # IoU of A and X is 50 / 60, of B and Y 30 / 50; Z matches nothing.
    assert score.matched == 2
    assert score.area_50 == 1
    assert score.area_75 == pytest.approx(0.6)
    assert score.pq == pytest.approx((50 / 60 + 30 / 50) / 2.5)
    assert score.f1 == pytest.approx(2 / 2.5)
    assert score.slivers == 0


def test_matching_is_one_to_one():
    # One found glacier over two true ones can match the larger only.
    reference = np.array([1] * 70 + [2] * 30)[None]
    score = match_glaciers(np.ones((1, 100), int), reference, 1e4)
    assert (score.matched, score.area_50) == (1, pytest.approx(0.7))


def test_nothing_found_and_nothing_there():
    none, some = np.zeros((5, 5), int), np.ones((5, 5), int)
    assert match_glaciers(none, some, 1.0).area_50 == 0
    assert match_glaciers(some, none, 1.0).found == 1
    assert math.isnan(match_glaciers(none, none, 1.0).f1)
