"""A network with its card, and the safetensors file that holds both; needs no scene."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from glacierx.errors import ModelError
from glacierx.networks import build
from glacierx.predict.card import Card
from glacierx.scene.staging import is_there, staged

if TYPE_CHECKING:
    from glacierx.scene.scene import Scene

CARD_KEY = "glacierx_card"
METHOD_KEY = "glacierx_method"
LARGEST_HEADER = 16 * 2**20
"""What the metadata of a network's file, and of a fitted pixel method's, hold it under."""


@dataclass(frozen=True)
class Model:
    """A network with its card.

    Attributes:
        network: The network, in evaluation mode.
        card: Its contract.
        sha256: Of the file it was read from; empty for one made in memory.
    """

    network: nn.Module
    card: Card
    sha256: str = ""

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.card.name

    def check(self, scene: "Scene") -> None:
        """Refuse a scene that lacks what the model needs, before any pixel is read."""
        self.card.check(scene)

    def describe(self) -> dict[str, Any]:
        """Return what a run record says of the model."""
        return {
            "name": self.card.name,
            "kind": "network",
            "architecture": self.card.architecture,
            "sha256": self.sha256 or None,
            "roles": list(self.card.roles),
            "normalisation": self.card.normalisation.kind,
            **(
                {"classes": list(self.card.classes), "ice": list(self.card.ice)}
                if len(self.card.classes) > 1
                else {}
            ),
        }


def build_model(card: Card, seed: int = 0) -> Model:
    """Build a model with fresh weights.

    Args:
        card: Its contract.
        seed: Number that the weights follow from; the global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(card)
    return Model(network.eval(), card)


def count_parameters(card: Card) -> int:
    """Count the parameters of a card's network, without making room for them."""
    with torch.device("meta"):
        return sum(weight.numel() for weight in _network(card).parameters())


def _network(card: Card) -> nn.Module:
    network: nn.Module = build(
        card.architecture,
        in_channels=len(card.inputs),
        classes=len(card.classes),
        **card.arguments,
    )
    return network


def save_network(
    model: Model, path: str | Path, *, overwrite: bool = False, half: bool = False
) -> Path:
    """Write weights and card into one safetensors file.

    Args:
        model: The model.
        path: The file, ending in ``.safetensors``.
        overwrite: Replace an existing file.
        half: Store floating-point weights in 16 bits, half the size; counts stay as they are.

    Raises:
        ModelError: The file has another ending, or a weight is too large for 16 bits.
    """
    check_model_path(path)
    weights = {
        name: value.detach().cpu().contiguous()
        for name, value in model.network.state_dict().items()
    }
    if half:
        weights = {name: _halved(name, value) for name, value in weights.items()}
    with staged(path, overwrite=overwrite) as part:
        save_file(weights, part, metadata={CARD_KEY: model.card.to_json()})
    return Path(path)


