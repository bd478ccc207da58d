import math

import pytest
import torch
from torch.optim.lr_scheduler import (
    CosineAnnealingWarmRestarts,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
)

from glacierx.errors import OptionError
from glacierx.training.loop import steps_of
from glacierx.training.options import TrainOptions
from glacierx.training.preset import load_preset
from glacierx.training.schedule import learning_rate


def rates(options, steps):
    return [learning_rate(options, step, steps) for step in range(steps)]


def of_torch(make, steps, lr):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_restarts_are_those_of_torch():
    options = TrainOptions(
        schedule="cosine-restarts", epochs=14, restart_epochs=2, restart_factor=2,
        lr=1e-3, lr_min=1e-5,
    )  # fmt: skip
    per_epoch = 5
    expected = of_torch(
        lambda optimizer: CosineAnnealingWarmRestarts(
            optimizer, T_0=2 * per_epoch, T_mult=2, eta_min=1e-5
        ),
        14 * per_epoch,
        1e-3,
    )
    assert rates(options, 14 * per_epoch) == pytest.approx(expected)


def test_chu_learn_for_whole_cycles():
    options = load_preset("chu2022").train_options()
    assert sum(2**cycle for cycle in range(1, 7)) == options.epochs == 126
    per_epoch, steps = steps_of(options)
    assert (per_epoch, steps) == (1080, 1080 * 126)  # 3,240 tiles in batches of 3
    starts = [2 * (2**cycle - 1) * per_epoch for cycle in range(7)]
    assert starts[-1] == steps
    for start in starts[:-1]:
        assert learning_rate(options, start, steps) == pytest.approx(1e-4)
    for start in starts[1:]:
        # The last step of a cycle is a step short of its end.
        assert learning_rate(options, start - 1, steps) == pytest.approx(1e-6, rel=0.01)
    middle = learning_rate(options, per_epoch, steps)
    assert middle == pytest.approx((1e-4 + 1e-6) / 2)


def test_chu_are_taken_over_as_published():
    preset = load_preset("chu2022")
    options = preset.train_options()
    assert preset.card.roles == ("blue", "green", "red", "nir")
    assert preset.card.normalisation.kind == "joint-minmax-patch"
    assert preset.card.tta == "chu6"
    assert (options.lr, options.weight_decay, options.loss) == (1e-4, 1e-3, "bce-dice")
    assert (options.metric, options.augment, options.ema) == ("dice", "flips", 0)
    assert (options.scale_low, options.scale_high, options.band_dropout) == (1, 1, 0)


def test_one_cycle_rises_from_a_25th_over_a_tenth_and_ends_low():
    options = TrainOptions(schedule="one-cycle", lr=1e-2, lr_min=1e-6)
    found = rates(options, 1000)
    assert found[0] == pytest.approx(1e-2 / 25)
    assert found.index(max(found)) == 100
    assert found[100] == pytest.approx(1e-2)
    assert found[50] == pytest.approx((1e-2 + 1e-2 / 25) / 2)
    assert found[550] == pytest.approx((1e-2 + 1e-6) / 2)
    assert found[-1] == pytest.approx(1e-6, abs=1e-7)
    assert found[:101] == sorted(found[:101])
    assert found[100:] == sorted(found[100:], reverse=True)


def test_one_cycle_is_that_of_torch():
    options = TrainOptions(schedule="one-cycle", lr=1e-2, lr_min=1e-6)
    steps = 1001
    # PyTorch's rise takes a step less than a share of the steps, and its last step is the end.
    expected = of_torch(
        lambda optimizer: OneCycleLR(
            optimizer, max_lr=1e-2, total_steps=steps, pct_start=101 / steps, div_factor=25,
            final_div_factor=1e-2 / 25 / 1e-6, cycle_momentum=False,
        ),
        steps - 1,
        1e-2,
    )  # fmt: skip
    assert rates(options, 1000) == pytest.approx(expected)


def test_cosine_and_constant():
    options = TrainOptions(schedule="cosine", lr=1e-3, lr_min=0.0)
    found = rates(options, 100)
    assert found == pytest.approx([5e-4 * (1 + math.cos(math.pi * k / 100)) for k in range(100)])
    assert set(rates(TrainOptions(schedule="constant", lr=3e-4), 10)) == {3e-4}


def test_multistep_is_that_of_torch():
    options = TrainOptions(
        schedule="multistep", milestones="2,5", milestone_factor=0.1, epochs=7, lr=0.01, lr_min=0
    )
    expected = of_torch(
        lambda optimizer: MultiStepLR(optimizer, milestones=[2 * 4, 5 * 4], gamma=0.1), 28, 0.01
    )
    assert rates(options, 28) == pytest.approx(expected)
    assert rates(options, 28)[8] == pytest.approx(1e-3)


def test_diaconu_lower_the_rate_after_10_and_25_of_50_epochs():
    options = load_preset("diaconu2023").train_options()
    per_epoch, steps = steps_of(options)
    for epoch, rate in ((0, 1e-2), (9, 1e-2), (10, 1e-3), (24, 1e-3), (25, 1e-4), (49, 1e-4)):
        assert learning_rate(options, epoch * per_epoch, steps) == pytest.approx(rate)


def test_poly_is_that_of_torch():
    options = TrainOptions(schedule="poly", poly_power=0.9, lr=1e-2, lr_min=0)
    expected = of_torch(
        lambda optimizer: PolynomialLR(optimizer, total_iters=50, power=0.9), 50, 1e-2
    )
    assert rates(options, 50) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "10;25", "25,10", "10,10", "ten", "-3", "1.5"])
def test_milestones_are_epochs_in_order(text):
    with pytest.raises(OptionError, match="--milestones is"):
        TrainOptions(milestones=text)


def test_the_lowest_rate_is_never_above_the_highest():
    found = rates(TrainOptions(schedule="cosine", lr=1e-7, lr_min=1e-6), 10)
    assert set(found) == {1e-7}


@pytest.mark.parametrize(
    "schedule",
    ["one-cycle", "cosine", "cosine-restarts", "constant", "multistep", "poly"],
)
def test_a_run_of_one_step_has_a_rate(schedule):
    assert 0 < learning_rate(TrainOptions(schedule=schedule, epochs=1), 0, 1) <= 1e-3


def test_a_step_is_batches_that_are_accumulated():
    options = TrainOptions(epoch_patches=1000, batch=8, accumulate=5, epochs=3)
    assert steps_of(options) == (25, 75)
    assert steps_of(TrainOptions(epoch_patches=1, batch=8, epochs=3)) == (1, 3)
