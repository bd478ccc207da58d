"""Several classes through the whole tool, on a place whose geometry is known."""

import json

import numpy as np
import pytest
import rasterio
import shapely
from class_world import GRID, NAMES, kinds, write_bands, write_world
from factories import run_command, write_tif

import glacierx as gx
from glacierx.outlines.geopackage import read_outlines, read_record
from glacierx.scene.vector import read_layer

KM2 = 1e-4  # of a pixel
RAW = ("--smooth-px", 0, "--min-area-km2", 0)


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_world(tmp_path, monkeypatch)
    return tmp_path


def test_areas_of_classes_are_those_of_the_geometry(world):
    run_command("extract", "scene.tif", "--model", "by-bands.safetensors", "-o", "a.gpkg", *RAW)
    debris, ice = int((kinds() == 1).sum()), int((kinds() == 2).sum())
    for layer in ("glaciers", "complexes"):
        found = read_outlines("a.gpkg", layer)
        # Debris and ice touch, so that they are one glacier.
        assert len(found) == 1
        assert found["area_km2"][0] == pytest.approx((debris + ice) * KM2, rel=2e-3)
        whole = found["area_km2"][0] / (debris + ice)
        assert found["area_debris_km2"][0] == pytest.approx(debris * whole, abs=2e-6)
        assert found["area_ice_km2"][0] == pytest.approx(ice * whole, abs=2e-6)
        assert "area_background_km2" not in found.columns
        assert found["mean_probability"][0] == 1
    said = read_layer("a.gpkg", "glaciers")
    names = list(said.columns)
    assert names[names.index("area_unc_km2") + 1 :][:2] == ["area_debris_km2", "area_ice_km2"]


def test_a_class_is_traced_alone_and_classes_together(world):
    run_command("predict", "scene.tif", "--model", "by-bands.safetensors", "-o", "p.tif")
    for classes, wanted in (("debris", [1]), ("ice", [2]), ("debris,ice", [1, 2]), (None, [1, 2])):
        more = () if classes is None else ("--classes", classes)
        run_command("outline", "p.tif", "-o", f"{classes}.gpkg", *RAW, *more)
        found = read_outlines(f"{classes}.gpkg")
        pixels = np.isin(kinds(), wanted).sum()
        assert shapely.area(found.geometry).sum() == pytest.approx(100 * pixels)
        assert ("area_ice_km2" in found.columns) == (len(wanted) == 2)
        assert read_record(f"{classes}.gpkg")["options"]["outline"]["classes"] == classes
    line = run_command("outline", "p.tif", "-o", "x.gpkg", "--classes", "lake", code=2)
    assert "p.tif holds the classes background, debris, ice" in line


def test_extract_refuses_a_class_that_the_model_lacks_before_it_predicts(world):
    line = run_command(
        "extract", "scene.tif", "--model", "by-bands.safetensors", "-o", "a.gpkg",
        "--classes", "ice,snow", code=2,
    )  # fmt: skip
    assert "the model by-bands holds the classes background, debris, ice" in line


def test_mask_and_class_map_agree_with_the_world(world):
    run_command(
        "predict", "scene.tif", "--model", "by-bands.safetensors", "-o", "p.tif",
        "--mask", "m.tif", "--class-map", "c.tif",
    )  # fmt: skip
    with rasterio.open("m.tif") as mask, rasterio.open("c.tif") as classes:
        assert (mask.read(1) == (kinds() > 0)).all()
        assert (classes.read(1) == kinds()).all()
        assert json.loads(classes.tags()["GLACIERX_CLASSES"]) == list(NAMES)
        assert json.loads(classes.tags()["GLACIERX_ICE"]) == ["debris", "ice"]
        colors = {classes.colormap(1)[number] for number in range(3)}
        assert len(colors) == 3
        assert classes.nodata == 255
    text = (world / "c.tif.aux.xml").read_text()
    assert [text.index(f"<Category>{name}</Category>") for name in NAMES] == sorted(
        text.index(f"<Category>{name}</Category>") for name in NAMES
    )
    with rasterio.open("p.tif") as file:
        assert file.count == 3
        assert file.descriptions[1] == "probability of debris"
    run_command("verify", "c.tif", "scene.tif", "by-bands.safetensors", "--rerun")


