"""The device that a network runs on, by name."""

import os

import torch

from glacierx.errors import OptionError
from glacierx.options import EngineOptions

# A GPU that averages views is fed by few threads; more than this gain nothing.
MOST_DECODERS = 8
DEVICES = ("cpu", "cuda", "mps")


def choose_device(name: str) -> torch.device:
    """Return the device of a name: auto, cpu, cuda, cuda:N or mps.

    Raises:
        OptionError: The machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in DEVICES or (device.type == "cpu" and device.index):
            raise RuntimeError(f"it is none of {', '.join(DEVICES)}")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(
            f"--device {name!r} is not to be had here: {str(error).splitlines()[0]}. "
            "Use --device cpu."
        ) from error
    return device


def device_name(device: torch.device) -> str:
    """Return what a person calls a device: the name of a GPU, else cpu or mps."""
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else device.type


def decoders(options: EngineOptions) -> int:
    """Return how many threads decode a scene."""
    return options.workers or min(MOST_DECODERS, cores())


def cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_spare_core(device: torch.device) -> bool:
    """Tell whether a processor is free to read and write while a network runs."""
    return device.type != "cpu" or torch.get_num_threads() < cores()


def gpus() -> list[str]:
    """Name the GPUs of this machine as CUDA_VISIBLE_DEVICES does; none where CUDA is not used."""
    count = torch.cuda.device_count()
    told = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    named = [name for name in told if name]
    return named[:count] if len(named) >= count else [str(number) for number in range(count)]
