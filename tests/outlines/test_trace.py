import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from factories import disc, utm_grid
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.crs import CRS
from scipy import ndimage

from glacierx.options import OutlineOptions
from glacierx.outlines.rings import find_corners, follow
from glacierx.outlines.trace import trace_outlines
from glacierx.scene.geodesy import areas_km2
from glacierx.scene.geotiff import RowWriter
from glacierx.scene.grid import Grid
from glacierx.scene.prediction import NODATA, open_prediction, probability_layout

ALL = OutlineOptions(min_area_km2=0)

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))


def trace(path, options=ALL):
    with open_prediction(path) as prediction:
        return trace_outlines(prediction, options)


def in_pixels(outlines, grid):
    def move(xy):
        row, column = grid.to_pixels(xy[:, 0], xy[:, 1])
        return np.round(np.column_stack([column, row]), 6)

    return shapely.transform(outlines.geometry, move)


def burn(geometry, shape):
    if not len(geometry):
        return np.zeros(shape, int)
    return rasterio.features.rasterize(
        [(polygon, index) for index, polygon in enumerate(geometry, 1)], shape
    )


def as_strips(mask, height):
    return (mask[first : first + height] for first in range(0, len(mask), height))


@given(masks, st.integers(1, 15))
def test_rings_do_not_depend_on_the_strips(mask, height):
    whole, parts = find_corners([mask]), find_corners(as_strips(mask, height))
    for name in ("row", "column", "below", "level", "crossing"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))


@given(masks)
def test_every_corner_is_on_one_ring_and_rings_are_simple(mask):
    corners = find_corners([mask])
    rings = follow(corners)
    flat = np.concatenate(rings) if rings else np.zeros(0, int)
    assert sorted(flat.tolist()) == list(range(len(corners.row)))
    for ring in rings:
        places = list(zip(corners.row[ring].tolist(), corners.column[ring].tolist(), strict=True))
        assert len(set(places)) == len(places)


@settings(deadline=None, max_examples=200)
@given(masks)
def test_polygons_are_the_pixels_of_each_4_connected_part(mask):
    grid = utm_grid(mask.shape)
    layout = probability_layout(("glacier",), {})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "p.tif"
        with RowWriter(path, grid, layout) as writer:
            writer.write(np.where(mask, 250, 0).astype("uint8")[None])
        outlines = trace(path)
    shapes = in_pixels(outlines, grid)
    label, count = ndimage.label(mask)
    assert len(shapes) == count
    assert shapely.is_valid(shapes).all()
    burnt = burn(shapes, mask.shape)
    assert np.array_equal(burnt > 0, mask)
    for index, polygon in enumerate(shapes, 1):
        assert polygon.area == (burnt == index).sum()
        assert len(np.unique(label[burnt == index])) == 1
        assert polygon.exterior.is_ccw != (grid.transform.e < 0)
    # Complexes are the parts that are 8-connected.
    eight, number = ndimage.label(mask, np.ones((3, 3)))
    ids = outlines["complex_id"]
    assert sorted(set(ids)) == list(range(1, number + 1))
    for index in range(len(shapes)):
        mine = eight[burnt == index + 1][0]
        same = {i for i in range(len(shapes)) if eight[burnt == i + 1][0] == mine}
        assert same == {i for i in range(len(shapes)) if ids[i] == ids[index]}


def test_a_disc_has_the_area_of_its_pixels(make_probability):
    mask = disc((256, 256), (128, 128), 50)
    [polygon] = trace(make_probability(mask)).geometry
    assert polygon.area == mask.sum() * 100
    assert polygon.area == pytest.approx(math.pi * 500**2, rel=0.01)  # pixels on the edge


def test_nunataks_are_holes_and_ice_inside_them_is_ice(make_probability):
    mask = disc((100, 100), (50, 50), 40) & ~disc((100, 100), (50, 50), 25)
    mask |= disc((100, 100), (50, 50), 10)
    outlines = trace(make_probability(mask))
    assert sorted(len(polygon.interiors) for polygon in outlines.geometry) == [0, 1]
    assert len(set(outlines["complex_id"])) == 2


def test_touching_corners_do_not_join_but_share_a_complex(make_probability):
    mask = np.zeros((20, 20), bool)
    mask[2:5, 2:5] = mask[5:8, 5:8] = mask[12:14, 12:14] = True
    outlines = trace(make_probability(mask))
    assert outlines["complex_id"].tolist() == [1, 1, 2]


