"""Which band of which file has which role: asked for, known of the sensor, or read in the file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rasterio.enums import ColorInterp

from glacierx.errors import OptionError, SceneError
from glacierx.scene.raster import PathLike, base_name, is_remote, open_dataset
from glacierx.scene.sensors import INDEX, ROLES, Sensor
from glacierx.scene.staging import is_there

BandChoice = str | Sequence[str] | Mapping[str, int | str | Path]
"""``"blue=1,nir=2"``, ``"blue,green,-,nir"``, a list of roles, or role to number or file."""

# Words that suppliers and file descriptions use, beside the roles themselves.
_WORDS = {
    "ultra_blue": "coastal", "coastal_blue": "coastal", "coastal_aerosol": "coastal",
    "aerosol": "coastal", "green_i": "green1", "near_infrared": "nir", "near_infra_red": "nir",
    "nir08": "nir", "nir1": "nir", "nir_narrow": "nir_narrow", "narrow_nir": "nir_narrow",
    "nir_2": "nir_narrow", "nir2": "nir_narrow", "rededge": "red_edge1", "red_edge": "red_edge1",
    "rededge1": "red_edge1", "rededge2": "red_edge2", "rededge3": "red_edge3",
    "rededge071": "red_edge2", "rededge078": "red_edge3", "swir16": "swir1", "swir22": "swir2",
    "swir_1": "swir1", "swir_2": "swir2", "shortwave_infrared_1": "swir1",
    "shortwave_infrared_2": "swir2", "panchromatic": "pan", "tir": "tir1", "thermal": "tir1",
    "lwir": "tir1", "lwir11": "tir1", "lwir12": "tir2", "elev": "elevation", "dem": "elevation",
    "height": "elevation", "inc_angle": "incidence", "water_vapor": "water_vapour",
    "red_edge_1": "red_edge1", "red_edge_2": "red_edge2", "red_edge_3": "red_edge3",
}  # fmt: skip

# Words of bands that say how good others are, whatever else their names hold.
_QUALITY = {"qa", "qa60", "mask", "scl", "cloud", "clouds", "quality", "prob", "probability"}

_COLORS = {
    ColorInterp.red: "red",
    ColorInterp.green: "green",
    ColorInterp.blue: "blue",
    ColorInterp.coastal: "coastal",
    ColorInterp.rededge: "red_edge1",
    ColorInterp.nir: "nir",
    ColorInterp.pan: "pan",
}


# What GDAL writes into an 8-bit file of three or four bands when nobody says what they are. Three
# are mostly a picture; but nobody who names a sensor means one, and the fourth is mostly NIR.
_PRESUMED = (
    (ColorInterp.red, ColorInterp.green, ColorInterp.blue),
    (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha),
)


@dataclass(frozen=True)
class BandSource:
    """Where the pixels of a role are.

    Attributes:
        role: What the band measures.
        path: The file.
        index: The band in the file, counted from 1.
    """

    role: str
    path: str
    index: int


def role_in_text(text: str) -> str | None:
    """Find the one role that a band's description names, or None.

    ``"B10_tir"`` gives tir1, ``"elev_m"`` elevation; a text that names several, such as
    ``"NDSI green swir1"``, gives None.
    """
    words = [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]
    if _QUALITY.intersection(words):
        return None
    found: set[str] = set()
    start = 0
    while start < len(words):
        for length in range(min(3, len(words) - start), 0, -1):
            phrase = "_".join(words[start : start + length])
            # Descriptions name indices of which the bands are made; they are no bands themselves.
            role = phrase if phrase in ROLES and phrase not in INDEX else _WORDS.get(phrase)
            if role:
                found.add(role)
                start += length - 1
                break
        start += 1
    return found.pop() if len(found) == 1 else None


def find_bands(
    scene: PathLike | None, choice: BandChoice | None, sensor: Sensor | None
) -> list[BandSource]:
    """Find the bands of a scene, one for each role.

    They come from *choice* if it is given, else from the sensor's own file order or band names,
    else from the file's descriptions, else from its colour interpretation.

    Args:
        scene: The scene's file, or the folder of its files.
        choice: Roles named by the user.
        sensor: The sensor named by the user.

    Returns:
        One source for each role.

    Raises:
        SceneError: The file does not say what its bands are; never is it guessed.
        OptionError: The choice cannot be understood.
    """
    if choice is not None:
        return _chosen(scene, choice)
    if scene is None:
        raise OptionError("There is no scene. Give its file, or --bands ROLE=FILE,...")
    with open_dataset(scene, "scene") as dataset:
        roles = _roles_in_file(dataset, sensor)
    return [BandSource(role, str(scene), index) for role, index in roles.items()]


def _chosen(scene: PathLike | None, choice: BandChoice) -> list[BandSource]:
    pairs = _pairs(choice)
    roles = [role for role, _ in pairs]
    if not roles:
        raise OptionError("--bands names no role. Give it as blue=1,nir=4 or blue,green,red,nir.")
    for role in roles:
        if roles.count(role) > 1:
            raise OptionError(f"--bands names {role!r} twice. Give each role one band.")
    return [_source(scene, role, target) for role, target in pairs]


def _pairs(choice: BandChoice) -> list[tuple[str, int | str]]:
    if isinstance(choice, Mapping):
        return [
            (_role(role), target if isinstance(target, int) else str(target))
            for role, target in choice.items()
        ]
    items = choice.split(",") if isinstance(choice, str) else list(choice)
    items = [item.strip() for item in items if item.strip()]
    named = [item for item in items if "=" in item]
    if named and len(named) != len(items):
        raise OptionError(
            f"--bands mixes two forms: {', '.join(items)}. "
            "Use either blue=1,nir=4 or the roles in file order: blue,green,red,nir."
        )
    if named:
        split = [item.split("=", 1) for item in items]
        return [
            (_role(role), int(to) if re.fullmatch(r"-?[0-9]+", to) else to) for role, to in split
        ]
    return [(_role(item), index) for index, item in enumerate(items, 1) if item != "-"]


def _role(text: str) -> str:
    role = text.strip().lower()
    role = _WORDS.get(role, role)
    if role not in ROLES:
        raise OptionError(f"--bands names {text!r}, which is no role. Roles: {', '.join(ROLES)}.")
    return role


def _source(scene: PathLike | None, role: str, target: int | str) -> BandSource:
    index: int | None
    if isinstance(target, int):
        if scene is None:
            raise OptionError(f"--bands {role}={target} is a band number: give the scene's file.")
        path, index = str(scene), target
    else:
        path, index = _split_index(target)
        if scene is not None and not is_remote(path) and is_there(inside := Path(scene) / path):
            path = str(inside)
    with open_dataset(path, f"{role} band's file") as dataset:
        if index is None and dataset.count > 1:
            raise SceneError(
                f"{base_name(path)} has {dataset.count} bands. "
                f"Say which is {role}: --bands {role}={base_name(path)}:1"
            )
        index = 1 if index is None else index
        if not 1 <= index <= dataset.count:
            raise SceneError(
                f"{base_name(path)} has {dataset.count} bands; --bands asks for number {index} "
                f"as {role}."
            )
    return BandSource(role, path, index)


def _split_index(target: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(.+):([0-9]+)", target)
    return (match[1], int(match[2])) if match else (target, None)


def _roles_in_file(dataset: Any, sensor: Sensor | None) -> dict[str, int]:
    described = [text or "" for text in dataset.descriptions]
    named = [_described_role(text, sensor) for text in described]
    if sensor and sensor.stack and (not any(named) or len(sensor.stack) == dataset.count):
        roles = _stacked(dataset, sensor)
        _agree(dataset, sensor, named)
        return roles
    if not any(named):
        colors = tuple(dataset.colorinterp)
        if dataset.dtypes[0] == "uint8" and colors in _PRESUMED[0 if sensor else 1 :]:
            raise SceneError(
                _ambiguous(dataset, "GDAL calls those of any 8-bit file red, green, blue")
            )
        named = [_COLORS.get(color) for color in colors]
    roles = {}
    for index, role in enumerate(named, 1):
        if role in roles:
            raise SceneError(
                _ambiguous(dataset, f"bands {roles[role]} and {index} are both {role}")
            )
        if role:
            roles[role] = index
    if not roles:
        raise SceneError(_ambiguous(dataset, _why_unknown(dataset, sensor)))
    return roles


def _described_role(text: str, sensor: Sensor | None) -> str | None:
    role = role_in_text(text)
    if sensor is None:
        return role
    if whole := sensor.band(text.strip()):
        return whole.role
    if role is None and _QUALITY.intersection(re.split(r"[^a-z0-9]+", text.lower())):
        return None
    bands = [sensor.band(word) for word in re.split(r"[^A-Za-z0-9]+", text) if word]
    by_name = {band.role for band in bands if band}
    if role is None and len(by_name) == 1:
        return by_name.pop()
    if role and by_name and role not in by_name:
        raise SceneError(
            f"A band is described as {text!r}, but {sensor.name} calls that band "
            f"{', '.join(sorted(by_name))}. Check --sensor, or name the bands with --bands."
        )
    return role


def _stacked(dataset: Any, sensor: Sensor) -> dict[str, int]:
    alpha = dataset.count > 1 and dataset.colorinterp[-1] == ColorInterp.alpha
    if len(sensor.stack) not in (dataset.count, dataset.count - alpha):
        raise SceneError(
            _ambiguous(
                dataset,
                f"{sensor.name} files have {len(sensor.stack)} bands "
                f"({', '.join(sensor.stack)}) and this has {dataset.count}",
            )
        )
    bands = [sensor.band(name) for name in sensor.stack]
    return {band.role: index for index, band in enumerate(bands, 1) if band}


def _agree(dataset: Any, sensor: Sensor, named: Sequence[str | None]) -> None:
    # A band of alpha may follow those of the sensor.
    for index, (role, name) in enumerate(zip(named, sensor.stack, strict=False), 1):
        band = sensor.band(name)
        if role and band and band.role != role:
            raise SceneError(
                _ambiguous(
                    dataset, f"band {index} is described as {role}, {sensor.name} has {band.role}"
                )
            )


def _why_unknown(dataset: Any, sensor: Sensor | None) -> str:
    if sensor is None:
        return "nothing in the file says what they measure, and no --sensor was given"
    reason = "comes as one file per band, or in an order that varies by supplier"
    return f"{sensor.name} {reason}, and the file does not name its bands"


def _ambiguous(dataset: Any, why: str) -> str:
    listed = ", ".join(
        f"{index} {text or 'without a name'}"
        for index, text in enumerate(dataset.descriptions[:12], 1)
    )
    more = " ..." if dataset.count > 12 else ""
    return (
        f"The bands of {base_name(dataset.name)} are {listed}{more}: {why}. "
        "Name them with their numbers in this file, as in --bands blue=1,green=2,red=3,nir=4."
    )
