import math

import numpy as np
import pytest
from affine import Affine
from factories import utm_grid
from PIL import Image
from rasterio.crs import CRS

from glacierx.furniture import (
    Entry,
    Words,
    corner,
    north_turn,
    page,
    plain_text,
    scale_bar_m,
)
from glacierx.scene.grid import Grid


@pytest.mark.parametrize(
    ("width", "bar"), [(5000, 1000), (40_000, 10_000), (9_000, 2000), (30, 5), (200_000, 50_000)]
)
def test_a_scale_bar_is_round_and_fits(width, bar):
    assert scale_bar_m(width) == bar


def test_north_is_up_on_the_central_meridian_and_turned_beside_it():
    # Zone 32 has its meridian at 9 degrees east, which is 500 km east in UTM.
    middle = utm_grid((100, 100), corner=(499_500, 5_200_000))
    assert north_turn(middle) == pytest.approx(0, abs=0.01)
    # Two degrees to its east at 47 N meridians lean by about 2 sin(47) degrees to the left.
    east = utm_grid((100, 100), corner=(652_000, 5_206_000))
    assert north_turn(east) == pytest.approx(-2 * math.sin(math.radians(47)), abs=0.05)


def test_north_is_found_on_a_turned_grid_and_at_the_south_pole():
    t = utm_grid((100, 100), corner=(499_500, 5_200_000)).transform
    turned = Grid(CRS.from_epsg(32632), t @ Affine.rotation(30), (100, 100))
    # The rows of pixels were turned by 30 degrees, so north lies 30 degrees to the other side.
    assert abs(north_turn(turned)) == pytest.approx(30, abs=0.1)
    # In EPSG:3031 the pole is the origin and 90 E points right: there, north is right.
    polar = Grid(CRS.from_epsg(3031), Affine(10, 0, 1_000_000, 0, -10, 500), (100, 100))
    assert north_turn(polar) == pytest.approx(90, abs=0.1)


def test_a_map_is_pasted_at_its_corner_and_framed():
    picture = Image.new("RGB", (700, 300), (10, 200, 30))
    legend = [Entry((250, 0, 0), "ice"), Entry((0, 0, 250), "divides", line=True)]
    sheet = np.asarray(page(picture, utm_grid((300, 700)), Words("A title"), legend), int)
    left, top = corner(700)
    assert (sheet[top : top + 300, left : left + 700] == (10, 200, 30)).all()
    assert sheet[top - 1, left].max() < 60
    assert (sheet == (250, 0, 0)).all(axis=2).sum() > 100
    assert (sheet == (0, 0, 250)).all(axis=2).sum() > 20
    # Nothing is written over the edges of the page.
    assert (sheet[:, 0] == 255).all()
    assert (sheet[:, -1] == 255).all()
    assert (sheet[0] == 255).all()
    assert (sheet[-1] == 255).all()


def test_the_bar_is_as_long_as_it_says():
    sheet = np.asarray(page(Image.new("RGB", (500, 400)), utm_grid((400, 500)), Words(""), []), int)
    top = corner(500)[1]
    below = (sheet[top + 402 :] < 60).all(axis=2)
    # 5 km wide: a bar of 1 km is 100 pixels of 10 m.
    assert max(longest_run(row) for row in below) == pytest.approx(101, abs=1)


def longest_run(row):
    edges = np.flatnonzero(np.diff(np.r_[0, row.astype(int), 0]))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def test_a_title_that_is_too_long_is_cut():
    long = page(Image.new("RGB", (400, 300)), utm_grid((300, 400)), Words("M" * 300), [])
    assert (np.asarray(long)[:, -5:] == 255).all()


def test_letters_that_cannot_be_drawn_are_replaced():
    assert plain_text("Vatnajökull, 5 km² \u2013 10°") == "Vatnajokull, 5 km² - 10°"
    assert plain_text("\u6c37\u6cb3") == "??"
