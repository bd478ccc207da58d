"""Dilated residual network, form D, without its classifier.

Yu et al. 2017 (doi:10.1109/CVPR.2017.75), figure 5 (DRN-C) in the form D that the authors published
with it: the first two levels are plain convolutions, strides end at 8 and dilations 2 and 4 take
their place, and two levels without shortcuts, of dilation 2 and 1, take the gridding away.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from glacierx.errors import ModelError
from glacierx.networks.encoders.pyramid import Encoder, of_depth
from glacierx.networks.layers import conv_norm_relu

# Blocks of levels 3 to 6; levels 1, 2, 7 and 8 are one convolution each.
DEPTHS = {22: (2, 2, 2, 2), 38: (3, 4, 6, 3), 54: (3, 4, 6, 3)}
WIDTHS = (16, 32, 64, 128, 256, 512, 512, 512)
BOTTLENECK = (16, 32, 256, 512, 1024, 2048, 512, 512)
DILATIONS = (1, 1, 1, 1, 2, 4, 2, 1)


class _Block(nn.Module):
    """Two 3 x 3 convolutions, or 1 x 1, 3 x 3, 1 x 1, beside a shortcut."""

    def __init__(self, into: int, out: int, *, stride: int, dilation: int, narrow: bool) -> None:
        super().__init__()
        inner = out // 4 if narrow else out
        first = [conv_norm_relu(into, inner)] if narrow else []
        middle = conv_norm_relu(
            inner if narrow else into, inner, 3, stride=stride, dilation=dilation
        )
        side, reach = (1, 1) if narrow else (3, dilation)
        last = nn.Sequential(
            nn.Conv2d(inner, out, side, padding=reach * (side // 2), dilation=reach, bias=False),
            nn.BatchNorm2d(out),
        )
        self.body = nn.Sequential(*first, middle, last)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or into != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(into, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x), inplace=True)


class DRN(Encoder):
    """A residual encoder that ends at stride 8.

    Args:
        in_channels: Planes of the input.
        depth: 22 or 38 layers of basic blocks (DRN-D-22, DRN-D-38), 54 of bottlenecks (DRN-D-54).
        widths: Channels of the eight levels; those published if None.
        dropout: Share of the channels that training drops after each level from the third on; 0 as
            published.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        depth: int = 22,
        widths: Sequence[int] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        blocks = (1, 1, *of_depth(DEPTHS, depth, "DRN"), 1, 1)
        narrow = depth == 54
        widths = tuple(widths or (BOTTLENECK if narrow else WIDTHS))
        if len(widths) != len(DILATIONS):
            raise ModelError(
                f"DRN was given {len(widths)} widths and has {len(DILATIONS)} levels. "
                f"Give {len(DILATIONS)}."
            )
        self.levels = nn.ModuleList()
        into = in_channels
        for level, (width, dilation, number) in enumerate(
            zip(widths, DILATIONS, blocks, strict=True)
        ):
            stride = 2 if level in (1, 2, 3) else 1
            layers: list[nn.Module] = []
            if level == 0:
                layers = [conv_norm_relu(into, width, 7), conv_norm_relu(width, width, 3)]
            elif level in (1, 6, 7):
                layers = [conv_norm_relu(into, width, 3, stride=stride, dilation=dilation)]
            else:
                for index in range(number):
                    layers.append(
                        _Block(
                            width if index else into,
                            width,
                            stride=1 if index else stride,
                            dilation=dilation,
                            narrow=narrow,
                        )
                    )
            if dropout and level >= 2:
                layers.append(nn.Dropout2d(dropout))
            self.levels.append(nn.Sequential(*layers))
            into = width
        self.channels = widths
        self.strides = (1, 2, 4, 8, 8, 8, 8, 8)
