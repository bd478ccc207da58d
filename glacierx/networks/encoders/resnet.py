"""ResNet of basic blocks or bottlenecks, with the stem that Chu et al. (2022) use or He et al.'s.

He et al. 2016 (doi:10.1109/CVPR.2016.90), table 1. After Chu et al., unless told otherwise: the
7 x 7 stem has stride 1, and the first block of every stage, the first included, projects its
shortcut. In bottlenecks the 3 x 3 convolution has the stride, as it usually has since then.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from glacierx.networks.encoders.pyramid import Encoder, chained, dilate, of_depth
from glacierx.networks.layers import conv_norm_relu

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
BASIC = (64, 64, 128, 256, 512)
BOTTLENECK = (64, 256, 512, 1024, 2048)


def _shortcut(in_channels: int, out_channels: int, *, stride: int, project: bool) -> nn.Module:
    if not project:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class _Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int, dilation: int, project: bool
    ) -> None:
        super().__init__()
        self.first = conv_norm_relu(in_channels, out_channels, 3, stride=stride, dilation=dilation)
        self.second = nn.Sequential(
            nn.Conv2d(
                out_channels, out_channels, 3, padding=dilation, dilation=dilation, bias=False
            ),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = _shortcut(in_channels, out_channels, stride=stride, project=project)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.shortcut(x), inplace=True)


class _Bottleneck(nn.Module):
    """1 x 1 to a quarter of the width, 3 x 3, 1 x 1 to the width, beside a shortcut."""

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int, dilation: int, project: bool
    ) -> None:
        super().__init__()
        narrow = out_channels // 4
        self.body = nn.Sequential(
            conv_norm_relu(in_channels, narrow),
            conv_norm_relu(narrow, narrow, 3, stride=stride, dilation=dilation),
            nn.Sequential(
                nn.Conv2d(narrow, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
            ),
        )
        self.shortcut = _shortcut(in_channels, out_channels, stride=stride, project=project)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x), inplace=True)


class ResNet(Encoder):
    """A residual encoder.

    As He et al. have it, with three channels: 11,176,512 parameters with 18 layers, 21,284,672
    with 34, 23,508,032 with 50.

    Args:
        in_channels: Planes of the input.
        depth: 18 or 34 layers of basic blocks, 50 of bottlenecks.
        widths: Channels of the stem and of what the four stages return; the paper's if None.
        stem_stride: 1 (Chu et al.) or 2 (He et al.).
        dilations: Dilation of each stage, whose strides stay.
        out_stride: Stride of the last map, below which stages are dilated instead; None for 16
            times that of the stem.
        always_project: The first block of every stage projects its shortcut (Chu et al.), not only
            where the shape changes (He et al.).
    """

    precise = ("stem", "stages.0.0")

    def __init__(
        self,
        in_channels: int,
        *,
        depth: int = 34,
        widths: Sequence[int] | None = None,
        stem_stride: int = 1,
        dilations: Sequence[int] = (1, 1, 1, 1),
        out_stride: int | None = None,
        always_project: bool = True,
    ) -> None:
        super().__init__()
        widths = tuple(widths or (BOTTLENECK if depth == 50 else BASIC))
        kind = _Bottleneck if depth == 50 else _Block
        self.stem = conv_norm_relu(in_channels, widths[0], 7, stride=stem_stride)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = nn.ModuleList()
        steps = dilate((1, 2, 2, 2), before=2 * stem_stride, out_stride=out_stride)
        for stage, blocks in enumerate(of_depth(DEPTHS, depth, "ResNet")):
            stride, dilation = steps[stage]
            # A stage that keeps its size by dilation has the weights of one that halves it.
            changes = stage > 0 or widths[stage] != widths[stage + 1]
            layers = [
                kind(
                    widths[stage] if block == 0 else widths[stage + 1],
                    widths[stage + 1],
                    stride=stride if block == 0 else 1,
                    dilation=dilations[stage] * dilation,
                    project=block == 0 and (always_project or changes),
                )
                for block in range(blocks)
            ]
            self.stages.append(nn.Sequential(*layers))
        self.channels = widths
        self.strides = chained(stem_stride, [2, *(stride for stride, _ in steps[1:])])

    def forward(self, x: Tensor, told: Tensor | None = None) -> list[Tensor]:
        """Return the maps of the stem and the four stages, finest first.

        Args:
            x: The input (batch, channels, rows, columns).
            told: Added to every place of the map of the stem (batch, channels of the stem).
        """
        first = self.stem(x)
        maps = [first if told is None else first + told[:, :, None, None]]
        x = self.pool(maps[0])
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
