"""Pixel methods without a network: what they are, and how one is made ready for a scene."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacierx.errors import MissingBandError, OptionError, SceneError
from glacierx.predict.forest import Forest
from glacierx.predict.mixture import fit_mixture, not_two
from glacierx.predict.otsu import are_alike, one_class, otsu
from glacierx.predict.sample import sample_scene
from glacierx.scene.indices import DIFFERENCES, INDICES, NUMBERS, REFLECTANCE, measure, ndvi
from glacierx.scene.scene import Scene
from glacierx.scene.sensors import OPTICAL

METHODS = {
    "ndsi": "NDSI >= 0.4, green >= 0.10 and NIR >= 0.11; needs green, SWIR1 and known units",
    "otsu": "Otsu's threshold on green where NDVI < 0.2, if there are two classes; needs green",
    "sbtm": "Otsu's threshold on one band, NIR; needs that band",
    "ratio": "red / SWIR1 >= 2.0; needs red, SWIR1 and known units",
    "gmm": "two normal distributions of NDSI, else of NIR, else of green, if there are two classes",
    "rf": "a random forest on bands and indices; made by glacierx fit rf",
}
"""Name and rule of each pixel method."""

PARAMETERS = {
    "ndsi": ("above", "blue"),
    "otsu": (),
    "sbtm": ("role", "above"),
    "ratio": ("above", "blue"),
    "gmm": ("role",),
    "rf": (),
}
"""What may follow the name of a method: ``ratio:above=2.8,blue=0.08``."""

# Hall et al. 1995 and 2001 (MOD10): snow and ice, neither dark ground nor water.
NDSI_ABOVE, GREEN_ABOVE, NIR_ABOVE = 0.4, 0.10, 0.11
NDVI_BELOW = 0.2
# Paul et al. (2002, 2013): 1.5 to 2.5 for clean ice, by eye and scene.
RATIO_ABOVE = 2.0
FEWEST_PIXELS = 100
# No reflectance of a whole scene ends below or goes beyond.
DARKEST, BRIGHTEST = 0.01, 3.0


@dataclass(frozen=True)
class PixelMethod:
    """A rule that decides each pixel by itself; no network.

    Attributes:
        name: A key of `METHODS`.
        roles: What it reads.
        thresholds: What a pixel must reach, by role or index, found in the scene, in outlines or in
            the literature; it must stay below that of ``ndvi``.
        notes: What a user should know about the result.
        finds_ice: False where the scene holds no second class, so that nothing is ice.
        units: What the thresholds are in: ``reflectance`` or ``stored numbers``.
        forest: The trees of a random forest.
        training: Scenes, outlines and footprints it was fitted to, and how well it did there.
        sha256: Of the file it was read from; empty for one made in memory.
    """

    name: str
    roles: tuple[str, ...]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    finds_ice: bool = True
    units: str = REFLECTANCE
    forest: Forest | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Decide pixels (roles, ...).

        Returns:
            The probability of glacier (...): 0 or 1 by a rule, any share of the trees by a forest.
        """
        if not self.finds_ice:
            return np.zeros(values.shape[1:], np.float32)
        by_role = dict(zip(self.roles, values, strict=True))
        if self.forest is not None:
            planes = [measure(name, by_role, self.units) for name in self.forest.features]
            return self.forest.probability(np.stack(planes))
        ice = np.ones(values.shape[1:], bool)
        for name, limit in self.thresholds.items():
            if name == "ndvi":
                ice &= _bare(by_role)
            else:
                ice &= measure(name, by_role, self.units) >= limit
        return ice.astype(np.float32)

    def check(self, scene: Scene) -> None:
        """Refuse a scene that a fitted method was not made for, before any pixel is read.

        Raises:
            MissingBandError: A role is missing.
            SceneError: Its values are in other units than those the method was fitted to.
        """
        for role in self.roles:
            _need(scene, role, self.name)
        if self.training and units_of(scene, self.roles) != self.units:
            raise SceneError(
                f"{scene.name} is in {units_of(scene, self.roles)} and the method {self.name} was "
                f"fitted to {self.units}. {_ADVICE[self.units]}, or fit it again on such scenes."
            )

    def summary(self) -> str:
        """Return in a line what a fitted method decides by, and how well it did where fitted."""
        rule = ", ".join(f"{name} >= {limit:.4g}" for name, limit in self.thresholds.items())
        if self.forest is not None:
            rule = f"{self.forest.trees} trees on {', '.join(self.forest.features)}"
        reached = self.training.get("iou", self.training.get("iou_out_of_bag", math.nan))
        where = "out of bag" if "iou_out_of_bag" in self.training else "where it was fitted"
        return f"{self.name}: {rule}; IoU {reached:.3f} {where}."

    def describe(self) -> dict[str, Any]:
        """Return what a run record says of the method."""
        record: dict[str, Any] = {
            "name": self.name,
            "kind": "pixel method",
            "roles": list(self.roles),
            "thresholds": dict(self.thresholds),
            "units": self.units,
            "notes": list(self.notes),
        }
        if self.forest is not None:
            record["features"] = list(self.forest.features)
            record["trees"] = self.forest.trees
        if self.training:
            record["fitted"] = True
            record["sha256"] = self.sha256 or None
        return record


