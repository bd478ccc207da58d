"""A mixture of two normal distributions, and the threshold between them."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from glacierx.predict.otsu import DEEPEST_SADDLE, otsu, saddle

EM_BINS = 512
MOST_ROUNDS = 2000
CONVERGED = 1e-9
# Ashman, Bird & Zepf (1994, doi:10.1086/117248): below 2 two normal distributions are not apart.
LEAST_SEPARATION = 2.0
# A class narrower than this share of the range is a spike, such as saturated snow, and would
# leave the pixels beside it to the other class.
NARROWEST = 0.02
FEWEST_PIXELS = 100
LEAST_WEIGHT = 1e-6
ENDS = (0.1, 99.9)
# Of pixels that are not saturated hardly any share the highest value.
SATURATED = 0.01


@dataclass(frozen=True)
class Mixture:
    """Two normal distributions, the one with the lower mean first.

    Attributes:
        weights: Their shares of the pixels.
        means: Their means.
        deviations: Their standard deviations.
    """

    weights: tuple[float, float]
    means: tuple[float, float]
    deviations: tuple[float, float]

    @property
    def separation(self) -> float:
        """Ashman's D: the distance of the means in root mean square deviations."""
        spread = math.hypot(*self.deviations) / math.sqrt(2)
        return (self.means[1] - self.means[0]) / spread

    def threshold(self, level: float = 0.5) -> float | None:
        """Return where, between the means, the posterior of the upper one reaches a level.

        Args:
            level: Above 0, below 1.

        Returns:
            None where it does not reach it between the means.
        """
        (first, second), (low, high) = self.weights, self.means
        var_low, var_high = (value**2 for value in self.deviations)
        # log(second N_high / first N_low) = logit(level) is a quadratic a x^2 + b x + c = 0.
        a = 0.5 / var_low - 0.5 / var_high
        b = high / var_high - low / var_low
        c = 0.5 * low**2 / var_low - 0.5 * high**2 / var_high
        c += math.log(second / first) + 0.5 * math.log(var_low / var_high)
        c -= math.log(level / (1 - level))
        roots = [-c / b] if abs(a) < 1e-12 * abs(b) else np.roots([a, b, c]).tolist()
        between = [float(np.real(x)) for x in roots if np.isreal(x) and low < np.real(x) < high]
        return between[0] if len(between) == 1 else None


def fit_mixture(values: NDArray[np.float32]) -> Mixture | None:
    """Fit a mixture of two normal distributions by expectation and maximisation.

    It works on a histogram of 512 bins and begins at Otsu's threshold, so that the same pixels
    always give the same mixture (Dempster et al. 1977, doi:10.1111/j.2517-6161.1977.tb01600.x).
    Pixels at the highest value, if they are many, are saturated: all that is known of them is that
    they reach it, and each distribution counts them by its tail.

    Args:
        values: Sampled pixels.

    Returns:
        None where there are too few pixels or all are alike.
    """
    if values.size < FEWEST_PIXELS:
        return None
    # An index of dark pixels can be anything, and a few would take all the bins.
    low, high = np.percentile(values, ENDS)
    values = values[(values >= low) & (values <= high)]
    if low == high:
        return None
    highest = float(values.max())
    saturated = values == highest
    limit = highest if saturated.mean() > SATURATED else math.inf
    measured = values[~saturated] if limit < math.inf else values
    if measured.min() == measured.max():
        return None
    counts, edges = np.histogram(measured, EM_BINS)
    x = (edges[:-1] + edges[1:]) / 2
    share = np.append(counts, values.size - measured.size) / values.size
    floor = max(NARROWEST * float(high - low), float(edges[1] - edges[0])) ** 2
    upper = np.append(x > otsu(values), 1.0)
    return _climb(_Pixels(x, share, limit), upper, floor)


@dataclass(frozen=True)
class _Pixels:
    """Middles of bins; their shares and, last, that of saturated pixels; where these begin."""

    x: NDArray[np.float64]
    share: NDArray[np.float64]
    limit: float

    def moments(
        self, means: NDArray[np.float64], deviations: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the expected distance from each mean and its square (2, bins and saturated)."""
        apart = self.x - means[:, None]
        if self.limit == math.inf:
            nothing = np.zeros((2, 1))
            return np.hstack([apart, nothing]), np.hstack([apart**2, nothing])
        # Of a normal distribution beyond a limit (Cohen 1959, doi:10.1080/00401706.1959.10489859).
        z = (self.limit - means) / deviations
        hazard = np.exp(-0.5 * z**2 - 0.5 * math.log(2 * math.pi) - log_ndtr(-z))
        beyond, square = deviations * hazard, deviations**2 * (1 + z * hazard)
        return np.hstack([apart, beyond[:, None]]), np.hstack([apart**2, square[:, None]])

    def log_density(
        self, means: NDArray[np.float64], deviations: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the logarithm of each density (2, bins), last of the tail beyond the limit."""
        z = (self.x - means[:, None]) / deviations[:, None]
        logs = -0.5 * z**2 - np.log(deviations * math.sqrt(2 * math.pi))[:, None]
        tail = np.zeros(2)
        if self.limit < math.inf:
            tail = log_ndtr((means - self.limit) / deviations)
        return np.hstack([logs, tail[:, None]])


def _climb(pixels: _Pixels, upper: NDArray[np.float64], floor: float) -> Mixture | None:
    """Take turns at what belongs to whom (*upper*) and what they are like, to the top."""
    share = pixels.share
    if not 0 < float(share @ upper) < 1:
        return None
    at = np.append(pixels.x, pixels.limit if pixels.limit < math.inf else 0.0)
    members = np.stack([1 - upper, upper]) * share  # (2, bins and saturated)
    weights = members.sum(axis=1)
    means = members @ at / weights
    square = np.einsum("kb,kb->k", members, (at - means[:, None]) ** 2) / weights
    deviations = np.sqrt(np.maximum(square, floor))
    before = -math.inf
    for _ in range(MOST_ROUNDS):
        logs = pixels.log_density(means, deviations) + np.log(weights)[:, None]
        total = np.logaddexp(*logs)
        likelihood = float(share @ total)
        if likelihood - before < CONVERGED:
            break
        before = likelihood
        members = np.exp(logs - total) * share
        weights = members.sum(axis=1)
        if weights.min() < LEAST_WEIGHT:
            return None
        apart, square = pixels.moments(means, deviations)
        shift = np.einsum("kb,kb->k", members, apart) / weights
        variance = np.einsum("kb,kb->k", members, square) / weights - shift**2
        means, deviations = means + shift, np.sqrt(np.maximum(variance, floor))
    order = np.argsort(means)
    return Mixture(_pair(weights[order]), _pair(means[order]), _pair(deviations[order]))


def _pair(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def not_two(mixture: Mixture | None, values: NDArray[np.float32]) -> str:
    """Say why pixels are not of two classes, or nothing if they are.

    Args:
        mixture: What was fitted to them.
        values: The pixels.
    """
    if mixture is None:
        return "too few different pixels"
    if mixture.separation < LEAST_SEPARATION:
        return (
            f"the two classes are {mixture.separation:.1f} deviations apart, less than "
            f"{LEAST_SEPARATION:g}"
        )
    threshold = mixture.threshold()
    if threshold is None:
        return "one class lies within the other"
    if saddle(values, threshold) > DEEPEST_SADDLE:
        return "there is one hump in the histogram"
    return ""
