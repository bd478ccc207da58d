"""Light on the ground and in the air: sun, cast shadow, sky, haze, thin cloud."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy import ndimage

from glacierx.scene.terrain import slope_aspect, slope_deg
from glacierx.simulate.fields import Coarse
from glacierx.simulate.landscape import fractal
from glacierx.simulate.spectra import ALL, SPECTRA, WAVELENGTHS_UM
from glacierx.simulate.weather import Air, Sun

Floats = NDArray[np.float32]

# Share of the light that comes from the sky, not the sun, in each band.
SKY = (0.20, 0.15, 0.11, 0.07, 0.03, 0.02)
SKY_PX = 384
SKY_DIRECTIONS = 8
SKY_HORIZON_DEG = 25.0
HAZE_HEIGHT_M = 3000.0
BELOW_ALL_M = -1e5


@dataclass(frozen=True)
class Around:
    """What the mountains around a window do to its light.

    Attributes:
        sky: Share of the sky that the ground sees (rows, columns).
        ray_m: Height of the highest ray that passes the mountains beyond the reach.
        reach_px: How far mountains of the window itself cast shadow.
    """

    sky: Floats
    ray_m: Floats
    reach_px: float


@dataclass(frozen=True)
class Aloft:
    """What is in the air over each pixel.

    Attributes:
        varies: How haze varies, of mean 0 and standard deviation 1 (rows, columns).
        wisps: The same of thin cloud.
        lowest_m: Height of the lowest ground of the scene.
    """

    varies: Floats
    wisps: Floats
    lowest_m: float


def light(
    albedo: Floats,
    heights: Floats,
    gsd_m: float,
    sun: Sun,
    *,
    sky: Sequence[float] = SKY,
    around: Around | None = None,
) -> tuple[Floats, Floats]:
    """Light the ground: the sun by the angle at which it strikes, the sky and slopes around.

    A flat lit plane without mountains around it shows its albedo.

    Args:
        albedo: Albedo (bands, rows, columns).
        heights: Heights in metres (rows, columns).
        gsd_m: Side of a pixel.
        sun: Where it stands.
        sky: Share of the light that comes from the sky while the sun is high, in each band.
        around: The mountains around; none if None.

    Returns:
        Reflectance (bands, rows, columns), and the sun's light over that on level ground.
    """
    direct = direct_light(heights, gsd_m, sun, around)
    view = around.sky if around else sky_view(heights, gsd_m)
    around_px = min(250 / gsd_m, min(heights.shape) / 4)
    # The lower the sun, the less of its light comes through.
    low_sun = np.sqrt(0.74 / np.sin(np.radians(max(sun.elevation_deg, 10))))
    out = np.empty_like(albedo)
    for seen, own, share in zip(out, albedo, sky, strict=True):
        share = min(0.5, share * low_sun)
        lit = (1 - share) * direct + share * view
        slopes = softened(own * lit, around_px) if around else blurred(own * lit, around_px)
        seen[:] = own * (lit + 0.7 * (1 - view) * slopes)
    return out, direct


def direct_light(heights: Floats, gsd_m: float, sun: Sun, around: Around | None = None) -> Floats:
    """Return the sun's light over that on level ground, 0 in the shade."""
    slope, aspect = (np.radians(angle.astype(np.float32)) for angle in slope_aspect(heights, gsd_m))
    elevation, azimuth = np.radians(sun.elevation_deg), np.radians(sun.azimuth_deg)
    struck = np.cos(slope) * np.sin(elevation) + np.sin(slope) * np.cos(elevation) * np.cos(
        azimuth - aspect
    )
    shadow = cast_shadow(heights, gsd_m, sun, around)
    lit = np.maximum(struck, 0) / np.sin(elevation) * (1 - shadow)
    return np.asarray(lit, np.float32)


def cast_shadow(
    heights: Floats, gsd_m: float, sun: Sun = Sun(), around: Around | None = None
) -> Floats:
    """Return 1 where the sun is behind a mountain, 0 where it is not, between at the edge.

    What lies outside casts none, but for the mountains *around*.
    """
    above, fall = _rays(heights, gsd_m, sun, around.reach_px if around else None)
    if around:
        above = np.maximum(above, around.ray_m - heights)
    return np.asarray(np.clip(above / fall + 0.5, 0, 1), np.float32)


