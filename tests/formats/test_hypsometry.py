import numpy as np
import pytest
import shapely
from factories import utm_grid, write_tif
from rasterio.crs import CRS

from glacierx.formats.hypsometry import largest_remainder, measure
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.scene.geodesy import LONLAT, transform_points
from glacierx.scene.terrain import Dem

UTM = CRS.from_epsg(32632)


def test_the_largest_remainders_get_what_is_missing():
    # Of three equal parts 333 each, and one more for the first.
    assert largest_remainder(np.array([1, 1, 1])).tolist() == [334, 333, 333]
    # 1000 / 7 = 142 6/7: seven times 142 is 994, the first six get one more.
    assert largest_remainder(np.ones(7, int)).tolist() == [143] * 6 + [142]
    # 285.71 and 714.29: the larger remainder is that of the first.
    assert largest_remainder(np.array([2, 5])).tolist() == [286, 714]
    assert largest_remainder(np.array([0, 9, 0])).tolist() == [0, 1000, 0]


@pytest.fixture
def ramp(tmp_path):
    """A DEM that rises by a metre for each metre to the east, from 2,000 m; a void in the north."""
    grid = utm_grid((200, 200), 10.0)
    heights = np.tile(2000 + 10 * (np.arange(200) + 0.5), (200, 1)).astype("float32")
    heights[:60] = -9999
    write_tif(tmp_path / "dem.tif", heights[None], grid, nodata=-9999)
    with Dem(tmp_path / "dem.tif") as dem:
        yield dem, grid


def place(grid, *boxes):
    """Squares in metres from the upper left corner: left, top, right, bottom."""
    x, y = grid.bounds[0], grid.bounds[3]
    shapes = [shapely.box(x + a, y - d, x + c, y - b) for a, b, c, d in boxes]
    return Outlines(as_geometries(shapes), grid.crs, {})


def test_bands_are_those_of_a_plane(ramp):
    dem, grid = ramp
    # From 2,100 to 2,300 m a plane has as much in each of four bands.
    glaciers = place(grid, (100, 1000, 300, 1400), (400, 1000, 425, 1400), (100, 0, 300, 400))
    found = measure(glaciers, dem)
    assert found.centres_m.tolist() == list(range(2125, 2425 + 1, 50))
    assert found.permille.sum(axis=1).tolist() == [1000, 1000, 0]
    # Its cells are 14 sqrt(0.08) + 10 = 14 m wide: one column of 14 more or less.
    assert found.permille[0, :4] == pytest.approx([250] * 4, abs=1000 / 14)
    assert found.permille[0, 4:].tolist() == [0, 0, 0]
    assert found.permille[1].tolist() == [0, 0, 0, 0, 0, 0, 1000]
    # The third lies in the void.
    assert found.known.tolist() == [True, True, False]


def test_a_glacier_ends_where_its_outline_is_lowest(ramp):
    dem, grid = ramp
    found = measure(place(grid, (100, 1000, 300, 1400), (100, 0, 300, 400)), dem)
    x, y = transform_points(*found.terminus[0], LONLAT, grid.crs)
    assert float(x) - grid.bounds[0] == pytest.approx(100, abs=16)
    assert 1000 <= grid.bounds[3] - float(y) <= 1400
    assert np.isnan(found.terminus[1]).all()


def test_no_glaciers_have_no_bands(ramp):
    dem, grid = ramp
    found = measure(place(grid), dem)
    assert found.permille.shape == (0, 0)
    assert len(found.centres_m) == 0
