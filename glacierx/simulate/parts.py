"""A scene from top to bottom: rendered in tiles, recorded, joined to rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray
from rasterio.windows import Window

from glacierx.scene.geotiff import RasterLayout
from glacierx.scene.grid import row_bands
from glacierx.scene.sensors import Sensor
from glacierx.simulate.fields import cropped
from glacierx.simulate.rendering import View, render_setting
from glacierx.simulate.sensing import (
    EIGHT_BIT,
    SCALE,
    THERMAL,
    Detector,
    Part,
    draw_detector,
    record_part,
    record_reflectance,
    units_of,
)
from glacierx.simulate.spectra import ALL, ROLES
from glacierx.simulate.weather import Weather
from glacierx.simulate.wide import WideScene

# Scenes up to this side are rendered at once, which takes 1.5 GB; larger ones in tiles, which are
# looked at with what lies around them.
WHOLE_PX = 2048
TILE_PX = 1280
REACH_M = 960.0
LEAST_REACH_PX, MOST_REACH_PX = 96, 256


@dataclass(frozen=True)
class Rows:
    """Full-width rows of a scene.

    Attributes:
        numbers: What the sensor stores (bands, rows, columns).
        heights: Heights in metres.
        label: Label of each glacier, 0 off the ice.
    """

    numbers: NDArray[np.uint8] | NDArray[np.uint16]
    heights: NDArray[np.float32]
    label: NDArray[np.int32]


@dataclass(frozen=True)
class Camera:
    """What takes the scene.

    Attributes:
        detector: The sensor; None for plain reflectance.
        seed: What its noise follows from.
        random: Where that seed has come to by drawing the sensor.
        gsd_m: GSD of the scene.
    """

    detector: Detector | None
    seed: int
    random: np.random.Generator
    gsd_m: float

    @classmethod
    def aim(
        cls,
        sensor: Sensor | None,
        weather: Weather,
        seed: int,
        gsd_m: float,
        columns: int | None = None,
    ) -> "Camera":
        """Draw how a sensor is.

        Args:
            sensor: The sensor, if any.
            weather: The scene's sun.
            seed: What is random follows from it.
            gsd_m: GSD of the scene.
            columns: Columns of a scene that is taken in parts.
        """
        # What the sensor adds does not depend on what there is to see.
        random = np.random.default_rng([seed, 1])
        detector = draw_detector(sensor, weather, random, columns) if sensor else None
        return cls(detector, seed, random, gsd_m)

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the bands that are stored."""
        return tuple(band.role for band in self.detector.bands) if self.detector else ROLES

    @property
    def thermal(self) -> bool:
        """True if it measures temperature."""
        return THERMAL in self.roles

    @property
    def bands(self) -> tuple[int, ...]:
        """What must be rendered for it; a temperature needs all."""
        return ALL if self.thermal else tuple(sorted(map(ROLES.index, self.roles)))

    def layout(self, tags: dict[str, str]) -> RasterLayout:
        """Return how the scene's file is laid out."""
        kind: DTypeLike = np.uint16
        count = len(self.roles)
        scales, offsets = (SCALE,) * count, (0.0,) * count
        if self.detector:
            kind = np.uint8 if self.detector.stores[0].top == EIGHT_BIT else np.uint16
            scales = tuple(store.scale for store in self.detector.stores)
            offsets = tuple(store.offset for store in self.detector.stores)
        return RasterLayout(
            bands=count, dtype=kind, nodata=0, scale=scales, offsets=offsets,
            units=units_of(self.roles), descriptions=self.roles, tags=tags,
        )  # fmt: skip

    def take(
        self, view: View, part: Part, random: np.random.Generator
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Take a part of a view."""
        if self.detector is None:
            return record_reflectance(view, random, part).numbers
        return record_part(view, self.detector, self.gsd_m, random, part).numbers


def whole_rows(view: View, camera: Camera) -> Iterator[Rows]:
    """Return all rows of a scene that was rendered at once."""
    numbers = camera.take(view, Part.whole(view.heights.shape), camera.random)
    yield Rows(numbers, view.heights, view.glacier.astype(np.int32))


def tiled_rows(
    scene: WideScene, weather: Weather, camera: Camera, tile_px: int = TILE_PX
) -> Iterator[Rows]:
    """Render a scene tile by tile, and return the rows of each row of tiles.

    Only the noise of the sensor depends on where tiles lie.

    Args:
        scene: What is drawn for the whole.
        weather: Sun, air, snow, debris and land.
        camera: What takes it.
        tile_px: Side of the tiles.
    """
    rows, columns = scene.terrain.shape
    for down, (top, bottom) in enumerate(row_bands(rows, tile_px)):
        shape = bottom - top, columns
        out = Rows(
            np.empty((len(camera.roles), *shape), camera.layout({}).dtype),
            np.empty(shape, np.float32),
            np.empty(shape, np.int32),
        )
        for across, (left, right) in enumerate(row_bands(columns, tile_px)):
            tile = Window(left, top, right - left, bottom - top)
            around = _around(tile, scene.reach_px, scene.terrain.shape)
            view = render_setting(
                scene.setting(around), weather, bands=camera.bands, thermal=camera.thermal
            )
            inner = Window(left - around.col_off, top - around.row_off, tile.width, tile.height)
            random = np.random.default_rng([camera.seed, 1, down, across])
            here = slice(left, right)
            out.numbers[:, :, here] = camera.take(view, Part(inner, left), random)
            out.heights[:, here] = cropped(view.heights, inner)
            out.label[:, here] = cropped(view.glacier, inner)
        yield out


def _around(tile: Window, reach_px: int, shape: tuple[int, int]) -> Window:
    top, left = max(0, tile.row_off - reach_px), max(0, tile.col_off - reach_px)
    bottom = min(shape[0], tile.row_off + tile.height + reach_px)
    right = min(shape[1], tile.col_off + tile.width + reach_px)
    return Window(left, top, right - left, bottom - top)


def reach_of(gsd_m: float) -> int:
    """Return how many pixels around a tile are looked at."""
    return int(np.clip(round(REACH_M / gsd_m), LEAST_REACH_PX, MOST_REACH_PX))
