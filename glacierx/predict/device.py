"""The device that a network runs on, by name."""

import torch

from glacierx.errors import OptionError

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
