"""A network learns several classes from rasters and outlines of them."""

import json
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from class_world import GRID, NAMES, ROLES, TwoLayers, card, kinds, write_world
from factories import box, disc_sample, quick, run_command, tiny_card, write_outlines, write_tif
from torch import nn

from glacierx.errors import OptionError
from glacierx.networks.layers import Output
from glacierx.predict.modelfile import Model, build_model, load_network
from glacierx.predict.precision import choose_precision
from glacierx.training.heads import logit_of_ice, probability_of_label
from glacierx.training.manifest import Row
from glacierx.training.preset import load_preset, with_classes
from glacierx.training.run import Place, judged, learn
from glacierx.training.samples import (
    IGNORED,
    INVALID,
    Sample,
    as_ice,
    ice_labels,
    load_samples,
    save_samples,
)
from glacierx.training.sources import FileSource, belt, open_sources
from glacierx.training.validate import View, validate


def sample(part="train", seed=0, ice=(1, 2)):
    random = np.random.default_rng(seed)
    values = np.stack([np.where(kinds() == number, 0.9, 0.1) for number in range(3)])
    values = (values + random.normal(0, 0.02, values.shape)).astype(np.float16)
    return Sample(f"made/{part}", ROLES, values, kinds(), 10.0, part=part, ice=ice)


def test_the_odds_of_classes_together():
    p = torch.tensor([0.2, 0.3, 0.5])
    found = logit_of_ice(p.log()[None, :, None, None], (1, 2))
    assert float(torch.sigmoid(found)) == pytest.approx(0.8)
    alone = torch.randn(2, 1, 3, 3)
    assert (logit_of_ice(alone, (0,)) == alone[:, 0]).all()
    label = torch.tensor([[[2, 255]]], dtype=torch.uint8)
    both = p.log()[None, :, None, None].expand(1, 3, 1, 2)
    assert probability_of_label(both, label, label < 254)[0, 0].tolist() == pytest.approx([0.5, 1])


def test_labels_of_classes_as_ice():
    label = np.array([[0, 1, 2, 7, INVALID, IGNORED]], np.uint8)
    assert as_ice(label, (1, 2)).tolist() == [[0, 1, 1, 0, INVALID, IGNORED]]
    assert as_ice(label, (0,)).tolist() == [[1, 0, 0, 0, INVALID, IGNORED]]
    assert ice_labels(card().told) == (1, 2)
    assert ice_labels(tiny_card().told) == (1,)
    # A softmax of two has the labels of a sigmoid.
    assert ice_labels(tiny_card(classes=("background", "glacier")).told) == (1,)


def test_the_belt_runs_along_every_line_between_classes():
    label = np.repeat(np.array([0, 1, 2, IGNORED, 0], np.uint8), 10)[None]
    near = belt(label, 16.0, (10.0, 10.0))
    # The centres of two pixels on either side lie within 16 m, at 5 m and at 15 m.
    assert np.flatnonzero(near[0]).tolist() == [8, 9, 10, 11, 18, 19, 20, 21]


class Known(nn.Module):
    """Logits that are ten times the planes."""

    def forward(self, inputs):
        return Output(mask=10 * inputs.x[:, :3])


def view(made):
    cpu = torch.device("cpu")
    return View(made.roles, 64, cpu, choose_precision("fp32", cpu), classes=made.told)


def test_validation_counts_every_class():
    wrong = kinds()
    wrong[40:50, 55:65] = 1  # In truth 100 pixels of the disc are debris.
    wrong[0, :20] = IGNORED
    one = sample("validation")
    one = Sample(one.name, one.roles, one.values, wrong, 10.0, part="validation", ice=(1, 2))
    found = validate(Known(), [one], view(card()))
    debris, ice = int((kinds() == 1).sum()), int((kinds() == 2).sum())
    rest = kinds().size - debris - ice - 20
    assert found.kinds["all"].tolist() == [[rest, 0, 0], [0, debris, 100], [0, 0, ice - 100]]
    scores = found.scores()["all"]
    assert scores["iou"] == 1
    assert scores["iou_debris"] == pytest.approx(debris / (debris + 100))
    assert scores["iou_ice"] == pytest.approx((ice - 100) / ice)
    mean = (1 + debris / (debris + 100) + (ice - 100) / ice) / 3
    assert scores["mean_iou"] == pytest.approx(mean)
    assert found.value("mean-iou") == pytest.approx(mean)
    assert found.value("iou") == 1
    # Of every second row and column at most 20,000 are kept; here all.
    assert len(found.seen.label) == debris + ice + rest


