"""Glacier complexes + DEM -> glaciers, ice divides."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from scipy import ndimage

from glacierx.errors import GridError
from glacierx.options import DivideOptions
from glacierx.outlines.cut import Cutter, border_lines
from glacierx.outlines.flowsheds import EIGHT, divide_ice, merge_slivers
from glacierx.outlines.outlines import Outlines, as_geometries, connected_groups
from glacierx.outlines.reference import Inventory
from glacierx.scene.geodesy import metric_crs, transform_geometries
from glacierx.scene.grid import Grid
from glacierx.scene.terrain import Dem, metric_grid

COARSEST_M = 100.0
MOST_CELLS = 4_000_000
APART_M = 1000.0
REFERENCE = ("ref_id", "ref_name", "ref_date")
MARGIN_M = 300.0

Progress = Callable[[int, int, str], None]
Labels = NDArray[np.int64]


class Division(NamedTuple):
    """What a division gives.

    Attributes:
        glaciers: Polygons with the columns of the complexes, parent (the index of the outline that
            each is part of), divided (1 where a DEM or an inventory says how the ice is divided, 0
            where none does), and for an inventory ref_id, ref_name, ref_date.
        divides: Lines with the indices first and second of the glaciers on their sides.
    """

    glaciers: Outlines
    divides: Outlines


def check_dem(dem: Dem, options: DivideOptions) -> None:
    """Refuse a DEM that is too coarse to show divides; warn of one that is coarse.

    Raises:
        GridError: Its cells are wider than 100 m, and `force_dem` is not set.
    """
    if dem.gsd_m > COARSEST_M * 1.01 and not options.force_dem:
        raise GridError(
            f"The cells of {dem.name} are {dem.gsd_m:.0f} m wide: too coarse for ice divides, "
            f"which need {COARSEST_M:.0f} m or less. Give a finer DEM, or --force-dem."
        )
    # One arc second, the spacing of most DEMs, is up to 31 m.
    if dem.gsd_m > options.grid_m * 1.05:
        dem.warn_once(
            f"The cells of {dem.name} are {dem.gsd_m:.0f} m wide and ice is routed on "
            f"{options.grid_m:g} m: heights between are interpolated, so divides are less sure."
        )


def split_glaciers(
    complexes: Outlines,
    dem: Dem | None,
    options: DivideOptions = DivideOptions(),
    *,
    inventory: Inventory | None = None,
    progress: Progress | None = None,
) -> Division:
    """Divide glacier complexes into glaciers.

    With an inventory its divides are copied; else with a DEM ice is divided by where it flows
    (Kienholz et al. 2013, see `divide_ice`); with neither each outline is one glacier.

    Args:
        complexes: Polygons with the column complex_id.
        dem: Heights.
        options: The method's parameters; see `DIVIDE_PRESETS`.
        inventory: Glaciers whose divides are to be copied.
        progress: Called as work goes on.

    Returns:
        Glaciers that fill each outline without gap or overlap, and the divides between them.

    Raises:
        GridError: The DEM is too coarse.
    """
    if dem is not None and inventory is None:
        check_dem(dem, options)
    lasting = inventory.areas_within(complexes) / 2 if inventory is not None else np.zeros(0)
    cuts: list[_Cut] = []
    ids = np.unique(complexes["complex_id"]).tolist()
    for done, complex_id in enumerate(ids, 1):
        whole = np.flatnonzero(complexes["complex_id"] == complex_id)
        for rows in _parts_apart(complexes, whole, options.grid_m):
            group = complexes.select(rows)
            plan = _plan(group, dem, options, inventory, lasting)
            for row, polygon in zip(rows.tolist(), group.geometry, strict=True):
                pieces, label = plan.cut(polygon)
                cuts.append(_Cut(row, pieces, plan.divided[label], plan.reference[label]))
        if progress:
            progress(done, len(ids), "complexes divided")
    return _assemble(complexes, cuts, inventory)


def _parts_apart(complexes: Outlines, rows: Labels, spacing_m: float) -> list[Labels]:
    """Part the rows of one complex where they lie too far apart for one grid to hold them."""
    if len(rows) == 1:
        return [rows]
    shapes = complexes.geometry[rows]
    crs = metric_crs(complexes.crs, shapely.total_bounds(shapes).tolist())
    moved = transform_geometries(shapes, complexes.crs, crs)
    left, bottom, right, top = shapely.total_bounds(moved)
    if (right - left) * (top - bottom) <= MOST_CELLS * spacing_m**2:
        return [rows]
    a, b = shapely.STRtree(moved).query(moved, predicate="dwithin", distance=APART_M)
    part = connected_groups(len(rows), a, b)
    return [rows[part == number] for number in range(part.max() + 1)]


class _Cut(NamedTuple):
    """One outline cut into pieces, and what is known of each."""

    row: int
    pieces: NDArray[np.object_]
    divided: Labels
    reference: Labels


@dataclass(frozen=True)
class _Plan:
    """How the outlines of one complex are cut.

    Attributes:
        cutter: Cuts along the divides; None where there is nothing to go by.
        divided: For each label whether a DEM or an inventory gave it.
        reference: For each label the glacier of the inventory, or -1.
    """

    cutter: Cutter | None
    divided: Labels
    reference: Labels

    def cut(self, polygon: Any) -> tuple[NDArray[np.object_], Labels]:
        if self.cutter is None:
            return as_geometries([polygon]), np.zeros(1, np.int64)
        return self.cutter.cut(polygon)


def _plan(
    group: Outlines,
    dem: Dem | None,
    options: DivideOptions,
    inventory: Inventory | None,
    lasting: NDArray[np.float64],
) -> _Plan:
    if dem is None and inventory is None:
        return _Plan(None, np.zeros(1, np.int64), np.full(1, -1))
    crs = metric_crs(group.crs, shapely.total_bounds(group.geometry).tolist())
    moved = transform_geometries(group.geometry, group.crs, crs)
    area_m2 = float(shapely.area(moved).sum())
    if inventory is not None:
        grid = _grid_around(moved, crs, float(np.clip(area_m2**0.5 / 1000, 5, options.grid_m)))
        ice = _burn(moved, grid)
        label, reference = inventory.label(ice, grid, group.crs, options)
        divided = (reference >= 0).astype(np.int64)
    else:
        grid = _grid_around(moved, crs, options.grid_m)
        label, divided = _label_by_flow(_burn(moved, grid), dem, grid, area_m2, options)
        reference = np.full(len(divided), -1)
    # Outlines may be in degrees, or in the stretched metres of a map.
    per_m2 = float(shapely.area(group.geometry).sum()) / area_m2
    # A small glacier of an inventory stays one, but not a corner of a large one; and what flow
    # makes so small is no glacier.
    known = reference >= 0
    least = np.full(len(reference), np.inf)
    least[known] = lasting[reference[known]]
    cutter = Cutter(label, grid, group.crs, sliver=options.sliver_km2 * 1e6 * per_m2, lasting=least)
    return _Plan(cutter, divided, reference)


def _grid_around(polygons: NDArray[np.object_], crs: CRS, spacing_m: float) -> Grid:
    left, bottom, right, top = shapely.total_bounds(polygons).tolist()
    room = MARGIN_M + 4 * spacing_m
    return metric_grid(crs, (left - room, bottom - room, right + room, top + room), spacing_m)


def _burn(polygons: NDArray[np.object_], grid: Grid) -> NDArray[np.bool_]:
    for all_touched in (False, True):
        ice = rasterio.features.rasterize(
            list(polygons),
            out_shape=grid.shape,
            transform=grid.transform,
            dtype="uint8",
            all_touched=all_touched,
        )
        if ice.any():
            break
    return np.asarray(ice, bool)


def _label_by_flow(
    ice: NDArray[np.bool_], dem: Dem | None, grid: Grid, area_m2: float, options: DivideOptions
) -> tuple[Labels, Labels]:
    """Label ice by where it flows; ice without heights gets labels of its own.

    Returns:
        Labels from 1, and for each whether its heights are known.
    """
    if dem is None:
        return ice.astype(np.int64), np.zeros(2, np.int64)
    heights = dem.read(grid)
    # Any two pieces of so small a complex would be joined again.
    if area_m2 < 2 * options.sliver_km2 * 1e6:
        label = np.where(ice & heights.valid, 1, 0)
    else:
        label = divide_ice(ice, heights.values[0], heights.valid, grid.gsd_m, options)
    count = int(label.max())
    unknown, more = ndimage.label(ice & (label == 0), EIGHT)
    label = np.where(unknown > 0, unknown + count, label)
    lone = np.arange(count + more + 1) > count
    label = merge_slivers(label, grid.gsd_m, options.sliver_km2 * 1e6, only=lone)
    size = np.bincount(label.ravel())
    known = np.bincount(label.ravel(), heights.valid.ravel())
    divided = (known >= 0.5 * size).astype(np.int64)
    divided[0] = 0
    return label, divided


def _assemble(complexes: Outlines, cuts: list[_Cut], inventory: Inventory | None) -> Division:
    row = _joined([np.full(len(cut.pieces), cut.row) for cut in cuts])
    kept = {name: values for name, values in complexes.columns.items() if name not in REFERENCE}
    parents = Outlines(complexes.geometry, complexes.crs, kept).select(row)
    geometry = as_geometries(piece for cut in cuts for piece in cut.pieces)
    columns: dict[str, Any] = {"divided": _joined([cut.divided for cut in cuts]), "parent": row}
    if inventory is not None:
        reference = _joined([cut.reference for cut in cuts])
        for name, values in inventory.ids.items():
            columns[name] = values[reference]
            columns[name][reference < 0] = None
    glaciers = parents.with_geometry(shapely.orient_polygons(geometry)).with_columns(**columns)
    lines: list[Any] = []
    pairs: list[Labels] = []
    # Outlines that were divided before have borders with each other too.
    number = glaciers["complex_id"]
    changes = np.flatnonzero(number[1:] != number[:-1]) + 1
    starts: list[int] = [0, *changes.tolist(), len(number)]
    for begin, end in itertools.pairwise(starts):
        if end - begin > 1:
            found, beside = border_lines(geometry[begin:end])
            lines.extend(found)
            pairs.append(beside + begin)
    beside = np.concatenate([np.zeros((0, 2), np.int64), *pairs])
    divides = Outlines(
        as_geometries(lines), complexes.crs, {"first": beside[:, 0], "second": beside[:, 1]}
    )
    return Division(glaciers, divides)


def _joined(parts: list[Labels]) -> Labels:
    return np.concatenate([np.zeros(0, np.int64), *parts])