def test_a_ring_closed_by_a_corner_is_valid(make_probability):
    # Ice around a pocket that opens by a corner only: a hole that touches the outline.
    mask = np.zeros((6, 6), bool)
    mask[1:5, 1:5] = True
    mask[2:4, 2:4] = False
    mask[4, 4] = False
    [polygon] = trace(make_probability(mask)).geometry
    assert polygon.is_valid
    assert len(polygon.interiors) == 1
    assert polygon.area == mask.sum() * 100


@pytest.mark.parametrize(("threshold", "row"), [(0.5, 126), (0.3, 76), (None, 126)])
def test_the_threshold_is_on_the_written_value(make_probability, threshold, row):
    steps = np.tile(np.arange(251)[:, None], (1, 10))
    options = OutlineOptions(threshold=threshold, min_area_km2=0)
    [polygon] = trace(make_probability(steps), options).geometry
    assert polygon.bounds[3] == 5_200_000 - row * 10


def test_the_maps_own_threshold_is_the_default(make_probability):
    steps = np.tile(np.arange(251)[:, None], (1, 10))
    path = make_probability(steps, tags={"GLACIERX_THRESHOLD": "0.3"})
    [polygon] = trace(path).geometry
    assert polygon.bounds[3] == 5_200_000 - 760


def test_unknown_pixels_are_not_ice(make_probability):
    steps = np.full((30, 30), NODATA)
    steps[10:20, 10:20] = 200
    [polygon] = trace(make_probability(steps)).geometry
    assert polygon.area == 100 * 100


def test_small_outlines_are_dropped_by_true_area(make_probability):
    mask = np.zeros((60, 60), bool)
    mask[5:15, 5:15] = True  # 100 pixels of 100 m2 on the map, 0.01 km2 but for UTM's scale
    mask[30:40, 30:39] = True
    outlines = trace(make_probability(mask), OutlineOptions())
    true = areas_km2(outlines.geometry, outlines.crs)
    assert len(outlines) == 1
    assert true[0] >= 0.01


def test_small_nunataks_are_filled_with_what_is_in_them(make_probability):
    mask = disc((120, 120), (60, 60), 55)
    mask[20:22, 60:62] = False  # 400 m2
    mask[50:80, 50:80] = False  # 0.09 km2
    mask[30:40, 30:40] = False  # 0.01 km2, with an island
    mask[34:36, 34:36] = True
    kept = trace(make_probability(mask), OutlineOptions(min_area_km2=0, min_hole_km2=0.02))
    [polygon] = kept.geometry
    assert len(polygon.interiors) == 1
    filled = disc((120, 120), (60, 60), 55)
    assert polygon.area == (filled.sum() - 900) * 100


def test_complexes_are_counted_after_small_ones_are_dropped(make_probability):
    mask = np.zeros((80, 80), bool)
    mask[0:20, 0:20] = mask[22:42, 22:42] = True
    mask[20:22, 20:22] = True  # joins the two by corners, and is too small
    outlines = trace(make_probability(mask), OutlineOptions())
    assert outlines["complex_id"].tolist() == [1, 2]


@pytest.mark.parametrize("value", [0, NODATA])
def test_no_ice_is_no_outlines(make_probability, value):
    outlines = trace(make_probability(np.full((20, 20), value)))
    assert len(outlines) == 0
    assert list(outlines.columns) == ["complex_id"]


def test_all_ice_is_the_frame(make_probability):
    grid = utm_grid((600, 40))  # more than one strip of rows
    [polygon] = trace(make_probability(np.full((600, 40), 250), grid)).geometry
    assert polygon.equals(grid.footprint)


@pytest.mark.parametrize(
    "transform",
    [
        Affine(10, 0, 600_000, 0, 10, 5_200_000),  # south-up
        Affine(8, 6, 600_000, 6, -8, 5_200_000),  # rotated and mirrored
        Affine(8, -6, 600_000, -6, -8, 5_200_000),
    ],
)
def test_other_grids_come_back_in_place(make_probability, transform):
    grid = Grid(CRS.from_epsg(32632), transform, (50, 60))
    mask = np.zeros((50, 60), bool)
    mask[10:30, 20:50] = True
    outlines = trace(make_probability(mask, grid))
    [polygon] = in_pixels(outlines, grid)
    assert polygon.equals(shapely.box(20, 10, 50, 30))
    assert outlines.geometry[0].exterior.is_ccw
