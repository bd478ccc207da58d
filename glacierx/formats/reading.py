"""Read results of glacierx, and files in the formats it writes, as layers with our columns."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glacierx.errors import OutlineError
from glacierx.formats import glims, rgi6, rgi7
from glacierx.formats.fields import Field
from glacierx.formats.files import RECORD
from glacierx.outlines.geopackage import (
    SCHEMAS,
    SHAPES,
    fitting,
    read_lines,
    read_outlines,
    read_record,
)
from glacierx.outlines.outlines import Outlines
from glacierx.scene.raster import PathLike, base_name
from glacierx.scene.vector import has_layer

Layers = dict[str, Outlines]
READERS = {"Polygon": read_outlines, "LineString": read_lines}


def read_result(path: PathLike, layer: str | None = None) -> tuple[Layers, dict[str, Any]]:
    """Read layers and the run record of a result.

    Args:
        path: A GeoPackage of glacierx, a folder that `write_format` wrote, or any vector file with
            polygons; names of RGI 6.0, RGI 7.0 and GLIMS become ours.
        layer: The layer of glaciers, if there are several.

    Raises:
        OutlineError: It cannot be read, or holds no outlines.
    """
    if os.path.isdir(path):  # noqa: PTH112 - a name may be too long for a Path to ask
        return _read_folder(Path(path))
    if layer is None and str(path).lower().endswith(".gpkg") and _is_ours(path):
        found = [name for name in SCHEMAS if has_layer(path, name)]
        layers = {name: READERS[SHAPES[name]](path, name) for name in found}
        return layers, read_record(path)
    return {"glaciers": _as_ours(read_outlines(path, layer), base_name(path))}, read_record(
        path, layer
    )


def _is_ours(path: PathLike) -> bool:
    return any(has_layer(path, name) for name in ("glaciers", "complexes"))


def _as_ours(found: Outlines, name: str, complex_of: Mapping[str, int] | None = None) -> Outlines:
    """Give glaciers our columns, whatever format their names are of.

    Args:
        found: The glaciers.
        name: Their file.
        complex_of: The complex_id of each, by its id in RGI 7.0.
    """
    names = set(found.columns)
    try:
        if {field.name for field in rgi7.GLACIERS} <= names:
            found = rgi7.read_glaciers(found, complex_of or {})
        elif {field.name for field in rgi6.FIELDS} <= names:
            found = rgi6.read_glaciers(found)
        elif {field.name for field in glims.FIELDS} <= names:
            found = glims.read_glaciers(found)
    except (TypeError, ValueError) as error:
        raise OutlineError(
            f"{name} has the columns of a format, but not its kinds of values. Rename them, or "
            "mend the values."
        ) from error
    return fitting(found)


def _read_folder(folder: Path) -> tuple[Layers, dict[str, Any]]:
    names = sorted(file.name for file in folder.iterdir())

    def find(pattern: str) -> Path | None:
        found = [name for name in names if re.fullmatch(pattern, name)]
        if len(found) > 1:
            raise OutlineError(
                f"{folder.name} holds {', '.join(found)}, and either could be meant. "
                "Give one of them."
            )
        return folder / found[0] if found else None

    record = _record(find(rf".*-{re.escape(RECORD)}"))
    glaciers = find(r".*-G(-\d\d)?\.shp")
    if glaciers is not None:
        others = (find(r".*-C(-\d\d)?\.shp"), find(r".*-I(-\d\d)?\.shp"))
        links = find(r".*-C(-\d\d)?-CtoG_links\.json")
        return _read_rgi7(glaciers, others, links), record
    glaciers = find(r"(?!intersects_).*_rgi60_.*\.shp") or find(r".*-outlines\.gpkg")
    if glaciers is not None:
        lines = find(r"intersects_.*_rgi60_.*\.shp") or find(r".*-intersects\.gpkg")
        return _read_rgi6(glaciers, lines), record
    glaciers = find(r".*\.shp")
    if glaciers is None:
        raise OutlineError(f"The folder {folder} holds no outlines. Give a folder that does.")
    return {"glaciers": _as_ours(read_outlines(glaciers), glaciers.name)}, record


def _read_rgi7(
    glaciers: Path, others: tuple[Path | None, Path | None], links: Path | None
) -> Layers:
    complex_of: dict[str, int] = {}
    for name, members in (_json(links) if links is not None else {}).items():
        if not isinstance(members, list):
            raise OutlineError(
                f"{base_name(str(links))} does not list the glaciers of {name}. Remove or mend it."
            )
        complex_of |= {str(one): rgi7.number_of(name) for one in members}
    found = _with(read_outlines(glaciers), glaciers, rgi7.GLACIERS)
    layers = {"glaciers": _as_ours(found, glaciers.name, complex_of)}
    complexes, lines = others
    if complexes is not None:
        wholes = _with(read_outlines(complexes), complexes, rgi7.COMPLEXES)
        layers["complexes"] = fitting(rgi7.read_complexes(wholes))
    if lines is not None:
        between = _with(read_lines(lines), lines, rgi7.INTERSECTS)
        layers["divides"] = rgi7.read_intersects(between, complex_of)
    return layers


def _read_rgi6(glaciers: Path, lines: Path | None) -> Layers:
    found = _with(read_outlines(glaciers), glaciers, rgi6.FIELDS)
    layers = {"glaciers": _as_ours(found, glaciers.name)}
    if lines is not None:
        glacier_of = dict(zip(found["RGIId"].tolist(), found["GLIMSId"].tolist(), strict=True))
        between = _with(read_lines(lines), lines, rgi6.INTERSECTS)
        layers["divides"] = rgi6.read_intersects(between, glacier_of)
    return layers


def _with(found: Outlines, path: Path, fields: Sequence[Field]) -> Outlines:
    lacking = [field.name for field in fields if field.name not in found.columns]
    if lacking:
        raise OutlineError(
            f"{path.name} has no columns {', '.join(lacking[:5])}, which its format asks for. "
            "Give a file that has them, or the shapefile of glaciers alone."
        )
    return found


def _record(path: Path | None) -> dict[str, Any]:
    return dict(_json(path)) if path is not None else {}


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise OutlineError(f"{path.name} cannot be read as JSON. Remove or mend it.") from error
    if not isinstance(content, dict):
        raise OutlineError(f"{path.name} holds no table of names. Remove or mend it.")
    return content
