import json

import numpy as np
import pytest
import shapely
from factories import box, utm_grid
from rasterio.crs import CRS

from glacierx.errors import GlacierxWarning, GridError, OutlineError
from glacierx.evaluate.compare import Difference, compare
from glacierx.outlines.geopackage import write_layers
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.scene.geodesy import areas_km2
from glacierx.scene.terrain import Dem

UTM = CRS.from_epsg(32632)


@pytest.fixture
def make(tmp_path):
    import fiona

    def write(name, polygons, crs="EPSG:32632", **columns):
        path = tmp_path / name
        path.unlink(missing_ok=True)
        schema = {"geometry": "Unknown", "properties": dict.fromkeys(columns, "str")}
        with fiona.open(path, "w", driver="GPKG", schema=schema, crs=crs, layer="glaciers") as file:
            for at, polygon in enumerate(polygons):
                row = {key: values[at] for key, values in columns.items()}
                file.write({"geometry": shapely.geometry.mapping(polygon), "properties": row})
        return path

    return write


@pytest.fixture
def slope(make_dem):
    """A plane that falls by 10 m a row: row 0 is at 4000 m."""
    grid = utm_grid((300, 300))
    with Dem(make_dem(4000.0 - 10 * (np.indices(grid.shape)[0] + 0.5), grid)) as dem:
        yield dem


def rows_of(found, region="total"):
    return {row.part: row for row in found.rows if row.region == region}


def test_the_published_differences_follow_from_the_published_areas():
    # Chu et al. (2022), Table 3: ours against GGI and TPG2017, in total.
    ggi = Difference("total", "area", 445.57, 444.38)
    tpg = Difference("total", "area", 445.57, 466.59)
    assert round(ggi.difference_km2, 2) == 1.19
    assert round(ggi.percent, 2) == 0.27
    assert round(tpg.difference_km2, 2) == -21.02
    assert round(tpg.percent, 2) == -4.72
    # By the same rule Qilian against TPG2017 is -6.96 and -1.03; the paper prints -7.78 and -.66.
    assert round(Difference("Qilian", "ablation", 59.61, 63.76).percent, 2) == -6.96
    # -1.0286 from the printed areas.
    assert round(Difference("Qilian", "accumulation", 59.31, 59.92).percent, 2) == -1.03


def test_an_inventory_against_itself(make, slope):
    path = make("a.gpkg", [box((20, 120), (20, 80)), box((20, 120), (90, 150))])
    found = compare(path, path, slope)
    for row in found.rows:
        assert row.difference_km2 == 0
    total = rows_of(found)
    assert total["area"].first_km2 == pytest.approx(0.6 * 2, rel=1e-3)
    # z50 halves a box on a plane.
    assert total["ablation"].first_km2 == pytest.approx(0.6, rel=0.01)
    assert total["accumulation"].first_km2 == pytest.approx(0.6, rel=0.01)
    assert found.relations == {
        "matched": 2, "new": 0, "vanished": 0, "merged": 0, "divided": 0, "regrouped": 0,
    }  # fmt: skip


def test_z50_of_the_first_divides_the_second(make, slope):
    # z50 is that of row 70. The second reaches 40 rows farther down: all of it ablation.
    first = make("a.gpkg", [box((20, 120), (20, 120))])
    second = make("b.gpkg", [box((20, 160), (20, 120))])
    total = rows_of(compare(first, second, slope))
    assert total["accumulation"].second_km2 == pytest.approx(0.5, rel=0.02)
    assert total["ablation"].second_km2 == pytest.approx(0.9, rel=0.02)
    assert total["area"].difference_km2 == pytest.approx(-0.4, rel=0.01)
    assert total["area"].percent == pytest.approx(-40, rel=0.01)
    # The other way round z50 is that of row 90, and 20 rows more of the first are above it.
    total = rows_of(compare(second, first, slope))
    assert total["accumulation"].second_km2 == pytest.approx(0.7, rel=0.02)
    assert total["ablation"].second_km2 == pytest.approx(0.3, rel=0.05)


