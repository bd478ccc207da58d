"""Bad model files, for `corpus`."""

import json
import os
import pickle
import struct
import zipfile

import numpy as np
import torch
from factories import tiny_card
from safetensors.numpy import save as save_arrays
from safetensors.torch import save

from glacierx.predict.modelfile import CARD_KEY, METHOD_KEY, build_model, save_network

MODEL = ("predict", "good.tif", "--model", "{}", "-o", "out/p.tif")


class Canary:
    """Writes a file where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("canary",)


def packed(header, data=b"", length=None):
    """Return the bytes of a safetensors file."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def add(corpus):
    """Add the cases of model files."""
    model = build_model(tiny_card())
    save_network(model, corpus.folder / "good.safetensors")
    good = (corpus.folder / "good.safetensors").read_bytes()
    corpus.add("good.safetensors", MODEL, 0)

    def bad(name, content):
        corpus.write(f"{name}.safetensors", content, MODEL, 6)

    _bytes(bad, good)
    _headers(bad, good)
    _cards(bad, model)
    _weights(bad, model)
    _methods(bad)
    _pickles(corpus)
    corpus.add("gone.safetensors", MODEL, 6)
    corpus.add("m" * 300 + ".safetensors", MODEL, 6)
    corpus.add("good.tif", MODEL, 6)


def _bytes(bad, good):
    for cut in [0, 1, 7, 8, 9, *np.linspace(100, len(good) - 1, 8).astype(int).tolist()]:
        bad(f"cut{cut}", good[:cut])
    bad("longer", good + bytes(1000))
    bad("noise", np.random.default_rng(3).bytes(5000))
    bad("text", "not a model at all")
    bad("page", "<html>404</html>")


