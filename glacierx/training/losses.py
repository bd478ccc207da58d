"""Losses with a mask of what is known, for a sigmoid and for a softmax."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from glacierx.errors import OptionError
from glacierx.training.terms import NAMED, TERMS, parse_loss

LOSSES = (*NAMED, *TERMS)
# No class has more say than one that covers so little of a batch would have.
LEAST_SHARE = 0.05


@dataclass(frozen=True)
class LossOptions:
    """Numbers of the losses.

    Attributes:
        gamma: Exponent of the focal loss.
        smoothing: Share of a label that is given to all classes alike; of entropies only.
        class_weights: What each class counts in weighted entropies, those of no ice and ice for a
            sigmoid; by how rare it is in a batch if there are none.
    """

    gamma: float = 2.0
    smoothing: float = 0.0
    class_weights: Sequence[float] = ()


def loss_of(  # noqa: PLR0913 - what a loss follows from
    name: str,
    logits: Tensor,
    target: Tensor,
    weight: Tensor,
    *,
    gamma: float = 2.0,
    smoothing: float = 0.0,
    class_weights: Sequence[float] = (),
) -> Tensor:
    """Return the loss of a batch.

    ``bce-dice`` is eq. 6 of Chu et al. 2022, (BCE + Dice) / 2; ``weighted-bce`` and ``weighted-ce``
    give all classes the same say; ``focal`` weighs easy pixels down (Lin et al. 2017,
    doi:10.1109/ICCV.2017.324); ``bce-log-jaccard`` is BCE - ln J (Cheng et al. 2021,
    doi:10.5194/tc-15-1663-2021). See `glacierx.training.terms`.

    Args:
        name: One of `LOSSES`, or a weighted sum of them.
        logits: Of ice (batch, rows, columns); or of each class (batch, classes, rows, columns).
        target: 1 ice, 0 not, between where the label is doubted; or the number of the class;
            (batch, rows, columns) both.
        weight: What each pixel counts; 0 where nothing is known.
        gamma: See `LossOptions`.
        smoothing: See `LossOptions`.
        class_weights: See `LossOptions`.

    Returns:
        A number, 0 where nothing at all is known.

    Raises:
        OptionError: There is no such loss, or there are more or fewer weights than classes.
    """
    how = LossOptions(gamma, smoothing, class_weights)
    logits, weight = logits.float(), weight.float()
    total: Tensor | None = None
    if logits.ndim == 3:
        target = target.float()
        find: Callable[..., Tensor] = _of_ice
    else:
        # Whatever stands where nothing is known, as 255, is no class.
        target = torch.where(weight > 0, target.long(), 0)
        find = _of_classes
    for times, term in parse_loss(name):
        found = find(term, logits, target, weight, how)
        found = found if times == 1 else found * times
        total = found if total is None else total + found
    assert total is not None
    return total


def _of_ice(term: str, logits: Tensor, target: Tensor, weight: Tensor, how: LossOptions) -> Tensor:
    if term == "dice":
        return dice(logits, target, weight)
    if term == "log-jaccard":
        return log_jaccard(torch.sigmoid(logits)[:, None], target[:, None], weight)
    soft = target * (1 - how.smoothing) + how.smoothing / 2 if how.smoothing else target
    if term == "focal" and how.smoothing:
        p = torch.sigmoid(logits)
        pixels = -soft * (1 - p) ** how.gamma * F.logsigmoid(logits)
        pixels = pixels - (1 - soft) * p**how.gamma * F.logsigmoid(-logits)
    else:
        pixels = F.binary_cross_entropy_with_logits(logits, soft, reduction="none")
        if term == "focal":
            p = torch.sigmoid(logits)
            pixels = pixels * (p * (1 - target) + (1 - p) * target) ** how.gamma
    say = weight
    if term in ("weighted-bce", "weighted-ce"):
        if how.class_weights:
            other, ice = _given(how.class_weights, 2)
            say = weight * (target * ice + (1 - target) * other)
        else:
            say = weight * _balance(target, weight)
    return (pixels * say).sum() / say.sum().clamp_min(1e-6)


def _of_classes(
    term: str, logits: Tensor, target: Tensor, weight: Tensor, how: LossOptions
) -> Tensor:
    count = logits.shape[1]
    hot = F.one_hot(target, count).movedim(-1, 1).to(logits.dtype)
    if term == "dice":
        p = torch.softmax(logits, dim=1)
        each = [dice_of(p[:, one], hot[:, one], weight) for one in range(count)]
        return torch.stack(each).mean()
    if term == "log-jaccard":
        return log_jaccard(torch.softmax(logits, dim=1), hot, weight)
    log_p = torch.log_softmax(logits, dim=1)
    soft = hot * (1 - how.smoothing) + how.smoothing / count if how.smoothing else hot
    pixels = -soft * log_p
    if term == "focal":
        # The gradient of a power below one is not finite at nothing.
        pixels = pixels * (-torch.expm1(log_p)).clamp_min(1e-12) ** how.gamma
    entropy = pixels.sum(dim=1)
    say = weight
    if term in ("weighted-bce", "weighted-ce"):
        share = (hot * weight[:, None]).sum(dim=(0, 2, 3)) / weight.sum().clamp_min(1e-6)
        own = 1 / (count * share.clamp(LEAST_SHARE, 1 - LEAST_SHARE))
        if how.class_weights:
            own = logits.new_tensor(_given(how.class_weights, count))
        say = weight * own[target]
    return (entropy * say).sum() / say.sum().clamp_min(1e-6)


def dice(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the Dice loss of logits of ice; see `dice_of`."""
    return dice_of(torch.sigmoid(logits), target, weight)


