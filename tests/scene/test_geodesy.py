import math

import numpy as np
import pyproj
import pytest
import shapely
from rasterio.crs import CRS

from glacierx.outlines.outlines import as_geometries
from glacierx.scene.geodesy import (
    GEOD,
    areas_km2,
    is_near,
    lengths_m,
    metric_crs,
    ring_areas_m2,
    to_lonlat,
    transform_geometries,
    wrap_longitude,
)

LONLAT = CRS.from_epsg(4326)


def test_area_of_a_band_of_latitude_is_that_of_the_ellipsoid():
    # Between two parallels the ellipsoid has a closed form; pyproj's authalic sphere gives it too.
    box = shapely.segmentize(shapely.box(10, 46, 11, 47), 0.001)
    projected = transform_geometries(box, LONLAT, CRS.from_epsg(6933))  # equal area
    assert areas_km2(as_geometries([box]), LONLAT)[0] == pytest.approx(
        projected.area / 1e6, rel=1e-6
    )


def test_holes_are_taken_off():
    outer, inner = shapely.box(10, 46, 11, 47), shapely.box(10.2, 46.2, 10.4, 46.4)
    whole, hole, both = areas_km2(as_geometries([outer, inner, outer.difference(inner)]), LONLAT)
    assert both == pytest.approx(whole - hole, rel=1e-12)


def test_area_does_not_depend_on_the_crs_or_the_direction():
    box = shapely.segmentize(shapely.box(10.5, 46.5, 10.6, 46.6), 0.0005)
    expected = areas_km2(as_geometries([box]), LONLAT)[0]
    for epsg in (32632, 3857, 3035):
        moved = transform_geometries(box, LONLAT, CRS.from_epsg(epsg))
        assert areas_km2(as_geometries([moved]), CRS.from_epsg(epsg))[0] == pytest.approx(
            expected, rel=1e-7
        )
    assert areas_km2(as_geometries([box.reverse()]), LONLAT)[0] == pytest.approx(expected)


def test_area_across_the_antimeridian():
    # A square of 10 km in UTM zone 1, half of it west of 180 degrees.
    x, y = pyproj.Transformer.from_crs(4326, 32601, always_xy=True).transform(-180, 65)
    square = shapely.box(x - 5000, y - 5000, x + 5000, y + 5000)
    area = areas_km2(as_geometries([square]), CRS.from_epsg(32601))[0]
    assert area == pytest.approx(100, rel=1e-3)  # UTM's scale there is 1.0002


def test_a_polygon_across_the_antimeridian_stays_in_one_piece():
    x, y = pyproj.Transformer.from_crs(4326, 32601, always_xy=True).transform(-180, 65)
    square = shapely.box(x - 5000, y - 5000, x + 5000, y + 5000)
    moved = to_lonlat(as_geometries([square]), CRS.from_epsg(32601))[0]
    west, _, east, _ = moved.bounds
    assert east - west < 0.5
    assert abs(wrap_longitude(moved.centroid.x)) == pytest.approx(180, abs=0.01)


def test_length_of_a_degree_along_the_equator():
    line = shapely.LineString([(0, 0), (1, 0)])
    assert lengths_m(as_geometries([line]), LONLAT)[0] == pytest.approx(
        math.radians(1) * 6378137, rel=1e-9
    )


def test_lengths_of_several_lines_are_kept_apart():
    lines = as_geometries(
        [shapely.LineString([(0, 0), (0.5, 0), (1, 0)]), shapely.LineString([(5, 0), (7, 0)])]
    )
    one, two = lengths_m(lines, LONLAT)
    assert two == pytest.approx(2 * one, rel=1e-9)
    assert len(lengths_m(as_geometries([]), LONLAT)) == 0
    apart = shapely.MultiLineString([[(0, 0), (1, 0)], [(50, 0), (51, 0)]])
    assert lengths_m(as_geometries([apart]), LONLAT)[0] == pytest.approx(2 * one, rel=1e-9)


