"""Adapting a model to a scene and an inventory."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from class_world import card, write_bands
from factories import (
    box,
    disc,
    run_command,
    tiny_card,
    utm_grid,
    write_outlines,
    write_tif,
)

from glacierx.errors import GlacierxWarning, ModelError, OptionError
from glacierx.networks import ARCHITECTURES
from glacierx.networks.layers import Output
from glacierx.predict.card import Slot
from glacierx.predict.modelfile import build_model, load_card, save_network
from glacierx.predict.precision import Precision
from glacierx.training.adapt import (
    EPOCH_PATCHES,
    _against_forgetting,
    _least_change,
    adapt,
    between,
    doubting,
)
from glacierx.training.augment import Batch
from glacierx.training.draw import survey
from glacierx.training.manifest import Row
from glacierx.training.options import AdaptOptions, TrainOptions
from glacierx.training.run import view_of
from glacierx.training.samples import ICE, IGNORED, OTHER, Sample, save_samples
from glacierx.training.train import scaling_of

SIDE = 192
QUICK = {"minutes": 0.1, "patch_px": 32, "batch": 8, "block_m": 320.0, "lr": 5e-3, "made": 0.0,
         "ignore_border_px": 1.0, "precision": "fp32"}  # fmt: skip


def card_of():
    widths = {"widths": [8, 8, 8, 8, 16], "pyramid_width": 8, "low_width": 8, "dropouts": [0, 0]}
    inputs = Slot("green"), Slot("nir")
    return tiny_card(inputs=inputs, arguments={"depth": 18, "stem_stride": 1, **widths})


def scene_of(folder, seed=0):
    """Ice is where green is dark and NIR bright: what no model would guess."""
    random = np.random.default_rng(seed)
    ice = np.zeros((SIDE, SIDE), bool)
    for row in range(32, SIDE, 64):
        for column in range(32, SIDE, 64):
            ice |= disc((SIDE, SIDE), (row, column), 20)
    values = np.stack([np.where(ice, 2000, 6000), np.where(ice, 5000, 3000)])
    values = values + random.normal(0, 200, values.shape)
    scene = write_tif(
        folder / "scene.tif",
        values.astype(np.uint16),
        utm_grid((SIDE, SIDE)),
        descriptions=("green", "nir"),
    )
    labels = write_tif(folder / "old.tif", ice[None].astype(np.uint8), utm_grid((SIDE, SIDE)))
    return str(scene), str(labels)


def test_scores_on_ground_that_was_kept_back_rise(tmp_path):
    scene, labels = scene_of(tmp_path)
    model = build_model(card_of())
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    found = adapt(model, [Row(scene, labels)], AdaptOptions(**QUICK), name="mine")
    assert found.after["balanced_accuracy"] > 0.9 > found.before["balanced_accuracy"]
    assert found.after["iou"] > found.before["iou"] + 0.2
    assert all(torch.equal(before[k], v) for k, v in model.network.state_dict().items())
    card = found.model.card
    assert card.name == "mine"
    assert card.training["adapted_from"]["name"] == "tiny"
    assert card.scores["held_out"]["after"]["iou"] == pytest.approx(found.after["iou"], abs=1e-4)
    assert json.loads(card.to_json())["training"]["scenes"][0]["labels"]["name"] == "old.tif"
    assert str(tmp_path) not in card.to_json()


def test_weights_between_two_networks_lie_on_the_line():
    first, second = (build_model(tiny_card(), seed).network for seed in (0, 1))
    kept = {name: value.clone() for name, value in second.state_dict().items()}
    for share in (0.0, 0.25, 1.0):
        found = between(first, second, share).state_dict()
        for name, weight in first.state_dict().items():
            if weight.is_floating_point():
                expected = (1 - share) * weight + share * kept[name]
                assert torch.allclose(found[name], expected, atol=1e-6)
    assert all(torch.equal(kept[name], value) for name, value in second.state_dict().items())


def test_the_shortest_way_that_is_nearly_as_good_is_taken(monkeypatch):
    """Held-out score by share of the way: within 0.02 of the best, the least change wins."""
    first, second = (build_model(tiny_card(), seed).network for seed in (0, 1))
    view = view_of(build_model(tiny_card()), TrainOptions(patch_px=64), torch.device("cpu"))
    for scores, share in (
        ([0.3, 0.5, 0.69, 0.70, 0.705], 0.5),
        ([0.3, 0.5, 0.6, 0.7, 0.9], 1.0),
        ([0.70, 0.69, 0.69, 0.6, 0.5], 0.25),
    ):
        values = iter(scores)

        def look(network, held, view, values=values):
            score = next(values)
            return SimpleNamespace(value=lambda metric: score)

        monkeypatch.setattr("glacierx.training.adapt.validate", look)
        assert _least_change(first, second, [], view)[0] == share


def test_a_model_stays_as_it_was_where_learning_made_it_worse(monkeypatch):
    first, second = (build_model(tiny_card(), seed).network for seed in (0, 1))
    view = view_of(build_model(tiny_card()), TrainOptions(patch_px=64), torch.device("cpu"))
    values = iter([0.70, 0.67, 0.66, 0.6, 0.5])

    def look(network, held, view):
        score = next(values)
        return SimpleNamespace(value=lambda metric: score)

    monkeypatch.setattr("glacierx.training.adapt.validate", look)
    with pytest.warns(GlacierxWarning, match="Nothing that was learnt holds"):
        share, network, _ = _least_change(first, second, [], view)
    assert share == 0
    for given, kept in zip(first.parameters(), network.parameters(), strict=True):
        assert torch.equal(given, kept)


def test_ground_that_is_reported_neither_taught_nor_chose(tmp_path):
    scene, labels = scene_of(tmp_path)
    found = adapt(build_model(card_of()), [Row(scene, labels)], AdaptOptions(**QUICK))
    assert found.model.card.training["best"]["step"] % (EPOCH_PATCHES // 8) == 0
    footprints = found.model.card.training["footprints"]
    assert len(footprints) == 1


def test_labels_are_trusted_by_what_the_averaged_network_says():
    class Says(torch.nn.Module):
        def forward(self, inputs):
            logits = torch.logit(torch.tensor([0.5, 0.1, 0.01, 0.9]))
            return Output(mask=logits.reshape(1, 1, 1, 4))

    label = torch.tensor([[[ICE, ICE, ICE, OTHER]]], dtype=torch.uint8)
    batch = Batch(torch.zeros(1, 2, 1, 4), torch.ones(1, 2), label)
    trust = doubting(0.2, Precision("fp32", "cpu"))
    assert trust(batch, Says(), 0.1).tolist() == [[[1, 1, 1, 1]]]
    # 0.5 is above 0.2; 0.1 is half of it; 0.01 reaches the least; 1 - 0.9 is half of 0.2.
    weights = trust(batch, Says(), 0.9)
    assert weights.flatten().tolist() == pytest.approx([1, 0.5, 0.1, 0.5], abs=0.01)
    unknown = replace(batch, label=torch.full_like(label, IGNORED))
    assert trust(unknown, Says(), 0.9).tolist() == [[[1, 1, 1, 1]]]


def stored(tmp_path, card, pixels=64):
    values = np.random.default_rng(1).random((2, pixels, pixels)).astype(np.float16)
    label = (values[0] > 0.5).astype(np.uint8)
    sample = Sample("stored", ("green", "nir"), values, label, 10.0, weight=3.0)
    return save_samples([sample], tmp_path / "s.npz", about={"scaling": scaling_of(card)})


def test_stored_samples_make_up_their_share_of_the_patches(tmp_path):
    card = card_of()
    label = np.zeros((100, 100), np.uint8)
    own = Sample("own", ("green", "nir"), np.zeros((2, 100, 100), np.float16), label, 10.0)
    options = AdaptOptions(made=0.25)
    [replay] = _against_forgetting([own], card, options, stored(tmp_path, card))
    theirs = survey(replay).pixels[1] * replay.weight
    assert theirs / (theirs + 100 * 100) == pytest.approx(0.25)


def test_stored_samples_of_another_network_are_refused(tmp_path):
    other = stored(tmp_path, tiny_card())
    own = Sample("own", ("green",), np.zeros((1, 8, 8), np.float16), np.zeros((8, 8), np.uint8), 10)
    with pytest.raises(ModelError, match="made for another network"):
        _against_forgetting([own], card_of(), AdaptOptions(), other)


def test_made_scenes_join_in():
    own = Sample(
        "own", ("green",), np.zeros((1, 50, 50), np.float16), np.zeros((50, 50), np.uint8), 10.0
    )
    made = _against_forgetting([own], card_of(), AdaptOptions(made=0.5), None)
    assert {sample.roles for sample in made} == {("green", "nir")}
    assert all((sample.label == ICE).any() for sample in made)
    assert sum(survey(s).pixels[1] * s.weight for s in made) == pytest.approx(2500)


def test_too_little_ice_to_keep_any_back_is_said(tmp_path):
    scene, _ = scene_of(tmp_path)
    outlines = write_outlines(tmp_path / "one.gpkg", [box((80, 84), (80, 84))])
    with pytest.raises(OptionError, match=r"scene\.tif: too little ice to keep a part of it back"):
        adapt(build_model(card_of()), [Row(scene, str(outlines))], AdaptOptions(**QUICK))


def test_the_command_says_before_and_after(tmp_path):
    scene, labels = scene_of(tmp_path)
    start = save_network(build_model(card_of()), tmp_path / "start.safetensors")
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in QUICK.items()]
    out = tmp_path / "mine.safetensors"
    result = run_command("adapt", scene, "--outlines", labels, "--model", start, "-o", out, *flags)
    assert "On ground that was kept back: IoU" in result.stderr
    assert load_card(out).name == "mine"
    error = run_command(
        "adapt", scene, "--outlines", labels, "--model", start, "-o", out, *flags, code=5
    )
    assert "exists already" in error


def test_a_model_of_several_classes_of_ice_learns_them(tmp_path, monkeypatch):
    monkeypatch.setitem(ARCHITECTURES, "two_layers", "class_world:TwoLayers")
    kinds = np.zeros((SIDE, SIDE), np.uint8)
    for row in range(32, SIDE, 64):
        for column in range(32, SIDE, 64):
            kinds[disc((SIDE, SIDE), (row, column), 24)] = 1
            kinds[disc((SIDE, SIDE), (row, column), 16)] = 2
    random = np.random.default_rng(0)
    values = np.stack([np.where(kinds == number, 0.2, 0.6) for number in range(3)])
    scene = write_bands(tmp_path / "scene.tif", values + random.normal(0, 0.02, values.shape))
    labels = write_tif(tmp_path / "old.tif", 5 + kinds[None], utm_grid((SIDE, SIDE)))
    model = build_model(card(architecture="two_layers"))
    start = save_network(model, tmp_path / "start.safetensors")
    out = tmp_path / "mine.safetensors"
    how = {**QUICK, "made": 0.3, "lr": 0.02}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in how.items()]
    given = ("adapt", scene, "--outlines", labels, "--model", start, "-o", out, *flags)
    result = run_command(*given, "--legend", "5=background,6=debris,7=ice")
    assert "Made scenes tell ice from other ground, and the network background, debris, ice" in (
        " ".join(result.stderr.split())
    )
    [scores] = load_card(out).scores["validation"].values()
    assert scores["iou_debris"] > 0.8
    assert scores["iou_ice"] > 0.8
    error = run_command(*given, "--overwrite", code=4)
    assert "old.tif holds the values 5, 6, 7, which its legend does not name" in error


def test_a_pixel_method_cannot_be_adapted(tmp_path):
    scene, labels = scene_of(tmp_path)
    fitted = tmp_path / "band.safetensors"
    run_command("fit", "sbtm", "--scene", scene, "--outlines", labels, "-o", fitted)
    error = run_command(
        "adapt", scene, "--outlines", labels, "--model", fitted, "-o", tmp_path / "x.safetensors",
        code=2,
    )  # fmt: skip
    assert "is a pixel method" in error
