import numpy as np
import pytest
from factories import disc, utm_grid, write_tif
from scipy import ndimage

from glacierx.predict import pixels
from glacierx.predict.classic import fit_method
from glacierx.predict.pixels import median_of_neighbours, pixel_rows
from glacierx.scene.prediction import STEPS
from glacierx.scene.scene import open_scene

ALL = np.ones((40, 50), bool)


def test_the_median_is_that_of_scipy_inside_the_frame():
    values = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    theirs = ndimage.median_filter(values, 3)
    assert np.array_equal(median_of_neighbours(values, ALL)[1:-1, 1:-1], theirs[1:-1, 1:-1])


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_threshold_before_the_median_is_the_same_as_after(share):
    random = np.random.default_rng(1)
    values = random.random((150, 50)).astype(np.float32)
    valid = random.random((150, 50)) >= share
    after = median_of_neighbours(values, valid) > 0.5
    before = median_of_neighbours((values > 0.5).astype(np.float32), valid) > 0.5
    assert np.array_equal(after[valid], before[valid])


def test_the_majority_of_valid_neighbours_decides():
    ice = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 1]], np.float32)
    valid = np.ones((3, 3), bool)
    # The corner has 1, 1, 0, 0: a tie, so it stays; the middle has 4 of 9.
    found = median_of_neighbours(ice, valid)
    assert (found[0, 0], found[1, 1]) == (1, 0)
    # Without two of the zeros the middle has 4 of 7; without one, 4 of 8 and itself.
    valid[1, 0] = valid[0, 2] = False
    assert median_of_neighbours(ice, valid)[1, 1] == 1
    valid[0, 2] = True
    assert median_of_neighbours(ice, valid)[1, 1] == 0


def test_a_lone_pixel_stays_as_it_is():
    valid = np.zeros((3, 3), bool)
    valid[1, 1] = True
    ice = np.zeros((3, 3), np.float32)
    ice[1, 1] = 1
    assert median_of_neighbours(ice, valid)[1, 1] == 1


@pytest.mark.parametrize("region", [False, True])
@pytest.mark.parametrize("height", [1, 3, 7, 64])
def test_the_median_leaves_no_trace_of_strips(tmp_path, monkeypatch, height, region):
    random = np.random.default_rng(0)
    values = random.random((2, 60, 50)).astype("float32")
    values[:, random.random((60, 50)) < 0.2] = np.nan
    grid = utm_grid((60, 50))
    path = write_tif(tmp_path / "s.tif", values, grid, descriptions=("green", "nir"))
    aoi = None
    if region:
        aoi = tmp_path / "region.geojson"
        left, bottom, right, top = grid.bounds
        lower = top - 205  # half a pixel beyond a row
        write_box(aoi, left, bottom, right, lower)
    with open_scene(path, aoi=aoi) as scene:
        method = fit_method("sbtm:above=0.5", scene)
        whole = list(pixel_rows(scene, method, median=True))
        monkeypatch.setattr(pixels, "PIXEL_ROWS", height)
        parts = list(pixel_rows(scene, method, median=True))
    assert len(parts) == -(-60 // height)
    for index in (0, 1):
        axis = 1 - index
        one, many = (np.concatenate([row[index] for row in rows], axis) for rows in (whole, parts))
        wanted = np.concatenate([row[1] for row in parts])
        assert np.array_equal(one[..., wanted], many[..., wanted])
    assert wanted.any()


def write_box(path, left, bottom, right, top):
    import fiona

    schema = {"geometry": "Polygon", "properties": {}}
    ring = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    with fiona.open(path, "w", "GeoJSON", schema, crs="EPSG:32632") as file:
        file.write({"geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {}})


def test_the_median_removes_a_lone_pixel_of_a_scene_and_keeps_a_disc(make_scene):
    mask = disc((60, 60), (30, 30), 20)
    speckled = mask.copy()
    speckled[3, 3] = True
    with open_scene(make_scene(speckled)) as scene:
        method = fit_method("ratio", scene)
        [(found, _)] = pixel_rows(scene, method, median=True)
        [(plain, _)] = pixel_rows(scene, method)
    assert np.array_equal(plain[0], speckled * STEPS)
    assert not found[0, 3, 3]
    assert np.count_nonzero(found[0] != mask * STEPS) < 12  # corners of the pixel edge
