"""Read results of glacierx, and files in the formats it writes, as layers with our columns."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glacierx.errors import OutlineError
from glacierx.formats import glims, rgi6, rgi7
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
from glacierx.scene.raster import PathLike
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
    folder = Path(path)
    if folder.is_dir():
        return _read_folder(folder)
    if layer is None and str(path).lower().endswith(".gpkg") and _is_ours(path):
        found = [name for name in SCHEMAS if has_layer(path, name)]
        layers = {name: READERS[SHAPES[name]](path, name) for name in found}
        return layers, read_record(path)
    return {"glaciers": _as_ours(read_outlines(path, layer))}, read_record(path, layer)


def _is_ours(path: PathLike) -> bool:
    return any(has_layer(path, name) for name in ("glaciers", "complexes"))


def _as_ours(found: Outlines) -> Outlines:
    """Give glaciers our columns, whatever format their names are of."""
    names = set(found.columns)
    if {field.name for field in rgi7.GLACIERS} <= names:
        return rgi7.read_glaciers(found, {})
    if {field.name for field in rgi6.FIELDS} <= names:
        return rgi6.read_glaciers(found)
    if {field.name for field in glims.FIELDS} <= names:
        return glims.read_glaciers(found)
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
    return {"glaciers": _as_ours(read_outlines(glaciers))}, record


def _read_rgi7(
    glaciers: Path, others: tuple[Path | None, Path | None], links: Path | None
) -> Layers:
    complex_of: dict[str, int] = {}
    if links is not None:
        for name, members in _json(links).items():
            complex_of |= dict.fromkeys(members, rgi7.number_of(name))
    found = _fields(read_outlines(glaciers), glaciers, [field.name for field in rgi7.GLACIERS])
    layers = {"glaciers": rgi7.read_glaciers(found, complex_of)}
    complexes, lines = others
    if complexes is not None:
        layers["complexes"] = rgi7.read_complexes(read_outlines(complexes))
    if lines is not None:
        layers["divides"] = rgi7.read_intersects(read_lines(lines), complex_of)
    return layers


def _read_rgi6(glaciers: Path, lines: Path | None) -> Layers:
    found = _fields(read_outlines(glaciers), glaciers, [field.name for field in rgi6.FIELDS])
    layers = {"glaciers": rgi6.read_glaciers(found)}
    if lines is not None:
        glacier_of = dict(zip(found["RGIId"].tolist(), found["GLIMSId"].tolist(), strict=True))
        layers["divides"] = rgi6.read_intersects(read_lines(lines), glacier_of)
    return layers


def _fields(found: Outlines, path: Path, names: list[str]) -> Outlines:
    lacking = [name for name in names if name not in found.columns]
    if lacking:
        raise OutlineError(
            f"{path.name} has no columns {', '.join(lacking[:5])}, which its format asks for. "
            "Give a file that has them."
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
