"""evaluate and compare, run as a user runs them, and their files read again."""

import csv
import json

import numpy as np
import pytest
from factories import disc, utm_grid, write_tif
from factories import run_command as run
from factories import write_outlines as outlines

from glacierx.evaluate.table import TITLES

SHAPE = (90, 120)
TRUE, FOUND = disc(SHAPE, (45, 45), 30), disc(SHAPE, (45, 48), 30)


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def make(tmp_path):
    def write(name, mask, **profile):
        values = np.asarray(mask)
        values = values.astype("uint8") if values.dtype == bool else values
        values = values[None] if values.ndim == 2 else values
        return write_tif(tmp_path / name, values, utm_grid(values.shape[1:]), **profile)

    return write


@pytest.fixture
def pair(make):
    return make("f.tif", FOUND), make("t.tif", TRUE)


def circle(row, column, radius):
    import shapely

    x, y = utm_grid((1, 1)).to_map(row, column)
    return shapely.Point(float(x), float(y)).buffer(radius * 10)


def test_a_table_on_stdout_and_files_beside_it(pair, tmp_path):
    files = {"--json": "s.json", "--csv": "g.csv", "--figure": "e.png"}
    flags = [part for flag, name in files.items() for part in (flag, tmp_path / name)]
    result = run("evaluate", *pair, *flags, "--tolerance-m", 15)
    iou = (FOUND & TRUE).sum() / (FOUND | TRUE).sum()
    lines = result.stdout.splitlines()
    [line] = [line for line in lines if line.startswith("IoU ")]
    assert line.split()[1] == f"{iou:.4f}"
    # Aligned: every value ends in the same column.
    ends = {
        line.index(value) + len(value)
        for line in lines
        for name, value in [(line[:26].strip(), line[26:].split("  ")[0].strip())]
        if name in TITLES.values() and value
    }
    assert len(ends) <= 2
    record = json.loads((tmp_path / "s.json").read_text())
    assert record["schema"] == "glacierx-scores/1"
    assert record["scores"]["iou"] == pytest.approx(iou)
    assert record["confusion"]["tp"] == (FOUND & TRUE).sum()
    assert "boundary_f1_15m" in record["scores"]
    rows = read_csv(tmp_path / "g.csv")
    assert [row["glacier"] for row in rows] == ["1"]
    assert float(rows[0]["iou"]) == pytest.approx(iou)
    assert (tmp_path / "e.png").stat().st_size > 1000
    # Nothing is replaced unasked.
    assert "exists already" in run("evaluate", *pair, "--json", tmp_path / "s.json", code=5)
    run("evaluate", *pair, "--json", tmp_path / "s.json", "--overwrite")


def test_json_on_stdout_is_nothing_else(pair):
    result = run("evaluate", *pair, "--json", "-")
    assert json.loads(result.stdout)["scores"]["f1"] > 0.9


def test_outlines_against_an_inventory(tmp_path, make):
    found = outlines(tmp_path / "f.gpkg", [circle(45, 48, 30)])
    true = outlines(tmp_path / "t.gpkg", [circle(45, 45, 30)], layer="complexes")
    scene = make("scene.tif", np.ones((3, *SHAPE), "uint16"))
    result = run("evaluate", found, true, "--like", scene, "--layer", "glaciers")
    assert "true glaciers " in result.stdout
    assert "--like" in run("evaluate", found, true, code=4)


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (["--fail-under", "iou=0.99"], "iou is 0.8"),
        (["--fail-under", "f1=0.5,iou=0.99"], "iou is"),
        (["--fail-over", "asd_m=1"], "asd_m is"),
        (["--fail-over", "area_bias_percent=1", "--fail-under", "kappa=0.999"], "kappa is"),
        (["--fail-under", "boundary_f1_5m=0.9", "--tolerance-m", "5"], "boundary_f1_5m is"),
        (["--fail-under", "brier=0.9"], None),
    ],
)
def test_a_check_that_fails_ends_with_8(pair, tmp_path, limits, text):
    if text is None:
        assert "Use --fail-over" in run("evaluate", *pair, *limits, code=2)
        return
    line = run("evaluate", *pair, *limits, "--json", tmp_path / "s.json", code=8)
    assert line.startswith("Error: Not good enough:")
    assert text in line
    # What was measured is kept all the same.
    assert (tmp_path / "s.json").exists()


