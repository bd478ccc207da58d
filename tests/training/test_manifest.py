import json

import pytest

from glacierx.errors import OptionError, SceneError
from glacierx.training.manifest import COLUMNS, Row, check_parts, read_manifest


def written(folder, text, name="scenes.csv", encoding="utf-8"):
    path = folder / name
    path.write_text(text, encoding=encoding)
    return path


def test_a_line_is_a_scene_and_names_start_at_the_manifest(tmp_path):
    path = written(
        tmp_path, "scene,labels,dem\na/img.tif,a/lab.tif,\n/data/b.tif,s3://x/b.gpkg,d.tif\n"
    )
    first, second = read_manifest(path)
    assert first == Row(str(tmp_path / "a/img.tif"), str(tmp_path / "a/lab.tif"))
    assert first.name == "a/img.tif"
    assert (second.scene, second.labels) == ("/data/b.tif", "s3://x/b.gpkg")
    assert second.dem == str(tmp_path / "d.tif")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_quotes_blanks_and_the_mark_of_windows_are_understood(tmp_path, encoding):
    text = (
        "scene , labels,bands,split\r\n"
        '"a,1.tif",lab.tif,"blue=1,nir=2", train \r\n'
        "\r\n"
        'Gletscher Ötztal.tif,lab.tif,,"validation"\r\n'
    )
    first, second = read_manifest(written(tmp_path, text, encoding=encoding))
    assert first.scene == str(tmp_path / "a,1.tif")
    assert (first.bands, first.split) == ("blue=1,nir=2", "train")
    assert (second.name.split("/")[-1], second.bands) == ("Gletscher Ötztal.tif", None)
    assert second.split == "validation"


def test_json_lines_say_the_same_as_csv(tmp_path):
    text = (
        "scene,labels,scale,offset,nodata,positive,ignore,ignore_border_m,weight,region,dem_band\n"
        'a.tif,b.tif,0.0001,-0.1,0,1,"2,255",30,2.5,7,3\n'
    )
    entry = {
        "scene": "a.tif", "labels": "b.tif", "scale": 0.0001, "offset": -0.1, "nodata": 0,
        "positive": 1, "ignore": "2,255", "ignore_border_m": 30, "weight": 2.5, "region": 7,
        "dem_band": 3, "aoi": None,
    }  # fmt: skip
    lines = json.dumps(entry) + "\n\n"
    [row] = read_manifest(written(tmp_path, text))
    assert read_manifest(written(tmp_path, lines, "scenes.jsonl")) == [row]
    assert (row.scale, row.weight, row.dem_band, row.nodata) == (0.0001, 2.5, 3, "0")


def test_quality_masks_lie_beside_the_manifest(tmp_path):
    text = "scene,labels,invalid\na.tif,b.tif,SCL.tif=3,8-10\n"
    with pytest.raises(SceneError, match="more fields than the header names"):
        read_manifest(written(tmp_path, text))
    text = 'scene,labels,invalid\na.tif,b.tif,"SCL.tif=3,8-10; /q/udm.tif:6=1"\n'
    [row] = read_manifest(written(tmp_path, text))
    assert row.invalid == f"{tmp_path}/SCL.tif=3,8-10;/q/udm.tif:6=1"
    entry = {"scene": "a.tif", "labels": "b.tif", "invalid": ["SCL.tif=3", "x.tif"]}
    [row] = read_manifest(written(tmp_path, json.dumps(entry), "m.jsonl"))
    assert row.invalid == f"{tmp_path}/SCL.tif=3;{tmp_path}/x.tif"


BAD = [
    ("scene,labels,colour\na,b,c\n", "line 2: there is no column colour. Known: scene, labels"),
    ("scene;labels\na;b\n", "line 2: there is no column scene;labels"),
    ("scene,labels\na,\n", "line 2: the column labels is empty or missing"),
    ("scene,labels\na,b\n,c\n", "line 3: the column scene is empty or missing"),
    ("scene\na\n", "line 2: the column labels is empty or missing"),
    ("scene,labels,scale\na,b,1\na,b,much\n", "line 3: scale is 'much'. It takes a number"),
    ("scene,labels,weight\na,b,nan\n", "line 2: weight is 'nan'. It takes a number"),
    ("scene,labels,weight\na,b,-1\n", "line 2: weight and ignore_border_m take numbers from 0"),
    ("scene,labels,ignore_border_m\na,b,-5\n", "line 2: weight and ignore_border_m take numbers"),
    ("scene,labels,dem_band\na,b,1.5\n", "line 2: dem_band is '1.5'. It takes a whole number"),
    ("scene,labels,split\na,b,trian\n", "line 2: split is 'trian'. It takes one of: train, val"),
    ("scene,labels,scene\na,b,c\n", "the header names scene twice"),
    ('scene,labels\n"a,b\n', "is not csv"),
    ("", "lists no scene"),
    ("scene,labels\n", "lists no scene"),
]


@pytest.mark.parametrize(("text", "said"), BAD, ids=[said for _, said in BAD])
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, said):
    with pytest.raises(SceneError) as found:
        read_manifest(written(tmp_path, text))
    assert said in str(found.value)
    assert str(found.value).startswith("scenes.csv")
    assert "\n" not in str(found.value)


BAD_JSON = [
    ('{"scene": "a", "labels": "b"}\n{"scene"', "line 2 is not JSON"),
    ("[1, 2]", "line 1 is no JSON object"),
    ('{"scene": 3, "labels": "b"}', "line 1: scene is 3. It takes text"),
    ('{"scene": "a", "labels": "b", "scale": true}', "line 1: scale is True. It takes a number"),
    ('{"scene": "a", "labels": "b", "bands": {"nir": 1}}', "line 1: bands is {'nir': 1}. It takes"),
    ('{"scene": "a", "labels": "b", "scale": 1e999}', "line 1: scale is inf. It takes a number"),
    ("[" * 100000, "line 1 is not JSON"),
]


@pytest.mark.parametrize(("text", "said"), BAD_JSON, ids=[said for _, said in BAD_JSON])
def test_what_is_wrong_in_json_is_said_with_its_line(tmp_path, text, said):
    with pytest.raises(SceneError) as found:
        read_manifest(written(tmp_path, text, "m.jsonl"))
    assert said in str(found.value)


def test_a_file_that_is_no_manifest_is_refused(tmp_path):
    with pytest.raises(SceneError, match=r"is no manifest: give a \.csv or \.jsonl"):
        read_manifest(written(tmp_path, "scene", "scenes.txt"))
    with pytest.raises(SceneError, match="cannot be read: No such file"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(SceneError, match="it is not UTF-8 text"):
        read_manifest(written(tmp_path, "scène,labels\n", encoding="latin-1"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SceneError, match="cannot be read: Is a directory"):
        read_manifest(tmp_path / "folder.csv")


def test_the_column_split_is_filled_in_all_lines_or_none():
    rows = [Row("a", "b", split="train"), Row("c", "d")]
    with pytest.raises(OptionError, match="Some lines of the manifest say which split"):
        check_parts(rows, "train")
    check_parts(rows[1:], "train")
    check_parts(rows[:1], "train")
    with pytest.raises(OptionError, match="No line of the manifest belongs to the split 'train'"):
        check_parts([Row("a", "b", split="test")], "train")


def test_every_column_is_explained_in_the_page_on_training():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    for name in COLUMNS:
        assert f"| `{name}` |" in page, name
