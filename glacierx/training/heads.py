"""What a network's planes say of ice, whether it has one plane or one for each class."""

from collections.abc import Sequence

import torch
from torch import Tensor


def logit_of_ice(mask: Tensor, ice: Sequence[int]) -> Tensor:
    """Return the logit of the probability of ice (batch, rows, columns).

    Of a softmax the odds of classes together are the sum of theirs over that of the others.

    Args:
        mask: Logits (batch, classes, rows, columns).
        ice: Planes of the classes that are glacier.
    """
    if mask.shape[1] == 1:
        return mask[:, 0]
    others = [plane for plane in range(mask.shape[1]) if plane not in ice]
    mask = mask.float()
    return torch.logsumexp(mask[:, list(ice)], dim=1) - torch.logsumexp(mask[:, others], dim=1)


def probability_of_label(mask: Tensor, label: Tensor, known: Tensor) -> Tensor:
    """Return how likely a softmax holds the class of each label; 1 where none is known.

    Args:
        mask: Logits (batch, classes, rows, columns).
        label: Number of the class (batch, rows, columns).
        known: True where it is one.
    """
    p = torch.softmax(mask.float(), dim=1)
    own = p.gather(1, torch.where(known, label.long(), 0)[:, None])[:, 0]
    return torch.where(known, own, 1.0)
