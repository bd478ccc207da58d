"""The outlines of single scenes that are to become one inventory."""

import glob
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from glacierx.errors import GlacierxError, GlacierxWarning, OutlineError
from glacierx.outlines.attributes import (
    COMPLEXES,
    FOOTPRINT,
    GLACIERS,
    MERGED,
    glacier_ids,
    in_schema,
    place_columns,
    widened,
)
from glacierx.outlines.footprint import trace_footprint
from glacierx.outlines.geopackage import read_layers, read_outlines
from glacierx.outlines.outlines import Outlines, as_geometries, connected_groups, touching_pairs
from glacierx.scene.dates import parse_date
from glacierx.scene.geodesy import lengths_m
from glacierx.scene.grid import Grid
from glacierx.scene.prediction import open_prediction
from glacierx.scene.provenance import fingerprint
from glacierx.scene.raster import PathLike


@dataclass(frozen=True)
class SceneOutlines:
    """What one scene shows.

    Attributes:
        name: The name of its file without the ending, made unique among those that are merged.
        path: The file.
        file: Its fingerprint.
        glaciers: Polygons with all columns of their layer.
        complexes: Likewise; glaciers that touch, where the file does not say.
        divides: Lines; none where the file has none.
        footprint: Where it shows the ground, a row for each part, in the CRS of the glaciers.
        footprint_from: What says so: ``footprint``, ``probability``, ``frame`` or ``outlines``.
        record: Its run record.
    """

    name: str
    path: Path
    file: Mapping[str, Any]
    glaciers: Outlines
    complexes: Outlines
    divides: Outlines
    footprint: Outlines
    footprint_from: str
    record: Mapping[str, Any]

    @property
    def date(self) -> str | None:
        """The day of the scene, or the last one of its outlines."""
        said = self.record.get("scene", {}).get("src_date")
        texts = [said] if said else [one for one in self.glaciers["src_date"].tolist() if one]
        return max(filter(None, (parse_date(str(one)) for one in set(texts))), default=None)

    @property
    def invalid_share(self) -> float | None:
        """The share of invalid ground in the hull of what it shows; None if not known."""
        shares = self.footprint["invalid_share"].tolist()
        if self.footprint_from not in ("footprint", "probability") or None in shares:
            return None
        # Of a scene without valid ground it does not matter.
        return float(shares[0]) if shares else 1.0


def find_inventories(given: Iterable[PathLike]) -> tuple[list[Path], set[Path]]:
    """Find the files that are meant by files, folders and patterns.

    Returns:
        Files, each once, and those of them that were found in folders.

    Raises:
        OutlineError: There is none for one that was given.
    """
    files: dict[Path, Path] = {}
    searched: set[Path] = set()
    for one in given:
        path = Path(one)
        if path.is_dir():
            found = [
                file
                for file in sorted(path.rglob("*.gpkg"))
                if not any(part.startswith(".") for part in file.relative_to(path).parts)
            ]
            searched |= {file for file in found if file.resolve() not in files}
        else:
            # A pattern with folders in it, as the user's shell would take it.
            matching = glob.glob(str(one), recursive=True)  # noqa: PTH207
            found = [path] if path.exists() else sorted(map(Path, matching))
        if not found:
            what = "holds no GeoPackage" if path.is_dir() else "does not exist"
            raise OutlineError(f"{one} {what}. Give the files or folders that glacierx wrote.")
        for file in found:
            files.setdefault(file.resolve(), file)
    return list(files.values()), searched & set(files.values())


def read_inventories(
    given: Iterable[PathLike], *, always_hash: bool = False
) -> list[SceneOutlines]:
    """Read the outlines of scenes, in an order that does not depend on that of the files.

    Args:
        given: Files, folders that are searched for GeoPackages of glacierx, and patterns.
        always_hash: Hash files above 2 GB too.

    Raises:
        OutlineError: A file cannot be read, or is a merged inventory itself.
    """
    files, searched = find_inventories(given)
    found: dict[str, SceneOutlines] = {}
    left_out, twice = [], []
    for path in files:
        file = fingerprint(path, always_hash=always_hash)
        key = str(file.get("sha256", path.resolve()))
        if key in found:
            twice.append(f"{path.name} (as {found[key].path.name})")
            continue
        layers, record = read_layers(path)
        if "merge" in record or not record:
            if path in searched:
                left_out.append(path.name)
                continue
            if record:
                raise OutlineError(
                    f"{path.name} is a merged inventory, which does not say what each scene saw. "
                    "Give the files of its scenes instead."
                )
        found[key] = _scene_outlines(path, file, layers, record)
    if twice:
        _warn(f"Files of the same content are read once: {', '.join(sorted(twice))}.")
    if left_out:
        _warn(f"Left out, as they are not of one scene: {', '.join(sorted(left_out))}.")
    if not found:
        raise OutlineError("There are no outlines of scenes to merge. Check the folders.")
    return _named([found[key] for key in sorted(found)])


