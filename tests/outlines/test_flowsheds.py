import numpy as np
import pytest
from factories import disc

from glacierx.options import DIVIDE_PRESETS, DivideOptions
from glacierx.outlines.flowsheds import _smooth, _within, divide_ice, merge_slivers, renumber

SPACING = 30.0


def roof(shape, ridge_column, slope=0.2):
    """Heights that fall on both sides of a ridge, and a little to the south."""
    row, column = np.indices(shape)
    return 3000 - slope * SPACING * np.abs(column + 0.5 - ridge_column) - 0.01 * SPACING * row


@pytest.mark.parametrize("preset", DIVIDE_PRESETS)
def test_a_roof_is_divided_along_its_ridge(preset):
    shape = (80, 120)
    ice = np.zeros(shape, bool)
    ice[20:60, 20:100] = True
    label = divide_ice(ice, roof(shape, 60), np.ones(shape, bool), SPACING, DIVIDE_PRESETS[preset])
    assert set(np.unique(label)) == {0, 1, 2}
    assert np.array_equal(label > 0, ice)
    # West of the ridge one glacier, east of it the other; the median moves the ridge by no cell.
    assert len(np.unique(label[20:60, 20:59])) == 1
    assert len(np.unique(label[20:60, 61:100])) == 1


def test_a_plane_is_one_glacier():
    shape = (80, 80)
    row, _ = np.indices(shape)
    ice = disc(shape, (40, 40), 20)
    label = divide_ice(ice, 3000 - 8.0 * row, np.ones(shape, bool), SPACING, DivideOptions())
    assert label[ice].min() == label[ice].max() == 1


def test_burning_keeps_a_convex_tongue_whole():
    # A tongue 11 cells wide and 60 long, 20 m higher in its middle than at its sides.
    shape = (100, 60)
    row, column = np.indices(shape)
    ice = np.zeros(shape, bool)
    ice[10:80, 24:35] = True
    ice[10:30, 10:50] = True
    across = np.minimum(np.abs(column - 29), 6)
    heights = 3500 - 3.0 * row - np.where(row > 30, 0.55 * across**2, 0)
    known = np.ones(shape, bool)
    plain = divide_ice(ice, heights, known, SPACING, DIVIDE_PRESETS["kienholz2013"])
    burnt = divide_ice(ice, heights, known, SPACING, DIVIDE_PRESETS["flowsheds"])
    assert burnt.max() < plain.max()
    assert burnt.max() == 1


def test_the_median_takes_away_what_is_smaller_than_half_its_window():
    heights = np.zeros((40, 40))
    heights[18:21, 18:21] = 80  # 9 of the 25 cells of a window of 150 m
    known = np.ones((40, 40), bool)
    assert _smooth(heights, known, SPACING, 150).max() == 0
    assert _smooth(heights, known, SPACING, 90).max() == 80
    assert np.array_equal(_smooth(heights, known, SPACING, 0), heights)


def test_a_circle_holds_no_basin_across_bare_ground():
    ice = np.ones((20, 20), bool)
    ice[:, 10] = False
    basins = np.where(ice, np.where(np.arange(20) < 10, 1, 2), 0)
    assert _within(basins, ice, (10, 8), 6.0) == [1]
    assert _within(basins, np.ones_like(ice), (10, 8), 6.0) == [1, 2]


def test_circles_are_limited():
    # A slab that slopes along its length drains over its end and its sides.
    shape = (200, 60)
    row, _ = np.indices(shape)
    ice = np.zeros(shape, bool)
    ice[20:180, 20:40] = True
    known = np.ones(shape, bool)
    whole = divide_ice(ice, 3000 - 8.0 * row, known, SPACING, DivideOptions())
    none = divide_ice(ice, 3000 - 8.0 * row, known, SPACING, DivideOptions(radius_max_m=0))
    assert whole.max() == 1
    assert none.max() > 1


def test_ice_without_heights_is_not_labelled():
    shape = (80, 120)
    ice = np.zeros(shape, bool)
    ice[20:60, 20:100] = True
    known = np.ones(shape, bool)
    known[:, 90:] = False
    label = divide_ice(ice, roof(shape, 60), known, SPACING, DivideOptions())
    assert not label[:, 90:].any()
    assert (label[ice & known] > 0).all()
    nothing = divide_ice(ice, roof(shape, 60), np.zeros(shape, bool), SPACING, DivideOptions())
    assert not nothing.any()


def test_a_nunatak_is_no_outlet():
    shape = (80, 80)
    row, _ = np.indices(shape)
    ice = disc(shape, (40, 40), 25) & ~disc(shape, (40, 40), 6)
    label = divide_ice(ice, 3000 - 8.0 * row, np.ones(shape, bool), SPACING, DivideOptions())
    assert set(np.unique(label[ice])) == {1}


def test_no_sliver_is_left_beside_a_neighbour():
    shape = (120, 160)
    random = np.random.default_rng(0)
    from scipy import ndimage

    heights = 3000 + 200 * ndimage.gaussian_filter(random.standard_normal(shape), 6) / 0.05
    ice = np.zeros(shape, bool)
    ice[15:105, 15:145] = True
    label = divide_ice(ice, heights, np.ones(shape, bool), SPACING, DivideOptions())
    area = np.bincount(label[ice])[1:] * SPACING**2
    assert len(area) > 3
    assert area.min() >= 0.1e6


def test_slivers_go_to_the_neighbour_with_the_longest_border():
    label = np.zeros((20, 30), np.int64)
    label[2:18, 2:14], label[2:18, 16:28] = 1, 2
    label[2:18, 14:16] = 3  # between the two: 16 cells of border with each
    label[2:6, 14:16] = 1  # now 12 with the second, 12 with the first and 2 above
    merged = merge_slivers(label, 10.0, 5000)
    assert merged.max() == 2
    assert merged[10, 14] == merged[10, 3]


def test_thin_pieces_count_as_slivers_up_to_twice_the_area():
    label = np.ones((60, 60), np.int64)
    label[:2, :] = 2  # 120 cells: 12,000 m2, compactness 0.31
    label[30:41, 30:41] = 3  # 121 cells, compactness 0.89
    assert merge_slivers(label, 10.0, 10_000).max() == 2


def test_lone_pieces_stay_and_others_only_if_allowed():
    label = np.zeros((20, 20), np.int64)
    label[1:3, 1:3] = 1
    label[10:18, 10:14], label[10:18, 14:18] = 2, 3
    assert merge_slivers(label, 10.0, 500)[1, 1] > 0
    assert merge_slivers(label, 10.0, 10_000).max() == 2
    only = np.array([False, False, False, False])
    assert merge_slivers(label, 10.0, 10_000, only=only).max() == 3


def test_labels_are_numbered_without_gaps():
    assert renumber(np.array([[0, 7], [3, 7]])).tolist() == [[0, 2], [1, 2]]
    assert renumber(np.array([[5, 5]])).tolist() == [[1, 1]]
