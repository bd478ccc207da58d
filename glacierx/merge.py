"""The outlines of many scenes as one inventory."""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError

from glacierx.belief import nothing_cuts, order_of_belief
from glacierx.errors import GlacierxWarning, GridError, OptionError
from glacierx.extract import Extraction, write_outlines
from glacierx.formats.delivery import Delivery
from glacierx.formats.write import check_target
from glacierx.inventories import SceneOutlines, read_inventories
from glacierx.options import MergeOptions
from glacierx.outlines.attributes import COMPLEXES, DIVIDES, FOOTPRINT, GLACIERS
from glacierx.outlines.combine import Origins, as_outlines, in_place_order, stable_ids
from glacierx.outlines.elevation import elevation_columns
from glacierx.outlines.groups import Complexes, Shared
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.outlines.seams import Joined, Views, join_views, polygons_in
from glacierx.scene.geodesy import LONLAT, metric_crs, to_lonlat, transform_geometries
from glacierx.scene.grid import crs_name
from glacierx.scene.provenance import versions
from glacierx.scene.raster import PathLike
from glacierx.scene.terrain import Dem

Progress = Callable[[int, int, str], None]

LONGEST_EDGE_M = 100.0
MIN_AREA_KM2 = 0.01


def merge(
    given: Iterable[PathLike],
    options: MergeOptions = MergeOptions(),
    *,
    crs: str | None = None,
    dem: Dem | None = None,
    always_hash: bool = False,
    progress: Progress | None = None,
) -> Extraction:
    """Make one inventory of the outlines of many scenes, without overlaps or doubles.

    Args:
        given: Files that glacierx wrote, folders of such, patterns; or any polygons.
        options: Which scene is believed where several see the ground.
        crs: CRS of the result, as EPSG:32632; without it that of most of the ice.
        dem: Heights, to measure anew glaciers whose geometry has changed, and those that have no
            elevations.
        always_hash: Hash input files above 2 GB too.
        progress: Called as work goes on.

    Returns:
        Glaciers, complexes, divides and footprints, with a run record that names every scene.

    Raises:
        OutlineError: A file cannot be read, or is a merged inventory itself.
        OptionError: The scenes do not say what the rule goes by, or the CRS is unknown.
        GridError: Scenes lie too far apart for one CRS.

    Example:
        >>> region = merge(["results/"])
        >>> write_outlines(region, "region.gpkg")
    """
    return _merged(
        read_inventories(given, always_hash=always_hash), options, crs, dem, always_hash, progress
    )


def merge_to(  # noqa: PLR0913 - one keyword for each flag of the command line
    output: PathLike,
    given: Iterable[PathLike],
    options: MergeOptions = MergeOptions(),
    *,
    crs: str | None = None,
    dem: Dem | None = None,
    delivery: Delivery | None = None,
    overwrite: bool = False,
    always_hash: bool = False,
    progress: Progress | None = None,
) -> Extraction:
    """Merge into a file or, with a *delivery*, a folder, whole or not at all; see `merge`.

    Raises:
        OutputError: The file exists, is an input or cannot be written.
    """
    check_target(output, delivery, overwrite=overwrite)
    scenes = read_inventories(given, always_hash=always_hash)
    inputs: list[str | Path | None] = [scene.path for scene in scenes]
    inputs += dem.parts if dem else []
    check_target(output, delivery, overwrite=overwrite, inputs=inputs)
    result = _merged(scenes, options, crs, dem, always_hash, progress)
    write_outlines(result, output, overwrite=overwrite, delivery=delivery, dem=dem)
    return result


def _merged(
    scenes: Sequence[SceneOutlines],
    options: MergeOptions,
    crs: str | None,
    dem: Dem | None,
    always_hash: bool,
    progress: Progress | None,
) -> Extraction:
    final, work = _choose_crs(scenes, crs)
    _warn_of_differences(scenes)
    moved = [_moved(scene.glaciers, work) for scene in scenes]
    footprints = [_footprint(scene, work) for scene in scenes]
    every = _together(moved, work)
    scene_of = np.repeat(np.arange(len(scenes)), [len(one) for one in moved])
    cluster, rank = order_of_belief(scenes, every, scene_of, options.prefer)
    joined = join_views(
        Views(
            every.geometry,
            scene_of,
            nothing_cuts(every),
            every["divided"] != 0,
            footprints,
            cluster,
            rank,
        ),
        options.missing_share,
        1e6 * min(map(_min_area_km2, scenes)),
    )
    shared = Shared(_divides(scenes, work), joined, every, scene_of)
    origins = Origins(
        every,
        scene_of,
        [scene.name for scene in scenes],
        shapely.boundary(shapely.union_all([one for one in footprints if one is not None])),
        [float(scene.record.get("scene", {}).get("gsd_m") or np.nan) for scene in scenes],
        options.prefer,
    )
    rows = origins.combined(joined, shared.metres)
    order = in_place_order(rows)
    joined, rows = [joined[at] for at in order], [rows[at] for at in order]
    shared.reorder(order)
    for row, name in zip(rows, stable_ids(rows, [one.changed for one in joined]), strict=True):
        row["glac_id"] = name
    _measure_again(rows, joined, work, dem, progress)
    own = [_moved(scene.complexes, work) for scene in scenes]
    complexes = Complexes(joined, rows, own, every, scene_of, origins)
    shapes = [one.geometry for one in joined]
    glaciers = as_outlines(shapes, rows, work, GLACIERS)
    lines = as_outlines(*shared.lines(rows), work, DIVIDES)
    return Extraction(
        _placed(glaciers, final),
        _placed(as_outlines(complexes.shapes, complexes.rows, work, COMPLEXES), final),
        _placed(lines, final),
        _record(scenes, options, final, dem, always_hash),
        _placed(_footprints(scenes, work), final),
    )