def _named(scenes: Sequence[SceneOutlines]) -> list[SceneOutlines]:
    """Give scenes names of their own, and put them in the order of these."""
    count: dict[str, int] = {}
    out = []
    for scene in scenes:
        count[scene.name] = count.get(scene.name, 0) + 1
        number = count[scene.name]
        out.append(scene if number == 1 else replace(scene, name=f"{scene.name} ({number})"))
    return sorted(out, key=lambda scene: scene.name)


def _scene_outlines(
    path: Path, file: Mapping[str, Any], layers: Mapping[str, Outlines], record: Mapping[str, Any]
) -> SceneOutlines:
    if "glaciers" in layers:
        glaciers = layers["glaciers"]
    elif "complexes" in layers:
        glaciers = layers["complexes"].with_columns(divided=np.zeros(len(layers["complexes"]), int))
    else:
        glaciers = read_outlines(path)
    glaciers = _described(glaciers)
    complexes = layers.get("complexes", Outlines(as_geometries([]), glaciers.crs))
    if "complex_id" not in glaciers.columns or None in glaciers["complex_id"].tolist():
        a, b = touching_pairs(glaciers.geometry)
        number = connected_groups(len(glaciers), a, b) + 1
        glaciers = glaciers.with_columns(complex_id=number)
    divides = layers.get("divides", Outlines(as_geometries([]), glaciers.crs))
    footprint, said_by = _footprint(path, glaciers, layers, record)
    return SceneOutlines(
        path.stem,
        path,
        file,
        in_schema(glaciers, _own(GLACIERS)),
        in_schema(complexes, _own(COMPLEXES)),
        divides,
        footprint,
        said_by,
        record,
    )


def _own(schema: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(column for column in schema if column not in MERGED)


def _described(glaciers: Outlines) -> Outlines:
    """Add the columns that another program's outlines lack and that their geometry gives."""
    missing = {"area_km2", "cenlon", "cenlat", "utm_zone"} - set(glaciers.columns)
    columns: dict[str, NDArray[Any]] = {}
    if missing:
        margin_m = lengths_m(shapely.boundary(glaciers.geometry), glaciers.crs)
        columns = place_columns(glaciers, margin_m, None)
        if "src_date" in glaciers.columns:
            columns["src_date"] = glaciers["src_date"]
    done = glaciers.with_columns(**columns)
    if "glac_id" not in done.columns or missing:
        done = done.with_columns(glac_id=glacier_ids(done["cenlon"], done["cenlat"]))
    if "divided" not in done.columns:
        done = done.with_columns(divided=np.ones(len(done), int))
    ours = {column.name for column in widened(GLACIERS, done.columns)}
    kept = {name: values for name, values in done.columns.items() if name in ours}
    return Outlines(done.geometry, done.crs, kept)


def _footprint(
    path: Path, glaciers: Outlines, layers: Mapping[str, Outlines], record: Mapping[str, Any]
) -> tuple[Outlines, str]:
    """Say where a scene shows the ground, by the best that is at hand."""
    if "footprint" in layers:
        return in_schema(layers["footprint"], FOOTPRINT), "footprint"
    beside = path.with_name(f"{path.stem}_probability.tif")
    if record and beside.is_file():
        try:
            with open_prediction(beside) as prediction:
                traced = trace_footprint(prediction)
        except GlacierxError:
            pass
        else:
            if traced.crs == glaciers.crs:
                return in_schema(traced, FOOTPRINT), "probability"
    scene = record.get("scene", {})
    numbers, shape = scene.get("transform"), scene.get("shape")
    if numbers and shape and not scene.get("aoi"):
        grid = Grid(glaciers.crs, Affine(*numbers), (int(shape[0]), int(shape[1])))
        if grid.crs_name == scene.get("crs"):
            frame = Outlines(as_geometries([grid.footprint]), glaciers.crs)
            return in_schema(frame, FOOTPRINT), "frame"
    return in_schema(Outlines(as_geometries([]), glaciers.crs), FOOTPRINT), "outlines"


def _warn(text: str) -> None:
    warnings.warn(text, GlacierxWarning, stacklevel=3)
