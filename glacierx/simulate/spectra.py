"""What surfaces reflect in each band, and how that varies from place to place."""

import numpy as np
from numpy.typing import NDArray

Spectrum = NDArray[np.float32]

ROLES = ("blue", "green", "red", "nir", "swir1", "swir2")
WAVELENGTHS_UM = (0.48, 0.56, 0.66, 0.84, 1.61, 2.2)
ALL = tuple(range(len(ROLES)))

# Reflectance of broad bands at 0.48, 0.56, 0.66, 0.84, 1.6 and 2.2 micrometres. Typical values of
# our choice, not a library's measurements: what must hold is that snow, firn and ice are bright
# in the visible and dark at 1.6 micrometres, and that debris looks like the rock around it.
SPECTRA = {
    "snow": (0.90, 0.90, 0.88, 0.80, 0.10, 0.07),
    "firn": (0.66, 0.66, 0.63, 0.52, 0.06, 0.04),
    "ice": (0.46, 0.47, 0.43, 0.31, 0.03, 0.02),
    "dirty ice": (0.20, 0.21, 0.21, 0.18, 0.07, 0.05),
    "debris": (0.13, 0.15, 0.17, 0.20, 0.24, 0.22),
    "gneiss": (0.13, 0.15, 0.17, 0.20, 0.25, 0.23),
    "schist": (0.09, 0.10, 0.11, 0.13, 0.17, 0.15),
    "granite": (0.19, 0.22, 0.25, 0.28, 0.33, 0.31),
    "limestone": (0.17, 0.21, 0.25, 0.29, 0.34, 0.28),
    "sandstone": (0.09, 0.13, 0.20, 0.26, 0.34, 0.31),
    "basalt": (0.06, 0.07, 0.07, 0.09, 0.11, 0.10),
    "gravel": (0.17, 0.20, 0.22, 0.25, 0.28, 0.25),
    "meadow": (0.04, 0.08, 0.05, 0.36, 0.21, 0.10),
    "steppe": (0.08, 0.11, 0.12, 0.25, 0.30, 0.22),
    "forest": (0.02, 0.035, 0.025, 0.22, 0.10, 0.045),
    "lake": (0.08, 0.10, 0.06, 0.02, 0.01, 0.01),
    "clear lake": (0.05, 0.05, 0.025, 0.012, 0.008, 0.006),
    "milky lake": (0.17, 0.22, 0.18, 0.07, 0.012, 0.008),
    "lake ice": (0.55, 0.55, 0.51, 0.38, 0.05, 0.04),
    "cloud": (0.72, 0.72, 0.71, 0.70, 0.45, 0.33),
}
ROCKS = ("gneiss", "schist", "granite", "limestone", "sandstone", "basalt")


def spectrum(name: str) -> Spectrum:
    """Return the reflectance of a surface in the order of `ROLES`."""
    return np.array(SPECTRA[name], np.float32)


def varied(
    values: Spectrum, random: np.random.Generator, *, brightness: float, tilt: float, bend: float
) -> Spectrum:
    """Vary a spectrum: as a whole, from blue to infrared, and band by band.

    Args:
        values: A spectrum.
        random: Source of randomness.
        brightness: Standard deviation of the logarithm of its brightness.
        tilt: The same of its ratio over an octave of wavelength.
        bend: The same of each band by itself.
    """
    octaves = np.log2(np.array(WAVELENGTHS_UM) / 0.9)
    change = brightness * random.standard_normal() + tilt * random.standard_normal() * octaves
    change = change + bend * random.standard_normal(len(ROLES))
    return np.asarray(np.clip(values * np.exp(change), 0.004, 0.97), np.float32)
