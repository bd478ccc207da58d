"""How a sensor records what it sees: blur, noise, stripes, gain, saturation, whole numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.errors import OptionError
from glacierx.scene.sensors import Band, Sensor
from glacierx.simulate.fields import cropped
from glacierx.simulate.light import blurred
from glacierx.simulate.rendering import View
from glacierx.simulate.spectra import ROLES
from glacierx.simulate.weather import Weather

Floats = NDArray[np.float32]

THERMAL = "tir1"
FEWEST_BANDS = 3
SCALE = 1e-4
STRIPE = 0.003

# Reflectance times the sine of the sun's elevation at which the 8-bit bands are full, in the order
# of `ROLES`: pi LMAX / ESUN of Chander et al. (2009, doi:10.1016/j.rse.2009.01.007), tables 3, 4.
FULL_TM = (0.306, 0.638, 0.540, 0.673, 0.431, 0.621)
FULL_ETM_LOW = (0.462, 0.522, 0.480, 0.729, 0.648, 0.612)
FULL_ETM_HIGH = (0.301, 0.341, 0.313, 0.476, 0.423, 0.400)
EIGHT_BIT = 255.0
FULL_KELVIN = 200.0, 0.45
MOST_LANDSAT = 65454.0
# Landsat Collection 2 stores surface temperature so.
LANDSAT_KELVIN = 149.0, 0.00341802


@dataclass(frozen=True)
class Part:
    """Where a part lies.

    Attributes:
        inner: The part as a window of its view, which is larger.
        left: Its first column in the scene.
    """

    inner: Window
    left: int

    @classmethod
    def whole(cls, shape: tuple[int, ...]) -> "Part":
        """Return the part that is all of a view."""
        return cls(Window(0, 0, shape[1], shape[0]), 0)


@dataclass(frozen=True)
class Recording:
    """What a sensor delivers: value = scale x number + offset.

    Attributes:
        numbers: Stored numbers (bands, rows, columns); 0 means no data.
        roles: Role of each band.
        scales: Scale of each band.
        offsets: Offset of each band.
    """

    numbers: NDArray[np.uint8] | NDArray[np.uint16]
    roles: tuple[str, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]

    @property
    def units(self) -> tuple[str, ...]:
        """Unit of each band."""
        return units_of(self.roles)


def units_of(roles: Sequence[str]) -> tuple[str, ...]:
    """Return the unit of each band."""
    return tuple("kelvin" if role == THERMAL else "reflectance" for role in roles)


@dataclass(frozen=True)
class Store:
    """How a band is stored.

    Attributes:
        scale: Value of a step.
        offset: Value of 0.
        top: Number that stands for all that is brighter.
    """

    scale: float
    offset: float
    top: float


@dataclass(frozen=True)
class Detector:
    """A sensor as it is while it takes a scene.

    Attributes:
        bands: Its bands that are rendered.
        stores: How each is stored.
        sharp: Standard deviation of its blur in pixels.
        noise: That of its noise, in reflectance.
        gains: Gain of each column of the scene (bands, columns); if None, drawn with the noise.
    """

    bands: tuple[Band, ...]
    stores: tuple[Store, ...]
    sharp: float
    noise: float
    gains: Floats | None


def recorded_bands(sensor: Sensor) -> tuple[Band, ...]:
    """Return the bands of a sensor that are rendered.

    Raises:
        OptionError: They are fewer than three, as those of a radar are.
    """
    bands = tuple(band for band in sensor.bands if band.role in (*ROLES, THERMAL))
    if sum(band.role in ROLES for band in bands) < FEWEST_BANDS:
        raise OptionError(
            f"--sensor {sensor.name} has fewer than {FEWEST_BANDS} bands that are simulated: "
            f"{', '.join(ROLES)}. Choose another."
        )
    return bands


def sensor_gsd(sensor: Sensor) -> float:
    """Return the GSD of a sensor's finest rendered band in metres."""
    return min(band.gsd_m for band in recorded_bands(sensor))


def record(view: View, sensor: Sensor, gsd_m: float, random: np.random.Generator) -> Recording:
    """Record a view as a sensor would.

    Args:
        view: What is to be seen.
        sensor: The sensor.
        gsd_m: Side of a pixel of the view.
        random: Source of randomness.
    """
    detector = draw_detector(sensor, view.weather, random)
    return record_part(view, detector, gsd_m, random, Part.whole(view.heights.shape))


