"""Scenes too large for memory: what is drawn for the whole, and the setting of any window."""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy import ndimage

from glacierx.simulate.fields import Coarse, Field, Repeated, repeated
from glacierx.simulate.ground import Ground, Scale, draw_tongues
from glacierx.simulate.lakes import Lake, find_lakes
from glacierx.simulate.landscape import Landscape, fractal
from glacierx.simulate.light import Aloft, Around, far_rays, sky_view
from glacierx.simulate.regions import grow_labels, marks_of
from glacierx.simulate.relief import (
    FALL,
    FLOW,
    SPURS,
    Relief,
    Streak,
    Terrain,
    Texture,
    of_slope_one,
    roughened,
    streaks,
)
from glacierx.simulate.rendering import Setting, termini_of
from glacierx.simulate.weather import Weather

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

# The survey is as fine as the cells of streaks in a scene that is made at once, up to the step
# that a scene of 20,000 pixels needs to stay below 3,000 cells a side.
SURVEY_PX, WIDEST_STEP = 700, 7
STREAK_CELL_M = 30.0
GRAIN_PX = 40.0
SAMPLES, SAMPLE_PX = 5, 256


class WideTerrain(Terrain, Protocol):
    """A terrain that is also known as a whole."""

    def survey(self, step: int) -> Relief:
        """Return terrain and glaciers of the whole on cells of so many pixels."""


