import numpy as np
import pytest
import shapely
from factories import disc, utm_grid
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from glacierx.outlines.cut import Cutter, border_lines, trace_borders
from glacierx.outlines.outlines import as_geometries


def halves(columns=50):
    label = np.ones((60, 100), np.int64)
    label[:, columns:] = 2
    return label


def cutter(label, gsd=30, sliver=0.0, lasting=np.inf):
    grid = utm_grid(label.shape, gsd)
    keeps = np.full(int(label.max()) + 1, lasting)
    return Cutter(label, grid, grid.crs, sliver=sliver, lasting=keeps), grid


def points(geometries):
    return set(map(tuple, shapely.get_coordinates(geometries)))


def check_partition(pieces, polygon):
    assert shapely.is_valid(pieces).all()
    assert shapely.area(pieces).sum() == pytest.approx(polygon.area, rel=1e-12)
    union = shapely.union_all(pieces)
    assert union.symmetric_difference(polygon).area <= 1e-9 * polygon.area
    for one in range(len(pieces)):
        for other in range(one):
            assert pieces[one].intersection(pieces[other]).area <= 1e-9 * polygon.area


def test_a_polygon_is_cut_where_labels_meet():
    cut, _ = cutter(halves())
    polygon = shapely.Point(601_500, 5_199_100).buffer(700)
    pieces, label = cut.cut(polygon)
    assert sorted(label) == [1, 2]
    check_partition(pieces, polygon)
    for piece in pieces:
        assert piece.area == pytest.approx(polygon.area / 2, rel=1e-3)
    lines, pairs = border_lines(pieces)
    assert len(lines) == 1
    assert set(pairs[0]) == {0, 1}
    assert np.allclose(shapely.get_coordinates(lines)[:, 0], 601_500)


def test_the_outline_gains_the_ends_of_the_divides_only():
    cut, _ = cutter(halves())
    polygon = shapely.Point(601_500, 5_199_100).buffer(700, quad_segs=37)
    pieces, _ = cut.cut(polygon)
    lines, _ = border_lines(pieces)
    outline = points(shapely.boundary(shapely.union_all(pieces)))
    ends = {line.coords[index] for line in lines for index in (0, -1)}
    assert points(polygon) <= points(pieces)
    assert outline - points(polygon) <= ends
    assert len(ends) == 2


def test_a_polygon_of_one_label_is_returned_as_it_is():
    cut, _ = cutter(halves())
    polygon = shapely.box(600_100, 5_199_000, 600_500, 5_199_500)
    pieces, label = cut.cut(polygon)
    assert label.tolist() == [1]
    assert pieces[0] is polygon


def test_slivers_join_the_neighbour_unless_they_last():
    label = halves(80)
    polygon = shapely.box(600_300, 5_198_500, 602_450, 5_199_500)  # 50 m beyond the border
    joined, labels = cutter(label, sliver=60_000)[0].cut(polygon)
    assert labels.tolist() == [1]
    assert joined[0].equals(polygon)
    assert points(joined) == points(polygon)  # no point is left where the border crossed
    kept, labels = cutter(label, sliver=60_000, lasting=40_000)[0].cut(polygon)
    assert sorted(labels) == [1, 2]
    check_partition(kept, polygon)


def test_slivers_join_the_neighbour_that_they_share_most_with():
    label = halves()
    label[28:32, 46:50] = 3  # 12 edges of cells with the first, 4 with the second
    polygon = shapely.box(600_300, 5_198_500, 602_700, 5_199_700)
    pieces, labels = cutter(label, sliver=20_000)[0].cut(polygon)
    assert labels.tolist() == [1, 2]
    assert pieces[0].contains(shapely.box(601_400, 5_199_060, 601_490, 5_199_140))


def test_divides_have_no_stairs():
    row, column = np.indices((100, 100))
    cut, _ = cutter(np.where(row > column, 1, 2))
    polygon = shapely.box(600_300, 5_197_300, 602_700, 5_199_700)
    pieces, _ = cut.cut(polygon)
    [line], _ = border_lines(pieces)
    # Along the edges of cells it would be the root of two as long.
    straight = shapely.Point(line.coords[0]).distance(shapely.Point(line.coords[-1]))
    assert line.length < 1.02 * straight


def test_parts_of_one_label_that_are_apart_become_pieces_of_their_own():
    label = np.ones((60, 100), np.int64)
    label[:, 40:60] = 2
    polygon = shapely.box(600_300, 5_198_500, 602_700, 5_199_500)
    pieces, labels = cutter(label)[0].cut(polygon)
    assert sorted(labels) == [1, 1, 2]
    check_partition(pieces, polygon)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 9), wavy=st.floats(0, 1))
def test_any_labels_partition_any_polygon(seed, count, wavy):
    random = np.random.default_rng(seed)
    seeds = random.integers(5, 55, (count, 2))
    rows, columns = np.indices((60, 60))
    warp = wavy * 20 * ndimage.gaussian_filter(random.standard_normal((60, 60)), 3)
    distance = [np.hypot(rows - r, columns - c) + warp * (i % 2) for i, (r, c) in enumerate(seeds)]
    label = np.argmin(distance, axis=0) + 1
    label = np.where(disc((60, 60), (30, 30), 25), label, 0)
    cut, _ = cutter(label, sliver=20_000)
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius = 700 * (1 + 0.15 * np.sin(5 * angle + seed))
    polygon = shapely.Polygon(
        np.column_stack([600_900 + radius * np.cos(angle), 5_199_100 + radius * np.sin(angle)]),
        [shapely.get_coordinates(shapely.box(600_850, 5_199_050, 601_000, 5_199_150).exterior)],
    )
    pieces, labels = cut.cut(polygon)
    check_partition(pieces, polygon)
    assert len(pieces) == len(labels)
    lines, pairs = border_lines(pieces)
    ends = {line.coords[index] for line in lines for index in (0, -1)}
    outline = points(shapely.boundary(shapely.union_all(pieces)))
    assert outline - points(polygon) <= ends
    assert all(one != other for one, other in pairs)


def test_borders_meet_in_nodes():
    label = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 3, 3], [3, 3, 0, 0]])
    lines = trace_borders(label)
    assert sorted(line.length for line in lines) == [2, 2, 2]
    assert shapely.intersection_all(lines).equals(shapely.Point(2, 2))


def test_no_border_is_traced_against_bare_ground():
    assert len(trace_borders(np.array([[1, 0], [1, 0]]))) == 0


def test_pieces_that_touch_in_a_point_share_no_border():
    pieces = as_geometries([shapely.box(0, 0, 1, 1), shapely.box(1, 1, 2, 2)])
    lines, pairs = border_lines(pieces)
    assert len(lines) == len(pairs) == 0
