import math

import numpy as np
import pytest

from glacierx.evaluate.calibration import BINS, Calibration


def test_a_calibrated_probability_has_no_error():
    p = np.repeat([0.25, 0.75], 100).astype("float32")
    ice = np.r_[np.repeat([True, False], [25, 75]), np.repeat([True, False], [75, 25])]
    found = Calibration.of(p, ice)
    assert found.error == pytest.approx(0)
    # p (1 - p) in both bins.
    assert found.brier == pytest.approx(0.1875)


def test_the_error_is_the_mean_gap_weighted_by_pixels():
    p = np.r_[np.full(30, 0.9), np.full(10, 0.2)].astype("float32")
    ice = np.r_[np.ones(15, bool), np.zeros(15, bool), np.ones(10, bool)]
    # 30 pixels say .9 and are right half the time, 10 say .2 and are always.
    assert Calibration.of(p, ice).error == pytest.approx((30 * 0.4 + 10 * 0.8) / 40)
    rows = Calibration.of(p, ice).rows()
    assert [row["pixels"] for row in rows] == [0, 0, 10, 0, 0, 0, 0, 0, 0, 30]
    assert rows[9]["predicted"] == pytest.approx(0.9)
    assert rows[9]["true"] == 0.5
    assert rows[0]["true"] is None


def test_a_tenth_opens_its_bin_and_one_is_in_the_last():
    for at in range(BINS + 1):
        pixels = Calibration.of(np.array([at / BINS], "float32"), np.array([True])).pixels
        assert pixels.argmax() == min(at, BINS - 1)


def test_parts_add_up_and_nothing_has_no_error():
    generator = np.random.default_rng(0)
    p, ice = generator.random(500).astype("float32"), generator.random(500) < 0.4
    parts = Calibration.of(p[:200], ice[:200]) + Calibration.of(p[200:], ice[200:])
    whole = Calibration.of(p, ice)
    assert parts.error == pytest.approx(whole.error)
    assert parts.brier == pytest.approx(np.mean((p - ice) ** 2), rel=1e-5)
    assert math.isnan(Calibration.empty().error)