def dice_of(p: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return 1 - (2 sum(p g) + 1) / (sum(p) + sum(g) + 1), the mean over samples that know any.

    The form of Chu et al.'s code; their printed eq. 4 lacks the factor 2.

    Args:
        p: Probabilities (batch, rows, columns).
        target: 1 where the class is, 0 where not.
        weight: What each pixel counts.
    """
    p = p * weight
    g = target * weight
    both = (p * target).sum(dim=(1, 2))
    each = 1 - (2 * both + 1) / (p.sum(dim=(1, 2)) + g.sum(dim=(1, 2)) + 1)
    return _mean_known(each, weight)


def log_jaccard(p: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return -ln((sum(p g) + 1) / (sum(p) + sum(g) - sum(p g) + 1)), the mean over what knows any.

    The ones, which are ours as in `dice_of`, keep a patch without the class from infinity.

    Args:
        p: Probabilities (batch, classes, rows, columns).
        target: 1 where the class is, 0 where not.
        weight: What each pixel counts (batch, rows, columns).
    """
    counts = weight[:, None]
    both = (p * target * counts).sum(dim=(2, 3))
    either = (p * counts).sum(dim=(2, 3)) + (target * counts).sum(dim=(2, 3)) - both
    each = torch.log(either + 1) - torch.log(both + 1)
    return _mean_known(each.mean(dim=1), weight)


def _mean_known(each: Tensor, weight: Tensor) -> Tensor:
    counts = (weight.sum(dim=(1, 2)) > 0).float()
    return (each * counts).sum() / counts.sum().clamp_min(1)


def _given(weights: Sequence[float], count: int) -> Sequence[float]:
    if len(weights) != count:
        raise OptionError(
            f"--class-weights has {len(weights)} numbers, and the network tells {count} classes "
            "apart. Give one for each, in the order of the card."
        )
    return weights


def _balance(target: Tensor, weight: Tensor) -> Tensor:
    """Return weights that give both classes half of the say, at most tenfold."""
    share = ((target * weight).sum() / weight.sum().clamp_min(1e-6)).clamp(
        LEAST_SHARE, 1 - LEAST_SHARE
    )
    return target / (2 * share) + (1 - target) / (2 * (1 - share))
