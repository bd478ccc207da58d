"""Plain encoder: units of convolutions with max-pooling between them.

Ronneberger et al. 2015 (doi:10.1007/978-3-319-24574-4_28), fig. 1, with padded convolutions and
batch norm; its knobs make the contracting paths of the U-Nets of the literature.
"""

from collections.abc import Sequence

from torch import nn

from glacierx.networks.encoders.pyramid import Encoder
from glacierx.networks.units import Unit


class Plain(Encoder):
    """The contracting path of a U-Net.

    Args:
        in_channels: Planes of the input.
        widths: Channels of each level; each but the first halves the size.
        stem: Channels of a 1 x 1 convolution before all else; None for none.
        kernel: Side of the convolutions, odd.
        convolutions: How many a level has.
        activated: ``relu``, ``leaky`` or ``elu``.
        norm: Batch norm after each convolution.
        dropout: Share of a level's channels that training drops.
        residual: Each level adds its input, projected.
        recurrent: How often each convolution is applied to what it gave; 0 for plain ones.
        cse: Each level weighs its channels by squeeze and excitation.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        stem: int | None = None,
        kernel: int = 3,
        convolutions: int = 2,
        activated: str = "relu",
        norm: bool = True,
        dropout: float = 0.0,
        residual: bool = False,
        recurrent: int = 0,
        cse: bool = False,
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        into = stem or in_channels
        for index, width in enumerate(widths):
            unit = Unit(
                into,
                width,
                kernel=kernel,
                convolutions=convolutions,
                activated=activated,
                norm=norm,
                dropout=dropout,
                residual=residual,
                recurrent=recurrent,
                cse=cse,
            )
            before = nn.MaxPool2d(2) if index else nn.Conv2d(in_channels, into, 1)
            bare = not index and stem is None
            self.levels.append(unit if bare else nn.Sequential(before, unit))
            into = width
        self.channels = tuple(widths)
        self.strides = tuple(2**index for index in range(len(widths)))