_ADVICE = {
    REFLECTANCE: "Give --sensor and --level, or --scale and --offset",
    NUMBERS: "Leave out --level, --scale and --offset",
}


def fitted_notes(name: str, units: str, limits: Mapping[str, float]) -> tuple[str, ...]:
    """Return what a user should know of a fitted method."""
    notes = []
    if name == "ndsi" and "nir" not in limits:
        notes.append("there is no NIR band in known units, so lakes may be taken for ice")
    if units == NUMBERS:
        notes.append("it goes by stored numbers, which mean something else in files of other kinds")
    return tuple(notes)


def units_of(scene: Scene, roles: Sequence[str]) -> str:
    """Return what the values of a scene are in.

    Raises:
        SceneError: Some of these roles are in reflectance and some are not.
    """
    known = [role for role in roles if scene.has_reflectance((role,))]
    if known and len(known) < len(roles):
        others = ", ".join(role for role in roles if role not in known)
        raise SceneError(
            f"{scene.name} is in reflectance in {', '.join(known)} but not in {others}. "
            f"{_ADVICE[REFLECTANCE]}."
        )
    return REFLECTANCE if known else NUMBERS


def parse_method(text: str) -> tuple[str, dict[str, Any]] | None:
    """Read ``METHOD[:key=value,...]``.

    Returns:
        The name of a method and its parameters, numbers as such; None if it is no method.

    Raises:
        OptionError: The method does not take a parameter, or not such a value.
    """
    name, colon, rest = text.partition(":")
    if name not in METHODS:
        return None
    found: dict[str, Any] = {}
    for item in rest.split(",") if colon else ():
        key, equals, value = (part.strip() for part in item.partition("="))
        if key not in PARAMETERS[name] or not equals or key in found:
            takes = ", ".join(f"{key}=" for key in PARAMETERS[name])
            raise OptionError(
                f"--model {text}: {name} takes {takes or 'nothing'}"
                f"{', each once' if takes else ''}, not {item!r}."
            )
        found[key] = _role(text, name, value) if key == "role" else _number(text, key, value)
    return name, found


