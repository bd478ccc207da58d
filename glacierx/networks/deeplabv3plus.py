"""DeepLabV3+ and the Attention DeepLabV3+ of Chu et al.

Chen et al. 2018 (doi:10.1007/978-3-030-01234-2_49): atrous spatial pyramid pooling and a decoder.
Chu et al. 2022 (Attention DeepLabV3+, Gaofen-6): a ResNet-34 with a stem of stride 1 as encoder,
and a CBAM branch beside the pyramid. The plain network here is theirs without that branch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from glacierx.errors import ModelError
from glacierx.networks.aspp import ASPP
from glacierx.networks.encoders import build_encoder
from glacierx.networks.encoders.pyramid import Encoder
from glacierx.networks.layers import (
    Inputs,
    Output,
    check_size,
    conv_norm_relu,
    separable_conv_norm_relu,
    upsample,
)

RESNET = "resnet"


class _Decoder(nn.Module):
    """Bring the pyramid to the size of the low-level map and merge the two."""

    def __init__(
        self,
        channels: int,
        low_channels: int,
        *,
        low_width: int | None,
        width: int,
        layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.reduce: nn.Module = nn.Identity()
        if low_width is not None:
            self.reduce = conv_norm_relu(low_channels, low_width, bias=True)
        into = channels + (low_channels if low_width is None else low_width)
        parts = [
            separable_conv_norm_relu(width if layer else into, width) for layer in range(layers)
        ]
        self.merge = nn.Sequential(*parts, nn.Dropout(dropout))

    def forward(self, context: Tensor, fine: Tensor) -> Tensor:
        context = upsample(context, fine.shape[-2:])  # (b, 256, h/4, w/4)
        merged = torch.cat([context, self.reduce(fine)], dim=1)  # (b, 288, h/4, w/4)
        found: Tensor = self.merge(merged)  # (b, 256, h/4, w/4)
        return found


class DeepLabV3Plus(nn.Module):
    """DeepLabV3+ on a ResNet whose stem keeps full size, or on any encoder.

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
        encoder: A name of the table of encoders; ``resnet`` is that of Chu et al.
        encoder_arguments: Its keywords.
        depth: 18 or 34 layers of basic blocks, 50 of bottlenecks. This and the three that follow
            are for ``resnet`` alone.
        widths: Channels of its stem and four stages; the paper's if None.
        stem_stride: Stride of its stem: 1 (Chu et al.) or 2 (He et al.), which halves every map.
        dilations: Dilation of its four stages.
        rates: Dilations of the pyramid.
        pyramid_width: Channels of each of its branches.
        separable: The pyramid's dilated convolutions are depthwise and pointwise.
        branch: A further branch of the pyramid: ``none``, ``cbam`` or ``maxpool``; what the
            architecture's name says if None.
        low_width: Channels that each of the encoder's maps is reduced to before it is merged; None
            merges them raw.
        dropouts: Of the pyramid and of the decoder.
        skips: Indices of the encoder's maps that the decoder merges, coarse to fine. If None the
            last of stride 4, and of ``resnet`` the third: 3, 2, 1 and 0 have strides 8, 4, 2 and 1
            times that of the stem. Chu et al. merge that of stride 4 alone; finer ones keep narrow
            tongues apart.
        decoder_widths: Channels after each merge; those of the pyramid if None.
        decoder_layers: Separable convolutions of each merge.
        presence: Tell the network which planes hold data, by a vector that is added to the
            encoder's first map; ours, for one network that serves several sets of bands.
    """

    stride = 16
    branch = "none"

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        encoder: str = RESNET,
        encoder_arguments: Mapping[str, Any] | None = None,
        depth: int = 34,
        widths: Sequence[int] | None = None,
        stem_stride: int = 1,
        dilations: Sequence[int] = (1, 1, 1, 1),
        rates: Sequence[int] = (6, 12, 18),
        pyramid_width: int = 256,
        separable: bool = False,
        branch: str | None = None,
        low_width: int | None = 32,
        dropouts: Sequence[float] = (0.2, 0.1),
        skips: Sequence[int] | None = None,
        decoder_widths: Sequence[int] | None = None,
        decoder_layers: int = 1,
        presence: bool = False,
    ) -> None:
        super().__init__()
        told = dict(encoder_arguments or {})
        if encoder == RESNET:
            own = {"depth": depth, "widths": widths, "dilations": dilations}
            told = {**own, "stem_stride": stem_stride, **told}
        self.encoder = build_encoder(encoder, in_channels, told)
        channels = self.encoder.channels
        self.stride = self.encoder.strides[-1]
        self.pyramid = ASPP(
            channels[-1],
            pyramid_width,
            rates=rates,
            branch=self.branch if branch is None else branch,
            dropout=dropouts[0],
            separable=separable,
        )
        self.skips = _skips(self.encoder, skips, named=encoder)
        after = tuple(decoder_widths or (pyramid_width,) * len(self.skips))
        self.decoders = nn.ModuleList(
            [
                _Decoder(
                    before,
                    channels[skip],
                    low_width=low_width,
                    width=width,
                    layers=decoder_layers,
                    dropout=dropouts[1],
                )
                for skip, before, width in zip(
                    self.skips, (pyramid_width, *after), after, strict=False
                )
            ]
        )
        self.presence = nn.Linear(in_channels, channels[0]) if presence else None
        self.head = nn.Conv2d((pyramid_width, *after)[-1], classes, 1)
        finest = f"decoders.{len(self.skips) - 1}"
        first = tuple(f"encoder.{part}" for part in self.encoder.precise)
        self.precise = (*first, "presence", finest, "head")

    def forward(self, inputs: Inputs) -> Output:
        """Return logits at the size of the input."""
        x = inputs.x
        check_size(x, self.stride, type(self).__name__)
        told = None
        if self.presence is not None:
            present = inputs.present
            told = self.presence(x.new_ones(x.shape[:2]) if present is None else present)
        maps = self.encoder(x, told)
        features = self.pyramid(maps[-1])  # (b, 256, h/16, w/16), from (b, 512, h/16, w/16)
        for decoder, skip in zip(self.decoders, self.skips, strict=True):
            features = decoder(features, maps[skip])  # (b, 256, h/4, w/4) for stride 4
        mask = upsample(self.head(features), x.shape[-2:])  # (b, classes, h, w)
        return Output(mask=mask, features=features)


def _skips(encoder: Encoder, asked: Sequence[int] | None, *, named: str) -> tuple[int, ...]:
    if asked is not None:
        return tuple(asked)
    if named == RESNET:
        return (2,)
    found = encoder.last_of(4)
    if found is None:
        raise ModelError(
            f"The encoder {named!r} has no map of stride 4: its maps have "
            f"{', '.join(str(stride) for stride in encoder.strides)}. Name those to merge by skips."
        )
    return (found,)


class AttentionDeepLabV3Plus(DeepLabV3Plus):
    """Attention DeepLabV3+ (Chu et al. 2022): DeepLabV3+ with a CBAM branch beside the pyramid.

    Written from the published description. 25,670,628 parameters with four channels and one class.
    Arguments are those of `DeepLabV3Plus`.
    """

    branch = "cbam"
