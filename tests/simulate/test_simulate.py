import numpy as np
import pytest
import rasterio
import shapely
from scipy import ndimage

import glacierx as gx
from glacierx.errors import OptionError, OutputError
from glacierx.options import SimulateOptions
from glacierx.simulate.landscape import fractal, make_landscape
from glacierx.simulate.light import cast_shadow
from glacierx.simulate.simulate import make_view, simulate, true_outlines
from glacierx.simulate.spectra import ROLES, SPECTRA

SMALL = SimulateOptions(size=384, gsd=20, seed=3)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("made"), SMALL)


def test_the_same_seed_makes_the_same_files_and_another_does_not(made, tmp_path):
    again = simulate(tmp_path / "again", SMALL)
    for name in ("scene", "dem", "outlines"):
        assert getattr(made, name).read_bytes() == getattr(again, name).read_bytes()
    other = simulate(tmp_path / "other", SimulateOptions(size=384, gsd=20, seed=4))
    assert other.scene.read_bytes() != made.scene.read_bytes()


def test_the_scene_says_what_it_is(made):
    with gx.open_scene(made.scene, dem=made.dem) as scene:
        assert scene.roles == ROLES
        assert scene.has_reflectance(ROLES)
        raster = scene.read(scene.grid.window)
        assert scene.grid.shape == (384, 384)
        assert scene.dem.read(scene.grid).valid.all()
    assert raster.valid.all()
    assert raster.values.min() > 0
    assert np.percentile(raster.values, 99.9) < 1.6  # slopes that face the sun exceed their albedo
    with rasterio.open(made.scene) as file:
        assert "no satellite saw it" in file.tags()["GLACIERX_MADE"]


def test_true_outlines_are_valid_and_partition_their_complexes(made):
    glaciers = gx.read_outlines(made.outlines)
    complexes = gx.read_outlines(made.outlines, "complexes")
    assert len(glaciers) > len(complexes) > 2
    assert shapely.is_valid(glaciers.geometry).all()
    whole = shapely.union_all(glaciers.geometry)
    assert whole.symmetric_difference(shapely.union_all(complexes.geometry)).area < 1
    assert shapely.area(glaciers.geometry).sum() == pytest.approx(whole.area, rel=1e-9)
    assert any(len(polygon.interiors) for polygon in complexes.geometry)  # nunataks
    assert np.isfinite(glaciers["zmean_m"].astype(float)).all()


def test_ice_looks_like_ice_and_lies_high(made):
    with gx.open_scene(made.scene, dem=made.dem) as scene:
        green, swir = scene.read(scene.grid.window, ["green", "swir1"]).values
        heights = scene.dem.read(scene.grid).values[0]
        from glacierx.demo import burn_labels

        ice = burn_labels(gx.read_outlines(made.outlines), scene.grid) > 0
    ndsi = (green - swir) / (green + swir)
    assert np.median(ndsi[ice]) > 0.6
    assert np.median(ndsi[~ice]) < 0
    assert np.median(heights[ice]) > np.median(heights[~ice]) + 300
    assert 0.05 < ice.mean() < 0.6


def test_true_divides_follow_the_terrain(made):
    # Where two glaciers meet the ground is higher than the mean of what lies to either side.
    with gx.open_scene(made.scene, dem=made.dem) as scene:
        heights = scene.dem.read(scene.grid).values[0].astype(float)
        from glacierx.demo import burn_labels

        label = burn_labels(gx.read_outlines(made.outlines), scene.grid)
    smooth = ndimage.gaussian_filter(heights, 2)
    column = (label[:, :-1] != label[:, 1:]) & (label[:, :-1] > 0) & (label[:, 1:] > 0)
    column[:, :6] = column[:, -6:] = False
    row, at = np.nonzero(column)
    here = smooth[row, at] + smooth[row, at + 1]
    beside = smooth[row, at - 5] + smooth[row, at + 6]
    assert len(row) > 50
    assert (here > beside).mean() > 0.75


