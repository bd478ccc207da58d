import numpy as np
import pytest
import shapely
from factories import utm_grid
from rasterio.crs import CRS

from glacierx.errors import GlacierxWarning, GridError
from glacierx.options import DivideOptions
from glacierx.outlines.divides import _parts_apart, check_dem, split_glaciers
from glacierx.outlines.flowsheds import divide_ice
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.scene.geodesy import transform_geometries
from glacierx.scene.terrain import Dem

SADDLE_X = 603_000


def complexes(*polygons, ids=None, crs=None):
    number = np.arange(1, len(polygons) + 1) if ids is None else np.array(ids)
    return Outlines(as_geometries(polygons), crs or CRS.from_epsg(32632), {"complex_id": number})


def over_a_pass(grid, x_pass=SADDLE_X, y=5_197_000):
    """Heights of two valleys that begin at a pass and lead away from it to the west and east."""
    row, column = np.indices(grid.shape) + 0.5
    x, north = grid.to_map(row, column)
    return 3000 - 0.2 * np.abs(x - x_pass) + 3e-4 * (north - y) ** 2


ICE = shapely.box(600_300, 5_196_000, 605_700, 5_198_000)
GRID = utm_grid((300, 300), 30, corner=(598_500, 5_201_500))


@pytest.fixture
def two_valleys(make_dem):
    return Dem(make_dem(over_a_pass(GRID), GRID))


def test_two_glaciers_are_divided_on_the_saddle(two_valleys):
    glaciers, divides = split_glaciers(complexes(ICE), two_valleys)
    assert len(glaciers) == 2
    assert glaciers["divided"].tolist() == [1, 1]
    assert len(divides) == 1
    x = shapely.get_coordinates(divides.geometry)[:, 0]
    assert np.abs(x - SADDLE_X).max() < 60  # two cells of the grid
    assert shapely.union_all(glaciers.geometry).symmetric_difference(ICE).area < 1e-6
    assert {*divides["first"], *divides["second"]} == {0, 1}


def test_domes_are_divided_along_their_ridges_and_on_the_saddle(make_dem):
    row, column = np.indices(GRID.shape) + 0.5
    x, y = GRID.to_map(row, column)
    heights = 2000 + sum(
        800 * np.exp(-((x - peak) ** 2 + (y - 5_197_000) ** 2) / (2 * 1500**2))
        for peak in (601_500, 604_500)
    )
    with Dem(make_dem(heights, GRID)) as dem:
        glaciers, divides = split_glaciers(complexes(ICE), dem)
    assert len(glaciers) >= 2
    # By symmetry ice parts on the line through both tops and on the line between them.
    xy = shapely.get_coordinates(divides.geometry)
    away = np.minimum(np.abs(xy[:, 0] - SADDLE_X), np.abs(xy[:, 1] - 5_197_000))
    assert away.max() < 75


