"""The glaciers of an inventory, and which of another are the same ice."""

import warnings
from dataclasses import dataclass

import numpy as np
import shapely
import shapely.affinity
from numpy.typing import NDArray
from rasterio.crs import CRS

from glacierx.errors import GlacierxWarning, GridError
from glacierx.outlines.outlines import as_geometries, connected_groups, touching_pairs
from glacierx.outlines.reference import ID_COLUMNS, text_column
from glacierx.scene.geodesy import LONLAT, areas_km2, to_lonlat
from glacierx.scene.raster import PathLike, base_name
from glacierx.scene.vector import polygon_rows, polygons_of, read_layer

# Two glaciers are the same ice if they share more than this of the smaller one.
LINK_SHARE = 0.5
TWICE_SHARE = 0.01

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Texts = NDArray[np.object_]

MATCHED, NEW, VANISHED, MERGED, DIVIDED, REGROUPED = RELATIONS = (
    "matched", "new", "vanished", "merged", "divided", "regrouped",
)  # fmt: skip


@dataclass(frozen=True)
class Glaciers:
    """One polygon or group of polygons for each glacier, in longitude and latitude.

    Attributes:
        name: The file's name.
        geometry: Their polygons.
        areas: Their areas on the ellipsoid in km2.
        ids: What the inventory calls them; their row where it does not.
        region: Their region, None where it is not known.
        around: Longitude that theirs are counted around; None if there were none.
    """

    name: str
    geometry: NDArray[np.object_]
    areas: Floats
    ids: Texts
    region: Texts
    around: float | None = None

    def __len__(self) -> int:
        return len(self.geometry)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) of them all."""
        west, south, east, north = shapely.total_bounds(self.geometry).tolist()
        return west, south, east, north


def read_glaciers(
    path: PathLike,
    layer: str | None = None,
    *,
    region: str | None = None,
    within: shapely.Geometry | None = None,
    around: float | None = None,
) -> Glaciers:
    """Read an inventory.

    Args:
        path: Any vector file that GDAL reads.
        layer: The layer, if it has several and none is called glaciers.
        region: A column that tells the region of each glacier.
        within: Polygon in longitude and latitude that glaciers are cut to.
        around: Longitude that theirs are counted around, beyond 180 degrees if need be; their
            own mean if None.

    Raises:
        OutlineError: There is no such layer, or it holds no polygons.
    """
    source = read_layer(path, layer, prefer=("glaciers",))
    rows = polygon_rows(source, path)
    geometry = lonlat_polygons(source.geometry[rows], source.crs)
    if around is None and len(geometry):
        around = _middle(geometry)
    if around is not None:
        geometry = _turned(geometry, around)
    if within is not None:
        area = within if around is None else _turned(as_geometries([within]), around)[0]
        geometry = polygons_of(as_geometries(shapely.intersection(geometry, area)))
    some = ~shapely.is_empty(geometry)
    geometry, rows = geometry[some], rows[some]
    ids = text_column(source, ID_COLUMNS, rows)
    unnamed = np.array([name is None for name in ids], bool)
    ids[unnamed] = [str(row + 1) for row in rows[unnamed].tolist()]
    regions = text_column(source, (region.lower(),) if region else (), rows)
    found = Glaciers(base_name(path), geometry, areas_km2(geometry, LONLAT), ids, regions, around)
    _warn_of_overlaps(found)
    return found


def lonlat_polygons(shapes: NDArray[np.object_], crs: CRS) -> NDArray[np.object_]:
    """Move polygons to longitude and latitude and mend them there: edges can cross on the way."""
    return polygons_of(as_geometries(to_lonlat(polygons_of(shapes), crs)))


def _middle(geometry: NDArray[np.object_]) -> float:
    """Return the mean longitude of polygons, on the circle."""
    boxes = shapely.bounds(geometry)
    angle = np.radians((boxes[:, 0] + boxes[:, 2]) / 2)
    return float(np.degrees(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean())))


def _turned(geometry: NDArray[np.object_], around: float) -> NDArray[np.object_]:
    """Turn polygons by whole circles, so that each lies within 180 degrees of a longitude."""
    boxes = shapely.bounds(geometry)
    turns = -360.0 * np.round(((boxes[:, 0] + boxes[:, 2]) / 2 - around) / 360)
    return as_geometries(
        shapely.affinity.translate(shape, turn) if turn else shape
        for shape, turn in zip(geometry, turns, strict=True)
    )


def _warn_of_overlaps(glaciers: Glaciers) -> None:
    a, b = touching_pairs(glaciers.geometry)
    shared = areas_km2(_common(glaciers.geometry[a], glaciers.geometry[b]), LONLAT)
    twice = shared > TWICE_SHARE * np.minimum(glaciers.areas[a], glaciers.areas[b])
    if twice.any():
        warnings.warn(
            f"{int(twice.sum())} pairs of glaciers in {glaciers.name} overlap: "
            f"{shared[twice].sum():.3g} km2 of ice are counted twice.",
            GlacierxWarning,
            stacklevel=3,
        )


def _common(one: NDArray[np.object_], other: NDArray[np.object_]) -> NDArray[np.object_]:
    """Intersect glaciers and keep the polygons of what they share."""
    return polygons_of(as_geometries(shapely.intersection(one, other)))


@dataclass(frozen=True)
class Links:
    """Which glaciers of two inventories are the same ice.

    Attributes:
        first: Index in the first inventory, one for each pair that is linked.
        second: Index in the second.
        shared_km2: Area that the pair shares.
        group_first: Group of each glacier of the first inventory: what hangs together by links.
        group_second: Group of each of the second.
        relations: What each group is, from the second inventory to the first: matched, new (in
            the first only), vanished (in the second only), merged (several of the second are one
            in the first), divided (one of the second is several in the first), or regrouped.
    """

    first: Ints
    second: Ints
    shared_km2: Floats
    group_first: Ints
    group_second: Ints
    relations: Texts


def link(first: Glaciers, second: Glaciers) -> Links:
    """Find the glaciers of two inventories that are the same ice.

    Raises:
        GridError: The two lie in different places.
    """
    if (
        len(first)
        and len(second)
        and not shapely.intersects(shapely.box(*first.box), shapely.box(*second.box))
    ):
        raise GridError(
            f"{first.name} ({_place(first)}) and {second.name} ({_place(second)}) lie in different "
            "places. Give two inventories of one area."
        )
    b, a = shapely.STRtree(first.geometry).query(second.geometry, predicate="intersects")
    shared = areas_km2(_common(first.geometry[a], second.geometry[b]), LONLAT)
    same = shared > LINK_SHARE * np.minimum(first.areas[a], second.areas[b])
    a, b, shared = a[same], b[same], shared[same]
    group = connected_groups(len(first) + len(second), a, b + len(first))
    one, other = group[: len(first)], group[len(first) :]
    count = int(group.max(initial=-1)) + 1
    numbers = np.column_stack(
        [np.bincount(one, minlength=count), np.bincount(other, minlength=count)]
    )
    relations = np.array([_relation(*pair) for pair in numbers.tolist()], dtype=object)
    return Links(a, b, shared, one, other, relations)


def _relation(in_first: int, in_second: int) -> str:
    if not in_second:
        return NEW
    if not in_first:
        return VANISHED
    if in_first == in_second == 1:
        return MATCHED
    if in_first == 1:
        return MERGED
    return DIVIDED if in_second == 1 else REGROUPED


def nearest_of(first: Glaciers, geometry: NDArray[np.object_]) -> Ints:
    """Return the index of the glacier nearest to each geometry in longitude and latitude."""
    # A degree of longitude counts as much as it is long here.
    south, north = first.box[1], first.box[3]
    scale = np.array([np.cos(np.radians((south + north) / 2)), 1.0])
    flat, wanted = (
        as_geometries(shapely.transform(shapes, lambda xy: xy * scale))
        for shapes in (first.geometry, geometry)
    )
    return np.asarray(shapely.STRtree(flat).nearest(wanted), np.int64)


def _place(glaciers: Glaciers) -> str:
    west, south, east, north = glaciers.box
    return f"lon {west:.2f} to {east:.2f}, lat {south:.2f} to {north:.2f}"