def test_a_check_that_holds_says_nothing(pair):
    run("evaluate", *pair, "--fail-under", "iou=0.8,f1=0.9", "--fail-over", "asd_px=5")


def test_a_score_that_is_not_defined_fails_its_check(make):
    found, true = make("f.tif", FOUND & ~FOUND), make("t.tif", TRUE)
    line = run("evaluate", found, true, "--fail-over", "asd_m=1000", code=8)
    assert "asd_m is not defined (no ice in the prediction)" in line


@pytest.mark.parametrize("text", ["iou", "iou=", "iou=high", "nonsense=1", "=1", "iou=nan"])
def test_a_check_that_is_none_is_refused(pair, text):
    assert "is not NAME=NUMBER" in run("evaluate", *pair, "--fail-under", text, code=2)


def test_many_pairs_have_a_line_each_and_one_for_all(make, tmp_path):
    make("f1.tif", FOUND)
    make("t1.tif", TRUE)
    make("f2.tif", TRUE)
    make("t2.tif", TRUE)
    table = tmp_path / "pairs.csv"
    table.write_text("prediction,truth\nf1.tif,t1.tif\nf2.tif,t2.tif\n")
    result = run(
        "evaluate", "--pairs", table, "--json", tmp_path / "s.json", "--csv", tmp_path / "g.csv"
    )
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["prediction", "f1.tif", "f2.tif", "all"]
    record = json.loads((tmp_path / "s.json").read_text())
    both = (FOUND & TRUE).sum() + TRUE.sum()
    assert record["pooled"]["scores"]["iou"] == both / ((FOUND | TRUE).sum() + TRUE.sum())
    assert [pair["prediction"] for pair in record["pairs"]] == ["f1.tif", "f2.tif"]
    rows = read_csv(tmp_path / "g.csv")
    assert [row["prediction"] for row in rows] == ["f1.tif", "f2.tif"]
    run("evaluate", "--pairs", table, "--fail-under", "iou=0.99", code=8)
    run("evaluate", "--pairs", table, "--bootstrap", "glaciers")
    # An input of the table is as safe as one on the command line.
    before = (tmp_path / "t2.tif").read_bytes()
    flags = ["--json", tmp_path / "t2.tif", "--overwrite"]
    assert "is an input" in run("evaluate", "--pairs", table, *flags, code=5)
    assert (tmp_path / "t2.tif").read_bytes() == before
    far = write_tif(
        tmp_path / "far.tif", TRUE[None].astype("uint8"), utm_grid(SHAPE, corner=(1e5, 5e6))
    )
    assert "overlap" in run("evaluate", "--pairs", table, "--like", far, "--align", code=4)
    figure = ["--figure", tmp_path / "e.png"]
    assert "--figure draws one pair" in run("evaluate", "--pairs", table, *figure, code=2)


