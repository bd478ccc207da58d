import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from glacierx.errors import ModelError, OutputError
from glacierx.predict.classic import PixelMethod
from glacierx.predict.forest import LEAF, Forest
from glacierx.predict.methodfile import card_of
from glacierx.predict.model import load_model, save_model
from glacierx.predict.modelfile import METHOD_KEY, load_card

TRAINING = {"iou": 0.5, "footprints": [[10.0, 46.0, 11.0, 47.0]]}
FOREST = Forest(
    ("green", "ndsi"),
    np.array([0, 3]),
    np.array([1, LEAF, LEAF, LEAF], np.int16),
    np.array([2, 0, 0, 0], np.int32),
    np.array([0.4, 0.1, 0.9, 0.5], np.float32),
)


def ratio(**changes):
    values = {"thresholds": {"ratio": 1.9, "blue": 0.05}, "training": TRAINING, **changes}
    return PixelMethod("ratio", ("blue", "red", "swir1"), **values)


def forest():
    return PixelMethod("rf", ("green", "swir1"), forest=FOREST, training=TRAINING)


@pytest.mark.parametrize("make", [ratio, forest])
def test_a_method_comes_back_as_it_was(tmp_path, make):
    method = make()
    back = load_model(save_model(method, tmp_path / "m.safetensors"))
    assert card_of(back) == card_of(method)
    assert back.roles == method.roles
    assert len(back.sha256) == 64
    pixels = np.random.default_rng(0).random((len(method.roles), 50)).astype(np.float32)
    assert np.array_equal(back.apply(pixels), method.apply(pixels))
    again = save_model(back, tmp_path / "again.safetensors")
    assert again.read_bytes() == (tmp_path / "m.safetensors").read_bytes()


def test_only_what_was_fitted_is_saved(tmp_path):
    with pytest.raises(ModelError, match="was not fitted to outlines"):
        save_model(ratio(training={}), tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match=r"ending \.safetensors"):
        save_model(ratio(), tmp_path / "m.pkl")
    path = save_model(ratio(), tmp_path / "m.safetensors")
    with pytest.raises(OutputError, match="exists already"):
        save_model(ratio(), path)


def test_a_method_has_no_card_of_a_network(tmp_path):
    path = save_model(ratio(), tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match="is a fitted pixel method"):
        load_card(path)


def written(tmp_path, card, arrays=None):
    path = tmp_path / "bad.safetensors"
    text = card if isinstance(card, str) else json.dumps(card)
    save_file(arrays or {}, path, metadata={METHOD_KEY: text})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "otsu"}, "'otsu' is no method that is fitted"),
        ({"name": ["rf"]}, "is no method that is fitted"),
        ({"thresholds": {"ratio": "2"}}, "thresholds are not numbers"),
        ({"thresholds": {"ratio": float("nan")}}, "thresholds are not numbers"),
        ({"thresholds": {"ratio": 10**400}}, "thresholds are not numbers"),
        ({"training": {"footprints": [[10**400, 0, 1, 1]]}}, "footprints are not boxes"),
        ({"thresholds": {"ratio": True}}, "thresholds are not numbers"),
        ({"thresholds": [2]}, "thresholds are not numbers"),
        ({"thresholds": {"ndsi": 0.4}}, "compares what such a method does not"),
        ({"thresholds": {"blue": 0.4}}, "compares nothing"),
        ({"thresholds": {}}, "compares nothing"),
        ({"units": "feet"}, "units are not known"),
        ({"units": ["reflectance"]}, "units are not known"),
        ({"training": {}}, "does not say what it was fitted to"),
        ({"training": {"footprints": [[1, 2, 3]]}}, "footprints are not boxes"),
        ({"training": {"footprints": 7}}, "footprints are not boxes"),
        ({"features": ["green"]}, "features that are not known"),
        ({"features": [1]}, "features are not names"),
        ({"format": 99}, "not one of format 1"),
        ({"more": 1}, "not one of format 1"),
    ],
)
def test_cards_that_cannot_be_are_refused(tmp_path, changes, message):
    path = written(tmp_path, {**card_of(ratio()), **changes})
    with pytest.raises(ModelError, match=message):
        load_model(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000])
def test_a_card_that_is_no_json_object_is_refused(tmp_path, text):
    with pytest.raises(ModelError, match=r"card of bad\.safetensors"):
        load_model(written(tmp_path, text))


ARRAYS = {name: getattr(FOREST, name) for name in ("starts", "feature", "right", "number")}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "does not hold the arrays of a random forest"),
        ({**ARRAYS, "right": np.zeros(4, np.int32)}, "a child does not follow its parent"),
        ({**ARRAYS, "right": np.zeros(4, np.int64)}, "does not hold the arrays"),
        ({**ARRAYS, "right": np.zeros((4, 1), np.int32)}, "does not hold the arrays"),
        ({**ARRAYS, "number": np.zeros(3, np.float32)}, "not of one length"),
        ({**ARRAYS, "more": np.zeros(3, np.float32)}, "does not hold the arrays"),
    ],
)
def test_forests_that_cannot_be_are_refused(tmp_path, arrays, message):
    path = written(tmp_path, card_of(forest()), arrays)
    with pytest.raises(ModelError, match=message):
        load_model(path)


@pytest.mark.parametrize("features", [[], ["green", "green"], ["magic"], ["green", "vv"]])
def test_features_that_cannot_be_are_refused(tmp_path, features):
    path = written(tmp_path, {**card_of(forest()), "features": features}, ARRAYS)
    with pytest.raises(ModelError, match="features that are not known"):
        load_model(path)


def test_a_file_that_was_cut_is_refused(tmp_path):
    path = save_model(forest(), tmp_path / "m.safetensors")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        load_model(path)


def test_a_type_that_numpy_has_not_is_refused(tmp_path):
    header = {
        "__metadata__": {METHOD_KEY: json.dumps(card_of(forest()))},
        "right": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
    }
    text = json.dumps(header).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 4)
    with pytest.raises(ModelError, match=r"m\.safetensors"):
        load_model(path)
