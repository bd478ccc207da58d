import numpy as np
import pytest
import shapely
from affine import Affine
from factories import box, disc, utm_grid, write_tif
from factories import write_outlines as outlines
from rasterio.crs import CRS
from rasterio.windows import Window

from glacierx.errors import GridError, OptionError, OutlineError, SceneError
from glacierx.scene.grid import Grid
from glacierx.scene.icemask import open_ice_mask
from glacierx.scene.icewindow import MaskChoice

ICE = disc((60, 60), (30, 30), 20)


def read(path, grid=None, align=False, **choice):
    with open_ice_mask(path, MaskChoice(**choice)) as mask:
        if grid is not None:
            mask.place(grid, align=align)
        window = mask.read(mask.grid.window)
        mask.finish()
        return window


@pytest.fixture
def make(tmp_path):
    def write(values, grid=None, name="mask.tif", **profile):
        values = np.asarray(values)
        values = values[None] if values.ndim == 2 else values
        return write_tif(tmp_path / name, values, grid or utm_grid(values.shape[1:]), **profile)

    return write


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_a_mask_of_any_type_is_read(make, dtype):
    found = read(make(ICE.astype(dtype)))
    assert np.array_equal(found.ice, ICE)
    assert found.valid.all()
    assert found.label is None
    assert found.probability is None


def test_nodata_of_any_kind_is_not_valid(make):
    hole = np.zeros_like(ICE)
    hole[20:30, 25:50] = True
    tagged = np.where(hole, 7, ICE).astype("uint8")
    assert np.array_equal(read(make(tagged, nodata=7)).valid, ~hole)
    spare = np.where(hole, 255, ICE).astype("uint8")
    found = read(make(spare))
    assert np.array_equal(found.valid, ~hole)
    assert np.array_equal(found.ice, ICE & ~hole)
    floating = np.where(hole, np.nan, ICE).astype("float32")
    assert np.array_equal(read(make(floating)).valid, ~hole)


def test_the_zero_of_a_mask_stays_ground_where_it_is_also_nodata(make):
    with open_ice_mask(make(ICE.astype("uint8"), nodata=0)) as mask:
        found = mask.read(mask.grid.window)
        assert "nodata 0" in mask.notes[0]
    assert found.valid.all()
    assert np.array_equal(found.ice, ICE)


def test_other_numbers_need_to_be_told(make):
    classes = np.where(ICE, 2, 0).astype("uint8")
    classes[:5] = 3
    path = make(classes)
    with pytest.raises(SceneError, match=r"holds the values 0, 2, 3; expected .* --positive"):
        read(path)
    assert np.array_equal(read(path, positive="2").ice, classes == 2)
    assert np.array_equal(read(path, positive="2,3").ice, classes >= 2)
    assert np.array_equal(read(path, positive="1-3").ice, classes >= 2)
    labels = read(path, positive="labels")
    assert np.array_equal(labels.label, classes)
    with pytest.raises(OptionError, match="no list of numbers"):
        read(path, positive="two")


def test_255_alone_is_not_guessed_at(make):
    path = make(np.where(ICE, 255, 0).astype("uint8"))
    with pytest.raises(SceneError, match="not clear whether 255 is glacier"):
        read(path)
    assert np.array_equal(read(path, positive="255").ice, ICE)
    assert np.array_equal(read(path, positive="1").valid, ~ICE)


def test_numbers_for_the_other_file_leave_a_mask_of_0_and_1_alone(make):
    path = make(ICE.astype("uint8"))
    assert np.array_equal(read(path, positive="2", shared=True).ice, ICE)
    assert read(path, positive="labels", shared=True).label is None
    assert not read(path, positive="2").ice.any()
    assert np.array_equal(read(path, band=3, shared=True).ice, ICE)
    with pytest.raises(SceneError, match="has 1 bands; band 3"):
        read(path, band=3)


def test_several_bands_need_one(make):
    path = make(np.stack([~ICE, ICE]).astype("uint8"))
    with pytest.raises(SceneError, match=r"2 bands, and a mask has one.*--band"):
        read(path)
    assert np.array_equal(read(path, band=2).ice, ICE)


