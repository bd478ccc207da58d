"""A run done again from its record, and how its result differs."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray

from glacierx.errors import CheckError, ExtraError, OptionError
from glacierx.extract import extract, layers_of, outline
from glacierx.findings import Finding
from glacierx.inputs import Found, table, tables
from glacierx.options import (
    DivideOptions,
    EngineOptions,
    ExtractOptions,
    Options,
    OutlineOptions,
    PredictOptions,
)
from glacierx.outlines.geopackage import write_layers
from glacierx.predict.backend import resolve
from glacierx.predict.choice import choose_model
from glacierx.predict.classic import PixelMethod, fit_method
from glacierx.predict.job import Job
from glacierx.predict.model import load_model
from glacierx.predict.modelfile import Model
from glacierx.predict.predict import PredictionFiles, write_prediction
from glacierx.profile import Profile
from glacierx.record import with_outline
from glacierx.scene.geodesy import areas_km2
from glacierx.scene.masks import MaskRule
from glacierx.scene.prediction import Prediction
from glacierx.scene.raster import base_name
from glacierx.scene.scene import Scene, open_scene
from glacierx.scene.vector import VectorLayer, polygons_of

Progress = Callable[[int, int, str], None]
Group = TypeVar("Group", bound=Options)

Text = str | None
OF_SCENES: dict[str, Any] = {
    "name": str, "bands": Mapping, "sensor": Text, "level": Text, "nodata": Text, "invalid": list,
    "aoi": Mapping | None, "src_date": Text, "src_date_from": Text,
}  # fmt: skip
"""What a run record says of a scene, and of which type."""
OF_NETWORKS = ("tta", "patch_px", "keep")
# Rows, and entries of a record, that are named.
SHOWN = 4
OF_ENGINES = ("device", "backend", "precision")


@dataclass(frozen=True)
class Again:
    """What a run record says of how to do its run again.

    Attributes:
        record: The run record.
        files: The files it names, as they were found.
        model: The file of its model; None where it has none.
    """

    record: Mapping[str, Any]
    files: Sequence[Found]
    model: Found

    def path(self, kind: str) -> str | None:
        """Return where the first file of a kind is."""
        return next((one.path for one in self.files if one.wanted.kind == kind), None)


def _lacks(what: str) -> CheckError:
    return CheckError(
        f"The run record does not say {what}, or not as this version of glacierx does: another one "
        "made it. Run it again with that version."
    )


def open_again(again: Again) -> Scene:
    """Open a scene as a run record says that it was read.

    Raises:
        CheckError: The record does not say enough.
        GlacierxError: The scene cannot be opened.
    """
    said = table(again.record, "scene")
    bands = table(said, "bands")
    for key, kind in OF_SCENES.items():
        if key not in said or not isinstance(said[key], kind):
            raise _lacks(f"the scene's {key}")
    # The files of the scene come first, in the order of the record.
    paths = [one.path for one in again.files]
    taken = {role: _place(role, table(band), again) for role, band in bands.items()}
    order = sorted(taken, key=lambda role: taken[role])
    scale, offset = _units([table(band) for band in bands.values()])
    heights = table(again.record, "dem") or table(again.record, "terrain", "dem")
    if heights and not isinstance(heights.get("band"), int):
        raise _lacks("which band of the DEM was read")
    beside = {role: table(raster).get("band") for role, raster in table(said, "aux").items()}
    if not all(isinstance(band, int) for band in beside.values()):
        raise _lacks("which bands of the rasters beside the scene were read")
    scene = open_scene(
        bands={role: f"{paths[taken[role][0]]}:{taken[role][1]}" for role in order},
        sensor=said["sensor"],
        level=said["level"],
        scale=scale,
        offset=offset,
        nodata=said["nodata"],
        invalid=_with_folders([str(mark) for mark in said["invalid"]], again),
        aoi=again.path("region"),
        aoi_buffer_m=_number(said, "aoi_buffer_m") if said["aoi"] else 0.0,
        dem=again.path("DEM"),
        dem_band=heights.get("band"),
        aux={role: f"{again.path(f'{role} raster')}:{band}" for role, band in beside.items()},
        date=said["src_date"] if said["src_date_from"] == "user" else None,
    )
    # Files may bear other names today; those of the run stand in columns and texts.
    scene.name = said["name"]
    if scene.dem is not None:
        scene.dem.name = str(heights.get("name", scene.dem.name))
    return scene


def _place(role: str, band: Mapping[str, Any], again: Again) -> tuple[int, int]:
    """Return which of the run's files holds a role, and which of its bands."""
    names = [str(one.get("name")) for one in tables(again.record, "inputs")]
    number, file = band.get("band"), str(band.get("file"))
    at = band.get("input")
    if at is None and names.count(file) == 1:
        at = names.index(file)
    if not isinstance(number, int) or not isinstance(at, int) or not 0 <= at < len(names):
        raise _lacks(f"which file holds {role}")
    return at, number


