"""Xception as DeepLabV3+ has it, with 65 or 71 layers, without its classifier.

Chen et al. 2018 (doi:10.1007/978-3-030-01234-2_49), figure 4, after Chollet 2017
(doi:10.1109/CVPR.2017.195): strides in place of pooling, and batch norm and ReLU after each
depthwise convolution. The 71 layers have two more blocks in the entry flow, which keep the size.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from glacierx.networks.encoders.pyramid import Encoder, chained, dilate, of_depth
from glacierx.networks.layers import conv_norm_relu

# Index of the width and stride of each block of the entry flow.
ENTRY = {
    65: ((0, 2), (1, 2), (2, 2)),
    71: ((0, 2), (1, 1), (1, 2), (2, 1), (2, 2)),
}


def _separable(into: int, out: int, *, stride: int, dilation: int) -> nn.Sequential:
    """Return ReLU, depthwise convolution, norm, ReLU, pointwise convolution, norm."""
    return nn.Sequential(
        nn.ReLU(),  # Not in place: the shortcut reads what comes in.
        nn.Conv2d(
            into,
            into,
            3,
            stride=stride,
            padding=dilation,
            dilation=dilation,
            groups=into,
            bias=False,
        ),
        nn.BatchNorm2d(into),
        nn.ReLU(inplace=True),
        nn.Conv2d(into, out, 1, bias=False),
        nn.BatchNorm2d(out),
    )


class _Block(nn.Module):
    """Three separable convolutions, the last with the stride, beside a shortcut."""

    def __init__(
        self, into: int, widths: Sequence[int], *, stride: int = 1, dilation: int = 1, project: bool
    ) -> None:
        super().__init__()
        body, before = [], into
        for index, width in enumerate(widths):
            last = index == len(widths) - 1
            body.append(_separable(before, width, stride=stride if last else 1, dilation=dilation))
            before = width
        self.body = nn.Sequential(*body)
        self.shortcut: nn.Module = nn.Identity()
        if project:
            self.shortcut = nn.Sequential(
                nn.Conv2d(into, before, 1, stride=stride, bias=False), nn.BatchNorm2d(before)
            )

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x) + self.shortcut(x)
        return found


class Xception(Encoder):
    """Separable convolutions with shortcuts.

    Args:
        in_channels: Planes of the input.
        depth: 65 or 71 layers.
        stem: Channels of the first two convolutions.
        entry: Channels of the entry flow's blocks of stride 4, 8 and 16, the last those of the
            middle flow too.
        middle: Blocks of the middle flow.
        exits: Channels of the last five separable convolutions.
        out_stride: Stride of the last map, 8, 16 or 32; stages that would go below are dilated.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        depth: int = 65,
        stem: Sequence[int] = (32, 64),
        entry: Sequence[int] = (128, 256, 728),
        middle: int = 16,
        exits: Sequence[int] = (1024, 1024, 1536, 1536, 2048),
        out_stride: int = 16,
    ) -> None:
        super().__init__()
        blocks = of_depth(ENTRY, depth, "Xception")
        # The strides of the entry flow, and that of the exit's first block.
        steps = dilate([stride for _, stride in blocks] + [2], before=2, out_stride=out_stride)
        levels: list[nn.Module] = []
        channels, reached = [stem[1]], []
        level: list[nn.Module] = [
            conv_norm_relu(in_channels, stem[0], 3, stride=2),
            conv_norm_relu(stem[0], stem[1], 3),
        ]
        into = stem[1]
        for (index, published), (stride, dilation) in zip(blocks, steps, strict=False):
            block = _Block(into, [entry[index]] * 3, stride=stride, dilation=dilation, project=True)
            into = entry[index]
            if published == 1:
                level.append(block)
                channels[-1] = into
                continue
            levels.append(nn.Sequential(*level))
            level = [block]
            channels.append(into)
            reached.append(stride)
        inner = steps[-2][1]
        level += [_Block(into, [into] * 3, dilation=inner, project=False) for _ in range(middle)]
        levels.append(nn.Sequential(*level))
        stride, dilation = steps[-1]
        leave: list[nn.Module] = [
            _Block(into, (into, *exits[:2]), stride=stride, dilation=inner, project=True)
        ]
        into = exits[1]
        for width in exits[2:]:
            leave.append(_separable(into, width, stride=1, dilation=dilation))
            into = width
        levels.append(nn.Sequential(*leave, nn.ReLU()))
        self.levels = nn.ModuleList(levels)
        self.channels = (*channels, exits[-1])
        self.strides = chained(2, [*reached, stride])
