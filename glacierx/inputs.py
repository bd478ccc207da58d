"""The files that a run record names: where they are now, and whether they are the same."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glacierx.errors import OutlineError
from glacierx.findings import Finding
from glacierx.predict.model import find_model, shipped_models
from glacierx.scene.masks import MaskRule
from glacierx.scene.provenance import fingerprint
from glacierx.scene.raster import PathLike, base_name, is_remote

MODEL_FILES = "*.safetensors"
SHOWN = 12
"""Letters of a SHA-256 that are shown."""


@dataclass(frozen=True)
class Wanted:
    """A file that a run record names.

    Attributes:
        kind: What it was to the run: scene, quality mask, region, DEM, inventory.
        facts: Its fingerprint in the record.
    """

    kind: str
    facts: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its base name."""
        return str(self.facts.get("name", "a file without a name"))


@dataclass(frozen=True)
class Found:
    """A file that was looked for.

    Attributes:
        wanted: What was looked for.
        path: Where it is; None if it was not found.
        finding: Whether it is the same.
    """

    wanted: Wanted
    path: str | None
    finding: Finding


def table(record: Any, *keys: str) -> Mapping[str, Any]:
    """Return an inner table of a run record; an empty one where there is none."""
    for key in keys:
        record = record.get(key) if isinstance(record, Mapping) else None
    return record if isinstance(record, Mapping) else {}


def tables(record: Any, key: str) -> list[Mapping[str, Any]]:
    """Return a list of tables of a run record; an empty one where there is none."""
    found = table(record).get(key)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def wanted_files(record: Mapping[str, Any]) -> list[Wanted]:
    """Return every file that a run record names but the model, those of the scene first."""
    scene = table(record, "scene")
    marks = scene.get("invalid")
    masks = {mask_name(mark) for mark in marks} if isinstance(marks, list) else set()
    bands = {str(table(band).get("file")) for band in table(scene, "bands").values()}
    found = [
        Wanted("quality mask" if str(one.get("name")) in masks - bands else "scene", one)
        for one in tables(record, "inputs")
    ]
    for role, raster in table(scene, "aux").items():
        facts = table(raster)
        found += [Wanted(f"{role} raster", one) for one in (facts, *tables(facts, "parts"))]
    if table(scene, "aoi"):
        found.append(Wanted("region", table(scene, "aoi")))
    heights = [one for one in (table(record, "dem"), table(record, "terrain", "dem")) if one]
    for one in heights[:1] if heights[1:] == heights[:1] else heights:
        found += [Wanted("DEM", part) for part in (one, *tables(one, "parts"))]
    if table(record, "inventory"):
        found.append(Wanted("inventory", table(record, "inventory")))
    return found


def mask_name(mark: Any) -> str:
    """Return the file's name in ``FILE[:BAND][=VALUES]``."""
    return base_name(MaskRule.parse(str(mark)).path)