def far_rays(heights: Floats, gsd_m: float, sun: Sun, reach_m: float) -> Floats:
    """Return the height of the highest ray that passes mountains at least so far away.

    Args:
        heights: Heights in metres (rows, columns).
        gsd_m: Side of a pixel.
        sun: Where it stands.
        reach_m: Nearer mountains are left out.
    """
    above, _ = _rays(heights, gsd_m, sun, None)
    rays = heights + np.maximum(above, 0)
    azimuth, away_px = np.radians(sun.azimuth_deg), reach_m / gsd_m
    toward = away_px * np.cos(azimuth), -away_px * np.sin(azimuth)
    moved = ndimage.shift(rays, toward, order=1, mode="constant", cval=BELOW_ALL_M)
    return np.asarray(moved - reach_m * np.tan(np.radians(sun.elevation_deg)), np.float32)


def _rays(heights: Floats, gsd_m: float, sun: Sun, reach_px: float | None) -> tuple[Floats, float]:
    """Return how high above the ground the highest ray passes, and its fall from row to row.

    Rows are sheared until the sun stands along the columns; the highest ray so far down a column
    is then the edge of the shadow.
    """
    azimuth = np.radians(sun.azimuth_deg)
    down, right = -np.cos(azimuth), np.sin(azimuth)
    if abs(right) > abs(down):
        turned = Sun(float(np.degrees(np.arctan2(down, -right))), sun.elevation_deg)
        above, fall = _rays(heights.T, gsd_m, turned, reach_px)
        return np.ascontiguousarray(above.T), fall
    if down > 0:
        turned = Sun(180 - sun.azimuth_deg, sun.elevation_deg)
        above, fall = _rays(heights[::-1], gsd_m, turned, reach_px)
        return np.ascontiguousarray(above[::-1]), fall
    # The sun now stands above the first row: a ray moves so many columns from row to row.
    slant = float(-right / down)
    fall = gsd_m * np.hypot(1, slant) * np.tan(np.radians(sun.elevation_deg))
    rays = heights + (fall * np.arange(len(heights), dtype=np.float32))[:, None]
    sheared = _sheared(rays, slant)
    if reach_px is None:
        highest = np.maximum.accumulate(sheared, axis=0)
    else:
        rows = max(1, int(-down * reach_px))
        highest = ndimage.maximum_filter1d(
            sheared, rows, axis=0, mode="nearest", origin=(rows - 1) // 2
        )
    before = np.vstack([np.full_like(highest[:1], BELOW_ALL_M), highest[:-1]])
    return _unsheared(before, slant, heights.shape[1]) - rays, fall


def _sheared(values: Floats, slant: float) -> Floats:
    """Move each row right by *slant* times its number, on as many columns as that takes."""
    rows, columns = values.shape
    extra = int(np.ceil(abs(slant) * rows)) + 2
    out = np.full((rows, columns + extra), BELOW_ALL_M, np.float32)
    for row in range(rows):
        whole, part = _shift(row, slant, rows)
        out[row, whole : whole + columns] = (1 - part) * values[row]
        out[row, whole] = values[row, 0]
        out[row, whole + 1 : whole + columns] += part * values[row, :-1]
    return out


def _unsheared(values: Floats, slant: float, columns: int) -> Floats:
    out = np.empty((len(values), columns), np.float32)
    for row in range(len(values)):
        whole, part = _shift(row, slant, len(values))
        line = values[row]
        out[row] = (1 - part) * line[whole : whole + columns]
        out[row] += part * line[whole + 1 : whole + columns + 1]
    return out


def _shift(row: int, slant: float, rows: int) -> tuple[int, float]:
    place = slant * row if slant > 0 else slant * (row - rows)
    whole = int(np.floor(place))
    return whole, place - whole


