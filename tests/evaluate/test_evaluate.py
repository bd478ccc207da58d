import json
import math

import numpy as np
import pytest
import shapely
from affine import Affine
from factories import box, disc, utm_grid, write_tif
from factories import write_outlines as outlines
from rasterio.crs import CRS

from glacierx.errors import GlacierxWarning, GridError, OptionError, OutlineError, SceneError
from glacierx.evaluate import tally
from glacierx.evaluate.evaluate import evaluate, evaluate_pairs
from glacierx.evaluate.pairs import Pair, read_pairs
from glacierx.options import EvaluateOptions
from glacierx.outlines.geopackage import write_layers
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.scene.grid import Grid
from glacierx.scene.icewindow import MaskChoice

SHAPE = (90, 120)
TRUE = disc(SHAPE, (30, 30), 20) | disc(SHAPE, (60, 90), 15)
FOUND = disc(SHAPE, (30, 33), 20) | disc(SHAPE, (80, 10), 6)


@pytest.fixture
def make(tmp_path):
    def write(name, mask, grid=None, **profile):
        mask = np.asarray(mask)
        values = mask.astype("uint8") if mask.dtype == bool else mask
        return write_tif(tmp_path / name, values[None], grid or utm_grid(mask.shape), **profile)

    return write


@pytest.fixture
def pair(make):
    return make("found.tif", FOUND), make("true.tif", TRUE)


def test_every_score_of_two_masks(pair):
    scores = evaluate(*pair, EvaluateOptions(tolerance_m=20))
    both, either = (FOUND & TRUE).sum(), (FOUND | TRUE).sum()
    assert scores["iou"] == both / either
    assert scores["recall"] == both / TRUE.sum()
    assert scores["overall_accuracy"] == (FOUND == TRUE).mean()
    assert scores["area_bias_percent"] == pytest.approx((FOUND.sum() / TRUE.sum() - 1) * 100)
    # 10 m pixels: in this zone, so far from its middle, a grid metre is 0.9997 of one.
    assert scores["area_true_km2"] == pytest.approx(TRUE.sum() * 1e-4, rel=1e-3)
    assert scores["asd_m"] == pytest.approx(10 * scores["asd_px"])
    assert scores["hd95_m"] == pytest.approx(10 * scores["hd95_px"])
    assert scores["boundary_f1_2px"] == scores["boundary_f1_20m"]
    assert (scores["glaciers_true"], scores["glaciers_found"]) == (2, 2)
    assert scores["glaciers_matched"] == 1
    assert scores["area_50"] == pytest.approx(disc(SHAPE, (30, 30), 20).sum() / TRUE.sum())
    first = disc(SHAPE, (30, 30), 20), disc(SHAPE, (30, 33), 20)
    iou = (first[0] & first[1]).sum() / (first[0] | first[1]).sum()
    assert scores["pq"] == pytest.approx(iou / 2)
    # 6 pixels of radius are 0.011 km2, 15 are 0.07.
    assert scores["slivers"] == 1
    assert scores.reasons == {}


def test_the_table_of_glaciers_lists_true_ones_then_those_found_alone(pair):
    rows = evaluate(*pair).glaciers
    true = [disc(SHAPE, (30, 30), 20), disc(SHAPE, (60, 90), 15)]
    assert [row["glacier"] for row in rows] == ["1", "2", None]
    assert [row["found"] for row in rows] == ["1", None, "2"]
    assert rows[0]["recall"] == pytest.approx((true[0] & FOUND).sum() / true[0].sum())
    assert rows[0]["area_bias_percent"] == pytest.approx(0, abs=1e-6)
    assert (rows[1]["iou"], rows[1]["recall"], rows[1]["area_bias_percent"]) == (0, 0, -100)
    assert rows[2]["recall"] is None
    assert rows[2]["found_km2"] == pytest.approx(disc(SHAPE, (80, 10), 6).sum() * 1e-4, rel=1e-3)


