"""What the result of a scene follows from, and whether it is still the same."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glacierx.batch.tasks import Task
from glacierx.errors import ModelError, OptionError
from glacierx.predict.model import find_model, shipped_models
from glacierx.scene.asked import parse_aux, split_band
from glacierx.scene.masks import MaskRule
from glacierx.scene.provenance import fingerprint
from glacierx.scene.raster import base_name, is_remote, raster_parts
from glacierx.scene.staging import files_of

# Those whose change of a result is more than rounding of the same numbers, or may be.
ENGINE = ("device", "backend", "precision", "compile")
PATHS = ("path", "bands", "invalid", "aoi", "dem", "aux")
SHIPPED = "the model that ships"


@dataclass(frozen=True)
class Input:
    """A file that a result follows from."""

    what: str
    path: str


def inputs_of(task: Task) -> list[Input]:
    """Name every file that is read: bands, masks, the DEM, the region, the inventory, the model."""
    scene = task.scene
    found = [Input("the scene", part) for path in _bands_of(task) for part in raster_parts(path)]
    for mark in scene.get("invalid") or ():
        found += [Input("a quality mask", part) for part in raster_parts(_mask_path(mark))]
    for role, target in parse_aux(scene.get("aux")).items():
        found += [Input(f"the {role} raster", part) for part in raster_parts(split_band(target)[0])]
    if scene.get("dem"):
        found += [Input("the DEM", part) for part in raster_parts(str(scene["dem"]))]
    for what, path in (("the region", scene.get("aoi")), ("the inventory", task.divides)):
        if path:
            found += [Input(what, part) for part in _vector(str(path))]
    return list(dict.fromkeys([*found, *_models(task.model)]))


def key_of(task: Task, inputs: Sequence[Input]) -> dict[str, Any]:
    """Say what the result of a task follows from: version, options, and the state of its files."""
    scene = {name: value for name, value in task.scene.items() if name not in PATHS}
    marks = [re.sub(r"^.*[/\\]", "", mark) for mark in task.scene.get("invalid") or ()]
    bands = re.sub(r"(?<==)[^,]*[/\\]", "", str(task.scene.get("bands") or ""))
    beside = [
        f"{role}={base_name(file)}" for role, file in parse_aux(task.scene.get("aux")).items()
    ]
    engine = task.engine.as_record()
    options = {
        **{
            name: value
            for group in task.options.as_record().values()
            for name, value in group.items()
        },
        **{name: engine[name] for name in ENGINE},
        **scene,
        "bands": bands,
        "invalid": marks,
        **({"aux": beside} if beside else {}),
        "model": base_name(task.model),
    }
    files = [_state(one) for one in inputs]
    whole = {"version": task.version, "options": options, "inputs": files}
    return dict(json.loads(json.dumps(whole, default=str)))


def with_hashes(key: Mapping[str, Any], inputs: Sequence[Input], *, always: bool) -> dict[str, Any]:
    """Add to a key the SHA-256 of its files, which a run has found already."""
    files = []
    for one, state in zip(inputs, key["inputs"], strict=True):
        same = state["mtime_ns"] is not None and _state(one) == state
        digest = fingerprint(one.path, always_hash=always).get("sha256") if same else None
        files.append({**state, "sha256": digest})
    return {**key, "inputs": files}


def what_differs(
    old: Mapping[str, Any], new: Mapping[str, Any], inputs: Sequence[Input], *, hashing: bool = True
) -> str | None:
    """Say what a result would follow from now that it did not before.

    A file that was merely copied or touched has another time, but the same SHA-256.

    Args:
        old: The key of the result.
        new: The key that it would have.
        inputs: The files of *new*.
        hashing: Hash files whose times alone differ; else such a file differs.

    Returns:
        What differs; None where nothing does.
    """
    try:
        if old["version"] != new["version"]:
            return f"glacierx is {new['version']} and was {old['version']}"
        if changed := _changed_options(old["options"], new["options"]):
            return f"{', '.join(changed)} changed"
        before = old["inputs"]
        names = [[(one["what"], one["name"]) for one in files] for files in (before, new["inputs"])]
        if names[0] != names[1]:
            return f"{_first_change(*names)} changed"
        for one, state, was in zip(inputs, new["inputs"], before, strict=True):
            if not _same_file(one, state, was, hashing=hashing):
                return f"{one.what} {state['name']} changed"
    except (KeyError, TypeError, AttributeError):
        return "the journal cannot be read"
    return None


def _changed_options(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]


def _first_change(old: Sequence[tuple[str, str]], new: Sequence[tuple[str, str]]) -> str:
    return next(
        (what for what, name in [*new, *old] if (what, name) not in old or (what, name) not in new),
        "their order",
    )


def _same_file(
    one: Input, state: Mapping[str, Any], was: Mapping[str, Any], *, hashing: bool
) -> bool:
    plain = {key: value for key, value in was.items() if key != "sha256"}
    if plain == state:
        return True
    if state["bytes"] != was["bytes"] or not was.get("sha256") or not hashing:
        return False
    return bool(fingerprint(one.path, always_hash=True).get("sha256") == was["sha256"])


def _state(one: Input) -> dict[str, Any]:
    """Describe a file by what the disk tells at once; of a shipped model the time says nothing."""
    told = {"what": one.what, "name": base_name(one.path), "bytes": None, "mtime_ns": None}
    if is_remote(one.path):
        found = fingerprint(one.path)
        return {**told, "bytes": found.get("bytes"), "etag": found.get("etag")}
    try:
        stat = Path(one.path).stat()
    except OSError:
        return told
    if one.what == SHIPPED:
        return {**told, "content": fingerprint(one.path, always_hash=True)["sha256"]}
    return {**told, "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _bands_of(task: Task) -> Iterator[str]:
    """Name the files of bands as `open_scene` finds them, whether they are there or not."""
    path, bands = task.scene.get("path"), str(task.scene.get("bands") or "")
    targets = [item.split("=", 1)[1].strip() for item in bands.split(",") if "=" in item]
    files = [target for target in targets if not re.fullmatch(r"-?[0-9]+", target)]
    if not files and path:
        yield str(path)
    for target in files:
        file = re.sub(r"(?<=.):[0-9]+$", "", target)
        inside = Path(path) / file if path and not is_remote(file) else None
        yield str(inside) if inside is not None and inside.exists() else file


def _mask_path(mark: str) -> str:
    try:
        return MaskRule.parse(mark).path
    except OptionError:  # It is told when the scene is opened.
        return mark


def _vector(path: str) -> list[str]:
    if not path.lower().endswith(".shp"):
        return [path]
    return [str(file) for file in files_of(Path(path)) if file.exists() or str(file) == path]


def _models(name: str) -> list[Input]:
    """Name the file of a model; any that ships may be chosen by itself."""
    if name == "auto":
        return [Input(SHIPPED, str(find_model(one))) for one in shipped_models()]
    try:
        path = str(find_model(name))
    except ModelError:  # A pixel method, or no model at all.
        return [Input("the model", name)] if name.endswith(".safetensors") else []
    return [Input(SHIPPED if name in shipped_models() else "the model", path)]
