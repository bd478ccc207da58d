import hashlib
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from factories import ICE, ROCK, disc, utm_grid, write_tif
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from glacierx.errors import GridError, MissingBandError, OptionError, SceneError
from glacierx.outlines.geopackage import write_layers
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.scene.dates import parse_date
from glacierx.scene.geodesy import transform_points
from glacierx.scene.grid import Grid
from glacierx.scene.provenance import fingerprint
from glacierx.scene.scene import open_scene
from glacierx.scene.sensors import TERRAIN

GRID = utm_grid((40, 50))
RAMP = np.arange(2000, dtype="uint16").reshape(1, 40, 50) + 1


@pytest.fixture
def ramp(tmp_path):
    def make(values=RAMP, name="ramp.tif", grid=GRID, **profile):
        profile.setdefault("descriptions", ("green", "nir", "swir1")[: len(values)])
        return write_tif(tmp_path / name, values, grid, **profile)

    return make


def read(path, **arguments):
    window = arguments.pop("window", None)
    with open_scene(path, **arguments) as scene:
        return scene.read(window or scene.grid.window)


def test_a_window_is_the_same_pixels(ramp):
    raster = read(ramp(), window=Window(10, 5, 7, 3))
    assert raster.values.dtype == np.float32
    assert np.array_equal(raster.values[0], RAMP[0, 5:8, 10:17])
    assert raster.grid.shape == (3, 7)
    assert np.allclose(raster.grid.to_map(0, 0), GRID.to_map(5, 10))


def test_units_stay_unknown_unless_something_says(ramp):
    with open_scene(ramp()) as scene:
        assert scene.unit("green") == "unknown"
        assert not scene.has_reflectance(["green"])


def test_gdals_own_tags_scale_the_numbers(ramp):
    path = ramp(scales=(2.75e-5,), offsets=(-0.2,))
    raster = read(path)
    assert raster.values[0, 0, 0] == pytest.approx(2.75e-5 - 0.2)
    with open_scene(path, sensor="sentinel-2", level="l2a-0400") as scene:
        assert scene.describe()["bands"]["green"]["scale_from"] == "file"


def test_the_users_scale_comes_before_the_files(ramp):
    raster = read(ramp(scales=(2.75e-5,), offsets=(-0.2,)), scale=1e-4)
    assert raster.values[0, 0, 0] == pytest.approx(1e-4)


def test_an_offset_alone_keeps_the_scale_of_the_file_or_level(ramp):
    path = ramp(scales=(1e-4,), offsets=(-0.1,))
    with open_scene(path, offset=-0.2) as scene:
        assert scene.has_reflectance(["green"])
        assert scene.read(Window(2, 0, 1, 1)).values[0, 0, 0] == pytest.approx(3e-4 - 0.2)
    values = np.full((1, 40, 50), 1000, "uint16")
    raster = read(ramp(values), sensor="sentinel-2", level="l2a-pre0400", offset=0.05)
    assert raster.values[0, 0, 0] == pytest.approx(0.15)
    # Where nothing gives a scale, an offset does not make reflectance.
    with open_scene(ramp(values), offset=0.05) as scene:
        assert not scene.has_reflectance(["green"])


def test_a_unit_tag_of_reflectance_needs_no_scale(tmp_path):
    path = write_tif(tmp_path / "r.tif", np.full((2, 4, 4), 0.4, "float32"), utm_grid((4, 4)),
                     descriptions=("green", "elev_m"))  # fmt: skip
    for unit, known in (("Reflectance", True), ("1", False), ("W/m2/sr/um", False)):
        with rasterio.open(path, "r+") as file:
            file.units = (unit, "m")
        with open_scene(path) as scene:
            assert scene.has_reflectance(["green"]) is known
    with rasterio.open(path, "r+") as file:
        file.scales, file.units = (1e-4, 1e-4), ("", "")
    with open_scene(path) as scene:
        assert scene.has_reflectance(["green"])
        # A scale alone says nothing of heights.
        assert scene.unit("elevation") == "unknown"


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"scale": 0.0}, "--scale is 0"),
        ({"scale": np.nan}, "--scale is nan"),
        ({"scale": -1.0}, "--scale is -1"),
        ({"scale": np.inf}, "--scale is inf"),
        ({"offset": np.nan}, "--offset is nan"),
        ({"date": "2023-08-05foo"}, "--date '2023-08-05foo' is not a date"),
        ({"date": "2023-02-30"}, "--date '2023-02-30' is not a date"),
        ({"aoi_buffer_m": 10.0}, "give it with --aoi"),
        ({"bands": ""}, "--bands names no role"),
        ({"bands": ","}, "--bands names no role"),
        ({"bands": "-,-"}, "--bands names no role"),
        ({"invalid": "qa.tif=1.2.3"}, "'1.2.3' is no value"),
        ({"invalid": "qa.tif=."}, "'.' is no value"),
        ({"invalid": "qa.tif=10-8"}, "'10-8' is no value"),
        ({"invalid": "qa.tif=bit53"}, "bits from 0 to 52"),
        ({"invalid": ""}, "FILE"),
    ],
)
def test_choices_that_mean_nothing_are_refused(ramp, choice, message):
    values = np.zeros((1, 40, 50), "uint16")
    with pytest.raises(OptionError, match=message):
        open_scene(ramp(values), **choice)