def draw_detector(
    sensor: Sensor, weather: Weather, random: np.random.Generator, columns: int | None = None
) -> Detector:
    """Draw how a sensor is while it takes a scene.

    Args:
        sensor: The sensor.
        weather: The scene's sun.
        random: Source of randomness.
        columns: Columns of a scene that is recorded in parts, which share their gains.
    """
    bands = recorded_bands(sensor)
    stores = tuple(_stores(sensor, weather, random))
    sharp, noise = random.uniform(0.4, 0.6), random.uniform(0.0005, 0.004)
    gains = None
    if columns is not None:
        gains = np.stack([_gain(band, columns, random) for band in bands])
    return Detector(bands, stores, sharp, noise, gains)


def record_part(
    view: View, detector: Detector, gsd_m: float, random: np.random.Generator, part: Part
) -> Recording:
    """Record a part of a scene.

    Args:
        view: What is to be seen, and what lies around it.
        detector: The sensor.
        gsd_m: Side of a pixel of the view.
        random: Source of randomness, of the part's own if there are several.
        part: The part of the view.
    """
    kind = np.uint8 if detector.stores[0].top == EIGHT_BIT else np.uint16
    numbers = np.empty((len(detector.bands), part.inner.height, part.inner.width), kind)
    for index, (band, store) in enumerate(zip(detector.bands, detector.stores, strict=True)):
        warm = band.role == THERMAL
        seen = view.kelvin if warm else view.band(band.role)
        seen = blurred(seen, detector.sharp * max(1.0, band.gsd_m / gsd_m))
        seen = cropped(seen, part.inner)
        noise = 0.3 if warm else detector.noise
        rough = noise * random.standard_normal(seen.shape, np.float32)
        if detector.gains is None:
            gain = _gain(band, seen.shape[1], random)
        else:
            gain = detector.gains[index, part.left : part.left + part.inner.width]
        seen = seen * gain + rough * (1 + 1.5 * np.sqrt(np.abs(seen)).clip(0, 1))
        numbers[index] = np.rint((seen - store.offset) / store.scale).clip(1, store.top)
    return Recording(
        numbers,
        tuple(band.role for band in detector.bands),
        tuple(store.scale for store in detector.stores),
        tuple(store.offset for store in detector.stores),
    )


def record_reflectance(view: View, random: np.random.Generator, part: Part) -> Recording:
    """Store reflectance times 10,000 in all bands, with a little noise; 0 means no data."""
    seen = cropped(view.reflectance, part.inner).copy()
    for band in seen:
        band *= 1 + 0.02 * random.standard_normal(band.shape, np.float32)
        band += 0.003 * random.standard_normal(band.shape, np.float32)
    numbers = np.asarray(np.rint(seen / SCALE).clip(1, 65535), np.uint16)
    return Recording(numbers, ROLES, (SCALE,) * len(ROLES), (0.0,) * len(ROLES))


def _gain(band: Band, columns: int, random: np.random.Generator) -> Floats:
    """Draw each detector's own gain along its column."""
    stripe = STRIPE / (10 if band.role == THERMAL else 1)
    return np.asarray(
        1 + stripe * random.uniform() * random.standard_normal(columns, np.float32), np.float32
    )


def _stores(sensor: Sensor, weather: Weather, random: np.random.Generator) -> list[Store]:
    """Choose gains and a processing level; the thermal band has its own."""
    bands = recorded_bands(sensor)
    low_sun = float(np.sin(np.radians(weather.sun.elevation_deg)))
    if sensor.name in ("landsat-5", "landsat-7"):
        full = FULL_TM
        if sensor.name == "landsat-7":
            full = FULL_ETM_LOW if random.random() < 0.5 else FULL_ETM_HIGH
        return [
            Store(FULL_KELVIN[1], FULL_KELVIN[0], EIGHT_BIT)
            if band.role == THERMAL
            else Store(full[ROLES.index(band.role)] / low_sun / EIGHT_BIT, 0.0, EIGHT_BIT)
            for band in bands
        ]
    scale, offset, top = 1e-4, 0.0, 65535.0
    if sensor.levels:
        level = sensor.levels[int(random.integers(len(sensor.levels)))]
        scale, offset = level.scale, level.offset
        if "without sun-angle" in level.unit:
            scale, offset = scale / low_sun, offset / low_sun
    if sensor.name.startswith("landsat"):
        top = MOST_LANDSAT
    kelvin = (
        Store(LANDSAT_KELVIN[1], LANDSAT_KELVIN[0], 65535)
        if sensor.name.startswith("landsat")
        else Store(0.1, 0.0, 65535)
    )
    return [kelvin if band.role == THERMAL else Store(scale, offset, top) for band in bands]
