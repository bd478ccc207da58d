"""Lakes that are dammed below glaciers."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy import ndimage

from glacierx.simulate.fields import cropped
from glacierx.simulate.relief import Relief, Terrain

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

# A terminus that is known to a cell only is sought within it.
SEEK_CELLS = 1.5


@dataclass(frozen=True)
class Lake:
    """A lake.

    Attributes:
        row: First row of its window.
        column: First column of its window.
        water: True where there is water (rows, columns of the window).
        level_m: Height of the water.
    """

    row: int
    column: int
    water: Mask
    level_m: float


def find_lakes(
    termini: Iterable[tuple[int, int]],
    terrain: Terrain,
    share: float,
    random: np.random.Generator,
    *,
    cell_px: int = 1,
) -> list[Lake]:
    """Dam lakes below a share of the glaciers.

    Args:
        termini: Row and column of the lower end of each glacier.
        terrain: The terrain.
        share: Share of the glaciers that have a lake, if there is room for one.
        random: Source of randomness.
        cell_px: Pixels to which the termini are known.
    """
    found = []
    for at in termini:
        chosen = random.random() < share
        reach = int(random.uniform(400, 900) / terrain.gsd_m)
        depth = random.uniform(25, 70)
        if chosen:
            top, left = (max(0, place - reach) for place in at)
            bottom, right = (
                min(side, place + reach + 1) for place, side in zip(at, terrain.shape, strict=True)
            )
            window = Window(left, top, right - left, bottom - top)
            relief = terrain.read(window)
            here = at[0] - top, at[1] - left
            if cell_px > 1:
                here = _lowest_ice(relief, here, SEEK_CELLS * cell_px)
            found += _lake(relief, window, here, reach, depth)
    return found


def _lowest_ice(relief: Relief, at: tuple[int, int], reach_px: float) -> tuple[int, int]:
    rows, columns = np.ogrid[: relief.heights.shape[0], : relief.heights.shape[1]]
    near = (np.hypot(rows - at[0], columns - at[1]) < reach_px) & (relief.glacier > 0)
    if not near.any():
        return at
    lowest = np.where(near, relief.heights, np.inf).argmin()
    row, column = np.unravel_index(lowest, near.shape)
    return int(row), int(column)


def _lake(
    relief: Relief, window: Window, at: tuple[int, int], reach: int, depth: float
) -> list[Lake]:
    heights = relief.heights
    rows, columns = np.ogrid[: heights.shape[0], : heights.shape[1]]
    far = np.hypot(rows - at[0], columns - at[1]) / reach
    ground = np.where((far < 1) & (relief.glacier == 0), heights, np.inf)
    water = _flooded(ground, far, depth)
    if not water.any():
        return []
    [part] = ndimage.find_objects(water.astype(np.int8))
    return [
        Lake(
            window.row_off + part[0].start,
            window.col_off + part[1].start,
            water[part].copy(),
            float(heights[water].max()),
        )
    ]


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


def flood(
    heights: Floats, lakes: Iterable[Lake], window: Window | None = None
) -> tuple[Floats, Mask]:
    """Lay lakes over the heights of a window.

    Returns:
        Heights, level on lakes, and where there is water.
    """
    window = window or Window(0, 0, heights.shape[1], heights.shape[0])
    water, level = np.zeros(heights.shape, bool), heights
    for lake in lakes:
        row, column = lake.row - window.row_off, lake.column - window.col_off
        height, width = lake.water.shape
        top, left = max(0, -row), max(0, -column)
        bottom, right = min(height, window.height - row), min(width, window.width - column)
        if top >= bottom or left >= right:
            continue
        if level is heights:
            level = heights.copy()
        part = lake.water[top:bottom, left:right]
        at = Window(column + left, row + top, right - left, bottom - top)
        cropped(water, at)[part] = True
        cropped(level, at)[part] = lake.level_m
    return level, water