def _number(part: Mapping[str, Any], key: str) -> float:
    value = part.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _lacks(f"the number {key}")
    return float(value)


def _units(bands: Sequence[Mapping[str, Any]]) -> tuple[float | None, float | None]:
    """Return the user's scale and offset; with a scale of his own all bands are reflectance."""
    own = [band for band in bands if band.get("scale_from") == "user"]
    if not own:
        return None, None
    scales = {_number(band, "scale") for band in own}
    plain = all(band.get("unit") == "reflectance" for band in own) and len(scales) == 1
    return scales.pop() if plain else None, _number(own[0], "offset")


def _with_folders(marks: Sequence[str], again: Again) -> list[str]:
    """Put the places of quality masks' files before their names."""
    placed: list[str] = []
    used: Counter[str] = Counter()
    for mark in marks:
        name = MaskRule.parse(mark).path
        files = [one for one in again.files if one.wanted.name == base_name(name) and one.path]
        masks = [one for one in files if one.wanted.kind == "quality mask"] or files
        if not masks:
            raise _lacks(f"the file of the quality mask {name}")
        # Of several files of one name each mark has its own, in order; one file may have several.
        path = masks[min(used[name], len(masks) - 1)].path
        used[name] += 1
        placed.append(f"{path}{mark[len(name) :]}")
    return placed


def model_again(again: Again, scene: Scene) -> Model | PixelMethod:
    """Return the model of a run: from its file, or the pixel method with its numbers.

    Raises:
        CheckError: The record does not say enough.
    """
    if again.model.path is not None:
        return choose_model(load_model(again.model.path), scene)
    said = table(again.record, "model")
    name, limits, roles = str(said.get("name")), table(said, "thresholds"), said.get("roles")
    if "thresholds" not in said or not isinstance(roles, list) or not roles:
        raise _lacks(f"the numbers of {name}")
    given: dict[str, Any] = {}
    if name in ("ndsi", "ratio"):
        given = {"above": limits.get(name)}
        given |= {"blue": limits["blue"]} if "blue" in limits else {}
    elif name in ("sbtm", "gmm"):
        given = {"role": roles[0] if len(roles) == 1 else "ndsi"}
    method = fit_method(_method_text(name, given), scene)
    if name == "sbtm" and dict(limits) != dict(method.thresholds) and limits:
        # The record does not tell a threshold of the user's from one that was found.
        method = fit_method(_method_text(name, {**given, "above": limits[roles[0]]}), scene)
    return method


def _method_text(name: str, given: Mapping[str, Any]) -> str:
    return name + ":" * bool(given) + ",".join(f"{key}={value}" for key, value in given.items())


def options_again(record: Mapping[str, Any]) -> ExtractOptions:
    """Return the options of a run.

    Raises:
        CheckError: The record lacks some, or has some that this version does not know.
    """
    said = table(record, "options")
    own = table(said, "predict")
    needed = ("median",) if "median" in own else (*OF_NETWORKS, *OF_ENGINES)
    for key in needed:
        if own.get(key) is None:
            raise _lacks(f"the option {key}")
    return ExtractOptions(
        PredictOptions.build(own),
        _group(OutlineOptions, said, "outline"),
        _group(DivideOptions, said, "divide"),
    )


def _group(kind: type[Group], said: Mapping[str, Any], name: str) -> Group:
    if name not in said:  # A step that was not done.
        return kind()
    own, known = table(said, name), {declared.name for declared in fields(kind)}
    for declared in fields(kind):
        # None is a value only where it is the default, and what older records do not know.
        if own.get(declared.name) is None and declared.default is not None:
            raise _lacks(f"the option {declared.name}")
    for key in sorted(set(own) - known):
        raise CheckError(
            f"The run record holds the option {key}, which this version of glacierx does not know: "
            "a newer one made it. Run it again with that version."
        )
    return kind.build(own)


def engine_again(record: Mapping[str, Any]) -> tuple[EngineOptions, str]:
    """Return what a run's network ran on, or what is here instead, and what to say of that."""
    said = table(record, "options", "predict")
    if "device" not in said:
        return EngineOptions(), ""
    engine = EngineOptions.build({**said, "compile": bool(said.get("compile", False))})
    try:
        return resolve(engine), ""
    except (OptionError, ExtraError):
        own = resolve(EngineOptions())
        then, now = (f"{one.device}, {one.backend}, {one.precision}" for one in (engine, own))
        return own, f"it ran on {then}, which this machine does not have, and now on {now}"


@dataclass(frozen=True)
class Repeat:
    """A run done again.

    Attributes:
        path: The file of its result.
        record: Its run record.
        machine: In what its machine differs from the first; empty if in nothing that is known.
    """

    path: Path
    record: Mapping[str, Any]
    machine: str


