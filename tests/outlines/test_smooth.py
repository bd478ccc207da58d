import math

import numpy as np
import pytest
import rasterio.features
import shapely
from factories import disc, utm_grid
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.outlines.rings import find_corners
from glacierx.outlines.smooth import _without_faults, smooth_lines, smooth_outlines
from glacierx.outlines.trace import _polygons


def outlines_of(mask):
    grid = utm_grid(mask.shape)
    polygons, _ = _polygons(find_corners([mask]), grid, 0.0)
    return Outlines(polygons, grid.crs, {"complex_id": np.arange(len(polygons))}), grid


def smooth(mask, smooth_px=1.0):
    outlines, grid = outlines_of(mask)
    return outlines.geometry, smooth_outlines(outlines, grid, smooth_px).geometry, grid


def turns_deg(polygon):
    """How far the outline turns at each corner."""
    xy = shapely.get_coordinates(polygon.exterior)[:-1]
    step = np.diff(np.vstack([xy, xy[:1]]), axis=0)
    direction = np.degrees(np.arctan2(step[:, 1], step[:, 0]))
    return np.abs((np.diff(np.r_[direction, direction[0]]) + 180) % 360 - 180)


def burn(geometry, grid):
    return rasterio.features.rasterize(
        list(geometry), grid.shape, transform=grid.transform, dtype="uint8"
    ).astype(bool)


@pytest.mark.parametrize("radius", [5, 10, 30, 100])
def test_a_disc_becomes_round(radius):
    size = 2 * radius + 20
    center = (radius + 10.3, radius + 9.8)
    mask = disc((size, size), center, radius)
    [before], [after], _ = smooth(mask)
    # Stairs make the perimeter of a disc 4 / pi = 1.27 times too long.
    assert before.length / (2 * math.pi * radius * 10) == pytest.approx(1.27, abs=0.04)
    assert after.length / (2 * math.pi * radius * 10) == pytest.approx(1.0, abs=0.03)
    assert after.area == pytest.approx(before.area, rel=1e-3)
    assert turns_deg(before).max() == pytest.approx(90)
    assert turns_deg(after).max() < 46
    x, y = shapely.get_coordinates(after).T
    away = np.hypot(x - 600_000 - center[1] * 10, y - 5_200_000 + center[0] * 10) / 10
    assert np.abs(away - radius).max() < 0.75  # the disc's own pixels are up to 0.7 off


@pytest.mark.parametrize("slope", [0, 1 / 7, 1 / 3, 0.5, 1])
def test_a_straight_edge_becomes_straight(slope):
    rows, columns = np.indices((200, 300)) + 0.5
    mask = rows < 60 + slope * columns / 2
    mask[:, :20] = mask[:, -20:] = False
    _, [after], grid = smooth(mask)
    x, y = shapely.get_coordinates(after).T
    row, column = grid.to_pixels(x, y)
    edge = (column > 40) & (column < 260) & (row > 5)
    # A shallow edge steps every 1 / slope pixels; what is left of the steps is a third of one.
    assert np.abs(row - (60 + slope * column / 2))[edge].max(initial=0) < 0.4


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    width=st.sampled_from([0.0, 0.7, 1.5, 3.0]),
    share=st.sampled_from([0.3, 0.5, 0.8]),
)
def test_the_promises_hold_for_any_mask(seed, width, share):
    field = np.random.default_rng(seed).standard_normal((50, 60))
    field = ndimage.gaussian_filter(field, width)
    mask = field > np.quantile(field, share)
    before, after, grid = smooth(mask)
    assert shapely.is_valid(after).all()
    area_before, area_after = shapely.area(before), shapely.area(after)
    assert np.abs(area_after / area_before - 1).max() <= 0.01
    assert area_after.sum() == pytest.approx(area_before.sum(), rel=1e-3)
    # No overlaps: the union is as large as the sum.
    assert shapely.area(shapely.union_all(after)) == pytest.approx(area_after.sum(), rel=1e-9)
    # Nothing reaches beyond the frame.
    left, bottom, right, top = shapely.total_bounds(after)
    assert left >= grid.bounds[0] - 1e-6
    assert bottom >= grid.bounds[1] - 1e-6
    assert right <= grid.bounds[2] + 1e-6
    assert top <= grid.bounds[3] + 1e-6
    # No centre of a pixel has changed sides.
    assert np.array_equal(burn(after, grid), mask)


