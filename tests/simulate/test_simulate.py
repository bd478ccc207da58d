import numpy as np
import pytest
import rasterio
import shapely
from factories import box, utm_grid, write_outlines
from scipy import ndimage

import glacierx as gx
from glacierx.errors import OptionError, OutputError
from glacierx.options import SimulateOptions
from glacierx.scene.vector import read_layer
from glacierx.simulate.landscape import fractal, make_landscape
from glacierx.simulate.simulate import make_view, simulate
from glacierx.simulate.spectra import ROLES
from glacierx.simulate.truth import true_outlines

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


def test_a_gis_shows_the_scene_in_natural_colours(made):
    with rasterio.open(made.scene) as file:
        shown = {kind.name: file.descriptions[at] for at, kind in enumerate(file.colorinterp)}
    assert {name: shown[name] for name in ("red", "green", "blue")} == {
        "red": "red", "green": "green", "blue": "blue",
    }  # fmt: skip


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


def test_outlines_of_labels_are_their_pixels():
    label = np.zeros((40, 40), np.int64)
    label[5:20, 5:20], label[5:20, 20:30], label[30:35, 30:35] = 1, 2, 3
    complexes, division = true_outlines(label, utm_grid((40, 40)))
    assert sorted(shapely.area(division.glaciers.geometry)) == [2500, 15_000, 22_500]
    assert len(complexes) == 2
    assert division.divides["length_m"].tolist() == [pytest.approx(150, rel=1e-3)]


@pytest.fixture
def real(tmp_path, make_dem):
    """A DEM of a valley and an inventory of two glaciers that touch."""
    rows, columns = np.indices((120, 120))
    heights = 3600 - 7.0 * rows + 9.0 * np.abs(columns - 60)
    heights[:, 118:] = -9999
    dem = make_dem(heights, utm_grid((120, 120), 30), nodata=-9999)
    sides = [box((10, 80), (45, 60), 30), box((10, 80), (60, 76), 30)]
    names = np.array(["west", "east"])
    return dem, write_outlines(tmp_path / "inventory.gpkg", sides, glac_id=names)


def rendered(folder, real, **options):
    dem, outlines = real
    return simulate(folder, SimulateOptions(**options), dem=dem, outlines=outlines)


def test_a_real_place_is_rendered_by_its_sensor(tmp_path, real):
    made = rendered(tmp_path / "m", real, sensor="landsat8", seed=5)
    with gx.open_scene(made.scene, dem=made.dem) as scene:
        assert scene.roles == (*ROLES, "tir1")
        assert scene.has_reflectance(ROLES)
        assert scene.grid.shape == (120, 120)
        raster = scene.read(scene.grid.window, [*ROLES, "tir1"])
        np.testing.assert_allclose(
            scene.dem.read(scene.grid).values[0, 40:80, 20:40],
            np.fromfunction(lambda r, c: 3600 - 7 * (r + 40) + 9 * (40 - c), (40, 20)),
            atol=1,
        )
    assert not raster.valid[:, 118:].any()
    assert raster.valid[:, :116].all()
    kelvin = raster.values[-1][:, :116]
    assert 220 < kelvin.min() < kelvin.max() < 330
    with rasterio.open(made.scene) as file:
        assert file.tags()["GLACIERX_MADE"].startswith("rendered: real terrain")
        assert file.dtypes[0] == "uint16"
        assert file.units == ("reflectance",) * 6 + ("kelvin",)


def test_the_given_glaciers_are_the_outlines_with_their_divide(tmp_path, real):
    made = rendered(tmp_path / "m", real, sensor="landsat8")
    glaciers = gx.read_outlines(made.outlines)
    assert sorted(glaciers["ref_id"]) == ["east", "west"]
    pixel_m2 = 900
    assert sorted(shapely.area(glaciers.geometry) / pixel_m2) == [70 * 15, 70 * 16]
    assert len(gx.read_outlines(made.outlines, "complexes")) == 1
    [divide] = read_layer(made.outlines, "divides").geometry
    assert divide.length == pytest.approx(70 * 30)
    assert np.isfinite(glaciers["zmax_m"].astype(float)).all()


def test_the_record_says_what_was_rendered_and_what_was_drawn(tmp_path, real):
    made = rendered(tmp_path / "m", real, sensor="landsat8", seed=9)
    record = gx.read_record(made.outlines)
    assert record["made"]["seed"] == 9
    assert record["made"]["sensor"] == "landsat8"
    assert record["inputs"]["dem"]["name"] == "dem.tif"
    assert len(record["inputs"]["outlines"]["sha256"]) == 64
    assert record["drawn"]["sun"]["elevation_deg"] > 10
    assert str(tmp_path) not in str(record)


