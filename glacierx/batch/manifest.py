"""The scenes of a batch and how each is done: csv, jsonl, or names of files with * in them."""

import difflib
import glob
import math
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from glacierx.errors import GlacierxError, OptionError, SceneError
from glacierx.options import (
    DIVIDE_PRESETS,
    DivideOptions,
    EngineOptions,
    OutlineOptions,
    PredictOptions,
)
from glacierx.scene.bandfile import parse_nodata
from glacierx.scene.dates import parse_date
from glacierx.scene.masks import MaskRule
from glacierx.scene.raster import PathLike, is_remote
from glacierx.scene.sensors import find_sensor
from glacierx.training.manifest import beside, gather_aux, placed_aux, read_lines

GROUPS = (EngineOptions, PredictOptions, OutlineOptions, DivideOptions)
TEXTS = (
    "scene", "name", "bands", "sensor", "level", "nodata", "invalid", "aoi", "dem", "date", "model",
    "divides", "aux",
)  # fmt: skip
NUMBERS = ("scale", "offset", "aoi_buffer_m")
WHOLE = ("dem_band",)
FILES = ("scene", "dem", "aoi")
MANIFESTS = (".csv", ".jsonl")
# Files that lie beside rasters and are none.
BESIDE = (".aux.xml", ".msk", ".ovr")
WORDS = {"true": True, "yes": True, "on": True, "1": True,
         "false": False, "no": False, "off": False, "0": False}  # fmt: skip

_HINTS = {name: hint for group in GROUPS for name, hint in get_type_hints(group).items()}
_AUTO = {one.name for group in GROUPS for one in fields(group) if one.metadata["auto"]}
COLUMNS = (*TEXTS, *NUMBERS, *WHOLE, *_HINTS)
# What the presets of --divides differ in.
_PRESET = {
    one.name
    for one in fields(DivideOptions)
    if len({getattr(preset, one.name) for preset in DIVIDE_PRESETS.values()}) > 1
}


@dataclass(frozen=True)
class Row:
    """One scene of a batch.

    Attributes:
        where: What messages call it.
        values: What was said of it, by column; paths are whole.
    """

    where: str
    values: Mapping[str, Any]


def find_rows(
    scenes: PathLike | Sequence[PathLike | Mapping[str, Any]], defaults: Mapping[str, Any]
) -> list[Row]:
    """List the scenes of manifests, of names of files with ``*`` in them, or as they are given.

    Args:
        scenes: One or several; a mapping is a row by itself.
        defaults: What holds for every scene that says nothing else.

    Raises:
        SceneError: There is none, a manifest cannot be read, or a line is wrong.
        OptionError: A default is wrong.
    """
    several = [scenes] if isinstance(scenes, str | Path) else list(scenes)
    here = Path.cwd()
    given = _typed(defaults, here)
    rows: list[Row] = []
    for one in several:
        rows += _rows_of(one, here)
    if not rows:
        raise SceneError("There is no scene. Give a manifest, or names of files with * in quotes.")
    return [Row(row.where, _together(given, row)) for row in rows]


def _rows_of(one: PathLike | Mapping[str, Any], here: Path) -> list[Row]:
    if isinstance(one, Mapping):
        where = f"the scene {one.get('name') or one.get('scene')}"
        return [Row(where, _checked(one, here, where))]
    text = str(one)
    if not is_remote(text) and Path(text).suffix.lower() in MANIFESTS:
        return _manifest(Path(text))
    return [Row(name, {"scene": beside(name, here)}) for name in _matches(text)]


def _manifest(path: Path) -> list[Row]:
    folder = path.absolute().parent
    rows = []
    for where, entry in read_lines(path):
        values = {str(key).strip().replace("-", "_"): _plain(value) for key, value in entry.items()}
        if any(value is not None for value in values.values()):
            rows.append(Row(where, _checked(values, folder, where)))
    if not rows:
        raise SceneError(f"{path.name} lists no scene. Give a header and a line for each scene.")
    return rows


def _matches(text: str) -> list[str]:
    """Name the files that a pattern means; a name without * is itself, there or not."""
    if is_remote(text) or Path(text).exists() or not glob.has_magic(text):
        return [text]
    names = glob.glob(text, recursive=True)  # noqa: PTH207 - the pattern may be a whole path
    found = sorted(name for name in names if not name.endswith(BESIDE))
    if not found:
        raise SceneError(f"No file is called {text}. Check the folder, and put the name in quotes.")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ";".join(value) or None
    return value


