import numpy as np
import pytest
import rasterio
from factories import ROCK, box, disc, tiny_card, utm_grid, write_outlines, write_tif

from glacierx.errors import GridError, MissingBandError, OptionError, OutlineError, SceneError
from glacierx.predict.card import Slot
from glacierx.predict.normalise import Normalisation
from glacierx.training.manifest import Row
from glacierx.training.samples import ICE, IGNORED, INVALID, OTHER
from glacierx.training.sources import FileSource, belt

MASK = disc((90, 70), (45, 30), 22)
CARD = tiny_card()


@pytest.fixture
def lab(tmp_path, make_scene):
    """A scene with a label raster of the numbers given; makes the row of a manifest."""

    def make(label=MASK, grid=None, **row):
        label = np.asarray(label, np.uint8)
        scene = make_scene(MASK)
        labels = write_tif(tmp_path / "lab.tif", label[None], grid or utm_grid(label.shape))
        return Row(str(scene), str(labels), **row)

    return make


def whole(source):
    return source.read(0, 0, *source.shape)


def test_planes_and_label_are_those_of_the_files(lab):
    with FileSource(lab(group="alps", split="validation"), CARD) as source:
        values, label = whole(source)
        assert np.array_equal(label, np.where(MASK, ICE, OTHER))
        assert source.roles == CARD.roles
        assert source.shape == (90, 70)
        assert source.gsd_m == pytest.approx(10, rel=1e-3)  # the scale of UTM
        assert (source.part, source.group, source.weight) == ("validation", "alps", 1.0)
        # Percentiles of two kinds of pixels are those two: 0 and 1.
        assert np.unique(values[0][MASK]) == pytest.approx(1)
        assert np.unique(values[0][~MASK]) == pytest.approx(0, abs=1e-6)
        assert np.unique(values[2][MASK]) == pytest.approx(0, abs=1e-6)
        source.check()


@pytest.mark.parametrize("place", [(0, 0, 90, 70), (-13, 40, 50, 50), (60, -20, 64, 128)])
def test_a_window_is_that_part_of_the_whole(lab, place):
    with FileSource(lab(ignore_border_m=35.0), CARD) as source:
        values, label = whole(source)
        top, left, rows, columns = place
        found, names = source.read(*place)
        pad = ((128, 128), (128, 128))
        expected = np.pad(label, pad, constant_values=INVALID)
        at = slice(top + 128, top + 128 + rows), slice(left + 128, left + 128 + columns)
        assert np.array_equal(names, expected[at])
        assert np.array_equal(found, np.pad(values, ((0, 0), *pad))[:, *at])


def test_outlines_are_burnt_on_the_grid_of_the_scene(tmp_path, make_scene):
    # A polygon of pixels' edges is exactly these pixels; a disc holds those whose centres it holds.
    import shapely

    x, y = utm_grid((1, 1)).to_map(np.array([45]), np.array([30]))
    circle = shapely.Point(x[0], y[0]).buffer(220.0, quad_segs=256)
    for shapes, expected in (
        ([circle], disc((90, 70), (45, 30), 22)),
        ([box((10, 20), (5, 50))], np.pad(np.ones((10, 45), bool), ((10, 70), (5, 20)))),
    ):
        path = write_outlines(tmp_path / "o.gpkg", shapes)
        with FileSource(Row(str(make_scene(MASK)), str(path)), CARD) as source:
            assert np.array_equal(whole(source)[1] == ICE, expected)


def test_255_and_nodata_of_a_label_raster_are_unknown(tmp_path, lab):
    label = np.where(MASK, 1, 0)
    label[:20] = 255
    with FileSource(lab(label), CARD) as source:
        found = whole(source)[1]
        assert (found[:20] == IGNORED).all()
        assert np.array_equal(found[20:], label[20:])
    label[:20] = 7
    scene = tmp_path / "scene.tif"
    path = write_tif(tmp_path / "n.tif", label[None].astype("uint8"), utm_grid((90, 70)), nodata=7)
    with FileSource(Row(str(scene), str(path)), CARD) as source:
        assert (whole(source)[1][:20] == IGNORED).all()