def test_a_few_rows_at_a_time_give_the_same(pair, monkeypatch):
    for bootstrap in ("blocks", "glaciers"):
        options = EvaluateOptions(
            bootstrap=bootstrap, block_m=250, tolerance_m=15, asd="surface-distance"
        )
        whole = evaluate(*pair, options)
        with monkeypatch.context() as patch:
            patch.setattr(tally, "MOST_ROWS", 16)
            patch.setattr(tally, "BAND_PX", 1)
            strips = evaluate(*pair, options)
        assert strips.values == pytest.approx(whole.values)
        for strip, row in zip(strips.glaciers, whole.glaciers, strict=True):
            assert strip == pytest.approx(row)
        assert strips.intervals.keys() == whole.intervals.keys()
        for name, ends in whole.intervals.items():
            assert strips.intervals[name] == pytest.approx(ends)


@pytest.mark.parametrize("bootstrap", ["blocks", "glaciers"])
def test_the_units_add_up_to_the_scores(pair, bootstrap):
    from glacierx.evaluate.bootstrap import scores_of_sums

    options = EvaluateOptions(bootstrap=bootstrap, block_m=170, tolerance_m=30)
    scores = evaluate(*pair, options)
    units = scores.tally.units
    assert len(units) == (3 if bootstrap == "glaciers" else 6 * 8)
    whole = scores_of_sums({name: np.array([v.sum()]) for name, v in units.sums.items()})
    assert {"iou", "f1", "asd_px", "asd_m", "boundary_f1_30m", "area_bias_percent"} <= set(whole)
    for name, value in whole.items():
        # Blocks weigh areas by their middle row.
        assert value[0] == pytest.approx(scores[name], rel=1e-6), name
        low, high = scores.intervals[name]
        assert low <= high


def test_blocks_and_glaciers_leave_less_doubt_than_chance_would(pair):
    scores = evaluate(*pair, EvaluateOptions(bootstrap="blocks", block_m=200))
    low, high = scores.intervals["iou"]
    assert low < scores["iou"] < high
    assert "blocks" in scores.resampled
    assert evaluate(*pair, EvaluateOptions(bootstrap="none")).intervals == {}
    few = evaluate(*pair, EvaluateOptions(block_m=100_000))
    assert few.intervals == {}
    assert "too few to resample" in " ".join(few.notes)


def test_nodata_of_either_side_is_left_out(make):
    true = TRUE.astype("uint8")
    true[:, :40] = 9
    found = FOUND.astype("uint8")
    found[70:] = 9
    scores = evaluate(make("f.tif", found, nodata=9), make("t.tif", true, nodata=9))
    inside = np.s_[:70, 40:]
    assert scores.tally.confusion.pixels == TRUE[inside].size
    assert scores["iou"] == (FOUND & TRUE)[inside].sum() / (FOUND | TRUE)[inside].sum()
    assert "are left out" in " ".join(scores.notes)


def test_a_probability_is_calibrated_against_the_truth(make_probability, make):
    steps = np.where(FOUND, 200, 50)
    steps[0] = 255
    scores = evaluate(make_probability(steps), make("t.tif", TRUE))
    valid = np.ones(SHAPE, bool)
    valid[0] = False
    p = np.where(FOUND, 0.8, 0.2)[valid]
    truth = TRUE[valid]
    gaps = [
        np.abs(p[p == v] - truth[p == v]).size * abs(v - truth[p == v].mean()) for v in (0.2, 0.8)
    ]
    assert scores["ece"] == pytest.approx(sum(gaps) / p.size, abs=1e-6)
    assert scores["brier"] == pytest.approx(np.mean((p - truth) ** 2), abs=1e-6)
    assert "ece" not in evaluate(make("f.tif", FOUND), make("t2.tif", TRUE)).values


def test_outlines_against_an_inventory_like_a_scene(tmp_path, make):
    found = outlines(tmp_path / "f.gpkg", [box((10, 40), (10, 40)), box((10, 40), (40, 70))])
    true = outlines(
        tmp_path / "t.gpkg", [box((10, 40), (10, 45)), box((10, 40), (45, 70))],
        rgi_id=np.array(["RGI-A", "RGI-B"], dtype=object),
    )  # fmt: skip
    scene = make("scene.tif", np.ones(SHAPE, "uint16"))
    scores = evaluate(found, true, like=scene)
    # The ice is the same; the divide is five columns off.
    assert scores["iou"] == 1
    assert [row["iou"] for row in scores.glaciers] == pytest.approx([30 / 35, 25 / 30])
    assert scores["pq"] == pytest.approx((30 / 35 + 25 / 30) / 2)
    assert scores["glaciers_true"] == 2
    with pytest.raises(GridError, match="--like"):
        evaluate(found, true)