@pytest.mark.parametrize(
    "date", ["2023-08-05", "20230805", "2023-08-05T10:16:09Z", "2023:08:05 10:16"]
)
def test_the_users_date_may_have_a_time(ramp, date):
    with open_scene(ramp(), date=date) as scene:
        assert scene.date == "2023-08-05"


@pytest.mark.parametrize("buffer_m", [-1.0, np.nan, np.inf])
def test_a_region_is_widened_by_a_number_of_metres(ramp, tmp_path, buffer_m):
    path = polygon_file(tmp_path / "a.gpkg", GRID.footprint)
    with pytest.raises(OptionError, match="--aoi-buffer-m is"):
        open_scene(ramp(), aoi=path, aoi_buffer_m=buffer_m)


@pytest.mark.parametrize(
    ("sensor", "level", "expected"),
    [
        ("landsat-8", "l2", 1000 * 2.75e-5 - 0.2),
        ("landsat-8", "l1", 1000 * 2e-5 - 0.1),
        ("landsat-5", "l2", 1000 * 2.75e-5 - 0.2),
        ("sentinel-2", "l2a-pre0400", 0.1),
        ("sentinel-2", "l2a-0400", 0.0),
        ("planetscope-4", "sr", 0.1),
    ],
)
def test_sensor_and_level_give_reflectance(ramp, sensor, level, expected):
    values = np.full((1, 40, 50), 1000, "uint16")
    raster = read(ramp(values), sensor=sensor, level=level)
    assert raster.values[0, 0, 0] == pytest.approx(expected, abs=1e-6)


def test_a_level_needs_its_sensor(ramp):
    with pytest.raises(OptionError, match="--level 'l2' needs --sensor"):
        open_scene(ramp(), level="l2")


def test_thermal_and_terrain_bands_are_not_scaled_as_reflectance(tmp_path):
    values = np.full((3, 4, 4), 10_000, "uint16")
    path = write_tif(
        tmp_path / "s.tif", values, utm_grid((4, 4)), descriptions=("green", "B10_tir", "elev_m")
    )
    raster = read(path, sensor="landsat-8", level="l2")
    assert raster.values[1, 0, 0] == pytest.approx(10_000 * 0.00341802 + 149.0)
    assert raster.values[2, 0, 0] == 10_000
    assert read(path, scale=1e-4).values[2, 0, 0] == 10_000


@pytest.mark.parametrize("nodata", [0, 65535])
def test_nodata_of_any_band_makes_a_pixel_invalid(ramp, nodata):
    values = np.full((2, 40, 50), 500, "uint16")
    values[0, 3, 4] = values[1, 10, 11] = nodata
    raster = read(ramp(values, nodata=nodata))
    expected = np.ones((40, 50), bool)
    expected[3, 4] = expected[10, 11] = False
    assert np.array_equal(raster.valid, expected)
    assert np.all(raster.values[:, ~expected] == 0)


def test_a_pixel_is_invalid_whichever_roles_are_read(ramp):
    values = np.full((2, 40, 50), 500, "uint16")
    values[1, 10, 11] = 0
    with open_scene(ramp(values, nodata=0)) as scene:
        assert not scene.read(scene.grid.window, ["green"]).valid[10, 11]


