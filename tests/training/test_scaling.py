"""Means and standard deviations of the training scenes."""

import numpy as np
import pytest
from factories import disc, tiny_card, utm_grid, write_tif
from rasterio.windows import Window

from glacierx.errors import ModelError, SceneError
from glacierx.predict.card import Card, Slot
from glacierx.predict.modelfile import build_model
from glacierx.predict.normalise import Normalisation
from glacierx.predict.sample import fit_normaliser
from glacierx.scene.scene import open_scene
from glacierx.training.options import SplitOptions, TrainOptions
from glacierx.training.samples import ICE, IGNORED, INVALID, Sample
from glacierx.training.scaling import fit_scaling, moments_of, scaled_by
from glacierx.training.train import export, open_data

FITTED = Normalisation("z-score")
ROLES = ("green", "nir")


def sample(values, part="train", label=None, roles=ROLES):
    values = np.asarray(values, np.float16)
    if label is None:
        label = (np.indices(values.shape[1:]).sum(axis=0) % 2).astype("u1")
    return Sample(part, roles, values, label, 10.0, part)


def card(**changes):
    return tiny_card(inputs=tuple(Slot(role) for role in ROLES), **changes)


def test_moments_are_of_known_pixels_and_of_planes_that_there_are():
    label = np.array([[0, 1, IGNORED, INVALID]], np.uint8)
    first = sample([[[1, 3, 100, 100]], [[4, 4, 100, 100]]], label=label)
    second = sample([[[5]]], label=np.ones((1, 1), "u1"), roles=("green",))
    mean, std = moments_of([first, second], ("green", "nir", "swir1"))
    # 1, 3 and 5: their mean is 3, the variance 8 / 3. What is flat or absent is left as it is.
    assert mean == pytest.approx([3, 4, 0])
    assert std == pytest.approx([np.sqrt(8 / 3), 1, 1])


def test_parts_of_a_direction_are_scaled_alike_and_nought_stays_nought():
    roles = ("nir", "aspect_sin", "aspect_cos")
    values = [[[3, 5]], [[3, 5]], [[1, 1]]]
    mean, std = moments_of([sample(values, label=np.ones((1, 2), "u1"), roles=roles)], roles)
    assert mean == pytest.approx([4, 0, 0])
    whole = np.sqrt((9 + 25 + 1 + 1) / 4)
    assert std == pytest.approx([1, whole, whole])


def test_scenes_are_scaled_by_what_those_for_training_hold():
    random = np.random.default_rng(0)
    train = sample(random.normal(2, 3, (2, 64, 64)))
    held = sample(random.normal(50, 9, (2, 64, 64)), "validation")
    given = scaled_by(card(normalisation=FITTED), np.array([10.0, 20.0]), np.array([2.0, 4.0]))
    (scaled, other), fitted = fit_scaling([train, held], given)
    values, _ = scaled.read(0, 0, 64, 64)
    assert values.mean(axis=(1, 2)) == pytest.approx([0, 0], abs=1e-3)
    assert values.std(axis=(1, 2)) == pytest.approx([1, 1], abs=1e-3)
    assert other.read(0, 0, 64, 64)[0].mean() > 10
    # The card undoes both: what was 10 + 2 x is scaled as x was.
    assert fitted.normalisation.kind == "fixed"
    number = 5.0
    by_card = (10 + 2 * number - fitted.normalisation.mean[0]) / fitted.normalisation.std[0]
    own = train.values[0].astype(float)
    assert by_card == pytest.approx((number - own.mean()) / own.std(), rel=1e-4)


def test_places_without_data_stay_zero():
    label = np.full((8, 8), ICE, np.uint8)
    label[0] = INVALID
    values = np.full((2, 8, 8), 7.0)
    values[:, 0] = 0
    values[:, 1] = 9
    (scaled,), _ = fit_scaling([sample(values, label=label)], card_with_numbers())
    found, _ = scaled.read(-2, 0, 10, 8)
    assert not found[:, :3].any()
    assert found[:, 3:].all()


def card_with_numbers():
    return scaled_by(card(normalisation=FITTED), np.zeros(2), np.ones(2))