def test_bad_input_is_one_clear_line(make, pair, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("glaciers\n")
    bands = make("b.tif", np.ones((3, *SHAPE), "uint8"))
    nothing = make("n.tif", np.full(SHAPE, 255, "uint8"), nodata=255)
    classes = make("c.tif", np.where(TRUE, 4, 0).astype("uint8"))
    far = write_tif(
        tmp_path / "far.tif", TRUE[None].astype("uint8"), utm_grid(SHAPE, corner=(1e5, 5e6))
    )
    shares = make("p.tif", np.where(TRUE, 0.8, 0.1).astype("float32"))
    found, true = pair
    one = outlines(tmp_path / "one.gpkg", [circle(45, 45, 20)])
    other = outlines(tmp_path / "other.gpkg", [circle(4500, 45, 20)])
    cases = [
        ((text, true), 4, "cannot be read as a raster"),
        ((found, text), 4, "cannot be read as a raster"),
        ((bands, true), 4, "has 3 bands"),
        ((found, bands), 4, "has 3 bands"),
        ((found, nothing), 4, "nothing but nodata"),
        ((found, classes), 4, "--positive"),
        ((far, true), 4, "does not overlap"),
        ((far, true, "--align"), 4, "does not overlap"),
        ((true, shares), 4, "swapped"),
        ((shares, true), 4, "--threshold"),
        ((found, true, "--threshold", "0.5"), 2, "whole numbers"),
        ((found, true, "--threshold", "5"), 2, "0<=x<=1"),
        ((one, true, "--threshold", "0.5"), 2, "holds outlines"),
        ((one, one, "--like", true, "--positive", "2"), 2, "hold outlines"),
        ((other, one, "--like", true), 4, "No outline of other.gpkg lies within"),
        ((found, tmp_path / "none.tif"), 4, "does not exist"),
        ((found,), 2, "Give PREDICTION and TRUTH"),
        ((), 2, "Give PREDICTION and TRUTH"),
        ((found, true, "--pairs", text), 2, "Give PREDICTION and TRUTH"),
        ((found, true, "--bootstrap", "scenes"), 2, "several pairs"),
        ((found, true, "--json", found), 5, "is an input"),
        ((found, true, "--image", true), 2, "give it with --figure"),
        ((found, true, "--figure", tmp_path / "e.jpg"), 5, ".png"),
        ((found, true, "--figure", tmp_path / "e.png", "--image", text), 4, "cannot be read"),
        ((found, true, "--json", "-", "--csv", "-"), 2, "both go to standard output"),
        ((tmp_path, true), 4, "is no file"),
        (("", true), 4, "An empty name"),
    ]
    for arguments, code, expected in cases:
        assert expected in run("evaluate", *arguments, code=code), arguments


def test_compare_prints_a_table_and_writes_it(tmp_path, make_dem):
    grid = utm_grid((120, 120))
    dem = make_dem(4000.0 - 10 * np.indices(grid.shape)[0], grid)
    first = outlines(tmp_path / "a.gpkg", [circle(45, 45, 30)])
    second = outlines(tmp_path / "b.gpkg", [circle(45, 45, 32), circle(100, 100, 5)])
    flags = ["--csv", tmp_path / "c.csv", "--json", tmp_path / "c.json"]
    result = run("compare", first, second, "--dem", dem, *flags)
    assert "matched" in result.stdout
    rows = {row["part"]: row for row in read_csv(tmp_path / "c.csv")}
    area = np.pi * 0.3**2
    assert float(rows["area"]["first_km2"]) == pytest.approx(area, rel=0.01)
    assert float(rows["ablation"]["first_km2"]) == pytest.approx(area / 2, rel=0.03)
    assert rows["unmatched area"]["first_km2"] == ""
    record = json.loads((tmp_path / "c.json").read_text())
    assert record["schema"] == "glacierx-comparison/1"
    assert record["relations"]["vanished"] == 1
    assert json.loads(run("compare", first, second, "--json", "-").stdout)["areas"]
    assert "--dem" in run("compare", first, second, "--dem-band", 1, code=2)
    far = outlines(tmp_path / "far.gpkg", [circle(9000, 45, 20)])
    assert "different places" in run("compare", first, far, code=4)


def test_limits_that_make_no_sense_are_told_of(pair):
    over = ["--fail-over", "area_bias_percent=-1"]
    assert "can never hold" in run("evaluate", *pair, *over, code=2)
    assert "names no score" in run("evaluate", *pair, "--fail-under", ",", code=2)
    line = run("evaluate", *pair, "--fail-under", "nonsense=1", code=2)
    assert "kappa" in line
    assert "asd_m" not in line
    run("evaluate", *pair, "--fail-under", "iou=0.5,")


def test_csv_on_stdout_has_its_header_even_without_glaciers(make):
    found, true = make("f.tif", TRUE & ~TRUE), make("t.tif", TRUE & ~TRUE)
    result = run("evaluate", found, true, "--csv", "-")
    assert result.stdout == "glacier,found,area_km2,found_km2,iou,area_bias_percent,recall\n"


def test_what_a_raster_is_made_of_is_an_input_too(pair, tmp_path):
    from rasterio.shutil import copy

    copy(str(pair[0]), str(tmp_path / "v.vrt"), driver="VRT")
    before = pair[0].read_bytes()
    line = run("evaluate", tmp_path / "v.vrt", pair[1], "--json", pair[0], "--overwrite", code=5)
    assert "is an input" in line
    assert pair[0].read_bytes() == before


def test_what_is_said_of_the_truth_alone_must_have_an_effect(pair, tmp_path):
    found, true = pair
    layer = outlines(tmp_path / "t.gpkg", [circle(45, 45, 30)])
    for arguments, text in (
        ((found, layer, "--truth-positive", "2"), "--truth-positive has no effect"),
        ((found, layer, "--truth-band", "1"), "--truth-band has no effect"),
        ((found, true, "--truth-layer", "x"), "--truth-layer has no effect"),
    ):
        assert text in run("evaluate", *arguments, code=2)