def test_ids_of_an_inventory_name_its_glaciers(tmp_path, make):
    import fiona

    path = tmp_path / "inventory.gpkg"
    schema = {"geometry": "Polygon", "properties": {"rgi_id": "str"}}
    with fiona.open(path, "w", driver="GPKG", schema=schema, crs="EPSG:32632", layer="x") as file:
        for name, rows in (("A", (10, 20)), ("B", (40, 50))):
            shape = shapely.geometry.mapping(box(rows, (10, 30)))
            file.write({"geometry": shape, "properties": {"rgi_id": name}})
    rows = evaluate(make("f.tif", FOUND), path).glaciers
    assert [row["glacier"] for row in rows if row["glacier"]] == ["A", "B"]


def test_a_multipart_glacier_is_one_glacier(tmp_path, make):
    import fiona

    path = tmp_path / "inventory.gpkg"
    schema = {"geometry": "MultiPolygon", "properties": {}}
    parts = shapely.MultiPolygon([box((10, 20), (10, 20)), box((50, 60), (10, 20))])
    with fiona.open(path, "w", driver="GPKG", schema=schema, crs="EPSG:32632", layer="x") as file:
        file.write({"geometry": shapely.geometry.mapping(parts), "properties": {}})
    assert evaluate(make("f.tif", FOUND), path)["glaciers_true"] == 1


def test_ground_without_data_in_the_template_does_not_count(make):
    scene = np.ones(SHAPE, "uint16")
    scene[:, 60:] = 0
    like = make("scene.tif", scene, nodata=0)
    scores = evaluate(make("f.tif", FOUND), make("t.tif", TRUE), like=like)
    assert scores.tally.confusion.pixels == 90 * 60
    # However little of it has data.
    sliver = np.zeros((90, 1200), "uint16")
    sliver[:, 701] = 7
    wide = make("w.tif", np.zeros((90, 1200), bool)), make("v.tif", np.ones((90, 1200), bool))
    scores = evaluate(*wide, like=make("sliver.tif", sliver, nodata=0))
    assert scores.tally.confusion.pixels == 90
    # A template of nothing but its nodata has nothing to say.
    blank = make("blank.tif", np.zeros(SHAPE, "uint8"), nodata=0)
    scores = evaluate(make("f.tif", FOUND), make("t.tif", TRUE), like=blank)
    assert scores.tally.confusion.pixels == 90 * 120


def test_aligning_reports_the_overlap(make):
    wide = np.pad(TRUE, ((0, 0), (0, 120)))
    found, true = make("f.tif", FOUND), make("t.tif", wide)
    with pytest.raises(GridError, match=r"90 x 240 pixels here and 90 x 120 there.*--align"):
        evaluate(found, true)
    scores = evaluate(found, true, align=True)
    assert scores.grid["overlap"] == pytest.approx(0.5)
    assert "covers 50.0%" in " ".join(scores.notes)
    assert scores["iou"] == (FOUND & TRUE).sum() / (FOUND | TRUE).sum()


def test_a_geographic_grid_is_measured_in_metres(make):
    grid = Grid(CRS.from_epsg(4326), Affine(2e-4, 0, 86.8, 0, -2e-4, 60.0), SHAPE)
    shifted = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    shifted[0][:, :50], shifted[1][:, :53] = True, True
    scores = evaluate(make("f.tif", shifted[0], grid), make("t.tif", shifted[1], grid))
    width = grid.pixel_m[1]
    assert width == pytest.approx(111_320 * 2e-4 * math.cos(math.radians(60)), rel=0.01)
    assert scores["asd_px"] == 3
    assert scores["asd_m"] == pytest.approx(3 * width, rel=1e-3)
    # Rows farther north are narrower: the area is that of the ellipsoid.
    from glacierx.scene.geodesy import areas_km2

    whole = areas_km2(as_geometries([grid.footprint]), grid.crs)[0]
    assert scores["area_true_km2"] == pytest.approx(whole * 53 / 120, rel=1e-6)


EMPTY = np.zeros(SHAPE, bool)