def _number(text: str, key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(f"--model {text}: {key} is {value!r}. It takes a number.")
    return number


def _role(text: str, name: str, value: str) -> str:
    allowed = (*OPTICAL, "ndsi") if name == "gmm" else OPTICAL
    if value not in allowed:
        raise OptionError(
            f"--model {text}: role is {value!r}. It takes one of: {', '.join(allowed)}."
        )
    return value


def fit_method(text: str, scene: Scene) -> PixelMethod:
    """Make a pixel method ready for a scene.

    Args:
        text: A key of `METHODS`, or one with parameters: ``sbtm:role=red,above=0.3``.
        scene: The scene; otsu, sbtm and gmm read a bounded sample of it.

    Raises:
        MissingBandError: The scene lacks a role.
        SceneError: ndsi or ratio is asked for without a threshold where units are unknown.
        OptionError: There is no such method, it takes no such parameter, or it has to be fitted to
            outlines.
    """
    parsed = parse_method(text)
    if parsed is None:
        raise OptionError(f"{text!r} is no pixel method. There are {', '.join(METHODS)}.")
    name, given = parsed
    if name == "rf":
        raise OptionError(
            "A random forest is fitted to outlines first: glacierx fit rf --scene SCENE --outlines "
            "FILE -o rf.safetensors, then --model rf.safetensors."
        )
    return _FITTED[name](scene, given)


def _need(scene: Scene, role: str, name: str) -> None:
    if role not in scene.roles:
        raise MissingBandError(role, scene.roles, scene.name, f"the pixel method {name}")


def need_roles(roles: tuple[str, ...], scenes: Sequence[Scene], name: str) -> tuple[str, ...]:
    """Return roles that every scene has.

    Raises:
        MissingBandError: A scene lacks one.
    """
    for scene in scenes:
        for role in roles:
            _need(scene, role, name)
    return roles


def conditions(name: str, scenes: Sequence[Scene]) -> dict[str, float]:
    """Return what ndsi asks of bands beside its index, where their units are known."""
    if name != "ndsi":
        return {}
    limits = {"green": GREEN_ABOVE, "nir": NIR_ABOVE}
    return {
        role: limit
        for role, limit in limits.items()
        if all(role in scene.roles and scene.has_reflectance((role,)) for scene in scenes)
    }


def _fit_index(name: str, default: float, scene: Scene, given: dict[str, Any]) -> PixelMethod:
    roles = need_roles(INDICES[name], [scene], name)
    units = units_of(scene, roles)
    if units == NUMBERS and "above" not in given:
        why = "an offset does not cancel in " + ("NDSI" if name == "ndsi" else "a ratio")
        raise SceneError(
            f"The units of {scene.name} are unknown, and {why}. Give --sensor and --level, or "
            f"--scale and --offset, or a threshold with {name}:above=NUMBER, or use --model otsu."
        )
    limits = {name: given.get("above", default), **conditions(name, [scene])}
    notes = fitted_notes(name, REFLECTANCE, limits)
    if units == REFLECTANCE:
        notes += _doubts(scene, roles[0])
    if "blue" in given:
        _need(scene, "blue", f"{name} with blue=")
        limits["blue"] = given["blue"]
        units_of(scene, (*roles, "blue"))
    return PixelMethod(name, roles_of(limits), limits, notes, units=units)


def roles_of(names: Sequence[str] | Mapping[str, Any]) -> tuple[str, ...]:
    """Return what is read for bands and indices, in the order of the spectrum."""
    needed = {role for name in names for role in INDICES.get(name, (name,))}
    return tuple(role for role in OPTICAL if role in needed)


def _doubts(scene: Scene, role: str) -> tuple[str, ...]:
    """Say so where what is called reflectance can hardly be."""
    band = sample_scene(scene, (role,))[0]
    high = float(np.percentile(band, 99)) if band.size else 0.5
    if DARKEST < high < BRIGHTEST:
        return ()
    return (f"the {role} reflectance reaches {high:.2g}: check --sensor, --level and --scale",)


def _bare(values: Mapping[str, NDArray[np.float32]]) -> NDArray[np.bool_]:
    """Return True where no plants grow, or where that cannot be told."""
    if "nir" not in values or "red" not in values:
        return np.ones(values["green"].shape, bool)
    return ndvi(values["nir"], values["red"]) < NDVI_BELOW


def _fit_otsu(scene: Scene, given: dict[str, Any]) -> PixelMethod:
    _need(scene, "green", "otsu")
    used = tuple(role for role in ("green", "red", "nir") if role in scene.roles)
    sampled = (*used, "swir1") if "swir1" in scene.roles else used
    values = dict(zip(sampled, sample_scene(scene, sampled), strict=True))
    units = units_of(scene, ("green",))
    notes: list[str] = []
    if "nir" not in used or "red" not in used:
        notes.append("there is no red and NIR band, so plants are not told from ice")
    bare = _bare(values)
    values = {role: band[bare] for role, band in values.items()}
    green = values["green"]
    if green.size < FEWEST_PIXELS or are_alike(green):
        notes.append("no ice found: too few different pixels without plants")
        return PixelMethod("otsu", used, {}, tuple(notes), finds_ice=False, units=units)
    threshold = otsu(green)
    why_not = one_class(values, threshold)
    if why_not:
        notes.append(f"no ice found: {why_not}")
    limits = {"green": threshold, "ndvi": NDVI_BELOW}
    return PixelMethod("otsu", used, limits, tuple(notes), not why_not, units)


def _fit_sbtm(scene: Scene, given: dict[str, Any]) -> PixelMethod:
    role = given.get("role", "nir")
    _need(scene, role, "sbtm" if "role" in given else "sbtm without role=")
    units = units_of(scene, (role,))
    if "above" in given:
        return PixelMethod("sbtm", (role,), {role: given["above"]}, units=units)
    band = sample_scene(scene, (role,))[0]
    if band.size < FEWEST_PIXELS or are_alike(band):
        notes = ("no ice found: too few different pixels",)
        return PixelMethod("sbtm", (role,), {}, notes, finds_ice=False, units=units)
    return PixelMethod("sbtm", (role,), {role: otsu(band)}, units=units)


def sample_measure(scene: Scene, name: str, units: str) -> NDArray[np.float32]:
    """Sample a band or index of a scene.

    Returns:
        Pixels; of an index that is a normalised difference those within -1 and 1, for beyond lie
        dark pixels only, in which a band is below zero.
    """
    roles = roles_of([name])
    values = measure(name, dict(zip(roles, sample_scene(scene, roles), strict=True)), units)
    return values[np.abs(values) <= 1] if name in DIFFERENCES else values


def mixed_of(scenes: Sequence[Scene], given: Mapping[str, Any]) -> str:
    """Return the band or index that a mixture is fitted to.

    NDSI parts ice from rock best and depends least on the light; without shortwave infrared it
    is near infrared, where water is dark, and last green.

    Raises:
        MissingBandError: A scene lacks it.
    """
    choices = ("ndsi", "nir", "green")
    have = set.intersection(*(set(scene.roles) for scene in scenes))
    fitting = (name for name in choices if set(INDICES.get(name, (name,))) <= have)
    name: str = given.get("role") or next(fitting, "green")
    need_roles(INDICES.get(name, (name,)), scenes, "gmm")
    return name


def _fit_gmm(scene: Scene, given: dict[str, Any]) -> PixelMethod:
    name = mixed_of([scene], given)
    roles = roles_of([name])
    units = units_of(scene, roles)
    values = sample_measure(scene, name, units)
    mixture = fit_mixture(values)
    why_not = not_two(mixture, values)
    threshold = mixture.threshold() if mixture and not why_not else None
    if threshold is None:
        notes = (f"no ice found: {why_not}",)
        return PixelMethod("gmm", roles, {}, notes, finds_ice=False, units=units)
    return PixelMethod("gmm", roles, {name: threshold}, units=units)


_FITTED: dict[str, Callable[[Scene, dict[str, Any]], PixelMethod]] = {
    "ndsi": lambda scene, given: _fit_index("ndsi", NDSI_ABOVE, scene, given),
    "ratio": lambda scene, given: _fit_index("ratio", RATIO_ABOVE, scene, given),
    "otsu": _fit_otsu,
    "sbtm": _fit_sbtm,
    "gmm": _fit_gmm,
}
