"""The page in a real browser, which its Content-Security-Policy keeps from any network."""

import json

import numpy as np
import pytest
import shapely
from browser import Browser, missing
from factories import disc, utm_grid
from PIL import Image
from rasterio.crs import CRS

import glacierx as gx
from glacierx.outlines.geopackage import write_layers
from glacierx.outlines.outlines import as_geometries

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "all is there")

ENTER, TAB, PLUS = "\ue007", "\ue004", "+"
CHOSEN = "return document.getElementById('panel-title').textContent"
EVIL = "<script>document.title='ran'</script></script><img src=x onerror=\"document.title='ran'\">"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    """A report of three discs of ice, north to south, with a scene and names that attack."""
    from factories import ICE, ROCK, write_tif

    folder = tmp_path_factory.mktemp("discs")
    shape = 300, 400
    mask = disc(shape, (60, 80), 40) | disc(shape, (150, 200), 30) | disc(shape, (240, 320), 50)
    values = np.stack([np.where(mask, ICE[role], ROCK[role]) for role in ICE])
    stored = np.rint(values / 1e-4).astype("uint16")
    grid = utm_grid(shape)
    profile = {"scales": (1e-4,) * len(ICE), "descriptions": tuple(ICE)}
    path = write_tif(folder / "scene.tif", stored, grid, **profile)
    with gx.open_scene(path) as scene:
        found = gx.extract(scene, "ndsi")
        north = np.argsort([-shape.centroid.y for shape in found.glaciers.geometry])
        glaciers = found.glaciers.select(north)
        names = np.array(["Alpha", EVIL, "Gamma"], dtype=object)
        glaciers = glaciers.with_columns(ref_name=names, touches_edge=np.array([0, 1, 1]))
        file = folder / "outlines.gpkg"
        write_layers(file, {"glaciers": glaciers, "divides": found.divides}, found.record)
        gx.write_report(file, folder / "report.html", scene=scene)
    return folder / "report.html", glaciers["glac_id"].tolist()


def open_page(browser, page, **how):
    browser.errors()
    browser.look(width=1200, height=900)
    browser.look(**{"width": 1200, "height": 900, **how})
    browser.open(page)


def at(browser, right_m, down_m):
    """Where a place of the map is in the window, after scrolling to it."""
    return browser.run(
        "const box = document.getElementById('map');"
        "box.scrollIntoView({block: 'center', behavior: 'instant'});"
        "const place = glacierxReport.map.latLngToContainerPoint([-arguments[1], arguments[0]]);"
        "const frame = box.getBoundingClientRect();"
        "return [frame.left + box.clientLeft + place.x, frame.top + box.clientTop + place.y]",
        right_m,
        down_m,
    )


def column(browser, index):
    return browser.run(
        "return [...document.querySelectorAll('#table tbody tr')]"
        ".map((row) => row.cells[arguments[0]].textContent)",
        index,
    )