def _choose_crs(scenes: Sequence[SceneOutlines], asked: str | None) -> tuple[CRS, CRS]:
    """Return the CRS of the result, and one in metres to work in."""
    area: dict[str, float] = defaultdict(float)
    by_name: dict[str, CRS] = {}
    for scene in scenes:
        name = crs_name(scene.glaciers.crs)
        by_name.setdefault(name, scene.glaciers.crs)
        area[name] += float(np.nansum(scene.glaciers["area_km2"].astype(np.float64)))
    most = by_name[min(area, key=lambda name: (-round(area[name], 6), name))]
    if asked is not None:
        try:
            final = CRS.from_user_input(asked)
        except CRSError as error:
            raise OptionError(f"--crs {asked!r} is no CRS. Give one as EPSG:32632.") from error
    else:
        final = most
        if len(area) > 1:
            _warn(
                f"The scenes are in {', '.join(sorted(area))}; the result is in {crs_name(final)}, "
                "which has most of the ice. Choose another with --crs."
            )
    boxes = [_box(scene) for scene in scenes]
    box = shapely.total_bounds([one for one in boxes if one is not None])
    for candidate in (final, most):
        # The scale of a CRS over a whole region does not matter, but its unit does.
        if candidate.is_projected and candidate.linear_units_factor[1] == 1:
            return final, candidate
    if not np.isfinite(box).all():
        return final, final
    first = next(at for at, one in enumerate(boxes) if one is not None)
    bounds = shapely.bounds(boxes[first]).tolist()
    return final, metric_crs(scenes[first].glaciers.crs, bounds)


def _box(scene: SceneOutlines) -> Any:
    shapes = np.concatenate([scene.glaciers.geometry, scene.footprint.geometry])
    return shapely.box(*shapely.total_bounds(shapes)) if len(shapes) else None


def _moved(outlines: Outlines, crs: CRS) -> Outlines:
    """Bring polygons or lines into a CRS, with vertices along long edges, which bend."""
    if outlines.crs == crs:
        return outlines
    step = LONGEST_EDGE_M / (111_000.0 if outlines.crs.is_geographic else 1.0)
    shapes = outlines.geometry
    if outlines.crs.is_geographic:
        shapes = to_lonlat(shapes, outlines.crs)
    moved = transform_geometries(shapely.segmentize(shapes, step), outlines.crs, crs)
    xy = shapely.get_coordinates(moved)
    if not np.isfinite(xy).all() or not _comes_back(outlines, moved, crs):
        raise GridError(
            f"Outlines in {crs_name(outlines.crs)} lie too far away for {crs_name(crs)}. "
            "Merge scenes that lie closer together, or give another --crs."
        )
    return Outlines(_valid(moved), crs, outlines.columns)


def _comes_back(outlines: Outlines, moved: Any, crs: CRS) -> bool:
    """Tell whether a projection can be undone, so that places far from its middle keep apart."""
    if not len(outlines):
        return True
    corner = shapely.points(shapely.get_coordinates(moved)[:1])
    back = to_lonlat(corner, crs)
    there = to_lonlat(shapely.points(shapely.get_coordinates(outlines.geometry)[:1]), outlines.crs)
    away = np.abs(shapely.get_coordinates(back) - shapely.get_coordinates(there))
    away[:, 0] = np.minimum(away[:, 0], np.abs(360 - away[:, 0]))
    return bool((away < 1e-5).all())