def test_a_rendered_place_is_the_same_for_the_same_seed_only(tmp_path, real):
    one, again, other = (
        rendered(tmp_path / name, real, sensor="sentinel-2", gsd=30, seed=seed)
        for name, seed in (("one", 1), ("again", 1), ("other", 2))
    )
    for name in ("scene", "dem", "outlines"):
        assert getattr(one, name).read_bytes() == getattr(again, name).read_bytes()
    assert one.scene.read_bytes() != other.scene.read_bytes()
    shapes = [gx.read_outlines(made.outlines).geometry for made in (one, other)]
    assert shapely.equals(*shapes).all()  # the light differs, not the place


def test_without_a_sensor_a_place_is_reflectance_in_six_bands(tmp_path, real):
    made = rendered(tmp_path / "m", real, gsd=30)
    with gx.open_scene(made.scene) as scene:
        assert scene.roles == ROLES
        assert scene.has_reflectance(ROLES)


def test_a_window_of_a_place_is_as_large_as_asked(tmp_path, real):
    made = rendered(tmp_path / "m", real, gsd=10, size=150, sensor="planetscope-4")
    with gx.open_scene(made.scene) as scene:
        assert scene.grid.shape == (150, 150)
        assert scene.roles == ("blue", "green", "red", "nir")
    assert len(gx.read_outlines(made.outlines)) > 0


def test_made_mountains_vary_by_seed_and_only_if_asked(tmp_path):
    def ground(seed, vary):
        _, view = make_view(SimulateOptions(size=256, gsd=30, seed=seed, vary=vary))
        return view

    plain, varied, other = ground(3, False), ground(3, True), ground(4, True)
    assert plain.weather.sun.azimuth_deg == ground(4, False).weather.sun.azimuth_deg == 150
    assert varied.weather.sun != other.weather.sun
    assert varied.weather.as_record() != other.weather.as_record()
    assert np.isfinite(varied.reflectance).all()
    assert (varied.glacier > 0).any()


def test_mountains_without_glaciers_have_snow_in_some_weathers():
    white = []
    for seed in range(5):
        _, view = make_view(SimulateOptions(size=256, gsd=30, seed=seed, vary=True, ice=False))
        assert not view.glacier.any()
        white.append(view.surface["fresh snow"].mean())
    assert max(white) > 0.3


def test_made_mountains_can_be_seen_by_a_sensor(tmp_path):
    options = SimulateOptions(size=200, sensor="landsat-7", seed=2, vary=True)
    made = simulate(tmp_path / "m", options)
    with rasterio.open(made.scene) as file:
        assert file.dtypes[0] == "uint8"
        assert file.res == (30, 30)
        assert file.descriptions == ("blue", "green", "red", "nir", "swir1", "tir1", "swir2")
        assert file.read().min() >= 1
    with gx.open_scene(made.scene, dem=made.dem) as scene:
        assert gx.extract(scene).record["model"]["name"] == "starter"


def test_a_dem_and_outlines_belong_together(tmp_path, real):
    dem, outlines = real
    for given in ({"dem": dem}, {"outlines": outlines}):
        with pytest.raises(OptionError, match="--dem and --outlines belong together"):
            simulate(tmp_path / "m", **given)
    with pytest.raises(OptionError, match="--no-ice has no effect on a DEM"):
        rendered(tmp_path / "m", real, ice=False)
    with pytest.raises(OptionError, match="'sputnik' is not known"):
        rendered(tmp_path / "m", real, sensor="sputnik")
    assert not (tmp_path / "m").exists()


def test_an_input_is_never_written_over(tmp_path, real):
    dem, outlines = real
    folder = dem.parent  # holds dem.tif
    with pytest.raises(OutputError, match=r"dem\.tif is an input"):
        simulate(folder, SimulateOptions(gsd=30), dem=dem, outlines=outlines, overwrite=True)
    assert not (folder / "scene.tif").exists()


def test_the_terrain_of_the_oetztal_can_be_rendered(tmp_path, shared):
    folder = shared / "splits" / "oetztal_rgi7"
    real = folder / "dem.tif", folder / "glaciers.gpkg"
    made = rendered(tmp_path / "m", real, sensor="landsat8", size=256, seed=2)
    with gx.open_scene(made.scene, dem=made.dem) as scene:
        assert scene.grid.shape == (256, 256)
    glaciers = gx.read_outlines(made.outlines)
    assert len(glaciers) >= 1
    assert all(name.startswith("RGI2000-v7.0-G-11") for name in glaciers["ref_id"])
