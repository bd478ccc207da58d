import numpy as np
import pytest
from factories import ROCK_RATIOS, disc, noisy, utm_grid, write_tif

from glacierx.errors import MissingBandError, OptionError, SceneError
from glacierx.predict.classic import fit_method, parse_method
from glacierx.scene.scene import open_scene

MASK = disc((200, 200), (100, 100), 60)
BANDS = ("blue", "green", "red", "nir")


def apply(path, name, **arguments):
    with open_scene(path, **arguments) as scene:
        method = fit_method(name, scene)
        return method, method.apply(scene.read(scene.grid.window, method.roles).values)


def test_ndsi_finds_ice_by_reflectance(make_scene):
    method, found = apply(make_scene(MASK), "ndsi")
    assert np.array_equal(found, MASK)
    assert method.thresholds == {"ndsi": 0.4, "green": 0.10, "nir": 0.11}


def test_ndsi_leaves_water_and_shadow_out(tmp_path):
    # Clear water: NDSI 0.82 but dark; turbid: bright in green, dark in NIR; snow in shadow: dark.
    surfaces = {"ice": (0.5, 0.4, 0.03), "water": (0.06, 0.01, 0.006), "turbid": (0.2, 0.06, 0.01),
                "shadow": (0.05, 0.04, 0.004)}  # fmt: skip
    values = np.array(list(surfaces.values()), "float32").T[:, None]
    path = write_tif(
        tmp_path / "s.tif", values, utm_grid((1, 4)), descriptions=("green", "nir", "swir1")
    )
    _, found = apply(path, "ndsi", scale=1.0)
    assert found.tolist() == [[True, False, False, False]]


def test_ndsi_without_nir_says_what_that_means(make_scene):
    method, found = apply(make_scene(MASK, roles=("green", "swir1")), "ndsi")
    assert np.array_equal(found, MASK)
    assert "lakes" in method.notes[0]


def test_ndsi_is_refused_where_units_are_unknown(make_scene):
    path = make_scene(MASK, scales=None)
    with pytest.raises(SceneError, match=r"an offset does not cancel in NDSI.*--model otsu"):
        apply(path, "ndsi")
    apply(path, "ndsi", scale=1e-4)


def test_an_offset_does_not_cancel_in_ndsi(make_scene):
    # The same numbers read with the offset of Sentinel-2's later baselines are other ground.
    path = make_scene(np.zeros((20, 20), bool), scales=None)
    _, before = apply(path, "ndsi", sensor="sentinel-2", level="l2a-pre0400")
    with open_scene(path, sensor="sentinel-2", level="l2a-0400") as scene:
        green = scene.read(scene.grid.window, ["green"]).values
    assert not before.any()
    assert green[0, 0, 0] == pytest.approx(0.14 - 0.1, abs=1e-4)


@pytest.mark.parametrize("role", ["green", "swir1"])
def test_ndsi_needs_its_bands(make_scene, role):
    roles = tuple(other for other in ("green", "swir1", "nir") if other != role)
    with pytest.raises(MissingBandError, match=f"no '{role}' band that the pixel method ndsi"):
        apply(make_scene(MASK, roles=roles), "ndsi")


@pytest.mark.parametrize("scales", [None, (1e-4,) * 4])
def test_otsu_finds_ice_in_any_units(make_scene, scales):
    method, found = apply(make_scene(MASK, roles=BANDS, scales=scales), "otsu")
    assert np.array_equal(found, MASK)
    assert method.finds_ice


def test_otsus_threshold_is_in_the_middle_of_a_gap(make_scene):
    # Ice has 0.6 in green and rock 0.14, with little noise: nothing lies between.
    with open_scene(make_scene(disc((100, 100), (50, 50), 30))) as scene:
        method = fit_method("otsu", scene)
    assert method.thresholds["green"] == pytest.approx(0.37, abs=0.05)


@pytest.mark.parametrize("seed", range(8))
def test_otsus_threshold_is_in_the_gap_whatever_the_noise(tmp_path, seed):
    random = np.random.default_rng(seed)
    ice = disc((100, 100), (50, 50), 20)
    green = np.where(ice, random.normal(8000, 60, ice.shape), random.normal(2000, 60, ice.shape))
    path = write_tif(tmp_path / "s.tif", np.rint(green)[None].astype("uint16"),
                     utm_grid(ice.shape), descriptions=("green",))  # fmt: skip
    with open_scene(path) as scene:
        method = fit_method("otsu", scene)
        found = method.apply(scene.read(scene.grid.window, method.roles).values)
    assert method.thresholds["green"] == pytest.approx(5000, abs=300)
    assert np.array_equal(found, ice)


@pytest.mark.parametrize(("scale", "told"), [(1e-8, True), (1e-4, False), (1e-3, True)])
def test_reflectance_that_cannot_be_is_told(make_scene, scale, told):
    path = make_scene(disc((100, 100), (50, 50), 30), scales=None)
    with open_scene(path, scale=scale) as scene:
        notes = " ".join(fit_method("ndsi", scene).notes)
    assert ("check --sensor, --level and --scale" in notes) is told


