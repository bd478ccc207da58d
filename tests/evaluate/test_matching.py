import math

import numpy as np
import pytest

from glacierx.evaluate.matching import Matched, count_overlaps, match, match_glaciers


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
    assert math.isnan(match_glaciers(some, none, 1.0).area_50)
    assert math.isnan(match_glaciers(none, none, 1.0).f1)


def test_the_sum_of_iou_is_greatest_even_where_the_best_pair_must_wait():
    # Reference A: 100 cells, B: 60. Found X shares 55 with A and 45 with B; Y shares 45 with A.
    # X-A alone would be the best single pair after Y-A, but only Y-A with X-B gives both a partner.
    reference = np.array([1] * 100 + [2] * 60)[None]
    found = np.array([1] * 55 + [2] * 45 + [1] * 45 + [0] * 15)[None]
    pair = match(count_overlaps(found, reference, np.ones(1)))
    assert pair.partner.tolist() == [1, 0]
    # X and B: 45 of 100 + 60 - 45; Y and A: 45 of 100.
    assert pair.iou.tolist() == pytest.approx([45 / 100, 45 / 115])
    # A is covered whole, B by three quarters.
    assert pair.covered_m2.tolist() == [100, 45]
    # X shares most with A, though it is matched with B.
    assert pair.home.tolist() == [0, 0]


def test_many_glaciers_are_matched_as_one_dense_table_would():
    from scipy.optimize import linear_sum_assignment

    generator = np.random.default_rng(3)
    reference = np.kron(np.arange(1, 101).reshape(10, 10), np.ones((9, 9), int))
    found = np.roll(np.kron(generator.permutation(100).reshape(10, 10), np.ones((9, 9), int)), 2, 0)
    found[generator.random(found.shape) < 0.2] = 0
    pair = match(count_overlaps(found, reference, np.ones(len(found))))
    iou = np.array(
        [
            [
                np.count_nonzero((reference == r) & (found == f))
                / np.count_nonzero((reference == r) | (found == f))
                for f in range(1, 100)
            ]
            for r in range(1, 101)
        ]
    )
    best = iou[linear_sum_assignment(-iou)].sum()
    assert pair.iou.sum() == pytest.approx(best, abs=1e-12)


def test_rows_of_another_area_count_by_their_area():
    reference = np.array([[1, 1], [1, 0]])
    found = np.array([[1, 0], [1, 0]])
    pair = match(count_overlaps(found, reference, np.array([3.0, 5.0])))
    assert pair.reference_m2.tolist() == [11]
    assert pair.found_m2.tolist() == [8]
    assert pair.iou[0] == pytest.approx(8 / 11)


def test_pairs_are_put_together_without_matching_across():
    one = match(count_overlaps(np.array([[1, 1]]), np.array([[1, 1]]), np.ones(1)))
    other = match(count_overlaps(np.array([[0, 2, 2]]), np.array([[5, 5, 7]]), np.ones(1)))
    both = Matched.join([one, other])
    assert both.matching.reference == 3
    assert both.matching.found == 2
    # The second pair: 5 and 2 share 1 of 3, 7 and 2 share 1 of 2; the latter is the better.
    assert both.partner.tolist() == [0, -1, 1]
    assert both.iou.tolist() == pytest.approx([1, 0, 1 / 2])
    assert both.matching.matched == 1
    assert both.matching.pq == pytest.approx(1 / 2.5)
