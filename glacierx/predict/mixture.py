"""A mixture of two normal distributions, and the threshold between them."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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

    Args:
        values: Sampled pixels.

    Returns:
        None where there are too few pixels or all are alike.
    """
    if values.size < FEWEST_PIXELS or values.min() == values.max():
        return None
    counts, edges = np.histogram(values, EM_BINS)
    x = (edges[:-1] + edges[1:]) / 2
    share = counts / counts.sum()
    low, high = np.percentile(values, [0.5, 99.5])
    floor = max(NARROWEST * float(high - low), float(edges[1] - edges[0])) ** 2
    upper = (x > otsu(values)).astype(np.float64)
    if not 0 < float(share @ upper) < 1:
        return None
    before = -math.inf
    for _ in range(MOST_ROUNDS):
        members = np.stack([1 - upper, upper]) * share  # (2, bins)
        weights = members.sum(axis=1)
        means = members @ x / weights
        variances = np.einsum("kb,kb->k", members, (x - means[:, None]) ** 2) / weights
        variances = np.maximum(variances, floor)
        logs = np.log(weights) - 0.5 * np.log(2 * math.pi * variances)
        density = logs[:, None] - 0.5 * (x - means[:, None]) ** 2 / variances[:, None]
        total = np.logaddexp(*density)
        upper = np.exp(density[1] - total)
        likelihood = float(share @ total)
        if likelihood - before < CONVERGED or not 1e-6 < float(share @ upper) < 1 - 1e-6:
            break
        before = likelihood
    order = np.argsort(means)
    return Mixture(*(_pair(part[order]) for part in (weights, means, np.sqrt(variances))))


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