def test_the_glacier_is_the_sum_of_its_classes(tmp_path, monkeypatch):
    write_world(tmp_path, monkeypatch)
    # Debris and ice of .3 and .3 beside .4 of other ground: a glacier of .6.
    bands = np.zeros((3, 16, 16))
    bands[0] = np.log(0.4 / 0.3) / 8
    path = write_bands(tmp_path / "even.tif", bands)
    model = gx.load_model(tmp_path / "by-bands.safetensors")
    with (
        gx.open_scene(path) as opened,
        gx.predict(opened, model, mask=tmp_path / "m.tif", class_map=tmp_path / "c.tif") as found,
    ):
        assert (found.read(opened.grid.window) == 150).all()
        assert (found.of("ice").read(opened.grid.window) == 75).all()
        assert (found.of("background").read(opened.grid.window) == 100).all()
    with rasterio.open(tmp_path / "m.tif") as mask, rasterio.open(tmp_path / "c.tif") as kind:
        assert (mask.read(1) == 1).all()
        assert (kind.read(1) == 0).all()


def test_scores_of_classes_are_hand_counts(world):
    run_command("predict", "scene.tif", "--model", "by-bands.safetensors", "-o", "p.tif")
    true = kinds()
    # 100 pixels of ice that are debris in truth, 50 that are other ground, 20 not known.
    true[40:50, 55:65] = 1
    true[52:57, 55:65] = 0
    true[0:2, 0:10] = 9
    write_tif(world / "true.tif", 10 * true[None], GRID, nodata=90)
    legend = "0=background,10=debris,20=ice"
    shown = run_command(
        "evaluate", "p.tif", "true.tif", "--truth-legend", legend, "--json", "s.json"
    )
    told = json.loads((world / "s.json").read_text())
    ice, debris = int((kinds() == 2).sum()), int((kinds() == 1).sum())
    rest = kinds().size - ice - debris - 20
    assert told["classes"]["names"] == list(NAMES)
    assert told["classes"]["confusion"] == [[rest, 0, 50], [0, debris, 100], [0, 0, ice - 150]]
    scores = told["classes"]["scores"]
    assert scores["ice"]["precision"] == pytest.approx((ice - 150) / ice)
    assert scores["ice"]["recall"] == 1
    assert scores["debris"]["iou"] == pytest.approx(debris / (debris + 100))
    ious = [rest / (rest + 50), debris / (debris + 100), (ice - 150) / ice]
    assert told["classes"]["mean_iou"] == pytest.approx(sum(ious) / 3)
    # As glacier, debris and ice are one: the other ground alone is wrong.
    assert told["confusion"] == {
        "tp": debris + ice - 50, "fp": 50, "fn": 0, "tn": rest, "pixels": rest + debris + ice,
    }  # fmt: skip
    assert "mean IoU of classes" in shown.stdout
    one = ("evaluate", "p.tif", "true.tif", "--truth-legend", legend, "--classes", "debris")
    run_command(*one, "--json", "d.json")
    alone = json.loads((world / "d.json").read_text())["confusion"]
    assert (alone["tp"], alone["fp"], alone["fn"]) == (debris, 0, 100)


def test_a_class_map_is_scored_and_is_a_truth(world):
    run_command(
        "predict", "scene.tif", "--model", "by-bands.safetensors", "-o", "p.tif",
        "--class-map", "c.tif",
    )  # fmt: skip
    for pair in (("p.tif", "c.tif"), ("c.tif", "c.tif")):
        run_command("evaluate", *pair, "--json", "s.json", "--overwrite")
        told = json.loads((world / "s.json").read_text())
        assert told["classes"]["mean_iou"] == told["scores"]["iou"] == 1
        assert told["confusion"]["tp"] == (kinds() > 0).sum()


