"""Published and own recipes by name: what a network is, and how it learns."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glacierx.errors import OptionError
from glacierx.predict.card import Card, Slot
from glacierx.predict.normalise import Normalisation
from glacierx.scene.sensors import OPTICAL, THERMAL
from glacierx.training.options import TrainOptions

FOLDER = Path(__file__).parent.parent / "presets"


@dataclass(frozen=True)
class Preset:
    """A recipe.

    Attributes:
        name: What ``--preset`` calls it.
        card: The contract of a network that nothing was learnt by yet.
        options: What it sets of `TrainOptions`.
    """

    name: str
    card: Card
    options: Mapping[str, Any]

    def train_options(self, **given: Any) -> TrainOptions:
        """Return its options, with those that were given instead of its own."""
        return TrainOptions(**{**self.options, **given})


def presets() -> list[str]:
    """Return the names of the recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_preset(name: str) -> Preset:
    """Read a recipe.

    Raises:
        OptionError: There is none of that name.
    """
    if name not in presets():
        raise OptionError(f"There is no preset {name!r}. Known: {', '.join(presets())}.")
    table = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    model = dict(table["model"])
    slots = tuple(
        Slot(role, _modality(role), required)
        for required in (True, False)
        for role in model.pop("required" if required else "optional", ())
    )
    scaling = Normalisation(**model.pop("normalisation", {}))
    minimum = tuple(tuple(roles) for roles in model.pop("minimum", ()))
    gsd_m = tuple(model.pop("gsd_m"))
    card = Card(**model, inputs=slots, minimum=minimum, normalisation=scaling, gsd_m=gsd_m)
    return Preset(name, card, dict(table.get("train", {})))


def _modality(role: str) -> str:
    if role in OPTICAL:
        return "optical"
    return "thermal" if role in THERMAL else "terrain"
