import fiona
import numpy as np
import pytest
import shapely
from rasterio.crs import CRS

from glacierx.errors import GridError, OutlineError
from glacierx.outlines.divides import split_glaciers
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.outlines.reference import Inventory, inventory_around
from glacierx.scene.geodesy import transform_geometries

UTM = CRS.from_epsg(32632)
ICE = shapely.box(600_000, 5_195_000, 606_000, 5_198_000)


def complexes(*polygons):
    number = np.arange(1, len(polygons) + 1)
    return Outlines(as_geometries(polygons), UTM, {"complex_id": number})


@pytest.fixture
def inventory_file(tmp_path):
    def make(polygons, crs=UTM, names=("rgi_id", "glac_name", "src_date"), name="inv.gpkg"):
        path = tmp_path / name
        schema = {"geometry": "Unknown", "properties": dict.fromkeys(names, "str")}
        with fiona.open(path, "w", "GPKG", schema=schema, crs_wkt=crs.to_wkt()) as file:
            for index, polygon in enumerate(polygons):
                values = (f"RGI-{index}", f"Glacier {index}", f"200{index}-08-01")
                file.write(
                    {
                        "type": "Feature",
                        "geometry": shapely.geometry.mapping(polygon),
                        "properties": dict(zip(names, values, strict=True)),
                    }
                )
        return path

    return make


def split(path, *polygons):
    inventory = Inventory(path, shapely.union_all(polygons), UTM)
    return split_glaciers(complexes(*polygons), None, inventory=inventory)


WEST = shapely.box(600_000, 5_195_000, 602_000, 5_198_000)
EAST = shapely.box(602_000, 5_195_000, 606_000, 5_198_000)


def test_divides_are_copied_with_id_name_and_date(inventory_file):
    glaciers, divides = split(inventory_file([WEST, EAST]), ICE)
    assert glaciers["ref_id"].tolist() == ["RGI-0", "RGI-1"]
    assert glaciers["ref_name"].tolist() == ["Glacier 0", "Glacier 1"]
    assert glaciers["ref_date"].tolist() == ["2000-08-01", "2001-08-01"]
    assert glaciers["divided"].tolist() == [1, 1]
    for found, expected in zip(glaciers.geometry, (WEST, EAST), strict=True):
        assert found.symmetric_difference(expected).area < 0.005 * expected.area
    assert np.abs(shapely.get_coordinates(divides.geometry)[:, 0] - 602_000).max() < 10


def test_columns_of_other_inventories_are_known(inventory_file):
    path = inventory_file([WEST, EAST], names=("RGIId", "Name", "BgnDate"))
    glaciers, _ = split(path, ICE)
    assert glaciers["ref_id"].tolist() == ["RGI-0", "RGI-1"]
    assert glaciers["ref_date"].tolist() == ["2000-08-01", "2001-08-01"]
    bare, _ = split(inventory_file([WEST, EAST], names=("a", "b", "c"), name="b.gpkg"), ICE)
    assert bare["ref_id"].tolist() == [None, None]


def test_an_inventory_in_another_crs_is_moved(inventory_file):
    crs = CRS.from_epsg(4326)
    moved = [transform_geometries(shapely.segmentize(p, 50), UTM, crs) for p in (WEST, EAST)]
    glaciers, divides = split(inventory_file(moved, crs), ICE)
    assert len(glaciers) == 2
    assert np.abs(shapely.get_coordinates(divides.geometry)[:, 0] - 602_000).max() < 10


def test_ice_that_has_grown_goes_to_the_nearest_glacier(inventory_file):
    smaller = [WEST.buffer(-200), EAST.buffer(-200)]
    glaciers, divides = split(inventory_file(smaller), ICE)
    assert glaciers["ref_id"].tolist() == ["RGI-0", "RGI-1"]
    assert np.abs(shapely.get_coordinates(divides.geometry)[:, 0] - 602_000).max() < 15


def test_ice_far_from_the_inventory_is_flagged(inventory_file):
    glaciers, _ = split(inventory_file([WEST]), ICE)
    known = glaciers["divided"] == 1
    assert known.sum() == 1
    # West of 602,000 and 500 m beyond it.
    assert glaciers.geometry[known][0].bounds[2] == pytest.approx(602_500, abs=20)
    assert glaciers["ref_id"][~known].tolist() == [None]