def test_ice_that_matches_none_takes_the_nearest_and_is_told_apart(make, slope):
    # High and low glaciers; the second inventory has one more beside each.
    first = make("a.gpkg", [box((20, 60), (20, 60)), box((200, 240), (20, 60))])
    second = make(
        "b.gpkg",
        [box((20, 60), (20, 60)), box((200, 240), (20, 60)), box((40, 80), (70, 110))],
    )
    found = compare(first, second, slope)
    total = rows_of(found)
    # z50 of the nearer one lies at row 40: the third lies below it.
    assert total["unmatched area"].second_km2 == pytest.approx(0.16, rel=0.01)
    assert total["unmatched ablation"].second_km2 == pytest.approx(0.16, rel=0.02)
    assert total["unmatched accumulation"].second_km2 == pytest.approx(0, abs=0.005)
    assert np.isnan(total["unmatched area"].first_km2)
    assert total["area"].second_km2 == pytest.approx(0.48, rel=0.01)
    parts = total["ablation"].second_km2 + total["accumulation"].second_km2
    assert parts == pytest.approx(total["area"].second_km2)
    assert found.relations["vanished"] == 1


def test_merged_ice_takes_each_part_s_own_z50(make, slope):
    # Side by side: one from row 20 to 100, one from row 120 to 200; the second has them as one.
    first = make("a.gpkg", [box((20, 100), (20, 60)), box((120, 200), (60, 100))])
    bridge = shapely.union_all(
        [box((20, 100), (20, 60)), box((120, 200), (60, 100)), box((95, 125), (55, 65))]
    )
    second = make("b.gpkg", [bridge])
    found = compare(first, second, slope)
    assert found.relations["divided"] == 1
    total = rows_of(found)
    both = shapely.area(bridge) / 1e6
    assert total["area"].second_km2 == pytest.approx(both, rel=1e-3)
    # Each half of each box, and the bridge by its nearer neighbour: the half at row 95 to 110 is
    # below row 60, that at row 110 to 125 above row 160.
    assert total["ablation"].second_km2 == pytest.approx(both / 2, rel=0.05)


def test_what_became_of_each_glacier(make):
    first = make(
        "a.gpkg",
        [
            box((0, 20), (0, 20)),      # matched
            box((0, 20), (40, 80)),     # two of the second: merged
            box((0, 20), (100, 118)),   # with the next: one of the second: divided
            box((0, 20), (120, 140)),
            box((100, 120), (0, 20)),   # new
        ],
    )  # fmt: skip
    second = make(
        "b.gpkg",
        [
            box((0, 22), (0, 20)),
            box((0, 20), (40, 58)), box((0, 20), (60, 80)),
            box((0, 20), (100, 140)),
            box((100, 120), (60, 80)),  # vanished
            box((100, 120), (100, 120)),
        ],
    )  # fmt: skip
    found = compare(first, second)
    assert found.relations == {
        "matched": 1, "new": 1, "vanished": 2, "merged": 1, "divided": 1, "regrouped": 0,
    }  # fmt: skip
    groups = {group["relation"]: group for group in found.groups}
    assert groups["merged"]["first"] == ["2"]
    assert groups["merged"]["second"] == ["2", "3"]
    assert groups["divided"]["first"] == ["3", "4"]
    assert groups["matched"]["second_km2"] == pytest.approx(0.044, rel=1e-3)
    # The other way round the names change sides.
    back = compare(second, first).relations
    assert (back["new"], back["vanished"], back["merged"], back["divided"]) == (2, 1, 1, 1)


def test_a_neighbour_s_sliver_links_nothing(make):
    # The divide is two columns off: each shares a little with the other's neighbour.
    first = make("a.gpkg", [box((0, 40), (0, 40)), box((0, 40), (40, 80))])
    second = make("b.gpkg", [box((0, 40), (0, 42)), box((0, 40), (42, 80))])
    assert compare(first, second).relations["matched"] == 2


