from dataclasses import replace

import numpy as np
import pytest

from glacierx.simulate.lakes import find_lakes, flood
from glacierx.simulate.relief import HeldTerrain, Relief
from glacierx.simulate.rendering import render_terrain, termini_of
from glacierx.simulate.weather import Air, Debris, Land, Snow, Sun, Weather, draw_weather

SHAPE = (160, 160)
GSD_M = 30.0
ELA_M = 3000.0


def relief():
    """Two ridges with a valley between them, which holds a glacier that ends on a plain."""
    rows, columns = np.indices(SHAPE)
    heights = 3500 - 9.0 * np.minimum(rows, 110) + 12.0 * np.abs(columns - 80)
    glacier = np.zeros(SHAPE, np.int64)
    glacier[10:100, 65:80], glacier[10:100, 80:96] = 1, 2
    return Relief(heights.astype(np.float32), glacier, GSD_M,
                  np.full(SHAPE, ELA_M, np.float32), 90.0)  # fmt: skip


def seen(weather, seed=0, **changes):
    return render_terrain(replace(relief(), **changes), weather, np.random.default_rng(seed))


WINTER = Weather(snow=Snow(line_m=-3000), debris=Debris(share=0))


def test_the_same_seed_renders_the_same_view():
    one, again, other = (seen(draw_weather(np.random.default_rng(7)), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.reflectance, again.reflectance)
    np.testing.assert_array_equal(one.kelvin, again.kelvin)
    assert not np.array_equal(one.reflectance, other.reflectance)


def test_snow_off_the_ice_is_as_white_as_on_it_and_not_in_the_label():
    view = seen(WINTER)
    off = view.glacier == 0
    green, swir = view.reflectance[1], view.reflectance[4]
    ndsi = (green - swir) / (green + swir)
    assert (ndsi[off] > 0.4).mean() > 0.8
    assert (ndsi[~off] > 0.4).mean() > 0.95
    np.testing.assert_array_equal(view.glacier, relief().glacier)


def test_debris_hides_ice_from_ndsi():
    weather = Weather(debris=Debris(share=1, reach=(0.9, 0.9)), snow=Snow(line_m=3000))
    view = seen(weather)
    tongue = (slice(88, 99), slice(67, 94))
    green, swir = view.reflectance[1][tongue], view.reflectance[4][tongue]
    assert (view.glacier[tongue] > 0).all()
    assert ((green - swir) / (green + swir) < 0.1).mean() > 0.9


def test_what_is_frozen_is_cold_and_sunlit_rock_is_warm():
    weather = Weather(air=Air(freezing_m=1500), snow=Snow(line_m=3000), land=Land(lakes=0))
    view = seen(replace(weather, debris=Debris(share=1, reach=(0.5, 0.5))))
    white = view.surface["ice"] | view.surface["snow"] | view.surface["firn"]
    debris, rock = view.surface["debris"], view.surface["gneiss"] | view.surface["schist"]
    assert view.kelvin[view.surface["snow"]].max() < 273.2
    assert np.median(view.kelvin[white]) <= 273.16
    assert np.median(view.kelvin[debris]) > 278
    assert np.median(view.kelvin[rock]) > np.median(view.kelvin[white]) + 10
    winter = seen(replace(WINTER, air=Air(freezing_m=-1500)))
    assert np.median(winter.kelvin) < 268


def test_shade_is_cooler():
    weather = Weather(sun=Sun(90, 30), snow=Snow(line_m=3000), land=Land(lakes=0))
    view = seen(weather, glacier=np.zeros(SHAPE, np.int64))
    east, west = view.kelvin[20:90, 5:60], view.kelvin[20:90, 100:155]
    # The western side of the valley faces the sun in the east.
    assert np.median(east) > np.median(west) + 3
    assert np.median(view.reflectance[2, 20:90, 5:60]) > np.median(
        view.reflectance[2, 20:90, 100:155]
    )


@pytest.mark.parametrize("seed", range(6))
def test_any_weather_gives_numbers_that_can_be(seed):
    view = seen(draw_weather(np.random.default_rng(seed)), seed)
    assert np.isfinite(view.reflectance).all()
    assert view.reflectance.min() > -0.25
    assert view.reflectance.max() < 4
    assert view.kelvin.min() > 200
    assert view.kelvin.max() < 345


def test_lakes_are_level_lie_below_glaciers_and_not_on_them():
    terrain = relief()
    # A bowl before the glaciers' ends.
    rows, columns = np.indices(SHAPE)
    bowl = np.hypot(rows - 106, columns - 80)
    heights = terrain.heights - np.maximum(60 - 8 * bowl, 0).astype(np.float32)
    terrain = replace(terrain, heights=heights.astype(np.float32))

    def lakes(share):
        random = np.random.default_rng(0)
        return find_lakes(termini_of(terrain), HeldTerrain(terrain), share, random)

    _, water = flood(terrain.heights, lakes(1.0))
    assert 4 < water.sum() < 2000
    assert not (water & (terrain.glacier > 0)).any()
    assert not lakes(0.0)
    view = render_terrain(terrain, Weather(land=Land(lakes=1)), np.random.default_rng(3))
    lake = view.surface["lake"]
    assert lake.any()
    assert len(np.unique(view.heights[lake])) <= 2
