"""The contracting path of the fully convolutional DenseNet.

Jegou et al. 2017 (doi:10.1109/CVPRW.2017.156), table 1 and figure 2.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from glacierx.networks.encoders.pyramid import Encoder


class DenseBlock(nn.Module):
    """Layers each of which sees what all before it gave.

    A layer is batch norm, ReLU, a 3 x 3 convolution and dropout.

    Args:
        in_channels: Channels in.
        growth: Channels that each layer adds.
        layers: How many there are.
        dropout: Share of the values that training drops.
        keeps: Return the input and the new channels, in this order; else the new ones alone.
    """

    def __init__(
        self, in_channels: int, *, growth: int, layers: int, dropout: float, keeps: bool = True
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for index in range(layers):
            into = in_channels + index * growth
            self.layers.append(
                nn.Sequential(
                    nn.BatchNorm2d(into),
                    nn.ReLU(inplace=True),
                    nn.Conv2d(into, growth, 3, padding=1, bias=False),
                    nn.Dropout(dropout),
                )
            )
        self.keeps = keeps
        self.channels = layers * growth + (in_channels if keeps else 0)

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, channels, h, w) for a map (b, in, h, w)."""
        found = [x]
        for layer in self.layers:
            found.append(layer(torch.cat(found, dim=1)))
        return torch.cat(found if self.keeps else found[1:], dim=1)


class Dense(Encoder):
    """Dense blocks with transitions down between them.

    A transition is batch norm, ReLU, a 1 x 1 convolution, dropout and a max-pooling.

    Args:
        in_channels: Planes of the input.
        first: Channels of the first convolution.
        growth: Channels that each layer adds.
        layers: Layers of the blocks, finest first, the bottleneck last.
        dropout: Share of the values that training drops.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        first: int = 48,
        growth: int = 12,
        layers: Sequence[int] = (4, 4, 4, 4, 4, 4),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        channels = []
        into = first
        for index, number in enumerate(layers):
            before: list[nn.Module] = [
                nn.BatchNorm2d(into),
                nn.ReLU(),  # Not in place: the map before is a level's, and read again.
                nn.Conv2d(into, into, 1, bias=False),
                nn.Dropout(dropout),
                nn.MaxPool2d(2),
            ]
            if not index:
                before = [nn.Conv2d(in_channels, first, 3, padding=1, bias=False)]
            block = DenseBlock(into, growth=growth, layers=number, dropout=dropout)
            self.levels.append(nn.Sequential(*before, block))
            into = block.channels
            channels.append(into)
        self.channels = tuple(channels)
        self.strides = tuple(2**index for index in range(len(channels)))
