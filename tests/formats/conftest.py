import numpy as np
import pytest
import shapely
from factories import utm_grid, write_tif
from rasterio.crs import CRS

from glacierx.outlines.attributes import add_attributes, add_complex_attributes
from glacierx.outlines.divides import Division
from glacierx.outlines.geopackage import write_layers
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.scene.terrain import Dem

UTM = CRS.from_epsg(32632)
X, Y = 600_000, 5_200_000  # the upper left corner of factories.utm_grid
RECORD = {
    "scene": {"gsd_m": 10.0, "sensor": "sentinel-2", "src_date": "2023-08-15"},
    "model": {"kind": "network", "name": "starter", "roles": ["green", "nir"]},
    "options": {"outline": {"threshold": 0.5, "smooth_px": 1.0, "min_area_km2": 0.01}},
    "dem": {"name": "dem.tif"},
    "versions": {"glacierx": "1.2.3"},
    "ümlaut": "<&>",
}


@pytest.fixture
def dem(tmp_path):
    grid = utm_grid((200, 200), 10.0)
    row, column = np.indices(grid.shape)
    heights = 3000 - 3.0 * row - 0.5 * column
    return write_tif(tmp_path / "dem.tif", heights[None].astype("float32"), grid)


def box(left, top, right, bottom):
    """A rectangle in metres from the upper left corner."""
    return shapely.box(X + left, Y - bottom, X + right, Y - top)


@pytest.fixture
def layers(dem):
    """Two glaciers of one complex, one of them with a nunatak, and one by itself."""
    with_rock = box(200, 200, 800, 800).difference(box(400, 400, 500, 500))
    glaciers = as_geometries([with_rock, box(800, 200, 1200, 800), box(200, 1200, 500, 1500)])
    wholes = as_geometries([shapely.union_all(glaciers[:2]), glaciers[2]])
    lines = as_geometries([shapely.LineString([(X + 800, Y - 200), (X + 800, Y - 800)])])
    complexes = add_complex_attributes(
        Outlines(wholes, UTM, {"complex_id": np.array([3, 7])}), gsd_m=10, src_date="2023-08-15"
    )
    parts = {
        "complex_id": np.array([3, 3, 7]),
        "parent": np.array([0, 0, 1]),
        "divided": np.array([1, 1, 0]),
        "ref_id": np.array(["a", None, None], object),
        "ref_name": np.array(["Grüner Ferner", None, None], object),
        "ref_date": np.array(["2000", None, None], object),
    }
    division = Division(
        Outlines(glaciers, UTM, parts),
        Outlines(lines, UTM, {"first": np.array([0]), "second": np.array([1])}),
    )
    with Dem(dem) as heights:
        division = add_attributes(division, dem=heights, gsd_m=10, src_date="2023-08-15")
    return {"glaciers": division.glaciers, "complexes": complexes, "divides": division.divides}


@pytest.fixture
def result(tmp_path, layers):
    return write_layers(tmp_path / "o.gpkg", layers, RECORD)
