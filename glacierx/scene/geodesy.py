"""Areas, lengths and places on the ellipsoid, whatever the CRS."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS

GEOD = pyproj.Geod(ellps="WGS84")
LONLAT = CRS.from_epsg(4326)
M_PER_DEGREE = 111_000.0
LONGEST_EDGE_DEG = 0.02

Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@lru_cache(maxsize=32)
def _transformer(source_wkt: str, target_wkt: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(source_wkt, target_wkt, always_xy=True)


def transform_points(x: Any, y: Any, source: CRS, target: CRS) -> tuple[Floats, Floats]:
    """Move map coordinates (x, y) from one CRS to another; longitude comes before latitude.

    Returns:
        The coordinates in *target*; infinite where the target has no such place.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if source == target:
        return x, y
    out = _transformer(source.to_wkt(), target.to_wkt()).transform(x, y)
    return np.asarray(out[0], np.float64), np.asarray(out[1], np.float64)


def transform_geometries(geometries: Any, source: CRS, target: CRS) -> Any:
    """Move shapely geometries (one or an array) from one CRS to another, vertex by vertex."""
    if source == target:
        return geometries

    def move(xy: Floats) -> Floats:
        return np.column_stack(transform_points(xy[:, 0], xy[:, 1], source, target))

    return shapely.transform(geometries, move)


def to_lonlat(geometries: Any, crs: CRS) -> Any:
    """Move geometries to WGS 84 longitude and latitude, unbroken at the antimeridian.

    A geometry that crosses 180 degrees keeps counting beyond it (179, 180, 181), so that points
    found inside it are right; wrap them with `wrap_longitude`.
    """
    moved = transform_geometries(geometries, crs, LONLAT)
    bounds = np.atleast_2d(shapely.bounds(moved))
    if not np.any(bounds[:, 2] - bounds[:, 0] > 180):
        return moved

    def unbreak(xy: Floats) -> Floats:
        return np.column_stack([np.where(xy[:, 0] < 0, xy[:, 0] + 360, xy[:, 0]), xy[:, 1]])

    many = np.atleast_1d(np.asarray(moved, dtype=object)).copy()
    broken = bounds[:, 2] - bounds[:, 0] > 180
    many[broken] = shapely.transform(many[broken], unbreak)
    return many if isinstance(moved, np.ndarray) else many[0]


def wrap_longitude(lon: Any) -> Any:
    """Bring longitudes into [-180, 180)."""
    return (np.asarray(lon) + 180) % 360 - 180


def areas_km2(polygons: Geometries, crs: CRS) -> Floats:
    """Measure polygons, or all parts of multiple polygons, on the WGS 84 ellipsoid, in km2.

    Holes are taken off.

    The ellipsoidal area is that of RGI 7.0; on the plane of a UTM zone it would be up to 0.1 %
    different, on Web Mercator more than double at 47 degrees north.
    """
    parts, polygon_of = shapely.get_parts(to_lonlat(polygons, crs), return_index=True)
    rings, part_of = shapely.get_rings(parts, return_index=True)
    lonlat, ring_of = shapely.get_coordinates(rings, return_index=True)
    areas = ring_areas_m2(lonlat, ring_of, len(rings))
    hole = np.r_[False, part_of[1:] == part_of[:-1]] if len(rings) else np.zeros(0, bool)
    signed = np.where(hole, -areas, areas)
    return np.bincount(polygon_of[part_of], signed, minlength=len(polygons)) / 1e6


def ring_areas_m2(lonlat: Floats, ring_of: Ints, count: int) -> Floats:
    """Measure the areas inside closed rings of geodesics, without sign, in square metres.

    On the equal-area cylinder (lon, q), where q is the area between the equator and a latitude for
    each radian of longitude, a ring has the area of its polygon and of what the geodesics bulge
    beyond its straight edges. In arc length s a geodesic of azimuth a has lon' = sin a / r,
    q' = r cos a and q'' = -sin lat, with r the radius of the parallel; so each edge bulges by
    dlon sin lat (r^2 dlon^2 + 3 dq^2 / r^2) / 12 up to terms of fifth order in s. Rings with an
    edge above 0.02 degrees or around a pole are measured one by one after Karney 2013
    (doi:10.1007/s00190-012-0578-z); both agree to 1e-9 from a
    hundredth of a square kilometre up.

    Args:
        lonlat: Longitude and latitude in degrees (vertices, 2); each ring ends where it begins.
        ring_of: The ring that each vertex belongs to, counted from 0, in order.
        count: Number of rings.
    """
    first = np.searchsorted(ring_of, np.arange(count + 1))
    inner = ring_of[1:] == ring_of[:-1]
    edge_of = ring_of[:-1][inner]
    step = np.diff(lonlat, axis=0)[inner]
    step[:, 0] -= 360 * np.rint(step[:, 0] / 360)
    across, up = np.radians(step).T
    middle = np.radians(lonlat[:-1, 1][inner]) + up / 2
    # An edge counted from its ring's first vertex, not from the equator, loses no digits.
    height = _equal_area_m2(np.radians(lonlat[:, 1]))
    height -= np.repeat(height[first[:-1]], np.diff(first))
    rise = np.diff(height)[inner]
    sine = np.sin(middle)
    radius = GEOD.a * np.cos(middle) / np.sqrt(1 - GEOD.es * sine**2)
    bulge = across * sine / 12 * ((radius * across) ** 2 + 3 * (rise / radius) ** 2)
    below = across * (height[:-1][inner] + rise / 2) + bulge
    areas = np.abs(np.bincount(edge_of, below, minlength=count))
    long = ~((np.abs(step) <= LONGEST_EDGE_DEG).all(axis=1))
    turned = np.bincount(edge_of, across, minlength=count)
    singly = (np.bincount(edge_of, long, minlength=count) > 0) | (np.abs(turned) > 1)
    for ring in np.flatnonzero(singly):
        lon, lat = lonlat[first[ring] : first[ring + 1]].T
        areas[ring] = abs(float(GEOD.polygon_area_perimeter(lon, lat)[0]))
    return areas


