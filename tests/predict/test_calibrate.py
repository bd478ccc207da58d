import numpy as np
import pytest

from glacierx.predict.calibrate import BLUE_GRID, NDSI_GRID, RATIO_GRID, Counts

STEPS = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])


def counted(values, ice, steps=STEPS, blue_grid=None, **more):
    counts = Counts(steps, blue_grid)
    counts.add(np.float32(values), np.array(ice, bool), **more)
    return counts


def test_the_grids_are_those_of_the_literature():
    assert (RATIO_GRID[0], RATIO_GRID[-1], len(RATIO_GRID)) == (0.5, 5.5, 51)
    assert (NDSI_GRID[0], NDSI_GRID[-1], len(NDSI_GRID)) == (0, 0.9, 46)
    assert (BLUE_GRID[0], BLUE_GRID[-1], len(BLUE_GRID)) == (0, 0.15, 31)
    assert 0.4 in NDSI_GRID
    assert 2.0 in RATIO_GRID


def test_it_is_the_best_of_all_pairs_tried_one_by_one():
    random = np.random.default_rng(0)
    ice = random.random(5000) < 0.3
    values = np.where(ice, random.normal(4, 1, 5000), random.normal(2.5, 1, 5000))
    blue = np.where(ice, random.normal(0.1, 0.03, 5000), random.normal(0.06, 0.03, 5000))
    values, blue = values.astype(np.float32), blue.astype(np.float32)
    counts = counted(values, ice, RATIO_GRID, BLUE_GRID, blue=blue)
    for row, above in enumerate(RATIO_GRID.astype(np.float32)):
        for column, low in enumerate(BLUE_GRID.astype(np.float32)):
            found = (values >= above) & ((blue >= low) | (column == 0))
            either = np.count_nonzero(found | ice)
            assert counts.iou()[row, column] == np.count_nonzero(found & ice) / either
    best = counts.best()
    assert best.iou == counts.iou().max()


def test_a_value_on_a_threshold_reaches_it():
    # Rounded to float32, 0.1 and 2.3 are not what they are as float64.
    steps = np.array([0.1, 2.3])
    assert counted([0.1, 2.3], [False, True], steps).iou()[:, 0].tolist() == [0.5, 1.0]


def test_of_equal_thresholds_the_middle_is_taken():
    # Between 1.5 and 5.5 every threshold parts them: 2, 3, 4, 5; the middle of four is the lower.
    best = counted([0.5, 1.5, 5.5, 6.5], [0, 0, 1, 1]).best()
    assert (best.above, best.iou, best.blue, best.at_end) == (3.0, 1.0, None, False)


def test_of_two_runs_the_longer_is_taken():
    # 0 finds all: 4 of 8. From 2 on half the ice is found alone: 2 of 4, up to 5.
    values, ice = [0.5, 0.5, 1.5, 1.5, 1.5, 1.5, 5.5, 5.5], [1, 1, 0, 0, 0, 0, 1, 1]
    assert counted(values, ice).iou()[:, 0].tolist() == [0.5, 0.25, 0.5, 0.5, 0.5, 0.5, 0]
    assert counted(values, ice).best().above == 3.0


def test_the_end_of_what_was_tried_is_told():
    assert counted([0.5, 5.5], [1, 1]).best().at_end
    assert counted([5.5, 6.5], [0, 1]).best().at_end


def test_blue_is_left_out_unless_it_helps():
    blue = np.float32([0.02, 0.02, 0.3, 0.3])
    grid = np.array([0.0, 0.1, 0.2, 0.4])
    alike = counted([0.5, 1.5, 5.5, 6.5], [0, 0, 1, 1], blue_grid=grid, blue=blue).best()
    assert alike.blue is None
    # Shadow with the value of ice: only blue tells them apart, anywhere from 0.02 to 0.3.
    helps = counted([0.5, 5.5, 5.5, 6.5], [0, 0, 1, 1], blue_grid=grid, blue=blue).best()
    assert (helps.blue, helps.iou) == (0.1, 1.0)


def test_pixels_that_fail_another_condition_are_never_found_but_count():
    passing = np.array([True, True, False])
    counts = counted([5.5, 5.5, 5.5], [1, 0, 1], passing=passing)
    assert counts.pixels == (1, 2)
    # Found: one true, one false; one of ice is missed: 1 / 3.
    assert counts.best().iou == pytest.approx(1 / 3)
