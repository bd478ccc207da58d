"""What differs between one acquisition and another: sun, air, snow, debris, rock, drawn by seed."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from glacierx.simulate.spectra import ROCKS, Spectrum, spectrum, varied


@dataclass(frozen=True)
class Sun:
    """Where the sun stands."""

    azimuth_deg: float = 150.0
    elevation_deg: float = 48.0


@dataclass(frozen=True)
class Air:
    """What lies between the ground and the sensor.

    Attributes:
        sky: Factor of the share of light that comes from the sky.
        haze: Path reflectance at 0.48 micrometres; below 0 where a correction took too much.
        haze_exponent: How fast haze falls with wavelength: 4 for clean air, 1 for dust.
        haze_varies: Share by which haze differs over the scene.
        cloud: Opacity of the thickest thin cloud, 0 for none.
        freezing_m: Height above the ELA where the air is at 0 degrees Celsius.
    """

    sky: float = 1.0
    haze: float = 0.0
    haze_exponent: float = 2.0
    haze_varies: float = 0.0
    cloud: float = 0.0
    freezing_m: float = 600.0


@dataclass(frozen=True)
class Snow:
    """Where snow lies and what it is like.

    Attributes:
        ela_quantile: Share of the ice that lies below the equilibrium line (ELA) on real terrain.
        ela_shift_m: Height of the ELA above that of made terrain.
        line_m: Height of the snow line off the ice above the ELA.
        blend_m: Range of heights over which snow becomes continuous.
        drift_m: Metres of height that wind and relief are worth.
        patches: Fraction of hollows that keep snow through summer.
        holds_deg: Slope that snow slides off.
        avalanches_m: Metres of height that a cone of avalanche snow lies deeper.
        fresh: 1 for cold new snow, 0 for old wet snow.
        dirt: Darkening of firn and ice by dust, 0 to 1.
        firn_m: Height of the bare ice's upper end below the firn line.
        ice: Spectrum of bare ice.
    """

    ela_quantile: float = 0.5
    ela_shift_m: float = 0.0
    line_m: float = 3000.0
    blend_m: float = 60.0
    drift_m: float = 60.0
    patches: float = 0.12
    holds_deg: float = 40.0
    avalanches_m: float = 0.0
    fresh: float = 0.6
    dirt: float = 0.0
    firn_m: float = 40.0
    ice: Spectrum = field(default_factory=lambda: spectrum("ice"))


@dataclass(frozen=True)
class Debris:
    """Where rock covers ice and how it looks.

    Attributes:
        share: Share of the glaciers with a debris-covered tongue.
        reach: Lowest and highest share of the way up to the ELA that it covers.
        blend: Share of that way over which it thins out.
        streaks: How much it follows the flow of the ice.
        moraines: Fraction of the ice below the ELA under medial moraines.
        brightness: Its reflectance over that of the rock around it.
        damp: How much darker it is in the infrared than that rock.
        hummocks_deg: Root mean square slope of its hummocks.
        ponds: Fraction of gentle debris under melt ponds.
        ridge_m: Height of lateral moraines.
    """

    share: float = 0.6
    reach: tuple[float, float] = (0.25, 0.8)
    blend: float = 0.1
    streaks: float = 0.15
    moraines: float = 0.0
    brightness: float = 1.0
    damp: float = 0.0
    hummocks_deg: float = 5.0
    ponds: float = 0.0
    ridge_m: float = 0.0


@dataclass(frozen=True)
class Land:
    """Rock, plants and water off the ice.

    Attributes:
        rocks: Spectra of the kinds of rock, by name.
        green_m: Height of the upper limit of plants below the ELA.
        green: Spectrum of low plants.
        forest_m: Height of the upper limit of trees below the ELA.
        bare_m: How far ground is bare that ice has left.
        rough_deg: Root mean square slope of rock that the DEM does not show.
        texture: Standard deviation of the logarithm of brightness from place to place.
        gullies: Strength of streaks down the slopes.
        gravel: Opacity of gravel on flat ground.
        lakes: Share of glaciers with a lake below them.
        lake: Spectrum of lakes.
        lake_ice: True where lakes are frozen.
    """

    rocks: dict[str, Spectrum] = field(
        default_factory=lambda: {name: spectrum(name) for name in ("gneiss", "schist")}
    )
    green_m: float = 420.0
    green: Spectrum = field(default_factory=lambda: spectrum("meadow"))
    forest_m: float = 5000.0
    bare_m: float = 300.0
    rough_deg: float = 9.0
    texture: float = 0.09
    gullies: float = 0.3
    gravel: float = 0.0
    lakes: float = 0.3
    lake: Spectrum = field(default_factory=lambda: spectrum("lake"))
    lake_ice: bool = False


@dataclass(frozen=True)
class Weather:
    """All that is drawn for a scene; as it stands, a fine day in late summer."""

    sun: Sun = Sun()
    air: Air = Air()
    snow: Snow = field(default_factory=Snow)
    debris: Debris = Debris()
    land: Land = field(default_factory=Land)

    def as_record(self) -> dict[str, Any]:
        """Return all numbers as plain values for a run record."""
        return _plain(asdict(self))


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _plain(value)
        if isinstance(value, dict)
        else [round(float(number), 4) for number in value]
        if isinstance(value, np.ndarray)
        else value
        for name, value in values.items()
    }


def draw_weather(random: np.random.Generator, *, southern: bool = False) -> Weather:
    """Draw sun, air, snow, debris and land.

    Args:
        random: Source of randomness.
        southern: The place is south of the equator: the sun stands in the north.
    """
    snow = _draw_snow(random)
    return Weather(
        _draw_sun(random, southern),
        _draw_air(random),
        snow,
        _draw_debris(random),
        _draw_land(random, winter=snow.line_m < -600),
    )


def _draw_sun(random: np.random.Generator, southern: bool) -> Sun:
    elevation = float(22 + 46 * random.beta(1.6, 1.3))
    # Satellites of this kind cross in the morning; a share of anything keeps shadows from
    # telling north.
    azimuth = random.normal(145 + 0.25 * (40 - elevation), 16)
    if southern:
        azimuth = 180 - azimuth
    if random.random() < 0.25:
        azimuth = random.uniform(0, 360)
    return Sun(float(azimuth % 360), elevation)


def _draw_air(random: np.random.Generator) -> Air:
    # Scenes of top-of-atmosphere reflectance keep their haze; corrected ones have what is left, or
    # have lost too much, which makes shadows negative.
    kind = random.random()
    low, high = (0.02, 0.11) if kind < 0.5 else (-0.03, 0.03) if kind < 0.85 else (-0.12, -0.03)
    exponent = random.uniform(1, 4) if low > 0 else random.uniform(0, 1.5)
    return Air(
        sky=float(random.uniform(0.6, 1.5)),
        haze=float(random.uniform(low, high)),
        haze_exponent=float(exponent),
        haze_varies=float(random.uniform(0, 0.35)),
        cloud=float(random.uniform(0.15, 0.6)) if random.random() < 0.12 else 0.0,
        freezing_m=float(random.uniform(-800, 1600)),
    )


def _draw_snow(random: np.random.Generator) -> Snow:
    season = random.random()
    if season < 0.5:  # late summer
        line_m = random.uniform(0, 700)
    elif season < 0.85:  # early summer, or a fresh fall of snow
        line_m = random.uniform(-600, 0)
    else:
        line_m = random.uniform(-2000, -600)
    return Snow(
        ela_quantile=float(random.uniform(0.35, 0.9)),
        ela_shift_m=float(random.uniform(-100, 400)),
        line_m=float(line_m),
        blend_m=float(np.exp(random.uniform(np.log(40), np.log(450)))),
        drift_m=float(random.uniform(30, 180)),
        patches=float(random.uniform(0.0, 0.2)),
        holds_deg=float(random.uniform(36, 54)),
        avalanches_m=float(random.uniform(0, 500)),
        fresh=float(random.uniform(0, 1)),
        dirt=float(random.beta(1.2, 2.0)),
        firn_m=float(random.uniform(0, 250)),
        ice=varied(spectrum("ice"), random, brightness=0.18, tilt=0.03, bend=0.03),
    )


def _draw_debris(random: np.random.Generator) -> Debris:
    low = random.uniform(0.2, 0.9)
    return Debris(
        share=float(random.choice([0.4, 0.7, 0.9, 1.0])),
        reach=(float(low), float(random.uniform(low, 1.5))),
        blend=float(random.uniform(0.06, 0.35)),
        streaks=float(random.uniform(0.2, 1.0)),
        moraines=float(random.uniform(0.0, 0.2)),
        brightness=float(np.exp(random.normal(-0.1, 0.12))),
        damp=float(random.uniform(0, 0.25)),
        hummocks_deg=float(random.uniform(3, 11)),
        ponds=float(random.uniform(0, 0.06)),
        ridge_m=float(random.uniform(0, 35)),
    )


def _draw_land(random: np.random.Generator, *, winter: bool) -> Land:
    names = random.choice(ROCKS, size=int(random.integers(2, 4)), replace=False).tolist()
    bright = np.exp(random.normal(0, 0.2))
    # What lies side by side comes from the same rock, more or less.
    mean = np.mean([spectrum(name) for name in names], axis=0, dtype=np.float32)
    rocks = {
        name: varied(
            bright * (0.4 * mean + 0.6 * spectrum(name)),
            random,
            brightness=0.1,
            tilt=0.05,
            bend=0.03,
        )
        for name in names
    }
    dry = random.random()
    green = dry * spectrum("steppe") + (1 - dry) * spectrum("meadow")
    turbid = random.random()
    water = turbid * spectrum("milky lake") + (1 - turbid) * spectrum("clear lake")
    bare = random.random() < 0.25
    green_m = float(random.uniform(3000, 4000) if bare else random.uniform(350, 1300))
    return Land(
        rocks=rocks,
        green_m=green_m,
        green=varied(green.astype(np.float32), random, brightness=0.2, tilt=0.03, bend=0.04),
        forest_m=green_m + float(random.uniform(150, 700)),
        bare_m=float(random.uniform(60, 700)),
        rough_deg=float(random.uniform(8, 20)),
        texture=float(random.uniform(0.06, 0.18)),
        gullies=float(random.uniform(0.1, 0.8)),
        gravel=float(random.uniform(0.2, 1.0)),
        lakes=float(random.uniform(0, 0.5)),
        lake=varied(water.astype(np.float32), random, brightness=0.2, tilt=0.0, bend=0.05),
        lake_ice=bool(random.random() < (0.9 if winter else 0.1)),
    )
