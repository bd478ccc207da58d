import numpy as np
import pytest
from factories import disc, utm_grid, write_tif

from glacierx.predict.normalise import Normalisation
from glacierx.predict.sample import fit_normaliser, sample_scene
from glacierx.scene.scene import open_scene


@pytest.fixture
def open_values(tmp_path):
    def make(values, **arguments):
        values = np.asarray(values)
        roles = ("green", "nir", "red")[: len(values)]
        path = write_tif(tmp_path / "s.tif", values, utm_grid(values.shape[1:]), descriptions=roles)
        return open_scene(path, **arguments)

    return make


def test_a_patch_is_scaled_by_all_its_bands_together():
    normaliser = fit_normaliser(Normalisation("joint-minmax-patch"), None_scene(), ("green", "nir"))
    values = np.array([[[10.0, 20.0]], [[30.0, 50.0]]], np.float32)
    out = normaliser(values, np.ones((1, 2), bool))
    assert np.allclose(out, [[[0, 0.25]], [[0.5, 1.0]]])
    # Without its darkest pixel the patch is stretched anew: the same pixel, another input.
    cut = normaliser(values, np.array([[False, True]]))
    assert np.allclose(cut, [[[0, 0.0]], [[0, 1.0]]])


class None_scene:  # noqa: N801
    available = ("green", "nir")


def test_percentiles_of_the_scene_are_the_same_for_every_patch(open_values):
    values = np.stack([np.tile(np.arange(1000), (1000, 1)), np.full((1000, 1000), 7)])
    with open_values(values.astype("uint16")) as scene:
        normaliser = fit_normaliser(Normalisation(low=2, high=98), scene, ("green", "nir"))
        again = fit_normaliser(Normalisation(low=2, high=98), scene, ("green", "nir"))
    # The sample covers every column of this scene alike, so percentiles are those of 0..999.
    assert normaliser.shift[0] == pytest.approx(20, abs=2)
    assert normaliser.scale[0] == pytest.approx(959, abs=4)
    assert np.array_equal(normaliser.shift, again.shift)
    whole = normaliser(values.astype(np.float32), np.ones((1000, 1000), bool))
    part = normaliser(values[:, :50, 100:150].astype(np.float32), np.ones((50, 50), bool))
    assert np.array_equal(whole[:, :50, 100:150], part)
    assert whole.min() >= -0.5
    assert whole.max() <= 1.5


def test_nodata_does_not_move_the_percentiles(open_values):
    values = np.tile(np.arange(1, 201), (200, 1)).astype("float32")[None]
    holed = values.copy()
    holed[:, 50:150] = np.nan
    with open_values(values) as scene:
        full = fit_normaliser(Normalisation(), scene, ("green",))
    with open_values(holed) as scene:
        part = fit_normaliser(Normalisation(), scene, ("green",))
    assert np.allclose(full.shift, part.shift)


def test_a_scene_without_valid_pixels_does_not_fail(open_values):
    with open_values(np.full((1, 20, 20), np.nan, "float32")) as scene:
        normaliser = fit_normaliser(Normalisation(), scene, ("green",))
    assert not normaliser(np.zeros((1, 4, 4), np.float32), np.zeros((4, 4), bool)).any()


def test_fixed_values_leave_out_absent_roles():
    how = Normalisation("fixed", mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 4.0))
    normaliser = fit_normaliser(how, None_scene(), ("green", "swir1", "nir"))
    out = normaliser(np.full((2, 1, 1), 7, np.float32), np.ones((1, 1), bool))
    assert out.ravel().tolist() == [6.0, 1.0]


@pytest.mark.parametrize("kind", ["joint-minmax-patch", "percentile-scene", "fixed"])
@pytest.mark.parametrize("collar", [0, -9999, 65535, np.nan])
def test_invalid_pixels_become_zero_whatever_they_held(open_values, kind, collar):
    how = Normalisation(kind, mean=(0.5,), std=(0.1,)) if kind == "fixed" else Normalisation(kind)
    values = np.random.default_rng(0).random((1, 64, 64)).astype(np.float32)
    with open_values(values) as scene:
        normaliser = fit_normaliser(how, scene, ("green",))
    valid = np.ones((64, 64), bool)
    valid[:, :10] = False
    collared = np.where(valid, values, collar).astype(np.float32)
    plain = np.where(valid, values, 0).astype(np.float32)
    assert np.array_equal(normaliser(collared, valid), normaliser(plain, valid))
    assert not normaliser(collared, valid)[0][~valid].any()


@pytest.mark.parametrize("shape", [(1, 1), (100, 3000), (128, 128), (130, 300), (5000, 40)])
def test_a_sample_is_bounded_and_takes_no_pixel_twice(tmp_path, shape):
    values = np.arange(shape[0] * shape[1], dtype="uint32").reshape(1, *shape)
    path = write_tif(tmp_path / "s.tif", values, utm_grid(shape), descriptions=("green",))
    with open_scene(path) as scene:
        [sample] = sample_scene(scene, ["green"])
    assert len(np.unique(sample)) == len(sample)  # 200,000 whole numbers are exact in float32
    assert len(sample) == min(shape[0], 16 * 128) * min(shape[1], 16 * 128)


def test_a_sample_holds_valid_pixels_only(make_scene):
    mask = disc((60, 60), (30, 30), 20)
    with open_scene(make_scene(mask), aoi=None) as scene:
        assert sample_scene(scene, ["green", "nir"]).shape == (2, 3600)


def test_elevation_of_a_dem_is_scaled_by_the_range_in_the_scene(make_scene, make_dem):
    mask = disc((60, 60), (30, 30), 20)
    # A DEM of a larger area: 3000 to 3590 m within the scene, less and more beyond it.
    wide = utm_grid((60, 180), corner=(599_400, 5_200_000))
    heights = 2400 + 10.0 * np.arange(180)[None, :].repeat(60, axis=0)
    with open_scene(make_scene(mask), dem=make_dem(heights, wide)) as scene:
        roles = ("green", "tir1", "elevation")
        normaliser = fit_normaliser(Normalisation(low=0, high=100), scene, roles)
        raster = scene.read(scene.grid.window, ("green", "elevation"))
    assert normaliser.shift[1] == pytest.approx(3000, abs=0.01)
    assert normaliser.scale[1] == pytest.approx(590, abs=0.01)
    scaled = normaliser(raster.values, raster.valid)[1]
    assert np.allclose(scaled, np.arange(60) / 59, atol=1e-4)


def test_bands_of_a_scene_scaled_together_keep_their_ratios(tmp_path):
    grid = utm_grid((40, 40))
    random = np.random.default_rng(0)
    green = random.uniform(1000, 2000, (40, 40))
    planes = np.stack([green, green / 4, np.full((40, 40), 22.5), random.uniform(0, 1, (40, 40))])
    names = ("green", "swir1", "slope", "tir1")
    path = write_tif(tmp_path / "s.tif", planes.astype(np.float32), grid, descriptions=names)
    with open_scene(path) as scene:
        normalise = fit_normaliser(Normalisation("spectral-scene", 0, 100), scene, names)
        raster = scene.read(grid.window, names)
    scaled = normalise(raster.values, raster.valid)
    # The darkest of both bands is 0, the brightest 1, and one line leads from number to number.
    low, high = planes[:2].min(), planes[:2].max()
    np.testing.assert_allclose(scaled[:2], (planes[:2] - low) / (high - low), atol=1e-5)
    assert np.all(scaled[2] == 0.5)
    assert scaled[3].min() == pytest.approx(0, abs=1e-6)
    assert scaled[3].max() == pytest.approx(1, abs=1e-6)
