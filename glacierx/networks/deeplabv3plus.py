"""DeepLabV3+ and the Attention DeepLabV3+ of Chu et al.

Chen et al. 2018 (doi:10.1007/978-3-030-01234-2_49): atrous spatial pyramid pooling and a decoder.
Chu et al. 2022 (Attention DeepLabV3+, Gaofen-6): a ResNet-34 with a stem of stride 1 as encoder,
and a CBAM branch beside the pyramid. The plain network here is theirs without that branch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from glacierx.networks.encoders.resnet import ResNet
from glacierx.networks.layers import (
    CBAM,
    Inputs,
    Output,
    check_size,
    conv_norm_relu,
    separable_conv_norm_relu,
    upsample,
)


class _ASPP(nn.Module):
    """Parallel views of a map at several dilations, its mean, and optionally its attention."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        rates: Sequence[int],
        attention: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList([conv_norm_relu(in_channels, out_channels, bias=True)])
        for rate in rates:
            self.branches.append(
                conv_norm_relu(in_channels, out_channels, 3, dilation=rate, bias=True)
            )
        self.mean = conv_norm_relu(in_channels, out_channels, bias=True)
        self.attention = CBAM(in_channels) if attention else None
        merged = (len(rates) + 2) * out_channels + (in_channels if attention else 0)
        self.merge = nn.Sequential(
            conv_norm_relu(merged, out_channels, bias=True), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        views = [branch(x) for branch in self.branches]  # each (b, 256, h/16, w/16)
        mean = self.mean(x.mean(dim=(2, 3), keepdim=True))  # (b, 256, 1, 1)
        views.append(upsample(mean, x.shape[-2:]))  # (b, 256, h/16, w/16)
        if self.attention is not None:
            views.append(self.attention(x))  # (b, 512, h/16, w/16)
        return self.merge(torch.cat(views, dim=1))  # type: ignore[no-any-return]  # nn.Module is Any


class _Decoder(nn.Module):
    """Bring the pyramid to the size of the low-level map and merge the two."""

    def __init__(
        self, channels: int, low_channels: int, *, low_width: int, width: int, dropout: float
    ) -> None:
        super().__init__()
        self.reduce = conv_norm_relu(low_channels, low_width, bias=True)
        self.merge = nn.Sequential(
            separable_conv_norm_relu(channels + low_width, width), nn.Dropout(dropout)
        )

    def forward(self, context: Tensor, fine: Tensor) -> Tensor:
        context = upsample(context, fine.shape[-2:])  # (b, 256, h/4, w/4)
        merged = torch.cat([context, self.reduce(fine)], dim=1)  # (b, 288, h/4, w/4)
        return self.merge(merged)  # type: ignore[no-any-return]  # (b, 256, h/4, w/4)


class DeepLabV3Plus(nn.Module):
    """DeepLabV3+ on a ResNet whose stem keeps full size.

    Chen et al. 2018, in the form that Chu et al. 2022 build on. 25,506,689 parameters with four
    channels and one class.

    Attributes:
        stride: Rows and columns of the input are multiples of it.
        precise: Parts that compute in fp32 even where the rest does in 16 bits: rounded there, the
            finest maps and the flags of presence decide two to three pixels in a thousand
            otherwise; rounded elsewhere fewer than one.

    Args:
        in_channels: Planes of the input.
        classes: Planes of the output.
        depth: 18 or 34 layers of the encoder.
        widths: Channels of its stem and four stages.
        stem_stride: Stride of its stem: 1 (Chu et al.) or 2 (He et al.), which halves every map.
        dilations: Dilation of its four stages.
        rates: Dilations of the pyramid.
        pyramid_width: Channels of each of its branches.
        low_width: Channels that each of the encoder's maps is reduced to before it is merged.
        dropouts: Of the pyramid and of the decoder.
        skips: Encoder maps that the decoder merges, coarse to fine: 3, 2, 1 and 0 have strides 8,
            4, 2 and 1 times that of the stem. Chu et al. merge that of stride 4 alone; finer ones
            keep narrow tongues apart.
        decoder_widths: Channels after each merge; those of the pyramid if None.
        presence: Tell the network which planes hold data, by a vector that is added to the map of
            the stem; ours, for one network that serves several sets of bands.
    """

    stride = 16
    attention = False

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        depth: int = 34,
        widths: Sequence[int] = (64, 64, 128, 256, 512),
        stem_stride: int = 1,
        dilations: Sequence[int] = (1, 1, 1, 1),
        rates: Sequence[int] = (6, 12, 18),
        pyramid_width: int = 256,
        low_width: int = 32,
        dropouts: Sequence[float] = (0.2, 0.1),
        skips: Sequence[int] = (2,),
        decoder_widths: Sequence[int] | None = None,
        presence: bool = False,
    ) -> None:
        super().__init__()
        self.stride = 16 * stem_stride
        self.encoder = ResNet(
            in_channels,
            depth=depth,
            widths=widths,
            stem_stride=stem_stride,
            dilations=dilations,
        )
        self.pyramid = _ASPP(
            widths[4], pyramid_width, rates=rates, attention=self.attention, dropout=dropouts[0]
        )
        self.skips = tuple(skips)
        after = tuple(decoder_widths or (pyramid_width,) * len(self.skips))
        self.decoders = nn.ModuleList(
            [
                _Decoder(
                    before, widths[skip], low_width=low_width, width=width, dropout=dropouts[1]
                )
                for skip, before, width in zip(
                    self.skips, (pyramid_width, *after), after, strict=False
                )
            ]
        )
        self.presence = nn.Linear(in_channels, widths[0]) if presence else None
        self.head = nn.Conv2d((pyramid_width, *after)[-1], classes, 1)
        finest = f"decoders.{len(self.skips) - 1}"
        self.precise = ("encoder.stem", "encoder.stages.0.0", "presence", finest, "head")

    def forward(self, inputs: Inputs) -> Output:
        """Return logits at the size of the input."""
        x = inputs.x
        check_size(x, self.stride, type(self).__name__)
        told = None
        if self.presence is not None:
            present = inputs.present
            told = self.presence(x.new_ones(x.shape[:2]) if present is None else present)
        maps = self.encoder(x, told)
        features = self.pyramid(maps[4])  # (b, 256, h/16, w/16), from (b, 512, h/16, w/16)
        for decoder, skip in zip(self.decoders, self.skips, strict=True):
            features = decoder(features, maps[skip])  # (b, 256, h/4, w/4) for stage 2
        mask = upsample(self.head(features), x.shape[-2:])  # (b, classes, h, w)
        return Output(mask=mask, features=features)


class AttentionDeepLabV3Plus(DeepLabV3Plus):
    """Attention DeepLabV3+ (Chu et al. 2022): DeepLabV3+ with a CBAM branch beside the pyramid.

    Written from the published description. 25,670,628 parameters with four channels and one class.
    Arguments are those of `DeepLabV3Plus`.
    """

    attention = True
