"""NDSI, NDVI and their kin, by role."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def normalised_difference(a: Any, b: Any) -> NDArray[np.float32]:
    """Return (a - b) / (a + b), and 0 where the sum is not positive."""
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    total: NDArray[np.float32] = a + b
    quotient = np.zeros_like(total)
    np.divide(a - b, total, out=quotient, where=total > 0)
    return quotient


def ndsi(green: Any, swir1: Any) -> NDArray[np.float32]:
    """Normalised difference snow index (Hall et al. 1995); snow and ice are above 0.4."""
    return normalised_difference(green, swir1)


def ndvi(nir: Any, red: Any) -> NDArray[np.float32]:
    """Normalised difference vegetation index (Tucker 1979); plants are above about 0.2."""
    return normalised_difference(nir, red)
