"""PSPNet: means of an encoder's map over ever smaller parts of it.

Zhao et al. 2017 (doi:10.1109/CVPR.2017.660), figure 3. Different from it: no auxiliary loss within
the encoder, and scores are enlarged from edge to edge of pixels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from glacierx.networks.encoders import build_encoder
from glacierx.networks.layers import Inputs, Output, check_size, conv_norm_relu, enlarge


class _Pyramid(nn.Module):
    """A map beside its means over n x n parts."""

    def __init__(self, channels: int, *, bins: Sequence[int]) -> None:
        super().__init__()
        narrow = max(channels // len(bins), 1)
        self.branches = nn.ModuleList(
            [
                nn.Sequential(nn.AdaptiveAvgPool2d(parts), conv_norm_relu(channels, narrow))
                for parts in bins
            ]
        )
        self.channels = channels + len(bins) * narrow

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        return torch.cat([x, *(enlarge(branch(x), size) for branch in self.branches)], dim=1)


class PSPNet(nn.Module):
    """Pyramid scene parsing network (Zhao et al. 2017) on any encoder.

    46,585,473 parameters with four channels and one class.

    Attributes:
        stride: Rows and columns of the input are multiples of it.
        precise: Parts that compute in fp32 even where the rest does in 16 bits.

    Args:
        in_channels: Planes of the input.
        classes: Planes of the output.
        encoder: A name of the table of encoders.
        encoder_arguments: Its keywords.
        out_stride: Handed to the encoder: the stride of the map that is pooled. None for encoders
            that take none, or to leave it as the encoder has it.
        bins: The map is divided into n x n parts for each n.
        width: Channels after the pyramid.
        dropout: Share of the values that training drops before the last convolution.
    """

    precise = ("head",)

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        encoder: str = "resnet50",
        encoder_arguments: Mapping[str, Any] | None = None,
        out_stride: int | None = 8,
        bins: Sequence[int] = (1, 2, 3, 6),
        width: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        told = {} if out_stride is None else {"out_stride": out_stride}
        self.encoder = build_encoder(encoder, in_channels, {**told, **(encoder_arguments or {})})
        self.stride = self.encoder.strides[-1]
        self.pyramid = _Pyramid(self.encoder.channels[-1], bins=bins)
        self.merge = nn.Sequential(
            conv_norm_relu(self.pyramid.channels, width, 3), nn.Dropout(dropout)
        )
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, inputs: Inputs) -> Output:
        """Return logits at the size of the input."""
        x = inputs.x
        check_size(x, self.stride, type(self).__name__)
        features = self.encoder(x)[-1]  # (b, 2048, h/8, w/8)
        features = self.merge(self.pyramid(features))  # (b, 512, h/8, w/8), from (b, 4096, ...)
        mask = enlarge(self.head(features), x.shape[-2:])  # (b, classes, h, w)
        return Output(mask=mask, features=features)
