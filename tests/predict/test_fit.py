import sys

import numpy as np
import pytest
from factories import ICE, ROCK, disc, utm_grid, write_tif

import glacierx as gx
from glacierx.errors import (
    ExtraError,
    GlacierxWarning,
    GridError,
    MissingBandError,
    OptionError,
    OutlineError,
    SceneError,
)
from glacierx.options import PredictOptions
from glacierx.predict import labelled
from glacierx.predict.choice import choose_model
from glacierx.predict.fit import fit
from glacierx.predict.grow import Reservoir, draw_pixels
from glacierx.predict.labelled import Reference, read_labelled
from glacierx.predict.predict import predict
from glacierx.scene.icewindow import MaskChoice
from glacierx.scene.indices import ndsi
from glacierx.scene.scene import open_scene

SHAPE = (90, 80)
MASK = disc(SHAPE, (45, 40), 30)


@pytest.fixture
def label(tmp_path):
    """Write a mask of 0, 1 and 255."""

    def make(ice, grid=None, name="truth.tif"):
        stored = np.asarray(ice).astype("uint8")[None]
        return write_tif(tmp_path / name, stored, grid or utm_grid(stored.shape[1:]))

    return make


@pytest.fixture
def write(tmp_path):
    """Write bands of float32 in reflectance."""

    def make(name="s.tif", grid=None, **bands):
        values = np.stack([np.broadcast_to(band, SHAPE) for band in bands.values()])
        grid = grid or utm_grid(SHAPE)
        return write_tif(tmp_path / name, values.astype("float32"), grid, descriptions=tuple(bands))

    return make


def fitted(name, path, truth, **more):
    with open_scene(path, **({"scale": 1.0} | more.pop("reading", {}))) as scene:
        return fit(name, [scene], [truth], **more)


def test_a_ratio_is_found_between_rock_and_ice(write, label):
    # Rock has 0.95 and ice 2.55: every step from 1.0 to 2.5 parts them; the middle is 1.7.
    swir = np.full(SHAPE, 0.1)
    path = write(red=np.where(MASK, 0.255, 0.095), swir1=swir)
    method = fitted("ratio", path, label(MASK))
    assert method.thresholds == {"ratio": 1.7}
    assert method.training["iou"] == 1
    assert method.training["pixels"] == {"ice": MASK.sum(), "other": (~MASK).sum()}


def test_shadow_with_the_ratio_of_ice_is_told_by_blue(write, label):
    shadow = np.zeros(SHAPE, bool)
    shadow[:, :8] = True
    red = np.select([MASK, shadow], [0.3, 0.03], 0.1)
    swir = np.select([MASK, shadow], [0.05, 0.005], 0.15)
    blue = np.select([MASK, shadow], [0.5, 0.052], 0.1)
    path = write(blue=blue, red=red, swir1=swir)
    method = fitted("ratio", path, label(MASK))
    # Both have a ratio of 6, beyond all steps; blue parts them from 0.055 to 0.15: the 11th on.
    assert method.training["iou"] == 1
    assert method.thresholds["blue"] == 0.1
    plain = fitted("ratio", write("plain.tif", red=red, swir1=swir), label(MASK))
    assert "blue" not in plain.thresholds
    assert plain.training["iou"] == round(MASK.sum() / (MASK | shadow).sum(), 6)


def test_fitted_ndsi_is_never_worse_than_the_default_on_its_own_scene(write, label):
    random = np.random.default_rng(0)
    bands = {
        role: np.where(MASK, ICE[role], ROCK[role]) * random.lognormal(0, 0.6, SHAPE)
        for role in ("blue", "green", "red", "nir", "swir1")
    }
    path, truth = write(**bands), label(MASK)
    method = fitted("ndsi", path, truth)
    assert method.thresholds["green"] == 0.10
    assert method.thresholds["nir"] == 0.11
    with open_scene(path, scale=1.0) as scene:
        for name in ("ndsi", method):
            with predict(scene, name) as prediction:
                found = prediction.read(prediction.grid.window) > 125
            iou = np.count_nonzero(found & MASK) / np.count_nonzero(found | MASK)
            if name == "ndsi":
                default = iou
    # What it says of itself is what it then does.
    assert iou == pytest.approx(method.training["iou"], abs=1e-6)
    assert iou >= default


