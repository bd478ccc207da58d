import math

import numpy as np
import pytest
import shapely
from factories import disc, utm_grid
from rasterio.crs import CRS

from glacierx.outlines.attributes import (
    COMPLEXES,
    GLACIERS,
    OPTIONAL,
    add_attributes,
    add_complex_attributes,
    glacier_ids,
)
from glacierx.outlines.divides import split_glaciers
from glacierx.outlines.elevation import aspect_sector, elevation_columns
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.outlines.trace import trace_outlines
from glacierx.scene.geodesy import transform_geometries
from glacierx.scene.prediction import open_prediction
from glacierx.scene.terrain import Dem

UTM = CRS.from_epsg(32632)
CENTER = 601_500, 5_198_500


def complexes(*polygons, crs=UTM, **columns):
    number = np.arange(1, len(polygons) + 1)
    return Outlines(as_geometries(polygons), crs, {"complex_id": number, **columns})


def cone(grid, steepness=0.5):
    row, column = np.indices(grid.shape) + 0.5
    x, y = grid.to_map(row, column)
    return 3000 - steepness * np.hypot(x - CENTER[0], y - CENTER[1])


@pytest.fixture
def cone_dem(make_dem):
    grid = utm_grid((300, 300), 10)
    return Dem(make_dem(cone(grid), grid))


def test_a_disc_on_a_cone_has_the_elevations_of_the_cone(cone_dem):
    radius = 1000.0
    ice = shapely.Point(CENTER).buffer(radius, quad_segs=90)
    columns = elevation_columns(complexes(ice), cone_dem)
    # Local cells are 14 sqrt(3.14) + 10 = 35 m wide; on a slope of a half that is 17 m of height.
    assert columns["zmin_m"][0] == pytest.approx(3000 - 0.5 * radius, abs=18)
    assert columns["zmax_m"][0] == pytest.approx(3000, abs=18)
    # Half of a disc's area lies beyond r / sqrt(2), and the mean distance is 2 r / 3.
    assert columns["zmed_m"][0] == pytest.approx(3000 - 0.5 * radius / math.sqrt(2), abs=5)
    assert columns["zmean_m"][0] == pytest.approx(3000 - 0.5 * radius * 2 / 3, abs=5)
    assert columns["slope_deg"][0] == pytest.approx(math.degrees(math.atan(0.5)), abs=0.5)
    assert columns["dem_share"][0] == 1
    assert columns["dem_source"][0] == "dem"


@pytest.mark.parametrize(
    ("angle", "aspect", "sector"), [(90, 0, 1), (0, 90, 3), (45, 45, 2), (200, 250, 7)]
)
def test_a_sector_of_the_cone_faces_outward(cone_dem, angle, aspect, sector):
    # A small disc 800 m from the top, in the direction of a mathematical angle.
    at = (
        CENTER[0] + 800 * math.cos(math.radians(angle)),
        CENTER[1] + 800 * math.sin(math.radians(angle)),
    )
    columns = elevation_columns(complexes(shapely.Point(at).buffer(150)), cone_dem)
    # Grid north is 0.96 degrees off true north there.
    assert (columns["aspect_deg"][0] - aspect + 180) % 360 - 180 == pytest.approx(1, abs=1.5)
    assert columns["aspect_sec"][0] == sector


def test_aspect_counts_from_true_north_on_a_polar_grid(make_dem):
    # At 18.7 degrees from Greenland's middle meridian "up" on the map points 18.7 degrees east.
    grid = utm_grid((100, 100), 30, corner=(500_000, -1_500_000), epsg=3413)
    row, _ = np.indices(grid.shape)
    with Dem(make_dem(1000.0 + 15 * row, grid)) as dem:  # falls towards the upper edge
        ice = shapely.box(501_000, -1_502_000, 502_000, -1_501_000)
        columns = elevation_columns(complexes(ice, crs=grid.crs), dem)
    expected = math.degrees(math.atan2(501_500, 1_501_500))
    assert columns["aspect_deg"][0] == pytest.approx(expected, abs=0.5)