def _headers(bad, good):
    length = struct.unpack("<Q", good[:8])[0]
    header = json.loads(good[8 : 8 + length])
    data = good[8 + length :]
    for name, told in (("zero", 0), ("short", length - 5), ("long", length + 50),
                       ("past", len(good) * 2), ("huge", 2**63), ("most", 2**64 - 1)):  # fmt: skip
        bad(f"told_{name}", struct.pack("<Q", told) + good[8:])
    first, second = [name for name in header if name != "__metadata__"][:2]

    def edited(name, key, **changes):
        bad(name, packed(header | {key: header[key] | changes}, data))

    edited("negative", first, data_offsets=[-8, 8])
    edited("beyond", first, data_offsets=[0, 2**40])
    edited("backwards", first, data_offsets=[64, 0])
    edited("overlap", second, data_offsets=header[first]["data_offsets"])
    edited("type", first, dtype="F64")
    edited("no_type", first, dtype="NONE")
    edited("complex", first, dtype="C64")
    edited("shape", first, shape=[2**40, 2**40])
    edited("negative_shape", first, shape=[-1])
    edited("shape_text", first, shape="big")
    bad("not_json", packed(b"{" + b"x" * 50, data))
    bad("list", packed(b"[1, 2, 3]", data))
    bad("deep", packed(b"{" + b'"a":[' * 1 + b"[" * 200_000, data))
    bad("padded", packed(b"{" + b" " * 20_000_000, data))
    bad("nothing", packed({}, b""))
    bad("metadata", packed(header | {"__metadata__": {"a": 1}}, data))
    bad("no_card", packed({key: header[key] for key in header if key != "__metadata__"}, data))
    many = {f"t{n}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in range(50_000)}
    bad("many", packed(many))


def _cards(bad, model):
    weights = model.network.state_dict()
    card = json.loads(model.card.to_json())

    def texted(name, text, /):
        bad(f"card_{name}", save(weights, metadata={CARD_KEY: text}))

    def changed(name, /, **changes):
        texted(name, json.dumps(card | changes))

    texted("empty", "")
    texted("text", "a card")
    texted("list", "[]")
    texted("null", "null")
    texted("cut", model.card.to_json()[:100])
    texted("deep", "[" * 100_000)
    texted("deep_arguments", model.card.to_json().replace('"depth": 18',
           '"depth": ' + '{"a":' * 3000 + "1" + "}" * 3000))  # fmt: skip
    texted("number", model.card.to_json().replace('"patch_px": 64', '"patch_px": ' + "9" * 5000))
    changed("format", format=99)
    changed("unknown", other=1)
    for key in card:
        if key not in ("format", "training", "scores"):
            changed(f"{key}_bad", **{key: {"a": [None]} if key != "arguments" else ["a"]})
    changed("no_inputs", inputs=[])
    changed("input_text", inputs="green")
    changed("input_role", inputs=[{"role": "../../etc", "group": "optical", "required": True}])
    for number, role in enumerate(("../../etc", "A b", "x" * 40, "a;b", "a=b", ["a"], {"a": 1})):
        own = {"role": role, "group": "aux", "required": False}
        changed(f"input_own_{number}", inputs=[{"role": "green"}, own])
    changed("input_own_group", inputs=[{"role": "dhdt", "group": "optical", "required": False}])
    changed("input_more", inputs=[{"role": "green", "else": 1}])
    changed("twice", inputs=[{"role": "green"}, {"role": "green"}])
    changed("architecture", architecture="os:system")
    changed("architecture_path", architecture="../../evil")
    changed("width", arguments={"depth": 18, "widths": [10**9] * 5})
    changed("negative", arguments={"depth": 18, "widths": [-4] * 5})
    changed("zero", arguments={"depth": 18, "widths": [0] * 5})
    changed("depth", arguments={"depth": 10**9})
    changed("many_rates", arguments={"depth": 18, "rates": [1] * 100_000})
    changed("argument", arguments={"depth": 18, "file": "/etc/passwd"})
    changed("channels", arguments={"in_channels": 3})
    changed("patch", patch_px=10**9)
    changed("gsd", gsd_m=[float("nan"), 1])
    changed("gsd_infinite", gsd_m=[1, 10**400])
    changed("threshold", threshold=float("nan"))
    changed("temperature", temperature=0)
    changed("context", context=10**6)
    changed("classes", classes=["a"] * 1000)
    changed("normalisation", normalisation={"kind": "eval"})
    changed("percentiles", normalisation={"low": 90, "high": 10})
    changed("footprints", training={"footprints": [["a"]]})
    changed("minimum", minimum=[[["green"]]])


def _weights(bad, model):
    text = {CARD_KEY: model.card.to_json()}
    weights = {key: value.clone() for key, value in model.network.state_dict().items()}
    first = next(iter(weights))
    bad("lacking", save({key: weights[key] for key in list(weights)[1:]}, metadata=text))
    bad("extra", save(weights | {"more": torch.zeros(3)}, metadata=text))
    bad("wrong_shape", save(weights | {first: weights[first][:1]}, metadata=text))
    bad("whole_numbers", save(weights | {first: weights[first].long()}, metadata=text))
    bad("truths", save(weights | {first: weights[first].bool()}, metadata=text))
    bad("nan", save(weights | {first: weights[first] * float("nan")}, metadata=text))
    bad("infinite", save(weights | {first: weights[first] / 0}, metadata=text))
    bad("no_weights", save({}, metadata=text))


def _methods(bad):
    card = {"format": 1, "name": "ratio", "thresholds": {"ratio": 2.0}, "units": "reflectance",
            "features": [], "training": {"scenes": 1}}  # fmt: skip
    forest = card | {"name": "rf", "features": ["ndsi"], "thresholds": {}}
    arrays = {"starts": np.array([0], np.int64), "feature": np.array([-1], np.int16),
              "right": np.array([0], np.int32), "number": np.array([0.5], np.float32)}  # fmt: skip

    def method(name, text, data=None):
        text = text if isinstance(text, str) else json.dumps(text)
        bad(f"method_{name}", save_arrays(data or {}, metadata={METHOD_KEY: text}))

    method("empty", "")
    method("deep", "[" * 100_000)
    method("list", [])
    method("name", card | {"name": "../../x"})
    method("name_list", card | {"name": ["ratio"]})
    method("thresholds", card | {"thresholds": {"ratio": "much"}})
    method("nan", card | {"thresholds": {"ratio": float("nan")}})
    method("units", card | {"units": "apples"})
    method("training", card | {"training": []})
    method("no_arrays", forest)
    method("loop", forest, arrays | {"feature": np.array([0], np.int16)})
    method("starts", forest, arrays | {"starts": np.array([5], np.int64)})
    method("types", forest, arrays | {"right": np.array([0.0])})
    method("feature", forest | {"features": ["../ndsi"]}, arrays)
    method("units_dict", card | {"units": {"a": 1}})


def _pickles(corpus):
    plain = pickle.dumps(Canary())
    corpus.write("pickled.safetensors", plain, MODEL, 6)
    corpus.write("pickled.pt", plain, MODEL, 6)
    corpus.write("old.pkl", pickle.dumps(Canary(), 0), MODEL, 6)
    corpus.write("old.safetensors", pickle.dumps(Canary(), 0), MODEL, 6)
    torch.save({"weights": Canary()}, corpus.folder / "torch.pth")
    corpus.add("torch.pth", MODEL, 6)
    torch.save({"weights": Canary()}, corpus.folder / "torch.safetensors")
    corpus.add("torch.safetensors", MODEL, 6)
    with zipfile.ZipFile(corpus.folder / "slip.safetensors", "w") as archive:
        archive.writestr("../../evil", "x")
    corpus.add("slip.safetensors", MODEL, 6)
