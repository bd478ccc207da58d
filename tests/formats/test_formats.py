"""What stands in the files of each format."""

import csv
import json

import fiona
import numpy as np
import pytest
import shapely
from factories import run_command as run

import glacierx as gx
from glacierx.errors import OptionError
from glacierx.formats.process import process_text
from glacierx.formats.rgi6 import FIELDS as OF_RGI6
from glacierx.formats.rgi7 import GLACIERS as OF_RGI7
from glacierx.formats.rgi7 import with_time

RGI7 = {
    "rgi_id": "str", "o1region": "str", "o2region": "str", "glims_id": "str", "anlys_id": "int",
    "subm_id": "int", "src_date": "str", "cenlon": "float", "cenlat": "float", "utm_zone": "int",
    "area_km2": "float", "primeclass": "int", "conn_lvl": "int", "surge_type": "int",
    "term_type": "int", "glac_name": "str", "is_rgi6": "int", "termlon": "float",
    "termlat": "float", "zmin_m": "float", "zmax_m": "float", "zmed_m": "float",
    "zmean_m": "float", "slope_deg": "float", "aspect_deg": "float", "aspect_sec": "int",
    "dem_source": "str", "lmax_m": "int",
}  # fmt: skip
"""The fields of the RGI 7.0 user guide and their types."""
# The columns that OGGM's cook_rgidf makes, which are those of RGI 6.0 and one more.
COOKED = (
    "RGIId", "CenLon", "CenLat", "GLIMSId", "BgnDate", "EndDate", "O1Region", "O2Region", "Area",
    "Zmin", "Zmax", "Zmed", "Slope", "Aspect", "Lmax", "Status", "Connect", "Form", "TermType",
    "Surging", "Linkages", "check_geom", "Name",
)  # fmt: skip


@pytest.fixture
def converted(result, dem, tmp_path):
    """Convert to a format; return the folder."""

    def convert(name, *flags):
        run("convert", result, "--format", name, "--dem", dem, "-o", tmp_path / "x", *flags)
        return tmp_path / "x"

    return convert


def table(path):
    with fiona.open(path) as file:
        assert fiona.crs.CRS.from_user_input("EPSG:4326") == file.crs
        return [dict(row.properties) for row in file], dict(file.schema["properties"])


def csv_rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rgi7_has_the_files_and_fields_of_the_release(converted):
    folder = converted("rgi7", "--region", "11-01")
    stems = ("x-G-11", "x-I-11", "x-C-11")
    ends = (
        ".shp", ".shx", ".dbf", ".prj", ".cpg", "-attributes.csv", "-attributes_metadata.json",
    )  # fmt: skip
    files = {f"{stem}{end}" for stem in stems for end in ends}
    files |= {"x-G-11-hypsometry.csv", "x-C-11-CtoG_links.json", "x-run_record.json"}
    assert {file.name for file in folder.iterdir()} == files
    rows, types = table(folder / "x-G-11.shp")
    assert list(types) == list(RGI7)
    assert {name: kind.split(":")[0].rstrip("3264") for name, kind in types.items()} == RGI7
    assert rows[0]["o1region"] == "11"
    assert rows[0]["o2region"] == "11-01"
    assert rows[0]["src_date"] == "2023-08-15T00:00:00"
    assert rows[0]["glac_name"] == "Grüner Ferner"
    assert [row["surge_type"] for row in rows] == [9, 9, 9]
    # Never an id that could be taken for one of RGI.
    assert not any("RGI" in file.read_text(errors="ignore").split("rgi_id")[-1][:400]
                   for file in folder.glob("*-attributes.csv"))  # fmt: skip


def test_csv_and_metadata_of_rgi7_say_what_the_shapefile_says(converted):
    folder = converted("rgi7")
    for product in "GIC":
        rows, _ = table(folder / f"x-{product}.shp")
        texts = csv_rows(folder / f"x-{product}-attributes.csv")
        meaning = json.loads((folder / f"x-{product}-attributes_metadata.json").read_text())
        assert list(texts[0]) == list(rows[0]) == list(meaning)
        for row, text in zip(rows, texts, strict=True):
            for name, value in row.items():
                if isinstance(value, float):
                    assert float(text[name]) == pytest.approx(value, rel=1e-12)
                else:
                    assert text[name] == ("" if value is None else str(value))


