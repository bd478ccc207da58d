import base64
import hashlib
import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from factories import ICE, disc, tiny_card, utm_grid, write_tif
from rasterio.crs import CRS

import glacierx as gx
from glacierx.cli.main import group
from glacierx.outlines.geopackage import RECORD_TAG, write_layers
from glacierx.outlines.outlines import as_geometries
from glacierx.report.columns import (
    MOST_CLASSES,
    even_edges,
    palette,
    range_labels,
    size_edges,
)
from glacierx.report.figures import aspect_figure, sizes_figure, uncertainty_figure
from glacierx.report.ground import Frame, frame_of, shapes_of
from glacierx.report.hypsometry import guessed, measured
from glacierx.report.notes import notes_of
from glacierx.report.page import Contents, page_html, script_json
from glacierx.report.report import scene_choice
from glacierx.report.results import Results, read_results

UTM = CRS.from_epsg(32632)
EVIL = "<script>alert(1)</script></script><img src=x onerror=alert(2)>'\"&amp;"


class Page(HTMLParser):
    """The elements of a page, and the texts of those that a browser does not parse."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.raw = [], {"script": [], "style": [], "title": []}
        self._inside = None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._inside = tag if tag in self.raw else None
        if self._inside:
            self.raw[tag].append("")

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside:
            self.raw[self._inside][-1] += data

    @property
    def data(self):
        return json.loads(self.raw["script"][0])

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def glaciers_of(*shapes, **columns):
    return gx.Outlines(
        as_geometries(shapes),
        UTM,
        {name: np.asarray(values) for name, values in columns.items()},
    )


def square(x, y, side):
    return shapely.box(600_000 + x, 5_190_000 + y, 600_000 + x + side, 5_190_000 + y + side)


def results_of(*shapes, record=None, **columns):
    columns.setdefault("area_km2", [shape.area / 1e6 for shape in shapes])
    return Results("o.gpkg", glaciers_of(*shapes, **columns), None, record or {})


@pytest.fixture
def made(make_scene, make_dem, tmp_path):
    """A scene with two discs of ice on a slope, its DEM, and its outlines."""
    mask = disc((200, 260), (90, 80), 50) | disc((200, 260), (120, 200), 30)
    grid = utm_grid(mask.shape)
    rows, _ = np.indices(mask.shape)
    make_dem(3000 - 2.0 * rows, grid)
    make_scene(mask)
    return tmp_path


def invoke(*arguments, code=0):
    result = CliRunner().invoke(group, [str(one) for one in arguments])
    assert result.exit_code == code, result.output
    return result


def test_a_page_loads_nothing_and_runs_only_its_own_script(made):
    extract = ("extract", made / "scene.tif", "--dem", made / "dem.tif", "--model", "ndsi")
    invoke(*extract, "-o", made / "o.gpkg", "--report", made / "r.html")
    page = Page(made / "r.html")
    [policy] = [one["content"] for one in page.all("meta") if "http-equiv" in one]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    # The hashes are of what stands in the page.
    for kind, text in (("script", page.raw["script"][-1]), ("style", page.raw["style"][0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
    assert len(page.all("script")) == 2
    assert not any(page.all(tag) for tag in ("link", "iframe", "object", "base", "form"))
    for _, attributes in page.elements:
        assert not set(attributes) & {"src", "srcset", "style"}
        assert attributes.get("href", "#").startswith("#")
    assert "url(" not in page.raw["style"][0]
    assert "sourceMappingURL" not in page.raw["script"][-1]
    # What a screen reader and a phone need.
    assert page.all("html")[0]["lang"] == "en"
    assert "width=device-width" in next(
        one["content"] for one in page.all("meta") if one.get("name") == "viewport"
    )
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert set(attributes.get(name, "").split()) <= set(ids)
    assert all(one["role"] == "img" for one in page.all("svg"))


def test_an_extraction_and_its_file_have_the_same_page_and_picture(made):
    scene = ("--dem", made / "dem.tif")
    invoke(
        "extract", made / "scene.tif", *scene, "--model", "ndsi", "-o", made / "o.gpkg",
        "--report", made / "a.html", "--picture", made / "a.png", "--picture-px", "300",
    )  # fmt: skip
    invoke(
        "report", made / "o.gpkg", "--scene", made / "scene.tif", *scene, "-o", made / "b.html",
        "--picture", made / "b.png", "--picture-px", "300",
    )  # fmt: skip
    assert (made / "a.html").read_bytes() == (made / "b.html").read_bytes()
    assert (made / "a.png").read_bytes() == (made / "b.png").read_bytes()
    data = Page(made / "a.html").data
    assert len(data["ids"]) == 2
    assert data["scene"]["url"].startswith("data:image/webp;base64,")


def test_texts_of_a_file_are_texts_on_the_page(tmp_path):
    record = {
        "scene": {"name": EVIL, "src_date": EVIL, "bands": {EVIL: {"file": EVIL, "band": 1}}},
        "model": {"name": EVIL, "kind": "pixel method", "notes": [EVIL]},
        "inputs": [{"name": EVIL, "sha256": EVIL}],
        "versions": {EVIL: EVIL},
        "options": {"outline": {"threshold": EVIL}},
    }
    found = glaciers_of(
        square(0, 0, 500), glac_id=[EVIL], ref_name=[EVIL], touches_edge=[1], area_km2=[0.25]
    )
    write_layers(tmp_path / "o.gpkg", {"glaciers": found}, record)
    scores = {"prediction": EVIL, "truth": EVIL, "scores": {EVIL: 0.5}, "notes": [EVIL]}
    (tmp_path / "s.json").write_text(json.dumps(scores))
    path = gx.write_report(tmp_path / "o.gpkg", tmp_path / "r.html", scores=tmp_path / "s.json")
    page = Page(path)
    assert len(page.all("script")) == 2
    assert not page.all("img")
    assert not any(name.startswith("on") for _, given in page.elements for name in given)
    assert page.data["ids"] == [EVIL]
    assert page.data["names"] == [EVIL]
    assert "</script" not in page.raw["script"][0]


def test_json_in_a_script_cannot_end_it():
    text = script_json({"a": "</script><!--", "b": "\u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--", "b": "\u2028"}


def test_a_foreign_inventory_is_shown_as_far_as_its_columns_go(tmp_path):
    rows = [square(0, 0, 1000), square(3000, 0, 500)]
    features = [
        {"type": "Feature", "geometry": shapely.geometry.mapping(shape),
         "properties": {"RGIId": f"RGI-{at}", "Name": "Big" if not at else None}}
        for at, shape in enumerate(rows)
    ]  # fmt: skip
    crs = {"type": "name", "properties": {"name": "EPSG:32632"}}
    file = tmp_path / "inventory.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    path = gx.write_report(file, tmp_path / "r.html")
    text = path.read_text(encoding="utf-8")
    data = Page(path).data
    assert data["ids"] == ["RGI-0", "RGI-1"]
    assert data["names"] == ["Big", ""]
    [area] = [one["values"] for one in data["columns"] if one["name"] == "area_km2"]
    assert area == pytest.approx([1.0, 0.25], rel=2e-3)  # The scale of UTM 0.9996, squared.
    assert "inventory.geojson has no areas" in text
    assert "holds no run record" in text
    assert "No elevation is known" in text
    assert "The glaciers have no aspects" in text
    assert "neither uncertainties of areas nor probabilities" in text
    assert data["scene"] is None


def test_a_result_without_ice_has_a_page(make_scene, tmp_path):
    scene = make_scene(np.zeros((60, 60), bool))
    invoke("extract", scene, "--model", "ndsi", "-o", tmp_path / "o.gpkg",
           "--report", tmp_path / "r.html")  # fmt: skip
    assert Page(tmp_path / "r.html").data["ids"] == []
    assert "There is no glacier in the result." in (tmp_path / "r.html").read_text()
    gx.write_report(tmp_path / "o.gpkg", tmp_path / "s.html")
    assert Page(tmp_path / "s.html").data["ids"] == []


def test_ice_by_elevation_is_that_of_geometry(make_dem):
    # A slope that falls by 0.5 m for each metre to the east: 50 m of height are 100 m of ground.
    grid = utm_grid((200, 300), 10, corner=(600_000, 5_192_000))
    heights = np.broadcast_to(3000 - 5.0 * (np.arange(300) + 0.5), (200, 300))
    with gx.Dem(make_dem(heights, grid)) as dem:
        found = measured(glaciers_of(square(500, 500, 1000)), dem)
    # The square reaches from 500 to 1500 m east, so from 2750 down to 2250 m.
    assert found.lowest_m == 2250
    assert len(found.areas_km2) == 10
    # Each band has 1000 m x 100 m of it, times the true area of a pixel of UTM.
    assert found.areas_km2 == pytest.approx(np.full(10, 0.1), rel=0.01)
    assert found.unknown_km2 == 0
    assert found.source == "dem.tif"


def test_ice_beyond_a_dem_is_said_to_be_unknown(make_dem):
    grid = utm_grid((200, 100), 10, corner=(600_000, 5_192_000))
    with gx.Dem(make_dem(np.full((200, 100), 2510.0), grid)) as dem:
        found = measured(glaciers_of(square(500, 500, 1000)), dem)
    assert found.areas_km2 == pytest.approx([0.5], rel=0.02)
    assert found.unknown_km2 == pytest.approx(0.5, rel=0.02)


def test_without_a_dem_half_the_ice_lies_on_either_side_of_the_median():
    found = guessed(
        results_of(square(0, 0, 1000), zmin_m=[2000.0], zmed_m=[2100.0], zmax_m=[2500.0])
    )
    # Half of 1 km2 over two bands below, half over eight above.
    expected = [0.25, 0.25, *[0.0625] * 8]
    assert found.areas_km2 == pytest.approx(expected)
    assert found.source == ""
    assert guessed(results_of(square(0, 0, 1000), zmin_m=[2000.0])) is None


def decoded(steps, quantum):
    return np.cumsum(np.array(steps).reshape(-1, 2), axis=0) * quantum


def test_shapes_are_where_they_were_to_within_what_is_seen():
    circle = shapely.Point(600_000, 5_190_000).buffer(1000, quad_segs=500)
    hole = shapely.Point(600_000, 5_190_000).buffer(300, quad_segs=500)
    ring = shapely.difference(circle, hole)
    glaciers = glaciers_of(ring)
    frame = frame_of(glaciers, None)
    shapes = shapes_of(frame, glaciers, None)
    [[shell, inner]] = shapes.polygons
    middle = np.array(frame.size_m) / 2
    for steps, radius in ((shell, 1000), (inner, 300)):
        away = np.hypot(*(decoded(steps, shapes.quantum_m) - middle).T)
        assert np.abs(away - radius).max() < shapes.tolerance_m + shapes.quantum_m
    # Thousands of vertices became fewer.
    assert len(shell) / 2 < 1000


def test_shapes_lie_on_the_pixels_of_their_scene(made):
    with gx.open_scene(made / "scene.tif") as scene:
        found = gx.extract(scene, "ndsi")
        frame = frame_of(found.glaciers, scene)
        shapes = shapes_of(frame, found.glaciers, None)
    assert frame.size_m == (pytest.approx(2600, rel=1e-3), pytest.approx(2000, rel=1e-3))
    boxes = [decoded(rings[0], shapes.quantum_m) for rings in shapes.polygons]
    # The discs' centres, in metres right and down: pixel times 10 m.
    middles = sorted(((box.max(axis=0) + box.min(axis=0)) / 2).tolist() for box in boxes)
    assert np.abs(np.array(middles) - [[800, 900], [2000, 1200]]).max() < 10


def test_many_vertices_are_thinned_to_what_a_page_has_room_for(monkeypatch):
    from glacierx.report import ground

    random = np.random.default_rng(0)
    rings = []
    for at in range(40):
        angle = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
        radius = 400 + random.normal(0, 5, angle.shape)
        x, y = 600_000 + 1000 * at + radius * np.cos(angle), 5_190_000 + radius * np.sin(angle)
        rings.append(shapely.Polygon(np.column_stack([x, y])).buffer(0))
    monkeypatch.setattr(ground, "MOST_VERTICES", 4000)
    glaciers = glaciers_of(*rings)
    shapes = shapes_of(frame_of(glaciers, None), glaciers, None)
    assert sum(len(ring) // 2 for polygon in shapes.polygons for ring in polygon) <= 4000


def test_map_coordinates_follow_from_the_frame():
    frame = frame_of(glaciers_of(square(0, 0, 1000)), None)
    t = frame.transform
    room = frame.size_m[0] / 2 - 500
    assert t @ (room, room) == pytest.approx((600_000, 5_191_000))
    assert isinstance(frame, Frame)


@pytest.mark.parametrize(
    ("areas", "edges"),
    [
        ([0.02, 0.3], (0.01, 0.05, 0.1, 0.5)),
        ([0.05], (0.05, 0.1)),
        ([0.001, 2000.0], (0.0, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 50, 100, 500, 1e6)),
    ],
)
def test_size_classes_are_those_that_there_are(areas, edges):
    assert size_edges(np.array(areas)) == edges


def test_classes_have_names():
    assert range_labels((0.0, 0.01, 0.05)) == ["below 0.01", "0.01 to 0.05"]
    assert range_labels((100.0, 500.0, 1e6)) == ["100 to 500", "500 and more"]


@pytest.mark.parametrize("ends", [(1720, 3297), (0, 1), (2000, 2000), (-12, 8848), (99.9, 100.1)])
def test_even_classes_hold_every_number(ends):
    edges = even_edges(np.array(ends, float))
    assert edges[0] <= min(ends) <= max(ends) < edges[-1] + 1e-9
    assert len(edges) - 1 <= MOST_CLASSES
    assert np.ptp(np.diff(edges)) < 1e-6


def test_colours_grow_brighter():
    def luminance(color):
        red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for count in range(2, 12):
        colors = [luminance(one) for one in palette(count)]
        assert len(colors) == count
        assert colors == sorted(colors)


def test_the_plots_say_their_numbers():
    shapes = [square(0, 0, 100), square(500, 0, 300), square(2000, 0, 2000)]
    results = results_of(
        *shapes, aspect_deg=[10.0, 350.0, 180.0], area_unc_km2=[0.002, 0.009, 0.2],
        mean_probability=[0.6, 0.8, 0.9],
    )  # fmt: skip
    sizes = {row[0]: row[1:] for row in sizes_figure(results).rows}
    assert sizes["0.01 to 0.05"] == ("1", "0.010", "0.2%")
    assert sizes["0.05 to 0.1"] == ("1", "0.090", "2.2%")
    assert sizes["1 to 5"] == ("1", "4.000", "97.6%")
    aspects = {row[0]: row[1:] for row in aspect_figure(results).rows}
    assert aspects["N"] == ("2", "0.100", "2.4%")
    assert aspects["S"] == ("1", "4.000", "97.6%")
    unsure = {row[0]: row[1:] for row in uncertainty_figure(results).rows}
    assert unsure["0.01 to 0.05"] == ("20.0 %", "0.60")
    assert unsure["1 to 5"] == ("5.0 %", "0.90")
    caption = uncertainty_figure(results).caption
    # 0.002 + 0.009 + 0.2, and the root of the sum of their squares.
    assert "± 0.21 km² (5.1%) if the margins" in caption
    assert "± 0.20 km² (4.9%) if each" in caption


def test_notes_tell_what_limits_a_result():
    shapes = [square(0, 0, 1000), square(2000, 0, 1000), square(4000, 0, 1000)]
    record = {
        "scene": {"src_date": None, "invalid": []},
        "model": {"kind": "pixel method", "name": "ndsi", "notes": ["lakes may be ice"]},
        "options": {"outline": {"min_area_km2": 0.05}},
    }
    results = results_of(
        *shapes, record=record, touches_edge=[1, 0, 0], touches_nodata=[0, 1, 1],
        dem_share=[1.0, 0.7, np.nan], divided=[1, 1, 0], mean_probability=[0.55, 0.9, 0.9],
    )  # fmt: skip
    notes = notes_of(results, None, None, None, ["scene.tif"])
    told = {note.text.split(":")[0]: note.rows for note in notes}
    assert told["1 glacier (1.00 km²) is cut by the scene's frame"] == [0]
    assert told["2 glaciers (2.00 km²) touch pixels without data"] == [1, 2]
    assert told["1 glacier (1.00 km²) has gaps in the DEM"] == [1]
    outside = "1 glacier (1.00 km²) lies outside the DEM or inventory and could not be divided."
    assert told[outside] == [2]
    assert told["1 glacier (1.00 km²) is doubtful"] == [0]
    text = " ".join(note.text for note in notes)
    for part in ("pixel method ndsi", "Lakes may be ice.", "scene.tif, which is shown, is not"):
        assert part in text
    for part in ("date of the scene is not known", "below 0.05 km²", "No quality mask"):
        assert part in text
    kinds = [note.warns for note in notes]
    assert kinds == sorted(kinds, reverse=True)


def shown_command(page):
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<code id="command">(.*?)</code>', text, re.DOTALL)[1]
    for entity, letter in (("&#x27;", "'"), ("&quot;", '"'), ("&gt;", ">"), ("&amp;", "&")):
        found = found.replace(entity, letter)
    return shlex.split(found.replace("\\\n", " "))


RUNS = {
    "defaults": ("--model", "ndsi"),
    "options": ("--model", "ratio:above=1.7,blue=0.1", "--median", "--min-area-km2", "0.02",
                "--smooth-px", "0", "--divides", "kienholz2013", "--date", "2023-08-15"),
    "otsu": ("--model", "sbtm", "--bands", "nir=4"),
    "network": ("--model", "tiny.safetensors", "--tta", "none", "--threshold", "0.4"),
}  # fmt: skip


@pytest.mark.parametrize("kind", RUNS)
def test_the_command_that_is_shown_gives_the_same_bytes(made, kind, monkeypatch, tmp_path):
    monkeypatch.chdir(made)
    if kind == "network":
        gx.save_model(gx.build_model(tiny_card()), "tiny.safetensors")
    run = ("extract", "scene.tif", "--dem", "dem.tif", *RUNS[kind], "-q")
    invoke(*run, "-o", "o.gpkg", "--report", "r.html")
    first = (made / "o.gpkg").read_bytes()
    [program, *rest] = shown_command(made / "r.html")
    assert program == "glacierx"
    invoke(*rest, "--overwrite", "-q")
    assert (made / "o.gpkg").read_bytes() == first


def test_the_command_of_a_scene_in_several_files_names_each(make_scene, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mask = disc((80, 80), (40, 40), 20)
    for role in ICE:
        make_scene(mask, roles=(role,), name=f"B {role}.tif")
    pairs = ",".join(f"{role}=B {role}.tif" for role in ICE)
    invoke("extract", "--bands", pairs, "--model", "ndsi", "-o", "o.gpkg", "--report", "r.html")
    first = (tmp_path / "o.gpkg").read_bytes()
    command = shown_command(tmp_path / "r.html")
    assert "swir1=B swir1.tif:1" in command[command.index("--bands") + 1]
    invoke(*command[1:], "--overwrite")
    assert (tmp_path / "o.gpkg").read_bytes() == first


def test_bands_are_those_of_the_record(made):
    # Without descriptions the file alone does not say what its bands are.
    with gx.open_scene(made / "scene.tif") as scene:
        grid, values = scene.grid, gx.read_raster(made / "scene.tif").values
    bare = write_tif(made / "bare.tif", values.astype("uint16"), grid, scales=(1e-4,) * 5)
    bands = "blue=1,green=2,red=3,nir=4,swir1=5"
    invoke("extract", bare, "--bands", bands, "--model", "ndsi", "-o", made / "o.gpkg")
    invoke("report", made / "o.gpkg", "--scene", bare, "-o", made / "r.html")
    assert "bare.tif: red, green, blue" in (made / "r.html").read_text()


def test_a_scene_that_was_changed_is_told_of(made):
    invoke("extract", made / "scene.tif", "--model", "ndsi", "-o", made / "o.gpkg")
    with gx.open_scene(made / "scene.tif") as scene:
        grid = scene.grid
    other = np.full((5, *grid.shape), 500, "uint16")
    other[:, :50] = 900
    write_tif(made / "scene.tif", other, grid, descriptions=tuple(ICE))
    invoke("report", made / "o.gpkg", "--scene", made / "scene.tif", "-o", made / "r.html")
    said = "scene.tif, which is shown, is not the file that the outlines were made from."
    assert said in (made / "r.html").read_text()


def test_what_cannot_be_shown_is_refused_before_any_work(made, make_scene):
    invoke("extract", made / "scene.tif", "--model", "ndsi", "-o", made / "o.gpkg")
    far = make_scene(np.ones((50, 50), bool), grid=utm_grid((50, 50), 10, (700_000, 5_000_000)),
                     name="far.tif")  # fmt: skip
    (made / "bad.json").write_text("[1]")
    report = ("report", made / "o.gpkg")
    cases = [
        ((*report, "-o", made / "r.pdf"), 5, "reports are written as .html, .htm"),
        ((*report, "-o", made / "r.html", "--scene", far), 4, "do not overlap the scene far.tif"),
        ((*report, "-o", made / "r.html", "--scores", made / "bad.json"), 2, "holds no scores"),
        ((*report, "-o", made / "r.html", "--scores", made / "no.json"), 2, "cannot be read"),
        ((*report, "-o", made / "r.html", "--picture", made / "p.png"), 2, "with --scene"),
        ((*report, "-o", made / "r.html", "--layer", "none"), 4, "no layer 'none'"),
        (("extract", made / "scene.tif", "-o", made / "x.gpkg", "--picture", made / "p.gif"), 5,
         ".png, .jpg"),
        (("extract", made / "scene.tif", "-o", made / "x.gpkg", "--report", made / "x.gpkg"), 5,
         "reports are written as"),
    ]  # fmt: skip
    for arguments, code, text in cases:
        result = invoke(*arguments, code=code)
        assert text in result.output, arguments
        assert len(result.stderr.strip().splitlines()) == 1
    assert not list(made.glob("*.html"))
    assert not (made / "x.gpkg").exists()
    invoke(*report, "-o", made / "r.html")
    assert "Use --overwrite" in invoke(*report, "-o", made / "r.html", code=5).output
    invoke(*report, "-o", made / "r.html", "--overwrite")


def test_outlines_and_report_are_there_together_or_not_at_all(made, monkeypatch):
    from glacierx.errors import OutputError
    from glacierx.report import report

    def fail(*_args, **_kwargs):
        raise OutputError("The page cannot be written.")

    monkeypatch.setattr(report, "report_html", fail)
    invoke("extract", made / "scene.tif", "--model", "ndsi", "-o", made / "o.gpkg",
           "--report", made / "r.html", code=5)  # fmt: skip
    assert not (made / "o.gpkg").exists()
    assert not (made / "r.html").exists()


def test_scores_are_shown(made):
    invoke("extract", made / "scene.tif", "--model", "ndsi", "-o", made / "o.gpkg")
    invoke("evaluate", made / "o.gpkg", made / "o.gpkg", "--like", made / "scene.tif",
           "--json", made / "s.json")  # fmt: skip
    invoke("report", made / "o.gpkg", "--scores", made / "s.json", "-o", made / "r.html")
    text = (made / "r.html").read_text()
    assert '<th scope="row">IoU</th><td>1.0000</td>' in text
    assert "o.gpkg against o.gpkg." in text


def test_divides_of_a_file_are_read(tmp_path):
    line = shapely.LineString([(600_500, 5_190_000), (600_500, 5_191_000)])
    divides = gx.Outlines(as_geometries([line]), UTM, {"complex_id": np.array([1])})
    left, right = square(0, 0, 500), square(500, 0, 500)
    layers = {"glaciers": glaciers_of(left, right, area_km2=[0.25, 0.25]), "divides": divides}
    write_layers(tmp_path / "o.gpkg", layers, {"versions": {}})
    results = read_results(tmp_path / "o.gpkg")
    assert len(results.divides) == 1
    assert RECORD_TAG == "GLACIERX_RECORD"
    assert results.record == {"versions": {}}
    path = gx.write_report(tmp_path / "o.gpkg", tmp_path / "r.html")
    [steps] = Page(path).data["shapes"]["lines"]
    assert len(steps) == 4


def changed_somewhere(value, random):
    """A record with one of its entries, at any depth, replaced by something of another kind."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = sorted(value)[random.integers(len(value))]
        return {**value, key: changed_somewhere(value[key], random)}
    if isinstance(value, list) and value and random.random() < 0.7:
        at = int(random.integers(len(value)))
        return [*value[:at], changed_somewhere(value[at], random), *value[at + 1 :]]
    others = (
        None,
        True,
        -1,
        1.5,
        float("nan"),
        "x",
        "",
        [],
        [None],
        {},
        {"name": 3},
        [{"band": []}],
    )
    return others[random.integers(len(others))]


