"""FCN-32s and FCN-16s.

Long et al. 2015 (doi:10.1109/CVPR.2015.7298965), figure 3. Different from it: the two fully
connected layers of VGG are left out, so that a score is a 1 x 1 convolution of the encoder's map;
enlarging is bilinear and not learnt, as it begins in the paper.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

from glacierx.errors import ModelError
from glacierx.networks.encoders import build_encoder
from glacierx.networks.layers import Inputs, Output, check_size, enlarge


class FCN(nn.Module):
    """Scores of an encoder's deepest map, enlarged (Long et al. 2015).

    14,715,777 parameters with four channels and one class.

    Attributes:
        stride: Rows and columns of the input are multiples of it.
        precise: Parts that compute in fp32 even where the rest does in 16 bits.

    Args:
        in_channels: Planes of the input.
        classes: Planes of the output.
        encoder: A name of the table of encoders.
        encoder_arguments: Its keywords.
        out_stride: 32 enlarges the scores of the deepest map, 16 those of it and of the map of
            half its stride together (FCN-16s), each times the stride of an encoder that ends at 32.
    """

    precise = ("score", "finer")

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        encoder: str = "vgg16",
        encoder_arguments: Mapping[str, Any] | None = None,
        out_stride: int = 32,
    ) -> None:
        super().__init__()
        self.encoder = build_encoder(encoder, in_channels, encoder_arguments)
        self.stride = self.encoder.strides[-1]
        self.skip = self.encoder.last_of(self.stride // 2)
        if out_stride not in (self.stride, self.stride // 2) or self.skip is None:
            raise ModelError(
                f"FCN was asked for out_stride={out_stride} on an encoder that ends at "
                f"{self.stride}. Take {self.stride} or {self.stride // 2}."
            )
        self.finer: nn.Module | None = None
        if out_stride < self.stride:
            self.finer = nn.Conv2d(self.encoder.channels[self.skip], classes, 1)
        self.score = nn.Conv2d(self.encoder.channels[-1], classes, 1)

    def forward(self, inputs: Inputs) -> Output:
        """Return logits at the size of the input."""
        x = inputs.x
        check_size(x, self.stride, type(self).__name__)
        maps = self.encoder(x)
        scores = self.score(maps[-1])  # (b, classes, h/32, w/32)
        if self.finer is not None:
            fine = maps[self.skip]
            scores = enlarge(scores, fine.shape[-2:]) + self.finer(fine)  # (b, classes, h/16, w/16)
        return Output(mask=enlarge(scores, x.shape[-2:]), features=maps[-1])  # (b, classes, h, w)
