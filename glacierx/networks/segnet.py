"""SegNet: a decoder that puts maxima back where they were.

Badrinarayanan et al. 2017 (doi:10.1109/TPAMI.2016.2644615), section 3. Its form here is the one
chosen for GlacierNet (Xie et al. 2020, doi:10.3390/rs12193181), whose widths are not published:
four stages of three convolutions with 64 filters, which is what common tools make by default.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glacierx.networks.layers import Inputs, Output, check_size, conv_norm_relu


def pool_with_places(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maxima of 2 x 2 pixels, and which of the four each is, counted by rows.

    Written with plain operations, because max-pooling with indices cannot be exported everywhere.

    Args:
        x: A map (batch, channels, rows, columns), rows and columns even.
    """
    fours = torch.unflatten(F.pixel_unshuffle(x, 2), 1, (-1, 4))  # (b, c, 4, h/2, w/2)
    values, places = fours.max(dim=2)  # (b, c, h/2, w/2)
    return values, places


def unpool(x: Tensor, places: Tensor) -> Tensor:
    """Put values (b, c, h, w) at their places among 2 x 2 pixels (b, c, 2h, 2w), zero elsewhere."""
    number = torch.arange(4, device=x.device)[:, None, None]  # (4, 1, 1)
    fours = x.unsqueeze(2) * (places.unsqueeze(2) == number)  # (b, c, 4, h, w)
    return F.pixel_shuffle(fours.flatten(1, 2), 2)


def _stage(into: int, width: int, convolutions: int) -> nn.Sequential:
    return nn.Sequential(
        *(
            conv_norm_relu(width if index else into, width, 3, bias=True)
            for index in range(convolutions)
        )
    )


class SegNet(nn.Module):
    """SegNet (Badrinarayanan et al. 2017) with one width throughout.

    854,849 parameters with four channels and one class.

    Attributes:
        stride: Rows and columns of the input are multiples of it.
        precise: Parts that compute in fp32 even where the rest does in 16 bits.

    Args:
        in_channels: Planes of the input.
        classes: Planes of the output.
        stages: Halvings, and doublings.
        convolutions: 3 x 3 convolutions of each stage.
        width: Channels of all maps.
    """

    precise = ("head",)

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        stages: int = 4,
        convolutions: int = 3,
        width: int = 64,
    ) -> None:
        super().__init__()
        self.stride = 2**stages
        self.down = nn.ModuleList(
            [
                _stage(width if stage else in_channels, width, convolutions)
                for stage in range(stages)
            ]
        )
        self.up = nn.ModuleList([_stage(width, width, convolutions) for _ in range(stages)])
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, inputs: Inputs) -> Output:
        """Return logits at the size of the input."""
        x = inputs.x
        check_size(x, self.stride, type(self).__name__)
        remembered = []
        for stage in self.down:
            x, places = pool_with_places(stage(x))  # (b, 64, h/2, w/2), ...
            remembered.append(places)
        for stage, places in zip(self.up, reversed(remembered), strict=True):
            x = stage(unpool(x, places))  # (b, 64, h/8, w/8), ... (b, 64, h, w)
        return Output(mask=self.head(x), features=x)  # (b, classes, h, w)
