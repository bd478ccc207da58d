import json

import numpy as np

from glacierx.simulate.weather import Sun, Weather, draw_weather


def drawn(count=400, **arguments):
    random = np.random.default_rng(1)
    return [draw_weather(random, **arguments) for _ in range(count)]


def test_the_same_seed_draws_the_same_weather():
    one, other = (draw_weather(np.random.default_rng(3)).as_record() for _ in range(2))
    assert one == other
    assert draw_weather(np.random.default_rng(4)).as_record() != one


def test_a_record_of_the_weather_is_plain():
    record = draw_weather(np.random.default_rng(3)).as_record()
    assert json.loads(json.dumps(record))["sun"].keys() == {"azimuth_deg", "elevation_deg"}
    assert len(record["land"]["green"]) == 6
    assert all(len(values) == 6 for values in record["land"]["rocks"].values())


def test_a_fine_day_is_the_default():
    assert Weather().sun == Sun(150, 48)
    assert Weather().air.haze == Weather().air.cloud == 0


def test_the_sun_stands_where_it_can():
    suns = [weather.sun for weather in drawn()]
    heights = np.array([sun.elevation_deg for sun in suns])
    assert heights.min() >= 22
    assert heights.max() <= 68
    assert np.ptp(heights) > 35
    azimuths = np.array([sun.azimuth_deg for sun in suns])
    assert ((azimuths >= 0) & (azimuths < 360)).all()
    assert np.median(azimuths) > 100  # a morning in the north, most of the time
    south = np.array([weather.sun.azimuth_deg for weather in drawn(southern=True)])
    assert np.mean((south < 90) | (south > 270)) > 0.6


def test_seasons_go_from_no_snow_to_snow_everywhere():
    lines = np.array([weather.snow.line_m for weather in drawn()])
    assert (lines < -1000).mean() > 0.05
    assert (lines > 300).mean() > 0.15
    assert ((lines > -600) & (lines < 0)).mean() > 0.2


def test_debris_is_about_as_bright_as_rock():
    bright = np.array([weather.debris.brightness for weather in drawn()])
    assert 0.8 < np.median(bright) < 1.1
    for weather in drawn(50):
        low, high = weather.debris.reach
        assert low <= high


def test_lakes_freeze_in_winter():
    weathers = drawn()
    winter = [weather.land.lake_ice for weather in weathers if weather.snow.line_m < -600]
    summer = [weather.land.lake_ice for weather in weathers if weather.snow.line_m > 0]
    assert np.mean(winter) > 0.7
    assert np.mean(summer) < 0.3
