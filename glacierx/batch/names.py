"""What the folder of each scene is called: unique, lasting, and never outside the output folder."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from glacierx.errors import SceneError
from glacierx.scene.raster import base_name

LONGEST_BYTES = 150
# What Windows keeps for devices.
_DEVICES = {"con", "prn", "aux", "nul"} | {
    f"{port}{n}" for port in ("com", "lpt") for n in range(10)
}
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')


@dataclass(frozen=True)
class Named:
    """What a name is made from.

    Attributes:
        given: The name that the user gave.
        path: The scene's file, folder or URL.
        where: What messages call its line.
    """

    given: str | None
    path: str
    where: str


def choose_names(scenes: Sequence[Named]) -> list[str]:
    """Choose a name for each scene: the given one, its file's, or as much of its path as it takes.

    Raises:
        SceneError: A given name cannot be that of a folder, or two scenes have the same.
    """
    for scene in scenes:
        if scene.given is not None and (fault := _fault(scene.given)):
            raise SceneError(f"{scene.where}: the name {scene.given!r} {fault}. Give another.")
    names = [scene.given or _tail(scene.path, 1) for scene in scenes]
    clashing = {key for key, count in Counter(map(_folded, names)).items() if count > 1}
    for key in clashing:
        group = [i for i, name in enumerate(names) if _folded(name) == key]
        longer = [i for i in group if scenes[i].given is None]
        for i, name in zip(longer, _told_apart([scenes[i].path for i in longer]), strict=True):
            names[i] = name
    _check_unique(names, scenes)
    return names


def _told_apart(paths: Sequence[str]) -> list[str]:
    """Return the shortest tails of paths that differ, or with their endings where none do."""
    tails = [_tail(path, 1) for path in paths]
    for length in range(2, 1 + max((len(_parts(path)) for path in paths), default=0)):
        tails = [_tail(path, length) for path in paths]
        if len(set(map(_folded, tails))) == len(tails):
            return tails
    endings = [_clean(base_name(path).replace(".", "_")) for path in paths]
    return endings if len(set(map(_folded, endings))) == len(endings) else tails


def _check_unique(names: Sequence[str], scenes: Sequence[Named]) -> None:
    seen: dict[str, str] = {}
    for name, scene in zip(names, scenes, strict=True):
        other = seen.setdefault(_folded(name), scene.where)
        if other != scene.where:
            raise SceneError(
                f"{other} and {scene.where} both have the name {name!r}. "
                "Give each a name of its own in the column name."
            )


def _parts(path: str) -> list[str]:
    return [part for part in re.split(r"[/\\]", path.split("?")[0]) if part not in ("", ".", "..")]


def _tail(path: str, length: int) -> str:
    *folders, last = _parts(path)[-length:] or ["scene"]
    stem = last.rsplit(".", 1)[0] or last
    return _clean("_".join([*folders, stem]))


def _clean(text: str) -> str:
    """Make a part of a path the name of a folder."""
    name = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", text)).strip(" .")
    while len(name.encode("utf-8", "replace")) > LONGEST_BYTES:
        name = name[1:]  # The end of a product's name says more than its beginning.
    return f"scene_{name}" if _fault(name) else name


def _fault(name: str) -> str:
    """Say why a name cannot be that of a folder; nothing where it can."""
    if _FORBIDDEN.search(name) or name in ("", ".", ".."):
        return "is no name of a folder"
    if name != name.strip(" ") or name[0] in ".-" or name[-1] == ".":
        return "begins with a dot or dash, ends with a dot, or has spaces around it"
    if name.split(".")[0].casefold() in _DEVICES:
        return "is that of a device on Windows"
    if name.casefold().startswith("results") and name.casefold().endswith(".jsonl"):
        return "is that of the list of results"
    if len(name.encode("utf-8", "replace")) > LONGEST_BYTES:
        return f"has more than {LONGEST_BYTES} bytes"
    return ""


def _folded(name: str) -> str:
    """Return what a disk that ignores case takes a name for."""
    return unicodedata.normalize("NFC", name).casefold()
