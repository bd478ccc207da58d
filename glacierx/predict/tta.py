"""Flipped and rotated views and their inverses."""

import torch
from torch import Tensor

# Quarter turns, then whether columns are flipped. Two turns and a flip are the flip of rows.
VIEWS: dict[str, tuple[tuple[int, bool], ...]] = {
    "none": ((0, False),),
    "chu6": ((0, False), (0, True), (2, True), (2, False), (3, False), (1, False)),
    "d4": tuple((turns, flip) for flip in (False, True) for turns in range(4)),
}
"""Sets of views: chu6 is that of Chu et al. 2022, d4 all symmetries of the square."""


def turn(x: Tensor, view: tuple[int, bool]) -> Tensor:
    """Show a batch (..., rows, columns) in a view."""
    turns, flip = view
    x = torch.rot90(x, turns, (-2, -1))
    return x.flip(-1) if flip else x


def turn_back(x: Tensor, view: tuple[int, bool]) -> Tensor:
    """Undo `turn` exactly."""
    turns, flip = view
    x = x.flip(-1) if flip else x
    return torch.rot90(x, -turns, (-2, -1))
