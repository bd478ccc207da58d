"""U-Net: any encoder, and a decoder that joins its maps from coarse to fine.

Ronneberger et al. 2015 (doi:10.1007/978-3-319-24574-4_28). Different from it: convolutions are
padded, so that the output has the size of the input; the decoder's default widths, its
enlarging by repetition and its head of 3 x 3 are those usual with residual encoders.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from glacierx.errors import ModelError
from glacierx.networks.aspp import ASPP
from glacierx.networks.encoders import build_encoder
from glacierx.networks.layers import Inputs, Output, check_size
from glacierx.networks.units import Unit

WIDTHS = (256, 128, 64, 32, 16)
UPS = ("nearest", "bilinear", "convt")
BOTTLENECKS = ("none", "aspp")


def _twice(kind: str, in_channels: int, width: int) -> tuple[nn.Module, int]:
    """Return what doubles a map, and the channels it returns."""
    if kind == "convt":
        return nn.ConvTranspose2d(in_channels, width, 2, stride=2), width
    return nn.Upsample(scale_factor=2.0, mode=kind), in_channels


class _Up(nn.Module):
    """Double a map, join that of the encoder, convolve."""

    def __init__(
        self, in_channels: int, skipped: int, width: int, *, up: str, unit: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.up, channels = _twice(up, in_channels, width)
        self.unit = Unit(channels + skipped, width, **unit)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        x = self.up(x)  # (b, channels, 2h, 2w)
        if skip is not None:
            x = torch.cat([x, skip], dim=1)  # (b, channels + skipped, 2h, 2w)
        found: Tensor = self.unit(x)  # (b, width, 2h, 2w)
        return found


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) on any encoder.

    14,331,345 parameters with four channels and one class.

    Attributes:
        stride: Rows and columns of the input are multiples of it.
        precise: Parts that compute in fp32 even where the rest does in 16 bits.

    Args:
        in_channels: Planes of the input.
        classes: Planes of the output.
        encoder: A name of the table of encoders.
        encoder_arguments: Its keywords.
        decoder_widths: Channels after each doubling; the first of 256, 128, 64, 32, 16 if None.
        up: How maps are doubled: ``nearest``, ``bilinear``, or ``convt``, which learns it and
            returns the width of its level.
        bottleneck: What the deepest map goes through: ``none`` or ``aspp``.
        rates: Dilations of that pyramid.
        bottleneck_width: Its channels.
        kernel: Side of the decoder's convolutions, odd.
        convolutions: How many follow each doubling.
        activated: ``relu``, ``leaky`` or ``elu``.
        norm: Batch norm after the decoder's convolutions.
        dropout: Share of the channels of each level that training drops.
        residual: Each level of the decoder adds its input, projected.
        recurrent: How often its convolutions are applied to what they gave; 0 for plain ones.
        cse: Each level weighs its channels by squeeze and excitation.
        head_kernel: Side of the last convolution, odd.
    """

    precise = ("head",)

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        encoder: str = "resnet18",
        encoder_arguments: Mapping[str, Any] | None = None,
        decoder_widths: Sequence[int] | None = None,
        up: str = "nearest",
        bottleneck: str = "none",
        rates: Sequence[int] = (1, 2, 4, 8),
        bottleneck_width: int = 256,
        kernel: int = 3,
        convolutions: int = 2,
        activated: str = "relu",
        norm: bool = True,
        dropout: float = 0.0,
        residual: bool = False,
        recurrent: int = 0,
        cse: bool = False,
        head_kernel: int = 3,
    ) -> None:
        super().__init__()
        for kind, known in ((up, UPS), (bottleneck, BOTTLENECKS)):
            if kind not in known:
                raise ModelError(f"UNet was given {kind!r}. Take one of: {', '.join(known)}.")
        self.encoder = build_encoder(encoder, in_channels, encoder_arguments)
        self.stride = self.encoder.strides[-1]
        doublings = self.stride.bit_length() - 1
        widths = tuple(decoder_widths or WIDTHS[:doublings])
        if len(widths) != doublings:
            raise ModelError(
                f"UNet was given {len(widths)} decoder_widths on an encoder that ends at stride "
                f"{self.stride}. Give {doublings}."
            )
        into = self.encoder.channels[-1]
        self.bottleneck: nn.Module | None = None
        if bottleneck == "aspp":
            self.bottleneck = ASPP(into, bottleneck_width, rates=rates, dropout=dropout)
            into = bottleneck_width
        unit = {
            "kernel": kernel, "convolutions": convolutions, "activated": activated, "norm": norm,
            "dropout": dropout, "residual": residual, "recurrent": recurrent, "cse": cse,
        }  # fmt: skip
        skips = [self.encoder.last_of(self.stride >> level) for level in range(1, doublings + 1)]
        self.skips = tuple(skips)
        self.ups = nn.ModuleList()
        for width, skip in zip(widths, skips, strict=True):
            skipped = 0 if skip is None else self.encoder.channels[skip]
            self.ups.append(_Up(into, skipped, width, up=up, unit=unit))
            into = width
        self.head = nn.Conv2d(into, classes, head_kernel, padding=head_kernel // 2)

    def forward(self, inputs: Inputs) -> Output:
        """Return logits at the size of the input."""
        x = inputs.x
        check_size(x, self.stride, type(self).__name__)
        maps = self.encoder(x)
        x = maps[-1]  # (b, 512, h/32, w/32)
        if self.bottleneck is not None:
            x = self.bottleneck(x)  # (b, 256, h/32, w/32)
        for up, skip in zip(self.ups, self.skips, strict=True):
            x = up(x, None if skip is None else maps[skip])  # (b, 256, h/16, w/16), ...
        return Output(mask=self.head(x), features=x)  # (b, classes, h, w)