def test_the_map_draws_and_a_click_shows_the_right_glacier(browser, discs, tmp_path):
    page, ids = discs
    open_page(browser, page)
    scene = "document.querySelector('.leaflet-image-layer')"
    assert browser.run(f"return {scene}.complete && {scene}.naturalWidth") == 400
    # The discs' centres: pixels of 10 m.
    for row, (down, right) in enumerate([(600, 800), (1500, 2000), (2400, 3200)]):
        browser.click(*at(browser, right, down))
        assert ids[row] in browser.run(CHOSEN)
    browser.click(*at(browser, 3500, 300))  # Rock: the choice stays.
    assert ids[2] in browser.run(CHOSEN)
    # Just within the edge of the first disc, and just beyond it.
    browser.click(*at(browser, 800 + 380, 600))
    assert ids[0] in browser.run(CHOSEN)
    browser.screenshot(tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as picture:
        pixels = np.asarray(picture.convert("RGB"), int)
    x, y = (round(value) for value in at(browser, 3200, 2400))
    ice, rock = pixels[y, x], pixels[slice(*sorted((y, y + 4))), x - 200].mean(axis=0)
    assert np.abs(ice - rock).max() > 40
    assert browser.errors() == []


def test_texts_of_a_file_never_run(browser, discs):
    page, _ids = discs
    open_page(browser, page)
    browser.run("glacierxReport.choose(1, true)")
    assert EVIL in browser.run(CHOSEN)
    assert browser.run("return document.title") != "ran"
    assert browser.run("return document.querySelectorAll('img[src=x]').length") == 0
    assert EVIL in column(browser, 1)
    assert browser.errors() == []


def test_nothing_from_elsewhere_is_loaded(browser, discs):
    page, _ids = discs
    open_page(browser, page)
    names = browser.run("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert [name for name in names if not name.startswith("data:")] == []
    # A picture and a script of the network, as an attack would add them.
    loaded = browser.run(
        "const image = new Image(); image.src = 'http://127.0.0.1:9/a.png';"
        "const script = document.createElement('script'); script.textContent = 'window.ran = 1';"
        "document.body.append(image, script); return window.ran || null"
    )
    assert loaded is None
    said = "\n".join(browser.errors())
    assert said.count("Content Security Policy") == 2


def test_the_table_sorts_and_searches(browser, discs):
    page, ids = discs
    open_page(browser, page)
    areas = [float(value) for value in column(browser, 2)]
    browser.press("#table thead th:nth-child(3) button")
    assert [float(value) for value in column(browser, 2)] == sorted(areas, reverse=True)
    kinds = "return [...document.querySelectorAll('#table thead th')].map((one) => one.ariaSort)"
    assert browser.run(kinds)[:3] == ["none", "none", "descending"]
    browser.press("#table thead th:nth-child(3) button")
    assert [float(value) for value in column(browser, 2)] == sorted(areas)
    browser.press("#search")
    browser.keys("gamm")
    assert column(browser, 0) == [ids[2]]
    assert browser.text("#found") == "1 of 3 glaciers"
    browser.press("#all")
    assert len(column(browser, 0)) == 3
    assert browser.errors() == []


def test_a_glacier_is_chosen_by_the_keyboard_alone(browser, discs):
    page, ids = discs
    open_page(browser, page, calm=True)
    browser.keys(TAB)
    assert browser.run("return document.activeElement.className") == "skip"
    browser.run("document.querySelector('#table tbody tr:nth-child(3) button').focus()")
    zoom = browser.run("return glacierxReport.map.getZoom()")
    browser.keys(ENTER)
    assert ids[2] in browser.run(CHOSEN)
    assert browser.run("return document.activeElement.id") == "panel-title"
    assert browser.run("return glacierxReport.map.getZoom()") > zoom
    inside = "return glacierxReport.map.getBounds().contains([-2400, 3200])"
    assert browser.run(inside)
    browser.keys("\ue00c")  # Escape goes back to the row.
    assert browser.run("return document.activeElement.textContent") == ids[2]
    # The map takes plus and minus.
    zoom = browser.run("document.getElementById('map').focus();return glacierxReport.map.getZoom()")
    browser.keys(PLUS)
    browser.wait(f"return glacierxReport.map.getZoom() > {zoom}")
    assert browser.errors() == []


def test_a_warning_leads_to_its_glaciers(browser, discs):
    page, ids = discs
    open_page(browser, page)
    number = browser.run(
        "return [...document.querySelectorAll('.notes li')]"
        ".findIndex((one) => one.textContent.includes('cut by the scene'))"
    )
    browser.press(f".notes li:nth-child({number + 1}) button")
    assert column(browser, 0) == ids[1:]


def test_colours_follow_the_system_and_the_button(browser, discs):
    page, _ids = discs
    paper = "return getComputedStyle(document.body).backgroundColor"
    open_page(browser, page, dark=True)
    assert browser.run(paper) == "rgb(20, 24, 28)"
    browser.press("#theme")
    assert browser.run(paper) == "rgb(255, 255, 255)"
    browser.press("#theme")
    open_page(browser, page)
    assert browser.run(paper) == "rgb(255, 255, 255)"


def contrast(one, other):
    """The contrast of two colours after WCAG 2.1, from 1 to 21."""

    def luminance(color):
        parts = np.array(color) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_texts_stand_out_from_their_ground(browser, discs, dark):
    page, _ids = discs
    open_page(browser, page, dark=dark)
    colors = browser.run(
        "const out = [];"
        "for (const one of document.querySelectorAll("
        "'p, li, dt, dd, th, td, h1, h2, h3, button, summary, figcaption, svg text')) {"
        "  if (one.closest('.leaflet-container') || !one.checkVisibility()) continue;"
        "  let ground = one;"
        "  while (ground && /rgba\\(0, 0, 0, 0\\)/.test(getComputedStyle(ground).backgroundColor))"
        "    ground = ground.parentElement;"
        "  const style = getComputedStyle(one);"
        "  out.push([one instanceof SVGElement ? style.fill : style.color,"
        "    getComputedStyle(ground || document.body).backgroundColor, one.textContent]);"
        "} return out"
    )
    assert len(colors) > 100
    for ink, ground, text in colors:
        pair = [[float(part) for part in one.split("(")[1].rstrip(")").split(",")[:3]]
                for one in (ink, ground)]  # fmt: skip
        assert contrast(*pair) >= 4.5, (ink, ground, text)


def test_a_phone_shows_everything_without_scrolling_sideways(browser, discs):
    page, _ids = discs
    open_page(browser, page, width=390, height=844)
    assert browser.run("return document.documentElement.scrollWidth") <= 390
    box = browser.run("return document.getElementById('map').getBoundingClientRect().toJSON()")
    assert box["width"] > 330
    assert box["height"] < 844
    assert browser.errors() == []


def test_it_prints(browser, discs, tmp_path):
    page, _ids = discs
    open_page(browser, page, dark=True)
    browser.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    # Its map is printed as a picture of its size, over the scene; afterwards it is as it was.
    stills = "return document.querySelectorAll('#map canvas.still').length"
    browser.run("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.run(stills) == 1
    assert browser.run("return document.getElementById('map').style.width") == "660px"
    browser.run("window.dispatchEvent(new Event('afterprint'))")
    assert browser.run(stills) == 0
    assert browser.run("return document.getElementById('map').style.width") == ""
    assert browser.errors() == []


def test_nothing_of_one_glacier_without_a_scene_goes_wrong(browser, tmp_path):
    shape = shapely.box(600_000, 5_190_000, 600_500, 5_190_500)
    found = gx.Outlines(as_geometries([shape]), CRS.from_epsg(32632), {})
    write_layers(tmp_path / "o.gpkg", {"glaciers": found}, {})
    gx.write_report(tmp_path / "o.gpkg", tmp_path / "r.html")
    open_page(browser, tmp_path / "r.html")
    browser.click(*at(browser, 265, 265))
    assert browser.run(CHOSEN) == "row 1"
    empty = gx.Outlines(as_geometries([]), CRS.from_epsg(32632), {})
    write_layers(tmp_path / "e.gpkg", {"glaciers": empty}, {})
    gx.write_report(tmp_path / "e.gpkg", tmp_path / "e.html")
    open_page(browser, tmp_path / "e.html")
    assert browser.text("#found") == "0 glaciers"
    assert browser.errors() == []


def test_the_page_is_understood_without_scripts(browser, discs, tmp_path):
    page, _ids = discs
    text = page.read_text(encoding="utf-8")
    data = text.split('id="data">')[1].split("</script>")[0]
    assert len(json.loads(data)["ids"]) == 3
    browser.cdp("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.do("/url", url=page.as_uri())
        source = browser.cdp("DOM.getDocument", depth=1)
        assert source["root"]["nodeName"] == "#document"
        browser.whole_page(tmp_path / "plain.png")
    finally:
        browser.cdp("Emulation.setScriptExecutionDisabled", value=False)
    with Image.open(tmp_path / "plain.png") as picture:
        assert picture.size[1] > 1500
