"""What a satellite would see of terrain and ice: surfaces, light, air, warmth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from glacierx.simulate.ground import Cover, Ground
from glacierx.simulate.landscape import Labels, Landscape, fractal
from glacierx.simulate.light import add_air, light
from glacierx.simulate.relief import Relief, draw_texture, roughened, with_debris
from glacierx.simulate.spectra import ROLES
from glacierx.simulate.weather import Weather

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

LAPSE_PER_M = 0.0065
FREEZING_K = 273.15
FROZEN = ("snow", "firn", "fresh snow", "snow patch", "ice", "dirty ice", "ice cliff")
WATER = ("lake", "pond")
PLANTS = ("meadow", "forest")
BURIED = ("debris", "first debris", "last debris")


@dataclass(frozen=True)
class View:
    """A landscape at the scene's own GSD.

    Attributes:
        heights: Surface heights in metres (rows, columns).
        glacier: Label of each glacier, 0 off the ice.
        surface: Name of each surface and where it covers most of a pixel.
        reflectance: Reflectance (bands, rows, columns) in the order of `ROLES`.
        kelvin: Temperature of the surface.
        weather: Sun, air, snow, debris and land.
    """

    heights: Floats
    glacier: Labels
    surface: Mapping[str, Mask]
    reflectance: Floats
    kelvin: Floats
    weather: Weather


def render_terrain(relief: Relief, weather: Weather, random: np.random.Generator) -> View:
    """Render terrain with glaciers.

    Args:
        relief: Terrain, glaciers, equilibrium line.
        weather: Sun, air, snow, debris and land.
        random: Source of randomness for what lies where.
    """
    texture = draw_texture(relief, random)
    lake = lakes(relief, weather.land.lakes, random)
    relief = replace(relief, heights=_level(relief.heights, lake))
    bare = roughened(relief, texture, weather)
    ground = Ground(relief, texture, bare, lake > 0, weather, random)
    cover = ground.cover()
    rough = with_debris(bare, relief, texture, ground.debris, weather)
    rough = np.where(lake > 0, relief.heights, rough)
    albedo = cover.albedo()
    lit, direct = light(albedo, rough, relief.gsd_m, weather.sun, weather.air.sky)
    seen, cloud = add_air(lit, relief.heights, relief.gsd_m, weather.air, random)
    kelvin = _temperature(cover, relief, albedo, direct, weather)
    kelvin -= 35 * cloud
    return View(relief.heights, relief.glacier, cover.masks(), seen, kelvin, weather)


def render(
    landscape: Landscape,
    size: int,
    gsd_m: float,
    random: np.random.Generator,
    weather: Weather | None = None,
) -> View:
    """Render a made landscape.

    Args:
        landscape: Terrain and ice.
        size: Rows and columns of the scene.
        gsd_m: Its ground sampling distance.
        random: Source of randomness.
        weather: Sun, air, snow, debris and land; a fine day in late summer if None.
    """
    weather = weather or Weather()
    grain = fractal((size, size), 0.9, random, longest=0.02).astype(np.float32)
    # Ice ends in steps of a cell, which cubic interpolation would ring at.
    soft = ndimage.gaussian_filter(landscape.surface, 0.6)
    heights = enlarge(soft, size, 3).astype(np.float32)
    soft_ice = enlarge(ndimage.gaussian_filter(landscape.ice.astype(np.float64), 0.7), size, 1)
    ice = soft_ice + 0.05 * grain > 0.5
    glacier = _enlarge_labels(landscape, heights + grain, ice)
    ela = enlarge(landscape.snowline, size, 1).astype(np.float32) + weather.snow.ela_shift_m
    relief = Relief(heights, glacier, gsd_m, ela, 3 * landscape.cell_m)
    return render_terrain(relief, weather, random)


def enlarge(field: NDArray[np.float64], size: int, order: int) -> NDArray[np.float64]:
    """Interpolate a coarse field to *size* rows and columns, cell edge to cell edge."""
    factor = size / field.shape[0]
    return np.asarray(ndimage.zoom(field, factor, order=order, mode="nearest", grid_mode=True))


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


def lakes(relief: Relief, share: float, random: np.random.Generator) -> Labels:
    """Dam lakes below a share of the glaciers; return their labels, 0 elsewhere."""
    heights, ice = relief.heights, relief.glacier > 0
    label = np.zeros(heights.shape, np.int64)
    for number, at in enumerate(_termini(relief), 1):
        chosen = random.random() < share
        reach = int(random.uniform(400, 900) / relief.gsd_m)
        depth = random.uniform(25, 70)
        if not chosen:
            continue
        window = tuple(
            slice(max(0, place - reach), min(side, place + reach + 1))
            for place, side in zip(at, heights.shape, strict=True)
        )
        rows, columns = np.ogrid[window]
        far = np.hypot(rows - at[0], columns - at[1]) / reach
        ground = np.where((far < 1) & ~ice[window], heights[window], np.inf)
        label[window][_flooded(ground, far, depth)] = number
    return label


def _flooded(ground: Floats, far: Floats, depth: float) -> Mask:
    """Fill the lowest ground within a circle that has the radius 1, an arc of which dams it."""
    if np.isfinite(ground).any():
        for level in ground.min() + depth * np.array([1, 0.5, 0.25, 0.12]):
            pools, _ = ndimage.label(ground < level)
            water = pools == pools[np.unravel_index(ground.argmin(), ground.shape)]
            # On a plain the circle would show.
            if (far[water] > 0.93).mean() < 0.12:
                return np.asarray(water)
    return np.zeros(ground.shape, bool)


def _termini(relief: Relief) -> list[tuple[int, int]]:
    labels = np.unique(relief.glacier[relief.glacier > 0])
    found = ndimage.minimum_position(relief.heights, relief.glacier, labels) if len(labels) else []
    return [(int(row), int(column)) for row, column in found]


def _level(heights: Floats, lake: Labels) -> Floats:
    if not lake.any():
        return heights
    level = ndimage.maximum(heights, lake, np.arange(lake.max() + 1))
    flat = np.asarray(level, np.float32)[lake]
    return np.where(lake > 0, flat, heights).astype(np.float32)


def _temperature(
    cover: Cover, relief: Relief, albedo: Floats, direct: Floats, weather: Weather
) -> Floats:
    """Return the temperature of the surface: what is frozen stays below 273.15 K."""
    above = relief.heights - relief.ela - weather.air.freezing_m
    air = -LAPSE_PER_M * above
    visible = albedo[: ROLES.index("nir") + 1].mean(axis=0)
    heat = np.sin(np.radians(weather.sun.elevation_deg)) * direct * (1 - visible)
    warm = {
        **dict.fromkeys(FROZEN, np.minimum(air - 4 + 8 * heat, 0)),
        **dict.fromkeys(WATER, np.maximum(0.3 * air + 2, 0.3)),
        **dict.fromkeys(PLANTS, air + 1 + 11 * heat),
        **dict.fromkeys(BURIED, np.maximum(air - 3 + 22 * heat, np.minimum(air, 0))),
    }
    if weather.land.lake_ice:
        warm["lake"] = warm["ice"]
    rock = air + 1 + 28 * heat
    celsius = np.zeros_like(rock)
    for name, opacity in cover.opacity.items():
        celsius += opacity * (warm.get(name, rock) - celsius)
    return np.asarray(celsius + FREEZING_K, np.float32)
