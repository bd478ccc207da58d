import numpy as np
import pytest
from affine import Affine
from factories import utm_grid, write_tif
from rasterio.crs import CRS

from glacierx.errors import GlacierxWarning, GridError, SceneError
from glacierx.scene.geodesy import LONLAT, transform_points
from glacierx.scene.grid import Grid
from glacierx.scene.raster import overlap_share
from glacierx.scene.terrain import (
    Dem,
    fill_small_voids,
    grid_north,
    metric_grid,
    slope_aspect,
)


@pytest.mark.parametrize(
    ("east", "north", "aspect"),
    # A slope faces the way it goes down.
    [(0, 1, 180), (0, -1, 0), (1, 0, 270), (-1, 0, 90), (1, 1, 225), (-1, -1, 45)],
)
def test_slope_and_aspect_of_a_plane(east, north, aspect):
    rows, columns = np.indices((20, 20)) * 10.0
    heights = 0.5 * (east * columns - north * rows)
    slope, facing = slope_aspect(heights, 10)
    inside = (slice(2, -2),) * 2
    assert np.allclose(slope[inside], np.degrees(np.arctan(0.5 * np.hypot(east, north))))
    assert np.allclose(facing[inside], aspect)


@pytest.mark.parametrize(
    ("epsg", "bounds"),
    [
        (32632, (640_000, 5_200_000, 650_000, 5_210_000)),
        (3413, (500_000, -1_500_000, 510_000, -1_490_000)),
        (3031, (-1_200_000, 900_000, -1_190_000, 910_000)),
        (3413, (-300_000, 900_000, -290_000, 910_000)),
    ],
)
def test_grid_north_is_the_azimuth_of_up(epsg, bounds):
    grid = metric_grid(CRS.from_epsg(epsg), bounds, 100)
    x, y = grid.to_map(grid.rows / 2, grid.columns / 2)
    lon, lat = transform_points(np.array([x, x]), np.array([y, y + 100]), grid.crs, LONLAT)
    import pyproj

    azimuth = pyproj.Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])[0]
    assert (grid_north(grid) - azimuth + 180) % 360 - 180 == pytest.approx(0, abs=0.05)


def test_a_metric_grid_covers_its_bounds_on_multiples_of_the_spacing():
    grid = metric_grid(CRS.from_epsg(32632), (600_010, 5_199_990, 600_100, 5_200_010), 30)
    left, bottom, right, top = grid.bounds
    assert left <= 600_010 < 600_100 <= right
    assert bottom <= 5_199_990 < 5_200_010 <= top
    assert left % 30 == bottom % 30 == 0


def plane(grid):
    """Heights that grow by one metre in ten to the north and two in ten to the east."""
    row, column = np.indices(grid.shape) + 0.5
    x, y = grid.to_map(row, column)
    return 2000 + 0.2 * (x - 600_000) + 0.1 * (y - 5_200_000)


