import numpy as np
import pytest
import rasterio
from factories import utm_grid, write_tif
from rasterio.enums import ColorInterp

from glacierx.errors import OptionError, SceneError
from glacierx.scene.bands import find_bands, role_in_text
from glacierx.scene.sensors import SENSORS, find_sensor


@pytest.fixture
def stack(tmp_path):
    def make(count, name="stack.tif", dtype="uint16", **profile):
        values = np.ones((count, 8, 8), dtype)
        return write_tif(tmp_path / name, values, utm_grid((8, 8)), **profile)

    return make


def roles(sources):
    return {source.role: source.index for source in sources}


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("blue", "blue"),
        ("B02_blue", "blue"),
        ("Band 3: Green", "green"),
        ("Near Infrared", "nir"),
        ("B10_tir", "tir1"),
        ("thermal_dn", "tir1"),
        ("elev_m", "elevation"),
        ("slope_deg", "slope"),
        ("SWIR 1", "swir1"),
        ("swir22", "swir2"),
        ("Red Edge 2", "red_edge2"),
        ("rededge", "red_edge1"),
        ("coastal_blue", "coastal"),
        ("NDSI green swir1", None),
        ("band7_unknown", None),
        ("SR_B4", None),
        ("SR_QA_AEROSOL", None),
        ("red_qa", None),
        ("cloud mask blue", None),
        ("coastal aerosol", "coastal"),
        ("", None),
    ],
)
def test_a_description_names_one_role_or_none(text, role):
    assert role_in_text(text) == role


def test_the_users_bands_come_first(stack):
    path = stack(4, descriptions=("red", "green", "blue", "nir"))
    found = find_bands(path, "blue=1,nir=4", find_sensor("gaofen-6"))
    assert roles(found) == {"blue": 1, "nir": 4}


def test_roles_can_be_listed_in_file_order(stack):
    path = stack(4)
    assert roles(find_bands(path, "blue,green,-,nir", None)) == {"blue": 1, "green": 2, "nir": 4}
    assert roles(find_bands(path, ["blue", "-", "red"], None)) == {"blue": 1, "red": 3}
    assert roles(find_bands(path, {"tir": 2}, None)) == {"tir1": 2}


def test_bands_can_be_files_with_or_without_a_band_number(stack, tmp_path):
    one, three = stack(1, "B08.tif"), stack(3, "three.tif")
    found = find_bands(None, f"nir={one},swir1={three}:2", None)
    assert [(source.role, source.path, source.index) for source in found] == [
        ("nir", str(one), 1),
        ("swir1", str(three), 2),
    ]
    inside = find_bands(tmp_path, "nir=B08.tif", None)
    assert inside[0].path == str(one)
    with pytest.raises(SceneError, match=r"three\.tif has 3 bands.*nir=three\.tif:1"):
        find_bands(None, f"nir={three}", None)


def test_a_sensor_with_a_fixed_order_names_the_bands_of_its_file(stack):
    assert roles(find_bands(stack(4), None, find_sensor("GF6"))) == {
        "blue": 1,
        "green": 2,
        "red": 3,
        "nir": 4,
    }


@pytest.mark.parametrize("sensor", ["spot-6", "pleiades", "sentinel-2", "landsat-8"])
def test_a_sensor_without_a_fixed_order_is_not_enough(stack, sensor):
    with pytest.raises(SceneError, match=r"The bands of stack\.tif are 1 without a name.*--bands"):
        find_bands(stack(4), None, find_sensor(sensor))


def test_the_band_count_must_be_that_of_the_sensors_file(stack):
    with pytest.raises(SceneError, match=r"planetscope-8 files have 8 bands .* this has 4"):
        find_bands(stack(4), None, find_sensor("planetscope-8"))


def test_a_sensor_knows_its_own_band_names(stack):
    path = stack(3, descriptions=("SR_B2", "SR_B3", "SR_B5"))
    assert roles(find_bands(path, None, find_sensor("landsat-8"))) == {
        "blue": 1,
        "green": 2,
        "nir": 3,
    }
    # The same names mean other bands on Landsat 7.
    assert roles(find_bands(path, None, find_sensor("landsat-7"))) == {
        "green": 1,
        "red": 2,
        "swir1": 3,
    }


def test_a_description_that_contradicts_the_sensor_is_an_error(stack):
    path = stack(2, descriptions=("B8_nir", "B3_green"))
    with pytest.raises(SceneError, match="landsat-8 calls that band pan"):
        find_bands(path, None, find_sensor("landsat-8"))
    swapped = stack(4, "swapped.tif", descriptions=("red", "green", "blue", "nir"))
    with pytest.raises(SceneError, match="band 1 is described as red, planetscope-4 has blue"):
        find_bands(swapped, None, find_sensor("planetscope-4"))


def test_descriptions_come_before_colours(stack):
    # GDAL calls the bands of any 8-bit file with four bands red, green, blue and alpha.
    path = stack(4, dtype="uint8", descriptions=("blue", "green", "red", "nir"))
    assert roles(find_bands(path, None, None)) == {"blue": 1, "green": 2, "red": 3, "nir": 4}


