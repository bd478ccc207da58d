"""Terrain at the scene's own GSD, and the textures that lie on it."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy import ndimage

from glacierx.scene.terrain import slope_deg
from glacierx.simulate.fields import cropped
from glacierx.simulate.landscape import Labels, fractal
from glacierx.simulate.light import blurred, enlarged, smoothstep
from glacierx.simulate.weather import Weather

Floats = NDArray[np.float32]

MOST_STREAK_PX = 700


@dataclass(frozen=True)
class Streak:
    """How noise is drawn out along slopes.

    Attributes:
        cell_m: Side of the cells that the noise is drawn on.
        doublings: How often their length, one cell at first, is doubled.
        smooth_m: Wavelength up to which the slope is smoothed before.
        up: True where what is uphill leaves its trace, False where all runs together downhill.
    """

    cell_m: float
    doublings: int
    smooth_m: float
    up: bool = False


FALL = Streak(8, 4, 16)
SPURS = Streak(40, 3, 80)
# Ice carries the rock that falls on it kilometres down.
FLOW = Streak(20, 7, 130, up=True)


@dataclass(frozen=True)
class Relief:
    """Terrain and glaciers of a scene, north up (rows, columns).

    Attributes:
        heights: Surface heights in metres, without voids.
        glacier: Label of each glacier, 0 off the ice.
        gsd_m: Ground sampling distance.
        ela: Height of the equilibrium line at each place.
        detail_m: Longest wavelength that the heights lack.
    """

    heights: Floats
    glacier: Labels
    gsd_m: float
    ela: Floats
    detail_m: float


class Terrain(Protocol):
    """A terrain that is read by window."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    def gsd_m(self) -> float:
        """Side of a pixel."""

    def read(self, window: Window) -> Relief:
        """Return terrain and glaciers of a window."""


@dataclass(frozen=True)
class HeldTerrain:
    """A terrain that is held as it is.

    Attributes:
        relief: All of it.
    """

    relief: Relief

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.relief.heights.shape
        return rows, columns

    @property
    def gsd_m(self) -> float:
        """Side of a pixel."""
        return self.relief.gsd_m

    def read(self, window: Window) -> Relief:
        """Return terrain and glaciers of a window."""
        whole = self.relief
        heights, glacier, ela = (
            cropped(values, window) for values in (whole.heights, whole.glacier, whole.ela)
        )
        return replace(whole, heights=heights, glacier=glacier, ela=ela)


@dataclass(frozen=True)
class Texture:
    """Random fields on a terrain, of mean 0 and standard deviation 1 or nearly so.

    Attributes:
        grain: From pixel to pixel.
        patches: Over tens to hundreds of metres.
        broad: Over kilometres.
        fall: Streaks down the slopes.
        flow: Streaks along the flow of the ice.
        bumps: Heights of a rough surface whose slope has a root mean square of 1.
        spurs: Heights of ribs down the slopes, with as much slope.
    """

    grain: Floats
    patches: Floats
    broad: Floats
    fall: Floats
    flow: Floats
    bumps: Floats
    spurs: Floats


def draw_texture(relief: Relief, random: np.random.Generator) -> Texture:
    """Draw the textures of a terrain."""
    shape, gsd_m = relief.heights.shape, relief.gsd_m

    def field(roughness: float, longest_m: float) -> Floats:
        share = min(1.0, max(longest_m, 3 * gsd_m) / (max(shape) * gsd_m))
        return fractal(shape, roughness, random, longest=share).astype(np.float32)

    heights = relief.heights
    return Texture(
        grain=field(0.8, 60),
        patches=field(1.4, 600),
        broad=field(1.9, 6000),
        fall=streaks(heights, gsd_m, FALL, random),
        flow=streaks(heights, gsd_m, FLOW, random),
        bumps=of_slope_one(field(1.7, max(relief.detail_m, 4 * gsd_m)), gsd_m),
        spurs=of_slope_one(blurred(streaks(heights, gsd_m, SPURS, random), 1), gsd_m),
    )


def of_slope_one(heights: Floats, gsd_m: float) -> Floats:
    """Scale heights until the root mean square of their slope is 1."""
    down, right = np.gradient(heights, gsd_m)
    return np.asarray(heights / np.sqrt(np.mean(down**2 + right**2)), np.float32)


