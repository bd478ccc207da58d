"""Otsu's threshold on a band, and whether it parts ice from other ground."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from glacierx.scene.indices import normalised_difference

# What tells ice beside rock from lit rock beside shadow, water or noise; chosen on Landsat 7 and 8
# and Sentinel-2 scenes of the Himalaya, with room on either side.
LEAST_CONTRAST = 1.5
LEAST_SWIR_FALL, LEAST_NIR_FALL, MOST_NIR_RISE = 0.3, 0.05, -0.2
DEEPEST_SADDLE = 0.6
BINS = 256

Values = Mapping[str, NDArray[np.float32]]


def otsu(band: NDArray[np.float32]) -> float:
    """Return Otsu's threshold (1979, doi:10.1109/TSMC.1979.4310076) of sampled pixels.

    Args:
        band: Pixels, not all alike.
    """
    return _in_the_gap(band, float(threshold_otsu(band, nbins=BINS)))


def are_alike(band: NDArray[np.float32]) -> bool:
    """Tell whether pixels differ by no more than the rounding of a histogram's bins."""
    low, high = float(band.min()), float(band.max())
    return high - low <= BINS * float(np.spacing(np.float32(max(abs(low), abs(high)))))


def _in_the_gap(band: NDArray[np.float32], middle: float) -> float:
    """Move Otsu's threshold, the middle of a bin, to the middle of the gap above that bin.

    Anywhere in an empty stretch of the histogram parts the sample alike; its middle parts the rest
    of the scene best.
    """
    edge = middle + float(band.max() - band.min()) / BINS / 2
    above = band > edge
    if above.all() or not above.any():
        return middle
    return float((band[~above].max() + band[above].min()) / 2)


def one_class(values: Values, threshold: float) -> str:
    """Say why a threshold on green does not part ice from other ground, or nothing if it does.

    Otsu's method parts any histogram in two. Ice stands out from the ground beside it: it is
    clearly brighter, and it either reflects less at longer wavelengths than lit ground does
    (shortwave infrared tells best, then near infrared), or makes a hump of its own in the
    histogram without being redder than the rest, as lit rock is beside shadow and water.

    Args:
        values: Sampled pixels without plants by role: green, and nir and swir1 where there are.
        threshold: Otsu's threshold on green.
    """
    green = values["green"]
    bright = green > threshold
    if bright.all() or not bright.any():
        return "all pixels are alike"
    middle = np.median(green[~bright])
    lit = ~bright & (green >= middle)
    contrast = float(np.median(green[bright]) / max(middle, np.finfo(np.float32).tiny))
    if contrast < LEAST_CONTRAST:
        return f"the bright class is only {contrast:.2f} times as bright as the dark one"
    if "swir1" in values:
        fall = _fall(values, "swir1", bright, lit)
        if fall < LEAST_SWIR_FALL:
            return "the bright class is as bright in the shortwave infrared as rock is"
        return ""
    falls = _fall(values, "nir", bright, lit) if "nir" in values else 0.0
    if falls > LEAST_NIR_FALL:
        return ""
    if falls < MOST_NIR_RISE or saddle(green, threshold) > DEEPEST_SADDLE:
        return "the bright class differs from the dark one in light, not in kind"
    return ""


def _fall(values: Values, role: str, bright: NDArray[Any], lit: NDArray[Any]) -> float:
    """Compare how far reflectance falls from green to a longer wavelength in two classes."""
    colour = normalised_difference(values["green"], values[role])
    return float(np.median(colour[bright]) - np.median(colour[lit]))


def saddle(band: NDArray[np.float32], threshold: float) -> float:
    """Return the lowest count between the two humps over the lower hump's; 1 if there is one."""
    low, high = np.percentile(band, [0.1, 99.9])
    counts, edges = np.histogram(band, 128, range=(float(low), float(high) + 1e-12))
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), 2.5)
    at = int(np.clip(np.searchsorted(edges, threshold) - 1, 1, 126))
    left, right = int(smooth[:at].argmax()), at + int(smooth[at:].argmax())
    return float(smooth[left : right + 1].min() / max(min(smooth[left], smooth[right]), 1e-12))