class Search:
    """Where files are looked for: what was given, what a log names, beside the result, here.

    Args:
        result: The file that they belong to.
        given: Files, URLs and folders that the user names; folders are searched to the bottom.
        logged: Files that the log of the run names.
    """

    def __init__(
        self, result: PathLike, given: Sequence[PathLike] = (), logged: Sequence[str] = ()
    ) -> None:
        self._given = [str(path) for path in given]
        self._logged = list(logged)
        folders = (Path(result).absolute().parent, Path.cwd())
        self._folders = list(dict.fromkeys(folder.resolve() for folder in folders))
        self._listed: dict[str, list[Path]] = {}
        for path in self._given:
            if not is_remote(path) and not Path(path).exists():
                raise OutlineError(f"{path} does not exist. Give files or folders that do.")

    def find(self, wanted: Wanted) -> Found:
        """Look for a file: by its name, else among the given ones by what it holds."""
        for paths in self._places(wanted.name):
            states = {path: same_state(path, wanted.facts) for path in paths}
            for state in ("same", "unknown", "changed"):
                path = next((one for one, (found, _) in states.items() if found == state), None)
                if path is not None:
                    why = states[path][1]
                    text = f"{wanted.kind}{why and f': {why}'} ({path})"
                    return Found(wanted, path, Finding(wanted.name, state, text))
        for path in self._given:
            renamed = not is_remote(path) and Path(path).is_file() and wanted.facts.get("sha256")
            if renamed and same_state(path, wanted.facts)[0] == "same":
                text = f"{wanted.kind}, under another name ({path})"
                return Found(wanted, path, Finding(wanted.name, "same", text))
        text = f"{wanted.kind}: not given, and neither beside the result nor here."
        advice = "Give the file, or the folder that holds it, after the result."
        return Found(wanted, None, Finding(wanted.name, "missing", text, advice))

    def _places(self, name: str) -> Iterable[list[str]]:
        """Return the files of a name, place by place; the first place that has one counts."""
        if not name or name in (".", ".."):
            return
        given = [path for path in self._given if base_name(path) == name and _is_file(path)]
        for path in self._given:
            if not is_remote(path) and Path(path).is_dir():
                given += self._within(path, lambda one: one.name == name)
        yield given
        yield [path for path in self._logged if base_name(path) == name and _is_file(path)]
        for folder in self._folders:
            yield [str(folder / name)] if (folder / name).is_file() else []

    def _within(self, folder: str, fits: Callable[[Path], bool]) -> list[str]:
        if folder not in self._listed:
            self._listed[folder] = sorted(one for one in Path(folder).rglob("*") if one.is_file())
        return [str(one) for one in self._listed[folder] if fits(one)]

    def find_model(self, record: Mapping[str, Any]) -> Found:
        """Look for the file of a model: the one that ships, or any that holds the same bytes."""
        model = table(record, "model")
        name, digest = str(model.get("name", "")), model.get("sha256")
        wanted = Wanted("model", {"name": name, "sha256": digest})
        if model.get("kind") == "pixel method" and not model.get("fitted"):
            return Found(wanted, None, Finding("model", "same", f"{name}, a rule without a file"))
        if not digest:
            text = f"cannot be told: {name or 'it'} was made in memory, so the record holds no hash"
            return Found(wanted, None, Finding("model", "unknown", text))
        shipped = str(find_model(name)) if name in shipped_models() else None
        files = self._model_files()
        for path in [*files, *([shipped] if shipped else [])]:
            if fingerprint(path, always_hash=True).get("sha256") == digest:
                where = ", which ships with glacierx" if path == shipped else f" ({path})"
                return Found(wanted, path, Finding("model", "same", f"{name}{where}"))
        sought = f"{name}, SHA-256 {str(digest)[:SHOWN]}"
        advice = "Give its file after the result."
        if files:
            text = f"{sought}: none of the model files that were found is it ({', '.join(files)})."
            return Found(wanted, None, Finding("model", "changed", text, advice))
        if shipped:
            text = f"{sought}: this version of glacierx ships another {name}."
            return Found(wanted, None, Finding("model", "changed", text, advice))
        return Found(wanted, None, Finding("model", "missing", f"{sought}: not found.", advice))

    def _model_files(self) -> list[str]:
        named = [*self._given, *self._logged]
        found = [path for path in named if path.endswith(MODEL_FILES[1:]) and _is_file(path)]
        for path in self._given:
            if not is_remote(path) and Path(path).is_dir():
                found += self._within(path, lambda one: one.suffix == MODEL_FILES[1:])
        for folder in self._folders:
            found += [str(one) for one in sorted(folder.glob(MODEL_FILES))]
        return [path for path in dict.fromkeys(found) if not is_remote(path)]


def _is_file(path: str) -> bool:
    return is_remote(path) or Path(path).is_file()


def same_state(path: str, facts: Mapping[str, Any]) -> tuple[str, str]:
    """Tell whether a file is the one of a fingerprint.

    Returns:
        ``same``, ``changed`` or ``unknown``, and why.
    """
    digest = facts.get("sha256")
    own = fingerprint(path, always_hash=bool(digest))
    if digest:
        if "sha256" not in own:
            return "unknown", "cannot be told: a file elsewhere is not read to be hashed"
        if own["sha256"] == digest:
            return "same", ""
        shown = f"its SHA-256 is {own['sha256'][:SHOWN]} and was {str(digest)[:SHOWN]}"
        return "changed", f"not the file that was read: {shown}"
    for key, what in (("etag", "ETag"), ("bytes", "size")):
        if key in facts and key in own and str(own[key]) != str(facts[key]):
            shown = f"its {what} is {own[key]} and was {facts[key]}"
            return "changed", f"not the file that was read: {shown}"
    if "etag" in facts and "etag" in own:
        return "same", "by the server's ETag"
    known = [key for key in ("bytes", "mtime") if key in facts and key in own]
    if not known:
        return "unknown", "cannot be told: the record holds its name alone"
    agree = str(own.get("mtime")) == str(facts.get("mtime"))
    told = "size and time of change agree" if agree else "the size agrees, the time does not"
    return "unknown", f"cannot be told: the record holds no hash of so large a file; {told}"