def streaks(
    heights: Floats,
    gsd_m: float,
    streak: Streak,
    random: np.random.Generator,
    most_px: int = MOST_STREAK_PX,
) -> Floats:
    """Draw noise out along the steepest descent (Cabral and Leedom 1993).

    doi:10.1145/166117.166151. The path is doubled at each step: 64 steps cost as much as six.

    Args:
        heights: Heights in metres.
        gsd_m: Side of a pixel.
        streak: How it is drawn out.
        random: Source of randomness.
        most_px: Most cells on a side; they are as large as that takes.
    """
    step = max(1, round(max(streak.cell_m / gsd_m, max(heights.shape) / most_px)))
    z = blurred(heights, step)[::step, ::step] if step > 1 else heights
    down, right = np.gradient(blurred(z, max(1.0, streak.smooth_m / (gsd_m * step))))
    steep = np.maximum(np.hypot(down, right), 1e-6)
    along = 1 if streak.up else -1
    path = along * np.stack([down / steep, right / steep]).astype(np.float32)
    fine, wide = random.standard_normal((2, *z.shape)).astype(np.float32)
    total = fine + 8 * blurred(wide, 2.5)
    home = np.indices(z.shape, np.float32)
    for _ in range(streak.doublings):
        there = home + path
        total = total + _at(total, there)
        path = path + np.stack([_at(part, there) for part in path])
    spread = np.sqrt(blurred(total**2, 12)) + 1e-6
    return enlarged((total / spread).astype(np.float32), heights.shape)


def _at(field: Floats, places: Floats) -> Floats:
    return np.asarray(ndimage.map_coordinates(field, places, order=1, mode="nearest"), np.float32)


def roughened(relief: Relief, texture: Texture, weather: Weather) -> Floats:
    """Return heights with the rough rock that the DEM does not show."""
    slope = slope_deg(blurred(relief.heights, 1), relief.gsd_m).astype(np.float32)
    rock = np.float32(np.tan(np.radians(weather.land.rough_deg)))
    # Flat ground off the ice is sediment, which is smooth; walls are ribbed.
    off = rock * (0.15 + 0.85 * smoothstep((slope - 4) / 20))
    edge = min(3.0, 30 / relief.gsd_m)
    # Ice breaks where it steepens.
    ice = 0.03 + 0.15 * smoothstep((slope - 14) / 16)
    steepness = blurred(np.where(relief.glacier > 0, ice, off), edge)
    ribs = steepness * smoothstep((slope - 12) / 20) * (relief.glacier == 0)
    heights = relief.heights + 0.8 * steepness * texture.bumps + 1.7 * ribs * texture.spurs
    return np.asarray(heights, np.float32)


def with_debris(
    heights: Floats, relief: Relief, texture: Texture, debris: Floats, weather: Weather
) -> Floats:
    """Return heights with hummocks where debris lies, and moraines beside it.

    Args:
        heights: Heights of the surface so far.
        relief: Terrain and glaciers.
        texture: Textures of the terrain.
        debris: Share of each pixel under debris.
        weather: How rough it is.
    """
    steepness = np.float32(np.tan(np.radians(weather.debris.hummocks_deg))) * debris
    uneven = texture.bumps + 2.5 * texture.flow
    hummocks = uneven * blurred(steepness, min(3.0, 30 / relief.gsd_m))
    return np.asarray(heights + hummocks + _moraines(relief, debris, weather), np.float32)


def _moraines(relief: Relief, debris: Floats, weather: Weather) -> Floats:
    """Raise a ridge along gentle debris-covered tongues, which lie lower than their moraines."""
    ice = relief.glacier > 0
    if weather.debris.ridge_m <= 0 or relief.gsd_m > 20 or not ice.any():
        return np.zeros(relief.heights.shape, np.float32)
    outside = ndimage.distance_transform_edt(~ice).astype(np.float32) * relief.gsd_m
    reach = 150 / relief.gsd_m
    near = blurred(debris, reach) / (blurred(ice.astype(np.float32), reach) + 0.05)
    slope = slope_deg(blurred(relief.heights, reach / 2), relief.gsd_m).astype(np.float32)
    low = smoothstep((near - 0.4) / 0.4) * smoothstep((22 - slope) / 8)
    ridge = np.exp(-(((outside - 45) / 30) ** 2)) * ~ice
    return np.asarray(weather.debris.ridge_m * blurred(ridge * low, 10 / relief.gsd_m), np.float32)