def test_numbers_are_ice_or_left_out_as_asked(lab):
    label = np.where(MASK, 3, 0)
    label[:10], label[80:], label[40:45] = 2, 6, 5
    row = lab(label, positive="3,5", ignore="2,6-8")
    with FileSource(row, CARD) as source:
        found = whole(source)[1]
    assert (found[:10] == IGNORED).all()
    assert (found[80:] == IGNORED).all()
    assert (found[40:45] == ICE).all()
    assert np.array_equal(found[10:40] == ICE, MASK[10:40])


def test_a_belt_is_as_wide_as_geometry_says():
    # Ice left of column 20: the centre of column c lies (c + 0.5 - 20) pixels from the line.
    label = np.where(np.arange(40) < 20, ICE, OTHER).astype(np.uint8)[None].repeat(5, 0)
    for width_m, pixels in ((4.9, 0), (5.1, 1), (14.9, 1), (15.1, 2), (44, 4), (46, 5)):
        near = belt(label, width_m, (10.0, 10.0))
        expected = np.abs(np.arange(40) + 0.5 - 20) < width_m / 10
        assert expected.sum() == 2 * pixels
        assert np.array_equal(near, expected[None].repeat(5, 0)), width_m
    turned = belt(label.T.copy(), 15.1, (10.0, 10.0))
    assert np.array_equal(turned, belt(label, 15.1, (10.0, 10.0)).T)


def test_no_belt_where_there_is_no_line():
    for kind in (ICE, OTHER, IGNORED):
        assert not belt(np.full((9, 9), kind, np.uint8), 50.0, (10.0, 10.0)).any()


def test_no_belt_lies_where_ice_meets_what_is_not_known(lab):
    # Debris, number 2, is left out; ice beside it is known.
    label = np.zeros((90, 70), np.uint8)
    label[:, :20], label[:, 20:40] = 1, 2
    row = lab(label, positive="1", ignore="2", ignore_border_m=50.0)
    with FileSource(row, CARD) as source:
        found = whole(source)[1]
    assert (found[:, :20] == ICE).all()
    assert (found[:, 20:40] == IGNORED).all()
    assert (found[:, 40:] == OTHER).all()


def test_a_line_of_the_manifest_has_its_own_belt(lab):
    with FileSource(lab(ignore_border_m=0.0), CARD, 50.0) as source:
        assert (whole(source)[1] <= ICE).all()
    with FileSource(lab(), CARD, 50.0) as source:
        assert 0.2 < (whole(source)[1] == IGNORED).mean() < 0.4
        assert source.about["ignore_border_m"] == 50.0


def test_a_gap_in_the_scene_is_invalid_whatever_its_label(tmp_path, lab):
    row = lab()
    with rasterio.open(row.scene, "r+") as file:
        values = file.read()
        values[:, :, :12] = 0
        file.write(values)
        file.nodata = 0
    with FileSource(row, CARD) as source:
        planes, label = whole(source)
        assert (label[:, :12] == INVALID).all()
        assert (planes[:, :, :12] == 0).all()
        assert (label[:, 12:] <= ICE).all()


def test_quality_masks_and_the_area_of_interest_count(tmp_path, lab):
    clouds = np.zeros((90, 70), np.uint8)
    clouds[50:60] = 9
    mask = write_tif(tmp_path / "q.tif", clouds[None], utm_grid((90, 70)))
    region = write_outlines(tmp_path / "aoi.gpkg", [box((0, 80), (0, 70))])
    row = lab(invalid=f"{mask}=8-10", aoi=str(region))
    with FileSource(row, CARD) as source:
        values, label = whole(source)
        assert (label[50:60] == INVALID).all()
        assert (values[:, 50:60] == 0).all()
        assert (label[80:] == IGNORED).all()
        assert (values[:, 80:] != 0).any()
        assert np.array_equal(label[:50] == ICE, MASK[:50])


def test_a_label_raster_of_another_grid_is_taken_at_pixel_centres(tmp_path, lab):
    # Labels of 5 m under pixels of 10 m: each pixel takes one of its four.
    fine = np.kron(MASK, np.ones((2, 2), np.uint8)).astype(np.uint8)
    with FileSource(lab(fine, utm_grid(fine.shape, 5.0)), CARD) as source:
        assert np.array_equal(whole(source)[1] == ICE, MASK)
    # A raster that ends early leaves the rest unknown.
    with FileSource(lab(MASK[:50], utm_grid((50, 70))), CARD) as source:
        found = whole(source)[1]
        assert (found[50:] == IGNORED).all()
        assert np.array_equal(found[:50] == ICE, MASK[:50])


