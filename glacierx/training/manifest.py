"""The list of labelled scenes that a network learns from: csv or jsonl."""

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from glacierx.errors import OptionError, SceneError
from glacierx.scene.asked import parse_aux
from glacierx.training.samples import PARTS

PATHS = ("scene", "labels", "dem", "aoi")
NUMBERS = ("scale", "offset", "weight", "ignore_border_m", "aoi_buffer_m")
WHOLE = ("dem_band",)
AUX = "aux_"
LARGEST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Row:
    """One labelled scene of a manifest.

    Attributes:
        scene: Its file or folder; relative names start at the manifest's folder.
        labels: Raster of labels, or vector file of outlines.
        bands: As ``--bands``.
        sensor: As ``--sensor``.
        level: As ``--level``.
        scale: As ``--scale``.
        offset: As ``--offset``.
        nodata: As ``--nodata``.
        invalid: As ``--invalid``; several are parted by ``;``.
        aoi: As ``--aoi``.
        aoi_buffer_m: As ``--aoi-buffer-m``.
        dem: As ``--dem``.
        dem_band: As ``--dem-band``.
        aux: As ``--aux``; several are parted by ``;``. A column ``aux_ROLE`` gives the file of one.
        date: Date of acquisition.
        layer: Layer of a vector file.
        positive: Numbers of a label raster that mean ice.
        ignore: Numbers of a label raster that mean nothing, beside 255 and its nodata.
        legend: Classes that numbers of a label raster, or values of *label_field*, stand for, for a
            network of several classes: ``0=background;1=debris;2=ice``. Without one, numbers are
            those of the network's classes, from 0, and values are their names.
        label_field: Column of a vector file that holds the class of each outline.
        ignore_border_m: Width of the belt along outlines that is left out.
        split: ``train``, ``validation`` or ``test``.
        region: What may not be on both sides of a split by region.
        group: Scenes whose validation scores are pooled.
        weight: How often it is drawn, relative to its size.
    """

    scene: str
    labels: str
    bands: str | None = None
    sensor: str | None = None
    level: str | None = None
    scale: float | None = None
    offset: float | None = None
    nodata: str | None = None
    invalid: str | None = None
    aoi: str | None = None
    aoi_buffer_m: float = 0.0
    dem: str | None = None
    dem_band: int | None = None
    aux: str | None = None
    date: str | None = None
    layer: str | None = None
    positive: str | None = None
    ignore: str | None = None
    legend: str | None = None
    label_field: str | None = None
    ignore_border_m: float | None = None
    split: str | None = None
    region: str | None = None
    group: str | None = None
    weight: float = 1.0

    @property
    def name(self) -> str:
        """What messages call it: the last two parts of its path."""
        return "/".join(Path(self.scene).parts[-2:])


COLUMNS = tuple(field.name for field in fields(Row))


def read_manifest(path: str | Path) -> list[Row]:
    """Read a manifest.

    Args:
        path: A csv file with a header, or a jsonl file of one object a line. Columns are the
            attributes of `Row`; ``scene`` and ``labels`` must be there.

    Raises:
        SceneError: The file is missing, or holds something else; the line is named.
    """
    path = Path(path)
    rows = [_row(entry, where, path.parent) for where, entry in read_lines(path)]
    if not rows:
        raise SceneError(f"{path.name} lists no scene. Give a header and a line for each scene.")
    return rows


