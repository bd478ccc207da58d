from dataclasses import replace

import numpy as np
import pytest

from glacierx.simulate.ground import Ground, Scale, draw_tongues
from glacierx.simulate.relief import Relief, draw_texture
from glacierx.simulate.spectra import SPECTRA, spectrum
from glacierx.simulate.weather import Debris, Land, Snow, Weather

GSD_M = 20.0
SHAPE = (240, 200)
ELA_M = 3000.0


def valley(deg=14.0):
    """A plane that falls to the south from 3600 m, with a glacier in its middle columns."""
    rows = np.indices(SHAPE)[0]
    heights = (3600 - rows * GSD_M * np.tan(np.radians(deg))).astype(np.float32)
    glacier = np.zeros(SHAPE, np.int64)
    glacier[20:200, 70:130] = 1
    return Relief(heights, glacier, GSD_M, np.full(SHAPE, ELA_M, np.float32), 90.0)


def ground_of(relief, weather, seed=0):
    texture = draw_texture(relief, np.random.default_rng(seed))
    no_lake = np.zeros(relief.heights.shape, bool)
    above = (relief.heights - relief.ela).astype(np.float32)
    random = np.random.default_rng(seed)
    scale = Scale(draw_tongues(above, relief.glacier, weather.debris, random))
    return Ground(relief, texture, relief.heights, no_lake, weather, scale)


NO_DEBRIS = Debris(share=0, moraines=0)
SNOWY = Weather(snow=Snow(line_m=-2500, patches=0), debris=NO_DEBRIS)
BARE = Weather(snow=Snow(line_m=3000, patches=0), debris=NO_DEBRIS)


def test_snow_covers_all_gentle_ground_above_its_line_and_none_without():
    relief = valley()
    land = relief.glacier == 0
    assert ground_of(relief, SNOWY).cover().opacity["fresh snow"][land].mean() > 0.95
    assert ground_of(relief, BARE).cover().opacity["fresh snow"].max() == 0


def test_snow_ends_at_its_line():
    weather = Weather(snow=Snow(line_m=0, patches=0, blend_m=60, drift_m=20), debris=NO_DEBRIS)
    relief = valley()
    snow = ground_of(relief, weather).cover().opacity["fresh snow"]
    land = relief.glacier == 0
    above = relief.heights - ELA_M
    assert snow[land & (above > 150)].mean() > 0.9
    assert snow[land & (above < -150)].mean() < 0.02
    edge = snow[land & (np.abs(above) < 30)]
    assert 0.2 < edge.mean() < 0.8
    assert edge.std() > 0.15  # patchy, not a ramp


def test_steep_rock_stays_bare_under_snow():
    steep = valley(deg=62)
    land = steep.glacier == 0
    snow = replace(SNOWY.snow, line_m=-9000, holds_deg=45)
    cover = ground_of(steep, replace(SNOWY, snow=snow)).cover()
    assert cover.opacity["fresh snow"][land].mean() < 0.1


def test_avalanches_leave_snow_in_hollows_below_walls_only():
    rows = np.indices(SHAPE)[0]
    # A wall of 55 degrees over a slope of 15, all below the snow line.
    wall = np.where(rows < 60, (60 - rows) * np.tan(np.radians(55)), 0)
    heights = 2500 + GSD_M * (wall - np.maximum(rows - 60, 0) * np.tan(np.radians(15)))
    relief = Relief(heights.astype(np.float32), np.zeros(SHAPE, np.int64), GSD_M,
                    np.full(SHAPE, ELA_M, np.float32), 90.0)  # fmt: skip
    snow = Snow(line_m=600, avalanches_m=2000, patches=0, blend_m=100)
    cover = ground_of(relief, Weather(snow=snow)).cover().opacity["fresh snow"]
    assert cover[60:66].mean() > 0.15
    assert cover[120:].mean() < 0.01


def test_ice_has_firn_above_the_line_and_is_bare_below():
    relief = valley()
    cover = ground_of(relief, BARE).cover()
    ice, above = relief.glacier > 0, relief.heights - ELA_M
    assert cover.opacity["snow"][ice & (above > 350)].min() > 0.9
    assert cover.opacity["firn"][ice & (above < -350)].max() < 0.1
    assert cover.opacity["ice"][ice].min() == 1
    for name in ("ice", "firn", "snow", "debris"):
        assert cover.opacity[name][~ice].max() == 0, name


