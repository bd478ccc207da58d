import tracemalloc

import numpy as np
import pytest
import rasterio
from affine import Affine
from factories import utm_grid
from rasterio.windows import Window
from relief_grids import DEMS, SCENES, UTM, in_utm

from glacierx.scene.geodesy import GEOD, LONLAT, transform_points
from glacierx.scene.grid import Grid
from glacierx.scene.interpolation import bridge, cubic
from glacierx.scene.relief import Relief, metric, slope, smooth_field
from glacierx.scene.scene import open_scene
from glacierx.scene.terrain import Dem

BOTH = ("elevation", "slope")


def plane(grid):
    """Heights of a plane that rises by half a metre each metre of UTM."""
    x, y = in_utm(grid)
    return 3000 + 0.3 * (x - 600_000) - 0.4 * (y - 5_200_000)


def bumps(grid):
    """Mountains some kilometres wide, with ridges between."""
    x, y = in_utm(grid)
    return 2000 + 600 * np.sin(x / 480) * np.cos(y / 370) + 100 * np.abs(np.sin((x + 2 * y) / 190))


def read(path, grid, window=None, roles=BOTH):
    with Dem(path) as dem:
        return Relief(dem, grid).read(window or grid.window, roles)


@pytest.mark.parametrize("dem", DEMS)
@pytest.mark.parametrize("scene", SCENES)
def test_a_plane_has_its_heights_and_its_slope_everywhere(make_dem, scene, dem):
    grid = SCENES[scene]
    (elevation, slopes), known = read(make_dem(plane(DEMS[dem]), DEMS[dem]), grid)
    assert known.all()
    # Positions are within a hundredth of a cell, on a slope of a half.
    cell = max(DEMS[dem].gsd_m, grid.gsd_m)
    assert np.abs(elevation - plane(grid)).max() < 0.01 * cell * 0.5
    # A UTM metre is 0.03 % short of one on the ground here: 0.007 degrees. Heights of float32 two
    # metres apart are worth 0.01 more.
    assert np.abs(slopes - np.degrees(np.arctan(0.5))).max() < 0.03


def test_a_plane_keeps_its_slope_in_the_outermost_cells_of_the_dem(make_dem):
    grid = utm_grid((40, 50), 10)
    (elevation, slopes), known = read(make_dem(plane(grid), grid), grid)
    assert known.all()
    assert np.array_equal(elevation, plane(grid).astype(np.float32))
    assert np.abs(slopes - np.degrees(np.arctan(0.5))).max() < 0.02


@pytest.mark.parametrize("lat", [0.5, 47.0, 78.0])
def test_degrees_are_as_long_as_they_are(make_dem, lat):
    grid = Grid(LONLAT, Affine(1e-3, 0, 15, 0, -1e-3, lat), (60, 60))
    row, column = np.indices(grid.shape) + 0.5
    lon, north = grid.to_map(row, column)
    heights = 1000 + 8000 * (lon - 15) + 5000 * (north - lat)
    (_, slopes), _ = read(make_dem(heights, grid), grid)
    # Metres of a degree either way, between points 0.01 degrees apart.
    wide = GEOD.inv(lon - 0.005, north, lon + 0.005, north)[2] * 100
    high = GEOD.inv(lon, north - 0.005, lon, north + 0.005)[2] * 100
    expected = np.degrees(np.arctan(np.hypot(8000 / wide, 5000 / high)))
    assert np.abs(slopes - expected).max() < 0.01


