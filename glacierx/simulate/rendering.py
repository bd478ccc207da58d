"""What a satellite would see of terrain and ice: surfaces, light, air, warmth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from glacierx.simulate.ground import Cover, Ground, Scale, draw_tongues
from glacierx.simulate.lakes import Lake, find_lakes, flood
from glacierx.simulate.landscape import Labels, Landscape, fractal
from glacierx.simulate.light import SKY, Aloft, Around, add_air, draw_aloft, light
from glacierx.simulate.regions import grow_labels, marks_of
from glacierx.simulate.relief import (
    HeldTerrain,
    Relief,
    Texture,
    draw_texture,
    roughened,
    with_debris,
)
from glacierx.simulate.spectra import ALL, ROLES
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
    """A landscape, or a window of it, at the scene's own GSD.

    Attributes:
        heights: Surface heights in metres (rows, columns).
        glacier: Label of each glacier, 0 off the ice.
        cover: What covers the ground.
        reflectance: Reflectance (bands, rows, columns) in the order of `ROLES`; bands that were not
            asked for are left out.
        kelvin: Temperature of the surface; all 0 where it was not asked for.
        weather: Sun, air, snow, debris and land.
        bands: The bands, by their place in `ROLES`.
    """

    heights: Floats
    glacier: Labels
    cover: Cover
    reflectance: Floats
    kelvin: Floats
    weather: Weather
    bands: tuple[int, ...] = ALL

    def band(self, role: str) -> Floats:
        """Return the reflectance of a band (rows, columns)."""
        return np.asarray(self.reflectance[self.bands.index(ROLES.index(role))])

    @property
    def surface(self) -> Mapping[str, Mask]:
        """Name of each surface and where it covers most of a pixel."""
        return self.cover.masks()


@dataclass(frozen=True)
class Setting:
    """All that is drawn for a window before it is rendered.

    Attributes:
        relief: Terrain and glaciers.
        texture: Its textures.
        lakes: Lakes, by their place in the window.
        scale: What the ground takes from the whole scene.
        aloft: Haze and cloud.
        around: Mountains around the window; None if there are none.
    """

    relief: Relief
    texture: Texture
    lakes: Sequence[Lake]
    scale: Scale
    aloft: Aloft
    around: Around | None = None


def render_terrain(relief: Relief, weather: Weather, random: np.random.Generator) -> View:
    """Render terrain with glaciers.

    Args:
        relief: Terrain, glaciers, equilibrium line.
        weather: Sun, air, snow, debris and land.
        random: Source of randomness for what lies where.
    """
    texture = draw_texture(relief, random)
    lakes = find_lakes(termini_of(relief), HeldTerrain(relief), weather.land.lakes, random)
    above = (relief.heights - relief.ela).astype(np.float32)
    scale = Scale(draw_tongues(above, relief.glacier, weather.debris, random))
    aloft = draw_aloft(flood(relief.heights, lakes)[0], random)
    return render_setting(Setting(relief, texture, lakes, scale, aloft), weather)


def render_setting(
    setting: Setting, weather: Weather, *, bands: tuple[int, ...] = ALL, thermal: bool = True
) -> View:
    """Render what has been drawn.

    Args:
        setting: Terrain, textures, lakes, air.
        weather: Sun, air, snow, debris and land.
        bands: Bands that are seen, by their place in `ROLES`.
        thermal: Tell the temperature, which takes all bands.
    """
    texture, gsd_m = setting.texture, setting.relief.gsd_m
    heights, water = flood(setting.relief.heights, setting.lakes)
    relief = replace(setting.relief, heights=heights)
    bare = roughened(relief, texture, weather)
    ground = Ground(relief, texture, bare, water, weather, setting.scale)
    cover = ground.cover()
    rough = with_debris(bare, relief, texture, ground.debris, weather)
    rough = np.where(water, heights, rough)
    albedo = cover.albedo(bands)
    sky = [SKY[band] * weather.air.sky for band in bands]
    lit, direct = light(albedo, rough, gsd_m, weather.sun, sky=sky, around=setting.around)
    seen, cloud = add_air(lit, heights, weather.air, setting.aloft, bands=bands)
    kelvin = np.zeros(heights.shape, np.float32)
    if thermal:
        kelvin = _temperature(cover, relief, albedo, direct, weather)
        kelvin -= 35 * cloud
    return View(heights, relief.glacier, cover, seen, kelvin, weather, bands)


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
    marks = enlarge(marks_of(landscape), size, 0).astype(np.int32)
    glacier = grow_labels(marks, heights + grain, ice)
    ela = enlarge(landscape.snowline, size, 1).astype(np.float32) + weather.snow.ela_shift_m
    relief = Relief(heights, glacier, gsd_m, ela, 3 * landscape.cell_m)
    return render_terrain(relief, weather, random)


def enlarge(field: NDArray[Any], size: int, order: int) -> NDArray[np.float64]:
    """Interpolate a coarse field to *size* rows and columns, cell edge to cell edge."""
    factor = size / field.shape[0]
    return np.asarray(ndimage.zoom(field, factor, order=order, mode="nearest", grid_mode=True))


def termini_of(relief: Relief) -> list[tuple[int, int]]:
    """Return row and column of the lowest pixel of each glacier."""
    labels = np.unique(relief.glacier[relief.glacier > 0])
    found = ndimage.minimum_position(relief.heights, relief.glacier, labels) if len(labels) else []
    return [(int(row), int(column)) for row, column in found]


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