def _halved(name: str, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value
    small = value.half()
    if bool((torch.isinf(small) & torch.isfinite(value)).any()):
        raise ModelError(
            f"The weights {name} reach {float(value.abs().max()):.3g}, and 16 bits end at 65504. "
            "Save the model without half."
        )
    return small


def load_network(path: str | Path) -> Model:
    """Read the file of a network.

    Args:
        path: A safetensors file with a card. Weights of 16 bits become those of 32.

    Raises:
        ModelError: The file is missing, is a pickle or a pixel method's, or card and weights
            disagree.
    """
    path = Path(path)
    card = load_card(path)
    # A network without memory first: a card can ask for one that no machine holds.
    try:
        with torch.device("meta"):
            expected = _network(card).state_dict()
    except ModelError as error:
        raise ModelError(f"The card of {path.name} cannot be used: {error}") from error
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - safetensors has no iterator
            kinds = {name: part.get_dtype() for name, part in found.items()}
            shapes = {name: tuple(part.get_shape()) for name, part in found.items()}
            _check_weights(path.name, card, expected, shapes, kinds)
            weights = {name: file.get_tensor(name).to(expected[name].dtype) for name in found}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    if not all(bool(torch.isfinite(value).all()) for value in weights.values()):
        raise ModelError(
            f"{path.name} holds weights that are not numbers. The file is damaged; get it again."
        )
    model = build_model(card)
    model.network.load_state_dict(weights)
    return Model(model.network.eval(), card, sha256_of(path))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a model file, which its run records hold."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def check_model_path(path: str | Path) -> None:
    """Refuse a model file of another ending.

    Raises:
        ModelError: It is none.
    """
    if Path(path).suffix != ".safetensors":
        raise ModelError(f"{path} is no model file: give it the ending .safetensors.")


def load_card(path: str | Path) -> Card:
    """Read the card of a model file, not its weights.

    Raises:
        ModelError: The file is missing, is not safetensors, or has no card.
    """
    path = Path(path)
    metadata = read_metadata(path)
    if METHOD_KEY in metadata:
        raise ModelError(
            f"{path.name} is a fitted pixel method and has no card of a network. "
            "Load it with glacierx.load_model."
        )
    if CARD_KEY not in metadata:
        raise ModelError(
            f"{path.name} holds weights without a card, so their bands and scaling are unknown. "
            "Save it with glacierx.save_model."
        )
    return Card.from_json(metadata[CARD_KEY], path.name)


def read_metadata(path: Path) -> dict[str, str]:
    """Read what a safetensors file says of itself.

    Raises:
        ModelError: The file is missing, a pickle or damaged.
    """
    _check_kind(path)
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _check_kind(path: Path) -> None:
    if not is_there(path):
        raise ModelError(f"The model file {path} does not exist. Check the path.")
    with path.open("rb") as file:
        start = file.read(9)
    told = int.from_bytes(start[:8], "little")
    # A safetensors file begins with a length, whose bytes can be those of a pickle or an archive.
    header = start[8:9] == b"{"
    pickled = not header and (start[:2] == b"PK" or start[:1] == b"\x80")
    if pickled or path.suffix in (".pt", ".pth", ".pkl"):
        raise ModelError(
            f"{path.name} is a pickle, which can run any code when it is loaded, so glacierx never "
            "does. Convert its weights to safetensors where you trust them."
        )
    if header and told > min(LARGEST_HEADER, path.stat().st_size - 8):
        raise ModelError(
            f"{path.name} cannot be read as safetensors: it says that its header has {told} bytes "
            f"and has {path.stat().st_size} itself; at most {LARGEST_HEADER} are read. "
            "The file is damaged or cut short; get it again."
        )
    if not header:
        raise ModelError(f"{path.name} is not a safetensors file. Give one that glacierx saved.")


def _check_weights(
    name: str, card: Card, expected: Any, found: dict[str, Any], kinds: dict[str, str]
) -> None:
    def listed(names: set[str]) -> str:
        return ", ".join(sorted(names)[:3]) + (" ..." if len(names) > 3 else "")

    missing, extra = set(expected) - set(found), set(found) - set(expected)
    wrong = {key for key in set(found) & set(expected) if found[key] != tuple(expected[key].shape)}
    problems = [f"it lacks {listed(missing)}"] * bool(missing)
    problems += [f"it has {listed(extra)} that the architecture does not"] * bool(extra)
    problems += [
        f"{key} is {list(found[key])} and should be {list(expected[key].shape)}"
        for key in sorted(wrong)[:2]
    ]
    # F32, BF16, F8_E4M3 ...; counts are I64.
    odd = [
        f"{key} is of type {kinds[key]}"
        for key in sorted(set(found) & set(expected))
        if not re.match("B?F" if expected[key].is_floating_point() else "[IU]", kinds[key])
    ]
    problems += odd[:2]
    if problems:
        arguments = json.dumps(dict(card.arguments))
        raise ModelError(
            f"Card and weights of {name} disagree ({card.architecture} {arguments}): "
            f"{'; '.join(problems)}. The file is damaged or was edited; get it again."
        )


def _unreadable(path: Path, error: BaseException) -> ModelError:
    return ModelError(
        f"{path.name} cannot be read as safetensors: {str(error).strip()}. "
        "The file is damaged or cut short; get it again."
    )