def test_the_best_ndsi_is_the_best_of_a_brute_search(write, label):
    random = np.random.default_rng(3)
    green = np.where(MASK, 0.5, 0.3) * random.lognormal(0, 0.3, SHAPE)
    swir = np.where(MASK, 0.15, 0.25) * random.lognormal(0, 0.3, SHAPE)
    path = write(green=green, swir1=swir)
    method = fitted("ndsi", path, label(MASK))
    index = ndsi(green.astype("float32"), swir.astype("float32"))
    bright = green.astype("float32") >= 0.10
    scores = {}
    for step in range(46):
        found = (index >= np.float32(round(step * 0.02, 2))) & bright
        scores[round(step * 0.02, 2)] = (found & MASK).sum() / (found | MASK).sum()
    assert method.training["iou"] == pytest.approx(max(scores.values()), abs=1e-6)
    assert scores[method.thresholds["ndsi"]] == max(scores.values())


@pytest.mark.parametrize("name", ["sbtm", "sbtm:role=red"])
def test_a_single_band_is_found_in_the_middle_of_its_gap(write, label, name):
    path = write(red=np.where(MASK, 0.7, 0.1), nir=np.where(MASK, 0.6, 0.2))
    method = fitted(name, path, label(MASK))
    [(role, limit)] = method.thresholds.items()
    middle, width = (0.4, 0.4 / 199) if role == "nir" else (0.4, 0.6 / 199)
    assert limit == pytest.approx(middle, abs=1.5 * width)


def test_a_mixture_keeps_to_between_its_classes(write, label):
    # The outlines take in more than the bright class: the threshold falls, but not below it.
    random = np.random.default_rng(0)
    nir = np.where(MASK, 0.6, 0.2) + random.normal(0, 0.05, SHAPE)
    path = write(nir=nir)
    exact = fitted("gmm", path, label(MASK))
    wide = fitted("gmm", path, label(disc(SHAPE, (45, 40), 40)))
    assert 0.2 < wide.thresholds["nir"] <= exact.thresholds["nir"] < 0.6
    assert exact.training["iou"] > 0.99
    alike = write("alike.tif", nir=random.normal(0.2, 0.02, SHAPE))
    with pytest.raises(SceneError, match=r"No two classes of nir in alike\.tif"):
        fitted("gmm", alike, label(MASK))


@pytest.mark.parametrize("name", ["ratio", "ndsi", "sbtm:role=green", "gmm", "rf"])
def test_strips_leave_no_trace(write, label, monkeypatch, name):
    random = np.random.default_rng(0)
    bands = {
        role: np.where(MASK, ICE[role], ROCK[role]) * random.lognormal(0, 0.3, SHAPE)
        for role in ("blue", "green", "red", "swir1")
    }
    path, truth = write(**bands), label(MASK)
    files = []
    for rows in (256, 7):
        monkeypatch.setattr(labelled, "ROWS", rows)
        method = fitted(name, path, truth, seed=3)
        files.append(gx.save_model(method, path.parent / f"{rows}.safetensors").read_bytes())
    assert files[0] == files[1]


def test_two_scenes_are_fitted_together(write, label, make_scene):
    # The best threshold of either alone is poor for both; together they are pooled.
    east = utm_grid(SHAPE, corner=(700_000.0, 5_200_000.0))
    swir = np.full(SHAPE, 0.1)
    first = write("a.tif", red=np.where(MASK, 0.25, 0.1), swir1=swir)
    second = write("b.tif", grid=east, red=np.where(MASK, 0.4, 0.2), swir1=swir)
    truths = [label(MASK, name="ta.tif"), label(MASK, east, name="tb.tif")]
    with open_scene(first, scale=1.0) as one, open_scene(second, scale=1.0) as two:
        method = fit("ratio", [one, two], truths)
        # From 2.1 to 2.5 all ice of both is found, and no rock.
        assert method.thresholds == {"ratio": 2.3}
        assert method.training["pixels"]["ice"] == 2 * MASK.sum()
        assert len(method.training["footprints"]) == 2
        with pytest.raises(GridError):
            fit("ratio", [one, two], truths[:1])
        with pytest.raises(OptionError, match="3 files of outlines were given for 2"):
            fit("ratio", [one, two], [*truths, truths[0]])


def test_pixels_that_are_unknown_or_outside_do_not_count(write, label):
    truth = MASK.astype("uint8")
    truth[:45] = 255
    red = np.where(MASK, 0.3, 0.1)
    red[80:] = np.nan
    method = fitted("ratio", write(red=red, swir1=np.full(SHAPE, 0.1)), label(truth))
    inside = np.zeros(SHAPE, bool)
    inside[45:80] = True
    assert method.training["pixels"] == {
        "ice": (MASK & inside).sum(), "other": (~MASK & inside).sum(),
    }  # fmt: skip


