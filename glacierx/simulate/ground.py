"""What covers the ground of a terrain: rock, plants, snow, ice, debris, water."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from glacierx.scene.grid import row_bands
from glacierx.scene.terrain import slope_deg
from glacierx.simulate.light import blurred, smoothstep
from glacierx.simulate.relief import Relief, Texture
from glacierx.simulate.spectra import ALL, Spectrum, spectrum
from glacierx.simulate.weather import Debris, Snow, Weather

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

FAR_M = 1e4
CACHED_PX = 32768


@dataclass(frozen=True)
class Cover:
    """Shares of each pixel under surfaces; later ones lie on top of earlier ones.

    Attributes:
        opacity: Opacity of each surface by name (rows, columns).
        spectra: Its spectrum.
        texture: Its brightness from place to place, 1 on average.
    """

    opacity: Mapping[str, Floats]
    spectra: Mapping[str, Spectrum]
    texture: Mapping[str, Floats]

    def albedo(self, bands: Sequence[int] = ALL) -> Floats:
        """Blend the surfaces in bands, by their place in `ROLES` (bands, rows, columns)."""
        rows, columns = next(iter(self.opacity.values())).shape
        out = np.zeros((len(bands), rows, columns), np.float32)
        # As many rows at a time as stay in the processor's cache.
        for first, last in row_bands(rows, max(1, CACHED_PX // columns)):
            part = slice(first, last)
            for name, opacity in self.opacity.items():
                share = opacity[part]
                if share.any():
                    rest, bright = 1 - share, share * self.texture[name][part]
                    for band, value in zip(out, self.spectra[name][list(bands)], strict=True):
                        band[part] *= rest
                        band[part] += value * bright
        return out.clip(0.002, 0.98, out=out)

    def masks(self) -> dict[str, Mask]:
        """Return where each surface is the one that covers most of a pixel."""
        names = list(self.opacity)
        most = np.zeros(self.opacity[names[0]].shape, np.int8)
        share = np.zeros(most.shape, np.float32)
        for index, opacity in enumerate(self.opacity.values()):
            share *= 1 - opacity
            more = opacity > share
            most[more], share[more] = index, opacity[more]
        return {name: most == index for index, name in enumerate(names)}


@dataclass(frozen=True)
class Scale:
    """What the ground of a window takes from the scene around it.

    Attributes:
        tongues: Lower end above the ELA, height from there to the ELA and share of it under debris
            (or -1) of each glacier by its label (3, labels from 0).
        pond_bar: Value of `Ground.wetness` above which debris holds ponds; if None that of the
            window itself.
        patch_bar: The same of `Ground.drifts` and snow patches.
        reach_m: Ice beyond this distance is not looked for.
    """

    tongues: Floats
    pond_bar: float | None = None
    patch_bar: float | None = None
    reach_m: float = FAR_M


def draw_tongues(
    above: Floats, glacier: NDArray[np.int64], debris: Debris, random: np.random.Generator
) -> Floats:
    """Draw which glaciers have debris on their tongues, and how far up: `Scale.tongues`.

    Args:
        above: Heights above the ELA (rows, columns).
        glacier: Label of each glacier, 0 off the ice.
        debris: How likely and how far.
        random: Source of randomness.
    """
    count = int(glacier.max(initial=0))
    if count == 0:
        return np.zeros((3, 1), np.float32)
    labels = np.arange(1, count + 1)
    low = ndimage.minimum(above, glacier, labels)
    high = np.minimum(ndimage.maximum(above, glacier, labels), 0)
    span = np.maximum(high - low, 60)
    has = random.random(count) < debris.share
    reach = np.where(has, random.uniform(*debris.reach, count), -1.0)
    return np.stack([np.r_[0, part].astype(np.float32) for part in (low, span, reach)])


class Ground:
    """Decide what covers each pixel of a terrain.

    Args:
        relief: Terrain and glaciers.
        texture: Its textures.
        rough: Its heights with rough rock.
        lake: True where there is a lake.
        weather: Snow, debris and land.
        scale: What the whole scene has to say.
    """

    def __init__(
        self,
        relief: Relief,
        texture: Texture,
        rough: Floats,
        lake: Mask,
        weather: Weather,
        scale: Scale,
    ) -> None:
        self._texture, self._weather, self._gsd_m = texture, weather, relief.gsd_m
        self._glacier, self._scale = relief.glacier, scale
        self._ice = relief.glacier > 0
        self._lake = lake
        self._above = (relief.heights - relief.ela).astype(np.float32)
        smooth = blurred(relief.heights, min(30 / relief.gsd_m, 3))
        self._slope = slope_deg(smooth, relief.gsd_m).astype(np.float32)
        wall_m = min(20 / relief.gsd_m, 2)
        self._steep = slope_deg(blurred(rough, wall_m), relief.gsd_m).astype(np.float32)
        lower = (blurred(rough, 75 / relief.gsd_m) - rough) / 12
        self._hollow = np.clip(lower, -2, 2).astype(np.float32)
        self._away_m = np.full(self._ice.shape, np.float32(scale.reach_m))
        if self._ice.any():
            far = ndimage.distance_transform_edt(~self._ice) * relief.gsd_m
            self._away_m = np.minimum(far, scale.reach_m).astype(np.float32)
        self.debris = self._debris()

    def cover(self) -> Cover:
        """Lay one surface over the other."""
        opacity: dict[str, Floats] = {}
        spectra: dict[str, Spectrum] = {}
        texture: dict[str, Floats] = {}
        for name, share, values, bright in self._layers():
            opacity[name], spectra[name] = share, values
            texture[name] = np.maximum(bright, 0.2).astype(np.float32)
        return Cover(opacity, spectra, texture)

    def wetness(self) -> Floats:
        """Return where ponds would stand on debris, the highest values first."""
        texture = self._texture
        return np.asarray(texture.patches + 0.8 * texture.grain + 0.5 * self._hollow)

    def drifts(self) -> Floats:
        """Return where snow would last, the highest values first."""
        texture = self._texture
        return np.asarray(
            0.5 * texture.patches + 0.3 * texture.grain + self._hollow + 0.5 * texture.fall
        )

    def _layers(self) -> Iterator[tuple[str, Floats, Spectrum, Floats]]:
        yield from self._land()
        yield from self._on_ice()
        yield from self._white()
        water = self._weather.land
        values = spectrum("lake ice") if water.lake_ice else water.lake
        calm = 1 + 0.04 * self._texture.broad + 0.01 * self._texture.grain
        yield "lake", self._lake.astype(np.float32), values, calm

    def _land(self) -> Iterator[tuple[str, Floats, Spectrum, Floats]]:
        land, texture = self._weather.land, self._texture
        bright = np.exp(
            land.texture * (0.7 * texture.grain + 0.7 * texture.patches)
            + 0.12 * land.gullies * texture.fall * smoothstep((self._slope - 8) / 15)
        )
        kinds = texture.broad + 0.35 * texture.patches + 0.15 * texture.fall
        edges = np.linspace(-0.7, 0.7, len(land.rocks) + 1)[1:-1]
        for index, (name, values) in enumerate(land.rocks.items()):
            share = np.ones(kinds.shape, np.float32)
            if index:
                share = smoothstep((kinds - edges[index - 1]) / 1.1 + 0.5)
            yield name, share, values, bright
        if land.gravel:
            flat = smoothstep((7 - self._slope + 2 * texture.patches) / 5)
            gully = smoothstep(self._hollow / 0.9) * smoothstep((texture.fall + 0.5) / 1.5)
            gully = gully * smoothstep(1.6 - np.abs(self._slope - 27) / 10)
            near = 1 - smoothstep((self._away_m + 25 * texture.patches) / 130)
            moraine = 0.8 * near * smoothstep((20 - self._slope) / 8)
            loose = np.maximum(np.maximum(flat, gully), moraine)
            yield "gravel", land.gravel * loose, self._gravel(), bright
        height = self._above + 60 * texture.patches + 25 * texture.grain + 30 * texture.fall
        gentle = smoothstep((38 - self._slope) / 6)
        gentle = gentle * smoothstep((self._away_m + 90 * texture.patches) / land.bare_m - 0.2)
        green = smoothstep((-land.green_m - height) / 150 + 0.5) * gentle
        yield "meadow", green, land.green, 1 + 0.12 * (texture.grain + texture.patches)
        forest = smoothstep((-land.forest_m - height) / 60 + 0.5) * gentle
        yield "forest", forest, spectrum("forest"), 1 + 0.15 * texture.grain

    def _rock(self) -> Spectrum:
        return np.asarray(np.mean(list(self._weather.land.rocks.values()), axis=0), np.float32)

    def _gravel(self) -> Spectrum:
        """Rock that rivers have ground and washed."""
        return np.asarray(0.5 * self._rock() + 0.5 * spectrum("gravel"), np.float32)

    def _on_ice(self) -> Iterator[tuple[str, Floats, Spectrum, Floats]]:
        texture, snow = self._texture, self._weather.snow
        ice = self._ice.astype(np.float32)
        steep = smoothstep((self._slope - 12) / 15)
        streaky = 0.09 * texture.flow + 0.04 * texture.patches
        crevassed = 0.10 * steep * texture.grain * min(1.0, 10 / self._gsd_m)
        yield "ice", ice, snow.ice, 1 + streaky + crevassed
        # Dust and melt darken the ice towards its end.
        low = smoothstep(-self._above / 500)
        dirty = 0.9 * snow.dirt * low * smoothstep(0.5 + 0.4 * texture.flow + 0.3 * texture.patches)
        yield "dirty ice", ice * dirty, spectrum("dirty ice"), 1 + 0.1 * texture.grain
        ragged = self._above + 25 * texture.patches + 25 * texture.flow + 40 * texture.broad
        firn = smoothstep((ragged + snow.firn_m) / 110 + 0.5)
        worn = 1 - 0.25 * snow.dirt + 0.05 * texture.patches
        yield "firn", ice * firn, spectrum("firn"), worn * np.ones_like(ice)
        yield from self._rocky_ice()
        ripe = smoothstep((ragged - 60) / 110 + 0.5)
        yield "snow", ice * ripe, self._snow_spectrum(), 1 + 0.02 * texture.patches

    def _rocky_ice(self) -> Iterator[tuple[str, Floats, Spectrum, Floats]]:
        texture, debris = self._texture, self._weather.debris
        colour = texture.flow + 0.4 * texture.broad
        rough = np.exp(
            self._weather.land.texture * (0.8 * texture.grain + 0.3 * texture.patches)
            + 0.13 * texture.flow
        )
        # Rock on melting ice is damp, and ice shows between the stones: darker in the infrared.
        damp = debris.brightness * (1 + debris.damp * np.array((0.4, 0.2, 0.0, -0.8, -1.0, -1.0)))
        rocks = [np.asarray(rock * damp, np.float32) for rock in self._weather.land.rocks.values()]
        yield "debris", self.debris, np.mean(rocks, axis=0, dtype=np.float32), rough
        for name, values, side in (("first", rocks[0], 1), ("last", rocks[-1], -1)):
            share = 0.9 * self.debris * smoothstep(side * colour / 1.2)
            yield f"{name} debris", share, values, rough
        if debris.ponds:
            gentle = (
                self.debris * smoothstep((9 - self._slope) / 4) * smoothstep(-self._above / 150)
            )
            field = self.wetness()
            bar = self._scale.pond_bar
            if bar is None:
                bar = float(np.quantile(field, 1 - debris.ponds))
            pond = gentle * smoothstep((field - bar) / 0.15)
            yield "pond", pond, self._weather.land.lake, np.ones_like(pond)
            cliff = (
                gentle
                * smoothstep((field - bar + 0.4) / 0.1)
                * (1 - smoothstep((field - bar) / 0.1))
            )
            cliff = 0.8 * cliff * smoothstep(texture.fall - 0.3)
            yield "ice cliff", cliff, spectrum("dirty ice"), np.ones_like(cliff)

    def _white(self) -> Iterator[tuple[str, Floats, Spectrum, Floats]]:
        texture, snow = self._texture, self._weather.snow
        land = (~self._ice).astype(np.float32)
        hollow = self._hollow
        wind = snow.drift_m * (0.35 * texture.patches + 0.6 * hollow + 0.5 * texture.fall)
        depth = self._above - snow.line_m + wind
        holds = smoothstep(
            (snow.holds_deg + 1.5 * texture.grain + 2 * texture.fall - self._steep) / 9 + 0.5
        )
        cones = snow.avalanches_m * self._cones()
        off = smoothstep((depth + cones) / snow.blend_m + 0.5) * holds
        # On ice, which is cold and smooth, snow stays longer and lies on steeper slopes.
        on = smoothstep((depth + 100) / snow.blend_m + 0.5)
        bright = 1 + 0.02 * texture.patches + 0.015 * texture.grain
        fresh = self._snow_spectrum()
        yield "fresh snow", np.where(self._ice, on, off).astype(np.float32), fresh, bright
        if snow.patches:
            drifts = self.drifts()
            bar = self._scale.patch_bar
            if bar is None:
                bar = float(np.quantile(drifts, 1 - snow.patches))
            patch = smoothstep((drifts - bar) / 0.3 + 0.5) * smoothstep((self._above + 260) / 60)
            patch = patch * land * (self._slope < 38)
            old = 0.5 * (spectrum("snow") + spectrum("firn"))
            yield "snow patch", patch.astype(np.float32), old, bright

    def _snow_spectrum(self) -> Spectrum:
        """Snow from large wet grains, dark in the infrared, to small cold ones."""
        snow: Snow = self._weather.snow
        wet = np.array((0.93, 0.93, 0.93, 0.84, 0.20, 0.20), np.float32)
        new = np.array((1.04, 1.04, 1.05, 1.08, 0.95, 0.95), np.float32)
        return np.asarray(spectrum("snow") * (wet + snow.fresh * (new - wet)), np.float32)

    def _cones(self) -> Floats:
        """Say where avalanches come to rest: gentle hollows below steep walls."""
        wall = ndimage.maximum_filter(self._steep, max(1, round(200 / self._gsd_m)))
        below = smoothstep((wall - 38) / 10) * smoothstep((36 - self._slope) / 8)
        tracks = smoothstep((self._texture.fall + self._hollow - 0.5) / 2)
        return np.asarray(below * tracks, np.float32)

    def _debris(self) -> Floats:
        """Cover the lower part of some tongues, and moraines that the ice carries down."""
        if not self._ice.any():
            return np.zeros(self._ice.shape, np.float32)
        debris, texture = self._weather.debris, self._texture
        start, length, share = self._scale.tongues[:, self._glacier]
        up = (self._above - start) / np.maximum(length, 1)
        index = (share - up) / debris.blend + debris.streaks * texture.flow / debris.blend / 3
        index += (
            0.12 * texture.patches
            + 0.12 * texture.grain
            - 1.5 * smoothstep((self._slope - 26) / 14)
        )
        covered = smoothstep(index + 0.5) * (share > 0)
        bar = 1.0 + 2.0 * smoothstep((up - 0.7) / 0.5)
        if debris.moraines:
            bar = bar + 0.9 * (0.15 - debris.moraines) / 0.15
            stripe = smoothstep((texture.flow + 0.2 * texture.patches - bar) / 0.4 + 0.5)
            covered = np.maximum(covered, stripe * (self._above < 0))
        return np.asarray(covered * self._ice, np.float32)
