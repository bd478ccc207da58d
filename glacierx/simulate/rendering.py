"""What a satellite would see of a landscape: surfaces, light, bands, noise."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from glacierx.scene.terrain import slope_aspect
from glacierx.simulate.landscape import Labels, Landscape, fractal

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

ROLES = ("blue", "green", "red", "nir", "swir1", "swir2")

# Reflectance of broad bands at 0.49, 0.56, 0.66, 0.84, 1.6 and 2.2 micrometres. Typical values of
# our choice, not a library's measurements: what must hold is that snow, firn and ice are bright
# in the visible and dark at 1.6 micrometres, and that debris looks like the rock around it.
SPECTRA = {
    "snow": (0.90, 0.90, 0.88, 0.80, 0.10, 0.07),
    "firn": (0.66, 0.66, 0.63, 0.52, 0.06, 0.04),
    "ice": (0.46, 0.47, 0.43, 0.31, 0.03, 0.02),
    "debris": (0.13, 0.15, 0.17, 0.20, 0.24, 0.22),
    "gneiss": (0.13, 0.15, 0.17, 0.20, 0.25, 0.23),
    "schist": (0.09, 0.10, 0.11, 0.13, 0.17, 0.15),
    "meadow": (0.04, 0.08, 0.05, 0.36, 0.21, 0.10),
    "lake": (0.08, 0.10, 0.06, 0.02, 0.01, 0.01),
}

# Share of the light that comes from the sky, not the sun, in each band.
SKY = (0.20, 0.15, 0.11, 0.07, 0.03, 0.02)
SUN_AZIMUTH_DEG, SUN_ELEVATION_DEG = 150.0, 48.0
SHADOW_PX = 1024


@dataclass(frozen=True)
class View:
    """A landscape at the scene's own GSD.

    Attributes:
        heights: Surface heights in metres (rows, columns).
        glacier: Label of each glacier, 0 off the ice.
        surface: Name of each surface and where it lies, later ones on top of earlier ones.
        reflectance: Reflectance (bands, rows, columns) in the order of `ROLES`.
    """

    heights: Floats
    glacier: Labels
    surface: Mapping[str, Mask]
    reflectance: Floats


def enlarge(field: NDArray[np.float64], size: int, order: int) -> NDArray[np.float64]:
    """Interpolate a coarse field to *size* rows and columns, cell edge to cell edge."""
    factor = size / field.shape[0]
    return np.asarray(ndimage.zoom(field, factor, order=order, mode="nearest", grid_mode=True))


def render(landscape: Landscape, size: int, gsd_m: float, random: np.random.Generator) -> View:
    """Render a landscape.

    Args:
        landscape: Terrain and ice.
        size: Rows and columns of the scene.
        gsd_m: Its ground sampling distance.
        random: Source of randomness.
    """
    grain = fractal((size, size), 0.9, random, longest=0.02).astype(np.float32)
    patches = fractal((size, size), 1.6, random, longest=0.05).astype(np.float32)
    heights = enlarge(landscape.surface, size, 3).astype(np.float32)
    soft_ice = enlarge(ndimage.gaussian_filter(landscape.ice.astype(np.float64), 0.7), size, 1)
    ice = soft_ice + 0.05 * grain > 0.5
    heights += np.where(ice, 0.3, 5.0).astype(np.float32) * grain
    glacier = _enlarge_labels(landscape, heights, ice)
    ice = glacier > 0
    slope = slope_aspect(heights, gsd_m)[0].astype(np.float32)
    height_above_snowline = heights - enlarge(landscape.snowline, size, 1).astype(np.float32)
    lake = _lakes(landscape, heights, ice, gsd_m, random)
    heights = np.where(lake > 0, _level(heights, lake), heights).astype(np.float32)
    ground = _Ground(ice, lake > 0, height_above_snowline, slope, grain, patches)
    surface = ground.surfaces(_debris(glacier, height_above_snowline, patches, random))
    reflectance = _light(_albedo(surface, grain, patches), heights, gsd_m)
    for band in reflectance:
        band *= 1 + 0.02 * random.standard_normal(band.shape, np.float32)
        band += 0.003 * random.standard_normal(band.shape, np.float32)
    return View(heights, glacier, surface, reflectance)


def _enlarge_labels(landscape: Landscape, heights: Floats, ice: Mask) -> Labels:
    """Grow the cores of the glaciers up to the ridges between them."""
    coarse = landscape.glacier
    whole = (ndimage.minimum_filter(coarse, 3) == ndimage.maximum_filter(coarse, 3)) & (coarse > 0)
    has_core = np.isin(coarse, np.unique(coarse[whole]))
    core = np.where(whole | ~has_core, coarse, 0)
    marks = np.where(ice, enlarge(core, ice.shape[0], 0).astype(np.int32), 0)
    label = watershed(heights, marks, mask=ice)
    # What has come off its glacier goes to the neighbour, or melts.
    for index, window in enumerate(ndimage.find_objects(label), 1):
        if window is not None:
            part, count = ndimage.label(label[window] == index)
            if count > 1:
                largest = np.bincount(part.ravel())[1:].argmax() + 1
                label[window][(part > 0) & (part != largest)] = 0
    return np.asarray(watershed(heights, label, mask=ice), np.int64)


def _lakes(
    landscape: Landscape,
    heights: Floats,
    ice: Mask,
    gsd_m: float,
    random: np.random.Generator,
) -> Labels:
    """Dam lakes below some of the glaciers."""
    size = heights.shape[0]
    label = np.zeros(heights.shape, np.int64)
    if not len(landscape.termini):
        return label
    scale = size / landscape.surface.shape[0]
    chosen = random.random(len(landscape.termini)) < 0.3
    for number, (row, column) in enumerate(landscape.termini[chosen], 1):
        at = (np.array([row, column]) + 0.5) * scale
        reach = int(random.uniform(400, 900) / gsd_m)
        top, left = np.maximum(at.astype(int) - reach, 0)
        window = (
            slice(int(top), int(at[0]) + reach + 1),
            slice(int(left), int(at[1]) + reach + 1),
        )
        ground = np.where(ice[window], np.inf, heights[window])
        if not np.isfinite(ground).any():
            continue
        level = ground.min() + random.uniform(25, 70)
        flooded, _ = ndimage.label(ground < level)
        lowest = flooded[np.unravel_index(ground.argmin(), ground.shape)]
        label[window][flooded == lowest] = number
    return label


def _level(heights: Floats, lake: Labels) -> Floats:
    level = ndimage.maximum(heights, lake, np.arange(lake.max() + 1))
    return np.asarray(level, np.float32)[lake]


@dataclass(frozen=True)
class _Ground:
    """What decides the surface of each pixel."""

    ice: Mask
    lake: Mask
    above_snowline: Floats
    slope: Floats
    grain: Floats
    patches: Floats

    def surfaces(self, debris: Mask) -> dict[str, Mask]:
        """Say where each surface lies, later ones on top of earlier ones."""
        land = ~self.ice & ~self.lake
        ragged = self.above_snowline + 60 * self.patches
        drifts = self.patches + 0.4 * self.grain > 1.2
        return {
            "gneiss": land & (self.patches > -0.1),
            "schist": land & (self.patches <= -0.1),
            "meadow": land & (ragged + 25 * self.grain < -420) & (self.slope < 36),
            "snow patch": land & (self.above_snowline > -260) & (self.slope < 38) & drifts,
            "ice": self.ice,
            "firn": self.ice & (ragged > -40),
            "snow": self.ice & (ragged > 50),
            "debris": self.ice & debris,
            "lake": self.lake,
        }


def _debris(
    glacier: Labels, above_snowline: Floats, patches: Floats, random: np.random.Generator
) -> Mask:
    """Cover the lowest part of some tongues."""
    count = int(glacier.max(initial=0))
    if count == 0:
        return np.zeros(glacier.shape, bool)
    labels = np.arange(1, count + 1)
    low = ndimage.minimum(above_snowline, glacier, labels)
    span = np.minimum(ndimage.maximum(above_snowline, glacier, labels), 0) - low
    share = np.where(random.random(count) < 0.6, random.uniform(0.25, 0.8, count), 0.0)
    top = np.r_[-np.inf, low + share * span].astype(np.float32)
    return np.asarray(above_snowline + 25 * patches < top[glacier])


def _albedo(surface: Mapping[str, Mask], grain: Floats, patches: Floats) -> Floats:
    albedo = np.zeros((len(ROLES), *grain.shape), np.float32)
    for name, where in surface.items():
        spectrum = SPECTRA["snow" if name == "snow patch" else name]
        texture = 0.03 if name in ("snow", "snow patch", "lake") else 0.08
        vary = 1 + texture * (grain + 0.7 * patches)[where]
        for band, value in zip(albedo, spectrum, strict=True):
            band[where] = value * vary
    return albedo.clip(0.002, 0.98)


def _light(albedo: Floats, heights: Floats, gsd_m: float) -> Floats:
    """Light the ground: the sun by the angle at which it strikes, the sky from everywhere."""
    slope, aspect = slope_aspect(heights, gsd_m)
    elevation, azimuth = np.radians(SUN_ELEVATION_DEG), np.radians(SUN_AZIMUTH_DEG)
    slope, aspect = np.radians(slope), np.radians(aspect)
    struck = np.cos(slope) * np.sin(elevation) + np.sin(slope) * np.cos(elevation) * np.cos(
        azimuth - aspect
    )
    direct = (np.maximum(struck, 0) / np.sin(elevation)).astype(np.float32)
    direct *= 1 - cast_shadow(heights, gsd_m)
    open_sky = ((1 + np.cos(slope)) / 2).astype(np.float32)
    for band, share in zip(albedo, SKY, strict=True):
        band *= (1 - share) * direct + share * open_sky
    return albedo


def cast_shadow(heights: Floats, gsd_m: float) -> Floats:
    """Return 1 where the sun is behind a mountain, 0 where it is not, between at the edge.

    The horizon is looked for on at most 1024 x 1024 cells.
    """
    size = heights.shape[0]
    coarse = min(size, SHADOW_PX)
    cell_m = gsd_m * size / coarse
    z = heights if coarse == size else np.asarray(ndimage.zoom(heights, coarse / size, order=1))
    azimuth = np.radians(SUN_AZIMUTH_DEG)
    rise = np.tan(np.radians(SUN_ELEVATION_DEG))
    hidden = np.zeros(z.shape, np.float32)
    farthest = int(np.ptp(z) / rise / cell_m)
    for step in range(1, farthest + 1):
        down, right = round(-step * np.cos(azimuth)), round(step * np.sin(azimuth))
        toward = _shifted(z, down, right)
        hidden = np.maximum(hidden, toward > z + step * cell_m * rise)
    if coarse == size:
        return hidden
    return np.asarray(enlarge(hidden.astype(np.float64), size, 1), np.float32)


def _shifted(z: Floats, down: int, right: int) -> Floats:
    """Return what lies so many rows down and columns right of each cell."""
    rows, columns = z.shape
    out = np.full_like(z, -np.inf)
    if abs(down) >= rows or abs(right) >= columns:
        return out
    out[max(0, -down) : rows - max(0, down), max(0, -right) : columns - max(0, right)] = z[
        max(0, down) : rows + min(0, down), max(0, right) : columns + min(0, right)
    ]
    return out