def test_a_probability_of_ours_brings_its_threshold(make_probability):
    steps = np.where(ICE, 125, 20)
    path = make_probability(np.where(ICE, 126, 125))
    assert np.array_equal(read(path).ice, ICE)  # 0.5 is not above 0.5
    path = make_probability(steps, tags={"GLACIERX_THRESHOLD": "0.3"}, name="low.tif")
    found = read(path)
    assert np.array_equal(found.ice, ICE)
    assert np.unique(found.probability).tolist() == pytest.approx([0.08, 0.5])
    assert not read(path, threshold=0.5).ice.any()
    assert read(path, threshold=0.05).ice.all()


@pytest.mark.parametrize("scaled", [False, True])
def test_a_probability_of_another_tool_needs_a_threshold(make, scaled):
    p = np.where(ICE, 0.7, 0.3)
    if scaled:
        path = make(np.rint(p * 100).astype("uint8"), scales=(0.01,))
    else:
        path = make(p.astype("float32"))
    with pytest.raises(SceneError, match="--threshold"):
        read(path)
    assert np.array_equal(read(path, threshold=0.5).ice, ICE)
    # A pixel at the threshold is not above it, whatever its type rounds to.
    assert np.array_equal(read(path, threshold=0.3).ice, ICE)
    assert not read(path, threshold=0.7).ice.any()


def test_a_probability_may_be_one_but_for_rounding(make):
    p = np.where(ICE, 255, 20).astype("uint8")
    path = make(p, scales=(float(np.float32(1 / 255)),))
    assert np.array_equal(read(path, threshold=0.5).ice, ICE)
    path = make(np.where(ICE, np.float32(1.0000002), 0).astype("float32"))
    assert read(path, threshold=0.5).probability.max() == 1
    with pytest.raises(SceneError, match="--threshold"):
        read(path)


def test_an_alpha_band_is_a_mask_not_a_second_band(make):
    hole = np.zeros_like(ICE)
    hole[:20] = True
    bands = np.stack([ICE, np.where(hole, 0, 255)]).astype("uint8")
    path = make(bands, alpha="YES", photometric="MINISBLACK")
    found = read(path)
    assert np.array_equal(found.valid, ~hole)
    assert np.array_equal(found.ice, ICE & ~hole)


def test_a_threshold_is_for_probabilities(make):
    with pytest.raises(OptionError, match="one of whole numbers"):
        read(make(ICE.astype("uint8")), threshold=0.5)
    with pytest.raises(
        SceneError, match=r"holds the values 40; expected probabilities from 0 to 1"
    ):
        read(make(np.where(ICE, 40.0, 0.1).astype("float32")), threshold=0.5)


def test_a_truth_of_probabilities_was_swapped(make, make_probability):
    for path in (make_probability(ICE), make(np.where(ICE, 0.7, 0.3).astype("float32"))):
        with pytest.raises(SceneError, match="Are the two swapped"):
            read(path, is_truth=True)


def test_complex_numbers_are_refused(make):
    with pytest.raises(SceneError, match="complex numbers"):
        read(make(ICE.astype("complex64")))


def test_another_grid_is_refused_with_what_differs(make):
    path = make(ICE.astype("uint8"))
    base = utm_grid((60, 60))
    east = Grid(base.crs, Affine.translation(5, 0) @ base.transform, base.shape)
    cases = {
        "0 rows down and -0.5 columns right": east,
        "pixels are 20 m here and 10 m there": utm_grid((30, 30), 20),
        "50 x 60 pixels here and 60 x 60 there": utm_grid((50, 60)),
        "the CRS is EPSG:4326 here and EPSG:32632 there": Grid(
            CRS.from_epsg(4326), Affine(0.0001, 0, 10.31, 0, -0.0001, 46.95), (60, 60)
        ),
    }
    for text, grid in cases.items():
        with pytest.raises(GridError, match=text):
            read(path, grid)
    with pytest.raises(GridError, match="does not overlap"):
        read(path, utm_grid((60, 60), corner=(100_000.0, 5_000_000.0)), align=True)