def test_links_and_intersects_name_the_glaciers(converted, layers):
    folder = converted("rgi7")
    ids = layers["glaciers"]["glac_id"].tolist()
    links = json.loads((folder / "x-C-CtoG_links.json").read_text())
    assert links == {"C-00003": ids[:2], "C-00007": ids[2:]}
    [line], _ = table(folder / "x-I.shp")
    assert {line["rgi_g_id_1"], line["rgi_g_id_2"]} == set(ids[:2])
    assert line["length_m"] == pytest.approx(600, rel=1e-3)
    wholes, _ = table(folder / "x-C.shp")
    area = layers["glaciers"]["area_km2"]
    assert wholes[0]["area_km2"] == pytest.approx(area[0] + area[1], rel=1e-9)


@pytest.mark.parametrize(
    ("name", "file", "key"),
    [("rgi7", "x-G-hypsometry.csv", "rgi_id"), ("rgi6", "00_rgi60_x_hypso.csv", "RGIId")],
)
def test_the_hypsometry_sums_to_1000(converted, layers, name, file, key):
    rows = csv_rows(converted(name) / file)
    heads = list(rows[0])
    assert heads[:2] == [key, "area_km2"]
    centres = [int(one) for one in heads[2:]]
    assert np.diff(centres).tolist() == [50] * (len(centres) - 1)
    lowest, highest = layers["glaciers"]["zmin_m"].min(), layers["glaciers"]["zmax_m"].max()
    assert centres[0] - 25 <= lowest < centres[0] + 25
    assert centres[-1] - 25 <= highest < centres[-1] + 25
    for row in rows:
        assert sum(int(row[head]) for head in heads[2:]) == 1000


def test_rgi6_has_the_columns_of_rgi6_and_oggm_one_more(converted, tmp_path, result, layers):
    folder = converted("rgi6", "--region", "11-02")
    rows, types = table(folder / "11_rgi60_x.shp")
    assert set(types) == set(COOKED) - {"check_geom"}
    assert list(types) == [field.name for field in OF_RGI6]
    first, _, last = rows
    assert first["RGIId"] == "GLX60-11.00001"
    assert first["BgnDate"] == "20230815"
    assert (first["O1Region"], first["O2Region"]) == ("11", "2")
    assert (first["Status"], last["Status"]) == (0, 1)
    assert first["Zmin"] == round(layers["glaciers"]["zmin_m"][0])
    [line], _ = table(folder / "intersects_11_rgi60_x.shp")
    assert (line["RGIId_1"], line["RGIId_2"]) == ("GLX60-11.00001", "GLX60-11.00002")
    run("convert", result, "--format", "oggm", "-o", tmp_path / "y")
    rows, types = table(tmp_path / "y" / "y-outlines.gpkg")
    assert set(types) == set(COOKED)
    # What OGGM takes for no region.
    assert {(row["O1Region"], row["O2Region"]) for row in rows} == {("0", "0")}


def test_dates_of_rgi6_say_what_is_not_known(tmp_path, layers):
    glaciers = layers["glaciers"].with_columns(
        src_date=np.array(["2001", "2001-07", None], object), term_type=np.array([3, 1, 9])
    )
    gx.write_format(tmp_path / "x", {"glaciers": glaciers}, {}, gx.Delivery("oggm"))
    rows, _ = table(tmp_path / "x" / "x-outlines.gpkg")
    assert [row["BgnDate"] for row in rows] == ["20019999", "20010799", "-9999999"]
    assert [row["TermType"] for row in rows] == [5, 1, 9]
    back, _ = gx.read_result(tmp_path / "x")
    assert back["glaciers"]["src_date"].tolist() == ["2001", "2001-07", None]
    assert back["glaciers"]["term_type"].tolist() == [3, 1, 9]


def test_a_date_with_a_time_stays_as_it_is():
    assert with_time("2023-08-15") == "2023-08-15T00:00:00"
    assert with_time("2023-08-15T10:11:12Z") == "2023-08-15T10:11:12Z"
    assert with_time(None) is None


