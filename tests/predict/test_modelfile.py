import json
import pickle
import struct
import zipfile
from dataclasses import replace

import pytest
import torch
from factories import tiny_card
from safetensors import safe_open
from safetensors.torch import save_file

from glacierx.errors import ModelError, OutputError
from glacierx.networks import ARCHITECTURES
from glacierx.networks.layers import Inputs
from glacierx.predict.modelfile import (
    CARD_KEY,
    METHOD_KEY,
    Model,
    build_model,
    load_card,
    load_network,
    save_network,
)


@pytest.fixture
def model_file(tmp_path):
    return save_network(build_model(tiny_card()), tmp_path / "tiny.safetensors")


def test_a_model_comes_back_as_it_was(model_file):
    model, back = build_model(tiny_card()), load_network(model_file)
    assert back.card == model.card
    x = Inputs(torch.rand(1, 3, 64, 64))
    with torch.inference_mode():
        assert torch.equal(back.network(x).mask, model.network(x).mask)
    assert not back.network.training
    assert len(back.sha256) == 64


def test_weights_follow_from_the_seed_and_nothing_else():
    state = torch.random.get_rng_state()
    one, same, other = (build_model(tiny_card(), seed).network.state_dict() for seed in (1, 1, 2))
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
        save_network(build_model(tiny_card()), model_file)
    save_network(build_model(tiny_card()), model_file, overwrite=True)
    with pytest.raises(ModelError, match=r"give it the ending \.safetensors"):
        save_network(build_model(tiny_card()), model_file.with_suffix(".pt"))


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
        load_network(path)
    assert not canary.exists()


def test_a_model_is_no_pickle_whatever_the_length_of_its_header(tmp_path):
    path = tmp_path / "m.safetensors"
    model = build_model(tiny_card())
    save_network(model, path)
    shortest = struct.unpack("<Q", path.read_bytes()[:8])[0]
    first = set()
    # Lengths of a header are multiples of 8; 0x4b50 reads as PK, the mark of an archive.
    for length in (shortest + 0x80 - shortest % 0x80, 0x4B50 + (shortest // 0x4B50) * 0x10000):
        for spare in range(8):
            citation = "x" * (length - shortest - spare)
            model = Model(model.network, tiny_card(citation=citation))
            save_network(model, path, overwrite=True)
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
            load_network(path)
    with pytest.raises(ModelError, match=r"gone.safetensors does not exist"):
        load_network(tmp_path / "gone.safetensors")


def resave(path, target, change):
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
        load_network(path)


@pytest.mark.parametrize(
    "place", ["nowhere.at.all:Network", "glacierx.networks.layers:Nothing", "math:sqrt"]
)
def test_an_architecture_that_cannot_be_built_is_one_line(monkeypatch, place):
    monkeypatch.setitem(ARCHITECTURES, "broken", place)
    with pytest.raises(ModelError, match="architecture 'broken' cannot be built"):
        build_model(tiny_card(architecture="broken"))


def test_a_model_describes_itself(model_file):
    model = load_network(model_file)
    record = model.describe()
    assert record["sha256"] == model.sha256
    assert record["kind"] == "network"
    assert Model(model.network, replace(model.card, name="x")).describe()["sha256"] is None


def test_half_the_bits_are_half_the_size_and_the_weights_to_three_digits(tmp_path, model_file):
    model = build_model(tiny_card())
    half = save_network(model, tmp_path / "half.safetensors", half=True)
    with safe_open(half, framework="pt") as file:
        kinds = {file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118
    assert kinds == {torch.float16, torch.int64}  # counts of batches stay whole numbers
    floats = [value for value in model.network.state_dict().values() if value.is_floating_point()]
    saved = model_file.stat().st_size - half.stat().st_size
    # Two bytes of each weight; the lists of tensors before them differ by some digits of places.
    assert saved == pytest.approx(2 * sum(value.numel() for value in floats), abs=2000)
    back = load_network(half).network.state_dict()
    for name, value in model.network.state_dict().items():
        assert back[name].dtype == value.dtype
        # 11 bits of a number above the smallest: half a unit in the last is 2 ** -11 of it.
        assert torch.allclose(back[name], value, rtol=2**-11, atol=2**-24)


def test_a_weight_that_16_bits_cannot_hold_is_no_infinity(tmp_path):
    model = build_model(tiny_card())
    with torch.no_grad():
        model.network.head.weight[0, 0] = 1e5
    with pytest.raises(ModelError, match=r"weights head\.weight reach 1e\+05, and 16 bits end"):
        save_network(model, tmp_path / "half.safetensors", half=True)
    save_network(model, tmp_path / "whole.safetensors")


def test_a_pixel_method_is_no_network(tmp_path):
    path = tmp_path / "ratio.safetensors"
    save_file({}, path, metadata={METHOD_KEY: "{}"})
    with pytest.raises(ModelError, match="is a fitted pixel method"):
        load_network(path)


def test_a_model_file_may_be_read_by_whom_any_new_file_may(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    saved = save_network(build_model(tiny_card()), tmp_path / "m.safetensors")
    assert saved.stat().st_mode == plain.stat().st_mode
