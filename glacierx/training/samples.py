"""Labelled scenes that a network learns from, and the file that carries them to another machine."""

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from glacierx.errors import SceneError
from glacierx.scene.classes import Classes
from glacierx.scene.staging import staged

OTHER, ICE, INVALID, IGNORED = 0, 1, 254, 255
"""What a label says: no ice, ice, no data in the scene, nothing known of a pixel that has data.

Where a network tells several classes apart, a label below `INVALID` is the number of the class."""

PARTS = ("train", "validation", "test")
FORMAT = "glacierx samples 1"
# A larger file is refused where it holds less than a hundredth of what it decodes to.
SMALL_BYTES, MOST_DECODED = 2**30, 100

Values = NDArray[np.float32]
Labels = NDArray[np.uint8]


class Source(Protocol):
    """A labelled scene that is read by window.

    Attributes:
        name: What messages call it.
        roles: What its planes measure.
        shape: Rows and columns.
        gsd_m: Ground sampling distance in metres.
        part: ``train``, ``validation`` or ``test``.
        group: Scenes whose scores are pooled.
        weight: How often it is drawn, relative to its size.
        about: What a record says of it.
        ice: Labels that are ice.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - said above
    @property
    def roles(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def gsd_m(self) -> float: ...  # noqa: D102
    @property
    def part(self) -> str: ...  # noqa: D102
    @property
    def group(self) -> str: ...  # noqa: D102
    @property
    def weight(self) -> float: ...  # noqa: D102
    @property
    def about(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def ice(self) -> tuple[int, ...]: ...  # noqa: D102

    def read(self, top: int, left: int, rows: int, columns: int) -> tuple[Values, Labels]:
        """Read a window, which may reach beyond the scene.

        Returns:
            Scaled values (roles, rows, columns), 0 where there is no data, and labels (rows,
            columns).
        """


@dataclass(frozen=True)
class Sample:
    """A labelled scene in memory; see `Source`.

    Attributes:
        values: Planes (roles, rows, columns), scaled as the network wants them.
        label: Labels (rows, columns).
    """

    name: str
    roles: tuple[str, ...]
    values: NDArray[np.float16]
    label: Labels
    gsd_m: float
    part: str = "train"
    group: str = "all"
    weight: float = 1.0
    about: Mapping[str, Any] = field(default_factory=dict)
    ice: tuple[int, ...] = (ICE,)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.label.shape[0], self.label.shape[1]

    def read(self, top: int, left: int, rows: int, columns: int) -> tuple[Values, Labels]:
        """Read a window; see `Source.read`."""
        values = np.zeros((len(self.roles), rows, columns), np.float32)
        label = np.full((rows, columns), INVALID, np.uint8)
        inner, outer = overlap(self.shape, top, left, rows, columns)
        values[:, *outer] = self.values[:, *inner]
        label[outer] = self.label[inner]
        return values, label


Window = tuple[slice, slice]


def overlap(
    shape: tuple[int, int], top: int, left: int, rows: int, columns: int
) -> tuple[Window, Window]:
    """Return where a window meets a scene: in the scene, and in the window."""
    inner, outer = [], []
    for first, count, length in ((top, rows, shape[0]), (left, columns, shape[1])):
        start, end = min(max(first, 0), length), max(min(first + count, length), 0)
        end = max(start, end)
        inner.append(slice(start, end))
        outer.append(slice(start - first, end - first))
    return (inner[0], inner[1]), (outer[0], outer[1])


def load_source(source: Source) -> Sample:
    """Read a whole scene into memory, two bytes for each value."""
    if isinstance(source, Sample):
        return source
    values, label = source.read(0, 0, *source.shape)
    return Sample(
        source.name,
        source.roles,
        values.astype(np.float16),
        label,
        source.gsd_m,
        source.part,
        source.group,
        source.weight,
        source.about,
        source.ice,
    )


def ice_labels(classes: Classes) -> tuple[int, ...]:
    """Return the labels that are ice for a network that tells these classes apart."""
    return classes.numbers if len(classes.names) > 1 else (ICE,)


def as_ice(label: Labels, ice: Sequence[int]) -> Labels:
    """Return labels that only tell ice from other ground; what is not known stays so.

    Args:
        label: Labels (rows, columns).
        ice: Those that are ice.
    """
    table = np.full(256, OTHER, np.uint8)
    table[INVALID:] = INVALID, IGNORED
    table[list(ice)] = ICE
    return table[label]


def save_samples(
    sources: Sequence[Source],
    path: str | Path,
    *,
    about: Mapping[str, Any],
    overwrite: bool = False,
) -> Path:
    """Write labelled scenes into one file that needs no GDAL to be read.

    Args:
        sources: Scenes.
        path: A file ending in ``.npz``.
        about: What the file says of itself: the scaling, the roles.
        overwrite: Replace an existing file.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise SceneError(f"{path} is no sample file: give it the ending .npz.")
    listed: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {}
    for number, source in enumerate(sources):
        sample = load_source(source)
        arrays[f"values_{number}"] = sample.values
        arrays[f"label_{number}"] = sample.label
        listed.append({
            "name": sample.name, "roles": list(sample.roles), "gsd_m": sample.gsd_m,
            "part": sample.part, "group": sample.group, "weight": sample.weight,
            "about": dict(sample.about),
            **({} if sample.ice == (ICE,) else {"ice": list(sample.ice)}),
        })  # fmt: skip
    text = json.dumps({"format": FORMAT, "about": dict(about), "samples": listed}, sort_keys=True)
    arrays["card"] = np.frombuffer(text.encode(), np.uint8)
    with staged(path, overwrite=overwrite) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # the stub's allow_pickle
    return path


