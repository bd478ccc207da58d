"""Pixel methods without a network: NDSI and Otsu."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from glacierx.errors import MissingBandError, SceneError
from glacierx.predict.sample import sample_scene
from glacierx.scene.indices import ndsi, ndvi, normalised_difference
from glacierx.scene.scene import Scene

METHODS = {
    "ndsi": "NDSI > 0.4, green > 0.10 and NIR > 0.11; needs green, SWIR1 and known units",
    "otsu": "Otsu's threshold on green where NDVI < 0.2, if there are two classes; needs green",
}
"""Name and rule of each pixel method."""

# Hall et al. 1995 and 2001 (MOD10): snow and ice, neither dark ground nor water.
NDSI_ABOVE, GREEN_ABOVE, NIR_ABOVE = 0.4, 0.10, 0.11
NDVI_BELOW = 0.2

# What tells ice beside rock from lit rock beside shadow, water or noise; chosen on Landsat 7 and 8
# and Sentinel-2 scenes of the Himalaya, with room on either side.
LEAST_CONTRAST = 1.5
LEAST_SWIR_FALL, LEAST_NIR_FALL, MOST_NIR_RISE = 0.3, 0.05, -0.2
DEEPEST_SADDLE = 0.6
FEWEST_PIXELS = 100
BINS = 256
# No reflectance of a whole scene ends below or goes beyond.
DARKEST, BRIGHTEST = 0.01, 3.0

Values = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class PixelMethod:
    """A rule that decides each pixel by itself; no network.

    Attributes:
        name: ``ndsi`` or ``otsu``.
        roles: What it reads.
        thresholds: The numbers it decides by, found in the scene or from the literature.
        notes: What a user should know about the result.
        finds_ice: False where the scene holds no second class, so that nothing is ice.
    """

    name: str
    roles: tuple[str, ...]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    finds_ice: bool = True

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Decide pixels (roles, rows, columns): True is glacier."""
        by_role = dict(zip(self.roles, values, strict=True))
        if not self.finds_ice:
            return np.zeros(values.shape[1:], bool)
        if self.name == "ndsi":
            ice: NDArray[np.bool_] = (
                ndsi(by_role["green"], by_role["swir1"]) > self.thresholds["ndsi"]
            )
            for role in ("green", "nir"):
                if role in self.thresholds:
                    ice &= by_role[role] > self.thresholds[role]
            return np.asarray(ice)
        return np.asarray((by_role["green"] > self.thresholds["green"]) & _bare(by_role))

    def describe(self) -> dict[str, Any]:
        """Return what a run record says of the method."""
        return {
            "name": self.name,
            "kind": "pixel method",
            "roles": list(self.roles),
            "thresholds": dict(self.thresholds),
            "notes": list(self.notes),
        }


def _bare(values: Values) -> NDArray[np.bool_]:
    """Return True where no plants grow, or where that cannot be told."""
    if "nir" not in values or "red" not in values:
        return np.ones(values["green"].shape, bool)
    return ndvi(values["nir"], values["red"]) < NDVI_BELOW


def fit_method(name: str, scene: Scene) -> PixelMethod:
    """Make a pixel method ready for a scene.

    Args:
        name: ``ndsi`` or ``otsu``.
        scene: The scene; otsu reads a bounded sample of it.

    Raises:
        MissingBandError: The scene lacks a role.
        SceneError: ndsi is asked for where units are unknown.
    """
    return _fit_ndsi(scene) if name == "ndsi" else _fit_otsu(scene)


def _need(scene: Scene, role: str, name: str) -> None:
    if role not in scene.roles:
        raise MissingBandError(role, scene.roles, scene.name, f"the pixel method {name}")


def _fit_ndsi(scene: Scene) -> PixelMethod:
    for role in ("green", "swir1"):
        _need(scene, role, "ndsi")
    if not scene.has_reflectance(("green", "swir1")):
        raise SceneError(
            f"The units of {scene.name} are unknown, and an offset does not cancel in NDSI. "
            "Give --sensor and --level, or --scale and --offset, or use --model otsu."
        )
    thresholds = {"ndsi": NDSI_ABOVE, "green": GREEN_ABOVE}
    notes = _doubts(scene)
    if "nir" in scene.roles and scene.has_reflectance(("nir",)):
        thresholds["nir"] = NIR_ABOVE
        return PixelMethod("ndsi", ("green", "nir", "swir1"), thresholds, notes)
    lakes = "there is no NIR band in known units, so lakes may be taken for ice"
    return PixelMethod("ndsi", ("green", "swir1"), thresholds, (lakes, *notes))


def _doubts(scene: Scene) -> tuple[str, ...]:
    """Say so where what is called reflectance can hardly be."""
    green = sample_scene(scene, ("green",))[0]
    high = float(np.percentile(green, 99)) if green.size else 0.5
    if DARKEST < high < BRIGHTEST:
        return ()
    return (f"the green reflectance reaches {high:.2g}: check --sensor, --level and --scale",)


def _fit_otsu(scene: Scene) -> PixelMethod:
    _need(scene, "green", "otsu")
    used = tuple(role for role in ("green", "red", "nir") if role in scene.roles)
    sampled = (*used, "swir1") if "swir1" in scene.roles else used
    values = dict(zip(sampled, sample_scene(scene, sampled), strict=True))
    notes: list[str] = []
    if "nir" not in used or "red" not in used:
        notes.append("there is no red and NIR band, so plants are not told from ice")
    bare = _bare(values)
    values = {role: band[bare] for role, band in values.items()}
    green = values["green"]
    if green.size < FEWEST_PIXELS or green.min() == green.max():
        notes.append("no ice found: too few different pixels without plants")
        return PixelMethod("otsu", used, {}, tuple(notes), finds_ice=False)
    threshold = _in_the_gap(green, float(threshold_otsu(green, nbins=BINS)))
    why_not = one_class(values, threshold)
    if why_not:
        notes.append(f"no ice found: {why_not}")
    return PixelMethod(
        "otsu", used, {"green": threshold, "ndvi": NDVI_BELOW}, tuple(notes), not why_not
    )


def _in_the_gap(green: NDArray[np.float32], middle: float) -> float:
    """Move Otsu's threshold, the middle of a bin, to the middle of the gap above that bin.

    Anywhere in an empty stretch of the histogram parts the sample alike; its middle parts the rest
    of the scene best.
    """
    edge = middle + float(green.max() - green.min()) / BINS / 2
    above = green > edge
    if above.all() or not above.any():
        return middle
    return float((green[~above].max() + green[above].min()) / 2)


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
    if falls < MOST_NIR_RISE or _saddle(green, threshold) > DEEPEST_SADDLE:
        return "the bright class differs from the dark one in light, not in kind"
    return ""


def _fall(values: Values, role: str, bright: NDArray[Any], lit: NDArray[Any]) -> float:
    """Compare how far reflectance falls from green to a longer wavelength in two classes."""
    colour = normalised_difference(values["green"], values[role])
    return float(np.median(colour[bright]) - np.median(colour[lit]))


def _saddle(green: NDArray[np.float32], threshold: float) -> float:
    """Return the lowest count between the two humps over the lower hump's; 1 if there is one."""
    low, high = np.percentile(green, [0.1, 99.9])
    counts, edges = np.histogram(green, 128, range=(float(low), float(high) + 1e-12))
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), 2.5)
    at = int(np.clip(np.searchsorted(edges, threshold) - 1, 1, 126))
    left, right = int(smooth[:at].argmax()), at + int(smooth[at:].argmax())
    return float(smooth[left : right + 1].min() / max(min(smooth[left], smooth[right]), 1e-12))