@pytest.mark.parametrize(
    ("epsg", "bounds", "kept"),
    [
        (32632, (600_000, 5_200_000, 620_000, 5_220_000), True),
        (3413, (1_500_000, -1_600_000, 1_520_000, -1_580_000), True),  # true at 70 degrees north
        (3413, (500_000, -600_000, 520_000, -580_000), False),
        (3857, (1_190_000, 5_900_000, 1_200_000, 5_910_000), False),
        (4326, (10, 46, 11, 47), False),
        (2263, (980_000, 200_000, 990_000, 210_000), False),
    ],
)
def test_a_crs_is_metric_where_a_metre_is_a_metre(epsg, bounds, kept):
    crs = CRS.from_epsg(epsg)
    found = metric_crs(crs, bounds)
    assert (found == crs) == kept
    middle = shapely.Point((bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2)
    circle = transform_geometries(middle, crs, found).buffer(1000, quad_segs=64)
    # A circle of a kilometre is 3.1416 km2, but for its corners (2.5e-4) and 1 % of scale.
    assert areas_km2(as_geometries([circle]), found)[0] == pytest.approx(math.pi, rel=0.021)


def test_far_geometries_are_not_near():
    place = shapely.box(600_000, 5_200_000, 610_000, 5_210_000)
    boxes = as_geometries([shapely.box(10.3, 46.9, 10.4, 47.0), shapely.box(80, 28, 81, 29)])
    assert is_near(boxes, LONLAT, place, CRS.from_epsg(32632), 0).tolist() == [True, False]
    west = as_geometries([shapely.box(10.2, 46.9, 10.3, 47.0)])  # its edge is 1.2 km to the west
    assert not is_near(west, LONLAT, place, CRS.from_epsg(32632), 500)[0]
    assert is_near(west, LONLAT, place, CRS.from_epsg(32632), 5000)[0]


def test_nothing_is_done_within_one_crs():
    shapes = np.array([shapely.box(0, 0, 1, 1)], dtype=object)
    assert transform_geometries(shapes, LONLAT, LONLAT) is shapes


def test_all_parts_of_a_multiple_polygon_count_and_their_holes_do_not():
    hole = shapely.Polygon(
        shapely.box(0, 0, 1, 1).exterior, [shapely.box(0.2, 0.2, 0.4, 0.4).exterior]
    )
    parts = [hole, shapely.box(3, 0, 4, 1), shapely.box(5, 2, 6, 3)]
    together = np.array([shapely.MultiPolygon(parts), parts[1]], dtype=object)
    each = areas_km2(np.array(parts, dtype=object), LONLAT)
    assert areas_km2(together, LONLAT) == pytest.approx([each.sum(), each[1]])
    assert each[0] == pytest.approx(each[1] * 0.96, rel=1e-3)


@pytest.mark.parametrize("lat", [0.0, 28.0, -46.7, 61.0, 78.5, -84.0])
@pytest.mark.parametrize("edge_m", [200.0, 1500.0, 20_000.0])
def test_areas_of_rings_are_those_of_geodesics(lat, edge_m):
    # A ragged ring of 200 edges; the longest ones take another way to the same number.
    random = np.random.default_rng(7)
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    away = edge_m * 30 * random.uniform(0.97, 1, 200)
    north, east = away * np.sin(angle) / 111e3, away * np.cos(angle) / 111e3
    ring = np.column_stack([86.9 + east / np.cos(np.radians(lat)), lat + north])
    ring = np.vstack([ring, ring[:1]])
    twice = np.vstack([ring, ring[::-1]])
    found = ring_areas_m2(twice, np.repeat([0, 1], len(ring)), 2)
    expected = abs(GEOD.polygon_area_perimeter(*ring.T)[0])
    assert found == pytest.approx(expected, rel=1e-9)


def test_a_ring_around_the_pole_is_measured():
    lon = np.linspace(-180, 180, 72_001)
    ring = np.column_stack([lon, np.full(len(lon), 89.0)])
    equal_area = CRS.from_proj4("+proj=laea +lat_0=90 +datum=WGS84")
    radius = shapely.distance(
        shapely.Point(0, 0), transform_geometries(shapely.Point(0, 89), LONLAT, equal_area)
    )
    found = ring_areas_m2(ring, np.zeros(len(ring), np.int64), 1)
    assert found == pytest.approx(math.pi * radius**2, rel=1e-6)
