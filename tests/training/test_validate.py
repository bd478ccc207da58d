import numpy as np
import pytest
import torch
from factories import LOOKS, disc, disc_sample, tiny_card
from sklearn.metrics import balanced_accuracy_score, f1_score, jaccard_score

from glacierx.errors import ModelError
from glacierx.networks.layers import Output
from glacierx.predict.modelfile import build_model
from glacierx.predict.precision import Precision
from glacierx.training.samples import ICE, IGNORED, INVALID, OTHER, Sample
from glacierx.training.validate import (
    Counts,
    Validation,
    View,
    best_temperature,
    joint_minmax,
    planes_of,
    predict_source,
    reliability,
    validate,
)

CPU, FP32 = torch.device("cpu"), Precision("fp32", "cpu")
ROLES = tuple(LOOKS)


def counted(logit, label):
    counts = Counts()
    counts.add(np.asarray(logit, np.float32), np.asarray(label, np.uint8))
    return counts


def guesses(temperature=1.0, count=200_000, seed=0):
    """Logits z, and ice with a probability of sigmoid(z): what is sure is right that often."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 2, count)
    label = random.random(count) < 1 / (1 + np.exp(-z))
    return counted(z * temperature, label)


class Plane(torch.nn.Module):
    """A network that answers with a plane of its input, pixel by pixel."""

    stride = 1

    def __init__(self, plane=0, shift=0.5):
        super().__init__()
        self.plane, self.shift = plane, shift

    def forward(self, inputs):
        return Output(mask=(inputs.x[:, self.plane, None] - self.shift) * 10)


def looked(network, sources, side=64, **more):
    return validate(network, sources, View(ROLES, side, CPU, FP32, **more))


def test_scores_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    logit = random.normal(0, 3, 5000).astype(np.float32)
    logit[:50] = 0.0  # at the threshold itself, which is no ice
    logit[50:60], logit[60:70] = 1e-6, -1e-6
    label = random.choice([OTHER, ICE, INVALID, IGNORED], 5000)
    found = counted(logit, label).scores()
    known = label <= ICE
    truth, said = label[known] == ICE, logit[known] > 0
    assert found["iou"] == jaccard_score(truth, said)
    assert found["f1"] == pytest.approx(f1_score(truth, said))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, said))


def test_scores_without_ice_are_undefined_or_nothing():
    bare = counted([-1, -2], [0, 0]).scores()
    assert np.isnan(bare["iou"])
    assert np.isnan(bare["balanced_accuracy"])
    assert counted([-1, 2], [0, 0]).scores()["iou"] == 0
    validation = Validation({"a": counted([-1], [0]), "b": counted([1], [1])}, 0.5)
    assert validation.value("iou") == 1.0  # the mean over groups where it is defined
    assert validation.rounded()["a"]["iou"] is None
    assert np.isnan(Validation({"a": counted([-1], [0])}, 0.5).value("iou"))
    assert np.isnan(Validation({}, float("nan")).value("iou"))


def test_the_value_is_the_mean_over_groups_and_not_over_pixels():
    large, small = counted(np.ones(1000), np.ones(1000)), counted([1, -1], [1, 1])
    validation = Validation({"large": large, "small": small}, 0.7)
    assert validation.value("iou") == pytest.approx((1 + 0.5) / 2)
    assert validation.value("dice") == 0.7
    assert validation.pooled().scores()["iou"] == pytest.approx(1001 / 1002)


def test_logits_beyond_the_table_count_at_its_ends():
    counts = counted([1e9, -1e9, 15.0, -15.0], [1, 0, 1, 0])
    assert counts.ice[-1] == counts.other[0] == 2


@pytest.mark.parametrize("known", [0.5, 1.0, 3.0])
def test_the_temperature_of_logits_that_were_multiplied_is_found(known):
    # Guo et al. 2017: of logits z T the least entropy is at T, where z is calibrated.
    assert best_temperature(guesses(known)) == pytest.approx(known, rel=0.03)


def test_the_temperature_of_one_class_alone_is_one():
    assert best_temperature(counted([3, 4], [1, 1])) == 1.0
    assert best_temperature(Counts()) == 1.0


def test_a_network_that_is_never_wrong_gets_a_bounded_temperature():
    assert best_temperature(counted([3, -3], [1, 0])) == pytest.approx(0.1, rel=0.01)
    assert best_temperature(counted([3, -3], [0, 1])) == pytest.approx(10, rel=0.01)


def test_probabilities_are_as_often_right_after_scaling():
    counts = guesses(3.0)
    before, after = reliability(counts), reliability(counts, best_temperature(counts))
    assert before["ece"] > 0.1
    assert after["ece"] < 0.01
    assert sum(pixels for *_, pixels in after["bins"]) == 200_000
    for said, seen, pixels in after["bins"]:
        assert said == pytest.approx(seen, abs=4 * 0.5 / np.sqrt(pixels) + 0.01)


def test_the_error_of_calibration_by_hand():
    # Three of four are ice where a probability of 0.5 was said: one bin, 0.25 apart.
    found = reliability(counted([0.0, 0.0, 0.0, 0.0], [1, 1, 1, 0]))
    assert found == {"ece": pytest.approx(0.25), "bins": [[0.5, 0.75, 4]]}


def test_planes_go_to_their_slots_and_absent_ones_are_zero():
    values = np.stack([np.full((2, 2), 5.0), np.full((2, 2), 7.0)]).astype(np.float32)
    planes, present = planes_of(values, ("nir", "green"), ("green", "red", "nir"))
    assert planes[:, 0, 0].tolist() == [7, 0, 5]
    assert present.tolist() == [1, 0, 1]


@pytest.mark.parametrize("side", [16, 32, 64, 256])
def test_tiles_join_to_the_whole(side):
    sample = disc_sample(side=96)
    found = predict_source(Plane(), sample, View(ROLES, side, CPU, FP32))
    assert found == pytest.approx((sample.values[0].astype(np.float32) - 0.5) * 10)


def test_tiles_of_a_network_are_near_the_whole():
    network = build_model(tiny_card()).network
    sample = disc_sample(side=192)
    tiles, whole = (
        predict_source(network, sample, View(ROLES, side, CPU, FP32)) for side in (128, 192)
    )
    assert tiles.shape == whole.shape == (192, 192)
    # They see other means; the logits of an untrained network go the same way all the same.
    assert np.corrcoef(tiles.ravel(), whole.ravel())[0, 1] > 0.8


def test_a_scene_is_scored_by_group_and_by_soft_dice():
    first, second = disc_sample(0, group="a"), disc_sample(1, group="b")
    wrong = Sample("w", second.roles, 1 - second.values, second.label, 10.0, group="b")
    found = looked(Plane(), [first, wrong])
    assert found.groups.keys() == {"a", "b"}
    assert found.scores()["a"]["iou"] > 0.99
    assert found.scores()["b"]["iou"] < 0.01
    p = 1 / (1 + np.exp(-(first.values[0].astype(float) - 0.5) * 10))
    dice = (2 * p[first.label == 1].sum() + 1) / (p.sum() + first.label.sum() + 1)
    assert looked(Plane(), [first]).dice == pytest.approx(dice, rel=1e-5)


def test_what_is_unknown_is_not_scored():
    sample = disc_sample()
    hidden = sample.label.copy()
    hidden[:, 40:] = IGNORED
    half = Sample("h", sample.roles, sample.values, hidden, 10.0)
    counts = looked(Plane(), [half]).pooled()
    assert counts.ice.sum() + counts.other.sum() == 96 * 40
    nothing = Sample("n", sample.roles, sample.values, np.full_like(hidden, INVALID), 10.0)
    # A scene of which nothing is known is no success.
    both = looked(Plane(shift=-5), [half, nothing])
    assert both.dice == looked(Plane(shift=-5), [half]).dice
    assert np.isnan(looked(Plane(), [nothing]).dice)


def test_joint_scaling_goes_by_valid_pixels_of_planes_that_are_there():
    x = torch.tensor([[[[2.0, 4.0]], [[6.0, 99.0]], [[-50.0, -50.0]]]])
    present = torch.tensor([[1.0, 1.0, 0.0]])
    label = torch.tensor([[[0, INVALID]]], dtype=torch.uint8)
    found = joint_minmax(x, present, label)
    assert found.tolist() == [[[[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 0.0]]]]
    nothing = joint_minmax(x, present * 0, label)
    assert (nothing == 0).all()


def test_held_out_tiles_are_scaled_jointly_where_patches_are():
    """As `glacierx.predict.normalise` does: the same network sees the same planes in both."""
    from glacierx.predict.normalise import Normaliser

    sample = disc_sample(side=64)
    dim = Sample("d", sample.roles, (sample.values * 0.1 + 0.4).astype(np.float16),
                 sample.label, 10.0)  # fmt: skip
    network = Plane(shift=0.0)
    found = predict_source(network, dim, View(ROLES, 64, CPU, FP32, jointly=True))
    expected = Normaliser(None, None)(dim.values.astype(np.float32), np.ones((64, 64), bool))
    assert found / 10 == pytest.approx(expected[0], abs=1e-5)


def test_answers_that_are_no_numbers_are_said():
    class Broken(Plane):
        def forward(self, inputs):
            return Output(mask=inputs.x[:, :1] * float("nan"))

    with pytest.raises(ModelError, match=r"no numbers any more\. Give a smaller --lr"):
        looked(Broken(), [disc_sample()])


def test_a_network_is_looked_at_in_evaluation_mode():
    network = build_model(tiny_card()).network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    looked(network, [disc_sample()])
    assert not network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_disc_factory_is_what_the_tests_think():
    sample = disc_sample(side=96, radius=30)
    assert np.array_equal(sample.label == ICE, disc((96, 96), (48, 48), 30))


def test_a_small_scene_is_looked_at_as_it_is_predicted():
    """Beyond a scene smaller than a tile lies its mirror image: a mean over the tile shows it."""

    class Mean(torch.nn.Module):
        def forward(self, inputs):
            mean = inputs.x.mean(dim=(1, 2, 3), keepdim=True)
            return Output(mask=mean.expand(-1, 1, *inputs.x.shape[-2:]))

    ones = np.ones((1, 40, 24), np.float16)
    source = Sample("s", ("nir",), ones, np.zeros((40, 24), np.uint8), 10.0)
    logit = predict_source(Mean(), source, View(("nir",), 64, CPU, FP32))
    assert logit.shape == (40, 24)
    np.testing.assert_allclose(logit, 1.0)