def test_no_record_and_no_scores_bring_a_report_down(made):
    invoke("extract", made / "scene.tif", "--dem", made / "dem.tif", "--model", "ndsi",
           "-o", made / "o.gpkg")  # fmt: skip
    invoke("evaluate", made / "o.gpkg", made / "o.gpkg", "--like", made / "scene.tif",
           "--json", made / "s.json")  # fmt: skip
    results = read_results(made / "o.gpkg")
    scores = json.loads((made / "s.json").read_text())
    scores["intervals"]["scores"] = {"iou": [0.5, 0.75], "kappa": [0.25, 0.5]}
    scores = {key: scores[key] for key in ("prediction", "truth", "scores", "intervals", "notes")}
    frame = frame_of(results.glaciers, None)
    shapes = shapes_of(frame, results.glaciers, None)
    random = np.random.default_rng(0)
    for _ in range(300):
        record, said = results.record, scores
        for _ in range(3):
            record, said = (changed_somewhere(one, random) for one in (record, said))
        damaged = replace(results, record=record if isinstance(record, dict) else {})
        said = said if isinstance(said, dict) and isinstance(said.get("scores"), dict) else None
        notes = notes_of(damaged, None, None, None, [])
        text = page_html(Contents(damaged, frame, shapes, None, [], notes, said))
        assert text.startswith("<!doctype html>")
        assert scene_choice(damaged, "scene.tif", {}).keys() <= {"bands", "sensor", "level"}