def _checked(entry: Mapping[str, Any], folder: Path, where: str) -> dict[str, Any]:
    entry = gather_aux(entry)
    unknown = sorted(set(entry) - set(COLUMNS))
    if unknown:
        near = difflib.get_close_matches(unknown[0], COLUMNS, 3, 0.6)
        advice = f"Did you mean {' or '.join(near)}?" if near else "Every flag of extract is one."
        raise SceneError(f"{where}: there is no column {', '.join(unknown)}. {advice}")
    try:
        return _typed(entry, folder)
    except (OptionError, SceneError) as error:
        raise SceneError(f"{where}: {error}") from error


def _typed(entry: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Bring values to their types, and paths to the folder that they start at."""
    values = {
        name: _value(name, _plain(value))
        for name, value in entry.items()
        if _plain(value) is not None
    }
    for name in FILES:
        if name in values:
            values[name] = beside(values[name], folder)
    if "model" in values and re.search(r"[/\\]|\.safetensors$", values["model"]):
        values["model"] = beside(values["model"], folder)
    if "divides" in values and values["divides"] not in DIVIDE_PRESETS:
        values["divides"] = beside(values["divides"], folder)
    if "invalid" in values:
        marks = (mark.strip() for mark in values["invalid"].split(";"))
        values["invalid"] = tuple(beside(mark, folder) for mark in marks if mark)
    if "aux" in values:
        values["aux"] = tuple(placed_aux(values["aux"], folder, "aux"))
    if "bands" in values:
        values["bands"] = _bands(values["bands"], values.get("scene"), folder)
    _check(values)
    return values


def _value(name: str, value: Any) -> Any:
    if name in NUMBERS or name in WHOLE:
        return _number(name, value, whole=name in WHOLE)
    if name in _HINTS:
        return _option(name, value)
    if isinstance(value, tuple):
        value = ";".join(map(str, value))
    if isinstance(value, int | float) and not isinstance(value, bool) and name not in FILES:
        return f"{value:.15g}"
    if not isinstance(value, str | Path):
        raise OptionError(f"{name} is {value!r}. It takes text.")
    return str(value)


def _option(name: str, value: Any) -> Any:
    hint = _HINTS[name]
    kind = next((part for part in get_args(hint) if part is not types.NoneType), hint)
    if kind is bool:
        found = WORDS.get(str(value).lower())
        if found is None:
            raise OptionError(f"{name} is {value!r}. It takes true or false.")
        return found
    if kind is str:
        return str(value)
    if name in _AUTO and value == "auto":
        return None
    return _number(name, value, whole=kind is int)


def _number(name: str, value: Any, *, whole: bool) -> float | int:
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
        if not math.isfinite(number) or (whole and number != int(number)):
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        kind = "a whole number" if whole else "a number"
        raise OptionError(f"{name} is {value!r}. It takes {kind}.") from error
    return int(number) if whole else number


def _bands(text: str, scene: str | None, folder: Path) -> str:
    """Let files of bands start at the scene's folder if they are there, else at the manifest's."""
    items = []
    for item in text.replace(";", ",").split(","):
        role, equals, target = item.partition("=")
        plain = re.sub(r":[0-9]+$", "", target.strip())
        inside = scene is not None and (Path(scene) / plain).exists()
        number = re.fullmatch(r"-?[0-9]+", target.strip())
        if equals and target.strip() and not number and not inside:
            item = f"{role}={beside(target.strip(), folder)}"
        items.append(item)
    return ",".join(items)


def _check(values: Mapping[str, Any]) -> None:
    """Refuse what is wrong whatever the scene is."""
    for group in GROUPS:
        group.build(values)
    if "sensor" in values:
        sensor = find_sensor(values["sensor"])
        if "level" in values:
            sensor.level(values["level"])
    parse_nodata(values.get("nodata"))
    for mark in values.get("invalid", ()):
        MaskRule.parse(mark)
    if "date" in values and parse_date(values["date"]) is None:
        raise OptionError(f"date is {values['date']!r}. Give it as 2023-08-15.")


def _together(defaults: Mapping[str, Any], row: Row) -> dict[str, Any]:
    """Let a row win over what holds for all; a way to divide it by brings its own numbers."""
    below = dict(defaults)
    method = row.values.get("divides")
    if method in DIVIDE_PRESETS:
        preset = DIVIDE_PRESETS[method]
        below |= {name: getattr(preset, name) for name in _PRESET}
    whole = {**below, **row.values}
    if not whole.get("scene") and "=" not in str(whole.get("bands", "")):
        raise SceneError(f"{row.where}: the column scene is empty or missing.")
    if whole.get("level") and not whole.get("sensor"):
        raise SceneError(f"{row.where}: level needs the sensor, whose levels differ.")
    try:
        _check(whole)
    except GlacierxError as error:
        raise SceneError(f"{row.where}: {error}") from error
    return whole