def test_slopes_of_mountains_are_those_of_calculus_at_any_distance_of_cells(make_dem):
    grid = utm_grid((300, 300), 10)
    x, y = in_utm(grid)
    east = 500 / 900 * np.cos(x / 900) * np.cos(y / 900)
    north = -500 / 900 * np.sin(x / 900) * np.sin(y / 900)
    expected = np.degrees(np.arctan(np.hypot(east, north)))
    # Horn's differences over two cells of h lose h**2 / 6 of the curvature: 0.0002 of 31 degrees
    # at 30 m; the saddles between, where slope is 0, are the hardest to interpolate.
    for gsd, worst in ((5, 0.1), (10, 0.1), (30, 0.4)):
        cells = utm_grid((3400 // gsd, 3400 // gsd), gsd, corner=(599_793, 5_200_207))
        x, y = in_utm(cells)
        dem = make_dem(2000 + 500 * np.sin(x / 900) * np.cos(y / 900), cells, name=f"{gsd}.tif")
        (_, slopes), _ = read(dem, grid)
        assert np.abs(slopes - expected).max() < worst, gsd


def test_cells_of_a_coarse_dem_do_not_show_as_facets(make_dem):
    # On a round hill slope grows evenly with distance; between cells it must not come in stairs.
    grid, cells = utm_grid((90, 600), 10), utm_grid((60, 120), 90, corner=(599_000, 5_202_000))
    x, y = in_utm(cells)
    hill = 3000 - ((x - 600_000) ** 2 + (y - 5_199_550) ** 2) / 30_000
    (_, slopes), _ = read(make_dem(hill, cells), grid)
    steps = np.diff(np.tan(np.radians(slopes[45].astype(float))))[20:]
    assert steps == pytest.approx(np.full(len(steps), 2 * 10 / 30_000), rel=0.05)


WINDOWS = [
    (0, 0, 40, 30),
    (250, 240, 30, 60),
    (301, 17, 99, 1),
    (3, 299, 1, 71),
    (390, 360, 10, 10),
]


@pytest.mark.parametrize("voids", [False, True])
@pytest.mark.parametrize("gsd", [2, 7, 10, 30, "degrees"])
def test_a_window_holds_what_the_whole_does_bit_for_bit(make_dem, gsd, voids):
    grid = utm_grid((400, 370), 10)
    cells = Grid(LONLAT, Affine(1 / 3600, 0, 10.313, 0, -1 / 3600, 46.947), (150, 200))
    if gsd != "degrees":
        cells = utm_grid((4300 // gsd, 3200 // gsd), gsd, corner=(599_777, 5_200_091))
    heights = bumps(cells)
    if voids:
        random = np.random.default_rng(1)
        for row, column in random.integers(0, min(cells.shape), (30, 2)):
            heights[row : row + random.integers(1, 40), column : column + 5] = np.nan
    dem = make_dem(heights, cells)
    whole, known = read(dem, grid)
    assert voids or gsd != "degrees" or known.all()
    for top, left, rows, columns in WINDOWS:
        part, there = read(dem, grid, Window(left, top, columns, rows))
        own = np.s_[top : top + rows, left : left + columns]
        assert np.array_equal(part, whole[:, *own])
        assert np.array_equal(there, known[own])


def test_a_role_is_the_same_whichever_are_read(make_dem):
    grid = utm_grid((60, 70), 10)
    heights = bumps(grid)
    heights[10:50, 10:60] = np.nan
    dem = make_dem(heights, grid)
    (elevation, slopes), _ = read(dem, grid)
    assert np.array_equal(read(dem, grid, roles=("slope",))[0][0], slopes)
    assert np.array_equal(read(dem, grid, roles=("elevation",))[0][0], elevation)
    assert np.array_equal(read(dem, grid, roles=("slope", "elevation"))[0], [slopes, elevation])


def test_a_small_void_is_bridged(make_dem):
    grid = utm_grid((80, 80), 10)
    heights = plane(grid)
    heights[40:45, 40:45] = np.nan
    (elevation, slopes), known = read(make_dem(heights, grid), grid)
    assert known.all()
    # Means of what lies around: right in the middle, and no farther off than the void is wide.
    assert elevation[42, 42] == pytest.approx(plane(grid)[42, 42], abs=0.1)
    assert np.abs(elevation - plane(grid)).max() < 25
    assert slopes[42, 42] < 45


def test_where_there_are_no_heights_elevation_is_near_the_nearest_and_slope_is_0(make_dem):
    grid = utm_grid((200, 200), 10)
    heights = 2000 + np.arange(200.0)[None, :].repeat(200, axis=0)
    heights[:, 100:] = np.nan
    (elevation, slopes), known = read(make_dem(heights, grid), grid)
    assert known[:, :100].all()
    assert not known[:, 120:].any()
    # The scene's 64 coarse cells are 31 m wide.
    assert np.abs(elevation[:, 120:] - 2099).max() < 5
    assert not slopes[:, 120:].any()
    assert np.array_equal(elevation[:, :100], heights[:, :100].astype(np.float32))


def test_a_dem_that_covers_a_part_goes_on_flat(make_dem):
    grid = utm_grid((100, 100), 10)
    (elevation, slopes), known = read(make_dem(plane(grid)[:, :50], grid.crop(
        Window(0, 0, 50, 100))), grid)  # fmt: skip
    assert known[:, :50].all()
    assert not known[:, 50:].any()
    assert not slopes[:, 50:].any()
    edge = plane(grid)[:, 49:50]
    # A coarse cell is 16 m high, and the plane falls by 8 m a row and column.
    assert np.abs(elevation[:, 50:] - edge).max() < 25


def test_a_dem_without_heights_is_flat(make_dem):
    grid = utm_grid((20, 20), 10)
    values, known = read(make_dem(np.full((20, 20), np.nan), grid), grid)
    assert not values.any()
    assert not known.any()


@pytest.mark.parametrize("first", [-180.0, 0.0])
def test_longitudes_may_count_from_0_to_360(make_dem, first):
    world = Grid(LONLAT, Affine(0.5, 0, first, 0, -0.5, 90), (360, 720))
    lon, lat = world.to_map(*(np.indices(world.shape) + 0.5))
    dem = make_dem(1000 + 10 * lat + 100 * np.cos(np.radians(lon)), world)
    for epsg, corner in ((32632, (600_000, 5_255_000)), (32607, (500_000, 7_000_000))):
        grid = utm_grid((20, 20), 3000, corner=corner, epsg=epsg)
        lon, lat = transform_points(*grid.to_map(*(np.indices(grid.shape) + 0.5)), grid.crs, LONLAT)
        (elevation, _), known = read(dem, grid)
        assert known.all()
        assert np.abs(elevation - 1000 - 10 * lat - 100 * np.cos(np.radians(lon))).max() < 0.1


def test_a_scene_across_the_antimeridian_has_heights_of_neither_end_in_between(make_dem):
    world = Grid(LONLAT, Affine(0.5, 0, -180, 0, -0.5, 90), (360, 720))
    lon, _ = world.to_map(*(np.indices(world.shape) + 0.5))
    grid = utm_grid((40, 100), 1000, corner=(300_000, 7_300_000), epsg=32601)
    (elevation, _), known = read(make_dem(np.abs(lon), world), grid)
    # Heights are longitudes: all near 180, on either side, and none of a jump through 0.
    assert 0.2 < known.mean() < 0.9
    assert elevation.min() > 170


@pytest.mark.parametrize("gsd", [3, 10, 30])
def test_memory_is_bounded_on_a_wide_scene(tmp_path, gsd):
    # Written row by row, 200 km wide.
    cells = utm_grid((2100 // gsd, 200_000 // gsd), gsd, corner=(600_000, 5_200_500))
    with rasterio.open(
        tmp_path / "dem.tif", "w", driver="GTiff", count=1, dtype="float32", crs=cells.crs,
        transform=cells.transform, height=cells.rows, width=cells.columns,
    ) as file:  # fmt: skip
        for row in range(cells.rows):
            line = np.full((1, 1, cells.columns), row, np.float32)
            file.write(line, window=Window(0, row, cells.columns, 1))
    grid = utm_grid((64, 20_000), 10)
    with Dem(tmp_path / "dem.tif") as dem:
        relief = Relief(dem, grid)
        tracemalloc.start()
        values, known = relief.read(grid.window, BOTH)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert known.mean() > 0.99
    # What is returned, and as much again for one block of 256 x 256 at a time.
    assert peak < values.nbytes + known.nbytes + 30e6


def test_cubic_convolution_gives_back_a_parabola_and_the_cells_own_values():
    row, column = np.indices((12, 12)) + 0.5
    cells = 3 * row**2 - row * column + 2 * column
    place = np.random.default_rng(0).uniform(2.5, 9.5, (2, 50))
    expected = 3 * place[0] ** 2 - place[0] * place[1] + 2 * place[1]
    assert np.allclose(cubic(cells[None], *place)[0], expected)
    assert np.array_equal(cubic(cells[None], row[3:8, 3:8], column[3:8, 3:8])[0], cells[3:8, 3:8])


def test_a_smooth_field_is_met_at_every_pixel_of_a_small_grid():
    found = smooth_field(lambda row, column: np.stack([row, 2 * column]), (5, 70), (0, 5), (3, 70))
    assert np.allclose(found[0], np.arange(5)[:, None] + 0.5)
    assert np.allclose(found[1], 2 * np.arange(3, 70) + 1)


def test_steps_of_a_turned_grid_are_measured_on_the_ground():
    turned = DEMS["turned"]
    own, mixed, other = metric(turned, np.array([[70.0]]), np.array([[70.0]])).ravel()
    assert np.sqrt([own, other]) == pytest.approx([20, 20], rel=1e-3)
    assert abs(mixed) < 0.01
    sheared = Grid(UTM, Affine(10, 10, 600_000, 0, -10, 5_200_000), (20, 20))
    own, mixed, other = metric(sheared, np.array([[9.0]]), np.array([[9.0]])).ravel()
    assert [own, mixed, other] == pytest.approx([200, 100, 100], rel=1e-3)
    row, column = np.indices((20, 20)) + 0.5
    x, _ = sheared.to_map(row, column)
    steps = np.array([own, mixed, other])[:, None, None]
    # Rising to the east alone by one in two.
    assert np.tan(np.radians(slope(0.5 * x, steps)))[5:-5, 5:-5] == pytest.approx(0.5, rel=1e-3)


def test_a_bridge_reaches_twelve_cells():
    heights = np.full((1, 60), np.nan)
    heights[0, 20] = 7.0
    found = bridge(heights)[0]
    assert np.flatnonzero(np.isfinite(found)).tolist() == list(range(8, 33))
    assert np.allclose(found[8:33], 7.0)


def test_the_slope_band_of_real_scenes_is_that_of_their_heights(shared):
    files = sorted((shared / "scenes" / "sentinel2_debris").glob("*/img_*.tif"))
    if not files:
        pytest.skip("the scenes of debris-covered glaciers are not on this machine")
    for file in files:
        with (
            open_scene(file) as own,
            open_scene(file, bands="green=2", dem=file, dem_band=9) as scene,
        ):
            assert {"slope", "elevation", "tir1"} <= set(own.roles)
            window = own.grid.window
            theirs, ours = own.read(window, BOTH), scene.read(window, BOTH)
        assert np.array_equal(theirs.values[0], ours.values[0])
        difference = np.abs(theirs.values[1] - ours.values[1])
        # Both are whole numbers there, so half a degree is what rounding alone may do.
        assert np.median(difference) < 0.5
        assert np.percentile(difference, 99) < 2
