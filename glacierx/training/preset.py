"""Published and own recipes by name or file: what a network is, and how it learns."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from glacierx.errors import ModelError, OptionError
from glacierx.predict.card import FORMAT, GROUPS, Card
from glacierx.scene.classes import Classes
from glacierx.scene.sensors import modality
from glacierx.training.options import SplitOptions, TrainOptions

FOLDER = Path(__file__).parent.parent / "presets"
LARGEST_BYTES = 64 * 2**10
SUFFIX = ".toml"
TABLES = ("source", "model", "train", "split", *GROUPS)
# What a card holds that a recipe cannot know.
LEARNT = ("inputs", "training", "scores", "temperature", "defaults")
OF_MODEL = (
    "required", "optional", *(f.name for f in fields(Card) if f.name not in LEARNT)
)  # fmt: skip
TEXTS = ("paper", "doi", "published", "data")
LISTS = ("ours", "missing")


@dataclass(frozen=True)
class Origin:
    """Where a recipe comes from.

    Attributes:
        paper: The paper, or what it is where there is none.
        doi: Its DOI.
        published: What the paper or its code say.
        data: The data and the area that it was made for.
        ours: Choices of ours, a line for each.
        missing: What of the published system is not there.
    """

    paper: str = ""
    doi: str = ""
    published: str = ""
    data: str = ""
    ours: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preset:
    """A recipe.

    Attributes:
        name: What ``--preset`` calls it.
        card: The contract of a network that nothing was learnt by yet.
        options: What it sets of `TrainOptions`.
        split: What it sets of `SplitOptions`, for `crossval`.
        origin: Where it comes from.
    """

    name: str
    card: Card
    options: Mapping[str, Any]
    split: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)

    def train_options(self, **given: Any) -> TrainOptions:
        """Return its options, with those that were given instead of its own."""
        return TrainOptions(**{**self.options, **given})

    def split_options(self, **given: Any) -> SplitOptions:
        """Return how it is cross-validated, with what was given instead of its own."""
        return SplitOptions(**{**self.split, **given})

    def as_record(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        card = json.loads(self.card.to_json())
        model = {key: value for key, value in card.items() if key not in ("format", *LEARNT)}
        inputs = {
            kind: [slot.role for slot in self.card.inputs if slot.required is wanted]
            for kind, wanted in (("required", True), ("optional", False))
        }
        origin = {name: getattr(self.origin, name) for name in TEXTS}
        origin |= {name: list(getattr(self.origin, name)) for name in LISTS}
        return {
            "name": self.name,
            "source": origin,
            "model": {**inputs, **model},
            "train": dict(self.options),
            "split": dict(self.split),
            **{group: dict(self.card.defaults.get(group, {})) for group in GROUPS},
        }


def presets() -> list[str]:
    """Return the names of the recipes that ship."""
    return sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))


def load_preset(name: str | Path) -> Preset:
    """Read a recipe.

    Args:
        name: The name of one that ships, or a file of your own that ends in ``.toml``.

    Returns:
        The recipe; every option in it is known and within its range.

    Raises:
        OptionError: There is none of that name, or the file holds something else; the line says
            what.
    """
    text = str(name)
    shipped = text in presets()
    if not shipped and Path(text).suffix != SUFFIX:
        raise OptionError(
            f"There is no preset {text!r}. Known: {', '.join(presets())}. Give one of them, or a "
            f"file that ends in {SUFFIX}."
        )
    path = FOLDER / f"{text}{SUFFIX}" if shipped else Path(text)
    try:
        return _preset(path.stem, _read(path))
    except (ModelError, OptionError) as error:
        raise OptionError(f"The preset {text} cannot be used: {error}") from error


def with_classes(card: Card, classes: str | None, ice: str | None) -> Card:
    """Return a card whose network tells other classes apart.

    Args:
        card: The card.
        classes: Names, parted by commas; None for those of the card.
        ice: Those that are glacier together; None for those of the card.

    Raises:
        OptionError: They are no classes of a network.
    """
    names, own = (
        tuple(name.strip() for name in text.split(",")) if text else before
        for text, before in ((classes, card.classes), (ice, card.ice))
    )
    problem = Classes(names, own).problem()
    if problem:
        raise OptionError(
            f"The classes {', '.join(names)} with the ice {', '.join(own)} cannot be learnt: "
            f"{problem}. Give such as --classes background,debris,ice --ice debris,ice."
        )
    return replace(card, classes=names, ice=own)


def _read(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            raise OptionError("there is no such file. Check the path.")
        if path.stat().st_size > LARGEST_BYTES:
            raise OptionError(f"it has more than {LARGEST_BYTES} bytes. Give a recipe.")
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise OptionError(f"it cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # TOML's and UTF-8's errors are of the first.
        if isinstance(error, OptionError):
            raise
        raise OptionError(f"it is not TOML in UTF-8: {str(error)[:200]}.") from error


def _preset(name: str, table: Mapping[str, Any]) -> Preset:
    _check_keys(table, TABLES, "the file")
    for key, value in table.items():
        if not isinstance(value, dict):
            raise OptionError(f"{key} is no table. Write [{key}] above its keys.")
    train, split = dict(table.get("train", {})), dict(table.get("split", {}))
    _check_keys(train, [f.name for f in fields(TrainOptions)], "[train]")
    _check_keys(split, [f.name for f in fields(SplitOptions)], "[split]")
    defaults = {group: table[group] for group in GROUPS if group in table}
    for group, values in defaults.items():
        _check_keys(values, [f.name for f in fields(GROUPS[group])], f"[{group}]")
    origin = _origin(table.get("source", {}))
    preset = Preset(name, _card(table.get("model", {}), name, defaults), train, split, origin)
    # What is out of range is told here, not when the scenes are read.
    preset.train_options()
    preset.split_options()
    return preset


def _card(model: Mapping[str, Any], name: str, defaults: Mapping[str, Any]) -> Card:
    _check_keys(model, OF_MODEL, "[model]")
    lists = {key: model.get(key, []) for key in ("required", "optional")}
    for key, roles in lists.items():
        _check_texts(roles, f"[model] {key}", "roles")
    if "architecture" not in model:
        raise OptionError('[model] names no architecture. Add architecture = "...".')
    inputs = [
        {"role": role, "group": modality(role), "required": key == "required"}
        for key, roles in lists.items()
        for role in roles
    ]
    whole = {key: value for key, value in model.items() if key not in lists}
    whole = {"format": FORMAT, "name": name, **whole, "inputs": inputs, "defaults": defaults}
    try:
        text = json.dumps(whole)
    except TypeError as error:
        raise OptionError(f"[model] holds what is neither number nor text: {error}.") from error
    return Card.from_json(text, name)


def _origin(table: Mapping[str, Any]) -> Origin:
    _check_keys(table, (*TEXTS, *LISTS), "[source]")
    for key in TEXTS:
        if not isinstance(table.get(key, ""), str):
            raise OptionError(f"[source] {key} takes text.")
    for key in LISTS:
        _check_texts(table.get(key, []), f"[source] {key}", "texts")
    values: dict[str, Any] = {key: tuple(table.get(key, ())) for key in LISTS}
    return Origin(**values, **{key: table[key] for key in TEXTS if key in table})


def _check_keys(table: Mapping[str, Any], known: Any, where: str) -> None:
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise OptionError(
            f"{where} holds {', '.join(unknown)[:100]}, which no recipe has. Known: "
            f"{', '.join(known)}."
        )


def _check_texts(values: Any, where: str, what: str) -> None:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise OptionError(f"{where} takes a list of {what}.")
