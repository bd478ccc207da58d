"""Card: what a model takes, gives and was made from; the part of its file that people read."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from glacierx.errors import ModelError, OptionError, SceneError
from glacierx.options import DivideOptions, OutlineOptions, PredictOptions
from glacierx.predict.normalise import Normalisation
from glacierx.predict.tta import VIEWS
from glacierx.scene.classes import GLACIER, Classes
from glacierx.scene.sensors import OPTICAL, OWN, ROLES, is_own_role

if TYPE_CHECKING:
    from glacierx.scene.scene import Scene

FORMAT = 1
# By so much does the scale of a map that is meant for measuring differ from the ground's.
MAP_SCALE = 0.01
LONGEST_ARGUMENTS = 4096
GROUPS = {"predict": PredictOptions, "outline": OutlineOptions, "divide": DivideOptions}


@dataclass(frozen=True)
class Slot:
    """One input plane of a model.

    Attributes:
        role: What the plane measures: one of `ROLES`, or in the group ``aux`` a word of the user's
            own, which a scene has by ``--aux``.
        group: The modality it belongs to: optical, thermal, terrain, sar, insar, index, aux.
        required: Without it a scene is refused; an optional plane that is absent is zero, and a
            presence flag tells the network.
    """

    role: str
    group: str = "optical"
    required: bool = True

    def __post_init__(self) -> None:
        if not (self.role in ROLES or (self.group == OWN and is_own_role(self.role))):
            raise ModelError(f"The card asks for {str(self.role)[:80]!r}, which is no role.")


@dataclass(frozen=True)
class Card:
    """The contract of a model.

    Attributes:
        name: What the model is called.
        architecture: A key of the table of architectures.
        arguments: Its keywords.
        inputs: Planes in the order of the network's channels.
        minimum: Sets of roles of which a scene must have at least one, whole.
        normalisation: How pixels are scaled.
        classes: What the output planes are, in order: one by a sigmoid, more by a softmax.
        ice: Those classes that are glacier together.
        tta: Default test-time augmentation.
        gsd_m: Smallest and largest ground sampling distance it was made for.
        patch_px: Side of its patches.
        threshold: A pixel above this probability is glacier.
        temperature: Logits are divided by it before the sigmoid.
        context: How many times wider a view the network also takes; 0 for none.
        defaults: Options of inference and of what follows it that the command line takes where no
            flag says otherwise: fields of `PredictOptions`, `OutlineOptions` and `DivideOptions`
            under ``predict``, ``outline`` and ``divide``.
        training: Data, regions, dates and footprints (west, south, east, north) it was made from.
        scores: What it reached, with the data named.
        licence: Terms of the weights.
        citation: What to cite.
    """

    name: str
    architecture: str
    inputs: tuple[Slot, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    minimum: tuple[tuple[str, ...], ...] = ()
    normalisation: Normalisation = field(default_factory=Normalisation)
    classes: tuple[str, ...] = (GLACIER,)
    ice: tuple[str, ...] = (GLACIER,)
    tta: str = "none"
    gsd_m: tuple[float, float] = (0.1, 1000.0)
    patch_px: int = 1024
    threshold: float = 0.5
    temperature: float = 1.0
    context: int = 0
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    licence: str = "not stated"
    citation: str = ""

    def __post_init__(self) -> None:
        roles = self.roles
        problems = {
            "it has no name": not self.name,
            "it has no inputs": not roles,
            "its minimum names what is no role": any(
                not names or not set(names) <= {*ROLES, *roles} for names in self.minimum
            ),
            self.told.problem(): bool(self.told.problem()),
            "its arguments hold what the inputs and classes say": bool(
                {"in_channels", "classes"} & set(self.arguments)
            ),
            f"its arguments are longer than {LONGEST_ARGUMENTS} letters": (
                len(json.dumps(dict(self.arguments))) > LONGEST_ARGUMENTS
            ),
            "a role is listed twice": len(set(roles)) != len(roles),
            f"its tta is {self.tta!r}": self.tta not in VIEWS,
            f"its patch of {self.patch_px} px is not within 16 to 16384": not (
                16 <= self.patch_px <= 16384
            ),
            "its threshold is not within 0 to 1": not 0 <= self.threshold <= 1,
            "its temperature is not a number above 0": not 0 < self.temperature < math.inf,
            f"its context of {self.context} is not 0 or within 2 to 64": (
                self.context != 0 and not 2 <= self.context <= 64
            ),
            "its gsd_m range is not two numbers in order": not (
                len(self.gsd_m) == 2 and 0 < self.gsd_m[0] <= self.gsd_m[1]
            ),
            "its footprints are not boxes of west, south, east, north": not are_boxes(
                self.training.get("footprints", [])
            ),
            "its fixed normalisation is not as long as its inputs": (
                self.normalisation.kind == "fixed" and len(self.normalisation.mean) != len(roles)
            ),
            f"its {self.normalisation.kind} normalisation shifts aspects, which turn with the view "
            "and need a mean of 0 and one std": self.normalisation.bends(roles),
        }
        for problem, found in problems.items():
            if found:
                raise ModelError(f"The card of {self.name} cannot be used: {problem}.")
        _check_defaults(self.defaults, self.name)

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles in the order of the network's channels."""
        return tuple(slot.role for slot in self.inputs)

    @property
    def needed(self) -> tuple[str, ...]:
        """Roles without which a scene is refused."""
        return tuple(slot.role for slot in self.inputs if slot.required)

    @property
    def told(self) -> Classes:
        """The classes, and which of them are glacier."""
        return Classes(self.classes, self.ice)

    def check(self, scene: "Scene") -> None:
        """Refuse a scene that lacks what the model needs, before any pixel is read.

        Raises:
            MissingBandError: A required role, or the minimum, is missing.
            SceneError: The model needs reflectance and the scene's units are unknown.
        """
        reason, has = f"the model {self.name}", set(scene.available)
        for role in self.needed:
            if role not in has:
                raise scene.missing(role, reason)
        if self.minimum and not any(set(roles) <= has for roles in self.minimum):
            nearest = min(self.minimum, key=lambda roles: len(set(roles) - has))
            raise scene.missing(next(role for role in nearest if role not in has), reason)
        present = [role for role in self.roles if role in has and role in OPTICAL]
        if self.normalisation.needs_reflectance and not scene.has_reflectance(present):
            raise SceneError(
                f"The model {self.name} needs reflectance, and the units of {scene.name} are "
                "unknown. Give --sensor and --level, or --scale and --offset."
            )

    def fits(self, scene: "Scene") -> bool:
        """Tell whether the model can take a scene and was made for its GSD."""
        try:
            self.check(scene)
        except SceneError:
            return False
        return self.covers(scene.grid.gsd_m)

    def covers(self, gsd_m: float) -> bool:
        """Tell whether the model was made for a GSD; pixels of 30 m on a map are a little off."""
        return self.gsd_m[0] <= gsd_m * (1 + MAP_SCALE) and gsd_m <= self.gsd_m[1] * (1 + MAP_SCALE)

    def to_json(self) -> str:
        """Return the card as JSON, the same text for the same card."""
        values = asdict(self)
        if self.ice == (GLACIER,):  # So that cards of one class are as they always were.
            del values["ice"]
        if not self.defaults:  # So that cards without any are as they always were.
            del values["defaults"]
        return json.dumps({"format": FORMAT, **values}, sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str, name: str) -> Self:
        """Read a card.

        Raises:
            ModelError: It is not a card that this version can read.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"The card of {name} is not JSON: {error}.") from error
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise ModelError(f"The card of {name} has another format than {FORMAT}.")
        unknown = set(data) - {declared.name for declared in fields(cls)}
        if unknown:
            raise ModelError(
                f"The card of {name} holds unknown keys: {', '.join(sorted(unknown))}."
            )
        try:
            return cls(**_typed(data))
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from error
        except (TypeError, ValueError, KeyError, OverflowError, RecursionError) as error:
            raise ModelError(f"The card of {name} cannot be read: {str(error)[:300]}.") from error


def _typed(data: dict[str, Any]) -> dict[str, Any]:
    """Turn lists into the tuples and records of a card, refusing other types."""
    out = dict(data)
    for key, kind in (("name", str), ("architecture", str), ("tta", str), ("licence", str),
                      ("citation", str), ("patch_px", int), ("context", int), ("arguments", dict),
                      ("defaults", dict), ("training", dict), ("scores", dict)):  # fmt: skip
        if key in out and (not isinstance(out[key], kind) or isinstance(out[key], bool)):
            raise TypeError(f"{key} is {out[key]!r}, expected {kind.__name__}")
    out["inputs"] = tuple(Slot(**slot) for slot in _sequence(out["inputs"]))
    scaling: dict[str, Any] = dict(out.get("normalisation", {}))
    for key in ("mean", "std"):
        scaling[key] = tuple(float(value) for value in _sequence(scaling.get(key, ())))
    out["normalisation"] = Normalisation(**scaling)
    if "minimum" in out:
        out["minimum"] = tuple(tuple(_sequence(roles)) for roles in _sequence(out["minimum"]))
    for key in ("classes", "ice"):
        if key in out:
            out[key] = tuple(_sequence(out[key]))
    if "gsd_m" in out:
        out["gsd_m"] = tuple(float(value) for value in _sequence(out["gsd_m"]))
    for key in ("threshold", "temperature"):
        if key in out:
            out[key] = float(out[key])
    return out


def _check_defaults(defaults: Mapping[str, Any], name: str) -> None:
    for group, values in defaults.items():
        try:
            GROUPS[group](**values)
        except (KeyError, TypeError, OptionError) as error:
            why = str(error) if isinstance(error, OptionError) else f"{group} holds no such options"
            raise ModelError(f"The card of {name} cannot be used: its defaults: {why}") from error


def is_number(value: Any) -> bool:
    """Tell whether a value of a card is a finite number that floating point can hold."""
    try:
        return not isinstance(value, bool) and math.isfinite(value)
    except (TypeError, OverflowError):
        return False


def are_boxes(boxes: Any) -> bool:
    """Tell whether these are boxes of west, south, east, north."""
    return isinstance(boxes, list | tuple) and all(
        isinstance(box, list | tuple) and len(box) == 4 and all(is_number(edge) for edge in box)
        for box in boxes
    )


def _sequence(value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is not a list")
    return value
