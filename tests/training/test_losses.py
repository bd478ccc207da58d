import math

import pytest
import torch

from glacierx.training.losses import LOSSES, dice, loss_of

LOG3 = math.log(3.0)  # the logit of a probability of 3 / 4


def batch(*rows):
    return torch.tensor(rows, dtype=torch.float32)[None]


# One patch of four pixels: ice seen, ice missed, rock seen, rock taken for ice.
LOGITS = batch([LOG3, -LOG3], [-LOG3, LOG3])
TARGET = batch([1, 1], [0, 0])
ALL = torch.ones_like(TARGET)


def value(name, logits=LOGITS, target=TARGET, weight=ALL, **more):
    return float(loss_of(name, logits, target, weight, **more))


def test_the_entropy_of_four_pixels():
    # Two are right with 3/4, two wrong with 3/4: the mean of -log(3/4) and -log(1/4).
    assert value("bce") == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


def test_dice_of_chu_has_the_factor_two():
    # sum(p g) = 3/4 + 1/4, sum(p) = sum(g) = 2: 1 - (2 x 1 + 1) / (2 + 2 + 1).
    assert value("dice") == pytest.approx(1 - 3 / 5)
    # A mask that is right has no loss; their printed eq. 4, without the factor, gives a half.
    assert value("dice", logits=(TARGET * 2 - 1) * 50) == pytest.approx(0, abs=1e-6)


def test_dice_is_the_mean_over_patches_not_over_pixels():
    wrong = torch.cat([LOGITS, (1 - TARGET * 2) * 50])
    # The second patch misses all: sum(p g) = 0, sum(p) = sum(g) = 2.
    found = value("dice", wrong, TARGET.repeat(2, 1, 1), ALL.repeat(2, 1, 1))
    assert found == pytest.approx(((1 - 3 / 5) + (1 - 1 / 5)) / 2)


def test_the_sum_of_two_losses_is_halved():
    assert value("bce-dice") == pytest.approx((value("bce") + value("dice")) / 2)


def test_the_focal_loss_weighs_by_the_error_to_the_gamma():
    # Lin et al. 2017: (1 - p_t)^2 -log(p_t), with p_t = 3/4 and 1/4.
    focal = ((1 / 4) ** 2 * math.log(4 / 3) + (3 / 4) ** 2 * math.log(4)) / 2
    assert value("focal-dice") == pytest.approx((focal + value("dice")) / 2)
    assert value("focal-dice", gamma=0.0) == pytest.approx(value("bce-dice"))


def test_classes_have_the_same_say_when_weighted():
    # One pixel of ice in four, missed; the others right.
    target = batch([1, 0], [0, 0])
    logits = batch([-LOG3, -LOG3], [-LOG3, -LOG3])
    entropy = (math.log(4) + math.log(4 / 3)) / 2  # the mean of the means of the classes
    assert value("weighted-bce-dice", logits, target) == pytest.approx(
        (entropy + value("dice", logits, target)) / 2
    )
    # With as much of the one as of the other nothing changes.
    assert value("weighted-bce-dice") == pytest.approx(value("bce-dice"))


def test_the_say_of_a_rare_class_is_bounded():
    # One pixel in 400 counts as one in 20 would: 1 / (2 x 0.05) = 10.
    target = torch.zeros(1, 20, 20)
    target[0, 0, 0] = 1
    weight = torch.ones_like(target)
    logits = torch.zeros_like(target)
    both = value("weighted-bce-dice", logits, target, weight)
    assert both == pytest.approx((math.log(2) + value("dice", logits, target, weight)) / 2)
    tilted = torch.where(target > 0, -LOG3, -LOG3)
    rare, rest = 10.0, 399 / (2 * 0.95)
    entropy = (rare * math.log(4) + rest * math.log(4 / 3)) / (rare + rest)
    expected = (entropy + value("dice", tilted, target, weight)) / 2
    assert value("weighted-bce-dice", tilted, target, weight) == pytest.approx(expected)


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_not_known_changes_nothing_and_has_no_gradient(name):
    known = batch([1, 0], [1, 0])
    random = torch.Generator().manual_seed(0)
    found = []
    for _ in range(2):
        noise = 20 * torch.randn(LOGITS.shape, generator=random)
        logits = torch.where(known > 0, LOGITS, noise).requires_grad_()
        target = torch.where(known > 0, TARGET, (noise > 0).float())
        loss = loss_of(name, logits, target, known)
        loss.backward()
        assert (logits.grad[known == 0] == 0).all()
        assert (logits.grad[known > 0] != 0).all()
        found.append(loss.item())
    assert found[0] == found[1]
    # The same as a patch of the known pixels alone.
    alone = loss_of(name, LOGITS[:, :, :1], TARGET[:, :, :1], ALL[:, :, :1])
    assert found[0] == pytest.approx(float(alone))


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_known_is_no_loss_and_no_gradient(name):
    logits = LOGITS.clone().requires_grad_()
    loss = loss_of(name, logits, TARGET, torch.zeros_like(TARGET))
    loss.backward()
    assert float(loss.detach()) == 0
    assert (logits.grad == 0).all()


def test_a_patch_of_which_nothing_is_known_does_not_dilute_dice():
    both = dice(LOGITS.repeat(2, 1, 1), TARGET.repeat(2, 1, 1), torch.cat([ALL, ALL * 0]))
    assert float(both) == pytest.approx(value("dice"))


@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_of_16_bits_stay_numbers(name):
    logits = (TARGET * 2 - 1).mul(-60000).half().requires_grad_()
    loss = loss_of(name, logits, TARGET, ALL)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_falls_along_its_gradient(name):
    logits = LOGITS.clone().requires_grad_()
    for _ in range(200):
        loss = loss_of(name, logits, TARGET, ALL)
        [slope] = torch.autograd.grad(loss, logits)
        logits = (logits - 5 * slope).detach().requires_grad_()
    assert ((logits > 0) == (TARGET > 0)).all()


def test_a_doubted_label_lies_between():
    # At a target of a half the least entropy is at a probability of a half.
    half = TARGET * 0 + 0.5
    logits = torch.zeros_like(TARGET).requires_grad_()
    loss_of("bce", logits, half, ALL).backward()
    assert logits.grad.abs().max() == 0
