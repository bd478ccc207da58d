import numpy as np
import pytest
import shapely
from factories import disc, utm_grid
from hypothesis import given, settings
from hypothesis import strategies as st

from glacierx.options import OutlineOptions
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.outlines.trace import trace_outlines
from glacierx.outlines.zonal import zonal_columns
from glacierx.scene.prediction import NODATA, open_prediction

ALL = OutlineOptions(min_area_km2=0)


def measure(path, aoi=None):
    with open_prediction(path, aoi=aoi) as prediction:
        outlines = trace_outlines(prediction, ALL)
        return outlines, zonal_columns(outlines, prediction).columns


def test_mean_probability_of_each_outline(make_probability):
    steps = np.zeros((700, 60), int)  # more than one band of rows
    steps[10:20, 10:20] = 150
    steps[500:600, 30:40] = 200
    steps[550:600, 30:40] = 250
    _, columns = measure(make_probability(steps))
    assert columns["mean_probability"].tolist() == [0.6, 0.9]


@pytest.mark.parametrize("rows", [40, 511, 512, 513, 1100])
def test_flags_at_the_frame_and_beside_nodata(make_probability, rows):
    steps = np.zeros((rows, 60), int)
    steps[5:10, 0:5] = 250  # the left frame
    steps[rows - 5 : rows, 20:30] = 250  # the lower frame
    steps[12:20, 10:20] = 250  # nothing
    steps[12:20, 40:50] = 250
    steps[20, 44] = NODATA
    _, columns = measure(make_probability(steps))
    assert columns["touches_edge"].tolist() == [1, 0, 0, 1]
    assert columns["touches_nodata"].tolist() == [0, 0, 1, 0]
    assert columns["cut_by_aoi"].tolist() == [0, 0, 0, 0]


def test_nodata_across_the_seam_of_two_bands_is_seen(make_probability):
    steps = np.zeros((1100, 30), int)
    steps[512:520, 5:15] = 250
    steps[511, 8] = NODATA
    _, columns = measure(make_probability(steps))
    assert columns["touches_nodata"].tolist() == [1]


def test_a_corner_is_no_touch(make_probability):
    steps = np.zeros((30, 30), int)
    steps[10:20, 10:20] = 250
    steps[20, 20] = NODATA
    _, columns = measure(make_probability(steps))
    assert columns["touches_nodata"].tolist() == [0]


def test_the_share_of_invalid_pixels_counts_those_within(make_probability):
    mask = disc((100, 100), (50, 50), 40)
    steps = np.where(mask, 250, 0)
    steps[40:50, 40:60] = NODATA  # 200 pixels in a hole
    steps[60:65, 40:50] = 0  # a nunatak is not invalid
    steps[0:5] = NODATA  # nor is what lies outside
    _, columns = measure(make_probability(steps))
    inside = int((steps == 250).sum())
    assert columns["invalid_share"].tolist() == [pytest.approx(200 / (inside + 200), abs=1e-4)]


def test_the_edge_of_the_area_of_interest_is_not_nodata(make_probability, tmp_path):
    import fiona

    grid = utm_grid((60, 60))
    steps = np.full((60, 60), NODATA)
    steps[:30] = 0
    steps[10:30, 10:20] = 250
    steps[5:10, 40:50] = 250
    path = make_probability(steps, tags={"GLACIERX_AOI": "yes"})
    with fiona.open(
        tmp_path / "aoi.gpkg", "w", "GPKG", schema={"geometry": "Polygon", "properties": {}},
        crs_wkt=grid.crs.to_wkt(),
    ) as file:  # fmt: skip
        half = shapely.box(600_000, 5_199_700, 600_600, 5_200_000)
        file.write({"type": "Feature", "geometry": half.__geo_interface__, "properties": {}})
    _, known = measure(path, aoi=tmp_path / "aoi.gpkg")
    assert known["cut_by_aoi"].tolist() == [0, 1]
    assert known["touches_nodata"].tolist() == [0, 0]
    # Without the area the two cannot be told apart: no answer is better than a wrong one.
    _, unknown = measure(path)
    assert unknown["cut_by_aoi"].tolist() == [0, None]
    assert unknown["touches_nodata"].tolist() == [0, None]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_every_pixel_of_ice_is_counted_once(tmp_path_factory, seed):
    from glacierx.scene.geotiff import RowWriter
    from glacierx.scene.prediction import probability_layout

    random = np.random.default_rng(seed)
    steps = random.choice([0, 130, 190, 250, NODATA], (37, 41))
    path = tmp_path_factory.mktemp("z") / "p.tif"
    layout = probability_layout(("glacier",), {})
    with RowWriter(path, utm_grid(steps.shape), layout) as writer:
        writer.write(steps[None].astype("uint8"))
    outlines, columns = measure(path)
    pixels = np.round(shapely.area(outlines.geometry) / 100)
    total = (pixels * columns["mean_probability"]).sum()
    ice = (steps >= 126) & (steps != NODATA)
    assert total == pytest.approx(steps[ice].sum() * 0.004, rel=1e-3)


def test_no_outlines_have_no_columns_of_their_own(make_probability):
    with open_prediction(make_probability(np.zeros((20, 20), int))) as prediction:
        empty = Outlines(as_geometries([]), prediction.grid.crs, {})
        columns = zonal_columns(empty, prediction).columns
    assert all(len(values) == 0 for values in columns.values())
