"""ResNet of basic blocks, with the stem that Chu et al. (2022) use.

He et al. 2016 (doi:10.1109/CVPR.2016.90). Different from it, after Chu et al.: the 7 x 7 stem has
stride 1, and the first block of every stage, the first included, projects its shortcut.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from glacierx.networks.layers import conv_norm_relu

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


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
        self.shortcut: nn.Module = nn.Identity()
        if project:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    """A residual encoder.

    Args:
        in_channels: Planes of the input.
        depth: 18 or 34 layers.
        widths: Channels of the stem and of the four stages.
        stem_stride: 1 (Chu et al.) or 2 (He et al.).
        dilations: Dilation of each stage.

    Attributes:
        channels: Channels of the five maps that are returned.
        strides: Their strides.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        depth: int = 34,
        widths: Sequence[int] = (64, 64, 128, 256, 512),
        stem_stride: int = 1,
        dilations: Sequence[int] = (1, 1, 1, 1),
    ) -> None:
        super().__init__()
        self.stem = conv_norm_relu(in_channels, widths[0], 7, stride=stem_stride)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = nn.ModuleList()
        for stage, blocks in enumerate(DEPTHS[depth]):
            stride = 1 if stage == 0 else 2
            layers = [
                _Block(
                    widths[stage] if block == 0 else widths[stage + 1],
                    widths[stage + 1],
                    stride=stride if block == 0 else 1,
                    dilation=dilations[stage],
                    project=block == 0,
                )
                for block in range(blocks)
            ]
            self.stages.append(nn.Sequential(*layers))
        self.channels = tuple(widths)
        self.strides = tuple(stem_stride * factor for factor in (1, 2, 4, 8, 16))

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
