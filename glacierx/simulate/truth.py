"""The outlines that labels stand for."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from glacierx.outlines.attributes import add_attributes, add_complex_attributes
from glacierx.outlines.cut import border_lines
from glacierx.outlines.divides import Division
from glacierx.outlines.outlines import Outlines, as_geometries, connected_groups, touching_pairs
from glacierx.scene.grid import Grid
from glacierx.scene.labelraster import LabelRaster
from glacierx.scene.terrain import Dem

Geometries = NDArray[np.object_]
Ints = NDArray[np.int64]


def true_outlines(
    glacier: NDArray[np.int64],
    grid: Grid,
    dem: Dem | None = None,
    ids: Mapping[str, NDArray[np.object_]] | None = None,
) -> tuple[Outlines, Division]:
    """Turn labels into the outlines that they stand for, along pixel edges.

    Args:
        glacier: Label of each glacier, 0 off the ice (rows, columns).
        grid: Its grid.
        dem: Heights for the attributes.
        ids: What each label, from 1, is called elsewhere: columns by name.

    Returns:
        Glacier complexes, and glaciers with their divides.
    """
    with LabelRaster(grid) as labels:
        labels.write(glacier)
        labels.finish()
        return outlines_of(labels, grid, dem, ids)


def outlines_of(
    labels: LabelRaster,
    grid: Grid,
    dem: Dem | None = None,
    ids: Mapping[str, NDArray[np.object_]] | None = None,
) -> tuple[Outlines, Division]:
    """Do the same with labels that are written."""
    complexes = _oriented(list(labels.unions()))
    found = list(labels.polygons())
    glaciers = _oriented([polygon for polygon, _ in found])
    number = np.array([label for _, label in found], np.int64)
    del found
    complex_id = _groups(complexes)
    lines, pairs = border_lines(glaciers)
    outlines = Outlines(
        glaciers,
        grid.crs,
        {
            "complex_id": complex_id[_owners(glaciers, complexes)],
            "divided": np.ones(len(glaciers), np.int64),
            "parent": np.arange(len(glaciers)),
            **{name: values[number - 1] for name, values in (ids or {}).items()},
        },
    )
    divides = Outlines(lines, grid.crs, {"first": pairs[:, 0], "second": pairs[:, 1]})
    return (
        add_complex_attributes(
            Outlines(complexes, grid.crs, {"complex_id": complex_id}), gsd_m=grid.gsd_m
        ),
        add_attributes(Division(outlines, divides), dem=dem, gsd_m=grid.gsd_m),
    )


def _oriented(polygons: list[Any]) -> Geometries:
    found = as_geometries(polygons)
    return np.asarray(shapely.orient_polygons(found), object) if len(found) else found


def _groups(complexes: Geometries) -> Ints:
    """Number complexes from 1, from top to bottom; those that touch at a corner are one."""
    if not len(complexes):
        return np.zeros(0, np.int64)
    group = connected_groups(len(complexes), *touching_pairs(complexes))
    xy, of = shapely.get_coordinates(complexes, return_index=True)
    # The first pixel of a group: the left one of its top row.
    order = np.lexsort((xy[:, 0], -xy[:, 1]))
    _, first = np.unique(group[of[order]], return_index=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(1, len(first) + 1)
    return np.asarray(rank[group])


def _owners(glaciers: Geometries, complexes: Geometries) -> Ints:
    """Find the complex that each glacier is part of."""
    if not len(glaciers):
        return np.zeros(0, np.int64)
    inside = shapely.point_on_surface(glaciers)
    at, owner = shapely.STRtree(complexes).query(inside, predicate="within")
    out = np.zeros(len(glaciers), np.int64)
    out[at] = owner
    return out
