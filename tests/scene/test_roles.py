"""Indices and rasters beside the scene as roles."""

import numpy as np
import pytest
from affine import Affine
from factories import utm_grid, write_tif
from rasterio.windows import Window

from glacierx.errors import GridError, MissingBandError, OptionError, SceneError
from glacierx.scene.asked import parse_aux
from glacierx.scene.derived import CAP_BANDS, CAPS, MADE_OF
from glacierx.scene.geodesy import LONLAT, transform_points
from glacierx.scene.grid import Grid
from glacierx.scene.relief import TERRAIN as OF_DEM
from glacierx.scene.scene import open_scene
from glacierx.scene.sensors import INDEX, MODALITIES, ROLES, SENSORS, TERRAIN, is_own_role, modality

SHAPE = 40, 50
GRID = utm_grid(SHAPE)


@pytest.fixture
def scene_of(tmp_path):
    """Open a scene of the bands given, in reflectance, each with its own ramp."""

    def make(*roles, scale=1e-4, holes=None, **arguments):
        random = np.random.default_rng(3)
        stored = random.integers(500, 9000, (len(roles), *SHAPE)).astype("uint16")
        if holes is not None:
            stored[:, holes] = 0
        path = write_tif(tmp_path / "scene.tif", stored, GRID, descriptions=roles, nodata=0)
        scene = open_scene(path, **({} if scale is None else {"scale": scale}), **arguments)
        return scene, dict(zip(roles, stored * (scale or 1.0), strict=True))

    return make


def write(tmp_path, values, grid=GRID, name="coh.tif", **profile):
    values = np.asarray(values, "float32")
    return write_tif(tmp_path / name, values[None] if values.ndim == 2 else values, grid, **profile)


def test_every_role_is_of_one_modality_and_has_where_it_comes_from():
    assert sorted(ROLES) == sorted(role for roles in MODALITIES.values() for role in roles)
    assert len(set(ROLES)) == len(ROLES)
    assert set(MADE_OF) == set(INDEX)
    assert set(OF_DEM) == set(TERRAIN)
    some = ("nir", "tir1", "vv", "coherence", "sadi", "nbr", "own")
    groups = ["optical", "thermal", "sar", "insar", "terrain", "index", "aux"]
    assert [modality(role) for role in some] == groups
    assert set(CAPS) <= set(SENSORS)


def test_normalised_differences_and_the_ratio_are_those_of_the_bands(scene_of):
    scene, b = scene_of("green", "red", "nir", "swir1", "swir2")
    expected = {
        "ndsi": (b["green"] - b["swir1"]) / (b["green"] + b["swir1"]),
        "ndvi": (b["nir"] - b["red"]) / (b["nir"] + b["red"]),
        "ndwi": (b["green"] - b["nir"]) / (b["green"] + b["nir"]),
        "mndwi": (b["green"] - b["swir1"]) / (b["green"] + b["swir1"]),
        "nbr": (b["nir"] - b["swir2"]) / (b["nir"] + b["swir2"]),
        "band_ratio": b["red"] / b["swir1"],
    }
    with scene:
        assert set(expected) == set(scene.from_bands(INDEX))
        assert scene.roles == tuple(b)
        raster = scene.read(scene.grid.window, ["red", *expected])
        part = scene.read(Window(7, 5, 20, 9), ["red", *expected])
        assert scene.unit("ndsi") == "none"
    assert raster.values[0] == pytest.approx(b["red"], abs=1e-6)
    for plane, right in zip(raster.values[1:], expected.values(), strict=True):
        assert plane == pytest.approx(right, rel=1e-4, abs=1e-5)
    assert np.array_equal(part.values, raster.values[:, 5:14, 7:27])


def test_what_is_read_beside_it_does_not_change_an_index(scene_of):
    # Of the thermal band the unit is not known; the ratio is one of reflectance all the same.
    scene, b = scene_of("red", "swir1", "tir1")
    with scene:
        alone = scene.read(scene.grid.window, ["band_ratio"]).values[0]
        beside = scene.read(scene.grid.window, ["tir1", "red", "band_ratio"]).values[2]
        assert not scene.has_reflectance(["tir1"])
    assert alone == pytest.approx(b["red"] / b["swir1"], rel=1e-4)
    assert np.array_equal(alone, beside)


def test_an_index_is_0_where_the_scene_is_not_valid_and_as_valid_as_the_scene(scene_of):
    holes = np.zeros(SHAPE, bool)
    holes[3:9, 20:30] = True
    scene, _ = scene_of("green", "swir1", holes=holes)
    with scene:
        raster = scene.read(scene.grid.window, ["ndsi"])
    assert np.array_equal(raster.valid, ~holes)
    assert not raster.values[0][holes].any()