def test_nan_and_infinity_are_invalid(ramp):
    values = np.full((1, 40, 50), 0.5, "float32")
    values[0, 0, 0], values[0, 1, 1] = np.nan, np.inf
    raster = read(ramp(values))
    assert not raster.valid[0, 0]
    assert not raster.valid[1, 1]
    assert raster.valid.sum() == 1998


def test_the_users_nodata_replaces_the_files(ramp):
    values = np.full((1, 40, 50), 500, "int16")
    values[0, 0, 0], values[0, 0, 1] = -9999, 7
    path = ramp(values, nodata=-9999)
    assert not read(path).valid[0, 0]
    assert read(path, nodata=7).valid[0, 0]
    assert not read(path, nodata="7").valid[0, 1]
    assert read(path, nodata="none").valid.all()
    with pytest.raises(OptionError, match="--nodata 'zero'"):
        open_scene(path, nodata="zero")


def test_a_nodata_value_that_the_type_cannot_hold_means_nothing(ramp):
    assert read(ramp(), nodata=-9999).valid.all()


def test_a_mask_file_beside_the_scene_counts(ramp):
    path = ramp()
    mask = np.full((40, 50), 255, "uint8")
    mask[7, 8] = 0
    with rasterio.open(path, "r+") as file:
        file.write_mask(mask)
    raster = read(path)
    assert not raster.valid[7, 8]
    assert raster.valid.sum() == 1999


def test_an_alpha_band_counts_if_it_is_no_role(tmp_path):
    values = np.full((4, 40, 50), 100, "uint8")
    values[3] = 255
    values[3, 2, 2] = 0
    colors = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    path = write_tif(tmp_path / "a.tif", values, GRID, colorinterp=colors)
    raster = read(path, bands="red,green,blue")
    assert not raster.valid[2, 2]
    assert raster.valid.sum() == 1999
    # GDAL calls the fourth band of every 8-bit file alpha, near infrared too.
    assert read(path, bands="blue,green,red,nir").valid.all()


@pytest.mark.parametrize("nodata", [None, 0])
def test_an_alpha_band_counts_in_a_file_of_many_bands_and_beside_nodata(tmp_path, nodata):
    values = np.full((6, 40, 50), 100, "uint16")
    values[5, 2, 2] = 0
    names = ("blue", "green", "red", "nir", "swir1", "")
    path = write_tif(tmp_path / "a.tif", values, GRID, descriptions=names, nodata=nodata)
    with rasterio.open(path, "r+") as file:
        undefined = (ColorInterp.undefined,) * 4
        file.colorinterp = (ColorInterp.gray, *undefined, ColorInterp.alpha)
    raster = read(path)
    assert not raster.valid[2, 2]
    assert raster.valid.sum() == 1999
    mask = np.full((40, 50), 255, "uint8")
    mask[7, 8] = 0
    with rasterio.open(path, "r+") as file:
        file.write_mask(mask)
    assert read(path).valid.sum() == 1998


def test_each_band_of_a_vrt_may_have_a_mask_of_its_own(tmp_path):
    write_tif(tmp_path / "a.tif", np.full((2, 40, 50), 100, "uint8"), GRID)
    bad = np.full((2, 40, 50), 255, "uint8")
    bad[0, 3], bad[1, 7] = 0, 0
    write_tif(tmp_path / "m.tif", bad, GRID)
    source = '<SimpleSource><SourceFilename relativeToVRT="1">{}</SourceFilename><SourceBand>{}'
    source += "</SourceBand></SimpleSource>"
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{i}"><Description>{name}</Description>'
        f'{source.format("a.tif", i)}<MaskBand><VRTRasterBand dataType="Byte">'
        f"{source.format('m.tif', i)}</VRTRasterBand></MaskBand></VRTRasterBand>"
        for i, name in ((1, "green"), (2, "nir"))
    )
    (tmp_path / "s.vrt").write_text(
        '<VRTDataset rasterXSize="50" rasterYSize="40"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>600000,10,0,5200000,0,-10</GeoTransform>{bands}</VRTDataset>"
    )
    valid = read(tmp_path / "s.vrt").valid
    assert not valid[3].any()
    assert not valid[7].any()
    assert valid.sum() == 38 * 50