def test_colours_are_used_where_there_are_no_descriptions(stack):
    colors = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    path = stack(3, dtype="uint8", colorinterp=colors)
    assert roles(find_bands(path, None, None)) == {"red": 1, "green": 2, "blue": 3}


def test_every_sensors_own_names_are_understood(stack):
    for name, sensor in SENSORS.items():
        bands = sensor.bands
        path = stack(len(bands), descriptions=[band.name for band in bands])
        found = roles(find_bands(path, None, sensor))
        assert found == {band.role: index for index, band in enumerate(bands, 1)}, name


def test_quality_bands_are_no_spectral_bands(stack):
    names = ("SR_B2", "SR_B3", "SR_B4", "SR_QA_AEROSOL", "QA_PIXEL")
    found = roles(find_bands(stack(5, descriptions=names), None, find_sensor("landsat-8")))
    assert found == {"blue": 1, "green": 2, "red": 3}


def test_an_alpha_band_behind_the_sensors_is_none_of_them(stack):
    path = stack(5)
    with pytest.raises(SceneError, match="planetscope-4 files have 4 bands"):
        find_bands(path, None, find_sensor("planetscope-4"))
    with rasterio.open(path, "r+") as file:
        undefined = (ColorInterp.undefined,) * 3
        file.colorinterp = (ColorInterp.gray, *undefined, ColorInterp.alpha)
    found = roles(find_bands(path, None, find_sensor("planetscope-4")))
    assert found == {"blue": 1, "green": 2, "red": 3, "nir": 4}


def test_a_sensors_order_holds_where_only_some_bands_are_described(stack):
    path = stack(4, descriptions=("blue", "", "", ""))
    found = roles(find_bands(path, None, find_sensor("gaofen-6")))
    assert found == {"blue": 1, "green": 2, "red": 3, "nir": 4}


def test_what_gdal_presumes_of_8_bit_files_is_not_believed(stack):
    # These files were written without a word on colours.
    four = stack(4, dtype="uint8")
    with pytest.raises(SceneError, match=r"GDAL calls those of any 8-bit file.*--bands blue=1"):
        find_bands(four, None, None)
    for sensor in ("spot-6", "pleiades"):
        for count in (3, 4):
            with pytest.raises(SceneError, match="8-bit"):
                find_bands(stack(count, dtype="uint8"), None, find_sensor(sensor))
    said = (ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.nir)
    path = stack(4, dtype="uint8", colorinterp=said)
    assert roles(find_bands(path, None, None)) == {"blue": 1, "green": 2, "red": 3, "nir": 4}


def test_the_order_is_never_guessed_from_the_count(stack):
    with pytest.raises(SceneError, match=r"nothing in the file says.*--bands blue=1,green=2"):
        find_bands(stack(4), None, None)


def test_two_bands_of_one_role_are_ambiguous(stack):
    path = stack(3, descriptions=("green", "nir", "nir"))
    with pytest.raises(SceneError, match="bands 2 and 3 are both nir"):
        find_bands(path, None, None)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("blue=1,green", "mixes two forms"),
        ("ultraviolet=1", "which is no role"),
        ("blue=1,blue=2", "twice"),
    ],
)
def test_a_choice_that_cannot_be_understood(stack, choice, message):
    with pytest.raises(OptionError, match=message):
        find_bands(stack(4), choice, None)


@pytest.mark.parametrize("number", [9, 0, -1])
def test_a_band_number_beyond_the_file(stack, number):
    with pytest.raises(SceneError, match=f"asks for number {number} as nir"):
        find_bands(stack(4), f"nir={number}", None)
    with pytest.raises(SceneError, match="nir band's file"):
        find_bands(stack(4), "nir=²", None)


def test_every_sensor_is_a_consistent_record():
    for name, sensor in SENSORS.items():
        assert find_sensor(name.upper().replace("-", " ")) is sensor
        names = [band.name for band in sensor.bands]
        assert len(set(names)) == len(names)
        assert set(sensor.stack) <= set(names)
        roles_of_stack = [sensor.band(band).role for band in sensor.stack]
        assert len(set(roles_of_stack)) == len(roles_of_stack)
        optical = [band for band in sensor.bands if band.role in ("blue", "green", "red", "nir")]
        order = {"blue": 0, "green": 1, "red": 2, "nir": 3}
        waves = [b.wavelength_nm for b in sorted(optical, key=lambda band: order[band.role])]
        assert waves == sorted(waves), name


def test_the_required_sensors_are_known():
    wanted = (
        "gaofen-6 gaofen-1 gaofen-2 sentinel-2 landsat-5 landsat-7 landsat-8 landsat-9 "
        "planetscope-4 planetscope-8 spot-6 spot-7 pleiades worldview-2 aster"
    )
    assert set(wanted.split()) == set(SENSORS)


def test_an_unknown_sensor_or_level_lists_the_known():
    with pytest.raises(OptionError, match=r"'modis' is not known\. Known: aster"):
        find_sensor("modis")
    with pytest.raises(OptionError, match="Known: l1c-pre0400, l2a-pre0400"):
        find_sensor("sentinel-2").level("l2a")
    with pytest.raises(OptionError, match="MTL"):
        find_sensor("landsat-7").level("l1")
