"""Losses with a mask of what is known."""

import torch
import torch.nn.functional as F
from torch import Tensor

LOSSES = ("bce-dice", "weighted-bce-dice", "focal-dice", "bce", "dice")


def loss_of(
    name: str, logits: Tensor, target: Tensor, weight: Tensor, *, gamma: float = 2.0
) -> Tensor:
    """Return the loss of a batch.

    ``bce-dice`` is eq. 6 of Chu et al. 2022, (BCE + Dice) / 2; ``weighted-bce-dice`` gives ice and
    other ground the same say in BCE; ``focal-dice`` weighs easy pixels down (Lin et al. 2017,
    doi:10.1109/ICCV.2017.324).

    Args:
        name: One of `LOSSES`.
        logits: Of ice (batch, rows, columns).
        target: 1 ice, 0 not; between, where the label is doubted.
        weight: What each pixel counts; 0 where nothing is known.
        gamma: Exponent of the focal loss.

    Returns:
        A number, 0 where nothing at all is known.
    """
    logits, target, weight = logits.float(), target.float(), weight.float()
    if name == "dice":
        return dice(logits, target, weight)
    pixels = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    if name == "focal-dice":
        p = torch.sigmoid(logits)
        pixels = pixels * (p * (1 - target) + (1 - p) * target) ** gamma
    say = weight * _balance(target, weight) if name == "weighted-bce-dice" else weight
    entropy = (pixels * say).sum() / say.sum().clamp_min(1e-6)
    if name == "bce":
        return entropy
    return (entropy + dice(logits, target, weight)) / 2


def dice(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return 1 - (2 sum(p g) + 1) / (sum(p) + sum(g) + 1), the mean over samples that know any.

    The form of Chu et al.'s code; their printed eq. 4 lacks the factor 2.
    """
    p = torch.sigmoid(logits) * weight
    g = target * weight
    both = (p * target).sum(dim=(1, 2))
    each = 1 - (2 * both + 1) / (p.sum(dim=(1, 2)) + g.sum(dim=(1, 2)) + 1)
    counts = (weight.sum(dim=(1, 2)) > 0).float()
    return (each * counts).sum() / counts.sum().clamp_min(1)


def _balance(target: Tensor, weight: Tensor) -> Tensor:
    """Return weights that give both classes half of the say, at most tenfold."""
    share = ((target * weight).sum() / weight.sum().clamp_min(1e-6)).clamp(0.05, 0.95)
    return target / (2 * share) + (1 - target) / (2 * (1 - share))