def test_aligning_takes_the_nearest_pixel(make):
    fine = make(ICE.astype("uint8"))
    coarse = utm_grid((20, 20), 30)
    # The centre of a pixel of 30 m is the centre of the middle one of nine.
    assert np.array_equal(read(fine, coarse, align=True).ice, ICE[1::3, 1::3])
    wide = utm_grid((60, 90))
    found = read(fine, wide, align=True)
    assert np.array_equal(found.ice[:, :60], ICE)
    assert np.array_equal(found.valid, np.indices((60, 90))[1] < 60)
    with open_ice_mask(fine) as mask:
        mask.place(wide, align=True)
        assert mask.overlap == pytest.approx(2 / 3)


def test_aligning_moves_glacier_numbers_and_unknown_pixels(make):
    labels = np.zeros((60, 60), "int32")
    labels[:30], labels[30:] = 70_000_001, 70_000_002
    found = read(make(labels), utm_grid((20, 20), 30), align=True, positive="labels")
    assert found.label[:10].min() == found.label[:10].max() == 70_000_001
    assert found.label[10:].min() == found.label[10:].max() == 70_000_002


def test_outlines_are_burnt_where_they_hold_the_centre(tmp_path):
    path = outlines(tmp_path / "o.gpkg", [box((10, 20), (5, 30)), box((40, 50), (5, 30))])
    found = read(path, utm_grid((60, 60)))
    expected = np.zeros((60, 60), int)
    expected[10:20, 5:30], expected[40:50, 5:30] = 1, 2
    assert np.array_equal(found.label, expected)
    assert np.array_equal(found.ice, expected > 0)
    with open_ice_mask(path) as mask:
        mask.place(utm_grid((60, 60)))
        part = mask.read(Window(3, 15, 40, 30))
    assert np.array_equal(part.label, expected[15:45, 3:43])


def test_the_smaller_of_two_overlapping_outlines_is_seen(tmp_path):
    path = outlines(tmp_path / "o.gpkg", [box((20, 25), (20, 25)), box((10, 50), (10, 50))])
    label = read(path, utm_grid((60, 60))).label
    assert np.count_nonzero(label == 1) == 25
    assert np.count_nonzero(label == 2) == 1600 - 25


def test_outlines_in_another_crs_lie_where_they_should(tmp_path):
    from glacierx.scene.geodesy import transform_geometries

    polygon = box((10, 40), (15, 45))
    moved = transform_geometries(polygon, CRS.from_epsg(32632), CRS.from_epsg(4326))
    path = outlines(tmp_path / "o.gpkg", [moved], epsg=4326)
    expected = np.zeros((60, 60), bool)
    expected[10:40, 15:45] = True
    assert np.array_equal(read(path, utm_grid((60, 60))).ice, expected)


def test_outlines_far_away_are_told_of_and_none_are_no_ice(tmp_path):
    path = outlines(tmp_path / "o.gpkg", [box((10, 20), (5, 30))])
    with pytest.raises(GridError, match=r"No outline of o\.gpkg lies within"):
        read(path, utm_grid((60, 60), corner=(100_000.0, 5_000_000.0)))
    empty = outlines(tmp_path / "none.gpkg", [])
    assert not read(empty, utm_grid((60, 60))).ice.any()
    with pytest.raises(GridError, match=r"none.gpkg is a vector layer.*--like"):
        read(empty)


def test_what_is_neither_is_told_of(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a mask\n")
    with pytest.raises(SceneError, match="cannot be read as a raster"):
        read(text)
    with pytest.raises(SceneError, match="does not exist"):
        read(tmp_path / "nothing.tif")
    with pytest.raises(OutlineError, match="does not exist"):
        read(tmp_path / "nothing.gpkg")
    lines = outlines(tmp_path / "l.gpkg", [shapely.LineString([(0, 0), (1, 1)])], layer="divides")
    with pytest.raises(OutlineError, match="holds no polygons"):
        read(lines)


def test_a_geopackage_of_pixels_is_a_raster(tmp_path):
    grid = utm_grid((60, 60))
    path = write_tif(tmp_path / "r.gpkg", ICE[None].astype("uint8"), grid, driver="GPKG")
    with open_ice_mask(path, MaskChoice(band=1)) as mask:
        assert mask.kind == "mask"