def sky_view(heights: Floats, gsd_m: float, most_px: int = SKY_PX) -> Floats:
    """Return the share of the sky that the ground sees, 1 on an open plain."""
    step = max(1, round(max(heights.shape) / most_px))
    coarse = blurred(heights, step / 2)[::step, ::step] if step > 1 else heights
    slope = np.radians(slope_deg(coarse, gsd_m * step))
    hidden = np.zeros(coarse.shape, np.float32)
    for azimuth in np.arange(SKY_DIRECTIONS) * (360 / SKY_DIRECTIONS) + 11:
        hidden += cast_shadow(coarse, gsd_m * step, Sun(float(azimuth), SKY_HORIZON_DEG))
    # Each direction in which the horizon is high hides as much sky as a wall of that height.
    wall = 1.4 * np.sin(np.radians(SKY_HORIZON_DEG)) ** 2
    view = (1 + np.cos(slope)) / 2 - wall * hidden / SKY_DIRECTIONS
    return enlarged(np.clip(view, 0.15, 1).astype(np.float32), heights.shape)


def draw_aloft(heights: Floats, random: np.random.Generator) -> Aloft:
    """Draw how haze and thin cloud vary over a scene."""
    shape = heights.shape
    varies = fractal(shape, 2.2, random).astype(np.float32)
    wisps = fractal(shape, 1.7, random, longest=0.7).astype(np.float32)
    return Aloft(varies, wisps, float(heights.min()))


def add_air(
    reflectance: Floats, heights: Floats, air: Air, aloft: Aloft, *, bands: Sequence[int] = ALL
) -> tuple[Floats, Floats]:
    """Put haze, thicker in the valleys, and thin cloud before the ground.

    Returns:
        Reflectance as the sensor sees it, and the opacity of cloud (rows, columns).
    """
    depth = np.exp(-(heights - aloft.lowest_m) / HAZE_HEIGHT_M)
    depth = depth * np.clip(1 + air.haze_varies * aloft.varies, 0.2, 2)
    cloud = np.zeros(heights.shape, np.float32)
    if air.cloud:
        cloud = (air.cloud * smoothstep((aloft.wisps - 0.3) / 2)).astype(np.float32)
    out = np.empty_like(reflectance)
    white = SPECTRA["cloud"]
    for seen, own, band in zip(out, reflectance, bands, strict=True):
        length = WAVELENGTHS_UM[band] / WAVELENGTHS_UM[0]
        path = air.haze * length**-air.haze_exponent * depth
        hazy = own * (1 - 1.3 * np.maximum(path, 0)) + path
        seen[:] = hazy + cloud * (white[band] - hazy)
    return out, cloud


def smoothstep(values: NDArray[Any]) -> Floats:
    """Rise smoothly from 0 at 0 to 1 at 1."""
    inside = np.clip(values, 0, 1)
    rest = 3 - 2 * inside
    inside *= inside
    inside *= rest
    return np.asarray(inside, np.float32)


def blurred(values: Floats, sigma_px: float) -> Floats:
    """Blur with a Gaussian; a wide one on a coarser grid."""
    step = int(sigma_px / 3)
    if step < 2 or min(values.shape) < 8 * step:
        return np.asarray(ndimage.gaussian_filter(values, sigma_px, mode="nearest"), np.float32)
    coarse = ndimage.uniform_filter(values, step, mode="nearest")[
        step // 2 :: step, step // 2 :: step
    ]
    coarse = ndimage.gaussian_filter(coarse, sigma_px / step, mode="nearest")
    return enlarged(coarse, values.shape)


def softened(values: Floats, sigma_px: float) -> Floats:
    """Blur more roughly than `blurred`, in a third of the time."""
    step = max(1, int(sigma_px / 4))
    rows, columns = (-(-side // step) for side in values.shape)
    room = (0, rows * step - values.shape[0]), (0, columns * step - values.shape[1])
    blocks = np.pad(values, room, mode="edge").reshape(rows, step, columns, step)
    coarse = blocks.mean(axis=1).mean(axis=2)
    coarse = ndimage.gaussian_filter(coarse, sigma_px / step, mode="nearest")
    return Coarse(coarse, step).read(Window(0, 0, values.shape[1], values.shape[0]))


def enlarged(values: Floats, shape: tuple[int, ...]) -> Floats:
    """Interpolate linearly to a shape."""
    if values.shape == shape:
        return values
    factors = [new / old for new, old in zip(shape, values.shape, strict=True)]
    moved = ndimage.zoom(values, factors, order=1, mode="nearest", grid_mode=True)
    return np.asarray(moved, np.float32)
