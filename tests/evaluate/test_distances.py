import math

import numpy as np
import pytest
from affine import Affine
from factories import utm_grid
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod
from rasterio.crs import CRS
from scipy import ndimage

from glacierx.evaluate import distances
from glacierx.evaluate.boundary import Edges, find_contour, find_edges
from glacierx.evaluate.distances import Apart, Spread, measure, nearest
from glacierx.scene.grid import Grid


def ragged(seed, shape=(150, 130), margin=3):
    """Ice of several pieces that touches no frame."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4)
    ice = field > 0.02
    ice[:margin] = ice[-margin:] = False
    ice[:, :margin] = ice[:, -margin:] = False
    return ice


def asd(found, true, kind="heimann"):
    return (
        measure(find_edges(found), find_edges(true), utm_grid(found.shape)).apart()[0].average(kind)
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 7, 1000]))
def test_the_nearest_place_is_found_however_far(seed, count, others, spread):
    generator = np.random.default_rng(seed)
    one = np.sort(generator.integers(0, 200 * spread, count))
    points = np.column_stack([one, generator.integers(0, 300, count)])
    two = np.sort(generator.integers(0, 200, others) + 150 * spread)
    other = np.column_stack([two, generator.integers(0, 300, others)])
    scale = np.array([1.5, 0.5])
    away = np.hypot(*((points[:, None] - other[None]) * scale).transpose(2, 0, 1)).min(axis=1)
    assert nearest(points, other, scale) == pytest.approx(away, abs=1e-9)


def test_blocks_of_places_give_what_one_tree_gives(monkeypatch):
    found, true = find_edges(ragged(1)), find_edges(ragged(2))
    whole = nearest(found.at, true.at, np.ones(2))
    monkeypatch.setattr(distances, "BLOCK", 50)
    monkeypatch.setattr(distances, "FIRST_REACH", 2.0)
    assert np.array_equal(nearest(found.at, true.at, np.ones(2)), whole)


def test_a_shift_of_three_pixels_is_three_pixels():
    # Ice up to the frame: only the moved edge counts, not the frame.
    found, true = np.zeros((40, 50), bool), np.zeros((40, 50), bool)
    found[:, :23], true[:, :20] = True, True
    assert asd(found, true) == 3
    px, metres = measure(find_edges(found), find_edges(true), utm_grid((40, 50), 15)).apart()
    assert metres.average() == 45
    assert px.hausdorff() == 3
    assert metres.hausdorff() == 45
    assert px.boundary_f1(2) == 0
    assert px.boundary_f1(3) == 1


def test_distances_are_those_of_scipys_transform():
    found, true = ragged(3), ragged(4)
    edges = [mask & ~ndimage.binary_erosion(mask, border_value=1) for mask in (found, true)]
    to_true = ndimage.distance_transform_edt(~edges[1])[edges[0]]
    to_found = ndimage.distance_transform_edt(~edges[0])[edges[1]]
    pooled = np.concatenate([to_true, to_found])
    apart = measure(find_edges(found), find_edges(true), utm_grid(found.shape)).apart()[0]
    assert apart.average() == pytest.approx(pooled.mean(), abs=1e-9)
    assert apart.average("mean-of-means") == pytest.approx(
        (to_true.mean() + to_found.mean()) / 2, abs=1e-9
    )
    assert apart.hausdorff() == pytest.approx(np.percentile(pooled, 95), abs=1e-9)
    for tolerance in (1, 2):
        precision, recall = (to_true <= tolerance).mean(), (to_found <= tolerance).mean()
        assert apart.boundary_f1(tolerance) == pytest.approx(
            2 * precision * recall / (precision + recall)
        )


# The oracles are old: they call SciPy by names that it no longer likes.
old_names = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@old_names
@pytest.mark.parametrize("seed", range(3))
def test_asd_is_medpys(seed):
    binary = pytest.importorskip("medpy.metric.binary", reason="MedPy is not installed")
    found, true = ragged(seed), ragged(seed + 10)
    assert asd(found, true) == pytest.approx(binary.assd(found, true, connectivity=1), abs=1e-9)
    apart = measure(find_edges(found), find_edges(true), utm_grid(found.shape)).apart()[0]
    assert apart.hausdorff() == pytest.approx(binary.hd95(found, true, connectivity=1), abs=1e-9)


@old_names
@pytest.mark.parametrize("seed", range(3))
def test_the_contours_asd_is_that_of_surface_distance(seed):
    surface = pytest.importorskip(
        "surface_distance.metrics", reason="surface-distance is not installed"
    )
    found, true = ragged(seed), ragged(seed + 10)
    theirs = surface.compute_average_surface_distance(
        surface.compute_surface_distances(true, found, (1, 1))
    )
    apart = measure(find_contour(found), find_contour(true), utm_grid(found.shape)).apart()[0]
    assert apart.average("surface-distance") == pytest.approx(np.mean(theirs), abs=1e-9)
    assert apart.reference.mean == pytest.approx(theirs[0], abs=1e-9)
    assert apart.found.mean == pytest.approx(theirs[1], abs=1e-9)


@old_names
def test_contours_of_stretched_pixels_are_those_of_surface_distance():
    surface = pytest.importorskip(
        "surface_distance.metrics", reason="surface-distance is not installed"
    )
    found, true = ragged(5), ragged(6)
    grid = Grid(CRS.from_epsg(32632), Affine(20, 0, 5e5, 0, -30, 5.2e6), found.shape)
    theirs = surface.compute_average_surface_distance(
        surface.compute_surface_distances(true, found, (30, 20))
    )
    apart = measure(find_contour(found), find_contour(true), grid).apart()[1]
    assert apart.average("surface-distance") == pytest.approx(np.mean(theirs), abs=1e-6)


def test_stretched_and_turned_pixels_are_measured_in_metres():
    found, true = ragged(7), ragged(8)
    edges = find_edges(found), find_edges(true)
    stretched = Grid(CRS.from_epsg(32632), Affine(10, 0, 5e5, 0, -25, 5.2e6), found.shape)
    expected = np.concatenate(
        [
            ndimage.distance_transform_edt(~mask(b), sampling=(25, 10))[tuple(a.at.T)]
            for a, b in (edges, edges[::-1])
            for mask in [lambda e: at_places(e, found.shape)]
        ]
    )
    assert measure(*edges, stretched).apart()[1].average() == pytest.approx(expected.mean())
    turned = Grid(
        CRS.from_epsg(32632),
        Affine.translation(5e5, 5.2e6) @ Affine.rotation(30) @ Affine.scale(12, -12),
        found.shape,
    )
    px, metres = measure(*edges, turned).apart()
    assert metres.average() == pytest.approx(12 * px.average())


def at_places(edges, shape):
    mask = np.zeros(shape, bool)
    mask[tuple(edges.at.T)] = True
    return mask


@pytest.mark.parametrize("lat", [0.0, 47.0, 70.0, -78.0])
def test_degrees_are_measured_in_metres(lat):
    grid = Grid(CRS.from_epsg(4326), Affine(0.001, 0, 10, 0, -0.001, lat), (40, 40))
    ice = np.zeros((40, 40), bool)
    one, other = ice.copy(), ice.copy()
    one[20, 5], other[20, 25] = True, True
    geod = Geod(ellps="WGS84")
    middle = lat - 0.0205
    expected = geod.inv(10.0055, middle, 10.0255, middle)[2]
    found = measure(find_edges(one), find_edges(other), grid).apart()[1]
    assert found.average() == pytest.approx(expected, rel=1e-6)
    # The nearest in degrees need not be the nearest on the ground.
    other[26, 5] = True
    if abs(lat) > 60:
        other[20, 13], other[20, 25] = True, False
        east = geod.inv(10.0055, middle, 10.0135, middle)[2]
        south = geod.inv(10.0055, middle, 10.0055, middle - 0.006)[2]
        found = measure(find_edges(one), find_edges(other), grid).apart()[1]
        assert east < south
        assert found.found.values[0] == pytest.approx(east, rel=1e-6)


def test_a_map_in_web_mercator_is_not_taken_at_its_word():
    grid = Grid(CRS.from_epsg(3857), Affine(10, 0, 1e6, 0, -10, 8.4e6), (30, 60))  # 60 degrees N
    one, other = np.zeros((30, 60), bool), np.zeros((30, 60), bool)
    one[15, 5], other[15, 45] = True, True
    px, metres = measure(find_edges(one), find_edges(other), grid).apart()
    assert px.average() == 40
    assert metres.average() == pytest.approx(400 * math.cos(math.radians(60)), rel=0.02)


def test_without_a_boundary_there_is_no_distance():
    some, none = find_edges(ragged(1)), find_edges(np.zeros((150, 130), bool))
    grid = utm_grid((150, 130))
    px, metres = measure(some, none, grid).apart()
    assert math.isnan(px.average())
    assert math.isnan(px.average("mean-of-means"))
    assert math.isnan(metres.hausdorff())
    assert px.boundary_f1(1) == 0
    assert math.isnan(measure(none, none, grid).apart()[0].boundary_f1(1))


def test_distances_of_several_pairs_are_pooled():
    one = Apart(Spread.of(np.array([1.0, 3.0])), Spread.of(np.array([2.0])))
    lost = measure(
        find_edges(np.zeros((9, 9), bool)), Edges(np.array([[4, 4]], np.int32)), utm_grid((9, 9))
    ).apart()[0]
    both = one + lost
    # The pair that found nothing has no distance, but its boundary counts as missed.
    assert both.average() == pytest.approx(2)
    assert both.boundary_f1(3) == pytest.approx(2 * 1 * 0.5 / 1.5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.integers(0, 100))
def test_a_spread_knows_percentiles_and_means(values, percent):
    spread = Spread.of(np.sqrt(np.array(values, float)))
    assert spread.percentile(percent) == pytest.approx(np.percentile(np.sqrt(values), percent))
    assert spread.mean == pytest.approx(np.mean(np.sqrt(values)))
    assert spread.weight == len(values)


def test_a_spread_is_summed_up_in_parts(monkeypatch):
    values = np.random.default_rng(0).integers(0, 50, 1000).astype(float)
    whole = Spread.of(values, values + 1)
    monkeypatch.setattr(distances, "SUM_UP", 64)
    parts = Spread.of(values, values + 1)
    assert np.array_equal(parts.values, whole.values)
    assert parts.weights == pytest.approx(whole.weights)
