"""ResNeSt without its classifier.

Zhang et al. 2022 (doi:10.1109/CVPRW56347.2022.00309): bottlenecks whose 3 x 3 convolution is split
attention (section 3.1), a stem of three 3 x 3 convolutions, and averages in place of strides
(section 3.2, "network tweaks").
"""

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from glacierx.errors import ModelError
from glacierx.networks.encoders.pyramid import Encoder, chained, dilate, of_depth
from glacierx.networks.layers import conv_norm_relu

# Blocks of the four stages, and channels of the first convolutions of the stem.
DEPTHS = {50: ((3, 4, 6, 3), 32), 101: ((3, 4, 23, 3), 64)}
STEMS = ("deep", "pool")


class _SplitAttention(nn.Module):
    """Several 3 x 3 convolutions, and for each channel a softmax of which of them counts."""

    def __init__(self, channels: int, *, radix: int, dilation: int, norm: bool) -> None:
        super().__init__()
        self.radix = radix
        wide = channels * radix
        self.split = nn.Sequential(
            nn.Conv2d(
                channels, wide, 3, padding=dilation, dilation=dilation, groups=radix, bias=False
            ),
            nn.BatchNorm2d(wide),
            nn.ReLU(inplace=True),
        )
        inner = max(wide // 4, 32)
        squeeze = conv_norm_relu(channels, inner, bias=True)
        if not norm:
            del squeeze[1]
        self.weigh = nn.Sequential(squeeze, nn.Conv2d(inner, wide, 1))

    def forward(self, x: Tensor) -> Tensor:
        splits = self.split(x).unflatten(1, (self.radix, -1))  # (b, radix, c, h, w)
        mean = splits.sum(dim=1).mean(dim=(2, 3), keepdim=True)  # (b, c, 1, 1)
        weights = self.weigh(mean).unflatten(1, (self.radix, -1)).softmax(dim=1)
        found: Tensor = (splits * weights).sum(dim=1)  # (b, c, h, w)
        return found


class _Block(nn.Module):
    """1 x 1, split attention, 1 x 1 to four times the width, beside a shortcut."""

    def __init__(
        self,
        into: int,
        width: int,
        *,
        attention: Mapping[str, Any],
        stride: int,
        dilation: int,
        first: bool,
    ) -> None:
        super().__init__()
        out = 4 * width
        layers: list[nn.Module] = [
            conv_norm_relu(into, width),
            _SplitAttention(width, dilation=dilation, **attention),
        ]
        if first:  # The first block of a stage; one that keeps its size smooths all the same.
            layers.append(nn.AvgPool2d(3, stride, padding=1))
        layers += [nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out)]
        self.body = nn.Sequential(*layers)
        self.shortcut: nn.Module = nn.Identity()
        if into != out or stride != 1:
            # A stage that keeps its size by dilation averages single pixels: weights fit both.
            pool: list[nn.Module] = [nn.AvgPool2d(stride)] if first else []
            self.shortcut = nn.Sequential(
                *pool, nn.Conv2d(into, out, 1, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x), inplace=True)


class ResNeSt(Encoder):
    """A residual encoder of split attention.

    25,434,240 parameters with 50 layers and three channels, 46,226,016 with 101.

    Args:
        in_channels: Planes of the input.
        depth: 50 or 101 layers.
        width: Inner channels of the first stage, doubled by each stage.
        radix: Convolutions that share the attention, two or more.
        attention_norm: Batch norm within the attention, as published. It takes the mean and the
            variance of one number for each patch of a batch: where these are few or alike, what
            is learnt does not hold once the norm takes its running means.
        stem: ``deep``: three convolutions and a max-pooling, of stride 4; ``pool``: the input
            averaged over 3 x 3 pixels with stride 2 and nothing else.
        out_stride: Stride of the last map, below which stages are dilated instead; None for 32, or
            16 after ``pool``.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        depth: int = 50,
        width: int = 64,
        radix: int = 2,
        attention_norm: bool = True,
        stem: str = "deep",
        out_stride: int | None = None,
    ) -> None:
        super().__init__()
        if stem not in STEMS:
            raise ModelError(f"ResNeSt has no stem {stem!r}. Take one of: {', '.join(STEMS)}.")
        if radix < 2:
            raise ModelError(f"ResNeSt was given radix={radix}. It weighs two or more splits.")
        blocks, narrow = of_depth(DEPTHS, depth, "ResNeSt")
        narrow = narrow * width // 64
        deep = stem == "deep"
        first: nn.Module = nn.AvgPool2d(3, stride=2, padding=1)
        if deep:
            first = nn.Sequential(
                conv_norm_relu(in_channels, narrow, 3, stride=2),
                conv_norm_relu(narrow, narrow, 3),
                conv_norm_relu(narrow, 2 * narrow, 3),
            )
        into = 2 * narrow if deep else in_channels
        steps = dilate((1, 2, 2, 2), before=4 if deep else 2, out_stride=out_stride)
        attention = {"radix": radix, "norm": attention_norm}
        levels, channels = [first], [into]
        for stage, (number, (stride, dilation)) in enumerate(zip(blocks, steps, strict=True)):
            inner = width * 2**stage
            layers = _stage(
                into, inner, number, attention=attention, step=(stride, dilation), first=stage
            )
            if stage == 0 and deep:
                layers.insert(0, nn.MaxPool2d(3, stride=2, padding=1))
            levels.append(nn.Sequential(*layers))
            into = 4 * inner
            channels.append(into)
        self.levels = nn.ModuleList(levels)
        self.channels = tuple(channels)
        self.strides = chained(2, [2 if deep else 1, *(stride for stride, _ in steps[1:])])


def _stage(
    into: int,
    width: int,
    number: int,
    *,
    attention: Mapping[str, Any],
    step: tuple[int, int],
    first: int,
) -> list[nn.Module]:
    return [
        _Block(
            4 * width if index else into,
            width,
            attention=attention,
            stride=1 if index else step[0],
            dilation=step[1],
            first=first > 0 and index == 0,
        )
        for index in range(number)
    ]