@pytest.fixture
def scenes(tmp_path):
    """Two scenes with elevations, far from one another in every band, and their manifest."""
    random = np.random.default_rng(3)
    lines = ["scene,labels,scale,split"]
    for name, level, part in (("a", 0.2, "train"), ("b", 0.6, "validation")):
        ice = disc((96, 96), (48, 48), 30)
        bands = np.stack([random.normal(level, 0.05, (96, 96)), random.normal(4000, 300, (96, 96))])
        grid = utm_grid((96, 96))
        write_tif(tmp_path / f"{name}.tif", bands.astype("f4"), grid,
                  descriptions=("nir", "elevation"))  # fmt: skip
        write_tif(tmp_path / f"{name}_lab.tif", ice[None].astype("u1"), grid)
        lines.append(f"{name}.tif,{name}_lab.tif,1,{part}")
    (tmp_path / "scenes.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


OF_TERRAIN = Card(
    "z", "attention_deeplabv3plus", (Slot("nir"), Slot("elevation", "terrain")),
    {"depth": 18, "widths": [4, 4, 4, 4, 16], "pyramid_width": 4, "low_width": 2},
    normalisation=FITTED, patch_px=64,
)  # fmt: skip


def test_a_scene_is_predicted_as_it_was_learnt_from(scenes):
    with open_data(scenes / "scenes.csv", OF_TERRAIN) as data:
        learnt = {source.part: source.read(0, 0, 96, 96)[0] for source in data.sources}
        scaling = data.card.normalisation
    assert learnt["train"].mean(axis=(1, 2)) == pytest.approx([0, 0], abs=0.01)
    assert scaling.mean == pytest.approx((0.2, 4000), rel=0.01)
    assert scaling.std == pytest.approx((0.05, 300), rel=0.03)
    with open_scene(scenes / "b.tif", scale=1) as scene:
        normaliser = fit_normaliser(scaling, scene, data.card.roles)
        raster = scene.read(Window(0, 0, 96, 96), ("nir", "elevation"))
        seen = normaliser(raster.values, raster.valid)
    # Scenes in memory have 16 bits: 11 digits of numbers up to 12.
    assert np.abs(seen - learnt["validation"]).max() < 12 * 2**-10


def test_the_sample_file_of_scaled_scenes_is_learnt_from_alike(scenes, tmp_path):
    with open_data(scenes / "scenes.csv", OF_TERRAIN) as data:
        export(data, tmp_path / "s.npz")
        first = data.sources[0].read(0, 0, 96, 96)[0]
    with open_data(tmp_path / "s.npz", OF_TERRAIN) as again:
        assert again.card.normalisation == data.card.normalisation
        assert np.abs(again.sources[0].read(0, 0, 96, 96)[0] - first).max() < 0.01
    other = tiny_card(normalisation=FITTED)
    with pytest.raises(ModelError, match="made for another network"):
        open_data(tmp_path / "s.npz", other).__enter__()


def test_folds_are_scaled_each_by_what_it_learns_from(scenes):
    means = []
    for fold in (1, 2):
        split = SplitOptions(split="folds:2", fold=fold, block_m=160)
        with open_data(scenes / "scenes.csv", OF_TERRAIN, split, options=TrainOptions()) as data:
            means.append(data.card.normalisation.mean[0])
            taught = [s for s in data.sources if s.part == "train"]
            assert moments_of(taught, data.card.roles)[0] == pytest.approx([0, 0], abs=0.01)
    assert means[0] != means[1]


def test_units_that_are_unknown_and_a_model_that_was_never_trained_are_refused(scenes, make_scene):
    (scenes / "scenes.csv").write_text("scene,labels,split\na.tif,a_lab.tif,train\n")
    with pytest.raises(SceneError, match=r"a\.tif: .*needs reflectance"):
        open_data(scenes / "scenes.csv", OF_TERRAIN).__enter__()
    assert build_model(OF_TERRAIN).card.normalisation.kind == "z-score"
    with (
        open_scene(scenes / "a.tif", scale=1) as scene,
        pytest.raises(ModelError, match="was never trained"),
    ):
        fit_normaliser(FITTED, scene, OF_TERRAIN.roles)
