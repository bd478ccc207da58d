import json

import pytest

from glacierx.batch.batch import Kept, make_tasks
from glacierx.batch.manifest import COLUMNS, find_rows
from glacierx.batch.names import Named, choose_names
from glacierx.cli.extract import command as extract
from glacierx.errors import OptionError, SceneError


def rows(path, text, **defaults):
    path.write_text(text, encoding="utf-8")
    return find_rows(path, defaults)


def tasks(path, text, **defaults):
    return make_tasks(rows(path, text, **defaults), path.parent / "out", Kept())


def test_every_flag_of_extract_that_says_how_a_scene_is_done_is_a_column():
    # What is said of the run, or names a file of results.
    others = {
        "path", "output", "probability", "mask", "class_map", "log", "always_hash", "overwrite",
        "resume",
        "profile", "only_estimate", "config", "no_progress", "verbose", "quiet", "debug",
        "allow_vrt", "report", "picture", "picture_px", "overlay_px",
        "analyst", "cog", "format", "geolocation_m", "image_id", "instrument", "region",
    }  # fmt: skip
    flags = {parameter.name for parameter in extract.params} - others
    assert flags | {"scene", "name"} == set(COLUMNS)


def test_csv_and_jsonl_say_the_same(tmp_path):
    csv = "\ufeffscene,dem,date,threshold,tta,workers\n\n"
    csv += " a.tif ,d.tif,2023-08-15,0.4,d4,auto\n,,,,,\n"
    line = {"scene": "a.tif", "dem": "d.tif", "date": "2023-08-15", "threshold": 0.4, "tta": "d4"}
    [one] = tasks(tmp_path / "m.csv", csv)
    [other] = tasks(tmp_path / "m.jsonl", "\ufeff" + json.dumps(line) + "\n\n")
    assert one.scene == other.scene
    assert one.options == other.options
    assert one.options.outline.threshold == 0.4
    assert one.options.predict.tta == "d4"
    assert one.scene["path"] == str(tmp_path / "a.tif")
    assert one.scene["dem"] == str(tmp_path / "d.tif")
    assert one.scene["date"] == "2023-08-15"
    assert one.where == "m.csv, line 3"


def test_a_line_wins_over_what_holds_for_all(tmp_path):
    text = "scene,model,smooth-px,median\na.tif,,,\nb.tif,ratio,0,yes\n"
    one, other = tasks(tmp_path / "m.csv", text, model="ndsi", smooth_px=2.0, keep=0.5)
    assert (one.model, one.options.outline.smooth_px, one.options.predict.median) == (
        "ndsi", 2.0, False,
    )  # fmt: skip
    assert (other.model, other.options.outline.smooth_px, other.options.predict.median) == (
        "ratio", 0.0, True,
    )  # fmt: skip
    assert one.options.predict.keep == other.options.predict.keep == 0.5


def test_a_way_to_divide_brings_its_numbers_and_a_file_is_an_inventory(tmp_path):
    text = "scene,divides,burn_slope\na.tif,kienholz2013,\nb.tif,kienholz2013,0.1\nc.tif,i.gpkg,\n"
    one, other, third = tasks(tmp_path / "m.csv", text, grid_m=20.0)
    assert (one.options.divide.burn_slope, one.options.divide.radius_factor) == (0.0, 0.3575)
    assert (other.options.divide.burn_slope, other.divides) == (0.1, None)
    assert third.divides == str(tmp_path / "i.gpkg")
    assert third.options.divide.burn_slope == 0.3
    assert {task.options.divide.grid_m for task in (one, other, third)} == {20.0}


