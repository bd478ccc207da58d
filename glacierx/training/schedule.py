"""The learning rate of each step, in closed form, so that a run goes on where it was killed."""

import math

from glacierx.training.options import TrainOptions

WARM_UP = 0.1
FIRST = 1 / 25


def learning_rate(options: TrainOptions, step: int, steps: int) -> float:
    """Return the learning rate of a step.

    ``one-cycle``: up from a 25th over the first tenth, then down along a cosine (Smith and Topin
    2019, doi:10.1117/12.2520589). ``cosine``: down along one. ``cosine-restarts``: down along
    cosines of growing length (Loshchilov and Hutter 2017, arXiv:1608.03983). ``multistep``: times a
    factor after each of some epochs. ``poly``: down along a power of what is left (Liu et al. 2015,
    arXiv:1506.04579).

    Args:
        options: The schedule and its numbers.
        step: The step, from 0.
        steps: How many there are in all.
    """
    high, low = options.lr, min(options.lr_min, options.lr)
    if options.schedule == "constant":
        return high
    if options.schedule == "cosine-restarts":
        return _down(high, low, _since_restart(options, step * options.epochs / steps))
    if options.schedule == "multistep":
        epoch = step * options.epochs // steps
        passed = sum(epoch >= milestone for milestone in options.milestone_epochs)
        return max(high * options.milestone_factor**passed, low)
    share = step / max(1, steps)
    if options.schedule == "poly":
        return low + (high - low) * float((1 - share) ** options.poly_power)
    if options.schedule == "cosine":
        return _down(high, low, share)
    if share < WARM_UP:
        return _down(high, high * FIRST, 1 - share / WARM_UP)
    return _down(high, low, (share - WARM_UP) / (1 - WARM_UP))


def _down(high: float, low: float, share: float) -> float:
    return low + (high - low) * (1 + math.cos(math.pi * min(1.0, share))) / 2


def _since_restart(options: TrainOptions, epoch: float) -> float:
    """Return which share of its cycle an epoch is at."""
    length = float(options.restart_epochs)
    while epoch >= length:
        epoch -= length
        length *= options.restart_factor
    return epoch / length