def test_a_band_of_an_index_s_name_comes_before_the_bands_that_it_is_made_of(tmp_path):
    values = np.stack([np.full(SHAPE, value, "float32") for value in (0.6, 0.2, -0.9)])
    path = write_tif(tmp_path / "s.tif", values, GRID)
    with open_scene(path, bands="green=1,swir1=2,ndsi=3") as scene:
        assert np.all(scene.read(scene.grid.window, ["ndsi"]).values == np.float32(-0.9))
    # A description that names an index is no band of it: files tell so what their bands were for.
    path = write_tif(tmp_path / "t.tif", values, GRID, descriptions=("green", "swir1", "NDSI"))
    with open_scene(path) as scene:
        assert scene.roles == ("green", "swir1")
        assert scene.read(scene.grid.window, ["ndsi"]).values == pytest.approx(0.5)


@pytest.mark.parametrize("sensor", CAPS)
def test_axes_of_the_tasselled_cap_are_of_length_one_and_square_to_each_other(sensor):
    bright, wet = (np.array(CAPS[sensor][role]) for role in ("tc_brightness", "tc_wetness"))
    # They are printed to four digits.
    assert np.linalg.norm(bright) == pytest.approx(1, abs=3e-4)
    assert np.linalg.norm(wet) == pytest.approx(1, abs=3e-4)
    assert bright @ wet == pytest.approx(0, abs=3e-4)


def test_the_tasselled_cap_is_that_of_the_sensor_and_of_reflectance_alone(scene_of):
    roles = ("tc_brightness", "tc_wetness")
    scene, b = scene_of(*CAP_BANDS, sensor="landsat-8")
    with scene:
        bright, wet = scene.read(scene.grid.window, roles).values
    # Table 2 of Baig et al. (2014).
    expected = (0.3029 * b["blue"] + 0.2786 * b["green"] + 0.4733 * b["red"] + 0.5599 * b["nir"]
                + 0.508 * b["swir1"] + 0.1872 * b["swir2"])  # fmt: skip
    assert bright == pytest.approx(expected, abs=1e-5)
    assert wet[0, 0] < bright[0, 0]
    for arguments, said in (
        ({}, "tc_wetness needs coefficients, and the sensor is not known: give --sensor, one of"),
        ({"sensor": "worldview-2"}, "there are none of worldview-2"),
        ({"sensor": "landsat-8", "scale": None}, "needs reflectance: give --level, or --scale"),
    ):
        scene, _ = scene_of(*CAP_BANDS, **arguments)
        with scene, pytest.raises(MissingBandError, match=said):
            scene.read(scene.grid.window, ["tc_wetness"])


def test_what_is_missing_for_a_role_is_named_with_the_flag_that_gives_it(scene_of):
    scene, _ = scene_of("green", "nir")
    for role, said in (
        ("ndsi", r"ndsi needs swir1, which the scene lacks: give --bands swir1=NUMBER, or choose"),
        ("nbr", r"nbr needs swir2, which the scene lacks"),
        ("sadi", r"--bands sadi=NUMBER, give --dem FILE, or choose"),
        ("aspect_sin", r"give --dem FILE"),
        ("coherence", r"--bands coherence=NUMBER, give --aux coherence=FILE, or choose"),
        ("dhdt", r"Give it with --aux dhdt=FILE, or choose another --model"),
        ("swir1", r"Name it with --bands swir1=NUMBER, or choose"),
    ):
        with pytest.raises(MissingBandError, match=said) as caught:
            scene.read(scene.grid.window, [role])
        assert "\n" not in str(caught.value)
    scene.close()


def plane_of(grid):
    """A plane in UTM on any grid, from 0.2 to 0.8."""
    rows, columns = np.indices(grid.shape) + 0.5
    x, y = transform_points(*grid.to_map(rows, columns), grid.crs, GRID.crs)
    return 0.5 + (x - 600_250) * 1e-3 - (y - 5_199_800) * 5e-4


BESIDE = {
    "the same": GRID,
    "coarser": utm_grid((40, 40), 30, corner=(599_500, 5_200_300)),
    "finer": utm_grid((300, 330), 2, corner=(599_900, 5_200_080)),
    "degrees": Grid(LONLAT, Affine(2e-4, 0, 10.31, 0, -2e-4, 46.95), (80, 100)),
}


@pytest.mark.parametrize("beside", BESIDE)
def test_a_raster_on_any_grid_is_shown_on_the_scene_s(scene_of, tmp_path, beside):
    file = write(tmp_path, plane_of(BESIDE[beside]), BESIDE[beside])
    scene, _ = scene_of("green", aux={"coherence": file})
    with scene:
        assert scene.available == ("green", "coherence")
        assert scene.roles == ("green",)
        raster = scene.read(scene.grid.window, ["coherence", "green"])
        part = scene.read(Window(11, 3, 17, 23), ["coherence"])
    assert raster.valid.all()
    # A plane is a plane between pixels. GDAL finds places to an eighth of a pixel of 30 m: 4 m.
    assert np.abs(raster.values[0] - plane_of(GRID)).max() < 0.005
    assert np.abs(part.values[0] - raster.values[0, 3:26, 11:28]).max() < 0.005


