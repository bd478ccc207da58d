"""The command line that a run record amounts to."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from glacierx.inputs import table, tables
from glacierx.options import DivideOptions, OutlineOptions
from glacierx.predict.model import shipped_models

ENGINE = ("device", "backend", "precision")
NETWORK = ("tta", "patch_px", "keep")


def bands_text(record: Mapping[str, Any]) -> str:
    """Say which band has which role, as --bands takes it; empty where the record does not."""
    bands = table(record, "scene", "bands")
    files = {str(table(band).get("file")) for band in bands.values()}
    parts = []
    for role, band in bands.items():
        one = table(band)
        number, file = one.get("band"), str(one.get("file"))
        if not isinstance(number, int) or "," in file or "=" in file:
            return ""
        text = f"{role}={number}" if len(files) == 1 else f"{role}={file}:{number}"
        at = one.get("input")
        parts.append((at if isinstance(at, int) else 0, number, text))
    # A record is sorted by name; the first file gives the scene its name.
    return ",".join(text for *_, text in sorted(parts))


def command_of(record: Mapping[str, Any], output: str) -> list[str]:
    """Write the command that does a run again, with names of files in place of paths.

    Args:
        record: The run record.
        output: Name of the file of outlines.

    Returns:
        Its parts: the command and its scene, then a flag with its value each. Nothing where the
        record does not tell enough.
    """
    scene, model = table(record, "scene"), table(record, "model")
    bands = bands_text(record)
    if not bands or not model.get("name"):
        return []
    files = list(dict.fromkeys(str(table(band).get("file")) for band in scene["bands"].values()))
    first = "glacierx extract" + (f" {shlex.quote(files[0])}" if len(files) == 1 else "")
    pairs = [
        ("bands", bands),
        *_scene_flags(scene),
        *_files(record),
        ("model", _model(model)),
        *_options(table(record, "options")),
    ]
    flags = [f"--{name.replace('_', '-')} {shlex.quote(text)}" for name, text in pairs if text]
    for name in ("compile", "median"):
        flags += [f"--{name}"] if table(record, "options", "predict").get(name) is True else []
    flags += ["--force-dem"] if table(record, "options", "divide").get("force_dem") is True else []
    return [first, *flags, f"-o {shlex.quote(output)}"]


def _scene_flags(scene: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("sensor", "level", "nodata"):
        yield key, _text(scene.get(key))
    own = [table(one) for one in scene["bands"].values()]
    own = [band for band in own if band.get("scale_from") == "user"]
    scales = {band.get("scale") for band in own}
    if own and len(scales) == 1 and all(band.get("unit") == "reflectance" for band in own):
        yield "scale", _text(scales.pop())
    if own:
        yield "offset", _text(own[0].get("offset"))
    marks = scene.get("invalid")
    for mark in marks if isinstance(marks, list) else []:
        yield "invalid", _text(mark)
    if scene.get("src_date_from") == "user":
        yield "date", _text(scene.get("src_date"))


def _files(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    region = table(record, "scene", "aoi")
    if region:
        yield "aoi", _text(region.get("name"))
        yield "aoi_buffer_m", _text(table(record, "scene").get("aoi_buffer_m"))
    for role, raster in table(record, "scene", "aux").items():
        name, band = _text(table(raster).get("name")), _text(table(raster).get("band"))
        yield "aux", f"{role}={name}:{band}"
    heights = table(record, "dem") or table(record, "terrain", "dem")
    if heights:
        yield "dem", _text(heights.get("name"))
        yield "dem_band", _text(heights.get("band"))
    yield "divides", _text(table(record, "inventory").get("name"))


def _model(model: Mapping[str, Any]) -> str:
    name = str(model["name"])
    if model.get("kind") != "pixel method":
        return name if name in shipped_models() else f"{name}.safetensors"
    if model.get("fitted"):
        return f"{name}.safetensors"
    limits, roles = table(model, "thresholds"), model.get("roles")
    given: dict[str, Any] = {}
    role = roles[0] if isinstance(roles, list) and len(roles) == 1 else "ndsi"
    if name in ("ndsi", "ratio"):
        given = {"above": limits.get(name)}
        given |= {"blue": limits["blue"]} if "blue" in limits else {}
    elif name in ("sbtm", "gmm"):
        given = {"role": role}
        # A threshold that was found gives the same pixels when it is given.
        given |= {"above": limits[role]} if name == "sbtm" and role in limits else {}
    return name + ":" * bool(given) + ",".join(f"{key}={value}" for key, value in given.items())


def _options(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    own = table(options, "predict")
    for name in (*ENGINE, *NETWORK):
        yield name, _text(own.get(name))
    yield "threshold", _text(table(options, "outline").get("threshold"))
    for group, name in ((OutlineOptions(), "outline"), (DivideOptions(), "divide")):
        said = table(options, name)
        for key, default in group.as_record().items():
            known = key in said and said[key] is not None and key not in ("threshold", "force_dem")
            if known and said[key] != default:
                yield key, _text(said[key])


def _text(value: Any) -> str:
    """Write a value; nothing for none. Mappings and lists have no place on a command line."""
    if value is None or isinstance(value, bool | Mapping | list):
        return ""
    return str(value)


def fingerprints(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return name and SHA-256, where it is known, of the scene's files."""
    return [(str(one.get("name")), str(one.get("sha256", ""))) for one in tables(record, "inputs")]