def test_regions_have_lines_of_their_own(make):
    shapes = [box((0, 20), (0, 20)), box((0, 20), (40, 60)), box((0, 20), (100, 120))]
    first = make("a.gpkg", shapes, Region=["west", "west", "east"])
    # The second knows no regions: they are those of the matched glaciers, or of the nearest.
    second = make("b.gpkg", [*shapes[:2], box((0, 40), (100, 120)), box((0, 10), (130, 140))])
    found = compare(first, second, region="region")
    assert [row.region for row in found.rows] == ["east", "west", "total"]
    assert rows_of(found, "west")["area"].second_km2 == pytest.approx(0.08, rel=1e-3)
    assert rows_of(found, "east")["area"].second_km2 == pytest.approx(0.09, rel=1e-3)
    assert rows_of(found, "east")["area"].first_km2 == pytest.approx(0.04, rel=1e-3)
    # And back.
    back = compare(second, first, region="Region")
    assert rows_of(back, "east")["area"].first_km2 == pytest.approx(0.09, rel=1e-3)
    with pytest.raises(OutlineError, match="column 'zone'"):
        compare(first, second, region="zone")


def test_an_inventory_in_another_crs_is_the_same_ice(make):
    from glacierx.scene.geodesy import transform_geometries

    polygon = box((0, 100), (0, 100))
    moved = transform_geometries(polygon, UTM, CRS.from_epsg(4326))
    found = compare(make("a.gpkg", [polygon]), make("b.gpkg", [moved], crs="EPSG:4326"))
    row = rows_of(found)["area"]
    assert found.relations["matched"] == 1
    assert row.first_km2 == pytest.approx(areas_km2(as_geometries([polygon]), UTM)[0])
    assert row.percent == pytest.approx(0, abs=1e-6)


def test_glaciers_beyond_180_degrees_meet(make):
    box_east = shapely.box(179.99, -75.01, 180.01, -75.0)
    split = shapely.MultiPolygon(
        [shapely.box(179.99, -75.01, 180, -75.0), shapely.box(-180, -75.01, -179.99, -75.0)]
    )
    found = compare(
        make("a.gpkg", [box_east], crs="EPSG:4326"), make("b.gpkg", [split], crs="EPSG:4326")
    )
    assert found.relations["matched"] == 1
    assert rows_of(found)["area"].percent == pytest.approx(0, abs=1e-4)


def test_both_can_be_cut_to_an_area(make):
    first = make("a.gpkg", [box((0, 20), (0, 20))])
    second = make("b.gpkg", [box((0, 20), (0, 20)), box((0, 20), (200, 300))])
    with pytest.warns(GlacierxWarning, match="--aoi"):
        assert compare(first, second).relations["vanished"] == 1
    cut = compare(first, second, aoi=make("aoi.gpkg", [box((0, 10), (0, 100))]))
    assert cut.relations["vanished"] == 0
    assert rows_of(cut)["area"].first_km2 == pytest.approx(0.02, rel=1e-3)
    assert rows_of(cut)["area"].difference_km2 == 0


def test_ice_outside_the_dem_is_told_of(make, slope):
    path = make("a.gpkg", [box((20, 60), (20, 60)), box((20, 60), (400, 440))])
    total = rows_of(compare(path, path, slope))
    assert total["not divided"].first_km2 == pytest.approx(0.16, rel=1e-2)
    parts = sum(total[part].first_km2 for part in ("ablation", "accumulation", "not divided"))
    assert parts == pytest.approx(total["area"].first_km2)


def test_ice_counted_twice_is_told_of(make):
    first = make("a.gpkg", [box((0, 20), (0, 20)), box((10, 30), (0, 20))])
    with pytest.warns(GlacierxWarning, match="1 pairs of glaciers in a.gpkg overlap"):
        compare(first, make("b.gpkg", [box((0, 30), (0, 20))]))


def test_inventories_of_different_places_are_refused(make):
    with pytest.raises(GridError, match="lie in different places"):
        compare(make("a.gpkg", [box((0, 9), (0, 9))]), make("b.gpkg", [box((0, 9), (90, 99))]))
    with pytest.raises(OutlineError, match="holds no polygons"):
        line = shapely.LineString([(6e5, 5.2e6), (6.1e5, 5.2e6)])
        compare(make("l.gpkg", [line]), make("b.gpkg", [box((0, 9), (0, 9))]))


