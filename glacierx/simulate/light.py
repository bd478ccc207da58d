"""Light on the ground and in the air: sun, cast shadow, sky, haze, thin cloud."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from glacierx.scene.terrain import slope_aspect
from glacierx.simulate.landscape import fractal
from glacierx.simulate.spectra import SPECTRA, WAVELENGTHS_UM
from glacierx.simulate.weather import Air, Sun

Floats = NDArray[np.float32]

# Share of the light that comes from the sky, not the sun, in each band.
SKY = (0.20, 0.15, 0.11, 0.07, 0.03, 0.02)
SKY_PX = 384
SKY_DIRECTIONS = 8
SKY_HORIZON_DEG = 25.0
HAZE_HEIGHT_M = 3000.0
BELOW_ALL_M = -1e5


def light(
    albedo: Floats, heights: Floats, gsd_m: float, sun: Sun, sky: float = 1.0
) -> tuple[Floats, Floats]:
    """Light the ground: the sun by the angle at which it strikes, the sky and slopes around.

    A flat lit plane without mountains around it shows its albedo.

    Args:
        albedo: Albedo (bands, rows, columns) in the order of `ROLES`.
        heights: Heights in metres (rows, columns).
        gsd_m: Side of a pixel.
        sun: Where it stands.
        sky: Factor of the sky's share of the light.

    Returns:
        Reflectance (bands, rows, columns), and the sun's light over that on level ground.
    """
    direct = direct_light(heights, gsd_m, sun)
    view = sky_view(heights, gsd_m)
    around_px = min(250 / gsd_m, min(heights.shape) / 4)
    # The lower the sun, the less of its light comes through.
    low_sun = np.sqrt(0.74 / np.sin(np.radians(max(sun.elevation_deg, 10))))
    out = np.empty_like(albedo)
    for band, (own, share) in enumerate(zip(albedo, SKY, strict=True)):
        share = min(0.5, share * sky * low_sun)
        lit = (1 - share) * direct + share * view
        around = blurred(own * lit, around_px)
        out[band] = own * (lit + 0.7 * (1 - view) * around)
    return out, direct


def direct_light(heights: Floats, gsd_m: float, sun: Sun) -> Floats:
    """Return the sun's light over that on level ground, 0 in the shade."""
    slope, aspect = (np.radians(angle.astype(np.float32)) for angle in slope_aspect(heights, gsd_m))
    elevation, azimuth = np.radians(sun.elevation_deg), np.radians(sun.azimuth_deg)
    struck = np.cos(slope) * np.sin(elevation) + np.sin(slope) * np.cos(elevation) * np.cos(
        azimuth - aspect
    )
    lit = np.maximum(struck, 0) / np.sin(elevation) * (1 - cast_shadow(heights, gsd_m, sun))
    return np.asarray(lit, np.float32)


def cast_shadow(heights: Floats, gsd_m: float, sun: Sun = Sun()) -> Floats:
    """Return 1 where the sun is behind a mountain, 0 where it is not, between at the edge.

    Rows are sheared until the sun stands along the columns; the highest ray so far down a column
    is then the edge of the shadow. What lies outside casts none.
    """
    azimuth = np.radians(sun.azimuth_deg)
    down, right = -np.cos(azimuth), np.sin(azimuth)
    if abs(right) > abs(down):
        turned = Sun(float(np.degrees(np.arctan2(down, -right))), sun.elevation_deg)
        return np.ascontiguousarray(cast_shadow(heights.T, gsd_m, turned).T)
    if down > 0:
        turned = Sun(180 - sun.azimuth_deg, sun.elevation_deg)
        return np.ascontiguousarray(cast_shadow(heights[::-1], gsd_m, turned)[::-1])
    # The sun now stands above the first row: a ray moves so many columns from row to row.
    slant = float(-right / down)
    fall = gsd_m * np.hypot(1, slant) * np.tan(np.radians(sun.elevation_deg))
    rays = heights + (fall * np.arange(len(heights), dtype=np.float32))[:, None]
    sheared = _sheared(rays, slant)
    highest = np.maximum.accumulate(sheared, axis=0)
    before = np.vstack([np.full_like(highest[:1], BELOW_ALL_M), highest[:-1]])
    above = _unsheared(before, slant, heights.shape[1]) - rays
    return np.asarray(np.clip(above / fall + 0.5, 0, 1), np.float32)


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


def sky_view(heights: Floats, gsd_m: float) -> Floats:
    """Return the share of the sky that the ground sees, 1 on an open plain."""
    step = max(1, round(max(heights.shape) / SKY_PX))
    coarse = blurred(heights, step / 2)[::step, ::step] if step > 1 else heights
    slope = np.radians(slope_aspect(coarse, gsd_m * step)[0])
    hidden = np.zeros(coarse.shape, np.float32)
    for azimuth in np.arange(SKY_DIRECTIONS) * (360 / SKY_DIRECTIONS) + 11:
        hidden += cast_shadow(coarse, gsd_m * step, Sun(float(azimuth), SKY_HORIZON_DEG))
    # Each direction in which the horizon is high hides as much sky as a wall of that height.
    wall = 1.4 * np.sin(np.radians(SKY_HORIZON_DEG)) ** 2
    view = (1 + np.cos(slope)) / 2 - wall * hidden / SKY_DIRECTIONS
    return enlarged(np.clip(view, 0.15, 1).astype(np.float32), heights.shape)


def add_air(
    reflectance: Floats, heights: Floats, gsd_m: float, air: Air, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Put haze, thicker in the valleys, and thin cloud before the ground.

    Returns:
        Reflectance as the sensor sees it, and the opacity of cloud (rows, columns).
    """
    shape = heights.shape
    depth = np.exp(-(heights - heights.min()) / HAZE_HEIGHT_M)
    varies = fractal(shape, 2.2, random).astype(np.float32)
    depth = depth * np.clip(1 + air.haze_varies * varies, 0.2, 2)
    cloud = np.zeros(shape, np.float32)
    wisps = fractal(shape, 1.7, random, longest=0.7).astype(np.float32)
    if air.cloud:
        cloud = (air.cloud * smoothstep((wisps - 0.3) / 2)).astype(np.float32)
    out = np.empty_like(reflectance)
    white = SPECTRA["cloud"]
    for band, (own, length) in enumerate(zip(reflectance, WAVELENGTHS_UM, strict=True)):
        path = air.haze * (length / WAVELENGTHS_UM[0]) ** -air.haze_exponent * depth
        seen = own * (1 - 1.3 * np.maximum(path, 0)) + path
        out[band] = seen + cloud * (white[band] - seen)
    return out, cloud


def smoothstep(values: NDArray[Any]) -> Floats:
    """Rise smoothly from 0 at 0 to 1 at 1."""
    inside = np.clip(values, 0, 1)
    return np.asarray(inside * inside * (3 - 2 * inside), np.float32)


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


def enlarged(values: Floats, shape: tuple[int, ...]) -> Floats:
    """Interpolate linearly to a shape."""
    if values.shape == shape:
        return values
    factors = [new / old for new, old in zip(shape, values.shape, strict=True)]
    moved = ndimage.zoom(values, factors, order=1, mode="nearest", grid_mode=True)
    return np.asarray(moved, np.float32)
