import json
import pickle
import struct
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from factories import disc, utm_grid, write_tif
from safetensors.torch import save_file

from glacierx.errors import MissingBandError, ModelError, OutputError, SceneError
from glacierx.networks import ARCHITECTURES
from glacierx.networks.layers import Inputs
from glacierx.predict.card import Card, Slot
from glacierx.predict.model import (
    CARD_KEY,
    Model,
    build_model,
    find_model,
    load_card,
    load_model,
    save_model,
    shipped_models,
)
from glacierx.predict.normalise import Normalisation
from glacierx.scene.scene import open_scene

TINY = {"depth": 18, "widths": [4, 4, 4, 4, 16], "pyramid_width": 4, "low_width": 2}


def card(**changes):
    defaults = {
        "name": "tiny",
        "architecture": "attention_deeplabv3plus",
        "inputs": (Slot("green"), Slot("nir"), Slot("swir1", required=False)),
        "arguments": TINY,
        "patch_px": 64,
    }
    return Card(**{**defaults, **changes})


@pytest.fixture
def model_file(tmp_path):
    return save_model(build_model(card()), tmp_path / "tiny.safetensors")


def test_a_model_comes_back_as_it_was(model_file):
    model, back = build_model(card()), load_model(model_file)
    assert back.card == model.card
    x = Inputs(torch.rand(1, 3, 64, 64))
    with torch.inference_mode():
        assert torch.equal(back.network(x).mask, model.network(x).mask)
    assert not back.network.training
    assert len(back.sha256) == 64