@pytest.mark.parametrize("gsd", [10, 30, 90])
def test_a_plane_is_a_plane_on_any_grid(make_dem, gsd):
    own = utm_grid((9000 // gsd, 9000 // gsd), gsd, corner=(599_000, 5_201_000))
    target = metric_grid(own.crs, (600_000, 5_195_000, 603_000, 5_198_000), 30)
    with Dem(make_dem(plane(own), own)) as dem:
        raster = dem.read(target)
    assert raster.valid.all()
    assert np.allclose(raster.values[0], plane(target), atol=0.02)


def test_a_dem_in_another_crs_is_moved(make_dem):
    target = metric_grid(CRS.from_epsg(32632), (600_000, 5_195_000, 603_000, 5_198_000), 30)
    row, column = np.indices((400, 400)) + 0.5
    from affine import Affine

    own = Grid(LONLAT, Affine(0.0002, 0, 10.29, 0, -0.0002, 46.95), (400, 400))
    x, y = transform_points(*own.to_map(row, column), LONLAT, target.crs)
    heights = 2000 + 0.2 * (x - 600_000) + 0.1 * (y - 5_200_000)
    with Dem(make_dem(heights, own)) as dem:
        raster = dem.read(target)
    assert raster.valid.all()
    # Cells of 18 m are averaged over 30 m: which fall in differs by half a cell, 9 m on 1 in 9.
    assert np.allclose(raster.values[0], plane(target), atol=0.5)


def test_outside_the_dem_nothing_is_known(make_dem):
    own = utm_grid((100, 100), 30, corner=(600_000, 5_200_000))
    with Dem(make_dem(plane(own), own)) as dem:
        half = dem.read(metric_grid(own.crs, (601_500, 5_198_000, 604_500, 5_199_000), 30))
        none = dem.read(metric_grid(own.crs, (700_000, 5_198_000, 701_000, 5_199_000), 30))
    assert half.valid[:, :48].all()
    assert not half.valid[:, 52:].any()
    assert not none.valid.any()


def test_small_voids_are_filled_and_large_ones_are_not():
    heights = np.add.outer(np.arange(60.0), np.zeros(60)).astype("float32")
    valid = np.ones((60, 60), bool)
    valid[10:13, 10:13] = False  # 9 cells
    valid[30:45, 30:45] = False  # 225 cells
    valid[0:3, 50:53] = False  # at the frame: it may go on outside
    filled, known = fill_small_voids(np.where(valid, heights, 0), valid, largest=100)
    assert known[10:13, 10:13].all()
    assert np.allclose(filled[10:13, 10:13], heights[10:13, 10:13], atol=1)
    assert not known[30:45, 30:45].any()
    assert not known[0:3, 50:53].any()


@pytest.mark.parametrize("gsd", [10, 5, 2])
def test_scattered_voids_do_not_lower_what_is_averaged(make_dem, gsd):
    own = utm_grid((3000 // gsd + 7,) * 2, gsd)  # no multiple of any block
    heights = plane(own)
    heights[np.random.default_rng(0).random(own.shape) < 0.02] = -9999
    with Dem(make_dem(heights, own)) as dem, pytest.warns(GlacierxWarning, match="such as -9999 m"):
        raster = dem.read(metric_grid(own.crs, (600_000, 5_197_000, 603_000, 5_200_000), 30))
    assert raster.valid.all()
    # Within a cell of 30 m this plane lies within 4.5 m of its middle.
    assert np.abs(raster.values[0] - plane(raster.grid)).max() < 4.5


def test_the_strips_that_a_fine_dem_is_read_in_leave_no_trace(make_dem, monkeypatch):
    own = utm_grid((700, 650), 3)
    heights = plane(own) + np.random.default_rng(0).normal(0, 50, own.shape)
    target = metric_grid(own.crs, (600_100, 5_198_200, 601_800, 5_199_800), 30)
    found = []
    for rows in (1, 64, 10_000):
        monkeypatch.setattr("glacierx.scene.terrain.STRIP_ROWS", rows)
        with Dem(make_dem(heights, own)) as dem:
            found.append(dem.read(target).values)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


@pytest.mark.parametrize("void", [-32768, -9999, 9999])
def test_untagged_voids_are_found_and_never_averaged_into_heights(make_dem, void):
    own = utm_grid((300, 300), 10)
    heights = plane(own)
    heights[100:200, 100:200] = void
    with Dem(make_dem(heights, own)) as dem:
        with pytest.warns(GlacierxWarning, match=f"heights such as {void} m without calling"):
            raster = dem.read(metric_grid(own.crs, own.bounds, 30))
    expected = plane(raster.grid)
    assert not raster.valid[40:60, 40:60].any()
    assert np.abs(raster.values[0] - expected)[raster.valid].max() < 30


def test_tagged_voids_are_quiet(make_dem):
    own = utm_grid((300, 300), 10)
    heights = plane(own)
    heights[100:200, 100:200] = -9999
    with Dem(make_dem(heights, own, nodata=-9999)) as dem:
        raster = dem.read(metric_grid(own.crs, own.bounds, 30))
    assert not raster.valid[40:60, 40:60].any()


def test_a_dem_of_several_bands_needs_its_band(tmp_path):
    grid = utm_grid((20, 20), 30)
    values = np.stack([np.full((20, 20), 100), np.full((20, 20), 2500)]).astype("uint16")
    path = write_tif(tmp_path / "a.tif", values, grid)
    with pytest.raises(SceneError, match=r"2 bands .* Give it with --dem-band"):
        Dem(path)
    with pytest.raises(SceneError, match="--dem-band is 3"):
        Dem(path, 3)
    assert Dem(path, 2).read(grid).values[0, 10, 10] == 2500
    named = write_tif(tmp_path / "b.tif", values, grid, descriptions=("blue", "elev_m"))
    assert Dem(named).band == 2


def test_scale_and_offset_of_a_dem_are_applied(tmp_path):
    grid = utm_grid((20, 20), 30)
    path = write_tif(
        tmp_path / "a.tif",
        np.full((1, 20, 20), 1000, "uint16"),
        grid,
        scales=(2.0,),
        offsets=(5.0,),
    )
    assert Dem(path).read(grid).values[0, 10, 10] == 2005


def test_heights_in_feet_are_refused(tmp_path):
    import rasterio

    path = write_tif(tmp_path / "a.tif", np.ones((1, 20, 20), "float32"), utm_grid((20, 20)))
    for unit in ("ft", "US survey foot", "international feet", "cm", "dm"):
        with rasterio.open(path, "r+") as file:
            file.units = (unit,)
        with pytest.raises(SceneError, match=rf"heights of a\.tif are in {unit}"):
            Dem(path)
    for unit in ("m", "metre", "Meters", "m above MSL", ""):
        with rasterio.open(path, "r+") as file:
            file.units = (unit,)
        Dem(path).close()


def test_overlap_is_that_of_footprints():
    east, west = utm_grid((100, 100), 30), utm_grid((100, 100), 30, epsg=32627)
    world = Grid(LONLAT, Affine(0.5, 0, -180, 0, -0.5, 90), (360, 720))
    counted = Grid(LONLAT, Affine(0.5, 0, 0, 0, -0.5, 90), (360, 720))  # 0 to 360 degrees
    for scene in (east, west):
        assert overlap_share(world, scene) == pytest.approx(1)
        assert overlap_share(counted, scene) == pytest.approx(1)
    turned = Grid(east.crs, east.transform @ Affine.rotation(45), (100, 100))
    # Degrees from Ferro, and grads from Paris: both meridians lie elsewhere.
    for epsg, left in ((4805, 27), (4807, 7)):
        other = Grid(CRS.from_epsg(epsg), Affine(0.01, 0, left, 0, -0.01, 53), (800, 900))
        assert overlap_share(other, other) == pytest.approx(1)
        assert overlap_share(other, east) == pytest.approx(1)
    # Of two unit squares that one corner and a turn of 45 degrees part, root 2 - 1 is shared.
    assert overlap_share(east, turned) == pytest.approx(2**0.5 - 1)
    assert overlap_share(east, utm_grid((10, 10), 30, corner=(800_000, 5_200_000))) == 0


@pytest.mark.parametrize("west", [-180, 0])
@pytest.mark.parametrize("epsg", [32632, 32627, 32701])
def test_a_dem_of_the_world_serves_any_place(make_dem, west, epsg):
    world = Grid(LONLAT, Affine(0.5, 0, west, 0, -0.5, 90), (360, 720))
    row, column = np.indices(world.shape) + 0.5
    lon, lat = world.to_map(row, column)
    with Dem(make_dem(1000 + 10 * lat + np.cos(np.radians(lon)), world)) as dem:
        grid = metric_grid(CRS.from_epsg(epsg), (600_000, 5_195_000, 660_000, 5_255_000), 3000)
        raster = dem.read(grid)
    x, y = grid.to_map(*(np.indices(grid.shape) + 0.5))
    lon, lat = transform_points(x, y, grid.crs, LONLAT)
    assert raster.valid.all()
    assert np.abs(raster.values[0] - 1000 - 10 * lat - np.cos(np.radians(lon))).max() < 0.1


def test_overlap_is_checked_and_named(make_dem):
    own = utm_grid((100, 100), 30)
    with Dem(make_dem(plane(own), own)) as dem:
        dem.check_overlap(utm_grid((50, 50), 30, corner=(600_300, 5_199_700)), "scene.tif")
        with pytest.raises(GridError, match=r"dem\.tif \(lon 10\..*does not overlap scene\.tif"):
            dem.check_overlap(utm_grid((50, 50), 30, corner=(700_000, 5_200_000)), "scene.tif")
        with pytest.warns(GlacierxWarning, match="covers 50% of scene.tif"):
            dem.check_overlap(utm_grid((50, 100), 30, corner=(601_500, 5_199_700)), "scene.tif")
