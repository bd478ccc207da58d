"""Which numbers a network computes in while it learns."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from glacierx.errors import OptionError


@dataclass(frozen=True)
class Precision:
    """Numbers of a network on a device.

    Attributes:
        name: ``fp32``, ``bf16`` or ``fp16``.
        device: The kind of device.
    """

    name: str
    device: str

    def autocast(self) -> AbstractContextManager[object]:
        """Return a context in which networks compute in these numbers."""
        if self.name == "fp32":
            return nullcontext()
        kind = torch.bfloat16 if self.name == "bf16" else torch.float16
        return torch.autocast(self.device, kind)


def choose_precision(name: str, device: torch.device) -> Precision:
    """Choose numbers that a device computes fast in.

    Raises:
        OptionError: fp16 is asked for on a CPU, where it overflows and is slow.
    """
    if name == "auto":
        name = "bf16" if _has_bf16(device) else "fp32"
    if name == "fp16" and device.type != "cuda":
        raise OptionError("--precision fp16 needs a CUDA device. Use bf16 or fp32.")
    return Precision(name, device.type)


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type != "cpu":
        return False
    # These questions are private to PyTorch and have moved before; without an answer, fp32.
    asked = (
        getattr(torch.cpu, name, lambda: False)
        for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    )
    return any(bool(question()) for question in asked)
