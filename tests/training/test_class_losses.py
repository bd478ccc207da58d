import math

import pytest
import torch
from torch.nn import functional

from glacierx.errors import OptionError
from glacierx.training.losses import LOSSES, loss_of
from glacierx.training.options import TrainOptions
from glacierx.training.terms import parse_loss, parse_weights

# Two pixels of three classes: probabilities 1/2, 1/4, 1/4 and 1/8, 1/8, 3/4.
P = torch.tensor([[1 / 2, 1 / 4, 1 / 4], [1 / 8, 1 / 8, 3 / 4]])
LOGITS = P.log().T[None, :, None, :]
TARGET = torch.tensor([[[0, 1]]])
ALL = torch.ones(1, 1, 2)


def value(name, logits=LOGITS, target=TARGET, weight=ALL, **more):
    return float(loss_of(name, logits, target, weight, **more))


def sure(target, count=3):
    """Logits that leave no doubt of a target."""
    return 60.0 * functional.one_hot(target, count).movedim(-1, 1).float()


def test_entropies_of_two_pixels():
    assert value("ce") == pytest.approx((math.log(2) + math.log(8)) / 2)
    assert value("bce") == value("ce")
    # (1 - 1/2)^2 ln 2 and (1 - 1/8)^2 ln 8.
    focal = (0.25 * math.log(2) + (7 / 8) ** 2 * math.log(8)) / 2
    assert value("focal") == pytest.approx(focal)
    assert value("focal", gamma=0.0) == pytest.approx(value("ce"))


def test_smoothing_gives_a_share_of_the_label_to_all_classes():
    # A share of .3 leaves .8 for the class and .1 for each other.
    first = -(0.8 * math.log(1 / 2) + 0.2 * math.log(1 / 4))
    second = -(0.8 * math.log(1 / 8) + 0.1 * math.log(1 / 8) + 0.1 * math.log(3 / 4))
    assert value("ce", smoothing=0.3) == pytest.approx((first + second) / 2)
    # Of one class: .85 and .15 for a share of .3 of two.
    logits = torch.tensor([[[math.log(3.0)]]])
    found = value("bce", logits, torch.ones(1, 1, 1), torch.ones(1, 1, 1), smoothing=0.3)
    assert found == pytest.approx(-(0.85 * math.log(3 / 4) + 0.15 * math.log(1 / 4)))
    # The focal loss of a smoothed label: (1 - p)^2 times each part.
    focal = -(0.85 / 16 * math.log(3 / 4) + 0.15 * 9 / 16 * math.log(1 / 4))
    found = value("focal", logits, torch.ones(1, 1, 1), torch.ones(1, 1, 1), smoothing=0.3)
    assert found == pytest.approx(focal)


def test_the_floor_of_a_smoothed_label_is_its_entropy():
    # The least cross-entropy with (.8, .1, .1) is at these probabilities.
    best = torch.tensor([0.8, 0.1, 0.1]).log()[None, :, None, None]
    floor = -(0.8 * math.log(0.8) + 0.2 * math.log(0.1))
    one = torch.ones(1, 1, 1)
    target = torch.zeros(1, 1, 1, dtype=torch.long)
    assert value("ce", best, target, one, smoothing=0.3) == pytest.approx(floor)
    assert value("ce", best + torch.randn(1, 3, 1, 1), target, one, smoothing=0.3) > floor


def test_dice_is_the_mean_over_classes():
    # Sums of p: 5/8, 3/8, 1; of g: 1, 1, 0; of both: 1/2, 1/8, 0.
    each = [1 - (1 + 1) / (5 / 8 + 2), 1 - (1 / 4 + 1) / (3 / 8 + 2), 1 - 1 / (1 + 1)]
    assert value("dice") == pytest.approx(sum(each) / 3)
    # Unions: 5/8 + 1 - 1/2, 3/8 + 1 - 1/8, 1.
    each = [math.log(17 / 8 / (3 / 2)), math.log(9 / 4 / (9 / 8)), math.log(2)]
    assert value("log-jaccard") == pytest.approx(sum(each) / 3)


def test_the_jaccard_index_of_ice():
    # Probabilities of 3/4 and 1/4 of ice and of none: both 3/4, either 3/4 + 1/4 + 1 - 3/4.
    logits = torch.tensor([[[math.log(3.0), -math.log(3.0)]]])
    target = torch.tensor([[[1.0, 0.0]]])
    jaccard = math.log((1.25 + 1) / (0.75 + 1))
    assert value("log-jaccard", logits, target) == pytest.approx(jaccard)
    assert value("bce-log-jaccard", logits, target) == pytest.approx(jaccard + math.log(4 / 3))


