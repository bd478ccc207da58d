import numpy as np
import pytest

from glacierx.simulate.spectra import ROCKS, ROLES, SPECTRA, spectrum, varied


def index(a, b, name):
    one, other = (SPECTRA[name][ROLES.index(role)] for role in (a, b))
    return (one - other) / (one + other)


def test_the_spectra_are_those_of_their_kind():
    for name in ("snow", "firn", "ice", "lake ice"):
        assert index("green", "swir1", name) > 0.7
    for name in ("debris", "gravel", *ROCKS):
        assert index("green", "swir1", name) < 0
    for name in ("meadow", "forest"):
        assert index("nir", "red", name) > 0.6
    for name in ("lake", "clear lake", "milky lake"):
        assert index("green", "nir", name) > 0.5
    assert all(0 < value < 1 for values in SPECTRA.values() for value in values)


def test_a_varied_spectrum_stays_one():
    random = np.random.default_rng(0)
    many = np.array(
        [
            varied(spectrum("gneiss"), random, brightness=0.2, tilt=0.05, bend=0.03)
            for _ in range(500)
        ]
    )
    assert many.min() > 0
    assert many.max() < 1
    logs = np.log(many / spectrum("gneiss"))
    assert np.abs(logs.mean(axis=0)).max() < 0.05
    # Brightness and bend in each band; the tilt adds up to 0.05 times log2(2.2 / 0.9) = 0.06.
    assert logs.std(axis=0) == pytest.approx(np.hypot(0.2, 0.03), rel=0.2)
    # Bands vary together more than apart.
    assert (logs - logs.mean(axis=1, keepdims=True)).std() < 0.08


def test_nothing_varies_by_nothing():
    same = varied(spectrum("ice"), np.random.default_rng(0), brightness=0, tilt=0, bend=0)
    np.testing.assert_allclose(same, SPECTRA["ice"], rtol=1e-6)
