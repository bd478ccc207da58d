import numpy as np
import pytest
import shapely
from factories import utm_grid
from rasterio.crs import CRS

from glacierx.evaluate.lattice import Lattice
from glacierx.scene.geodesy import LONLAT, areas_km2, transform_geometries
from glacierx.scene.terrain import Dem


@pytest.fixture
def plane(make_dem):
    """Heights fall by 1 m a metre to the south from 4000 m."""
    grid = utm_grid((200, 200), 10)
    with Dem(make_dem(4000.0 - 10 * (np.indices(grid.shape)[0] + 0.5), grid)) as dem:
        yield dem


def lonlat(*box):
    x, y = utm_grid((1, 1)).to_map(np.array(box[:2]), np.array(box[2:]))
    return transform_geometries(shapely.box(x[0], y[1], x[1], y[0]), CRS.from_epsg(32632), LONLAT)


def lattice_of(dem, *outlines):
    shapes = np.empty(len(outlines), dtype=object)
    shapes[:] = outlines
    return Lattice(dem, shapes), shapes


def test_cells_cover_the_outline_and_know_their_heights(plane):
    outline = lonlat(20, 120, 30, 130)
    lattice, shapes = lattice_of(plane, outline)
    cells = lattice.cells(outline)
    height, width = cells.grid.pixel_m
    assert height == pytest.approx(width, rel=0.01)
    assert 9 < height < 11
    area = cells.ice.sum() * cells.grid.row_areas_m2(0, 1)[0]
    assert area == pytest.approx(areas_km2(shapes, LONLAT)[0] * 1e6, rel=0.02)
    assert cells.known.sum() == cells.ice.sum()
    # Rows 20 to 120 of 10 m: the middle is row 70.
    assert np.median(cells.heights[cells.known]) == pytest.approx(4000 - 700, abs=10)


def test_neighbours_share_no_cell_and_make_up_the_whole(plane):
    whole, west, east = lonlat(20, 120, 30, 130), lonlat(20, 120, 30, 77), lonlat(20, 120, 77, 130)
    lattice, _ = lattice_of(plane, whole, west, east)
    counts = [int(lattice.cells(shape).ice.sum()) for shape in (whole, west, east)]
    assert counts[0] == counts[1] + counts[2]


def test_a_cell_belongs_to_the_nearest_of_several(plane):
    whole, west, east = lonlat(20, 120, 30, 130), lonlat(20, 120, 30, 50), lonlat(20, 120, 110, 130)
    lattice, _ = lattice_of(plane, whole)
    cells = lattice.cells(whole)
    owner = cells.nearest([west, east])
    columns = np.flatnonzero(cells.ice.any(axis=0))
    middle = cells.ice.shape[0] // 2
    # Half way between column 50 and column 110 of ten metres lies column 80: five tenths across.
    change = np.flatnonzero(np.diff(owner[middle]))
    assert len(change) == 1
    assert (change[0] - columns[0]) / len(columns) == pytest.approx(0.5, abs=0.03)


def test_an_outline_smaller_than_a_cell_has_one(plane):
    dot = lonlat(50.1, 50.2, 50.1, 50.2)
    lattice, _ = lattice_of(plane, dot)
    assert lattice.cells(dot).known.sum() >= 1