def _valid(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Mend what rounding has made invalid, each polygon staying one."""
    bad = np.flatnonzero(~shapely.is_valid(shapes))
    if not len(bad):
        return shapes
    shapes = shapes.copy()
    for at in bad:
        parts = polygons_in(shapely.make_valid(shapes[at]))
        shapes[at] = max(parts, key=lambda part: float(part.area))
    return shapes


def _footprint(scene: SceneOutlines, crs: CRS) -> Any:
    if scene.footprint_from == "outlines":
        return None
    shapes = _moved(scene.footprint, crs).geometry
    together = shapely.multipolygons(list(shapes))
    return together if together.is_valid else shapely.union_all(shapes)


def _together(moved: Sequence[Outlines], crs: CRS) -> Outlines:
    names = list(dict.fromkeys(name for one in moved for name in one.columns))
    columns = {}
    for name in names:
        values: list[Any] = []
        for one in moved:
            values += one[name].tolist() if name in one.columns else [None] * len(one)
        columns[name] = np.empty(len(values), dtype=object)
        columns[name][:] = values
    return Outlines(as_geometries(shape for one in moved for shape in one.geometry), crs, columns)


def _min_area_km2(scene: SceneOutlines) -> float:
    said = scene.record.get("options", {}).get("outline", {}).get("min_area_km2")
    return MIN_AREA_KM2 if said is None else float(said)


def _divides(
    scenes: Sequence[SceneOutlines], crs: CRS
) -> list[tuple[NDArray[np.object_], list[dict[str, Any]]]]:
    """Return the divides of each scene, in one CRS, with their columns."""
    return [(_moved(scene.divides, crs).geometry, scene.divides.rows()) for scene in scenes]


def _measure_again(
    rows: Sequence[dict[str, Any]],
    joined: Sequence[Joined],
    crs: CRS,
    dem: Dem | None,
    progress: Progress | None,
) -> None:
    if dem is None:
        return
    chosen = [
        at
        for at, (row, one) in enumerate(zip(rows, joined, strict=True))
        if one.changed or row.get("zmean_m") is None
    ]
    some = Outlines(as_geometries(joined[at].geometry for at in chosen), crs)
    columns = elevation_columns(some, dem, progress)
    for at, row in zip(chosen, Outlines(some.geometry, crs, columns).rows(), strict=True):
        rows[at].update(row)


def _footprints(scenes: Sequence[SceneOutlines], crs: CRS) -> Outlines:
    shapes: list[Any] = []
    rows: list[dict[str, Any]] = []
    for scene in scenes:
        moved = _moved(scene.footprint, crs)
        shapes += list(moved.geometry)
        rows += [
            {
                **row,
                "source": scene.name,
                "src_date": scene.date,
                "invalid_share": scene.invalid_share,
            }
            for row in moved.rows()
        ]
    return as_outlines(shapes, rows, crs, FOOTPRINT)


def _placed(outlines: Outlines, crs: CRS) -> Outlines:
    """Bring a layer into the CRS of the result, unbroken at the antimeridian."""
    if outlines.crs == crs:
        return outlines
    if crs.is_geographic:
        lonlat = to_lonlat(outlines.geometry, outlines.crs)
        return Outlines(transform_geometries(lonlat, LONLAT, crs), crs, outlines.columns)
    return Outlines(
        transform_geometries(outlines.geometry, outlines.crs, crs), crs, outlines.columns
    )


def _record(
    scenes: Sequence[SceneOutlines],
    options: MergeOptions,
    crs: CRS,
    dem: Dem | None,
    always_hash: bool,
) -> Mapping[str, Any]:
    return {
        "merge": [_essentials(scene) for scene in scenes],
        "inputs": [{**scene.file} for scene in scenes],
        "options": {"merge": options.as_record()},
        "crs": crs_name(crs),
        "dem": None if dem is None else dem.describe(always_hash=always_hash),
        "versions": versions(),
    }


def _essentials(scene: SceneOutlines) -> dict[str, Any]:
    """Return what a scene's own record says that matters for the region."""
    record = scene.record
    of_scene = record.get("scene", {})
    model = record.get("model") or {}
    kept = ("name", "sensor", "src_date", "gsd_m", "crs", "shape", "transform")
    return {
        "source": scene.name,
        "footprint": scene.footprint_from,
        "glaciers": len(scene.glaciers),
        "scene": {name: of_scene.get(name) for name in kept},
        "model": {name: model.get(name) for name in ("name", "sha256") if name in model},
        "options": {name: record.get("options", {}).get(name) for name in ("outline", "divide")},
        "glacierx": record.get("versions", {}).get("glacierx"),
    }


def _warn_of_differences(scenes: Sequence[SceneOutlines]) -> None:
    """Tell where scenes were not treated alike, as differences of method look like change."""
    sayings: dict[str, Callable[[Mapping[str, Any]], Any]] = {
        "models": lambda record: (record.get("model") or {}).get("name"),
        "thresholds": lambda record: _outline(record).get("threshold"),
        "minimum areas": lambda record: _outline(record).get("min_area_km2"),
    }
    for what, value in sayings.items():
        found: dict[str, list[str]] = defaultdict(list)
        for scene in scenes:
            if scene.record:
                found[str(value(scene.record))].append(scene.name)
        if len(found) > 1:
            told = "; ".join(f"{key}: {_few(names)}" for key, names in sorted(found.items()))
            _warn(f"The scenes have different {what} ({told}), which may look like change.")


def _outline(record: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = record.get("options", {}).get("outline") or {}
    return found


def _few(names: Sequence[str]) -> str:
    return ", ".join([*names[:3], f"{len(names) - 3} more"] if len(names) > 3 else names)


def _warn(text: str) -> None:
    warnings.warn(text, GlacierxWarning, stacklevel=3)