def test_rare_classes_have_the_say_of_the_others():
    # Three pixels of the first class and one of the second: weights 1/(3 x 3/4) and 1/(3 x 1/4).
    p = torch.tensor([[1 / 2, 1 / 4, 1 / 4]] * 4)
    logits, target = p.log().T[None, :, None], torch.tensor([[[0, 0, 0, 1]]])
    all_four = torch.ones(1, 1, 4)
    expected = (3 / 2.25 * math.log(2) + 1 / 0.75 * math.log(4)) / (3 / 2.25 + 1 / 0.75)
    assert value("weighted-ce", logits, target, all_four) == pytest.approx(expected)
    given = value("weighted-ce", logits, target, all_four, class_weights=(1, 5, 2))
    assert given == pytest.approx((3 * math.log(2) + 5 * math.log(4)) / 8)
    # A factor of all weights changes nothing.
    twice = value("weighted-ce", logits, target, all_four, class_weights=(2, 10, 4))
    assert twice == pytest.approx(given)
    with pytest.raises(OptionError, match="2 numbers, and the network tells 3 classes apart"):
        value("weighted-ce", class_weights=(1, 2))


def test_ice_can_count_more_than_other_ground():
    logits = torch.tensor([[[-math.log(3.0), -math.log(3.0)]]])
    target = torch.tensor([[[1.0, 0.0]]])
    found = value("weighted-bce", logits, target, class_weights=(1, 5))
    assert found == pytest.approx((5 * math.log(4) + math.log(4 / 3)) / 6)


@pytest.mark.parametrize("name", ["ce", "focal", "weighted-ce"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_softmax_of_nothing_and_z_is_a_sigmoid_of_z(name, smoothing):
    random = torch.Generator().manual_seed(3)
    z = 3 * torch.randn(2, 5, 7, generator=random)
    target = (torch.rand(2, 5, 7, generator=random) < 0.3).long()
    weight = torch.rand(2, 5, 7, generator=random)
    two = torch.stack([torch.zeros_like(z), z], dim=1)
    one = value(name, z, target.float(), weight, smoothing=smoothing)
    assert value(name, two, target, weight, smoothing=smoothing) == pytest.approx(one, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_right_costs_nothing(name):
    target = torch.tensor([[[0, 1, 2, 1]]])
    assert value(name, sure(target), target, torch.ones(1, 1, 4)) == pytest.approx(0, abs=1e-6)
    ice = torch.tensor([[[0.0, 1.0, 1.0]]])
    found = value(name, 60 * (2 * ice - 1), ice, torch.ones(1, 1, 3))
    assert found == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_not_known_changes_nothing_and_has_no_gradient(name):
    weight = torch.tensor([[[1.0, 1.0, 0.0]]])
    found = []
    for noise, label in ((100.0, 255), (-7.0, 2)):
        more = torch.tensor([noise, -noise, 0.0])[None, :, None, None]
        logits = torch.cat([LOGITS, more], dim=3).requires_grad_()
        target = torch.tensor([[[0, 1, label]]], dtype=torch.uint8)
        loss = loss_of(name, logits, target, weight, smoothing=0.1)
        loss.backward()
        assert (logits.grad[..., 2] == 0).all()
        assert (logits.grad[..., :2] != 0).all()
        found.append(loss.item())
    assert found[0] == found[1]
    assert found[0] == pytest.approx(value(name, smoothing=0.1))


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_known_is_no_loss(name):
    logits = LOGITS.clone().requires_grad_()
    loss = loss_of(name, logits, TARGET * 0 + 255, torch.zeros_like(ALL))
    loss.backward()
    assert float(loss.detach()) == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("name", [*LOSSES, "0.3*focal+2*log-jaccard"])
def test_gradients_are_those_of_differences(name):
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 2, 2, generator=random)
    target = torch.randint(3, (2, 2, 2), generator=random)
    weight = torch.rand(2, 2, 2, generator=random)
    start = logits.clone().requires_grad_()
    loss_of(name, start, target, weight, smoothing=0.1).backward()
    step = 1e-2
    for at in ((0, 0, 0, 0), (0, 2, 1, 0), (1, 1, 1, 1)):
        ends = []
        for sign in (1, -1):
            moved = logits.clone()
            moved[at] += sign * step
            ends.append(value(name, moved, target, weight, smoothing=0.1))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert float(start.grad[at]) == pytest.approx(slope, abs=2e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_of_16_bits_stay_numbers(name):
    logits = (sure(2 - TARGET) * 1000).half().requires_grad_()
    loss = loss_of(name, logits, TARGET, ALL, gamma=0.5)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_sums_are_sums():
    assert parse_loss("0.5*ce+0.5*dice") == parse_loss("ce-dice") == ((0.5, "ce"), (0.5, "dice"))
    assert parse_loss(" 2 * bce-dice + focal") == ((1, "bce"), (1, "dice"), (1, "focal"))
    assert value("0.3*focal+2*dice") == pytest.approx(0.3 * value("focal") + 2 * value("dice"))
    assert value("weighted-ce-dice") == pytest.approx((value("weighted-ce") + value("dice")) / 2)


@pytest.mark.parametrize(
    "text", ["", "bce+", "hinge", "-1*bce", "x*bce", "0*dice", "bce*2", "nan*bce"]
)
def test_what_is_no_sum_is_refused(text):
    with pytest.raises(OptionError, match="It takes sums, such as"):
        TrainOptions(loss=text)


@pytest.mark.parametrize("text", ["", "1,", "1,-2", "0", "inf", "a"])
def test_what_are_no_weights_is_refused(text):
    with pytest.raises(OptionError, match="It takes numbers above 0"):
        TrainOptions(class_weights=text)
    assert parse_weights(None) == ()