def _equal_area_m2(lat: Floats) -> Floats:
    """Return the area from the equator to latitudes in radians, for each radian of longitude."""
    sine, e = np.sin(lat), math.sqrt(GEOD.es)
    return np.asarray(GEOD.b**2 / 2 * (sine / (1 - GEOD.es * sine**2) + np.arctanh(e * sine) / e))


def lengths_m(lines: Geometries, crs: CRS) -> Floats:
    """Measure lines, or all parts of multiple lines, on the WGS 84 ellipsoid, in metres."""
    parts, line_of = shapely.get_parts(lines, return_index=True)
    xy, part_of = shapely.get_coordinates(parts, return_index=True)
    total = np.zeros(len(lines))
    if len(xy) < 2:
        return total
    lon, lat = transform_points(xy[:, 0], xy[:, 1], crs, LONLAT)
    same = part_of[1:] == part_of[:-1]
    steps = GEOD.inv(lon[:-1][same], lat[:-1][same], lon[1:][same], lat[1:][same])[2]
    np.add.at(total, line_of[part_of[1:][same]], np.asarray(steps))
    return total


def metric_crs(crs: CRS, bounds: Sequence[float]) -> CRS:
    """Choose a CRS in which distances are metres around a place.

    Args:
        crs: CRS of *bounds*. It is kept where its units are metres and its scale there is
            within 1 % of true.
        bounds: (left, bottom, right, top).

    Returns:
        *crs*, or a transverse Mercator projection centred on the place.
    """
    x, y = (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2
    lon, lat = (float(v) for v in transform_points(x, y, crs, LONLAT))
    if crs.is_projected:
        step = 100.0
        xs, ys = np.array([x, x + step, x]), np.array([y, y, y + step])
        lons, lats = transform_points(xs, ys, crs, LONLAT)
        true = GEOD.inv([lons[0]] * 2, [lats[0]] * 2, lons[1:], lats[1:])[2]
        if all(abs(length / step - 1) < 0.01 for length in true):
            return crs
    if not (math.isfinite(lon) and math.isfinite(lat)):
        return crs
    return CRS.from_proj4(
        f"+proj=tmerc +lat_0={lat:.6f} +lon_0={lon:.6f} +k=1 +x_0=0 +y_0=0 +ellps=WGS84 +units=m"
    )


def is_near(
    geometries: Geometries, crs: CRS, place: Any, place_crs: CRS, margin_m: float
) -> NDArray[np.bool_]:
    """Tell which geometries may lie within a distance of a place, by their bounding boxes.

    Far ones need not, and often cannot, be moved into the CRS of the place.
    """
    box = _box_around(place, place_crs, margin_m, crs)
    if box is None:
        return np.ones(len(geometries), bool)
    return np.asarray(shapely.intersects(shapely.box(*shapely.bounds(geometries).T), box))


def part_near(
    polygons: Geometries, crs: CRS, place: Any, place_crs: CRS, margin_m: float
) -> Geometries:
    """Cut polygons down to the surroundings of a place, with vertices along long edges.

    An edge that is straight in one CRS bends in another, and a corner far away may have no place
    in it at all: what is left can be moved.

    Args:
        polygons: Valid polygons.
        crs: Their CRS.
        place: A polygon.
        place_crs: Its CRS.
        margin_m: They are kept at least this far from the place.
    """
    box = _box_around(place, place_crs, margin_m, crs)
    if box is not None:
        polygons = np.asarray(shapely.intersection(polygons, box), dtype=object)
    # An edge of a fiftieth of a scene 100 km wide bends by a tenth of a metre.
    metric = metric_crs(place_crs, shapely.bounds(place).tolist())
    side_m = math.sqrt(shapely.area(transform_geometries(place, place_crs, metric)))
    step = max(1.0, side_m / 50) / (M_PER_DEGREE if crs.is_geographic else 1)
    return np.asarray(shapely.segmentize(polygons, step), dtype=object)


def _box_around(place: Any, place_crs: CRS, margin_m: float, crs: CRS) -> Any:
    """Return the box around a place in a CRS, or None where it goes around a pole or the world."""
    metric = metric_crs(place_crs, shapely.bounds(place).tolist())
    region = shapely.buffer(transform_geometries(place, place_crs, metric), margin_m)
    region = shapely.segmentize(region, max(1.0, math.sqrt(shapely.area(region)) / 50))
    box = shapely.bounds(transform_geometries(region, metric, crs))
    if not np.all(np.isfinite(box)) or (crs.is_geographic and box[2] - box[0] > 180):
        return None
    return shapely.box(*box)