def test_a_sensors_fill_counts_where_the_file_has_no_nodata(ramp):
    values = np.full((1, 40, 50), 500, "uint16")
    values[0, 0, 0] = 0
    assert read(ramp(values)).valid[0, 0]
    assert not read(ramp(values), sensor="sentinel-2").valid[0, 0]
    assert read(ramp(values, nodata=65535), sensor="sentinel-2").valid[0, 0]
    masked = ramp(values)
    with rasterio.open(masked, "r+") as file:
        file.write_mask(np.full((40, 50), 255, "uint8"))
    assert read(masked, sensor="sentinel-2").valid[0, 0]


def test_files_of_another_gsd_are_shown_on_the_finest(tmp_path):
    fine = utm_grid((40, 40), gsd=10)
    coarse = utm_grid((20, 20), gsd=20)
    # A plane in x: interpolation between centres keeps it, but for half a coarse pixel at the edge.
    x_fine = np.tile(np.arange(40) * 10 + 5.0, (40, 1))
    x_coarse = np.tile(np.arange(20) * 20 + 10.0, (20, 1))
    write_tif(tmp_path / "B03.tif", x_fine[None].astype("float32"), fine)
    write_tif(tmp_path / "B11.tif", x_coarse[None].astype("float32"), coarse)
    with open_scene(tmp_path, bands="swir1=B11.tif,green=B03.tif") as scene:
        assert scene.grid.matches(fine)
        raster = scene.read(scene.grid.window, ["green", "swir1"])
        part = scene.read(Window(7, 9, 20, 11), ["swir1"])
    assert np.allclose(raster.values[1][:, 1:-1], raster.values[0][:, 1:-1], atol=1e-3)
    assert np.allclose(part.values[0], raster.values[1][9:20, 7:27], atol=1e-4)
    assert raster.valid.all()


def test_a_hole_in_any_file_is_a_hole_whichever_roles_are_read(tmp_path):
    near, far = np.full((1, 40, 40), 3000, "uint16"), np.full((1, 20, 20), 3000, "uint16")
    far[0, 5:8, 5:8] = 0
    write_tif(tmp_path / "a.tif", near, utm_grid((40, 40), 10))
    write_tif(tmp_path / "b.tif", far, utm_grid((20, 20), 20), nodata=0)
    with open_scene(tmp_path, bands="green=a.tif,swir1=b.tif") as scene:
        both = scene.read(scene.grid.window)
        one = scene.read(scene.grid.window, ["green"])
    assert not both.valid[10:16, 10:16].any()
    assert both.valid.sum() == 1600 - 36
    assert np.array_equal(one.valid, both.valid)
    # The fill of the hole is in no pixel beside it.
    assert np.all(both.values[:, both.valid] == 3000)


def test_files_are_looked_for_in_the_scenes_folder_first(tmp_path, monkeypatch):
    (tmp_path / "scene").mkdir()
    monkeypatch.chdir(tmp_path)
    for folder, value in ((tmp_path, 1), (tmp_path / "scene", 2)):
        write_tif(folder / "B03.tif", np.full((1, 4, 4), value, "uint8"), utm_grid((4, 4)))
    assert read("scene", bands="green=B03.tif").values[0, 0, 0] == 2
    assert read(None, bands="green=B03.tif").values[0, 0, 0] == 1


@pytest.mark.parametrize("path", ["s3://bucket/a b/c.tif", "/vsis3/bucket/a b/c.tif"])
def test_an_object_of_a_public_bucket_is_known_by_its_etag(monkeypatch, path):
    asked = []

    class Answer:
        headers = {"ETag": '"e"', "Content-Length": "7"}  # noqa: RUF012

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    def urlopen(request, timeout):
        asked.append((request.method, request.full_url))
        return Answer()

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    mark = fingerprint(path)
    assert mark == {"name": "c.tif", "weak": True, "etag": '"e"', "bytes": "7"}
    assert asked == [("HEAD", "https://bucket.s3.amazonaws.com/a%20b/c.tif")]


