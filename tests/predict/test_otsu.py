import numpy as np
import pytest
from factories import ROCK_RATIOS, noisy
from skimage.filters import threshold_otsu

from glacierx.predict.otsu import BINS, one_class, otsu


@pytest.mark.parametrize("top", [None, 255])
def test_otsu_parts_pixels_as_scikit_image_does(top):
    # Saturated or not: the same pixels are above, but for those in the bin of the threshold.
    random = np.random.default_rng(0)
    band = np.concatenate([random.normal(90, 25, 30_000), random.normal(240, 40, 20_000)])
    band = np.rint(band.clip(0, top)).astype(np.float32)
    theirs = float(threshold_otsu(band, nbins=BINS))
    width = float(band.max() - band.min()) / BINS
    assert abs(otsu(band) - theirs) <= 1 + width
    assert np.mean((band > otsu(band)) != (band > theirs + width / 2)) == 0


def test_otsu_lies_in_the_middle_of_a_gap():
    band = np.repeat([1.0, 2.0, 8.0, 9.0], [50, 200, 100, 100]).astype(np.float32)
    assert otsu(band) == 5


def test_lit_rock_beside_shadow_is_no_ice():
    # Shadow gets skylight, which is blue; lit rock reddens. Two clear humps, and no ice.
    random = np.random.default_rng(0)
    lit = noisy(random.normal(0.18, 0.02, 30_000), ROCK_RATIOS, random)
    dark = noisy(random.normal(0.03, 0.005, 20_000), {"green": 1, "red": 0.8, "nir": 0.5}, random)
    values = {role: np.concatenate([lit[role], dark[role]]) for role in lit}
    assert "in light, not in kind" in one_class(values, 0.1)


def test_a_little_ice_is_enough():
    random = np.random.default_rng(0)
    rock = noisy(random.normal(0.15, 0.03, 49_000), ROCK_RATIOS, random)
    ice = noisy(random.normal(0.6, 0.08, 1000), {"green": 1, "red": 0.95, "nir": 0.8}, random)
    values = {role: np.concatenate([rock[role], ice[role]]) for role in rock}
    assert one_class(values, 0.37) == ""
