from dataclasses import replace

import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from factories import box, utm_grid, write_outlines, write_tif
from rasterio.crs import CRS

from glacierx.errors import GridError, OptionError
from glacierx.scene.geodesy import LONLAT, transform_geometries
from glacierx.scene.grid import Grid
from glacierx.scene.vector import read_layer
from glacierx.simulate.place import read_place, relief_of, stairs_m, without_stairs
from glacierx.simulate.weather import Snow, Weather

DEM_M = 30.0
SIDE = 140
UTM = CRS.from_epsg(32632)


def valley(side=SIDE):
    rows, columns = np.indices((side, side))
    return (3500 - 6.0 * rows + 9.0 * np.abs(columns - side / 2)).astype(np.float32)


@pytest.fixture
def dem(make_dem):
    return make_dem(valley(), utm_grid((SIDE, SIDE), DEM_M), nodata=-9999)


TWO = [box((20, 90), (50, 70), DEM_M), box((20, 90), (70, 92), DEM_M)]


@pytest.fixture
def inventory(tmp_path):
    return write_outlines(tmp_path / "inventory.gpkg", TWO, glac_id=np.array(["left", "right"]))


def place_of(dem, outlines, size=2048, gsd_m=DEM_M, seed=0):
    return read_place(dem, outlines, size, gsd_m, np.random.default_rng(seed))


def test_glaciers_and_heights_lie_on_the_grid_of_the_dem(dem, inventory):
    place = place_of(dem, inventory)
    assert place.grid.matches(utm_grid((SIDE, SIDE), DEM_M))
    assert place.valid.all()
    np.testing.assert_allclose(place.heights, valley(), atol=6)  # of 9 m a pixel
    expected = np.zeros((SIDE, SIDE), int)
    expected[20:90, 50:70], expected[20:90, 70:92] = 1, 2
    np.testing.assert_array_equal(place.glacier > 0, expected > 0)
    assert len(np.unique(place.glacier)) == 3
    assert list(place.ids["ref_id"][place.glacier[50, [60, 80]] - 1]) == ["left", "right"]
    assert not place.southern


def test_a_finer_gsd_gives_smooth_slopes_without_the_cells_of_the_dem(dem, inventory):
    place = place_of(dem, inventory, gsd_m=6.0)
    assert place.grid.shape == (SIDE * 5, SIDE * 5)
    down = -np.diff(place.heights[100:600, 200], axis=0)
    # 6 m a cell of 30 m is 1.2 m a pixel everywhere: stairs would be 0 and 6.
    assert down.min() > 1.0
    assert down.max() < 1.4


def test_an_inventory_may_have_another_crs(dem, tmp_path):
    moved = transform_geometries(np.array(TWO, dtype=object), UTM, LONLAT)
    lonlat = write_outlines(tmp_path / "lonlat.gpkg", list(moved), epsg=4326)
    place = place_of(dem, lonlat)
    ice = np.zeros((SIDE, SIDE), bool)
    ice[20:90, 50:92] = True
    assert ((place.glacier > 0) != ice).sum() < 8  # straight edges bend by less than a pixel


def test_a_dem_in_degrees_gets_its_utm_zone(tmp_path, inventory):
    box_ = transform_geometries(utm_grid((SIDE, SIDE), DEM_M).footprint, UTM, LONLAT).bounds
    step = 1 / 3600
    shape = tuple(int((box_[i + 2] - box_[i]) / step) for i in (1, 0))
    grid = Grid(LONLAT, Affine(step, 0, box_[0], 0, -step, box_[3]), shape)
    heights = np.linspace(3500, 2500, shape[0])[:, None] * np.ones(shape)
    dem = write_tif(tmp_path / "lonlat.tif", heights[None].astype("float32"), grid, nodata=-9999)
    place = place_of(dem, inventory)
    assert place.grid.crs == UTM
    assert place.grid.gsd_m == pytest.approx(30, rel=0.01)
    assert not place.valid.all()  # its corners are outside of a box in degrees
    assert np.isfinite(place.heights).all()
    assert (place.glacier > 0).sum() * 900 == pytest.approx(70 * 42 * 900, rel=0.02)


def test_voids_stay_voids_and_hold_no_ice(make_dem, inventory):
    heights = valley()
    heights[:, 80:] = -9999
    dem = make_dem(heights, utm_grid((SIDE, SIDE), DEM_M), nodata=-9999)
    place = place_of(dem, inventory)
    assert not place.valid[:, 82:].any()
    assert place.valid[:, :78].all()
    assert not place.glacier[~place.valid].any()
    assert place.heights.min() > 2000  # filled with what is nearest, not with the void's number