def test_a_vrt_is_known_by_the_files_that_it_shows(tmp_path):
    from rasterio.shutil import copy

    path = write_tif(tmp_path / "a.tif", np.ones((1, 4, 4), "uint8"), utm_grid((4, 4)),
                     descriptions=("green",))  # fmt: skip
    copy(str(path), str(tmp_path / "a.vrt"), driver="VRT")
    copy(str(tmp_path / "a.vrt"), str(tmp_path / "b.vrt"), driver="VRT")
    with open_scene(tmp_path / "b.vrt") as scene:
        found = {item["name"]: item["sha256"] for item in scene.fingerprints()}
    assert found["a.tif"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {"b.vrt", "a.tif"} <= set(found)


def test_what_a_coarser_file_does_not_cover_is_invalid(tmp_path):
    write_tif(tmp_path / "a.tif", np.ones((1, 40, 40), "float32"), utm_grid((40, 40), 10))
    write_tif(tmp_path / "b.tif", np.ones((1, 10, 20), "float32"), utm_grid((10, 20), 20))
    raster = read(None, bands=f"green={tmp_path}/a.tif,nir={tmp_path}/b.tif")
    assert raster.valid[:20].all()
    assert not raster.valid[21:].any()


def test_files_of_different_places_are_refused(tmp_path):
    write_tif(tmp_path / "a.tif", np.ones((1, 40, 40), "float32"), utm_grid((40, 40), 10))
    far = utm_grid((40, 40), 10, corner=(700_000, 5_200_000))
    write_tif(tmp_path / "b.tif", np.ones((1, 40, 40), "float32"), far)
    with pytest.raises(GridError, match=r"b\.tif does not overlap"):
        read(None, bands=f"green={tmp_path}/a.tif,nir={tmp_path}/b.tif")


def test_a_missing_role_says_what_there_is(ramp):
    with (
        open_scene(ramp()) as scene,
        pytest.raises(MissingBandError, match=r"no 'swir1' band: it has green") as caught,
    ):
        scene.read(scene.grid.window, ["swir1"])
    assert caught.value.role == "swir1"
    assert caught.value.available == ("green",)


def test_elevation_and_slope_come_from_the_dem(ramp, make_dem):
    # Falling by 5 m from column to column of 10 m: a slope of one in two.
    heights = 3000 - 5.0 * np.arange(50)[None, :].repeat(40, axis=0)
    with open_scene(ramp(), dem=make_dem(heights, GRID)) as scene:
        assert scene.roles == ("green",)
        assert scene.available == ("green", *TERRAIN)
        raster = scene.read(Window(10, 5, 7, 3), ["slope", "green", "elevation"])
        assert [scene.unit(role) for role in ("elevation", "slope")] == ["m", "degrees"]
        assert len(scene.read(scene.grid.window).values) == 1
    assert np.array_equal(raster.values[1], RAMP[0, 5:8, 10:17])
    assert np.array_equal(raster.values[2], heights[5:8, 10:17])
    assert raster.values[0] == pytest.approx(np.degrees(np.arctan(0.5)), abs=0.02)
    with open_scene(ramp()) as scene:
        assert scene.available == ("green",)
        with pytest.raises(MissingBandError, match=r"elevation=NUMBER, give --dem FILE, or choose"):
            scene.read(scene.grid.window, ["elevation"])


def test_a_band_of_the_scene_comes_before_the_dem(ramp, make_dem):
    values = np.concatenate([RAMP, np.full_like(RAMP, 1234)])
    path = ramp(values, descriptions=("green", "elev_m"))
    with open_scene(path, dem=make_dem(np.full((40, 50), 5678), GRID)) as scene:
        assert scene.available == ("green", "elevation", *TERRAIN[1:])
        assert scene.from_dem(["slope", "elevation", "green"]) == ("slope",)
        raster = scene.read(scene.grid.window, ["elevation", "slope"])
    assert np.all(raster.values[0] == 1234)
    assert not raster.values[1].any()


def test_a_pixel_without_heights_is_as_valid_as_its_bands(ramp, make_dem):
    heights = np.full((40, 50), 2000.0)
    heights[:, 20:] = np.nan
    holed = RAMP.copy()
    holed[0, 30, 45] = 0
    with open_scene(ramp(holed, nodata=0), dem=make_dem(heights, GRID)) as scene:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for window in (scene.grid.window, Window(0, 0, 50, 10)):
                raster = scene.read(window, ["elevation", "slope"])
    told = [str(one.message) for one in caught]
    assert len(told) == 1
    assert "dem.tif has no heights in parts of ramp.tif" in told[0]
    with open_scene(ramp(holed, nodata=0), dem=make_dem(heights, GRID)) as scene:
        raster = scene.read(scene.grid.window, ["elevation", "slope"])
    assert raster.valid.sum() == 1999
    assert raster.values[:, 30, 45].tolist() == [0, 0]
    assert np.all(raster.values[0][raster.valid] == 2000)


def test_no_warning_where_heights_lack_under_invalid_pixels_alone(ramp, make_dem):
    heights, holed = np.full((40, 50), 2000.0), RAMP.copy()
    heights[:, 20:] = np.nan
    holed[0, :, 20:] = 0
    with open_scene(ramp(holed, nodata=0), dem=make_dem(heights, GRID)) as scene:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            scene.read(scene.grid.window, ["elevation"])


@pytest.mark.parametrize(
    "kind", ["zeros and ones", "values", "range", "bits", "bit range", "other grid"]
)
def test_quality_masks_make_pixels_invalid(ramp, tmp_path, kind):
    quality = np.zeros((40, 50), "uint16")
    quality[10:20, 10:20] = {
        "zeros and ones": 1,
        "values": 9,
        "range": 9,
        "bits": 24,
        "bit range": 24,
    }.get(kind, 1)
    if kind in ("values", "range", "bits", "bit range"):
        quality[0, 0] = 4  # bit 2: clear, and not among the values
    grid = GRID
    if kind == "other grid":
        grid, quality = utm_grid((20, 25), 20), quality[::2, ::2]
    write_tif(tmp_path / "qa.tif", quality[None], grid)
    suffix = {"values": "=3,9", "range": "=8-10", "bits": "=bit3,bit7", "bit range": "=bit4-6"}.get(
        kind, ""
    )
    raster = read(ramp(), invalid=f"{tmp_path}/qa.tif{suffix}")
    expected = np.ones((40, 50), bool)
    expected[10:20, 10:20] = False
    assert np.array_equal(raster.valid, expected)


def test_a_value_that_the_mask_calls_nodata_can_be_invalid(ramp, tmp_path):
    quality = np.full((40, 50), 4, "uint8")
    quality[0, 0] = 0
    write_tif(tmp_path / "scl.tif", quality[None], GRID, nodata=0)
    raster = read(ramp(), invalid=f"{tmp_path}/scl.tif=0,3")
    assert not raster.valid[0, 0]
    assert raster.valid.sum() == 1999


def test_a_mask_of_many_values_needs_to_be_told_which(ramp, tmp_path):
    write_tif(tmp_path / "scl.tif", np.full((1, 40, 50), 4, "uint8"), GRID)
    with pytest.raises(SceneError, match=r"holds the values 4: more than a mask"):
        open_scene(ramp(), invalid=f"{tmp_path}/scl.tif")
    write_tif(tmp_path / "udm2.tif", np.ones((8, 40, 50), "uint8"), GRID)
    with pytest.raises(SceneError, match=r"udm2\.tif has 8 bands\. Say which"):
        open_scene(ramp(), invalid=f"{tmp_path}/udm2.tif")
    assert not read(ramp(), invalid=f"{tmp_path}/udm2.tif:6=1").valid.any()
    with pytest.raises(OptionError, match="'cloud' is no value"):
        open_scene(ramp(), invalid=f"{tmp_path}/scl.tif=cloud")


@pytest.mark.parametrize("gsd", [10, 20])
def test_flags_of_32_bits_are_read_to_the_last(ramp, tmp_path, gsd):
    flags = np.full((1, 400 // gsd, 500 // gsd), 1 << 30, "uint32")
    flags[0, :2, :2] |= 2
    write_tif(tmp_path / "qa.tif", flags, utm_grid(flags.shape[1:], gsd))
    raster = read(ramp(), invalid=f"{tmp_path}/qa.tif=bit1")
    assert not raster.valid[: gsd // 5, : gsd // 5].any()
    assert raster.valid.sum() == 2000 - (gsd // 5) ** 2


def test_a_mask_with_an_equals_sign_or_spaces(ramp, tmp_path):
    quality = np.zeros((1, 40, 50), "uint8")
    quality[0, 3], quality[0, 9] = 3, 9
    write_tif(tmp_path / "qa.tif", quality, GRID)
    assert read(ramp(), invalid=f"{tmp_path}/qa.tif=3, 8-10").valid.sum() == 1900
    with pytest.raises(SceneError, match="--invalid asks for number 0"):
        open_scene(ramp(), invalid=f"{tmp_path}/qa.tif:0=1")


def polygon_file(path, shape, crs=GRID.crs):
    outlines = Outlines(as_geometries([shape]), crs, {"complex_id": np.array([1])})
    return write_layers(path, {"complexes": outlines}, {})


def test_a_region_beside_the_scene_reaches_it_when_it_is_widened(ramp, tmp_path):
    beside = shapely.box(600_600, 5_199_600, 600_700, 5_200_000)  # 100 m east of the scene
    path = polygon_file(tmp_path / "a.gpkg", beside)
    with pytest.raises(GridError, match=r"does not overlap the scene"):
        open_scene(ramp(), aoi=path)
    with open_scene(ramp(), aoi=path, aoi_buffer_m=200) as scene:
        inside = scene.inside(scene.grid.window)
    assert inside[20, 41:].all()
    assert not inside[:, :39].any()


LONLAT = CRS.from_epsg(4326)


@pytest.mark.parametrize(
    ("crs", "place", "corner"), [(32632, "alps", (600_000, 5_200_000)), (3413, "pole", (0, -9e5))]
)
def test_a_large_region_in_degrees_keeps_its_edges(tmp_path, crs, place, corner):
    grid = utm_grid((40, 50), 100, corner=corner, epsg=crs)
    path = write_tif(tmp_path / "s.tif", np.ones((1, 40, 50), "uint8"), grid, nodata=None,
                     descriptions=("green",))  # fmt: skip
    lon, lat = transform_points(*grid.to_map(*(np.indices((40, 50)) + 0.5)), grid.crs, LONLAT)
    middle = float(np.median(lat))
    boxes = {
        "all": shapely.box(-180, -90, 180, 90),
        "wide": shapely.box(lon.min() - 40, middle - 5, lon.max() + 40, middle + 5),
        "south": shapely.box(lon.min() - 40, middle - 5, lon.max() + 40, middle),
    }
    for name, box in boxes.items():
        region = polygon_file(tmp_path / f"{name}.gpkg", box, LONLAT)
        with open_scene(path, aoi=region) as scene:
            inside = scene.inside(scene.grid.window)
        expected = lat < middle if name == "south" else np.ones(grid.shape, bool)
        # Within a tenth of a pixel of the edge either answer is right.
        clear = np.abs(lat - middle) * 111_000 > 10
        assert np.array_equal(inside[clear], expected[clear]), (place, name)


def test_the_area_of_interest_is_told_from_invalid_pixels(ramp, tmp_path):
    left, top = 600_000, 5_200_000
    aoi = polygon_file(tmp_path / "aoi.gpkg", shapely.box(left, top - 100, left + 200, top))
    with open_scene(ramp(), aoi=aoi) as scene:
        inside = scene.inside(scene.grid.window)
        assert scene.read(scene.grid.window).valid.all()
    assert np.array_equal(np.argwhere(inside).max(axis=0), [9, 19])
    assert inside.sum() == 200


def test_the_area_of_interest_can_be_widened_by_metres(ramp, tmp_path):
    spot = shapely.Point(600_250, 5_199_800).buffer(1)
    aoi = polygon_file(tmp_path / "aoi.gpkg", spot)
    with open_scene(ramp(), aoi=aoi, aoi_buffer_m=99) as scene:
        inside = scene.inside(scene.grid.window)
    # A circle of 100 m holds 314 pixels of 100 m2; those on its edge may fall either way.
    assert inside.sum() == pytest.approx(np.pi * 100, abs=12)
    centre = np.argwhere(inside).mean(axis=0) + 0.5
    assert np.allclose(centre, [20, 25], atol=0.2)


def test_an_area_of_interest_elsewhere_is_refused(ramp, tmp_path):
    aoi = polygon_file(tmp_path / "aoi.gpkg", shapely.box(0, 0, 1, 1), CRS.from_epsg(4326))
    with pytest.raises(GridError, match="does not overlap the scene"):
        open_scene(ramp(), aoi=aoi)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2023-08-15", "2023-08-15"),
        ("2023-08-15T10:16:09Z", "2023-08-15"),
        ("2023:08:15 10:16:09", "2023-08-15"),
        ("20230815", "2023-08-15"),
        ("20230815T101609", "2023-08-15"),
        ("2023-13-45", None),
        ("last summer", None),
        ("", None),
    ],
)
def test_dates(text, date):
    assert parse_date(text) == date


def test_the_date_comes_from_the_user_else_from_the_tags(ramp):
    path = ramp(
        tags={"ACQUISITIONDATETIME": "2023:08:15 10:16:09", "TIFFTAG_DATETIME": "2024:01:01"}
    )
    with open_scene(path) as scene:
        assert (scene.date, scene.date_source) == ("2023-08-15", "ACQUISITIONDATETIME")
    with open_scene(path, date="2020-07-01") as scene:
        assert (scene.date, scene.date_source) == ("2020-07-01", "user")
    with open_scene(ramp(name="bare.tif")) as scene:
        assert scene.date is None
    with pytest.raises(OptionError, match="--date 'summer'"):
        open_scene(path, date="summer")


def test_a_scene_without_a_place_is_refused(tmp_path):
    no_crs = write_tif(tmp_path / "a.tif", RAMP, GRID, crs=None, descriptions=("green",))
    with pytest.raises(GridError, match=r"a\.tif has no CRS"):
        open_scene(no_crs)
    nowhere = Grid(GRID.crs, Affine.identity(), (40, 50))
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write_tif(tmp_path / "b.tif", RAMP, nowhere, descriptions=("green",))
    with pytest.raises(GridError, match=r"b\.tif has no geotransform"):
        open_scene(path)


def test_files_that_are_no_scene(tmp_path):
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.tif").write_text("no raster")
    for name, message in (
        ("none.tif", "does not exist"),
        ("empty.tif", "is empty"),
        ("text.tif", "cannot be read as a raster"),
        (".", "is a folder"),
    ):
        with pytest.raises(SceneError, match=message):
            open_scene(tmp_path / name)
    values = np.ones((1, 8, 8), "complex64")
    path = write_tif(tmp_path / "c.tif", values, utm_grid((8, 8)), descriptions=("green",))
    with pytest.raises(SceneError, match="complex numbers"):
        open_scene(path)


def test_a_truncated_file_says_so_when_it_is_read(ramp, tmp_path):
    from rasterio.shutil import copy

    noise = np.random.default_rng(0).integers(1, 9999, (1, 400, 500)).astype("uint16")
    whole, cut = tmp_path / "whole.tif", tmp_path / "cut.tif"
    copy(str(ramp(noise, grid=utm_grid((400, 500)))), str(whole), driver="COG")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(SceneError, match=r"cut\.tif cannot be read at rows 0 to 400: .*damaged"):
        read(cut)


@pytest.mark.parametrize("driver", ["COG", "VRT", "JP2OpenJPEG"])
def test_other_formats_are_read_like_geotiff(ramp, tmp_path, driver):
    from rasterio.shutil import copy

    suffix = {"COG": "cog.tif", "VRT": "x.vrt", "JP2OpenJPEG": "x.jp2"}[driver]
    options = {"QUALITY": "100", "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {}
    copy(str(ramp()), str(tmp_path / suffix), driver=driver, **options)
    assert np.array_equal(read(tmp_path / suffix, bands="green=1").values, RAMP)


def test_a_url_is_read_and_its_fingerprint_is_weak(ramp, tmp_path):
    ramp()
    # A process of its own: rasterio holds Python's lock while it waits for the server.
    command = [sys.executable, Path(__file__).parents[1] / "range_server.py", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/ramp.tif"
        try:
            with open_scene(url) as scene:
                assert scene.name == "ramp.tif"
                assert np.array_equal(scene.read(scene.grid.window).values, RAMP)
                [mark] = scene.fingerprints()
        finally:
            server.kill()
    assert mark == {"name": "ramp.tif", "weak": True, "etag": '"v1"', "bytes": mark["bytes"]}


def test_the_description_holds_no_path(make_scene, tmp_path):
    path = make_scene(disc((64, 64), (32, 32), 20))
    with open_scene(path) as scene:
        text = str(scene.describe()) + str(scene.fingerprints())
    assert str(tmp_path) not in text
    assert "scene.tif" in text


def test_the_made_scene_of_these_tests_is_as_told(make_scene):
    mask = disc((64, 64), (32, 32), 20)
    raster = read(make_scene(mask))
    for index, role in enumerate(ICE):
        assert raster.values[index][mask] == pytest.approx(ICE[role], abs=1e-4)
        assert raster.values[index][~mask] == pytest.approx(ROCK[role], abs=1e-4)