def run_again(
    again: Again,
    folder: Path,
    *,
    layers: Sequence[str] = (),
    threshold: float | None = None,
    kind: str = "",
    progress: Progress | None = None,
) -> Repeat:
    """Do a run again.

    Args:
        again: What the record says, and the files.
        folder: Where the result goes.
        layers: Layers that the first result has; none for a raster.
        threshold: That of a raster.
        kind: ``probability``, ``mask`` or ``classes``, for a raster.
        progress: Called as work goes on.

    Raises:
        CheckError: The record does not say enough.
        GlacierxError: A step fails.
    """
    options = options_again(again.record)
    engine, machine = engine_again(again.record)
    if (
        "glaciers" in layers
        and table(again.record, "terrain", "dem")
        and not again.record.get("dem")
    ):
        raise CheckError(
            "It was made step by step, the last without the DEM that the model saw, and is not "
            "run again in one go. Do its steps again."
        )
    probability = folder / "probability.tif"
    with open_again(again) as scene:
        model = model_again(again, scene)
        if "glaciers" in layers:
            made = extract(
                scene, model, options, engine=engine, work_dir=folder, progress=progress,
                divides=again.path("inventory"),
            )  # fmt: skip
            found, record = layers_of(made), made.record
        else:
            job = Job(scene, model, options.predict, engine, Profile())
            mask = folder / "mask.tif" if kind == "mask" else None
            kinds = folder / "classes.tif" if kind == "classes" else None
            files = PredictionFiles(probability, mask, kinds, threshold)
            write_prediction(job, files, progress=progress)
            with Prediction(probability, aoi=scene.aoi) as prediction:
                if not layers:
                    return Repeat(mask or kinds or probability, prediction.record, machine)
                record = with_outline(prediction, options.outline)
                found = {"complexes": outline(prediction, options.outline, progress=progress)}
    chosen = {name: value for name, value in found.items() if name in layers}
    path = write_layers(folder / "outlines.gpkg", chosen, record)
    return Repeat(path, json.loads(json.dumps(record)), machine)


def record_changes(one: Any, other: Any, at: str = "") -> list[str]:
    """Name the entries in which two run records differ, as ``versions.numpy: 2.1 -> 2.2``."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys = sorted({*one, *other})
        return [
            line
            for key in keys
            for line in record_changes(one.get(key), other.get(key), f"{at}.{key}" if at else key)
        ]
    return [] if one == other else [f"{at}: {json.dumps(one)} -> {json.dumps(other)}"]


def compare_layers(name: str, one: VectorLayer, other: VectorLayer) -> str:
    """Say how a layer differs from that of the run done again; nothing if it does not."""
    here, there = len(one.geometry), len(other.geometry)
    if here != there:
        return f"{name}: {here} rows in the result, {there} in the run"
    said = []
    differs = ~shapely.equals_exact(one.geometry, other.geometry, 0)
    if differs.any():
        said.append(f"the geometry of {int(differs.sum())} of {here} ({_few(one, differs)})")
        mine, theirs = (polygons_of(layer.geometry[differs]) for layer in (one, other))
        off = polygons_of(shapely.symmetric_difference(mine, theirs))
        said[-1] += f", {areas_km2(off, one.crs).sum():.6g} km2" if shapely.area(off).any() else ""
    for column in dict.fromkeys([*one.columns, *other.columns]):
        if column not in one.columns or column not in other.columns:
            where = "the result" if column in one.columns else "the run"
            said.append(f"the column {column} is in {where} alone")
            continue
        pairs = zip(one.columns[column], other.columns[column], strict=True)
        unlike = sum(not (a == b or (a != a and b != b)) for a, b in pairs)
        said += [f"{column} in {unlike} of {here} rows"] if unlike else []
    return f"{name}: {'; '.join(said)}" if said else ""


def _few(layer: VectorLayer, chosen: NDArray[np.bool_]) -> str:
    rows = np.flatnonzero(chosen).tolist()
    ids = layer.columns.get("glac_id")
    names = [f"row {row + 1}" if ids is None else str(ids[row]) for row in rows[:SHOWN]]
    return ", ".join([*names, "..."] if len(rows) > SHOWN else names)


def listed_changes(first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Name the first few entries in which two run records differ; nothing if in none."""
    changes = record_changes(first, other)
    return "; ".join([*changes[:SHOWN], "..."] if len(changes) > SHOWN else changes)


def explained(said: str, first: Mapping[str, Any], repeat: Repeat) -> list[Finding]:
    """Return what a difference found is, and what may explain it."""
    found = Finding("rerun", "differs", f"{said}.")
    why = [repeat.machine, listed_changes(first, repeat.record)]
    if any(why):
        text = f"what else differs may explain it: {'; '.join(filter(None, why))}"
    else:
        text = (
            "files, model, options, versions and kind of device are those of the record: either "
            "the result was changed after it was written, or another processor or --batch rounds "
            "otherwise"
        )
    return [found, Finding("cause", "note", text)]