def test_an_inventory_of_nothing_has_lost_everything(make, tmp_path, slope):
    empty = tmp_path / "none.gpkg"
    write_layers(empty, {"glaciers": Outlines(as_geometries([]), UTM, {})}, {})
    path = make("b.gpkg", [box((20, 60), (20, 60))])
    found = compare(empty, path, slope)
    assert found.relations["vanished"] == 1
    assert rows_of(found)["area"].first_km2 == 0
    record = json.loads(json.dumps(found.as_record(), allow_nan=False))
    assert record["areas"][0]["percent"] is None
    assert compare(path, empty, slope).relations["new"] == 1


def test_files_of_one_name_are_told_apart(make, tmp_path):
    polygons = [box((0, 20), (0, 20))]
    one = make("a.gpkg", polygons)
    (tmp_path / "old").mkdir()
    other = one.rename(tmp_path / "old" / "a.gpkg")
    found = compare(make("a.gpkg", polygons), other)
    assert found.first != found.second
    assert found.second == "old/a.gpkg"
    assert "in old/a.gpkg only" in found.as_text()


def test_the_same_ice_divided_otherwise_has_the_same_parts(make, slope):
    whole = box((20, 220), (20, 220))
    halves = [box((20, 220), (20, 100)), box((20, 220), (100, 220))]
    for one, other in (([whole], halves), (halves, [whole])):
        total = rows_of(compare(make("a.gpkg", one), make("b.gpkg", other), slope))
        for part in ("ablation", "accumulation"):
            assert total[part].percent == pytest.approx(0, abs=0.2)


def test_the_same_place_beyond_180_degrees_is_the_same_place(make):
    first = make("a.gpkg", [shapely.box(179.98, 60, 180.02, 60.01)], crs="EPSG:4326")
    second = make("b.gpkg", [shapely.box(-180, 60, -179.98, 60.01)], crs="EPSG:4326")
    for one, other in ((first, second), (second, first)):
        assert compare(one, other).relations["matched"] == 1
    third = make("c.gpkg", [shapely.box(180.001, 60, 180.02, 60.01)], crs="EPSG:4326")
    assert compare(third, second).relations["matched"] == 1


def test_glaciers_on_both_sides_of_180_degrees_are_one_place(make):
    boxes = [shapely.box(179.9, 70, 179.99, 70.05), shapely.box(-179.99, 70, -179.9, 70.05)]
    path = make("a.gpkg", boxes, crs="EPSG:4326")
    found = compare(path, path)
    assert found.relations["matched"] == 2
    area = rows_of(found)["area"].first_km2
    # Half of the first and the whole of the second, whichever way the area counts.
    for west, east in ((179.945, 180.2), (179.945, 190)):
        aoi = make("aoi.gpkg", [shapely.box(west, 69, east, 71)], crs="EPSG:4326")
        cut = compare(path, path, aoi=aoi)
        assert rows_of(cut)["area"].first_km2 == pytest.approx(0.75 * area, rel=1e-3)


def test_regions_sort_as_numbers_and_none_is_the_total(make):
    shapes = [box((0, 20), (0, 20)), box((0, 20), (40, 60)), box((0, 20), (100, 120))]
    path = make("a.gpkg", shapes, region=["10", "total", "2"])
    found = compare(path, path, region="region")
    assert [row.region for row in found.rows] == ["2", "10", "total", "(total)"]
    assert found.rows[2].first_km2 == pytest.approx(0.04, rel=1e-3)
    assert found.rows[3].first_km2 == pytest.approx(0.12, rel=1e-3)


def test_the_real_ice_cap_can_be_compared_with_itself(shared):
    path = shared / "splits" / "icecap_oggm" / "glaciers.gpkg"
    found = compare(path, path)
    assert found.relations["matched"] == 10
    assert rows_of(found)["area"].first_km2 == pytest.approx(188.34, rel=2e-3)
    assert rows_of(found)["area"].difference_km2 == 0
