import math

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from glacierx.predict.mixture import Mixture, fit_mixture, not_two


def two(random, low, high, counts):
    return np.concatenate([random.normal(*low, counts[0]), random.normal(*high, counts[1])]).astype(
        np.float32
    )


def test_it_finds_what_scikit_learn_finds():
    values = two(np.random.default_rng(0), (0.1, 0.05), (0.6, 0.1), (30_000, 10_000))
    ours = fit_mixture(values)
    theirs = GaussianMixture(2, tol=1e-8, max_iter=500, means_init=[[0.1], [0.6]])
    theirs.fit(values[:, None])
    # Ours leaves out the last thousandths and counts in bins: half a percent of the range.
    assert ours.weights == pytest.approx(theirs.weights_, abs=0.005)
    assert ours.means == pytest.approx(theirs.means_[:, 0], abs=0.005)
    assert ours.deviations == pytest.approx(np.sqrt(theirs.covariances_[:, 0, 0]), abs=0.005)


def test_saturated_pixels_are_counted_by_the_tail():
    # A fifth of all pixels would have been brighter than the sensor can tell.
    whole = two(np.random.default_rng(0), (100, 25), (260, 30), (30_000, 20_000))
    cut = whole.clip(0, 255)
    assert np.mean(cut == 255) > 0.2
    found = fit_mixture(cut)
    assert found.means == pytest.approx((100, 260), abs=2)
    assert found.deviations == pytest.approx((25, 30), abs=2)
    assert found.weights == pytest.approx((0.6, 0.4), abs=0.01)


def test_alike_classes_part_in_the_middle():
    mixture = Mixture((0.5, 0.5), (0.0, 4.0), (1.0, 1.0))
    assert mixture.threshold() == pytest.approx(2)
    assert mixture.separation == pytest.approx(4)
    # The log odds of two normals of one deviation are (d / s^2)(x - middle) = 4 (x - 2).
    assert mixture.threshold(0.9) == pytest.approx(2 + math.log(9) / 4)


@pytest.mark.parametrize("level", [0.05, 0.5, 0.95])
def test_the_posterior_at_the_threshold_is_the_level(level):
    mixture = Mixture((0.7, 0.3), (0.1, 0.7), (0.08, 0.15))
    x = mixture.threshold(level)
    low, high = (
        weight * math.exp(-0.5 * ((x - mean) / deviation) ** 2) / deviation
        for weight, mean, deviation in zip(
            mixture.weights, mixture.means, mixture.deviations, strict=True
        )
    )
    assert high / (low + high) == pytest.approx(level)


def test_one_class_within_the_other_has_no_threshold():
    mixture = Mixture((0.999, 0.001), (0.0, 0.1), (1.0, 1.0))
    assert mixture.threshold() is None


@pytest.mark.parametrize(
    ("draw", "why"),
    [
        (lambda random: random.normal(0.15, 0.03, 40_000), "deviations apart"),
        (lambda random: random.lognormal(-1.9, 0.4, 40_000), "deviations apart"),
        (lambda random: random.uniform(0.05, 0.3, 40_000), "one hump"),
        (lambda random: np.full(40_000, 0.2), "too few"),
        (lambda random: random.normal(0.15, 0.03, 50), "too few"),
    ],
    ids=["normal", "lognormal", "uniform", "constant", "few"],
)
def test_ground_of_one_kind_is_not_two_classes(draw, why):
    values = draw(np.random.default_rng(0)).astype(np.float32)
    assert why in not_two(fit_mixture(values), values)


def test_two_classes_are_two_and_a_few_wild_pixels_change_little():
    values = two(np.random.default_rng(0), (0.0, 0.1), (0.8, 0.1), (30_000, 10_000))
    assert not_two(fit_mixture(values), values) == ""
    wild = np.append(values, np.float32([-500, 900]))
    assert fit_mixture(wild).threshold() == pytest.approx(fit_mixture(values).threshold(), abs=0.01)