@pytest.mark.parametrize(
    ("found", "true", "iou", "reason"),
    [
        (EMPTY, EMPTY, None, "no ice in either"),
        (EMPTY, TRUE, 0, "no ice in the prediction"),
        (FOUND, EMPTY, 0, "no ice in the truth"),
        (~EMPTY, ~EMPTY, 1, "nowhere ends"),
        (~EMPTY, TRUE, TRUE.mean(), "the ice of the prediction nowhere ends"),
    ],
)
def test_maps_of_one_class_have_reasons(make, found, true, iou, reason):
    scores = evaluate(make("f.tif", found), make("t.tif", true))
    if iou is None:
        assert math.isnan(scores["iou"])
    else:
        assert scores["iou"] == pytest.approx(iou)
    assert math.isnan(scores["asd_m"])
    assert reason in scores.reasons["asd_m"]
    # JSON knows no NaN.
    text = json.dumps(scores.as_record(), allow_nan=False)
    assert json.loads(text)["scores"]["asd_m"] is None
    for name, value in scores.values.items():
        assert math.isfinite(value) or scores.reasons[name]


def test_nothing_valid_is_an_error_that_says_why(make):
    nothing = np.full(SHAPE, 255, "uint8")
    with pytest.raises(SceneError, match=r"t.tif holds nothing but nodata"):
        evaluate(make("f.tif", FOUND), make("t.tif", nothing, nodata=255))
    left, right = FOUND.astype("uint8"), TRUE.astype("uint8")
    left[:, :60], right[:, 60:] = 9, 9
    with pytest.raises(SceneError, match="have data in different places"):
        evaluate(make("f.tif", left, nodata=9), make("t.tif", right, nodata=9))


def test_layers_and_bands_that_neither_has_are_refused(make, tmp_path):
    found = make("f.tif", FOUND)
    true = outlines(tmp_path / "t.gpkg", [box((10, 20), (10, 20))])
    with pytest.raises(OutlineError, match="--layer 'ice' is in neither"):
        evaluate(found, true, choice=MaskChoice(layer="ice"))
    with pytest.raises(SceneError, match="--band 4 is in neither"):
        evaluate(found, true, choice=MaskChoice(band=4))
    assert evaluate(found, true, choice=MaskChoice(layer="glaciers"))["glaciers_true"] == 1


def test_a_result_of_ours_as_truth_is_wondered_at(make, tmp_path):
    rows = Outlines(as_geometries([box((10, 20), (10, 20))]), CRS.from_epsg(32632), {})
    write_layers(tmp_path / "ours.gpkg", {"glaciers": rows}, {"model": {"name": "x"}})
    with pytest.warns(GlacierxWarning, match="swap the two"):
        evaluate(make("f.tif", FOUND), tmp_path / "ours.gpkg")


def test_scenes_need_several_pairs(pair):
    with pytest.raises(OptionError, match="--pairs"):
        evaluate(*pair, EvaluateOptions(bootstrap="scenes"))


def test_pairs_are_pooled_by_counts_not_by_scores(make):
    small = np.zeros((40, 40), bool)
    small[10:20, 10:20] = True
    pairs = [
        Pair(make("f1.tif", FOUND), make("t1.tif", TRUE)),
        Pair(make("f2.tif", small), make("t2.tif", np.roll(small, 2, 0))),
        Pair(make("f3.tif", small & ~small), make("t3.tif", small)),
    ]
    rows, pooled = evaluate_pairs(pairs)
    both = (FOUND & TRUE).sum() + 80
    either = (FOUND | TRUE).sum() + 120 + 100
    assert pooled["iou"] == both / either
    assert [row["iou"] for row in rows][1:] == [80 / 120, 0]
    # The third has no boundary found, so no distance; its truth counts as missed.
    weights = [row.tally.edges.found.weight + row.tally.edges.reference.weight for row in rows[:2]]
    expected = sum(w * row["asd_px"] for w, row in zip(weights, rows[:2], strict=True))
    assert pooled["asd_px"] == pytest.approx(expected / sum(weights))
    assert "1 of 3 pairs have no ASD" in " ".join(pooled.notes)
    assert pooled["glaciers_true"] == 4
    assert pooled.resampled == "scenes"
    assert pooled.units == 3
    assert pooled.intervals["iou"][0] < pooled["iou"] < pooled.intervals["iou"][1]
    assert len(pooled.glaciers) == sum(len(row.glaciers) for row in rows)


def test_a_pair_that_fails_is_named(make):
    pairs = [
        Pair(make("f1.tif", FOUND), make("t1.tif", TRUE)),
        Pair(make("f2.tif", FOUND), make("t2.tif", TRUE[:50])),
    ]
    with pytest.raises(GridError, match=r"Pair 2 of 2: f2\.tif"):
        evaluate_pairs(pairs)


