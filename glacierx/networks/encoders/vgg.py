"""VGG-16 without its classifier.

Simonyan and Zisserman 2015 (arXiv:1409.1556), table 1, column D.
"""

from collections.abc import Sequence

from torch import nn

from glacierx.networks.encoders.pyramid import Encoder
from glacierx.networks.layers import activation, he_init

CONVOLUTIONS = (2, 2, 3, 3, 3)


class VGG16(Encoder):
    """Five groups of 3 x 3 convolutions, each but the first after a max-pooling, and a last one.

    14,714,688 parameters with three channels; 14,723,136 with norms.

    Args:
        in_channels: Planes of the input.
        widths: Channels of the five groups.
        norm: Batch norm after each convolution, which the paper has not. Without, weights are drawn
            after He et al. 2015.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        into = in_channels
        for group, width in enumerate(widths):
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if group else []
            for _ in range(CONVOLUTIONS[group]):
                layers.append(nn.Conv2d(into, width, 3, padding=1))
                layers += [nn.BatchNorm2d(width)] if norm else []
                layers.append(activation("relu"))
                into = width
            self.levels.append(nn.Sequential(*layers))
        self.levels.append(nn.MaxPool2d(2))
        if not norm:
            he_init(self)
        self.channels = (*widths, widths[-1])
        self.strides = (1, 2, 4, 8, 16, 32)