def test_debris_lies_on_the_low_ice_only():
    relief = valley()
    debris = Debris(share=1, reach=(0.6, 0.6), moraines=0)
    ground = ground_of(relief, replace(BARE, debris=debris))
    ice = relief.glacier > 0
    assert ground.debris[~ice].max() == 0
    assert ground.debris[185:199, 80:120].mean() > 0.95
    # The tongue ends at row 199, the ELA is at row 120; 0.6 of the way up is row 152.
    assert ground.debris[20:130][ice[20:130]].mean() < 0.05


def test_no_glacier_has_debris_where_none_is_drawn():
    assert ground_of(valley(), BARE).debris.max() == 0
    bare = replace(valley(), glacier=np.zeros(SHAPE, np.int64))
    assert ground_of(bare, BARE).debris.max() == 0


def test_medial_moraines_are_stripes_along_the_flow():
    debris = Debris(share=0, moraines=0.2)
    stripes = ground_of(valley(), replace(BARE, debris=debris)).debris[130:195, 72:128]
    assert 0.005 < stripes.mean() < 0.6
    down, across = (np.abs(np.diff(stripes, axis=axis)).mean() for axis in (0, 1))
    assert across > 1.5 * down


def test_debris_is_as_bright_as_the_rock_around_it():
    relief = valley()
    debris = Debris(share=1, reach=(1.2, 1.2), moraines=0, brightness=1, damp=0)
    cover = ground_of(relief, replace(BARE, debris=debris)).cover()
    albedo = cover.albedo()
    on_ice = (cover.opacity["debris"] > 0.99) & (relief.heights < ELA_M - 200)
    rock = (relief.glacier == 0) & (cover.opacity["meadow"] < 0.01)
    ratio = albedo[:, on_ice].mean(axis=1) / albedo[:, rock].mean(axis=1)
    # The rock is a mixture of two kinds, whose shares on and off the ice are not the same.
    assert ratio == pytest.approx(np.ones(6), abs=0.25)
    damp = replace(debris, damp=0.25)
    darker = ground_of(relief, replace(BARE, debris=damp)).cover().albedo()
    change = darker[:, on_ice].mean(axis=1) / albedo[:, on_ice].mean(axis=1)
    assert change[4] < 0.85 < 1 < change[0]


def test_plants_end_at_their_limit_and_keep_from_the_ice():
    relief = valley()
    weather = replace(BARE, land=Land(green_m=100, forest_m=250, gravel=0))
    cover = ground_of(relief, weather).cover()
    above = relief.heights - ELA_M
    green = cover.opacity["meadow"]
    assert green[above > 250].max() < 0.05
    assert green[(above < -350) & (np.indices(SHAPE)[1] < 30)].mean() > 0.9
    assert green[(above < -350) & (relief.glacier == 0)][:].max() > green[150, 132]
    assert cover.opacity["forest"][above > -100].mean() < 0.02


def test_dirt_darkens_the_lower_ice():
    relief = valley()
    low = (relief.glacier > 0) & (relief.heights < ELA_M - 200)
    clean, dirty = (
        ground_of(relief, replace(BARE, snow=replace(BARE.snow, dirt=dirt))).cover().albedo()
        for dirt in (0.0, 1.0)
    )
    assert dirty[1, low].mean() < 0.85 * clean[1, low].mean()


def test_pure_snow_has_its_spectrum():
    relief = valley()
    snow = replace(SNOWY.snow, fresh=0.5)
    albedo = ground_of(relief, replace(SNOWY, snow=snow)).cover().albedo()
    seen = albedo[:, :60, :60].mean(axis=(1, 2))
    np.testing.assert_allclose(seen[:4], spectrum("snow")[:4], rtol=0.05)
    assert seen[4] < 0.1


def test_masks_name_what_covers_most():
    relief = valley()
    masks = ground_of(relief, BARE).cover().masks()
    assert np.sum(list(masks.values()), axis=0).max() == 1
    assert masks["snow"][30:60, 80:120].all()
    assert (masks["ice"] | masks["firn"])[170:198, 75:125].all()
    assert not (masks["ice"] & (relief.glacier == 0)).any()
    assert set(masks) - {"snow patch", "fresh snow"} >= {"gneiss", "schist", "meadow", "debris"}


def test_flat_ground_is_gravel_where_there_is_any():
    relief = valley(deg=0.5)
    weather = replace(BARE, land=Land(gravel=0.8))
    assert ground_of(relief, weather).cover().opacity["gravel"][:, :40].mean() > 0.6
    assert "gravel" not in ground_of(relief, BARE).cover().opacity


def test_names_of_rocks_are_those_of_the_table():
    assert set(Land().rocks) <= set(SPECTRA)