def test_every_kind_of_ground_can_occur():
    _, view = make_view(SimulateOptions(size=512, gsd=20, seed=1))
    for name in (
        "gneiss",
        "schist",
        "meadow",
        "snow patch",
        "ice",
        "firn",
        "snow",
        "debris",
        "lake",
    ):
        assert view.surface[name].any(), name
    assert not (view.surface["debris"] & (view.glacier == 0)).any()
    assert not (view.surface["lake"] & (view.glacier > 0)).any()
    assert not (view.surface["snow patch"] & (view.glacier > 0)).any()


def test_a_scene_can_be_made_without_ice(tmp_path):
    made = simulate(tmp_path / "m", SimulateOptions(size=256, gsd=30, seed=2, ice=False))
    assert len(gx.read_outlines(made.outlines)) == 0
    with gx.open_scene(made.scene) as scene:
        for model in ("ndsi", "otsu"):
            with pytest.warns(gx.GlacierxWarning, match="[Nn]o ice found"):
                assert len(gx.extract(scene, model).glaciers) == 0


def test_existing_files_are_kept(made):
    with pytest.raises(OutputError, match=r"scene\.tif exists already"):
        simulate(made.scene.parent, SMALL)


def test_a_scene_too_small_for_mountains_is_refused(tmp_path):
    with pytest.raises(OptionError, match="too small for mountains"):
        simulate(tmp_path / "m", SimulateOptions(size=128, gsd=1))
    with pytest.raises(OptionError, match="--size is 10"):
        SimulateOptions(size=10)


def test_water_runs_downhill_to_the_edge():
    landscape = make_landscape((150, 150), 40.0, np.random.default_rng(1))
    assert landscape.surface.shape == (150, 150)
    assert np.ptp(landscape.surface) > 800
    assert landscape.glacier.max() == len(np.unique(landscape.glacier)) - 1
    assert np.array_equal(landscape.ice, landscape.glacier > 0)


def test_a_fractal_field_is_standardised_and_smoother_with_its_exponent():
    rough, smooth = (fractal((128, 96), r, np.random.default_rng(0)) for r in (0.8, 2.2))
    for field in (rough, smooth):
        assert field.shape == (128, 96)
        assert field.mean() == pytest.approx(0, abs=1e-9)
        assert field.std() == pytest.approx(1)
    assert np.abs(np.diff(smooth)).mean() < 0.5 * np.abs(np.diff(rough)).mean()


def test_a_wall_casts_a_shadow_of_its_height_over_the_suns():
    heights = np.zeros((60, 60), np.float32)
    heights[30] = 100.0  # a wall from west to east; the sun stands at 150 degrees, 48 high
    shadow = cast_shadow(heights, 10.0)
    # It falls to the north-north-west; its depth is 100 cos(30) / tan(48) = 78 m, 7.8 pixels.
    depth = int(shadow[:30, 30].sum())
    assert depth in (7, 8)
    assert not shadow[31:].any()


def test_the_spectra_are_those_of_their_kind():
    def index(a, b, name):
        one, other = (SPECTRA[name][ROLES.index(role)] for role in (a, b))
        return (one - other) / (one + other)

    for name in ("snow", "firn", "ice"):
        assert index("green", "swir1", name) > 0.7
    for name in ("debris", "gneiss", "schist"):
        assert index("green", "swir1", name) < 0
    assert index("nir", "red", "meadow") > 0.6
    assert index("green", "nir", "lake") > 0.5


def test_outlines_of_labels_are_their_pixels():
    from factories import utm_grid

    label = np.zeros((40, 40), np.int64)
    label[5:20, 5:20], label[5:20, 20:30], label[30:35, 30:35] = 1, 2, 3
    complexes, division = true_outlines(label, utm_grid((40, 40)))
    assert sorted(shapely.area(division.glaciers.geometry)) == [2500, 15_000, 22_500]
    assert len(complexes) == 2
    assert division.divides["length_m"].tolist() == [pytest.approx(150, rel=1e-3)]
