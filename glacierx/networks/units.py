"""The unit that plain encoders and U-Net decoders are made of: convolutions with what is wished."""

from torch import Tensor, nn

from glacierx.networks.layers import ChannelGate, activation, he_init


def _conv(
    in_channels: int, out_channels: int, *, kernel: int, activated: str, norm: bool
) -> nn.Sequential:
    """Return convolution, batch norm (or a bias in its place) and activation."""
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=not norm)
    ]
    if norm:
        layers.append(nn.BatchNorm2d(out_channels))
    return nn.Sequential(*layers, activation(activated))


class _Recurrent(nn.Module):
    """A convolution that sees its own result again.

    Alom et al. 2018 (arXiv:1802.06955) in the form: x projected to the width, h = f(x), then
    h = f(x + h) until f was applied *times*; x + h is returned.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int,
        activated: str,
        norm: bool,
        times: int,
    ) -> None:
        super().__init__()
        self.project = nn.Conv2d(in_channels, out_channels, 1)
        self.step = _conv(out_channels, out_channels, kernel=kernel, activated=activated, norm=norm)
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        x = self.project(x)  # (b, out, h, w)
        h: Tensor = self.step(x)
        for _ in range(self.times - 1):
            h = self.step(x + h)
        return x + h


class Unit(nn.Module):
    """Convolutions at one size.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel: Side of the convolutions, odd.
        convolutions: How many follow each other.
        activated: ``relu``, ``leaky`` or ``elu``.
        norm: Batch norm after each convolution; else a bias, and weights drawn after He et al.
        dropout: Share of the resulting channels that training drops.
        residual: Add the input, projected where the channels differ.
        recurrent: How often each convolution is applied to what it gave; 0 for a plain one.
        cse: Weigh the resulting channels by squeeze and excitation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 3,
        convolutions: int = 2,
        activated: str = "relu",
        norm: bool = True,
        dropout: float = 0.0,
        residual: bool = False,
        recurrent: int = 0,
        cse: bool = False,
    ) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for index in range(convolutions):
            into = out_channels if index else in_channels
            parts.append(
                _Recurrent(
                    into,
                    out_channels,
                    kernel=kernel,
                    activated=activated,
                    norm=norm,
                    times=recurrent,
                )
                if recurrent
                else _conv(into, out_channels, kernel=kernel, activated=activated, norm=norm)
            )
        self.body = nn.Sequential(*parts)
        self.shortcut: nn.Module | None = None
        if residual:
            same = in_channels == out_channels
            self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)
        self.after = nn.Sequential()
        if dropout:
            self.after.append(nn.Dropout2d(dropout))
        if cse:
            self.after.append(ChannelGate(out_channels))
        if not norm:
            he_init(self.body)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map (b, out, h, w) of a map (b, in, h, w)."""
        found: Tensor = self.body(x)
        if self.shortcut is not None:
            found = found + self.shortcut(x)
        result: Tensor = self.after(found)
        return result