def test_glims_says_what_it_is_told_and_what_the_record_tells(converted):
    folder = converted(
        "glims", "--analyst", "A. Nalyst", "--image-id", "S2A_ONE", "--image-id", "S2A_TWO",
        "--geolocation-m", 12.5,
    )  # fmt: skip
    rows, types = table(folder / "x.shp")
    assert {name for name in types if len(name) > 10} == set()
    for row in rows:
        assert row["line_type"] == "glac_bound"
        assert (row["loc_unc_x"], row["loc_unc_y"]) == (5, 5)  # half of 10 m
        assert (row["glob_unc_x"], row["glob_unc_y"]) == (12.5, 12.5)
        assert row["orig_id"] == "S2A_ONE, S2A_TWO"
        assert row["analysts"] == "A. Nalyst"
        assert row["inst_name"] == "sentinel-2"
        assert row["src_date"] == "2023-08-15"
        assert "glacierx 1.2.3" in row["proc_desc"]
        assert "starter" in row["proc_desc"]
    with fiona.open(folder / "x.shp") as file:
        shape = shapely.geometry.shape(file[0].geometry)
    assert len(shape.interiors) == 1
    text = (folder / "x.txt").read_text(encoding="utf-8")
    for part in ("S2A_TWO", "A. Nalyst", "sentinel-2", "2023-08-15", "EPSG:4326", "Kienholz"):
        assert part in text
    assert all(f"\n{name}: " in text for name in types)


def test_what_glims_asks_for_and_nobody_said_is_told(result, tmp_path):
    done = run("convert", result, "--format", "glims", "-o", tmp_path / "x")
    [line] = [line for line in done.stderr.splitlines() if line.startswith("Warning")]
    for flag in ("--image-id", "--analyst", "--geolocation-m"):
        assert flag in line
    assert "--date" not in line
    assert "not given" in (tmp_path / "x" / "x.txt").read_text()


def test_glaciers_that_would_share_an_id_of_glims_have_none(tmp_path, layers):
    ids = np.array(["G010000E46000N", "G010000E46000N_2", "mine"], object)
    glaciers = layers["glaciers"].with_columns(glac_id=ids)
    gx.write_format(tmp_path / "x", {"glaciers": glaciers}, {}, gx.Delivery("glims"))
    rows, _ = table(tmp_path / "x" / "x.shp")
    assert [row["glac_id"] for row in rows] == ["G010000E46000N", None, None]
    assert [row["local_id"] for row in rows] == ids.tolist()


def test_a_run_in_words():
    said = process_text(
        {
            "versions": {"glacierx": "9"},
            "model": {"kind": "pixel method", "name": "ndsi", "thresholds": {"ndsi": 0.4}},
            "options": {"outline": {"threshold": 0.5, "smooth_px": 0, "min_area_km2": 0.05}},
            "inventory": {"name": "old.gpkg"},
        }
    )
    assert said == [
        "Glacier outlines were made by glacierx 9.",
        "Ice was found pixel by pixel by the method ndsi, thresholds ndsi 0.4.",
        "Outlines were traced along pixels: where the probability is above 0.5, those below "
        "0.05 km2 left out.",
        "Ice divides were copied from the inventory old.gpkg.",
    ]
    assert process_text({}) == []
    assert process_text({"model": 7, "options": [1], "versions": None})


def test_without_a_dem_there_is_no_hypsometry_and_a_line_says_so(result, tmp_path):
    done = run("convert", result, "--format", "rgi7", "-o", tmp_path / "x")
    assert "Give a DEM with --dem" in done.stderr
    assert not list((tmp_path / "x").glob("*hypsometry*"))


def test_fields_are_ten_letters_long_at_most():
    for field in (*OF_RGI6, *OF_RGI7):
        assert len(field.name) <= 10
        assert field.text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"format": "kml"}, "takes one of: rgi7, rgi6, oggm, glims"),
        ({"format": "rgi7", "region": "Alps"}, "takes a region of RGI"),
        ({"format": "rgi7", "region": "21"}, "01 to 20"),
        ({"format": "glims", "geolocation_m": float("nan")}, "takes metres"),
    ],
)
def test_facts_that_cannot_be_are_refused(given, message):
    with pytest.raises(OptionError, match=message):
        gx.Delivery(**given)
