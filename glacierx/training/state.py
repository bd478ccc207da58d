"""Everything a run needs to go on after it was killed, in one file without pickle."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from glacierx.errors import ModelError
from glacierx.scene.staging import staged

KEY = "glacierx_training"


def save_state(
    path: Path,
    networks: dict[str, nn.Module],
    optimizer: Optimizer,
    about: dict[str, Any],
) -> None:
    """Write networks, the optimiser and what is known of the run, whole or not at all."""
    tensors: dict[str, Tensor] = {}
    for prefix, network in networks.items():
        for name, value in network.state_dict().items():
            tensors[f"{prefix}/{name}"] = value.detach().cpu().contiguous().clone()
    plain: dict[str, dict[str, Any]] = {}
    for number, entry in optimizer.state_dict()["state"].items():
        for name, value in entry.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{number}/{name}"] = value.detach().cpu().contiguous().clone()
            else:
                plain.setdefault(str(number), {})[name] = value
    text = json.dumps({"about": about, "optimizer": plain}, sort_keys=True)
    with staged(path, overwrite=True) as part:
        save_file(tensors, part, metadata={KEY: text})


def load_state(path: Path, networks: dict[str, nn.Module], optimizer: Optimizer) -> dict[str, Any]:
    """Read what `save_state` wrote back into networks and optimiser.

    Returns:
        What was known of the run.

    Raises:
        ModelError: The file is damaged or of another network.
    """
    about = read_about(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safetensors has no iterator
        for prefix, network in networks.items():
            network.load_state_dict(
                {
                    name.removeprefix(f"{prefix}/"): value
                    for name, value in tensors.items()
                    if name.startswith(f"{prefix}/")
                }
            )
        state: dict[int, dict[str, Any]] = {
            int(number): dict(entry) for number, entry in about["optimizer"].items()
        }
        groups = optimizer.state_dict()["param_groups"]
        # Numbered over all groups, in their order, as the optimiser numbers its state.
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        for name, value in tensors.items():
            if name.startswith("optimizer/"):
                _, number, key = name.split("/", 2)
                state.setdefault(int(number), {})[key] = _laid_out(value, weights[int(number)])
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except (SafetensorError, OSError, KeyError, IndexError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path} cannot be gone on from: {str(error).splitlines()[0]}. Delete the folder "
            f"{path.parent.name} and start anew."
        ) from error
    found: dict[str, Any] = about["about"]
    return found


def _laid_out(value: Tensor, weight: Tensor) -> Tensor:
    """Lay a moment out in memory as its weight is; the fused optimiser pairs them by address."""
    if value.shape != weight.shape:
        return value
    return torch.empty_like(weight, dtype=value.dtype, device=value.device).copy_(value)


def read_about(path: Path) -> dict[str, Any]:
    """Read what a state file says of its run, without its tensors.

    Raises:
        ModelError: The file is damaged or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {})[KEY]
        about: dict[str, Any] = json.loads(text)
        if {"about", "optimizer"} - set(about):
            raise KeyError("about")
        return about
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} is no state of a training run, or is damaged. Delete the folder "
            f"{path.parent.name} and start anew."
        ) from error
