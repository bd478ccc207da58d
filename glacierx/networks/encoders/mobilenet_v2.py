"""MobileNetV2 without its classifier.

Sandler et al. 2018 (doi:10.1109/CVPR.2018.00474), table 2.
"""

from torch import Tensor, nn

from glacierx.networks.encoders.pyramid import Encoder, chained, dilate

# Table 2: expansion t, channels c, repetitions n, stride s.
TABLE = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _eights(channels: float) -> int:
    """Round to a multiple of eight, never below nine tenths."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near if near >= 0.9 * channels else near + 8


def _conv(
    into: int, out: int, kernel: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    """Return convolution, batch norm and ReLU6."""
    return nn.Sequential(
        nn.Conv2d(
            into,
            out,
            kernel,
            stride=stride,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out),
        nn.ReLU6(inplace=True),
    )


class _Inverted(nn.Module):
    """Widen, convolve each channel, narrow without activation; add the input where it fits."""

    def __init__(self, into: int, out: int, *, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        wide = into * expansion
        layers: list[nn.Module] = [_conv(into, wide, 1)] if expansion > 1 else []
        layers.append(_conv(wide, wide, 3, stride=stride, dilation=dilation, groups=wide))
        layers.append(nn.Sequential(nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out)))
        self.body = nn.Sequential(*layers)
        self.adds = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x)
        return x + found if self.adds else found


class MobileNetV2(Encoder):
    """Inverted residuals with linear bottlenecks.

    2,223,872 parameters with three channels.

    Args:
        in_channels: Planes of the input.
        width: Factor of all channels, which are rounded to eights.
        last: Channels of the last 1 x 1 convolution before the factor, which it takes where it is
            above one; None leaves it out.
        out_stride: 8 or 16 dilates the stages that would go below; 32 as published.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        width: float = 1.0,
        last: int | None = 1280,
        out_stride: int = 32,
    ) -> None:
        super().__init__()
        into = _eights(32 * width)
        stages = dilate([row[3] for row in TABLE], before=2, out_stride=out_stride)
        level: list[nn.Module] = [_conv(in_channels, into, 3, stride=2)]
        levels, channels, steps = [], [], []
        for (expansion, base, number, published), (stride, dilation) in zip(
            TABLE, stages, strict=True
        ):
            if published > 1:  # What went before leaves its map.
                levels.append(nn.Sequential(*level))
                channels.append(into)
                steps.append(stride)
                level = []
            for index in range(number):
                level.append(
                    _Inverted(
                        into,
                        _eights(base * width),
                        expansion=expansion,
                        stride=1 if index else stride,
                        dilation=dilation,
                    )
                )
                into = _eights(base * width)
        if last is not None:
            out = _eights(last * max(1.0, width))
            level.append(_conv(into, out, 1))
            into = out
        self.levels = nn.ModuleList([*levels, nn.Sequential(*level)])
        self.channels = (*channels, into)
        self.strides = chained(2, steps)
