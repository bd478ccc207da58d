"""FC-DenseNet, the hundred layers Tiramisu, in its form of 56 layers.

Jegou et al. 2017 (doi:10.1109/CVPRW.2017.156), tables 1 and 2. Only what a block of the bottleneck
or of the way up adds is doubled, the last block but one's too; the last keeps its input.
"""

from collections.abc import Sequence

import torch
from torch import nn

from glacierx.networks.encoders.dense import Dense, DenseBlock
from glacierx.networks.layers import Inputs, Output, check_size


class FCDenseNet(nn.Module):
    """Fully convolutional DenseNet (Jegou et al. 2017).

    1,373,761 parameters with four channels and one class.

    Attributes:
        stride: Rows and columns of the input are multiples of it.
        precise: Parts that compute in fp32 even where the rest does in 16 bits.

    Args:
        in_channels: Planes of the input.
        classes: Planes of the output.
        first: Channels of the first convolution.
        growth: Channels that each layer adds.
        layers: Layers of the blocks on the way down, the bottleneck last; the way up mirrors them.
        dropout: Share of the values that training drops after each convolution.
    """

    precise = ("head",)

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        first: int = 48,
        growth: int = 12,
        layers: Sequence[int] = (4, 4, 4, 4, 4, 4),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.encoder = Dense(
            in_channels, first=first, growth=growth, layers=layers, dropout=dropout
        )
        self.stride = self.encoder.strides[-1]
        self.added = layers[-1] * growth
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        into = self.added
        for level in reversed(range(len(layers) - 1)):
            self.ups.append(
                nn.ConvTranspose2d(into, into, 3, stride=2, padding=1, output_padding=1)
            )
            block = DenseBlock(
                into + self.encoder.channels[level],
                growth=growth,
                layers=layers[level],
                dropout=dropout,
                keeps=level == 0,
            )
            self.blocks.append(block)
            into = block.channels
        self.head = nn.Conv2d(into, classes, 1)

    def forward(self, inputs: Inputs) -> Output:
        """Return logits at the size of the input."""
        x = inputs.x
        check_size(x, self.stride, type(self).__name__)
        *skips, deepest = self.encoder(x)
        x = deepest[:, -self.added :]  # (b, 48, h/32, w/32)
        for up, block, skip in zip(self.ups, self.blocks, reversed(skips), strict=True):
            x = block(torch.cat([up(x), skip], dim=1))  # (b, 48, h/16, w/16), ... (b, 192, h, w)
        return Output(mask=self.head(x), features=x)  # (b, classes, h, w)