def test_a_value_that_the_legend_does_not_name_is_told(world):
    run_command("predict", "scene.tif", "--model", "by-bands.safetensors", "-o", "p.tif")
    write_tif(world / "true.tif", kinds()[None] * 3, GRID)
    wrong = run_command(
        "evaluate", "p.tif", "true.tif", "--truth-legend", "0=background,3=ice", code=4
    )
    assert "true.tif holds the values 6, which its legend does not name" in wrong
    line = run_command(
        "evaluate", "true.tif", "true.tif", "--legend", "0=rock,3=debris,6=ice", code=2
    )
    assert "Say which of them are glacier: --classes" in line


def test_classes_come_from_a_column_of_outlines(world):
    run_command("predict", "scene.tif", "--model", "by-bands.safetensors", "-o", "p.tif")
    x, y = GRID.to_map(np.array([70, 105]), np.array([50, 70]))
    tongue = shapely.box(x[0], y[1], x[1], y[0])
    (world / "truth.geojson").write_text(_geojson([("CI", _pixels(2)), ("DC", tongue)]))
    legend = ("--truth-field", "kind", "--truth-legend", "CI=ice,DC=debris")
    run_command("evaluate", "p.tif", "truth.geojson", *legend, "--json", "s.json")
    told = json.loads((world / "s.json").read_text())
    counts = [int((kinds() == number).sum()) for number in range(3)]
    assert told["classes"]["confusion"] == np.diag(counts).tolist()
    line = run_command("evaluate", "p.tif", "truth.geojson", "--truth-field", "sort", code=4)
    assert "has no column 'sort'" in line


def _pixels(number):
    shapes = rasterio.features.shapes(
        (kinds() == number).astype("uint8"), kinds() == number, transform=GRID.transform
    )
    [(shape, _)] = shapes
    return shapely.geometry.shape(shape)