def load_samples(path: str | Path) -> tuple[list[Sample], dict[str, Any]]:
    """Read what `save_samples` wrote.

    Returns:
        The scenes, and what the file says of itself.

    Raises:
        SceneError: The file is missing, damaged or of another kind.
    """
    path = Path(path)
    try:
        _check_members(path)
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            card = json.loads(bytes(file["card"]).decode())
            if card.get("format") != FORMAT:
                raise ValueError(f"it says {card.get('format')!r}, expected {FORMAT!r}")
            samples = [
                _sample(entry, file[f"values_{number}"], file[f"label_{number}"])
                for number, entry in enumerate(card["samples"])
            ]
        return samples, card["about"]
    except MemoryError:
        raise
    except FileNotFoundError as error:
        raise SceneError(f"The sample file {path} does not exist. Check the path.") from error
    except Exception as error:
        raise SceneError(
            f"{path.name} is no sample file: {error}. Make one with glacierx train --export."
        ) from error


def _check_members(path: Path) -> None:
    """Refuse arrays that are larger than the file says, before there is memory for them."""
    whole = 0
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            with archive.open(info) as member:
                version = np.lib.format.read_magic(member)
                read = np.lib.format.read_array_header_1_0
                if version != (1, 0):
                    read = np.lib.format.read_array_header_2_0
                shape, _, kind = read(member)
            if math.prod(shape) * kind.itemsize > info.file_size:
                raise ValueError(f"{info.filename} says that it is larger than it is")
            whole += info.file_size
    if whole > max(SMALL_BYTES, MOST_DECODED * path.stat().st_size):
        raise ValueError(f"it is nearly empty, or made to fill memory ({whole} bytes of zeros)")


def _sample(entry: Mapping[str, Any], values: NDArray[Any], label: NDArray[Any]) -> Sample:
    roles = tuple(str(role) for role in entry["roles"])
    if values.shape != (len(roles), *label.shape) or values.dtype != np.float16:
        raise ValueError(f"the planes of {entry['name']} do not fit its labels")
    if not (0 < float(entry["gsd_m"]) < math.inf and 0 <= float(entry["weight"]) < math.inf):
        raise ValueError(f"the gsd_m or weight of {entry['name']} is no such number")
    if entry["part"] not in PARTS:
        raise ValueError(f"{entry['name']} belongs to {entry['part']!r}, which is no part")
    return Sample(
        str(entry["name"]),
        roles,
        values,
        label.astype(np.uint8),
        float(entry["gsd_m"]),
        str(entry["part"]),
        str(entry["group"]),
        float(entry["weight"]),
        dict(entry["about"]),
        _ice_of(entry),
    )


def _ice_of(entry: Mapping[str, Any]) -> tuple[int, ...]:
    ice = tuple(int(number) for number in entry.get("ice", (ICE,)))
    if not ice or not all(0 <= number < INVALID for number in ice):
        raise ValueError(f"the ice of {entry['name']} is {ice}, which are no labels")
    return ice
