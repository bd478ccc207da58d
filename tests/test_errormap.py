import shutil

import numpy as np
import pytest
from factories import disc, utm_grid, write_tif
from PIL import Image

from glacierx import errormap
from glacierx.errormap import KINDS, draw_errors
from glacierx.errors import OutputError
from glacierx.evaluate.pairs import Pair
from glacierx.furniture import corner

SHAPE = (400, 500)
FOUND, TRUE = disc(SHAPE, (150, 200), 90), disc(SHAPE, (150, 260), 90)


@pytest.fixture
def pair(tmp_path):
    grid = utm_grid(SHAPE)
    true = np.where(np.indices(SHAPE)[0] > 350, 255, TRUE).astype("uint8")
    return Pair(
        write_tif(tmp_path / "f.tif", FOUND[None].astype("uint8"), grid),
        write_tif(tmp_path / "t.tif", true[None], grid, nodata=255),
    )


def shown_in(path, width=SHAPE[1], larger=2):
    """The map in a picture, one pixel of it for each of the scene's."""
    left, top = corner(width * larger)
    picture = np.asarray(Image.open(path), int)
    inner = picture[top : top + SHAPE[0] * larger, left : left + width * larger]
    return inner[::larger, ::larger]


def near(pixel, color, most):
    """A colour over light ground."""
    ground = np.array([235, 235, 235])
    return np.abs(pixel - (ground * (1 - most) + np.array(color) * most)).max() < 3


def test_each_kind_of_pixel_has_its_colour_in_its_place(pair, tmp_path):
    shown = shown_in(draw_errors(pair, tmp_path / "e.png"))
    places = {"in both": (150, 230), "missed": (150, 330), "false": (150, 130)}
    for kind, at in places.items():
        assert near(shown[at], *KINDS[kind]), kind
    assert (shown[20, 20] == 235).all()
    assert (shown[380, 250] < 80).all()
    # The margin of the true ice is where geometry says, to a pixel.
    assert near(shown[150, 348], *KINDS["missed"])
    assert (shown[150, 351] == 235).all()


def test_a_large_scene_is_averaged(pair, tmp_path, monkeypatch):
    whole = shown_in(draw_errors(pair, tmp_path / "e.png"))
    monkeypatch.setattr(errormap, "LONGEST_PX", 130)
    monkeypatch.setattr(errormap, "SHORTEST_PX", 500)
    # 4 x 4 pixels became one, drawn 4 x 4 again.
    small = shown_in(draw_errors(pair, tmp_path / "s.png"), larger=1)
    a, b = whole[40:360:8, 40:480:8], small[40:360:8, 40:480:8]
    assert np.mean(np.abs(a - b).max(axis=2) < 3) > 0.95


def test_the_image_is_seen_below_in_its_place(pair, tmp_path):
    grid = utm_grid((200, 250), 20)
    bright = np.zeros((200, 250), "uint16")
    bright[:, 200:] = 1000
    image = write_tif(tmp_path / "i.tif", bright[None], grid)
    path = draw_errors(Pair(pair.prediction, pair.truth, image=image), tmp_path / "e.png")
    shown = shown_in(path)
    assert shown[20, 450].mean() > shown[20, 300].mean() + 100
    assert shown[20, 380].mean() < 100
    assert shown[20, 420].mean() > 150


def test_the_legend_says_areas(pair, tmp_path, monkeypatch):
    seen = {}

    def keep(picture, grid, words, legend):
        seen.update(legend=legend, words=words, pixel_m=grid.gsd_m)
        return picture

    monkeypatch.setattr(errormap, "page", keep)
    draw_errors(pair, tmp_path / "e.png")
    known = np.indices(SHAPE)[0] <= 350
    both = (FOUND & TRUE & known).sum() * 1e-4
    said = seen["legend"][0].text
    area = float(said.removeprefix("in both ").removesuffix(" km²"))
    assert area == pytest.approx(both, abs=0.006)  # Two decimals.
    assert [entry.text.split()[0] for entry in seen["legend"]] == ["in", "missed", "false", "no"]
    assert seen["words"].title == "f.tif against t.tif"
    # Each pixel of the scene was drawn as 2 x 2.
    assert seen["pixel_m"] == pytest.approx(5, rel=1e-3)


def test_a_picture_is_a_png_and_never_replaces_another(pair, tmp_path):
    with pytest.raises(OutputError, match=r"\.png"):
        draw_errors(pair, tmp_path / "e.jpg")
    path = draw_errors(pair, tmp_path / "e.png")
    with pytest.raises(OutputError, match="--overwrite"):
        draw_errors(pair, path)
    shutil.copy(pair.prediction, path)  # A raster is what its bytes say, not its name.
    with pytest.raises(OutputError, match="is an input"):
        draw_errors(Pair(path, pair.truth), path, overwrite=True)


def test_north_is_up_whatever_the_order_of_the_rows(pair, tmp_path):
    from affine import Affine

    from glacierx.scene.grid import Grid

    upside = utm_grid(SHAPE)
    t = upside.transform
    grid = Grid(upside.crs, Affine(t.a, 0, t.c, 0, -t.e, t.f + t.e * SHAPE[0]), SHAPE)
    true = np.where(np.indices(SHAPE)[0] > 350, 255, TRUE).astype("uint8")[::-1]
    turned = Pair(
        write_tif(tmp_path / "f.tif", FOUND[::-1][None].astype("uint8"), grid),
        write_tif(tmp_path / "t.tif", true[None], grid, nodata=255),
    )
    a = shown_in(draw_errors(turned, tmp_path / "up.png"))
    north_up = Pair(
        write_tif(tmp_path / "g.tif", FOUND[None].astype("uint8"), upside),
        write_tif(tmp_path / "u.tif", true[::-1][None], upside, nodata=255),
    )
    b = shown_in(draw_errors(north_up, tmp_path / "down.png"))
    assert np.array_equal(a, b)