def test_thresholds_in_stored_numbers_are_refused_for_reflectance(make_scene, label):
    raw = make_scene(MASK, scales=None)
    known = make_scene(MASK, name="known.tif")
    truth = label(MASK)
    for name in ("ratio", "sbtm", "rf"):
        with open_scene(raw) as one, open_scene(known) as two:
            numbers, reflectance = (fit(name, [scene], [truth]) for scene in (one, two))
            assert (numbers.units, reflectance.units) == ("stored numbers", "reflectance")
            with pytest.raises(SceneError, match=r"known\.tif is in reflectance and the method"):
                choose_model(numbers, two)
            with pytest.raises(SceneError, match=r"was fitted to reflectance\. Give --sensor"):
                choose_model(reflectance, one)
            with pytest.raises(SceneError, match="in different units"):
                fit(name, [one, two], [truth])
            with predict(one, numbers) as prediction:
                found = prediction.read(prediction.grid.window) > 125
            assert np.array_equal(found, MASK)


def test_a_fitted_method_warns_where_it_was_fitted(make_scene, label, tmp_path):
    path = make_scene(MASK)
    with open_scene(path) as scene:
        file = gx.save_model(fit("ratio", [scene], [label(MASK)]), tmp_path / "m.safetensors")
        with pytest.warns(GlacierxWarning, match=r"ratio was trained on ground that scene\.tif"):
            choose_model(file, scene)
        record = choose_model(file, scene).describe()
    assert record["fitted"]
    assert str(tmp_path) not in file.read_bytes().decode("latin1")


def test_a_forest_gives_probabilities_and_knows_its_error(write, label):
    random = np.random.default_rng(0)
    bands = {
        role: np.where(MASK, ICE[role], ROCK[role]) * random.lognormal(0, 0.5, SHAPE)
        for role in ("green", "red", "nir", "swir1")
    }
    path, truth = write(**bands), label(MASK)
    method = fitted("rf", path, truth)
    assert method.roles == ("green", "red", "nir", "swir1")
    assert method.forest.features[4:] == ("ndsi", "ndvi", "ndwi", "ratio")
    assert method.forest.trees == 200
    with open_scene(path, scale=1.0) as scene, predict(scene, method) as prediction:
        found = prediction.read(prediction.grid.window)
    assert len(np.unique(found)) > 20
    iou = np.count_nonzero((found > 125) & MASK) / np.count_nonzero((found > 125) | MASK)
    # On pixels that trees have seen they do better than on others.
    assert 0.7 < method.training["iou_out_of_bag"] < iou
    other = fitted("rf", path, truth, seed=1)
    assert not np.array_equal(other.forest.number, method.forest.number)


def test_a_forest_asks_for_scikit_learn_by_its_extra(make_scene, label, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with open_scene(make_scene(MASK)) as scene:
        with pytest.raises(ExtraError, match=r"pip install 'glacierx\[rf\]'") as caught:
            fit("rf", [scene], [label(MASK)])
    assert caught.value.exit_code == 2


def test_a_sample_is_even_bounded_and_the_same(make_scene, label):
    with open_scene(make_scene(MASK)) as scene:
        reference = Reference((label(MASK),), MaskChoice())
        draws = [
            draw_pixels(read_labelled([scene], reference, ("green",)), 1, seed, most=200)
            for seed in (0, 0, 1)
        ]
    other, ice = draws[0]
    assert (other.values.shape, ice.values.shape) == ((1, 100), (1, 100))
    assert (other.seen, ice.seen) == ((~MASK).sum(), MASK.sum())
    assert ice.values == pytest.approx(0.6, abs=1e-6)
    assert other.values == pytest.approx(0.14, abs=1e-6)
    assert np.array_equal(draws[0][0].values, draws[1][0].values)


def test_a_reservoir_keeps_the_lowest_numbers():
    reservoir = Reservoir(3, 1)
    for keys in ([0.5, 0.1], [0.9, 0.2, 0.3], []):
        reservoir.offer(np.array(keys), np.float32([keys]))
    assert reservoir.values[0].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert reservoir.seen == 5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("otsu", "finds its threshold in each scene, so there is nothing to fit"),
        ("magic", "is no pixel method. It takes one of: ndsi, sbtm, ratio, gmm, rf"),
        ("ratio:above=2", "gives above, which is what is to be found"),
    ],
)
def test_what_cannot_be_fitted_is_told(make_scene, label, name, message):
    with open_scene(make_scene(MASK)) as scene, pytest.raises(OptionError, match=message):
        fit(name, [scene], [label(MASK)])


