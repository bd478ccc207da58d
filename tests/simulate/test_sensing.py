import numpy as np
import pytest

from glacierx.errors import OptionError
from glacierx.scene.sensors import SENSORS, Band, Sensor, find_sensor
from glacierx.simulate.ground import Cover
from glacierx.simulate.rendering import View
from glacierx.simulate.sensing import record, recorded_bands, sensor_gsd
from glacierx.simulate.spectra import ROLES, spectrum
from glacierx.simulate.weather import Sun, Weather

SHAPE = (64, 96)
SNOW, ROCK = (slice(None), slice(0, 40)), (slice(None), slice(56, 96))


def view_of(sun=Sun(150, 48)):
    """Snow on the left, rock on the right."""
    seen = np.empty((len(ROLES), *SHAPE), np.float32)
    seen[:] = spectrum("gneiss")[:, None, None]
    seen[:, :, :48] = spectrum("snow")[:, None, None]
    kelvin = np.full(SHAPE, 290, np.float32)
    kelvin[:, :48] = 270
    heights, glacier = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.int64)
    return View(heights, glacier, Cover({}, {}, {}), seen, kelvin, Weather(sun=sun))


def taken(name, seed=0, gsd_m=None, view=None):
    sensor = find_sensor(name)
    return record(
        view or view_of(), sensor, gsd_m or sensor_gsd(sensor), np.random.default_rng(seed)
    )


@pytest.mark.parametrize("name", SENSORS)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_sensor_of_the_table_gives_its_bands(name, seed):
    recording = taken(name, seed)
    sensor = SENSORS[name]
    wanted = [band.role for band in sensor.bands if band.role in (*ROLES, "tir1")]
    assert list(recording.roles) == wanted
    assert len(wanted) >= 4 or name == "aster"
    assert recording.numbers.shape == (len(wanted), *SHAPE)
    assert recording.numbers.dtype == (
        np.uint8 if name in ("landsat-5", "landsat-7") else np.uint16
    )
    assert recording.numbers.min() >= 1  # 0 means no data
    for band, role in enumerate(recording.roles):
        value = recording.numbers[band][ROCK].mean() * recording.scales[band]
        value += recording.offsets[band]
        true = 290 if role == "tir1" else spectrum("gneiss")[ROLES.index(role)]
        # Whole numbers of a half degree or 0.2 % of reflectance, stripes and noise.
        assert value == pytest.approx(true, rel=0.03), role


@pytest.mark.parametrize("name", ["landsat-7", "landsat-5"])
def test_snow_saturates_the_eight_bit_landsats_in_the_visible(name):
    recording = taken(name, view=view_of(Sun(150, 60)))
    # 0.9 sin 60 = 0.78 is above what blue, green and red of either can hold, and 0.1 is not above
    # what SWIR1 can.
    for role in ("blue", "green", "red"):
        band = recording.numbers[recording.roles.index(role)]
        assert np.median(band[SNOW]) == 255, role
        assert band[ROCK].max() < 255
    assert recording.numbers[recording.roles.index("swir1")].max() < 255


def test_the_eight_bit_landsats_saturate_less_under_a_low_sun():
    high, low = (taken("landsat-7", view=view_of(Sun(150, sun))).numbers[0] for sun in (60, 15))
    assert (high[SNOW] == 255).mean() > 0.99
    assert (low[SNOW] == 255).mean() < 0.01


def test_landsat_8_has_the_numbers_of_one_of_its_levels():
    levels = set()
    for seed in range(8):
        recording = taken("landsat-8", seed)
        blue = recording.roles.index("blue")
        levels.add(recording.offsets[blue] == pytest.approx(-0.2))
        assert recording.numbers[blue][SNOW].mean() > 30_000
        assert recording.numbers.max() <= 65_535
    assert levels == {True, False}
    # Level 1 is not corrected for the sun's elevation; the scale in the file is.
    level_1 = next(r for r in (taken("landsat-8", s) for s in range(8)) if r.offsets[0] != -0.2)
    assert level_1.scales[0] == pytest.approx(2e-5 / np.sin(np.radians(48)))


def test_sentinel_2_is_reflectance_times_10000_with_or_without_1000():
    for seed in range(6):
        recording = taken("sentinel-2", seed)
        assert set(recording.scales) == {1e-4}
        assert set(recording.offsets) <= {0.0, -0.1}


def edge_width(band):
    """Columns over which a band goes from snow to rock."""
    line = band.astype(float).mean(axis=0)
    share = (line - line[-20:].mean()) / (line[:20].mean() - line[-20:].mean())
    return int(((share > 0.1) & (share < 0.9)).sum())


def test_coarse_bands_are_blurred():
    recording = taken("sentinel-2")  # 10 m in the visible, 20 m in the shortwave infrared
    assert edge_width(recording.numbers[0]) < edge_width(recording.numbers[4])
    landsat = taken("landsat-8")  # 30 m, but 100 m in the thermal
    assert edge_width(landsat.numbers[-1]) > 2 * edge_width(landsat.numbers[0])
    # A scene of coarser pixels than the band's own is not blurred further.
    wide = taken("sentinel-2", gsd_m=40.0)
    assert edge_width(wide.numbers[4]) <= edge_width(wide.numbers[0]) + 1


def test_noise_is_small_and_differs_by_seed():
    one, other = (taken("sentinel-2", seed).numbers[2][ROCK].astype(float) for seed in (0, 1))
    assert 0 < one.std() < 0.1 * one.mean()
    assert not np.array_equal(one, other)
    again = taken("sentinel-2", 0).numbers[2][ROCK]
    np.testing.assert_array_equal(one, again)


def test_units_are_said():
    assert taken("landsat-9").units == ("reflectance",) * 6 + ("kelvin",)


def test_a_sensor_of_two_optical_bands_is_refused():
    radar = Sensor("two", (Band("1", "red", 660, 10), Band("2", "nir", 830, 10)))
    with pytest.raises(OptionError, match="two has fewer than 3 bands that are simulated"):
        recorded_bands(radar)


def test_the_gsd_is_that_of_the_finest_band():
    assert sensor_gsd(find_sensor("sentinel2")) == 10
    assert sensor_gsd(find_sensor("LANDSAT 8")) == 30
    assert sensor_gsd(find_sensor("planetscope-4")) == 3