def test_a_complex_without_any_glacier_of_the_inventory_is_one_piece(inventory_file):
    lone = shapely.box(620_000, 5_195_000, 621_000, 5_196_000)
    glaciers, _ = split(inventory_file([WEST, EAST]), ICE, lone)
    assert glaciers["divided"].tolist() == [1, 1, 0]
    assert glaciers.geometry[2].equals(lone)


def test_a_small_glacier_of_the_inventory_stays(inventory_file):
    small = shapely.box(603_000, 5_195_000, 603_200, 5_195_200)  # 0.04 km2
    around = EAST.difference(small)
    glaciers, _ = split(inventory_file([WEST, around, small]), ICE)
    assert sorted(glaciers["ref_id"]) == ["RGI-0", "RGI-1", "RGI-2"]


def test_ice_apart_from_the_inventory_is_flagged_however_near(inventory_file):
    near = shapely.box(602_300, 5_195_000, 602_700, 5_198_000)  # 300 m east of the glacier's ice
    glaciers, _ = split(inventory_file([WEST]), WEST, near)
    assert glaciers["ref_id"].tolist() == ["RGI-0", None]
    assert glaciers["divided"].tolist() == [1, 0]
    # So is a part of the same complex that only a corner holds to it.
    group = Outlines(as_geometries([WEST, near]), UTM, {"complex_id": np.array([1, 1])})
    inventory = Inventory(inventory_file([WEST]), shapely.union_all([WEST, near]), UTM)
    glaciers, _ = split_glaciers(group, None, inventory=inventory)
    assert glaciers["ref_id"].tolist() == ["RGI-0", None]


def test_ice_never_takes_a_glacier_that_it_does_not_show(inventory_file):
    # The second glacier has gone; the ice that is left lies beside where it was.
    gone = shapely.box(602_200, 5_195_000, 603_000, 5_198_000)
    ice = shapely.box(600_000, 5_195_000, 602_150, 5_198_000)
    glaciers, _ = split(inventory_file([WEST, gone]), ice)
    assert glaciers["ref_id"].tolist() == ["RGI-0"]


def test_a_corner_of_a_large_glacier_is_no_glacier(inventory_file):
    # The outline is 60 m wider than the western glacier, and of the eastern it holds 0.03 km2 here
    # and 3 km2 there.
    wide = shapely.box(600_000, 5_195_000, 602_010, 5_198_000)
    rest = shapely.box(604_000, 5_195_000, 605_000, 5_198_000)
    glaciers, _ = split(inventory_file([WEST, EAST]), wide, rest)
    assert glaciers["ref_id"].tolist() == ["RGI-0", "RGI-1"]
    assert glaciers.geometry[0].equals(wide)
    # Where that is all that is left of a glacier, it is kept.
    glaciers, _ = split(inventory_file([WEST, EAST]), wide)
    assert sorted(glaciers["ref_id"]) == ["RGI-0", "RGI-1"]


def test_no_outlines_need_no_inventory(inventory_file):
    assert inventory_around(inventory_file([WEST]), complexes()) is None


def test_an_overlap_goes_to_the_smaller(inventory_file):
    wide = shapely.box(602_000 - 1000, 5_195_000, 606_000, 5_198_000)
    glaciers, _ = split(inventory_file([WEST, wide]), ICE)
    first = glaciers.geometry[glaciers["ref_id"] == "RGI-0"][0]
    assert first.symmetric_difference(WEST).area < 0.005 * WEST.area


def test_an_inventory_of_another_place_is_refused(inventory_file):
    far = shapely.box(900_000, 5_195_000, 901_000, 5_196_000)
    with pytest.raises(GridError, match=r"No glacier of inv\.gpkg lies near"):
        split(inventory_file([far]), ICE)


def test_an_inventory_without_polygons_is_refused(inventory_file):
    with pytest.raises(OutlineError, match="holds no polygons"):
        split(inventory_file([shapely.Point(600_000, 5_195_000)]), ICE)
    with pytest.raises(OutlineError, match="does not exist"):
        split("nowhere.gpkg", ICE)


def test_broken_polygons_are_mended(inventory_file):
    bow = shapely.Polygon([(600_000, 5_195_000), (602_000, 5_198_000), (602_000, 5_195_000),
                           (600_000, 5_198_000)])  # fmt: skip
    glaciers, _ = split(inventory_file([bow, EAST]), ICE)
    assert shapely.is_valid(glaciers.geometry).all()
    assert "RGI-1" in glaciers["ref_id"].tolist()