def test_bands_may_be_files_of_the_scene_or_of_the_manifest(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "B3.tif").touch()
    text = 'scene,bands,name\np,"green=B3.tif,nir=other/B8.tif:2",\n,"green=x/B3.tif",only\n'
    one, other = tasks(tmp_path / "m.csv", text)
    assert one.scene["bands"] == f"green=B3.tif,nir={tmp_path}/other/B8.tif:2"
    assert other.scene["bands"] == f"green={tmp_path}/x/B3.tif"
    assert [one.name, other.name] == ["p", "only"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scene,modell\na.tif,ndsi\n", r"line 2: there is no column modell. Did you mean model\?"),
        ("scene,zzz\na.tif,ndsi\n", "line 2: there is no column zzz. Every flag of extract"),
        ("scene,dem\n,d.tif\n", "line 2: the column scene is empty"),
        ("scene,tta\n\na.tif,d5\n", "line 3: --tta is 'd5'. It takes one of: none, chu6, d4"),
        ("scene,patch_px\na.tif,1\n", "line 2: --patch-px is 1. It takes a number from 16"),
        ("scene,patch_px\na.tif,1.5\n", "line 2: patch_px is '1.5'. It takes a whole number"),
        ("scene,median\na.tif,maybe\n", "line 2: median is 'maybe'. It takes true or false"),
        ("scene,scale\na.tif,nan\n", "line 2: scale is 'nan'. It takes a number"),
        ("scene,date\na.tif,soon\n", "line 2: date is 'soon'"),
        ("scene,sensor\na.tif,eye\n", "line 2: .*'eye'"),
        ("scene,level\na.tif,l2a\n", "line 2: level needs the sensor"),
        ("scene,name\na.tif,../b\n", r"line 2: the name '../b' is no name of a folder"),
        ("scene,name\na.tif,nul.x\n", "line 2: .* device on Windows"),
        ("scene,name\na.tif,results.jsonl\n", "line 2: .* list of results"),
        ("scene,name\na.tif,One\nb.tif,one\n", "line 2 and m.csv, line 3 both have the name 'one'"),
        ("scene\na.tif\na.tif\n", "line 2 and m.csv, line 3 both have the name"),
        ("scene\n", "lists no scene"),
        ("", "lists no scene"),
        ("scene\na.tif,b\n", "line 2: more fields than the header names"),
    ],
)
def test_a_bad_line_is_named(tmp_path, text, said):
    with pytest.raises(SceneError, match=said):
        tasks(tmp_path / "m.csv", text)


def test_bad_jsonl_is_named(tmp_path):
    for text, said in (
        ('{"scene": "a.tif"}\n{', "line 2 is not JSON"),
        ("[1]", "line 1 is no JSON object"),
        ('{"scene": 1e999}', "line 1: scene is inf"),
        ('{"scene": {}}', "line 1: scene is {}"),
    ):
        with pytest.raises(SceneError, match=said):
            tasks(tmp_path / "m.jsonl", text)


def test_what_holds_for_all_is_checked(tmp_path):
    with pytest.raises(OptionError, match="--threshold is 2"):
        rows(tmp_path / "m.csv", "scene\na.tif\n", threshold=2)


def test_a_pattern_means_files_and_needs_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.tif", "a.tif", "a.tif.aux.xml", "c[1].tif"):
        (tmp_path / name).touch()
    found = find_rows("*", {})
    assert [row.values["scene"] for row in found] == [
        str(tmp_path / name) for name in ("a.tif", "b.tif", "c[1].tif")
    ]
    # A name that is there is no pattern.
    assert len(find_rows(["c[1].tif"], {})) == 1
    with pytest.raises(SceneError, match=r"No file is called x\*.tif"):
        find_rows("x*.tif", {})
    with pytest.raises(SceneError, match="There is no scene"):
        find_rows([], {})


def names(*paths):
    return choose_names([Named(None, path, f"line {i}") for i, path in enumerate(paths)])


def test_names_are_as_short_as_they_can_be():
    assert names("a/one.tif", "b/two.tif") == ["one", "two"]
    assert names("x/a/s.tif", "x/b/s.tif", "t.tif") == ["a_s", "b_s", "t"]
    assert names("x/a/s.tif", "y/a/s.tif") == ["x_a_s", "y_a_s"]
    assert names("a/s.tif", "a/s.jp2") == ["s_tif", "s_jp2"]
    assert names("https://h/x/S.tif?token=1", "/d/S2.SAFE") == ["S", "S2"]
    assert names("a/con.tif", "..") == ["scene_con", "scene"]
    assert names("a/results.jsonl.tif") == ["scene_results.jsonl"]


def test_no_name_leaves_the_folder():
    for path in (
        "../../etc/passwd",
        "a/..",
        "/",
        "a\\..\\b.tif",
        "x/.hidden",
        "a/b:c*?.tif",
        "é" * 300,
    ):
        [name] = names(path)
        assert "/" not in name
        assert "\\" not in name
        assert not name.startswith(".")
        assert len(name.encode()) <= 156


def test_a_given_name_is_kept_and_others_make_way():
    given = [Named("s", "a/x.tif", "1"), Named(None, "b/s.tif", "2"), Named(None, "c/s.tif", "3")]
    assert choose_names(given) == ["s", "b_s", "c_s"]
    assert choose_names([Named("s", "a/x.tif", "1"), Named(None, "s.tif", "2")]) == ["s", "s_tif"]
