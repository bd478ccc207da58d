"""NDSI, NDVI, NDWI and the ratio of red to shortwave infrared, by role."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

INDICES = {
    "ndsi": ("green", "swir1"),
    "ndvi": ("nir", "red"),
    "ndwi": ("green", "nir"),
    "ratio": ("red", "swir1"),
}
"""The roles that each index is made of."""

DIFFERENCES = ("ndsi", "ndvi", "ndwi")

REFLECTANCE, NUMBERS = "reflectance", "stored numbers"
"""What values are in: known reflectance, or whatever the file holds."""

# A denominator below one step of what is stored says nothing: 1 of the file's numbers, or the
# 0.0001 that suppliers store reflectance in.
LEAST = {REFLECTANCE: 1e-4, NUMBERS: 1.0}
# More than any two numbers of 16 bits give: a stray one must not be infinite.
MOST_RATIO = 1e6


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


def ndwi(green: Any, nir: Any) -> NDArray[np.float32]:
    """Normalised difference water index (McFeeters 1996); open water is above 0."""
    return normalised_difference(green, nir)


def band_ratio(red: Any, swir1: Any, least: float) -> NDArray[np.float32]:
    """Return red / SWIR1 (Paul et al. 2002), the denominator held at *least* or above."""
    below = np.maximum(np.asarray(swir1, np.float32), np.float32(least))
    with np.errstate(over="ignore"):
        ratio = np.asarray(red, np.float32) / below
    return np.asarray(np.clip(ratio, -MOST_RATIO, MOST_RATIO), np.float32)


def measure(
    name: str, values: Mapping[str, NDArray[np.float32]], units: str
) -> NDArray[np.float32]:
    """Return a band or an index.

    Args:
        name: A role, or a key of `INDICES`.
        values: Pixels by role.
        units: `REFLECTANCE` or `NUMBERS`: what is too small to divide by.
    """
    if name not in INDICES:
        return values[name]
    first, second = (values[role] for role in INDICES[name])
    if name == "ratio":
        return band_ratio(first, second, LEAST[units])
    return normalised_difference(first, second)