def test_flat_ice_has_no_aspect_and_unknown_ice_nothing(make_dem):
    grid = utm_grid((100, 100), 30)
    inside = shapely.box(600_500, 5_198_500, 601_000, 5_199_000)
    outside = shapely.box(650_500, 5_198_500, 651_000, 5_199_000)
    half = shapely.box(602_900, 5_198_500, 603_400, 5_199_000)  # a fifth is known
    with Dem(make_dem(np.full((100, 100), 500.0), grid)) as dem:
        columns = elevation_columns(complexes(inside, outside, half), dem)
    assert columns["zmean_m"][0] == 500
    assert math.isnan(columns["aspect_deg"][0])
    assert columns["aspect_sec"].tolist() == [9, None, None]
    assert math.isnan(columns["zmean_m"][1])
    assert columns["dem_share"].tolist() == [1, 0, pytest.approx(0.2, abs=0.05)]
    assert columns["dem_source"].tolist() == ["dem", None, None]


@pytest.mark.parametrize("side", ["none", "east", "south"])
@pytest.mark.parametrize("radius", [150, 600, 1200])
def test_a_void_across_the_ice_makes_no_slope(make_dem, side, radius):
    grid = utm_grid((400, 400), 10)
    row, column = np.indices(grid.shape)
    heights = 3000 - math.tan(math.radians(10)) * 10.0 * row
    middle = 200 + radius // 100
    voids = {"none": row < 0, "east": column > middle, "south": row > middle}
    heights[voids[side]] = -9999
    ice = shapely.Point(602_000, 5_198_000).buffer(radius)
    with Dem(make_dem(heights, grid, nodata=-9999)) as dem:
        columns = elevation_columns(complexes(ice), dem)
    # Cells that the void's edge cuts are averaged over the rest of them: a small error stays.
    assert columns["slope_deg"][0] == pytest.approx(10, abs=0.3)
    assert columns["aspect_deg"][0] == pytest.approx(181, abs=0.5)


@pytest.mark.parametrize(
    ("aspect", "sector"),
    [(0, 1), (22.4, 1), (22.6, 2), (90, 3), (180, 5), (315, 8), (337.6, 1), (np.nan, 9)],
)
def test_sectors_are_those_of_rgi(aspect, sector):
    assert aspect_sector([aspect]).tolist() == [sector]


def test_the_point_inside_is_inside_even_a_crescent():
    crescent = (
        shapely.Point(CENTER)
        .buffer(1000)
        .difference(shapely.Point(CENTER[0] + 300, CENTER[1]).buffer(1000))
    )
    done = add_complex_attributes(complexes(crescent))
    lonlat = transform_geometries(crescent, UTM, CRS.from_epsg(4326))
    assert lonlat.contains(shapely.Point(done["cenlon"][0], done["cenlat"][0]))
    assert not lonlat.contains(lonlat.centroid)


def test_area_and_its_uncertainty_are_those_of_a_disc():
    disc = shapely.Point(CENTER).buffer(1000, quad_segs=90)
    done = add_complex_attributes(complexes(disc), gsd_m=10)
    # UTM stretches lengths by 0.9997 there: areas by 0.9995.
    assert done["area_km2"][0] == pytest.approx(math.pi, rel=1e-3)
    # Half a pixel to either side: (pi (r + 5)^2 - pi (r - 5)^2) / 2 = 2 pi r 5.
    assert done["area_unc_km2"][0] == pytest.approx(2 * math.pi * 1000 * 5 / 1e6, rel=1e-3)


def test_the_frame_is_no_margin(make_probability):
    # Half a disc that the scene's upper edge cuts, and a hole.
    mask = disc((100, 200), (0, 100), 60) & ~disc((100, 200), (30, 100), 10)
    with open_prediction(make_probability(np.where(mask, 250, 0).astype("uint8"))) as prediction:
        ice = trace_outlines(prediction)
        columns = add_complex_attributes(ice, prediction=prediction, gsd_m=10)
    # Pixel edges are 4 / pi times as long as the arcs that they follow.
    expected = 4 / math.pi * (math.pi * 600 + 2 * math.pi * 100) * 5 / 1e6
    assert columns["area_unc_km2"][0] == pytest.approx(expected, rel=0.02)
    assert columns["touches_edge"].tolist() == [1]


