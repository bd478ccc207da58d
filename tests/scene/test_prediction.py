import json

import numpy as np
import pytest
from factories import utm_grid, write_tif
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from glacierx.errors import GridError, SceneError
from glacierx.scene.grid import row_bands
from glacierx.scene.prediction import (
    NODATA,
    STEP,
    encode,
    first_step_above,
    open_prediction,
)


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_a_mask_that_calls_0_nodata_has_ground_without_ice(tmp_path, dtype):
    mask = np.zeros((1, 20, 30), dtype)
    mask[0, 5:9, 5:9] = 1
    path = write_tif(tmp_path / "m.tif", mask, utm_grid((20, 30)), nodata=0)
    with open_prediction(path) as prediction:
        steps = prediction.read(prediction.grid.window)
    assert np.array_equal(steps, mask[0] * 250)
    # Where other numbers are nodata they stay unknown.
    path = write_tif(tmp_path / "n.tif", mask, utm_grid((20, 30)), nodata=1)
    with open_prediction(path) as prediction:
        steps = prediction.read(prediction.grid.window)
    assert np.array_equal(steps == NODATA, mask[0] == 1)


def test_half_is_a_whole_number_of_steps():
    assert encode(0.5, True) == 125
    assert encode([0, 1, 0.004, 0.0059], True).tolist() == [0, 250, 1, 1]
    assert encode([0.5, 0.5], [True, False]).tolist() == [125, NODATA]


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_step_above_the_threshold_is_a_probability_above_it(probability, threshold):
    step = int(encode(probability, True))
    # The written value decides, so that the map and the outlines agree.
    assert (step >= first_step_above(threshold)) == (round(step * STEP, 6) > threshold + 1e-12) or (
        abs(step * STEP - threshold) < 1e-9
    )


@pytest.mark.parametrize(("threshold", "step"), [(0.5, 126), (0.3, 76), (0.0, 1), (1.0, 251)])
def test_the_threshold_is_strict(threshold, step):
    assert first_step_above(threshold) == step


def test_our_own_steps_are_read_as_they_are(make_probability):
    steps = np.arange(12).reshape(3, 4) * 20
    steps[0, 0] = NODATA
    with open_prediction(make_probability(steps)) as prediction:
        assert np.array_equal(prediction.read(prediction.grid.window), steps)
        assert np.array_equal(prediction.read(Window(1, 2, 2, 1)), steps[2:3, 1:3])


@pytest.mark.parametrize(
    ("values", "profile"),
    [
        (np.array([[0.0, 0.5], [1.0, np.nan]], "float32"), {}),
        (np.array([[0.0, 0.5], [1.0, -1]], "float32"), {"nodata": -1}),
        (np.array([[0, 50], [100, 255]], "uint8"), {"nodata": 255, "scales": (0.01,)}),
        (np.array([[0, 5000], [10_000, 65535]], "uint16"), {"nodata": 65535, "scales": (1e-4,)}),
    ],
)
def test_other_probability_maps_are_read_too(tmp_path, values, profile):
    path = write_tif(tmp_path / "p.tif", values[None], utm_grid((2, 2)), **profile)
    with open_prediction(path) as prediction:
        assert prediction.read(prediction.grid.window).tolist() == [[0, 125], [250, NODATA]]


def test_a_mask_of_zeros_and_ones_is_certain(tmp_path):
    values = np.array([[0, 1], [1, 255]], "uint8")
    path = write_tif(tmp_path / "m.tif", values[None], utm_grid((2, 2)), nodata=255)
    with open_prediction(path) as prediction:
        assert prediction.read(prediction.grid.window).tolist() == [[0, 250], [250, NODATA]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0, 2], [1, 7]], "uint8"), r"holds the values 0, 1, 2, 7; expected a mask"),
        (np.array([[0, 50.0]], "float32"), "expected probabilities from 0 to 1"),
    ],
)
def test_other_values_are_refused(tmp_path, values, message):
    path = write_tif(tmp_path / "m.tif", values[None], utm_grid(values.shape))
    with (
        open_prediction(path) as prediction,
        pytest.raises(SceneError, match=message),
    ):
        prediction.read(prediction.grid.window)


def test_several_bands_are_refused_unless_one_is_glacier(tmp_path):
    values = np.zeros((2, 4, 4), "uint8")
    values[1] = 200
    grid = utm_grid((4, 4))
    bare = write_tif(tmp_path / "a.tif", values, grid)
    with pytest.raises(SceneError, match="2 bands and does not say"):
        open_prediction(bare)
    tags = {"GLACIERX_CLASSES": json.dumps(["lake", "glacier"]), "GLACIERX_KIND": "probability"}
    named = write_tif(
        tmp_path / "b.tif", values, grid, tags=tags, scales=(STEP, STEP), nodata=NODATA
    )
    with open_prediction(named) as prediction:
        assert (prediction.read(grid.window) == 200).all()


def test_a_map_without_a_place_is_refused(tmp_path):
    path = write_tif(tmp_path / "a.tif", np.zeros((1, 4, 4), "uint8"), utm_grid((4, 4)), crs=None)
    with pytest.raises(GridError, match="has no CRS"):
        open_prediction(path)


@given(st.integers(1, 5000), st.integers(1, 600))
def test_row_bands_cover_every_row_once(rows, height):
    bands = row_bands(rows, height)
    assert [row for first, last in bands for row in range(first, last)] == list(range(rows))