@pytest.mark.parametrize("name", ["ratio", "rf"])
@pytest.mark.parametrize(
    ("truth", "error", "message"),
    [
        (np.zeros(SHAPE), OutlineError, r"truth\.tif shows no ice in the valid pixels of scene"),
        (np.ones(SHAPE), OutlineError, "shows nothing but ice"),
        (np.where(np.arange(SHAPE[1]) < 0, 1, 255) * np.ones(SHAPE), SceneError, "255"),
    ],
)
def test_references_of_one_class_are_refused(make_scene, label, name, truth, error, message):
    with open_scene(make_scene(MASK)) as scene, pytest.raises(error, match=message):
        fit(name, [scene], [label(truth)])


def test_a_scene_without_the_bands_is_refused(make_scene, label):
    with open_scene(make_scene(MASK, roles=("green", "red"))) as scene:
        for name, role in (("ratio", "swir1"), ("ndsi", "swir1"), ("sbtm", "nir")):
            with pytest.raises(MissingBandError, match=role):
                fit(name, [scene], [label(MASK)])


def test_a_network_takes_no_median(make_scene):
    card = gx.Card("n", "deeplabv3plus", (gx.Slot("green"),), arguments={"depth": 18})
    with open_scene(make_scene(MASK)) as scene:
        with pytest.raises(OptionError, match="--median is for pixel methods, and n is a network"):
            predict(scene, gx.build_model(card), PredictOptions(median=True))
        with predict(scene, "ndsi", PredictOptions(median=True)) as prediction:
            assert prediction.record["options"]["predict"] == {"median": True}


def test_a_ratio_fitted_to_real_ice_is_one_of_the_literature(shared):
    folder = shared / "scenes" / "sentinel2_debris"
    reading = {"bands": "blue=1,green=2,red=3,nir=4,swir1=5", "scale": 1e-4}
    with open_scene(folder / "train" / "img_107.tif", **reading) as scene:
        method = fit("ratio", [scene], [folder / "train" / "pseudo_107.tif"], positive="2")
    # Its clean ice was made with a ratio; thresholds in the literature go from 1.5 to 2.8.
    assert 1.5 <= method.thresholds["ratio"] <= 2.8
    assert method.training["iou"] > 0.8


@pytest.mark.parametrize(
    ("red", "swir"),
    [
        (np.where(MASK, 0.04, 0.02), 0.1),  # the ratio is below 0.5 everywhere
        (np.where(MASK, 0.04, 0.4), 0.1),  # and of the ice alone
    ],
)
def test_thresholds_that_find_no_ice_are_refused(write, label, red, swir):
    path = write(red=red, swir1=np.full(SHAPE, swir))
    with pytest.raises(OutlineError, match="No threshold of ratio that was tried finds any"):
        fitted("ratio", path, label(MASK))


def test_thresholds_no_better_than_glacier_everywhere_are_told_of(write, label):
    path = write(red=np.full(SHAPE, 0.8), swir1=np.full(SHAPE, 0.1))
    with pytest.warns(GlacierxWarning, match="better than calling everything glacier"):
        method = fitted("ratio", path, label(MASK))
    assert method.training["iou"] == pytest.approx(MASK.mean(), abs=1e-6)


def test_a_best_run_up_to_the_end_of_the_grid_is_told_of(write, label):
    # Ice has a ratio of 8, so every threshold from 1.0 to the last parts it from rock.
    path = write(red=np.where(MASK, 0.8, 0.095), swir1=np.full(SHAPE, 0.1))
    with pytest.warns(GlacierxWarning, match="the first or last that was tried"):
        assert fitted("ratio", path, label(MASK)).training["iou"] == 1


def test_a_stray_number_does_not_stop_a_forest(write, label):
    red = np.where(MASK, 0.5, 0.1).astype("float32")
    red[0, 0] = 1e36
    swir = np.where(MASK, 0.05, 0.2)
    swir[0, 0] = 0
    method = fitted("rf", write(red=red, swir1=swir), label(MASK))
    assert method.training["iou_out_of_bag"] > 0.99


def test_what_has_no_effect_on_the_reference_is_refused(write, label):
    path = write(red=np.where(MASK, 0.3, 0.1), swir1=np.full(SHAPE, 0.1))
    with pytest.raises(OptionError, match="--layer is for vector files"):
        fitted("ratio", path, label(MASK), layer="x")


def test_a_forest_that_takes_long_says_so(write, label, monkeypatch):
    from glacierx.predict import pixels

    path = write(red=np.where(MASK, 0.3, 0.1), swir1=np.where(MASK, 0.05, 0.2))
    method = fitted("rf", path, label(MASK))
    monkeypatch.setattr(pixels, "LONG_RUN_S", 0)
    with (
        open_scene(path, scale=1.0) as scene,
        pytest.warns(GlacierxWarning, match="random forest will take about"),
    ):
        predict(scene, method).close()
