import json

import numpy as np
import pytest
from factories import disc, tiny_card, utm_grid, write_tif

from glacierx.errors import MissingBandError, ModelError, SceneError
from glacierx.predict.card import Card, Slot
from glacierx.predict.normalise import Normalisation
from glacierx.scene.scene import open_scene


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: "no json", "is not JSON"),
        (lambda card: json.dumps({**card, "format": 99}), "another format than 1"),
        (lambda card: json.dumps({**card, "colour": 1}), "unknown keys: colour"),
        (lambda card: json.dumps({**card, "tta": 6}), "tta is 6, expected str"),
        (lambda card: json.dumps({**card, "tta": "all"}), "its tta is 'all'"),
        (lambda card: json.dumps({**card, "inputs": []}), "it has no inputs"),
        (lambda card: json.dumps({**card, "inputs": "green"}), "is not a list"),
        (lambda card: json.dumps({**card, "inputs": [{"role": "uv"}]}), "'uv', which is no role"),
        (lambda card: json.dumps({**card, "patch_px": 10**9}), "not within 16 to 16384"),
        (lambda card: json.dumps({**card, "classes": ["lake"]}), "do not hold 'glacier'"),
        (lambda card: json.dumps({**card, "threshold": 7}), "threshold is not within 0 to 1"),
        (lambda card: json.dumps({**card, "gsd_m": [30, 2]}), "not two numbers in order"),
        (lambda card: json.dumps({**card, "gsd_m": "a"}), "is not a list"),
        (lambda card: json.dumps({**card, "name": ""}), "it has no name"),
        (lambda card: json.dumps({**card, "patch_px": True}), "patch_px is True, expected int"),
        (lambda card: json.dumps({**card, "temperature": float("nan")}), "temperature is not"),
        (lambda card: json.dumps({**card, "context": -3}), "context of -3"),
        (lambda card: json.dumps({**card, "context": 1}), "context of 1"),
        (lambda card: json.dumps({**card, "minimum": [["uv"]]}), "minimum names what is no role"),
        (lambda card: json.dumps({**card, "minimum": [[]]}), "minimum names what is no role"),
        (lambda card: json.dumps({**card, "classes": ["glacier"] * 2}), "names, each once"),
        (lambda card: json.dumps({**card, "classes": ["glacier", 1]}), "names, each once"),
        (lambda card: json.dumps({**card, "arguments": {"classes": 3}}), "arguments hold what"),
        *(
            (
                lambda card, boxes=boxes: json.dumps({**card, "training": {"footprints": boxes}}),
                "footprints are not boxes",
            )
            for boxes in (5, None, [[1, 2]], [["a", "b", "c", "d"]])
        ),
        *(
            (
                lambda card, mean=mean, std=std: json.dumps(
                    {**card, "normalisation": {"kind": "fixed", "mean": [mean], "std": [std]}}
                ),
                "must be",
            )
            for mean, std in ((0.1, float("nan")), (float("inf"), 1.0))
        ),
        (
            lambda card: json.dumps({**card, "normalisation": {"kind": "fixed"}}),
            "needs a mean and a std",
        ),
    ],
)
def test_a_card_is_checked_before_it_is_used(change, message):
    text = change(json.loads(tiny_card().to_json()))
    with pytest.raises(ModelError, match=message):
        Card.from_json(text, "x.safetensors")


def test_every_field_of_a_card_survives():
    full = tiny_card(
        minimum=(("green", "nir"), ("swir1",)),
        normalisation=Normalisation("fixed", mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 1.0)),
        classes=("lake", "glacier"),
        tta="chu6",
        gsd_m=(2.0, 30.0),
        threshold=0.4,
        temperature=1.5,
        context=4,
        training={"footprints": [[10, 46, 11, 47]], "data": "made"},
        scores={"made": {"iou": 0.5}},
        licence="CC BY 4.0",
        citation="nobody",
    )
    assert Card.from_json(full.to_json(), "x") == full


def test_only_a_missing_required_role_refuses_a_scene(make_scene):
    path = make_scene(disc((64, 64), (32, 32), 20), roles=("green", "nir"))
    with open_scene(path) as scene:
        tiny_card().check(scene)
        with pytest.raises(MissingBandError, match="no 'swir1' band that the model tiny needs"):
            tiny_card(inputs=(Slot("green"), Slot("swir1"))).check(scene)


def test_the_minimum_set_counts(make_scene):
    slots = tuple(Slot(role, required=False) for role in ("blue", "green", "red", "nir"))
    some = tiny_card(inputs=slots, minimum=(("blue", "green", "red"), ("nir",)))
    mask = disc((64, 64), (32, 32), 20)
    with open_scene(make_scene(mask, roles=("green", "nir"))) as scene:
        some.check(scene)
    with (
        open_scene(make_scene(mask, roles=("green", "blue"), name="b.tif")) as scene,
        pytest.raises(MissingBandError, match=r"'red'|'nir'"),
    ):
        some.check(scene)


def test_fixed_normalisation_needs_known_units(make_scene):
    fixed = tiny_card(
        inputs=(Slot("green"),),
        normalisation=Normalisation("fixed", mean=(0.3,), std=(0.2,)),
    )
    path = make_scene(disc((64, 64), (32, 32), 20), scales=None)
    with open_scene(path) as scene, pytest.raises(SceneError, match="needs reflectance"):
        fixed.check(scene)
    with open_scene(path, scale=1e-4) as scene:
        fixed.check(scene)


def test_fixed_normalisation_asks_for_reflectance_of_optical_bands_alone(tmp_path):
    path = write_tif(tmp_path / "s.tif", np.ones((2, 8, 8), "float32"), utm_grid((8, 8)),
                     descriptions=("green", "elevation"))  # fmt: skip
    fixed = tiny_card(
        inputs=(Slot("green"), Slot("elevation", "terrain")),
        normalisation=Normalisation("fixed", mean=(0.3, 2000.0), std=(0.2, 1000.0)),
    )
    with open_scene(path, scale=1.0) as scene:
        fixed.check(scene)


def test_a_model_fits_by_roles_units_and_gsd(make_scene):
    mask = disc((64, 64), (32, 32), 20)
    fixed = Normalisation("fixed", mean=(0.3,), std=(0.2,))
    with open_scene(make_scene(mask, scales=None)) as scene:
        assert tiny_card(inputs=(Slot("green"),)).fits(scene)
        assert not tiny_card(inputs=(Slot("tir1"),)).fits(scene)
        assert not tiny_card(inputs=(Slot("green"),), gsd_m=(20.0, 40.0)).fits(scene)
        # 10 m on the map are 10.003 m on the ground here.
        assert scene.grid.gsd_m > 10.001
        assert tiny_card(inputs=(Slot("green"),), gsd_m=(2.0, 10.0)).fits(scene)
        assert not tiny_card(inputs=(Slot("green"),), normalisation=fixed).fits(scene)


def test_terrain_comes_from_the_dem_where_the_scene_has_no_band_of_it(make_scene, make_dem):
    mask, grid = disc((64, 64), (32, 32), 20), utm_grid((64, 64))
    steep = tiny_card(inputs=(Slot("green"), Slot("slope", "terrain")))
    either = tiny_card(
        inputs=(Slot("green"), Slot("elevation", required=False), Slot("tir1", required=False)),
        minimum=(("tir1",), ("elevation",)),
    )
    with open_scene(make_scene(mask)) as scene:
        assert not steep.fits(scene)
        assert not either.fits(scene)
    with open_scene(make_scene(mask), dem=make_dem(np.ones((64, 64)), grid)) as scene:
        assert steep.fits(scene)
        either.check(scene)