def test_otsu_leaves_plants_out(tmp_path):
    # Bright meadows would pass the threshold on green; their NDVI is 0.6.
    values = np.stack([np.where(MASK, ice, rock) for ice, rock in
                       ((0.6, 0.1), (0.55, 0.12), (0.45, 0.14))]).astype("float32")  # fmt: skip
    values[:, :30] = np.array([0.5, 0.15, 0.6])[:, None, None]
    path = write_tif(
        tmp_path / "s.tif", values, utm_grid((200, 200)), descriptions=("green", "red", "nir")
    )
    _, found = apply(path, "otsu")
    assert np.array_equal(found, MASK & (np.arange(200)[:, None] >= 30))


@pytest.mark.parametrize(
    "draw",
    [
        lambda random, n: random.normal(0.15, 0.03, n),
        lambda random, n: random.lognormal(-1.9, 0.4, n),
        lambda random, n: random.uniform(0.05, 0.3, n),
        lambda random, n: np.full(n, 0.15),
    ],
    ids=["normal", "lognormal", "uniform", "constant"],
)
@pytest.mark.parametrize("swir", [False, True])
def test_ground_of_one_kind_is_not_parted(tmp_path, draw, swir):
    random = np.random.default_rng(0)
    ratios = {**ROCK_RATIOS, "swir1": 1.6} if swir else ROCK_RATIOS
    bands = noisy(draw(random, 40_000).clip(0.01).reshape(200, 200), ratios, random)
    path = write_tif(
        tmp_path / "s.tif", np.stack(list(bands.values())), utm_grid((200, 200)),
        descriptions=tuple(bands),
    )  # fmt: skip
    method, found = apply(path, "otsu")
    assert not method.finds_ice
    assert not found.any()
    assert any(note.startswith("no ice found") for note in method.notes)


def test_otsu_without_anything_to_look_at(tmp_path):
    path = write_tif(
        tmp_path / "s.tif", np.full((1, 50, 50), np.nan, "float32"), utm_grid((50, 50)),
        descriptions=("green",),
    )  # fmt: skip
    method, found = apply(path, "otsu")
    assert not found.any()
    assert "too few" in method.notes[-1]
    with pytest.raises(MissingBandError, match="no 'green' band"):
        apply(path, "otsu", bands="nir=1")


def test_methods_describe_themselves(make_scene):
    method, _ = apply(make_scene(MASK), "ndsi")
    record = method.describe()
    assert record["kind"] == "pixel method"
    assert record["thresholds"]["ndsi"] == 0.4


def surfaces(tmp_path, **bands):
    """A row of pixels, one for each surface."""
    values = np.array(list(bands.values()), "float32")[:, None]
    grid = utm_grid(values.shape[1:])
    return write_tif(tmp_path / "s.tif", values, grid, descriptions=tuple(bands))


def test_a_ratio_finds_ice_from_two_on(tmp_path):
    # Ratios 1.9, 2.0, 11; and of SWIR below a ten-thousandth, taken for one: 0.0005 / 0.0001.
    path = surfaces(tmp_path, red=[0.38, 0.5, 0.55, 0.0005, 0.00005],
                    swir1=[0.2, 0.25, 0.05, 0.0, -0.001])  # fmt: skip
    method, found = apply(path, "ratio", scale=1.0)
    assert method.thresholds == {"ratio": 2.0}
    assert found[0].tolist() == [0, 1, 1, 1, 0]


def test_a_ratio_of_stored_numbers_divides_by_one_at_least(tmp_path):
    path = surfaces(tmp_path, red=[5.0, 3.0, 300.0], swir1=[0.0, 0.5, 100.0])
    _, found = apply(path, "ratio:above=3.5")
    assert found[0].tolist() == [1, 0, 0]
    with pytest.raises(SceneError, match=r"does not cancel in a ratio.*ratio:above=NUMBER"):
        apply(path, "ratio")


@pytest.mark.parametrize("name", ["ratio:above=2", "ndsi:above=0.4"])
def test_blue_leaves_shadow_out(tmp_path, name):
    # Ice, and rock in shadow: as little SWIR, but hardly any blue either.
    path = surfaces(tmp_path, blue=[0.5, 0.07], green=[0.5, 0.12], red=[0.5, 0.12],
                    nir=[0.4, 0.12], swir1=[0.03, 0.03])  # fmt: skip
    _, without = apply(path, name, scale=1.0)
    method, found = apply(path, f"{name},blue=0.08", scale=1.0)
    assert without[0].tolist() == [1, 1]
    assert found[0].tolist() == [1, 0]
    assert method.describe()["thresholds"]["blue"] == 0.08


def test_a_threshold_of_ones_own_works_without_units(make_scene):
    method, found = apply(make_scene(MASK, scales=None), "ndsi:above=0.45")
    assert np.array_equal(found, MASK)
    assert method.thresholds == {"ndsi": 0.45}
    assert method.units == "stored numbers"


