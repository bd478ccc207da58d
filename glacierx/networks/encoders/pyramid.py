"""What every encoder is: parts that follow each other and leave a map each."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from glacierx.errors import ModelError


class Encoder(nn.Module):
    """A pyramid of maps, finest first.

    Attributes:
        levels: Parts, each of which takes the map of the one before.
        channels: Channels of the maps.
        strides: Their strides, which never fall; several maps may share one.
        precise: Parts that a network on it may want to compute in fp32.
    """

    levels: nn.ModuleList
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    precise: tuple[str, ...] = ("levels.0",)

    def forward(self, x: Tensor, told: Tensor | None = None) -> list[Tensor]:
        """Return the maps, finest first.

        Args:
            x: The input (batch, channels, rows, columns).
            told: Added to every place of the first map (batch, channels of that map).
        """
        maps: list[Tensor] = []
        for level in self.levels:
            x = level(x)
            if told is not None and not maps:
                x = x + told[:, :, None, None]
            maps.append(x)
        return maps

    def last_of(self, stride: int) -> int | None:
        """Return the index of the deepest map of a stride, or None."""
        found = [index for index, own in enumerate(self.strides) if own == stride]
        return found[-1] if found else None


def dilate(strides: Sequence[int], *, before: int, out_stride: int | None) -> list[tuple[int, int]]:
    """Replace the strides of stages beyond a stride of the whole by dilations.

    Chen et al. 2017 (arXiv:1706.05587), section 3.1: a stage that would halve the map keeps its
    size, and its convolutions and those after it are dilated twice as far.

    Args:
        strides: Of the stages.
        before: Stride of what the first stage is given.
        out_stride: That the last map shall have; None leaves the stages as they are.

    Returns:
        Stride and dilation of each stage.

    Raises:
        ModelError: The stages cannot end at that stride.
    """
    found, reached, dilation = [], before, 1
    possible = {before}
    for stride in strides:
        possible.add(max(possible) * stride)
        if out_stride is not None and reached * stride > out_stride:
            dilation *= stride
            found.append((1, dilation))
        else:
            reached *= stride
            found.append((stride, dilation))
    if out_stride is not None and reached != out_stride:
        raise ModelError(
            f"The encoder was asked for out_stride={out_stride}. It can end at "
            f"{', '.join(str(value) for value in sorted(possible))}; take one of these."
        )
    return found


def chained(first: int, strides: Sequence[int]) -> tuple[int, ...]:
    """Return the stride of each map from that of the first and the steps between them."""
    found = [first]
    for stride in strides:
        found.append(found[-1] * stride)
    return tuple(found)


def of_depth(table: Mapping[int, Any], depth: int, name: str) -> Any:
    """Return what a table says of a depth.

    Raises:
        ModelError: It says nothing.
    """
    if depth not in table:
        known = ", ".join(str(value) for value in table)
        raise ModelError(f"{name} was asked for {depth} layers. It comes with: {known}.")
    return table[depth]