def test_joint_scaling_is_one_scale_for_all_planes(lab):
    card = tiny_card(normalisation=Normalisation("joint-minmax-patch"))
    with FileSource(lab(), card) as source:
        values, _ = whole(source)
    # The least of all is ice in swir1, 0.04; the greatest ice in green, 0.60.
    green, nir, swir1 = values
    assert np.unique(green[MASK]) == pytest.approx(1)
    assert np.unique(swir1[MASK]) == pytest.approx(0, abs=1e-6)
    assert np.unique(nir[~MASK]) == pytest.approx((ROCK["nir"] - 0.04) / 0.56)


def test_terrain_comes_from_the_dem(tmp_path, lab, make_dem):
    rows = np.arange(90)[:, None] * np.ones((1, 70))
    dem = make_dem(3000 - 10 * rows, utm_grid((90, 70)))
    card = tiny_card(
        inputs=(
            Slot("green"),
            Slot("elevation", "terrain", False),
            Slot("slope", "terrain", False),
        ),
        normalisation=Normalisation("fixed", mean=(0.0, 2000.0, 0.0), std=(1.0, 1000.0, 45.0)),
    )
    with FileSource(lab(dem=str(dem)), card) as source:
        assert source.roles == ("green", "elevation", "slope")
        values, _ = whole(source)
        assert values[1] == pytest.approx((3000 - 10 * rows - 2000) / 1000, abs=1e-3)
        # 10 m down for 10 m along are 45 degrees.
        assert values[2][5:-5, 5:-5] == pytest.approx(1, abs=0.01)
    with FileSource(lab(), card) as source:
        assert source.roles == ("green",)


def test_a_record_names_files_by_their_hash_and_holds_no_path(tmp_path, lab):
    with FileSource(lab(date="2020-08-01"), CARD) as source:
        about = source.about
        assert str(tmp_path) not in str(about)
        assert len(about["inputs"][0]["sha256"]) == len(about["labels"]["sha256"]) == 64
        assert about["date"] == "2020-08-01"
        west, south, east, north = about["footprint"]
        assert west < east
        assert south < north
        assert {str(tmp_path / "scene.tif"), str(tmp_path / "lab.tif")} <= set(source.paths)


def bad_rows(folder, lab, make_scene):
    good = lab()
    yield "none", Row(str(folder / "none.tif"), good.labels), SceneError, "does not exist|No such"
    yield (
        "labels",
        Row(good.scene, str(folder / "none.gpkg")),
        OutlineError,
        "does not exist|No such",
    )
    far = write_tif(folder / "far.tif", MASK[None].astype("u1"), utm_grid((90, 70), corner=(0, 0)))
    yield "far", Row(good.scene, str(far)), GridError, "does not overlap"
    away = write_outlines(folder / "away.gpkg", [box((9000, 9100), (9000, 9100))])
    yield "away", Row(good.scene, str(away)), GridError, "No outline of away.gpkg lies within"
    points = folder / "points.geojson"
    points.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {},'
        ' "geometry": {"type": "Point", "coordinates": [10.3, 46.9]}}]}'
    )
    yield "points", Row(good.scene, str(points)), OutlineError, "polygon"
    inside = write_outlines(folder / "in.gpkg", [box((10, 20), (10, 20))])
    yield "positive", Row(good.scene, str(inside), positive="1"), OptionError, "positive has no eff"
    yield "ignore", Row(good.scene, str(inside), ignore="2"), OptionError, "Numbers to leave out"
    yield "layer", Row(good.scene, good.labels, layer="x"), OptionError, "layer has no effect"
    yield "numbers", Row(good.scene, good.labels, ignore="two"), OptionError, "It takes numbers"
    yield "bands", Row(str(make_scene(MASK, roles=("green", "red"), name="few.tif")),
                       good.labels), MissingBandError, "has no 'nir' band"  # fmt: skip


def test_what_cannot_be_used_is_refused_before_anything_is_read(tmp_path, lab, make_scene):
    for name, row, error, said in bad_rows(tmp_path, lab, make_scene):
        with pytest.raises(error, match=said):
            FileSource(row, CARD)
        assert name


def test_a_label_raster_of_more_numbers_says_what_to_fill_in(lab):
    with FileSource(lab(np.where(MASK, 2, 0)), CARD) as source:
        with pytest.raises(SceneError, match="positive"):
            whole(source)