def test_weights_follow_from_the_seed_and_nothing_else():
    state = torch.random.get_rng_state()
    one, same, other = (build_model(card(), seed).network.state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_the_card_is_json_inside_the_file(model_file):
    with model_file.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
    text = header["__metadata__"][CARD_KEY]
    assert json.loads(text)["inputs"][0] == {"role": "green", "group": "optical", "required": True}
    assert load_card(model_file).to_json() == text


def test_an_existing_model_is_kept(model_file):
    with pytest.raises(OutputError, match="exists already"):
        save_model(build_model(card()), model_file)
    save_model(build_model(card()), model_file, overwrite=True)
    with pytest.raises(ModelError, match=r"give it the ending \.safetensors"):
        save_model(build_model(card()), model_file.with_suffix(".pt"))


class Canary:
    """Leaves a file behind if it is ever unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("kind", ["torch", "pickle", "renamed"])
def test_a_pickle_is_refused_and_never_run(tmp_path, kind):
    canary = tmp_path / "canary"
    path = tmp_path / ("model.safetensors" if kind == "renamed" else "model.pth")
    if kind == "torch":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(Canary(canary)))
    else:
        path.write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(ModelError, match="is a pickle, which can run any code"):
        load_model(path)
    assert not canary.exists()


def test_a_model_is_no_pickle_whatever_the_length_of_its_header(tmp_path):
    path = tmp_path / "m.safetensors"
    model = build_model(card())
    save_model(model, path)
    shortest = struct.unpack("<Q", path.read_bytes()[:8])[0]
    first = set()
    # Lengths of a header are multiples of 8; 0x4b50 reads as PK, the mark of an archive.
    for length in (shortest + 0x80 - shortest % 0x80, 0x4B50 + (shortest // 0x4B50) * 0x10000):
        for spare in range(8):
            citation = "x" * (length - shortest - spare)
            model = Model(model.network, card(citation=citation))
            save_model(model, path, overwrite=True)
            first.add(path.read_bytes()[:2])
            assert load_card(path) == model.card
    assert any(start[:1] == b"\x80" for start in first)
    assert b"PK" in first


def test_files_that_are_no_models(tmp_path, model_file):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(model_file.read_bytes()[:-100])
    text = tmp_path / "text.safetensors"
    text.write_text("hello, this is no model")
    bare = tmp_path / "bare.safetensors"
    save_file({"a": torch.zeros(1)}, bare)
    lying = tmp_path / "lying.safetensors"
    lying.write_bytes(struct.pack("<Q", 2**60) + b'{"a":1}')
    for path, message in (
        (cut, "damaged or cut short"),
        (text, "is not a safetensors file"),
        (bare, "weights without a card"),
        (lying, "cannot be read as safetensors"),
    ):
        with pytest.raises(ModelError, match=message):
            load_model(path)
    with pytest.raises(ModelError, match=r"no model file .*gone.* \(ndsi, otsu"):
        load_model(tmp_path / "gone.safetensors")


def test_names_of_models_that_ship_are_found():
    for name in shipped_models():
        assert find_model(name).exists()
    with pytest.raises(ModelError, match="no model of that name"):
        find_model("nonsense")


def resave(path, target, change):
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text = file.metadata()[CARD_KEY]
    weights, text = change(weights, text)
    save_file(weights, target, metadata={CARD_KEY: text})
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w, t: ({k: v for k, v in w.items() if k != "head.weight"}, t), "lacks head.weight"),
        (lambda w, t: ({**w, "extra": torch.zeros(1)}, t), "has extra that the architecture"),
        (lambda w, t: ({**w, "head.bias": torch.zeros(2)}, t), r"head.bias is \[2\] and should be"),
        (lambda w, t: (w, t.replace('"depth": 18', '"depth": 34')), "it lacks encoder.stages"),
        (
            lambda w, t: (w, t.replace('"deep', '"x').replace("attention_deeplabv3plus", "unet9")),
            "No architecture is called 'unet9'",
        ),
    ],
)
def test_card_and_weights_that_disagree(model_file, tmp_path, change, message):
    path = resave(model_file, tmp_path / "other.safetensors", change)
    with pytest.raises(ModelError, match=message):
        load_model(path)


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
    text = change(json.loads(card().to_json()))
    with pytest.raises(ModelError, match=message):
        Card.from_json(text, "x.safetensors")


def test_every_field_of_a_card_survives():
    full = card(
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
        card().check(scene)
        with pytest.raises(MissingBandError, match="no 'swir1' band that the model tiny needs"):
            card(inputs=(Slot("green"), Slot("swir1"))).check(scene)


def test_the_minimum_set_counts(make_scene):
    slots = tuple(Slot(role, required=False) for role in ("blue", "green", "red", "nir"))
    some = card(inputs=slots, minimum=(("blue", "green", "red"), ("nir",)))
    mask = disc((64, 64), (32, 32), 20)
    with open_scene(make_scene(mask, roles=("green", "nir"))) as scene:
        some.check(scene)
    with (
        open_scene(make_scene(mask, roles=("green", "blue"), name="b.tif")) as scene,
        pytest.raises(MissingBandError, match=r"'red'|'nir'"),
    ):
        some.check(scene)


def test_fixed_normalisation_needs_known_units(make_scene):
    fixed = card(
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
    fixed = card(
        inputs=(Slot("green"), Slot("elevation", "terrain")),
        normalisation=Normalisation("fixed", mean=(0.3, 2000.0), std=(0.2, 1000.0)),
    )
    with open_scene(path, scale=1.0) as scene:
        fixed.check(scene)


def test_a_model_fits_by_roles_units_and_gsd(make_scene):
    mask = disc((64, 64), (32, 32), 20)
    fixed = Normalisation("fixed", mean=(0.3,), std=(0.2,))
    with open_scene(make_scene(mask, scales=None)) as scene:
        assert card(inputs=(Slot("green"),)).fits(scene)
        assert not card(inputs=(Slot("tir1"),)).fits(scene)
        assert not card(inputs=(Slot("green"),), gsd_m=(20.0, 40.0)).fits(scene)
        assert not card(inputs=(Slot("green"),), normalisation=fixed).fits(scene)


@pytest.mark.parametrize(
    "place", ["nowhere.at.all:Network", "glacierx.networks.layers:Nothing", "math:sqrt"]
)
def test_an_architecture_that_cannot_be_built_is_one_line(monkeypatch, place):
    monkeypatch.setitem(ARCHITECTURES, "broken", place)
    with pytest.raises(ModelError, match="architecture 'broken' cannot be built"):
        build_model(card(architecture="broken"))


def test_a_model_describes_itself(model_file):
    model = load_model(model_file)
    record = model.describe()
    assert record["sha256"] == model.sha256
    assert record["kind"] == "network"
    assert Model(model.network, replace(model.card, name="x")).describe()["sha256"] is None
