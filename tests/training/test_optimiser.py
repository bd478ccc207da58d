"""Steps of the optimisers, worked out by hand on one weight."""

import math

import pytest
import torch
from torch import nn

from glacierx.errors import OptionError
from glacierx.training.loop import optimizer_of
from glacierx.training.options import TrainOptions

CPU = torch.device("cpu")


class One(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, dtype=torch.float64))


def steps(count, gradient=1.0, **changes):
    """Take steps with the same gradient, from a weight of 1; return the weight after each."""
    network = One()
    optimizer = optimizer_of(network, TrainOptions(lr=0.1, **changes), CPU)
    found = []
    for _ in range(count):
        network.weight.grad = torch.full((1,), gradient, dtype=torch.float64)
        optimizer.step()
        found.append(float(network.weight.detach()))
    return found


def test_sgd_with_momentum():
    # v1 = g, v2 = 0.5 v1 + g; the weight loses lr v.
    found = steps(2, optimiser="sgd", momentum=0.5, weight_decay=0.0)
    assert found == pytest.approx([1 - 0.1, 1 - 0.1 - 0.1 * 1.5])


def test_sgd_after_nesterov_looks_ahead():
    # The step is g + 0.5 v: 1.5 at first, then 1 + 0.5 * 1.5.
    found = steps(2, optimiser="sgd", momentum=0.5, nesterov=True, weight_decay=0.0)
    assert found == pytest.approx([1 - 0.15, 1 - 0.15 - 0.175])


def test_weight_decay_of_sgd_is_part_of_the_gradient():
    assert steps(1, optimiser="sgd", momentum=0.0, weight_decay=0.2) == pytest.approx([1 - 0.12])


@pytest.mark.parametrize("gradient", [1.0, -7.0])
def test_the_first_step_of_adam_is_the_rate(gradient):
    # Both moments start unbiased, so that the step is lr g / |g|.
    [found] = steps(1, gradient, optimiser="adam", weight_decay=0.0)
    assert found == pytest.approx(1 - math.copysign(0.1, gradient), abs=1e-6)


def test_adamw_decays_weights_and_adam_gradients():
    # AdamW: w (1 - lr decay) - lr; Adam: the gradient 1 + decay w still makes a step of lr.
    assert steps(1, optimiser="adamw", weight_decay=0.5) == pytest.approx([0.95 - 0.1], abs=1e-6)
    assert steps(1, optimiser="adam", weight_decay=0.5) == pytest.approx([1 - 0.1], abs=1e-6)


def test_nesterov_needs_momentum():
    with pytest.raises(OptionError, match="--nesterov needs a --momentum above 0"):
        TrainOptions(optimiser="sgd", momentum=0.0, nesterov=True)
