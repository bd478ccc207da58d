"""Indices of bands as roles of a scene: what they are made of, and how."""

from collections.abc import Container, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from glacierx.scene.indices import (
    LEAST,
    NUMBERS,
    REFLECTANCE,
    band_ratio,
    normalised_difference,
)
from glacierx.scene.stored import Stored

Plane = NDArray[np.float32]

# MNDWI (Xu 2006, doi:10.1080/01431160600589179) has the formula of NDSI; NBR: Key & Benson (2006).
DIFFERENCES = {
    "ndsi": ("green", "swir1"),
    "ndvi": ("nir", "red"),
    "ndwi": ("green", "nir"),
    "mndwi": ("green", "swir1"),
    "nbr": ("nir", "swir2"),
}
CAP_BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
MADE_OF = {
    **DIFFERENCES,
    "band_ratio": ("red", "swir1"),
    "tc_brightness": CAP_BANDS,
    "tc_wetness": CAP_BANDS,
}
"""The bands that each index is made of."""

# Tasselled cap of reflectance, in the order of CAP_BANDS: TM of Crist (1985,
# doi:10.1016/0034-4257(85)90102-6), ETM+ of Huang et al. (2002, doi:10.1080/01431160110106113), OLI
# of Baig et al. (2014, doi:10.1080/2150704X.2014.915434), MSI of Shi & Xu (2019,
# doi:10.1109/JSTARS.2019.2938388). All but TM's are for reflectance at the sensor.
_TM = {
    "tc_brightness": (0.2043, 0.4158, 0.5524, 0.5741, 0.3124, 0.2303),
    "tc_wetness": (0.0315, 0.2021, 0.3102, 0.1594, -0.6806, -0.6109),
}
_ETM = {
    "tc_brightness": (0.3561, 0.3972, 0.3904, 0.6966, 0.2286, 0.1596),
    "tc_wetness": (0.2626, 0.2141, 0.0926, 0.0656, -0.7629, -0.5388),
}
_OLI = {
    "tc_brightness": (0.3029, 0.2786, 0.4733, 0.5599, 0.5080, 0.1872),
    "tc_wetness": (0.1511, 0.1973, 0.3283, 0.3407, -0.7117, -0.4559),
}
_MSI = {
    "tc_brightness": (0.3510, 0.3813, 0.3437, 0.7196, 0.2396, 0.1949),
    "tc_wetness": (0.2578, 0.2305, 0.0883, 0.1071, -0.7611, -0.5308),
}
CAPS = {
    "landsat-5": _TM, "landsat-7": _ETM, "landsat-8": _OLI, "landsat-9": _OLI, "sentinel-2": _MSI,
}  # fmt: skip
"""Coefficients of the tasselled cap by sensor; those of Landsat 8 hold for Landsat 9, its twin."""


def why_not(
    role: str, bands: Container[str], sensor: str | None, *, reflectance: bool
) -> str | None:
    """Say why an index cannot be made, and what to do; None where it can.

    Args:
        role: One of `INDEX`.
        bands: Roles of the scene's bands.
        sensor: Name of its sensor, if known.
        reflectance: Whether its units are known to be reflectance.
    """
    missing = [band for band in MADE_OF[role] if band not in bands]
    if missing:
        named = ",".join(f"{band}=NUMBER" for band in missing)
        return f"{role} needs {', '.join(missing)}, which the scene lacks: give --bands {named}"
    if not role.startswith("tc_"):
        return None
    if sensor not in CAPS:
        found = "the sensor is not known" if sensor is None else f"there are none of {sensor}"
        return f"{role} needs coefficients, and {found}: give --sensor, one of {', '.join(CAPS)}"
    if not reflectance:
        return f"{role} needs reflectance: give --level, or --scale and --offset"
    return None


def derive(
    roles: Sequence[str], parts: Iterable[Stored], sensor: str | None, *, reflectance: bool
) -> Stored:
    """Return indices.

    Args:
        roles: Which of `INDEX`.
        parts: Planes, among them those that the indices are made of.
        sensor: Name of the sensor.
        reflectance: Whether the units of these are known to be reflectance.
    """
    made_of = {band for role in roles for band in MADE_OF[role]}
    bands = {
        role: part.plane(at)
        for part in parts
        for at, role in enumerate(part.roles)
        if role in made_of
    }
    least = LEAST[REFLECTANCE if reflectance else NUMBERS]
    planes = [
        _index(role, [bands[name] for name in MADE_OF[role]], sensor, least) for role in roles
    ]
    return Stored.physical(roles, np.stack(planes))


def _index(role: str, parts: Sequence[Plane], sensor: str | None, least: float) -> Plane:
    if role in DIFFERENCES:
        return normalised_difference(parts[0], parts[1])
    if role == "band_ratio":
        return band_ratio(parts[0], parts[1], least)
    total = np.zeros_like(parts[0], np.float32)
    for factor, part in zip(CAPS[str(sensor)][role], parts, strict=True):
        total += np.float32(factor) * part
    return total
