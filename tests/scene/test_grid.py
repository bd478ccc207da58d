import numpy as np
import pytest
from affine import Affine
from factories import utm_grid
from rasterio.crs import CRS
from rasterio.windows import Window

from glacierx.errors import GridError
from glacierx.scene.grid import Grid


def test_position_zero_is_the_outer_corner_of_the_first_pixel():
    grid = utm_grid((100, 200), gsd=30)
    assert [float(v) for v in grid.to_map(0, 0)] == [600_000, 5_200_000]
    assert [float(v) for v in grid.to_map(1, 2)] == [600_060, 5_199_970]


@pytest.mark.parametrize(
    "transform",
    [
        Affine(10, 0, 500_000, 0, -10, 5_000_000),
        Affine(10, 0, 500_000, 0, 10, 5_000_000),  # south-up
        Affine(8, 6, 500_000, 6, -8, 5_000_000),  # rotated
    ],
)
def test_pixels_and_map_are_inverse(transform):
    grid = Grid(CRS.from_epsg(32632), transform, (50, 70))
    rows, columns = np.array([0.0, 12.5, 50.0]), np.array([0.0, 33.25, 70.0])
    back = grid.to_pixels(*grid.to_map(rows, columns))
    assert np.allclose(back, (rows, columns), atol=1e-9)


def test_a_cropped_grid_begins_at_its_window():
    grid = Grid(CRS.from_epsg(32632), Affine(8, 6, 500_000, 6, -8, 5_000_000), (50, 70))
    part = grid.crop(Window(20, 10, 5, 7))
    assert part.shape == (7, 5)
    assert np.allclose(part.to_map(0, 0), grid.to_map(10, 20))


def test_gsd_of_a_rotated_grid_is_the_side_of_its_pixel():
    # A pixel of (8, 6) by (6, -8) metres has the side 10; UTM's scale at 3 degrees east of its
    # middle is within 0.1 % of true.
    grid = Grid(CRS.from_epsg(32632), Affine(8, 6, 600_000, 6, -8, 5_200_000), (50, 70))
    assert grid.gsd_m == pytest.approx(10, rel=1e-3)


def test_gsd_of_a_geographic_grid_is_in_metres():
    # At 60 degrees a degree of longitude is half as long as at the equator: 111.3 km / 2.
    grid = Grid(CRS.from_epsg(4326), Affine(0.001, 0, 10, 0, -0.001, 60.05), (100, 100))
    height, width = grid.pixel_m
    assert height == pytest.approx(111.4, rel=0.002)
    assert width == pytest.approx(55.8, rel=0.002)


def test_gsd_in_feet_is_in_metres():
    # EPSG:2263 is in US survey feet of 0.3048006 m.
    grid = Grid(CRS.from_epsg(2263), Affine(100, 0, 980_000, 0, -100, 200_000), (10, 10))
    assert grid.gsd_m == pytest.approx(30.48, rel=1e-3)


def test_coarsening_keeps_the_footprint():
    grid = utm_grid((100, 60))
    assert grid.coarsened((25, 30)).footprint.equals(grid.footprint)


def test_grids_match_within_a_thousandth_of_a_pixel():
    grid = utm_grid((100, 60))
    near = utm_grid((100, 60), corner=(600_000.005, 5_200_000))
    far = utm_grid((100, 60), corner=(600_001, 5_200_000))
    assert grid.matches(near)
    assert not grid.matches(far)


@pytest.mark.parametrize("numbers", [(np.nan, 0, 0, 0, -10, 0), (0, 0, 5, 0, 0, 5)])
def test_an_absurd_geotransform_is_refused(numbers):
    with pytest.raises(GridError, match="not a grid"):
        Grid(CRS.from_epsg(32632), Affine(*numbers), (10, 10))


def test_a_grid_nowhere_on_earth_is_refused():
    grid = Grid(CRS.from_epsg(32632), Affine(10, 0, 1e12, 0, -10, 1e12), (10, 10))
    with pytest.raises(GridError, match="nowhere on Earth"):
        _ = grid.gsd_m