@pytest.mark.parametrize("seed", range(5))
def test_a_window_holds_ice_and_other_ground(dem, inventory, seed):
    place = place_of(dem, inventory, size=70, seed=seed)
    assert place.grid.shape == (70, 70)
    assert 0.05 < (place.glacier > 0).mean() < 0.9
    again = place_of(dem, inventory, size=70, seed=seed)
    assert again.grid.matches(place.grid)


def test_windows_differ_by_seed(dem, inventory):
    corners = {
        tuple(place_of(dem, inventory, 70, seed=seed).grid.transform)[2] for seed in range(9)
    }
    assert len(corners) > 2


@pytest.mark.parametrize("size", [2048, 70])
def test_outlines_elsewhere_are_refused(dem, tmp_path, size):
    far = write_outlines(tmp_path / "far.gpkg", [box((9000, 9010), (0, 10), DEM_M)])
    with pytest.raises(GridError, match=r"No outline of far\.gpkg lies on the heights of dem\.tif"):
        place_of(dem, far, size)


def test_invalid_and_touching_polygons_are_burnt(dem, tmp_path):
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    x, y = utm_grid((1, 1), DEM_M).to_map(60, 40)
    bow = shapely.transform(bow, lambda xy: xy * 900 + (float(x), float(y)))
    assert not bow.is_valid
    path = write_outlines(tmp_path / "bow.gpkg", [bow, box((59, 70), (40, 70), DEM_M)])
    place = place_of(dem, path)
    assert len(np.unique(place.glacier)) == 3
    # Two triangles of half the box's area each, less the rows that the other covers.
    assert (place.glacier[:59] == place.glacier[31, 41]).sum() > 0


def test_a_dem_too_small_for_a_scene_is_refused(dem, inventory):
    with pytest.raises(OptionError, match="room for 35 x 35 pixels of 120 m"):
        place_of(dem, inventory, gsd_m=120.0)


def test_stairs_are_found_where_outlines_follow_pixels(tmp_path):
    row, column = np.indices((40, 40)) + 0.5
    disc = np.hypot(row - 20, column - 20) < 12
    grid = utm_grid((40, 40), 30)
    shapes = rasterio.features.shapes(disc.astype("uint8"), mask=disc, transform=grid.transform)
    stairs = [shapely.geometry.shape(shape) for shape, _ in shapes]
    path = write_outlines(tmp_path / "stairs.gpkg", stairs)
    assert stairs_m(read_layer(path), UTM) == pytest.approx(30)
    round_ = write_outlines(tmp_path / "round.gpkg", [stairs[0].centroid.buffer(360)])
    assert stairs_m(read_layer(round_), UTM) == 0


def test_without_stairs_a_disc_keeps_its_area_and_loses_its_corners():
    row, column = np.indices((30, 30)) + 0.5
    coarse = (np.hypot(row - 15, column - 15) < 10).astype(np.int64)
    coarse[:, 15:] *= 2  # two glaciers with a divide between them
    fine = np.kron(coarse, np.ones((10, 10), np.int64))
    smooth = without_stairs(fine, 10)
    rows, columns = np.indices(fine.shape) + 0.5
    true = np.hypot(rows - 150, columns - 150) < 100
    assert ((smooth > 0) != true).sum() < 0.7 * ((fine > 0) != true).sum()
    for number in (1, 2):
        assert (smooth == number).sum() == pytest.approx((fine == number).sum(), rel=0.02)
    assert not (smooth[:, :148] == 2).any()
    assert without_stairs(fine, 1.2) is fine


def test_the_equilibrium_line_has_its_share_of_ice_below_and_is_low_in_the_shade(dem, inventory):
    place = place_of(dem, inventory)
    relief = relief_of(place, Weather(snow=Snow(ela_quantile=0.4)), np.random.default_rng(0))
    ice = place.glacier > 0
    assert (relief.heights < relief.ela)[ice].mean() == pytest.approx(0.4, abs=0.01)
    assert relief.detail_m == pytest.approx(75, rel=0.01)
    ridge = np.abs(np.indices(place.grid.shape)[0] - SIDE / 2).astype(np.float32)
    both = replace(place, heights=4000 - 12 * ridge)
    ela = relief_of(both, Weather(), np.random.default_rng(0)).ela
    assert ela[20:60].mean() < ela[80:120].mean() - 80  # the upper half faces north