@pytest.mark.parametrize("smooth_px", [2.0, 5.0])
def test_strong_smoothing_keeps_valid_and_apart(smooth_px):
    field = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((120, 120)), 2)
    before, after, _ = smooth(field > 0, smooth_px)
    assert shapely.is_valid(after).all()
    assert np.abs(shapely.area(after) / shapely.area(before) - 1).max() <= 0.01
    union = shapely.area(shapely.union_all(after))
    assert union == pytest.approx(shapely.area(after).sum(), rel=1e-9)


def test_what_would_break_a_promise_is_left_as_it_was():
    def square(x, size):
        return shapely.box(x, 0, x + size, size)

    before = as_geometries([square(20 * i, 10) for i in range(4)])
    crossed = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    larger, smaller, far = square(20, 10.1), square(40, 9.9), square(60, 10.001)
    after = _without_faults(before, as_geometries([crossed, larger, smaller, far]), np.arange(4))
    assert after[0] is before[0]  # invalid
    assert after[1] is before[1]  # 2 % larger
    assert after[2] is before[2]  # 2 % smaller
    assert after[3] is far
    # Neighbours that come to overlap both go back; the third, which nothing meets, does not.
    apart = as_geometries([square(0, 10), square(10, 10), square(40, 10)])
    over = as_geometries([square(0.01, 10), square(9.99, 10), square(40.01, 10)])
    kept = _without_faults(apart, over, np.arange(3))
    assert kept[0] is apart[0]
    assert kept[1] is apart[1]
    assert kept[2] is over[2]
    # Each within 1 %, but all of them larger: enough go back for the total.
    grown = as_geometries([square(20 * i, 10.03) for i in range(4)])
    kept = _without_faults(before, grown, np.arange(0))
    total = shapely.area(kept).sum() / shapely.area(before).sum()
    assert abs(total - 1) <= 0.001
    assert any(kept != before) or total == 1


def test_small_outlines_and_zero_are_left_alone():
    mask = np.zeros((40, 40), bool)
    mask[3:7, 3:7] = True  # 16 pixels
    mask[15:35, 15:35] = True
    before, after, _ = smooth(mask)
    assert after[0].equals(before[0])
    assert not after[1].equals(before[1])
    outlines, grid = outlines_of(mask)
    assert smooth_outlines(outlines, grid, 0) is outlines


def test_the_frame_stays():
    mask = np.zeros((60, 60), bool)
    mask[:30] = True
    _, [after], grid = smooth(mask)
    left, _, right, top = after.bounds
    assert (left, right, top) == (grid.bounds[0], grid.bounds[2], grid.bounds[3])
    for corner in ((600_000, 5_200_000), (600_600, 5_200_000)):
        assert corner in set(map(tuple, shapely.get_coordinates(after)))


def test_touching_outlines_still_touch_in_that_point():
    mask = np.zeros((60, 60), bool)
    mask[5:30, 5:30] = mask[30:55, 30:55] = True
    _, after, _ = smooth(mask)
    meeting = shapely.intersection(*after)
    assert meeting.equals(shapely.Point(600_300, 5_199_700))


def test_nothing_is_smoothed_to_nothing():
    empty = Outlines(as_geometries([]), utm_grid((5, 5)).crs, {"complex_id": np.zeros(0)})
    assert len(smooth_outlines(empty, utm_grid((5, 5)))) == 0


def test_lines_keep_their_ends_and_lose_their_stairs():
    # Stairs of slope one half, twenty steps long.
    stairs = [(0, 0)]
    for _ in range(20):
        x, y = stairs[-1]
        stairs += [(x + 1, y), (x + 2, y), (x + 2, y + 1)]
    [line] = smooth_lines(as_geometries([shapely.LineString(stairs)]))
    assert line.coords[0] == (0, 0)
    assert line.coords[-1] == (40, 20)
    x, y = np.array(line.coords).T
    # The stairs lie between y = x / 2 and y = x / 2 - 1; so does a straight line in their middle.
    assert np.abs(y - x / 2 + 0.5)[2:-2].max() < 0.1
    assert line.length == pytest.approx(math.hypot(40, 20), rel=0.02)


def test_a_line_of_one_step_stays():
    [line] = smooth_lines(as_geometries([shapely.LineString([(2, 3), (2, 4)])]))
    assert list(line.coords) == [(2, 3), (2, 4)]
