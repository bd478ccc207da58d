"""Inputs and outputs of every network, and blocks used by more than one."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glacierx.errors import ModelError


class Inputs(NamedTuple):
    """What a network sees.

    Attributes:
        x: Planes in the order of the card's roles (batch, channels, rows, columns).
        present: 1 where a plane holds data, 0 where its role is absent (batch, channels).
        location: Longitude and latitude of the patch in degrees (batch, 2).
        context: A wider, coarser view around the patch, shaped as *x*.
    """

    x: Tensor
    present: Tensor | None = None
    location: Tensor | None = None
    context: Tensor | None = None


class Output(NamedTuple):
    """What a network says.

    Attributes:
        mask: Logits (batch, classes, rows, columns), rows and columns those of the input.
        edge: Logits of glacier edges, or None.
        features: The last feature map, or None.
        auxiliary: Further logits for the loss; empty unless training.
    """

    mask: Tensor
    edge: Tensor | None = None
    features: Tensor | None = None
    auxiliary: tuple[Tensor, ...] = ()


def check_size(x: Tensor, stride: int, name: str) -> None:
    """Refuse rows and columns that a network's strides do not divide.

    Raises:
        ModelError: With the size to pad to.
    """
    rows, columns = x.shape[-2:]
    if rows % stride or columns % stride:
        padded = -(-rows // stride) * stride, -(-columns // stride) * stride
        raise ModelError(
            f"{name} takes rows and columns divisible by {stride}; the input has "
            f"{rows} x {columns}. Pad it to {padded[0]} x {padded[1]}."
        )


def conv_norm_relu(
    in_channels: int,
    out_channels: int,
    kernel: int = 1,
    *,
    stride: int = 1,
    dilation: int = 1,
    bias: bool = False,
) -> nn.Sequential:
    """Return convolution, batch norm and ReLU; the size is kept but for the stride."""
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            bias=bias,
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def separable_conv_norm_relu(
    in_channels: int, out_channels: int, kernel: int = 3, *, dilation: int = 1
) -> nn.Sequential:
    """Return a depthwise and a pointwise convolution without bias, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            in_channels,
            kernel,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            groups=in_channels,
            bias=False,
        ),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def upsample(x: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """Interpolate bilinearly, corner pixel to corner pixel."""
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


def enlarge(x: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """Interpolate bilinearly, edge of pixel to edge of pixel, as pooling made the map smaller."""
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def activation(name: str) -> nn.Module:
    """Return ``relu``, ``leaky`` (slope 0.1) or ``elu``.

    Raises:
        ModelError: It is another.
    """
    kinds = {
        "relu": nn.ReLU(inplace=True),
        "leaky": nn.LeakyReLU(0.1, inplace=True),
        "elu": nn.ELU(inplace=True),
    }
    if name not in kinds:
        raise ModelError(f"No activation is called {name!r}. Take one of: {', '.join(kinds)}.")
    return kinds[name]


def he_init(network: nn.Module) -> None:
    """Draw the convolutions of a part without norms so that ReLU keeps the spread of its maps.

    He et al. 2015 (doi:10.1109/ICCV.2015.123), eq. 10. With PyTorch's own start each layer divides
    the variance by six, and a deep network without norms does not begin to learn.
    """
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class ChannelGate(nn.Module):
    """Channel squeeze and excitation: weigh channels by what their means say together.

    Hu et al. 2018 (doi:10.1109/CVPR.2018.00745), with half the channels between, as in the cSE of
    Roy et al. 2018 (doi:10.1007/978-3-030-00928-1_48).

    Args:
        channels: Channels in and out.
        reduction: Channels over the width of the hidden layer.
    """

    def __init__(self, channels: int, *, reduction: int = 2) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv2d(channels, max(channels // reduction, 1), 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(max(channels // reduction, 1), channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels of a map (b, c, h, w)."""
        weights: Tensor = self.gate(x.mean(dim=(2, 3), keepdim=True))  # (b, c, 1, 1)
        return x * weights


class CBAM(nn.Module):
    """Channel attention, then spatial attention.

    Woo et al. 2018 (doi:10.1007/978-3-030-01234-2_1); eqs. 1-3 of Chu et al. 2022:
    A * F_C * F_S with F_C = sigmoid(W2 relu(W1 avg(A)) + W2 relu(W1 max(A))) and
    F_S = sigmoid(conv7x7([mean over channels; max over channels])).

    Args:
        channels: Channels in and out.
        reduction: Channels over the width of the shared hidden layer.
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        self.shared = nn.Sequential(
            nn.Conv2d(channels, channels // reduction, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels // reduction, channels, 1, bias=False),
        )
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh channels, then places, of a map (b, c, h, w)."""
        mean = x.mean(dim=(2, 3), keepdim=True)  # (b, c, 1, 1)
        peak = x.amax(dim=(2, 3), keepdim=True)  # (b, c, 1, 1)
        x = x * torch.sigmoid(self.shared(mean) + self.shared(peak))
        both = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.spatial(both))  # (b, c, h, w)
