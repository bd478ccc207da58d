import numpy as np
import pytest
from rasterio.windows import Window

from glacierx.simulate.fields import PERIODS_PX, Coarse, Whole, repeated

FIELD = repeated(1.4, 60, np.random.default_rng(0))


def test_a_repeated_field_is_standardised_and_the_same_by_any_window():
    whole = FIELD.read(Window(0, 0, 3000, 1600))
    assert whole.dtype == np.float32
    assert whole.std() == pytest.approx(1, abs=0.05)
    part = FIELD.read(Window(1300, 1390, 400, 200))  # across the ends of both parts
    np.testing.assert_array_equal(part, whole[1390:1590, 1300:1700])


def test_a_repeated_field_has_no_seams_and_does_not_repeat_soon():
    line = FIELD.read(Window(0, 0, 4096, 64))
    steps = np.abs(np.diff(line, axis=1)).mean(axis=0)
    for period in PERIODS_PX:
        assert steps[period - 1] < steps.mean() + 4 * steps.std()
        later = FIELD.read(Window(period, 0, 4096, 64))
        assert abs(np.corrcoef(line.ravel(), later.ravel())[0, 1]) < 0.7


def test_a_coarse_field_keeps_a_ramp_and_ends_flat():
    rows, columns = np.indices((20, 30))
    ramp = Coarse((3.0 * rows + columns).astype(np.float32), 4)
    got = ramp.read(Window(8, 12, 80, 40))
    down, right = np.indices((40, 80))
    expected = 3 * ((down + 12.5) / 4 - 0.5) + (right + 8.5) / 4 - 0.5
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    assert np.ptp(ramp.read(Window(0, 0, 1, 2))) == 0
    np.testing.assert_array_equal(got[10:20, 5:9], ramp.read(Window(13, 22, 4, 10)))


def test_a_whole_field_is_cut():
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(Whole(values).read(Window(1, 2, 2, 1)), [[9, 10]])
