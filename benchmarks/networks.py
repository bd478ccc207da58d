"""Stride, receptive field, parameters and arithmetic of networks: the table of docs/networks.md.

python benchmarks/networks.py

Nothing is computed but shapes, so it takes a minute on any machine and gives the same everywhere.
"""

from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from glacierx.networks import ARCHITECTURES, build
from glacierx.networks.encoders import ENCODERS
from glacierx.networks.layers import Inputs
from glacierx.networks.reach import receptive_field

IN_CHANNELS, CLASSES, SIDE = 4, 1, 1024
FORMS: tuple[tuple[str, dict[str, Any]], ...] = (
    *((name, {}) for name in ARCHITECTURES),
    ("fcn", {"out_stride": 16}),
    *(("unet", {"encoder": name}) for name in ENCODERS if name != "resnet18"),
    *(
        ("deeplabv3plus", {"encoder": name})
        for name in ("drn", "mobilenet_v2", "resnest101", "xception65", "xception71")
    ),
    ("pspnet", {"encoder": "resnest101"}),
)


def gflop_per_mpx(network: nn.Module, in_channels: int) -> float:
    """Return arithmetic for a million pixels, a multiplication and an addition counted as two."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.eval().to("meta")(Inputs(torch.empty(1, in_channels, SIDE, SIDE, device="meta")))
    return float(counter.get_total_flops()) / 1e9 / (SIDE * SIDE / 1e6)


def main() -> None:
    """Print the table."""
    print("| Architecture | Arguments | Stride | Receptive field | Parameters | GFLOP per Mpx |")
    print("|---|---|---|---|---|---|")
    for name, arguments in FORMS:
        with torch.device("meta"):
            network = build(name, in_channels=IN_CHANNELS, classes=CLASSES, **arguments)
        reach = receptive_field(network)
        count = sum(value.numel() for value in network.parameters())
        told = ", ".join(f"`{key}={value!r}`" for key, value in arguments.items()).replace("'", "")
        print(
            f"| `{name}` | {told} | {network.stride} | {'patch' if reach is None else reach} "
            f"| {count:,} | {gflop_per_mpx(network, IN_CHANNELS):.0f} |"
        )


if __name__ == "__main__":
    main()