def _geojson(rows):
    features = [
        {"type": "Feature", "properties": {"kind": kind}, "geometry": shapely.geometry.mapping(one)}
        for kind, one in rows
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    return json.dumps({"type": "FeatureCollection", "crs": crs, "features": features})


def test_areas_of_classes_are_in_every_file_of_outlines(world):
    debris, ice = int((kinds() == 1).sum()), int((kinds() == 2).sum())
    run_command("predict", "scene.tif", "--model", "by-bands.safetensors", "-o", "p.tif")
    for name in ("a.geojson", "a.fgb", "a.shp"):
        run_command("extract", "scene.tif", "--model", "by-bands.safetensors", "-o", name, *RAW)
        found = read_outlines(name)
        short = (
            ("a_debris", "a_ice") if name.endswith(".shp") else ("area_debris_km2", "area_ice_km2")
        )
        share = found[short[0]][0] / (found[short[0]][0] + found[short[1]][0])
        assert share == pytest.approx(debris / (debris + ice), abs=1e-5)
    run_command("extract", "scene.tif", "--model", "by-bands.safetensors", "-o", "a.gpkg", *RAW)
    for kind, folder in (("rgi7", "rgi"), ("glims", "glims")):
        run_command("convert", "a.gpkg", "-o", folder, "--format", kind)


def test_names_that_a_shapefile_cannot_tell_apart_are_numbered():
    from glacierx.outlines.attributes import GLACIERS, widened

    names = ["area_debris_thick_km2", "area_debris_thin_km2", "area_unc_km2", "area_km2"]
    wide = widened(GLACIERS, names)
    added = [one for one in wide if one not in GLACIERS]
    assert [one.name for one in added] == names[:2]
    assert [one.short for one in added] == ["a_debris_t", "a_debris_2"]
    assert all(len(one.short) <= 10 for one in added)
    assert wide.index(added[0]) == [one.name for one in GLACIERS].index("area_unc_km2") + 1


def test_a_divided_complex_keeps_the_areas_of_what_is_not_cut(world):
    run_command("predict", "scene.tif", "--model", "by-bands.safetensors", "-o", "p.tif")
    run_command("outline", "p.tif", "-o", "c.gpkg", *RAW)
    run_command("divide", "c.gpkg", "-o", "g.gpkg")
    before, after = read_outlines("c.gpkg"), read_outlines("g.gpkg", "glaciers")
    assert after["area_debris_km2"][0] == before["area_debris_km2"][0] > 0


def test_the_report_shows_the_areas(world):
    run_command(
        "extract", "scene.tif", "--model", "by-bands.safetensors", "-o", "a.gpkg",
        "--report", "r.html", *RAW,
    )  # fmt: skip
    page = (world / "r.html").read_text()
    area = read_outlines("a.gpkg")["area_debris_km2"][0]
    assert f"debris {area:,.2f} km²" in page
    assert "Area, debris" in page


def test_pieces_of_two_scenes_share_out_the_area_of_the_whole():
    from rasterio.crs import CRS

    from glacierx.outlines.combine import Origins
    from glacierx.outlines.outlines import Outlines, as_geometries
    from glacierx.outlines.seams import Joined

    # Two squares of 1 km2, of which the one is half debris and the other all ice.
    halves = as_geometries(
        [shapely.box(500e3, 5e6, 501e3, 5001e3), shapely.box(501e3, 5e6, 502e3, 5001e3)]
    )
    columns = {
        "area_km2": np.array([1.0, 1.0]), "area_debris_km2": np.array([0.5, 0.0]),
        "area_ice_km2": np.array([0.5, 1.0]), "divided": np.array([1, 1]),
    }  # fmt: skip
    every = Outlines(halves, CRS.from_epsg(32632), columns)
    origins = Origins(
        every,
        np.array([0, 1]),
        ["a", "b"],
        shapely.LineString([(0, 0), (1, 0)]),
        [10, 10],
        "newest",
    )
    whole = Joined(shapely.union_all(halves), {0: 1e6, 1: 1e6}, 2, "preferred", changed=True)
    [row] = origins.combined([whole], np.zeros(1))
    assert row["area_debris_km2"] == pytest.approx(row["area_km2"] / 4, abs=1e-6)
    assert row["area_ice_km2"] == pytest.approx(row["area_km2"] * 3 / 4, abs=1e-6)


@pytest.mark.parametrize("tta", ["d4", "chu6"])
def test_views_and_strips_change_no_class(world, tta):
    run_command(
        "predict", "scene.tif", "--model", "by-bands.safetensors", "-o", "p.tif", "--tta", tta,
        "--patch-px", 32, "--batch", 3, "--class-map", "c.tif", "--cog",
    )  # fmt: skip
    with rasterio.open("c.tif") as file:
        assert (file.read(1) == kinds()).all()
        assert len(file.colormap(1)) > 3


def test_one_temperature_flattens_every_class(tmp_path, monkeypatch):
    # Logits of 8, 0, 0 at a temperature of 8: shares of e, 1, 1.
    write_world(tmp_path, monkeypatch, temperature=8.0)
    with (
        gx.open_scene(tmp_path / "scene.tif") as scene,
        gx.predict(scene, gx.load_model(tmp_path / "by-bands.safetensors")) as found,
    ):
        e = np.e
        own, other = round(250 * e / (e + 2)), round(250 / (e + 2))
        steps = found.read(scene.grid.window)
        assert (steps[kinds() == 0] == 2 * other).all()
        assert (steps[kinds() == 1] == own + other).all()
        assert (found.of("debris").read(scene.grid.window)[kinds() == 1] == own).all()


def test_two_classes_of_a_softmax_are_glacier_or_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_world(tmp_path, monkeypatch, names=("background", "glacier"), ice=("glacier",))
    run_command("extract", "scene.tif", "--model", "by-bands.safetensors", "-o", "a.gpkg", *RAW)
    found = read_outlines("a.gpkg")
    # The second band alone is glacier: the tongue.
    assert shapely.area(found.geometry).sum() == pytest.approx(100 * (kinds() == 1).sum())
    assert not [name for name in found.columns if name.startswith("area_") and "glacier" in name]


def test_pixel_methods_write_a_class_map_of_glacier(tmp_path, make_scene, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_scene(kinds() == 2)
    run_command("predict", "scene.tif", "--model", "ndsi", "-o", "p.tif", "--class-map", "c.tif")
    with rasterio.open("c.tif") as file:
        assert (file.read(1) == (kinds() == 2)).all()
        assert json.loads(file.tags()["GLACIERX_CLASSES"]) == ["background", "glacier"]


@pytest.mark.parametrize(
    ("names", "ice", "said"),
    [
        (("background", "ice"), ("glacier",), "do not hold 'glacier'"),
        (("background", "ice"), ("lake",), "its ice is not among"),
        (("debris", "ice"), ("debris", "ice"), "all its classes are ice"),
        (("background", "clean ice", "clean-ice"), ("clean ice",), "told apart as columns"),
        (("background", "a,b"), ("a,b",), "told apart as columns"),
    ],
)
def test_classes_that_cannot_be_are_refused(names, ice, said):
    from class_world import card

    from glacierx.errors import ModelError

    with pytest.raises(ModelError, match=said):
        card(names, ice)


def test_a_card_keeps_its_ice_and_one_of_one_class_stays_as_it_was():
    from class_world import card
    from factories import tiny_card

    from glacierx.predict.card import Card

    assert Card.from_json(card().to_json(), "c") == card()
    assert '"ice"' not in tiny_card().to_json()


def test_openvino_gives_the_same_classes(world):
    pytest.importorskip("openvino")
    run_command(
        "predict", "scene.tif", "--model", "by-bands.safetensors", "-o", "p.tif",
        "--backend", "openvino", "--device", "cpu", "--precision", "fp32", "--class-map", "c.tif",
    )  # fmt: skip
    with rasterio.open("c.tif") as file, rasterio.open("p.tif") as steps:
        assert (file.read(1) == kinds()).all()
        assert (steps.read().sum(axis=0) == 250).all()


def test_a_batch_writes_class_maps(tmp_path, make_scene, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_scene(kinds() == 2)
    run_command("batch", "scene.tif", "-o", "out", "--model", "ndsi", "--class-map")
    with rasterio.open("out/scene/scene_class.tif") as file:
        assert (file.read(1) == (kinds() == 2)).all()


def test_a_record_from_before_there_were_classes_is_run_again():
    from glacierx.rerun import options_again

    outline = gx.OutlineOptions(min_area_km2=0.5).as_record()
    del outline["classes"]
    record = {"options": {"predict": {"median": False}, "outline": outline}}
    assert options_again(record).outline == gx.OutlineOptions(min_area_km2=0.5)


def test_pairs_tell_how_their_truth_numbers_classes(world):
    run_command("predict", "scene.tif", "--model", "by-bands.safetensors", "-o", "p.tif")
    write_tif(world / "a.tif", kinds()[None], GRID)
    write_tif(world / "b.tif", 2 - kinds()[None], GRID)
    (world / "pairs.csv").write_text(
        "prediction,truth,truth_legend\n"
        "p.tif,a.tif,0=background;1=debris;2=ice\np.tif,b.tif,2=background;1=debris;0=ice\n"
    )
    run_command("evaluate", "--pairs", "pairs.csv", "--json", "s.json")
    told = json.loads((world / "s.json").read_text())
    counts = [2 * int((kinds() == number).sum()) for number in range(3)]
    assert told["pooled"]["classes"]["confusion"] == np.diag(counts).tolist()


def test_what_has_no_effect_is_refused(world, make_scene):
    write_tif(world / "m.tif", (kinds() > 0)[None].astype("uint8"), GRID)
    line = run_command("evaluate", "m.tif", "m.tif", "--classes", "debris", code=2)
    assert "neither m.tif" in line
    assert "tells classes apart" in line