class MadeTerrain:
    """A made landscape at the GSD of a scene.

    Args:
        landscape: Terrain and ice.
        size: Rows and columns of the scene.
        gsd_m: Its ground sampling distance.
        ela_shift_m: Height of the equilibrium line above the snow line.
        random: Source of randomness.
    """

    def __init__(
        self,
        landscape: Landscape,
        size: int,
        gsd_m: float,
        ela_shift_m: float,
        random: np.random.Generator,
    ) -> None:
        self.shape = size, size
        self.gsd_m = gsd_m
        self._detail_m = 3 * landscape.cell_m
        self._cells_per_px = len(landscape.surface) / size
        # Ice ends in steps of a cell, which cubic interpolation would ring at.
        soft = ndimage.gaussian_filter(landscape.surface, 0.6)
        self._spline = ndimage.spline_filter(soft, 3, mode="mirror")
        self._ice = ndimage.gaussian_filter(landscape.ice.astype(np.float64), 0.7)
        self._ela = landscape.snowline + ela_shift_m
        self._marks = marks_of(landscape).astype(np.int32)
        self._glacier = landscape.glacier
        self._grain = repeated(0.9, GRAIN_PX, random)

    def read(self, window: Window) -> Relief:
        """Return terrain and glaciers of a window."""
        grain = self._grain.read(window)
        heights = self._sampled(self._spline, window, 3)
        ice = self._sampled(self._ice, window, 1) + 0.05 * grain > 0.5
        glacier = grow_labels(self._nearest(self._marks, window), heights + grain, ice, cut=True)
        ela = self._sampled(self._ela, window, 1)
        return Relief(heights, glacier, self.gsd_m, ela, self._detail_m)

    def survey(self, step: int) -> Relief:
        """Return terrain and glaciers of the whole on cells of so many pixels."""
        cells = -(-self.shape[0] // step)
        window = Window(0, 0, cells, cells)
        return Relief(
            self._sampled(self._spline, window, 3, step),
            self._nearest(self._glacier, window, step),
            self.gsd_m * step,
            self._sampled(self._ela, window, 1, step),
            self._detail_m,
        )

    def _sampled(
        self, field: NDArray[np.float64], window: Window, order: int, step: int = 1
    ) -> Floats:
        """Interpolate a coarse field, cell edge to cell edge."""
        scale = step * self._cells_per_px
        offset = [(first + 0.5) * scale - 0.5 for first in (window.row_off, window.col_off)]
        out = np.empty((window.height, window.width), np.float32)
        ndimage.affine_transform(
            field, (scale, scale), offset, out.shape, out, order, mode="nearest", prefilter=False
        )
        return out

    def _nearest(self, field: NDArray[Any], window: Window, step: int = 1) -> NDArray[Any]:
        scale = step * self._cells_per_px
        rows, columns = (
            np.clip(((first + np.arange(count) + 0.5) * scale).astype(int), 0, len(field) - 1)
            for first, count in ((window.row_off, window.height), (window.col_off, window.width))
        )
        return field[np.ix_(rows, columns)]


@dataclass(frozen=True)
class WideScene:
    """A scene of which any window can be rendered by itself, as the rest of it asks for.

    Attributes:
        terrain: Its terrain.
        fields: Random fields and what is known on coarse cells, by name.
        lakes: Its lakes.
        scale: What the ground takes from the whole.
        lowest_m: Height of its lowest ground.
        reach_px: How far around itself a window is looked at.
    """

    terrain: Terrain
    fields: dict[str, Field]
    lakes: tuple[Lake, ...]
    scale: Scale
    lowest_m: float
    reach_px: int

    def setting(self, window: Window) -> Setting:
        """Return what is drawn for a window."""
        lakes = [
            replace(lake, row=lake.row - window.row_off, column=lake.column - window.col_off)
            for lake in self.lakes
        ]
        sky, ray_m, varies, wisps = (
            self.fields[name].read(window) for name in ("sky", "ray_m", "varies", "wisps")
        )
        return Setting(
            self.terrain.read(window),
            _texture(self.fields, window),
            lakes,
            self.scale,
            Aloft(varies, wisps, self.lowest_m),
            Around(sky, ray_m, self.reach_px),
        )


def _texture(fields: dict[str, Field], window: Window) -> Texture:
    return Texture(**{name: fields[name].read(window) for name in Texture.__annotations__})


def draw_wide(
    terrain: WideTerrain, weather: Weather, random: np.random.Generator, reach_px: int
) -> WideScene:
    """Draw all that the windows of a scene share.

    What runs over more than the reach of a window, as streaks, far shadows and haze do, is drawn
    on coarse cells; what does not is repeated with periods that no scene is as large as.

    Args:
        terrain: The terrain.
        weather: Sun, air, snow, debris and land.
        random: Source of randomness.
        reach_px: How far around itself a window is looked at.
    """
    step = int(np.clip(round(max(terrain.shape) / SURVEY_PX), 1, WIDEST_STEP))
    survey = terrain.survey(step)
    fields = _fields(survey, terrain.gsd_m, weather, random, reach_px)
    lakes = find_lakes(
        [(step * row + step // 2, step * column + step // 2) for row, column in termini_of(survey)],
        terrain,
        weather.land.lakes,
        random,
        cell_px=step,
    )
    above = (survey.heights - survey.ela).astype(np.float32)
    scale = Scale(
        draw_tongues(above, survey.glacier, weather.debris, random),
        reach_m=reach_px * terrain.gsd_m,
    )
    lowest_m = float(survey.heights.min())
    del survey, above
    scale = _with_bars(terrain, fields, weather, scale)
    return WideScene(terrain, fields, tuple(lakes), scale, lowest_m, reach_px)


def _fields(
    survey: Relief, gsd_m: float, weather: Weather, random: np.random.Generator, reach_px: int
) -> dict[str, Field]:
    heights, cell_m = survey.heights, survey.gsd_m
    step, shape = round(cell_m / gsd_m), (heights.shape[0], heights.shape[1])
    most = max(shape)

    def fine(roughness: float, longest_m: float) -> Repeated:
        return repeated(roughness, max(longest_m / gsd_m, 3), random)

    def coarse(roughness: float, longest: float = 0.5) -> Coarse:
        values = fractal(shape, roughness, random, longest=min(1.0, longest))
        return Coarse(values.astype(np.float32), step)

    def drawn_out(streak: Streak) -> Floats:
        shorter = max(0, round(np.log2(cell_m / STREAK_CELL_M)))
        streak = replace(streak, doublings=streak.doublings - shorter)
        return streaks(heights, cell_m, streak, random, most)

    bumps = fine(1.7, max(survey.detail_m, 4 * gsd_m))
    return {
        "grain": fine(0.8, 60),
        "patches": fine(1.4, 600),
        "broad": coarse(1.9, 6000 / (most * cell_m)),
        "fall": Coarse(drawn_out(FALL), step),
        "flow": Coarse(drawn_out(FLOW), step),
        "bumps": Repeated(tuple(of_slope_one(part, gsd_m) for part in bumps.parts)),
        "spurs": Coarse(of_slope_one(drawn_out(SPURS), cell_m), step),
        "varies": coarse(2.2),
        "wisps": coarse(1.7, 0.7),
        "sky": Coarse(sky_view(heights, cell_m, most), step),
        "ray_m": Coarse(far_rays(heights, cell_m, weather.sun, reach_px * gsd_m), step),
    }


def _with_bars(terrain: Terrain, fields: dict[str, Field], weather: Weather, scale: Scale) -> Scale:
    """Find by samples above what the highest shares of ponds and of snow patches lie."""
    wet, drifts = [], []
    side = min(SAMPLE_PX, *terrain.shape)
    rows, columns = (np.linspace(0, length - side, SAMPLES).astype(int) for length in terrain.shape)
    for row in rows.tolist():
        for column in columns.tolist():
            window = Window(column, row, side, side)
            relief = terrain.read(window)
            texture = _texture(fields, window)
            bare = roughened(relief, texture, weather)
            ground = Ground(relief, texture, bare, np.zeros(bare.shape, bool), weather, scale)
            wet.append(ground.wetness())
            drifts.append(ground.drifts())
    return replace(
        scale,
        pond_bar=float(np.quantile(wet, 1 - weather.debris.ponds)),
        patch_bar=float(np.quantile(drifts, 1 - weather.snow.patches)),
    )