def test_nunataks_have_margins_and_divides_do_not(make_dem):
    grid = utm_grid((300, 300), 30, corner=(598_500, 5_201_500))
    row, column = np.indices(grid.shape) + 0.5
    x, y = grid.to_map(row, column)
    heights = 3000 - 0.2 * np.abs(x - 603_000) + 3e-4 * (y - 5_197_000) ** 2
    outer = shapely.box(600_300, 5_196_000, 605_700, 5_198_000)
    hole = shapely.box(601_000, 5_196_800, 601_500, 5_197_300)
    ice = outer.difference(hole)
    with Dem(make_dem(heights, grid)) as dem:
        division = add_attributes(split_glaciers(complexes(ice), dem), gsd_m=20)
    whole = add_complex_attributes(complexes(ice), gsd_m=20)
    assert len(division.glaciers) == 2
    margin = outer.length + hole.length
    assert whole["area_unc_km2"][0] == pytest.approx(margin * 10 / 1e6, rel=1e-3)
    # What the glaciers have together is what the complex has.
    total = division.glaciers["area_unc_km2"].sum()
    assert total == pytest.approx(whole["area_unc_km2"][0], rel=1e-3)


def test_the_uncertainty_of_a_speck_is_at_most_its_area():
    done = add_complex_attributes(complexes(shapely.box(600_000, 5_198_000, 600_001, 5_198_100)),
                                  gsd_m=30)  # fmt: skip
    assert done["area_unc_km2"][0] == done["area_km2"][0]


def test_zone_and_date():
    done = add_complex_attributes(
        complexes(shapely.Point(CENTER).buffer(500)), src_date="2023-08-15"
    )
    assert done["utm_zone"].tolist() == [32]
    assert done["src_date"].tolist() == ["2023-08-15"]


def test_a_glacier_on_the_antimeridian_has_its_point_there():
    import pyproj

    x, y = pyproj.Transformer.from_crs(4326, 32601, always_xy=True).transform(-180, 65)
    done = add_complex_attributes(
        complexes(shapely.Point(x, y).buffer(2000), crs=CRS.from_epsg(32601))
    )
    assert -180 <= done["cenlon"][0] < 180
    assert abs(abs(done["cenlon"][0]) - 180) < 0.05
    assert done["utm_zone"][0] in (1, 60)
    assert done["area_km2"][0] == pytest.approx(4 * math.pi, rel=0.003)


def test_ids_are_like_those_of_glims():
    lon, lat = np.array([10.758, -70.25, 10.758]), np.array([46.8, -33.5, 46.8])
    assert glacier_ids(lon, lat).tolist() == [
        "G010758E46800N",
        "G289750E33500S",
        "G010758E46800N_2",
    ]


def test_columns_are_in_the_order_of_the_schema():
    ice = shapely.Point(CENTER).buffer(1000)
    division = add_attributes(split_glaciers(complexes(ice), None))
    assert list(division.glaciers.columns) == [
        column.name for column in GLACIERS if column.name not in OPTIONAL
    ]
    assert list(add_complex_attributes(complexes(ice)).columns) == [
        column.name for column in COMPLEXES if column.name not in OPTIONAL
    ]
    assert division.glaciers["term_type"].tolist() == [9]
    assert division.glaciers["zmin_m"].tolist()[0] is None or math.isnan(
        division.glaciers["zmin_m"][0]
    )
    assert list(division.divides.columns) == ["complex_id", "glac_id_1", "glac_id_2", "length_m"]


def test_names_fit_a_shapefile():
    short = [column.short or column.name for column in GLACIERS]
    assert all(len(name) <= 10 for name in short)
    assert len(set(short)) == len(short)
    assert all(column.text for column in GLACIERS)


def test_without_a_map_pieces_inherit_only_what_holds_for_them(make_dem):
    grid = utm_grid((300, 300), 30, corner=(598_500, 5_201_500))
    row, column = np.indices(grid.shape) + 0.5
    x, y = grid.to_map(row, column)
    heights = 3000 - 0.2 * np.abs(x - 603_000) + 3e-4 * (y - 5_197_000) ** 2
    cut = shapely.box(600_300, 5_196_000, 605_700, 5_198_000)
    whole = shapely.box(600_300, 5_194_000, 600_700, 5_194_400)
    given = complexes(
        cut,
        whole,
        mean_probability=np.array([0.8, 0.9]),
        touches_edge=np.array([1, 1]),
        touches_nodata=np.array([0, 1]),
        invalid_share=np.array([0.0, 0.1]),
        cut_by_aoi=np.array([0, 0]),
    )
    with Dem(make_dem(heights, grid)) as dem:
        glaciers = add_attributes(split_glaciers(given, dem)).glaciers
    assert glaciers["mean_probability"].tolist() == [None, None, 0.9]
    assert glaciers["touches_edge"].tolist() == [None, None, 1]
    assert glaciers["touches_nodata"].tolist() == [0, 0, 1]
    assert glaciers["cut_by_aoi"].tolist() == [0, 0, 0]