def test_the_mean_iou_of_a_sigmoid_is_that_of_ice_and_ground():
    class Green(nn.Module):
        def forward(self, inputs):
            return Output(mask=20 * (inputs.x[:, :1] - 0.5))

    found = validate(Green(), [disc_sample(part="validation")], view(tiny_card()))
    assert found.value("mean-iou") == found.value("iou") == 1
    assert "mean_iou" not in found.scores()["all"]


def test_the_temperature_is_that_of_the_softmax():
    # One pixel in three is right, whatever the network says: the flatter the better.
    random = np.random.default_rng(0)
    label = random.integers(0, 3, kinds().shape).astype(np.uint8)
    one = sample("validation")
    one = Sample(one.name, one.roles, one.values, label, 10.0, part="validation", ice=(1, 2))
    assert judged(card(), validate(Known(), [one], view(card()))).temperature == pytest.approx(
        10, rel=0.01
    )
    # Labels drawn from the softmax at a temperature of 2 give that back.
    z = 10 * one.values.astype(np.float64)
    p = np.exp(z / 2) / np.exp(z / 2).sum(axis=0)
    drawn = (random.random(kinds().shape) > p.cumsum(axis=0)).sum(axis=0).clip(0, 2)
    one = Sample(
        one.name, one.roles, one.values, drawn.astype(np.uint8), 10.0, part="validation", ice=(1, 2)
    )
    found = judged(card(), validate(Known(), [one], view(card())))
    assert found.temperature == pytest.approx(2, rel=0.1)
    assert (
        found.scores["reliability"]["after"]["ece"] < found.scores["reliability"]["before"]["ece"]
    )


@pytest.mark.parametrize("loss", ["ce-dice", "0.5*focal+0.5*log-jaccard"])
def test_a_tiny_network_learns_three_classes(loss):
    options = quick(
        loss=loss, patch_px=64, epochs=4, epoch_patches=48, lr=2e-2, ema=0.0, augment="flips",
        metric="mean-iou", label_smoothing=0.02,
    )  # fmt: skip
    torch.manual_seed(0)
    begun = Model(TwoLayers(3, 3), card())
    sources = [sample(), sample("validation", seed=1)]
    trained = learn(begun, sources, options, Place())
    scores = trained.card.scores["validation"]["all"]
    assert scores["mean_iou"] > 0.8
    assert min(scores["iou_debris"], scores["iou_ice"]) > 0.7
    again = learn(begun, sources, options, Place())
    assert trained.card == again.card


def test_a_softmax_of_two_learns_from_labels_of_ice():
    options = quick(epochs=4, epoch_patches=32, lr=2e-2, loss="weighted-ce-dice")
    made = tiny_card(classes=("background", "glacier"))
    sources = [disc_sample(), disc_sample(1, part="validation")]
    trained = learn(build_model(made), sources, options, Place())
    assert trained.card.scores["validation"]["all"]["iou"] > 0.8


def test_samples_keep_what_is_ice(tmp_path):
    path = save_samples([sample(), disc_sample()], tmp_path / "s.npz", about={})
    found, _ = load_samples(path)
    assert [one.ice for one in found] == [(1, 2), (1,)]
    assert (found[0].label == kinds()).all()


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_world(tmp_path, monkeypatch)
    return tmp_path


def read(place, labels, made=None, **columns):
    row = Row(str(place / "scene.tif"), str(place / labels), **columns)
    with ExitStack() as closing:
        [source] = open_sources([row], made or card(), closing)
        assert source.ice == ice_labels((made or card()).told)
        return source.read(0, 0, *source.shape)[1]


def test_numbers_and_columns_become_classes(place):
    write_tif(place / "plain.tif", kinds()[None], GRID)
    write_tif(place / "other.tif", np.array([7, 5, 6], "uint8")[kinds()][None], GRID)
    assert (read(place, "plain.tif") == kinds()).all()
    assert (read(place, "other.tif", legend="7=background;5=debris;6=ice") == kinds()).all()
    ignored = read(place, "other.tif", legend="7=background;5=debris;6=ice", ignore="5")
    assert (ignored == np.where(kinds() == 1, IGNORED, kinds())).all()
    tongue, bit = box((70, 105), (50, 70)), box((20, 24), (50, 70))
    write_outlines(place / "o.gpkg", [tongue, bit], rule=np.array(["DC", "CI"], object))
    expected = np.zeros_like(kinds())
    expected[70:105, 50:70], expected[20:24, 50:70] = 1, 2
    found = read(place, "o.gpkg", label_field="rule", legend="DC=debris,CI=ice")
    assert (found == expected).all()