def read_lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Read the lines of a csv or jsonl file.

    Returns:
        For each line what messages call it, and its values by column.

    Raises:
        SceneError: The file is missing, or holds something else; the line is named.
    """
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise SceneError(f"{path} is no manifest: give a .csv or .jsonl file.")
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise SceneError(f"{path.name} is too large for a list of scenes. Give a manifest.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SceneError(f"The manifest {path} cannot be read: {what}.") from error
    lines = _csv_lines(text, path) if path.suffix.lower() == ".csv" else _json_lines(text, path)
    return [(f"{path.name}, line {number}", entry) for number, entry in lines]


def _csv_lines(text: str, path: Path) -> list[tuple[int, dict[str, Any]]]:
    try:
        reader = csv.DictReader(text.splitlines(), strict=True)
        names = [name.strip() for name in reader.fieldnames or ()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SceneError(f"{path.name}: the header names {', '.join(twice)} twice.")
        found = []
        for entry in reader:
            if None in entry:
                raise SceneError(
                    f"{path.name}, line {reader.line_num}: more fields than the header names. "
                    "Put fields with commas into quotes."
                )
            found.append((reader.line_num, entry))
        return found
    except csv.Error as error:
        raise SceneError(f"{path.name} is not csv: {error}.") from error


def _json_lines(text: str, path: Path) -> list[tuple[int, dict[str, Any]]]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SceneError(f"{path.name}, line {number} is not JSON: {error}.") from error
        if not isinstance(entry, dict):
            raise SceneError(f"{path.name}, line {number} is no JSON object.")
        found.append((number, entry))
    return found


def _row(entry: Mapping[str, Any], where: str, folder: Path) -> Row:
    given = gather_aux({str(key).strip(): _cleaned(value) for key, value in entry.items()})
    unknown = sorted(set(given) - set(COLUMNS))
    if unknown:
        raise SceneError(
            f"{where}: there is no column {', '.join(unknown)}. Known: {', '.join(COLUMNS)}."
        )
    values = {key: value for key, value in given.items() if value is not None}
    for name in ("scene", "labels"):
        if name not in values:
            raise SceneError(f"{where}: the column {name} is empty or missing.")
    typed = {key: _typed(value, key, where) for key, value in values.items()}
    for name in PATHS:
        if name in typed:
            typed[name] = beside(typed[name], folder)
    if "invalid" in typed:
        marks = (mark.strip() for mark in typed["invalid"].split(";"))
        typed["invalid"] = ";".join(beside(mark, folder) for mark in marks if mark)
    if "aux" in typed:
        typed["aux"] = ";".join(placed_aux(typed["aux"], folder, where))
    if typed.get("split", "train") not in PARTS:
        raise SceneError(
            f"{where}: split is {typed['split']!r}. It takes one of: {', '.join(PARTS)}."
        )
    if not typed.get("weight", 1.0) >= 0 or typed.get("ignore_border_m", 0.0) < 0:
        raise SceneError(f"{where}: weight and ignore_border_m take numbers from 0.")
    return Row(**typed)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ";".join(value)
    return value


def _typed(value: Any, key: str, where: str) -> Any:
    if key in NUMBERS or key in WHOLE:
        return _number(value, key, where)
    if isinstance(value, int | float) and not isinstance(value, bool) and key not in PATHS:
        return f"{value:.15g}"
    if not isinstance(value, str):
        raise SceneError(f"{where}: {key} is {value!r}. It takes text.")
    return value


def _number(value: Any, key: str, where: str) -> float | int:
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
        if not math.isfinite(number) or (key in WHOLE and number != int(number)):
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        kind = "a whole number" if key in WHOLE else "a number"
        raise SceneError(f"{where}: {key} is {repr(value)[:40]}. It takes {kind}.") from error
    return int(number) if key in WHOLE else number


def beside(name: str, folder: Path) -> str:
    """Return a path that starts at a folder, unless it is whole or remote."""
    if "://" in name or name.startswith("/vsi"):
        return name
    return str(folder / name)


def gather_aux(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a line with those of columns ``aux_ROLE`` gathered in the column aux."""
    named = [key for key in entry if key.startswith(AUX)]
    files = [f"{key.removeprefix(AUX)}={entry[key]}" for key in named if entry[key]]
    whole = [*filter(None, [entry.get("aux")]), *files]
    rest = {key: value for key, value in entry.items() if key not in named}
    return {**rest, "aux": ";".join(map(str, whole))} if whole else rest


def placed_aux(text: str, folder: Path, where: str) -> list[str]:
    """Return what a line says of rasters beside a scene, ``ROLE=FILE`` each, with whole paths.

    Raises:
        SceneError: It cannot be understood; the line is named.
    """
    try:
        given = parse_aux([one.strip() for one in text.split(";") if one.strip()])
    except OptionError as error:
        raise SceneError(f"{where}: {error}") from error
    return [f"{role}={beside(target, folder)}" for role, target in given.items()]


def check_parts(rows: list[Row], part: str) -> None:
    """Refuse a manifest whose column split is filled in some lines only.

    Raises:
        OptionError: It is, or no line says ``train``.
    """
    said = {row.split for row in rows}
    if None in said and len(said) > 1:
        raise OptionError(
            "Some lines of the manifest say which split a scene belongs to and others do not. "
            "Fill the column in all lines, or in none and give --split."
        )
    if said != {None} and part not in said:
        raise OptionError(f"No line of the manifest belongs to the split {part!r}.")