@pytest.mark.parametrize("gsd", [5, 15, 30, 60])
def test_the_dems_own_spacing_hardly_matters(make_dem, gsd):
    grid = utm_grid((9000 // gsd, 9000 // gsd), gsd, corner=(598_500, 5_201_500))
    with Dem(make_dem(over_a_pass(grid), grid)) as dem:
        if gsd > 45:
            with pytest.warns(GlacierxWarning, match="cells of dem.tif are 60 m wide"):
                _, divides = split_glaciers(complexes(ICE), dem)
        else:
            _, divides = split_glaciers(complexes(ICE), dem)
    assert np.abs(shapely.get_coordinates(divides.geometry)[:, 0] - SADDLE_X).max() < 75


@pytest.mark.parametrize("epsg", [4326, 3857, 3035])
def test_outlines_and_dem_may_have_different_crs(two_valleys, epsg):
    crs = CRS.from_epsg(epsg)
    moved = transform_geometries(shapely.segmentize(ICE, 100), CRS.from_epsg(32632), crs)
    glaciers, divides = split_glaciers(complexes(moved, crs=crs), two_valleys)
    assert len(glaciers) == 2
    back = transform_geometries(divides.geometry, crs, CRS.from_epsg(32632))
    assert np.abs(shapely.get_coordinates(back)[:, 0] - SADDLE_X).max() < 60
    assert shapely.area(glaciers.geometry).sum() == pytest.approx(moved.area, rel=1e-9)


def test_without_heights_outlines_stay_whole():
    other = shapely.box(610_000, 5_196_000, 611_000, 5_197_000)
    glaciers, divides = split_glaciers(complexes(ICE, other), None)
    assert glaciers["divided"].tolist() == [0, 0]
    assert glaciers["complex_id"].tolist() == [1, 2]
    assert glaciers.geometry[0].equals(ICE)
    assert len(divides) == 0


def test_ice_beyond_the_dem_stays_one_piece_and_is_flagged(make_dem):
    # The DEM ends at x = 604,500, within the eastern valley.
    grid = utm_grid((300, 200), 30, corner=(598_500, 5_201_500))
    far = shapely.box(606_500, 5_196_000, 608_500, 5_198_000)
    with Dem(make_dem(over_a_pass(grid), grid)) as dem:
        glaciers, _ = split_glaciers(complexes(ICE, far), dem)
    divided = {
        (row, flag) for row, flag in zip(glaciers["parent"], glaciers["divided"], strict=True)
    }
    assert (1, 0) in divided
    assert (1, 1) not in divided
    west = glaciers.geometry[(glaciers["divided"] == 1)]
    [east] = glaciers.geometry[(glaciers["divided"] == 0) & (glaciers["parent"] == 0)]
    assert len(west) == 2
    assert east.bounds[0] == pytest.approx(604_500, abs=45)
    assert shapely.area(glaciers.geometry[glaciers["parent"] == 0]).sum() == pytest.approx(ICE.area)


def test_a_small_complex_is_one_glacier_and_known(two_valleys):
    small = shapely.box(602_900, 5_196_900, 603_100, 5_197_100)  # on the saddle, 0.04 km2
    glaciers, _ = split_glaciers(complexes(small), two_valleys)
    assert len(glaciers) == 1
    assert glaciers["divided"].tolist() == [1]


def test_a_complex_smaller_than_a_cell_is_handled(two_valleys):
    speck = shapely.box(602_900, 5_196_900, 602_908, 5_196_908)
    glaciers, _ = split_glaciers(complexes(speck), two_valleys)
    assert glaciers["divided"].tolist() == [1]


def test_strands_thinner_than_a_cell_are_known_too(two_valleys):
    # A block, and a strand 10 m wide and 1 km long from it, between the centres of cells.
    block = shapely.box(600_300, 5_196_900, 600_400, 5_197_000)
    strand = shapely.box(600_400, 5_196_955, 601_400, 5_196_965)
    glaciers, _ = split_glaciers(complexes(shapely.union(block, strand)), two_valleys)
    assert glaciers["divided"].tolist() == [1]


def test_a_bit_of_ice_beyond_the_dem_joins_the_glacier_beside_it(make_dem):
    # The DEM ends two cells within the ice: 0.12 km2, 2 km long and 60 m wide.
    grid = utm_grid((300, 238), 30, corner=(598_500, 5_201_500))
    with Dem(make_dem(over_a_pass(grid), grid)) as dem:
        glaciers, _ = split_glaciers(complexes(ICE), dem)
    assert glaciers["divided"].tolist() == [1, 1]


def test_ice_flows_from_outline_to_outline_of_one_complex(two_valleys, monkeypatch):
    seen = []

    def spy(ice, *arguments):
        seen.append(int(ice.sum()))
        return divide_ice(ice, *arguments)

    monkeypatch.setattr("glacierx.outlines.divides.divide_ice", spy)
    west = shapely.box(600_300, 5_196_000, 603_600, 5_197_000)
    east = shapely.box(603_600, 5_197_000, 605_700, 5_198_000)
    split_glaciers(complexes(west, east, ids=[1, 1]), two_valleys)
    assert seen == [pytest.approx((west.area + east.area) / 30**2, rel=0.02)]
    seen.clear()
    split_glaciers(complexes(west, east, ids=[1, 2]), two_valleys)
    assert len(seen) == 2


def test_outlines_of_one_complex_are_divided_together(two_valleys):
    # Two boxes that touch in a corner on the saddle's far side: one flow field for both.
    west = shapely.box(600_300, 5_196_000, 603_600, 5_197_000)
    east = shapely.box(603_600, 5_197_000, 605_700, 5_198_000)
    glaciers, _ = split_glaciers(complexes(west, east, ids=[1, 1]), two_valleys)
    assert set(glaciers["complex_id"]) == {1}
    assert shapely.area(glaciers.geometry).sum() == pytest.approx(west.area + east.area)


def test_dividing_glaciers_again_keeps_their_borders_and_drops_old_references(two_valleys):
    once, lines = split_glaciers(complexes(ICE), two_valleys)
    marked = once.with_columns(ref_id=np.array(["a", "b"], dtype=object))
    twice, again = split_glaciers(marked, two_valleys)
    assert len(twice) == 2
    assert "ref_id" not in twice.columns
    assert len(again) == 1
    assert again.geometry[0].equals(lines.geometry[0])


def test_parts_of_a_complex_that_lie_far_apart_are_divided_one_by_one(two_valleys):
    far = shapely.box(900_300, 5_496_000, 900_900, 5_498_000)
    near = shapely.box(605_700, 5_198_000, 606_000, 5_198_300)  # touches in a corner
    group = complexes(ICE, far, near, ids=[1, 1, 1])
    parts = _parts_apart(group, np.arange(3), 30.0)
    assert sorted(part.tolist() for part in parts) == [[0, 2], [1]]
    glaciers, _ = split_glaciers(group, two_valleys)
    assert set(glaciers["parent"]) == {0, 1, 2}
    assert (glaciers["divided"] == 0)[glaciers["parent"] == 1].all()
    assert (glaciers["divided"] == 1)[glaciers["parent"] == 0].all()


def test_nothing_divided_is_nothing():
    empty = complexes()
    glaciers, divides = split_glaciers(empty, None)
    assert len(glaciers) == len(divides) == 0
    assert {"complex_id", "divided"} <= set(glaciers.columns)


def test_a_coarse_dem_is_refused_unless_forced(make_dem):
    for gsd in (104, 150):
        grid = utm_grid((60, 60), gsd)
        with (
            Dem(make_dem(over_a_pass(grid), grid)) as dem,
            pytest.raises(GridError, match=f"{gsd} m wide: too coarse"),
        ):
            check_dem(dem, DivideOptions())
    with Dem(make_dem(over_a_pass(grid), grid)) as dem:
        with pytest.raises(GridError, match=r"150 m wide: too coarse .* or --force-dem"):
            check_dem(dem, DivideOptions())
        with pytest.warns(GlacierxWarning, match="150 m wide"):
            check_dem(dem, DivideOptions(force_dem=True))


@pytest.mark.parametrize(("gsd", "told"), [(20, 0), (30, 0), (35, 1), (90, 1)])
def test_a_dem_coarser_than_the_grid_is_told_once(make_dem, recwarn, gsd, told):
    grid = utm_grid((60, 60), gsd)
    with Dem(make_dem(over_a_pass(grid), grid)) as dem:
        for _ in range(3):
            check_dem(dem, DivideOptions())
    assert len(recwarn) == told


def test_the_kienholz_preset_is_the_published_one():
    from glacierx.options import DIVIDE_PRESETS

    published = DIVIDE_PRESETS["kienholz2013"]
    # 14.3 m times the root of the number of 40 m cells, at most 3500 m; no burning.
    cells = 10e6 / 40**2
    assert published.radius_factor * 10e6**0.5 == pytest.approx(14.3 * cells**0.5)
    assert (published.radius_max_m, published.burn_slope) == (3500, 0)
    assert (published.gutter_m, published.gutter_depth_m) == (40, 100)
    assert published.sliver_km2 == 0.1


def test_progress_is_told(two_valleys):
    seen = []
    split_glaciers(complexes(ICE), two_valleys, progress=lambda *call: seen.append(call))
    assert seen == [(1, 1, "complexes divided")]