def test_band_scale_and_offset_are_the_file_s_and_a_new_word_is_a_role(scene_of, tmp_path):
    values = np.stack([np.full(SHAPE, 7), np.full(SHAPE, 30)]).astype("uint8")
    file = write_tif(tmp_path / "two.tif", values, GRID, scales=(1.0, 0.1), offsets=(0.0, -2.0))
    scene, _ = scene_of("green", aux=[f"dhdt_2020={file}:2", f"tir1={file}:1"])
    with scene:
        assert scene.available == ("green", "dhdt_2020", "tir1")
        dhdt, thermal = scene.read(scene.grid.window, ["dhdt_2020", "tir1"]).values
        said = scene.describe()["aux"]
        assert str(file) in scene.paths
    assert dhdt == pytest.approx(0.1 * 30 - 2)
    assert np.all(thermal == 7)
    assert (said["dhdt_2020"]["band"], said["tir1"]["band"]) == (2, 1)
    assert said["tir1"]["name"] == "two.tif"
    assert len(said["tir1"]["sha256"]) == 64
    assert str(tmp_path) not in str(said)


def test_where_a_raster_has_no_data_a_pixel_is_unknown_if_it_is_needed_else_0(scene_of, tmp_path):
    holed = np.full(SHAPE, 0.7)
    holed[10:20, 5:15] = -9999
    holed[0, :] = np.nan
    file = write(tmp_path, holed, nodata=-9999)
    gap = np.zeros(SHAPE, bool)
    gap[10:20, 5:15] = gap[0] = True
    scene, b = scene_of("green", aux={"coherence": file})
    with scene:
        needed = scene.read(scene.grid.window, ["green", "coherence"])
        optional = scene.read(scene.grid.window, ["green", "coherence"], needed=("green",))
        without = scene.read(scene.grid.window, ["green"])
    assert np.array_equal(needed.valid, ~gap)
    assert optional.valid.all()
    assert without.valid.all()
    assert np.array_equal(optional.values[1] == 0, gap)
    assert optional.values[0] == pytest.approx(b["green"], abs=1e-6)


def test_a_raster_comes_before_what_is_computed_and_never_beside_a_band(
    scene_of, tmp_path, make_dem
):
    slope = write(tmp_path, np.full(SHAPE, 12.5), name="slope.tif")
    dem = make_dem(np.full(SHAPE, 2000), GRID)
    scene, _ = scene_of("green", dem=dem, aux={"slope": slope})
    with scene:
        assert scene.from_dem(["slope", "elevation"]) == ("elevation",)
        steep, high = scene.read(scene.grid.window, ["slope", "elevation"]).values
    assert np.all(steep == 12.5)
    assert np.all(high == 2000)
    path = write_tif(tmp_path / "s.tif", np.ones((2, *SHAPE), "float32"), GRID,
                     descriptions=("green", "tir1"))  # fmt: skip
    with pytest.raises(OptionError, match=r"--aux names 'tir1', and s\.tif has a band of it"):
        open_scene(path, aux={"tir1": slope})


def test_what_cannot_be_a_raster_beside_the_scene_is_refused_in_one_line(scene_of, tmp_path):
    two = write(tmp_path, np.zeros((2, *SHAPE)), name="two.tif")
    far = write(tmp_path, np.zeros(SHAPE), utm_grid(SHAPE, corner=(800_000, 5_200_000)), "far.tif")
    bare = write(tmp_path, np.zeros(SHAPE), name="bare.tif", crs=None)
    cases = (
        ("coherence=gone.tif", SceneError, "The coherence raster gone.tif does not exist"),
        (f"coherence={two}", SceneError, r"has 2 bands. Say which is coherence: --aux coherence="),
        (f"coherence={two}:3", SceneError, "has 2 bands; --aux asks for number 3"),
        (f"coherence={far}", GridError, "does not overlap scene.tif"),
        (f"coherence={bare}", GridError, "no CRS"),
        ("coherence", OptionError, "Give it as ROLE=FILE"),
        ("=a.tif", OptionError, "Give it as ROLE=FILE"),
        ("../../etc=a.tif", OptionError, "a word of small letters"),
        ("Own=a.tif", OptionError, "a word of small letters"),
        ("swir1=a.tif", OptionError, "which is a band: give it with --bands"),
    )
    for text, kind, said in cases:
        with pytest.raises(kind, match=said) as caught:
            scene_of("green", aux=[text])
        assert "\n" not in str(caught.value)
    with pytest.raises(OptionError, match="names 'a' twice"):
        parse_aux(["a=1.tif", "a=2.tif"])


def test_a_role_of_ones_own_is_a_short_word():
    for good in ("dhdt", "a", "snow_2020", "x" * 32):
        assert is_own_role(good)
    for bad in ("", "1a", "A", "a-b", "a b", "a.b", "x" * 33, "é", "ndsi", "a\n", None, 5, ["a"]):
        assert not is_own_role(bad)