def test_a_class_map_of_ours_names_its_classes(place):
    run_command(
        "predict", "scene.tif", "--model", "by-bands.safetensors", "-o", "p.tif",
        "--class-map", "c.tif",
    )  # fmt: skip
    swapped = card(names=("ice", "background", "debris"))
    assert (read(place, "c.tif", swapped) == np.array([1, 2, 0], np.uint8)[kinds()]).all()


def test_labels_of_ice_do_for_networks_with_one_class_of_ice(place):
    write_tif(place / "mask.tif", (kinds() > 0)[None].astype("uint8"), GRID)
    made = card(names=("glacier", "background"), ice=("glacier",))
    assert (read(place, "mask.tif", made) == (kinds() == 0)).all()
    three = card(names=("lake", "ice", "background"), ice=("ice",))
    assert (read(place, "mask.tif", three, positive="1") == np.where(kinds() > 0, 1, 2)).all()


@pytest.mark.parametrize(
    ("labels", "columns", "said"),
    [
        ("plain.tif", {"positive": "1,2"}, "tell ice from other ground, and the network tells"),
        ("o.gpkg", {}, "label_field of a manifest, --field of adapt"),
        ("o.gpkg", {"label_field": "rule"}, "name the classes CI, DC, and the network tells"),
        ("plain.tif", {"legend": "0=background;1=lake;2=ice"}, "name the classes lake"),
        ("plain.tif", {"legend": "0,1"}, "no list of values and classes"),
    ],
)
def test_labels_that_do_not_tell_the_classes_are_refused(place, labels, columns, said):
    write_tif(place / "plain.tif", kinds()[None], GRID)
    boxes = [box((70, 105), (50, 70)), box((20, 24), (50, 70))]
    write_outlines(place / "o.gpkg", boxes, rule=np.array(["DC", "CI"], object))
    with pytest.raises(OptionError, match=said):
        read(place, labels, **columns)


def test_a_network_of_one_class_takes_no_legend(place):
    write_tif(place / "plain.tif", kinds()[None], GRID)
    row = Row("scene.tif", "plain.tif", legend="0=a;1=b")
    with pytest.raises(OptionError, match="are for networks of several classes"):
        FileSource(row, tiny_card())


def test_from_a_manifest_to_areas_of_classes(place):
    write_tif(place / "lab.tif", kinds()[None], GRID)
    (place / "scenes.csv").write_text(
        "scene,labels,split\nscene.tif,lab.tif,train\nscene.tif,lab.tif,validation\n"
    )
    quickly = ("--patch-px", 64, "--batch", 2, "--epochs", 1, "--epoch-patches", 4, "--ema", 0,
               "--device", "cpu", "--precision", "fp32", "--loss", "ce")  # fmt: skip
    run_command(
        "train", "scenes.csv", "-o", "m.safetensors", "--classes", "background,debris,ice",
        "--ice", "debris,ice", *quickly,
    )  # fmt: skip
    made = load_network(place / "m.safetensors").card
    assert (made.classes, made.ice) == (NAMES, ("debris", "ice"))
    assert "iou_debris" in made.scores["validation"]["all"]
    run_command("predict", "scene.tif", "--model", "m.safetensors", "-o", "p.tif")
    run_command("train", "scenes.csv", "--export", "s.npz", *quickly, "--init", "m.safetensors")
    line = run_command("train", "s.npz", "-o", "n.safetensors", *quickly, code=6)
    assert "its classes differ" in line.replace("or its classes", "its classes")
    shown = json.loads(run_command("models", "show", "m.safetensors").stdout)
    assert shown["ice"] == ["debris", "ice"]


def test_classes_on_the_command_line_are_checked():
    made = load_preset("starter").card
    assert with_classes(made, None, None) == made
    assert with_classes(made, "background, glacier", None).classes == ("background", "glacier")
    with pytest.raises(OptionError, match="no ice is named"):
        with_classes(made, "background,debris,ice", None)
