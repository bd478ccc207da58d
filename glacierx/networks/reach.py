"""How far a network sees: the pixels of its input that a pixel of its output depends on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from glacierx.errors import ModelError
from glacierx.networks.layers import Inputs

Spans = Tensor
"""First and last column of the input that each column of a map depends on (2, columns)."""

# Canvases that are tried, in columns; what sees all of the last sees the whole patch.
NARROWEST, WIDEST = 1024, 16384


def receptive_field(network: nn.Module) -> int | None:
    """Return how many pixels of a row one pixel of the output can depend on.

    It is the theoretical one: what the layout of kernels, strides, dilations and enlargings lets
    through, whatever the weights; in effect most of the weight lies in its middle. Pixels see
    unequally far in networks with strides; this is the furthest. It is that of running, where norms
    do not look at the patch.

    Args:
        network: Keeps the contract of `glacierx.networks`.

    Returns:
        Pixels, or None where a mean over the whole map lets every pixel see the whole patch.

    Raises:
        ModelError: The network does something whose reach is not known here.

    Example:
        >>> receptive_field(build("segnet", in_channels=4, classes=1))
        202
    """
    stride = int(getattr(network, "stride", 1))
    columns = NARROWEST
    while columns <= WIDEST:
        spans = _spans(network, columns // stride * stride, stride)
        middle = spans[:, spans.shape[1] // 2 :][:, : max(stride, 1)]
        low, high = int(middle[0].min()), int(middle[1].max())
        if low > 0 and high < columns // stride * stride - 1:
            return int((middle[1] - middle[0]).max()) + 1
        columns *= 2
    return None


def spans_of_row(network: nn.Module, columns: int) -> list[tuple[int, int]]:
    """Return the first and last column of the input that each column of the output depends on.

    Args:
        network: Keeps the contract of `glacierx.networks`.
        columns: Of the input; a multiple of the network's stride.
    """
    first, last = _spans(network, columns, int(getattr(network, "stride", 1))).tolist()
    return list(zip(first, last, strict=True))


def _spans(network: nn.Module, columns: int, stride: int) -> Spans:
    # Without memory or arithmetic: only shapes go through.
    named = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    ghosts = {name: torch.empty_like(value, device="meta") for name, value in named.items()}
    conv = next(part for part in network.modules() if isinstance(part, nn.Conv2d))
    kind, planes = conv.weight.dtype, conv.in_channels
    follow = _Follow()
    with torch.no_grad(), follow:
        # Two samples, because norms in training refuse a single value.
        x = torch.empty(2, planes, stride, columns, dtype=kind, device="meta")
        follow.remember(x, torch.arange(columns).expand(2, -1).clone())
        mask: Tensor = functional_call(network, ghosts, (Inputs(x),)).mask
    return follow.spans(mask)


class _Follow(TorchFunctionMode):
    """Carry the spans of columns along with each tensor that a network makes."""

    def __init__(self) -> None:
        super().__init__()
        # A tensor is kept with its spans, so that no other takes its identity.
        self.known: dict[int, tuple[Tensor, Spans]] = {}

    def remember(self, x: Tensor, spans: Spans) -> None:
        self.known[id(x)] = (x, spans)

    def spans(self, x: Tensor) -> Spans:
        return self.known[id(x)][1]

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        given = [x for x in _tensors([*args, *(kwargs or {}).values()]) if id(x) in self.known]
        for made in _tensors([found]) if given else []:
            self.remember(made, self._follow(func, given, made, args, dict(kwargs or {})))
        return found

    def _follow(
        self,
        func: Callable[..., Any],
        given: list[Tensor],
        made: Tensor,
        args: Sequence[Any],
        kwargs: dict[str, Any],
    ) -> Spans:
        x = self.spans(given[0])
        into, out = x.shape[1], made.shape[-1]
        if func in TAPS:
            return _gather(x, TAPS[func](into, out, args, kwargs))
        if out == 1 and into > 1:
            return torch.stack([x[0].min(), x[1].max()])[:, None]
        if any(self.spans(each).shape[1] not in (1, out) for each in given):
            name = getattr(func, "__name__", str(func))
            raise ModelError(
                f"How far {name} sees is not known here. Add what it reads to TAPS of reach.py."
            )
        alike = [self.spans(each).expand(2, out) for each in given]
        return torch.stack(
            [torch.stack([each[0] for each in alike]).amin(0),
             torch.stack([each[1] for each in alike]).amax(0)]
        )  # fmt: skip


def _tensors(values: Any) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors(value)
    return found


def _gather(spans: Spans, taps: Tensor) -> Spans:
    """Unite the spans of the columns (out, taps) that each column reads, but for those outside."""
    inside = (taps >= 0) & (taps < spans.shape[1])
    read = taps.clamp(0, spans.shape[1] - 1)
    far = torch.iinfo(spans.dtype).max
    first = torch.where(inside, spans[0][read], far).amin(1)
    last = torch.where(inside, spans[1][read], -1).amax(1)
    return torch.stack([first, last])


def _argument(args: Sequence[Any], kwargs: dict[str, Any], place: int, name: str) -> Any:
    return args[place] if len(args) > place else kwargs.get(name)


def _last(value: Any, otherwise: int) -> int:
    if value is None:
        return otherwise
    return int(value[-1] if isinstance(value, list | tuple) else value)


def _kernel(out: int, *, side: int, stride: int, padding: int, dilation: int) -> Tensor:
    return torch.arange(out)[:, None] * stride - padding + torch.arange(side) * dilation


def _conv(into: int, out: int, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    weight = _argument(args, kwargs, 1, "weight")
    return _kernel(
        out,
        side=weight.shape[-1],
        stride=_last(_argument(args, kwargs, 3, "stride"), 1),
        padding=_last(_argument(args, kwargs, 4, "padding"), 0),
        dilation=_last(_argument(args, kwargs, 5, "dilation"), 1),
    )


def _conv_transpose(into: int, out: int, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    side = int(_argument(args, kwargs, 1, "weight").shape[-1])
    stride = _last(_argument(args, kwargs, 3, "stride"), 1)
    # Column j takes tap t of column i where i * stride - padding + t = j.
    reached = torch.arange(out)[:, None] + _last(_argument(args, kwargs, 4, "padding"), 0)
    reached = reached - torch.arange(side)
    return torch.where(reached % stride == 0, reached // stride, -1)


def _pool(into: int, out: int, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    side = _last(_argument(args, kwargs, 1, "kernel_size"), 1)
    return _kernel(
        out,
        side=side,
        stride=_last(_argument(args, kwargs, 2, "stride") or None, side),
        padding=_last(_argument(args, kwargs, 3, "padding"), 0),
        dilation=1,
    )


def _parts(into: int, out: int, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    index = torch.arange(out)
    first, after = index * into // out, -(-(index + 1) * into // out)
    taps = first[:, None] + torch.arange(int((after - first).max()))
    return torch.where(taps < after[:, None], taps, -1)


def _interpolate(into: int, out: int, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    index = torch.arange(out, dtype=torch.float64)
    if kwargs.get("mode", "nearest") == "nearest":
        return (torch.arange(out) * into // out)[:, None]
    if kwargs.get("align_corners"):
        place = index * ((into - 1) / max(out - 1, 1))
    else:
        place = ((index + 0.5) * (into / out) - 0.5).clamp(min=0)
    low = place.floor().long()
    # Where a place is a pixel's own, its neighbour has no weight; rounding must not say otherwise.
    high = torch.where((place - low) > 1e-9, low + 1, low)
    return torch.stack([low.clamp(max=into - 1), high.clamp(max=into - 1)], dim=1)


def _shuffle(into: int, out: int, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    return (torch.arange(out) * into // out)[:, None]


def _unshuffle(into: int, out: int, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    factor = into // out
    return torch.arange(out)[:, None] * factor + torch.arange(factor)


TAPS: dict[Any, Callable[[int, int, Sequence[Any], dict[str, Any]], Tensor]] = {
    F.adaptive_avg_pool2d: _parts,
    F.avg_pool2d: _pool,
    F.conv2d: _conv,
    F.conv_transpose2d: _conv_transpose,
    F.interpolate: _interpolate,
    F.max_pool2d: _pool,
    F.pixel_shuffle: _shuffle,
    F.pixel_unshuffle: _unshuffle,
}
"""Which columns of a map (out, taps) each column of what is made of it reads; -1 for none."""
