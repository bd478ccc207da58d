"""Atrous spatial pyramid pooling, of DeepLabV3+ and of a U-Net's bottleneck.

Chen et al. 2018 (doi:10.1007/978-3-030-01234-2_49); the branch of attention is that of Chu et al.
2022, the branch of maxima that of CALFIN (Cheng et al. 2021, doi:10.5194/tc-15-1663-2021).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from glacierx.errors import ModelError
from glacierx.networks.layers import CBAM, conv_norm_relu, separable_conv_norm_relu, upsample

BRANCHES = ("none", "cbam", "maxpool")


class ASPP(nn.Module):
    """Parallel views of a map at several dilations, its mean, and what else is wished.

    Args:
        in_channels: Channels in.
        out_channels: Channels of each view and out.
        rates: Dilations.
        branch: ``cbam`` adds the map weighed by its attention, ``maxpool`` its maxima of 3 x 3
            pixels, ``none`` nothing.
        dropout: Share of the values that training drops at the end.
        separable: Depthwise and pointwise convolutions instead of full ones.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        rates: Sequence[int],
        branch: str = "none",
        dropout: float = 0.0,
        separable: bool = False,
    ) -> None:
        super().__init__()
        if branch not in BRANCHES:
            raise ModelError(
                f"The pyramid has no branch {branch!r}. Take one of: {', '.join(BRANCHES)}."
            )
        self.branches = nn.ModuleList([conv_norm_relu(in_channels, out_channels, bias=True)])
        for rate in rates:
            self.branches.append(
                separable_conv_norm_relu(in_channels, out_channels, dilation=rate)
                if separable
                else conv_norm_relu(in_channels, out_channels, 3, dilation=rate, bias=True)
            )
        self.mean = conv_norm_relu(in_channels, out_channels, bias=True)
        # Files of weights know the further branch, whatever it is, as attention.
        self.attention: nn.Module | None = None
        merged = (len(rates) + 2) * out_channels
        if branch == "cbam":
            self.attention = CBAM(in_channels)
            merged += in_channels
        if branch == "maxpool":
            self.attention = nn.Sequential(
                nn.MaxPool2d(3, stride=1, padding=1),
                conv_norm_relu(in_channels, out_channels, bias=True),
            )
            merged += out_channels
        self.merge = nn.Sequential(
            conv_norm_relu(merged, out_channels, bias=True), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the pyramid (b, out, h, w) of a map (b, in, h, w)."""
        views = [branch(x) for branch in self.branches]  # each (b, out, h, w)
        mean = self.mean(x.mean(dim=(2, 3), keepdim=True))  # (b, out, 1, 1)
        views.append(upsample(mean, x.shape[-2:]))  # (b, out, h, w)
        if self.attention is not None:
            views.append(self.attention(x))  # (b, in or out, h, w)
        merged: Tensor = self.merge(torch.cat(views, dim=1))
        return merged