def test_a_table_of_pairs_is_read(tmp_path):
    path = tmp_path / "sub" / "pairs.csv"
    path.parent.mkdir()
    path.write_text(
        "prediction, truth,threshold,truth_layer,like\n"
        "a.tif,../b.gpkg,0.4,ice,\n"
        "https://x.org/c.tif,/d.tif,,,s.tif\n"
    )
    default = Pair("", "", like="other.tif", choice=MaskChoice(positive="2"))
    one, two = read_pairs(path, default)
    assert one.prediction == str(tmp_path / "sub" / "a.tif")
    assert one.truth == str(tmp_path / "sub" / ".." / "b.gpkg")
    assert one.choice == MaskChoice(positive="2", threshold=0.4)
    assert one.truth_choice.layer == "ice"
    assert one.like == "other.tif"
    assert (two.prediction, two.truth) == ("https://x.org/c.tif", "/d.tif")
    assert two.like == str(tmp_path / "sub" / "s.tif")
    # As spreadsheets write it: other names, other case, a mark of the encoding, empty lines.
    path.write_bytes(b"\xef\xbb\xbfPred,Labels\r\n\r\na.tif,b.tif\r\n")
    [one] = read_pairs(path, default)
    assert one.truth == str(tmp_path / "sub" / "b.tif")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "holds no pairs"),
        ("prediction,truth\n", "holds no pairs"),
        ("prediction,truth\na.tif,\n", "line 2, names no truth"),
        ("prediction,thruth\na.tif,b.tif\n", "has the columns thruth"),
        ("prediction;truth\na.tif;b.tif\n", "not parted by commas"),
        ("prediction,truth,truth\na.tif,b.tif,c.tif\n", "column truth twice"),
        ("prediction,truth,threshold\na.tif,b.tif,5\n", "line 2: --threshold is 5"),
        ("prediction,truth,threshold\na.tif,b.tif,nan\n", "--threshold is nan"),
        ("prediction,truth\na.tif,b.tif,c.tif\n", "more values than names"),
        ("prediction,truth,band\na.tif,b.tif,x\n", "band is 'x', no number"),
    ],
)
def test_a_bad_table_of_pairs_is_told_of(tmp_path, text, match):
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(SceneError, match=match):
        read_pairs(path, Pair("", ""))
    with pytest.raises(SceneError, match="cannot be read"):
        read_pairs(tmp_path / "none.csv", Pair("", ""))


def test_outlines_too_small_for_a_pixel_are_told_of(make, tmp_path):
    true = outlines(tmp_path / "t.gpkg", [box((10, 20), (10, 20)), box((40.1, 40.3), (40.1, 40.3))])
    scores = evaluate(make("f.tif", FOUND), true)
    assert scores["glaciers_true"] == 1
    assert "1 of the 2 outlines of t.gpkg" in " ".join(scores.notes)


def test_so_many_units_are_not_resampled(pair, monkeypatch):
    from glacierx.evaluate import bootstrap, scores

    for module in (bootstrap, scores):
        monkeypatch.setattr(module, "MOST_UNITS", 20)
    found = evaluate(*pair, EvaluateOptions(block_m=100))
    assert found.intervals == {}
    assert "are too many to resample" in " ".join(found.notes)


def test_ice_beyond_a_pole_is_told_of(make):
    grid = Grid(CRS.from_epsg(4326), Affine(3e-4, 0, 10, 0, -3e-4, -89.99), (40, 40))
    ice = np.zeros((40, 40), bool)
    ice[25:35, 10:20] = True
    found, true = make("f.tif", ice, grid), make("t.tif", np.roll(ice, 3, 1), grid)
    with pytest.raises(GridError, match="beyond a pole"):
        evaluate(found, true)


def test_noise_is_matched_without_a_table_of_all_with_all(make):
    # Ice that hangs together by chance: most pieces of one map touch one large group.
    generator = np.random.default_rng(0)
    noise = [generator.random((500, 500)) < 0.36 for _ in range(2)]
    scores = evaluate(make("f.tif", noise[0]), make("t.tif", noise[1]))
    assert scores["glaciers_true"] > 3000
    assert 0 < scores["pq"] < 0.2
