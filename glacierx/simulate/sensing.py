"""How a sensor records what it sees: blur, noise, stripes, gain, saturation, whole numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glacierx.errors import OptionError
from glacierx.scene.sensors import Band, Sensor
from glacierx.simulate.light import blurred
from glacierx.simulate.rendering import View
from glacierx.simulate.spectra import ROLES

Floats = NDArray[np.float32]

THERMAL = "tir1"
FEWEST_BANDS = 3

# Reflectance times the sine of the sun's elevation at which the 8-bit bands are full, in the order
# of `ROLES`: pi LMAX / ESUN of Chander et al. (2009, doi:10.1016/j.rse.2009.01.007), tables 3, 4.
FULL_TM = (0.306, 0.638, 0.540, 0.673, 0.431, 0.621)
FULL_ETM_LOW = (0.462, 0.522, 0.480, 0.729, 0.648, 0.612)
FULL_ETM_HIGH = (0.301, 0.341, 0.313, 0.476, 0.423, 0.400)
FULL_KELVIN = 200.0, 0.45
MOST_LANDSAT = 65454.0
# Landsat Collection 2 stores surface temperature so.
LANDSAT_KELVIN = 149.0, 0.00341802


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
        return tuple("kelvin" if role == THERMAL else "reflectance" for role in self.roles)


@dataclass(frozen=True)
class _Store:
    """How a band is stored: the top number stands for all that is brighter."""

    scale: float
    offset: float
    top: float


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
    bands = recorded_bands(sensor)
    eight_bit = sensor.name in ("landsat-5", "landsat-7")
    stores = _stores(sensor, view, random)
    kind = np.uint8 if eight_bit else np.uint16
    numbers = np.empty((len(bands), *view.heights.shape), kind)
    sharp, noise, stripe = random.uniform(0.4, 0.6), random.uniform(0.0005, 0.004), 0.003
    for out, band, store in zip(numbers, bands, stores, strict=True):
        warm = band.role == THERMAL
        seen = view.kelvin if warm else view.reflectance[ROLES.index(band.role)]
        seen = blurred(seen, sharp * max(1.0, band.gsd_m / gsd_m))
        seen = _disturbed(seen, 0.3 if warm else noise, stripe / (10 if warm else 1), random)
        out[:] = np.rint((seen - store.offset) / store.scale).clip(1, store.top)
    return Recording(
        numbers,
        tuple(band.role for band in bands),
        tuple(store.scale for store in stores),
        tuple(store.offset for store in stores),
    )


def _disturbed(seen: Floats, noise: float, stripe: float, random: np.random.Generator) -> Floats:
    """Add the noise of the detector, and each detector's own gain along its columns."""
    rough = noise * random.standard_normal(seen.shape, np.float32)
    gain = 1 + stripe * random.uniform() * random.standard_normal(seen.shape[1], np.float32)
    return np.asarray(
        seen * gain + rough * (1 + 1.5 * np.sqrt(np.abs(seen)).clip(0, 1)), np.float32
    )


def _stores(sensor: Sensor, view: View, random: np.random.Generator) -> list[_Store]:
    """Choose gains and a processing level; the thermal band has its own."""
    bands = recorded_bands(sensor)
    low_sun = float(np.sin(np.radians(view.weather.sun.elevation_deg)))
    if sensor.name in ("landsat-5", "landsat-7"):
        full = FULL_TM
        if sensor.name == "landsat-7":
            full = FULL_ETM_LOW if random.random() < 0.5 else FULL_ETM_HIGH
        return [
            _Store(FULL_KELVIN[1], FULL_KELVIN[0], 255)
            if band.role == THERMAL
            else _Store(full[ROLES.index(band.role)] / low_sun / 255, 0.0, 255)
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
        _Store(LANDSAT_KELVIN[1], LANDSAT_KELVIN[0], 65535)
        if sensor.name.startswith("landsat")
        else _Store(0.1, 0.0, 65535)
    )
    return [kelvin if band.role == THERMAL else _Store(scale, offset, top) for band in bands]
