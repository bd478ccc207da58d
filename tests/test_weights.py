"""The models that ship: small, honest, and as good as their cards say."""

from pathlib import Path

import numpy as np
import pytest
from factories import utm_grid, write_tif

import glacierx as gx
from glacierx.evaluate.metrics import confusion
from glacierx.predict.model import WEIGHTS, find_model, shipped_models
from glacierx.predict.modelfile import load_card

STEP, UNKNOWN = 0.004, 255
DATA = Path(__file__).parents[1].parent / "shared" / "data" / "scenes"
FOLDERS = {
    "landsat8": ("landsat8_nw_himalaya", "img_", "lab_", (1,)),
    "sentinel2": ("sentinel2_debris", "img_", "pseudo_", (1, 2)),
    "everest": ("landsat7_everest", "img", "lab", (1,)),
}


def test_each_is_at_most_fifteen_megabytes_and_seven_and_a_half_million_weights():
    assert shipped_models() == ["starter"]
    for name in shipped_models():
        assert find_model(name).stat().st_size <= 15e6
        network = gx.load_model(name).network
        assert sum(weight.numel() for weight in network.parameters()) <= 7.5e6
    assert {file.suffix for file in WEIGHTS.iterdir()} <= {".safetensors", ".py"}


def test_the_card_says_what_it_saw_and_on_which_terms():
    card = load_card(find_model("starter"))
    training = card.training
    assert set(training["terms"]) == {scene["group"] for scene in training["scenes"]}
    assert all("sha256" in scene["inputs"][0] for scene in training["scenes"])
    seen = {scene["name"] for scene in training["scenes"] if scene["part"] == "train"}
    assert not any(name.startswith("validation/") for name in seen)
    assert training["never_shown"]
    assert set(card.scores["validation"]) == set(FOLDERS)
    assert all(card.scores["reliability"][when]["ece"] < 0.1 for when in ("before", "after"))
    assert card.licence
    assert "/" not in card.name


@pytest.mark.parametrize("group", FOLDERS)
def test_validation_scores_are_those_of_the_card(group):
    folder, image, reference, positive = FOLDERS[group]
    scenes = sorted((DATA / folder / "validation").glob(f"{image}*.tif"))
    if not scenes:
        pytest.skip("the shared data are not here")
    model = gx.load_model("starter")
    found, true, known = [], [], []
    for path in scenes:
        with gx.open_scene(path) as scene, gx.predict(scene, model) as prediction:
            steps = prediction.read(scene.grid.window)
        label = gx.read_raster(path.with_name(path.name.replace(image, reference, 1))).values[0]
        found.append((steps > model.card.threshold / STEP).ravel())
        true.append(np.isin(label, positive).ravel())
        known.append(((steps != UNKNOWN) & (np.isin(label, positive) | (label == 0))).ravel())
    scores = confusion(*(np.concatenate(part) for part in (found, true, known))).scores()
    said = model.card.scores["validation"][group]
    assert scores["iou"] == pytest.approx(said["iou"], abs=0.02)
    assert scores["balanced_accuracy"] == pytest.approx(said["balanced_accuracy"], abs=0.02)


def banded(folder, roles):
    random = np.random.default_rng(0)
    values = random.uniform(500, 6000, (len(roles), 96, 96)).astype(np.uint16)
    return write_tif(folder / "s.tif", values, utm_grid((96, 96)), descriptions=roles)


@pytest.mark.parametrize(
    "roles",
    [("nir",), ("blue", "green", "red"), ("green", "swir1", "swir2"),
     ("blue", "green", "red", "nir", "swir1", "swir2", "tir1")],
)  # fmt: skip
def test_it_takes_any_three_optical_bands_or_nir(tmp_path, roles):
    with gx.open_scene(banded(tmp_path, roles)) as scene, gx.predict(scene, "starter") as found:
        assert found.grid.shape == (96, 96)
        assert found.record["model"]["name"] == "starter"


@pytest.mark.parametrize("roles", [("green",), ("blue", "red"), ("pan", "red_edge1", "green")])
def test_fewer_are_refused(tmp_path, roles):
    with gx.open_scene(banded(tmp_path, roles)) as scene:
        with pytest.raises(gx.MissingBandError):
            gx.load_model("starter").check(scene)


def test_auto_takes_it_for_a_scene_that_it_fits(tmp_path):
    with gx.open_scene(banded(tmp_path, ("blue", "green", "red", "nir"))) as scene:
        with gx.predict(scene) as found:
            assert found.record["model"]["name"] == "starter"