@pytest.mark.parametrize("scales", [None, (1e-4,) * 5])
@pytest.mark.parametrize("name", ["sbtm", "sbtm:role=red", "gmm", "gmm:role=green", "gmm:role=nir"])
def test_methods_that_adapt_find_ice_in_any_units(make_scene, tmp_path, name, scales):
    random = np.random.default_rng(0)
    with open_scene(make_scene(MASK)) as scene:
        clean = scene.read(scene.grid.window).values
    noisy_values = clean * random.normal(1, 0.05, clean.shape)
    stored = np.rint(noisy_values.clip(0.001) / 1e-4).astype("uint16")
    roles = ("blue", "green", "red", "nir", "swir1")
    path = write_tif(tmp_path / "n.tif", stored, utm_grid(MASK.shape), descriptions=roles,
                     scales=scales)  # fmt: skip
    method, found = apply(path, name)
    assert np.mean(found != MASK) < 0.001
    assert method.units == ("reflectance" if scales else "stored numbers")


def test_a_mixture_says_where_there_is_no_ice(tmp_path):
    random = np.random.default_rng(0)
    green = random.normal(0.15, 0.03, (1, 200, 200)).astype("float32")
    path = write_tif(tmp_path / "s.tif", green, utm_grid((200, 200)), descriptions=("green",))
    method, found = apply(path, "gmm")
    assert not found.any()
    assert method.notes[0].startswith("no ice found: the two classes are")


def test_dark_pixels_below_zero_do_not_spoil_a_mixture(tmp_path):
    # Reflectance below zero makes an NDSI of anything; a hundredth of the pixels is like that.
    random = np.random.default_rng(0)
    green = np.where(MASK, 0.6, 0.15) * random.normal(1, 0.03, MASK.shape)
    swir = np.where(MASK, 0.05, 0.2) * random.normal(1, 0.03, MASK.shape)
    odd = random.random(MASK.shape) < 0.01
    green, swir = np.where(odd, 0.011, green), np.where(odd, -0.01, swir)
    path = write_tif(tmp_path / "s.tif", np.stack([green, swir]).astype("float32"),
                     utm_grid(MASK.shape), descriptions=("green", "swir1"))  # fmt: skip
    method, found = apply(path, "gmm", scale=1.0)
    assert np.array_equal(found[~odd], MASK[~odd])
    assert -0.2 < method.thresholds["ndsi"] < 0.85


def test_a_single_band_must_be_there(make_scene):
    path = make_scene(MASK, roles=("green", "red"))
    with pytest.raises(MissingBandError, match=r"no 'nir' band.*sbtm without role="):
        apply(path, "sbtm")
    _, found = apply(path, "sbtm:role=red")
    assert np.array_equal(found, MASK)


def test_a_single_band_of_one_number_holds_nothing(make_scene):
    method, found = apply(make_scene(np.zeros((40, 40), bool)), "sbtm")
    assert not found.any()
    assert "too few different pixels" in method.notes[0]


def test_bands_in_different_units_are_refused(tmp_path):
    path = surfaces(tmp_path, green=[0.5, 0.1], swir1=[0.1, 0.2])
    import rasterio

    with rasterio.open(path, "r+") as file:
        file.units = ("reflectance", "radiance")
    with pytest.raises(SceneError, match="in reflectance in green but not in swir1"):
        apply(path, "ndsi:above=0.3")


def test_names_with_parameters_are_read():
    assert parse_method("sbtm:role=red,above=0.3") == ("sbtm", {"role": "red", "above": 0.3})
    assert parse_method("otsu") == ("otsu", {})
    assert parse_method("ratio.safetensors") is None
    assert parse_method("C:/models/ratio") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ratio:role=red", r"ratio takes above=, blue=, each once, not 'role=red'"),
        ("otsu:above=3", "otsu takes nothing, not 'above=3'"),
        ("ratio:above", "not 'above'"),
        ("ratio:", "not ''"),
        ("ratio:above=2,above=3", "each once"),
        ("ratio:above=much", "above is 'much'. It takes a number"),
        ("ratio:above=nan", "It takes a number"),
        ("ratio:above=inf", "It takes a number"),
        ("sbtm:role=ndsi", "role is 'ndsi'. It takes one of: coastal"),
        ("gmm:role=tir1", "role is 'tir1'"),
        ("rf", "fitted to outlines first: glacierx fit rf"),
        ("magic", "no pixel method. There are ndsi, otsu"),
    ],
)
def test_parameters_that_are_wrong_say_what_is_right(make_scene, text, message):
    with open_scene(make_scene(MASK)) as scene, pytest.raises(OptionError, match=message):
        fit_method(text, scene)


@pytest.mark.parametrize("name", ["otsu", "sbtm"])
def test_a_band_that_differs_by_rounding_alone_holds_no_ice(tmp_path, name):
    flat = np.full((40, 40), 0.3, "float32")
    flat[::2] += np.float32(3e-8)
    roles = ("green", "nir")
    path = write_tif(
        tmp_path / "s.tif", np.stack([flat, flat]), utm_grid((40, 40)), descriptions=roles
    )
    with open_scene(path, scale=1.0) as scene:
        method = fit_method(name, scene)
    assert not method.finds_ice
    assert "too few different pixels" in method.notes[-1]
