import numpy as np
import pytest
import shapely
from affine import Affine
from factories import disc, utm_grid
from PIL import Image

import glacierx as gx
from glacierx.furniture import corner
from glacierx.outlines.outlines import as_geometries
from glacierx.picture import DIVIDE_COLOR, MARGIN_COLOR, NODATA_COLOR, scene_picture, upright
from glacierx.scene.geodesy import LONLAT
from glacierx.scene.grid import Grid


def shown_in(path, width, height):
    """The map in a picture (rows, columns, 3)."""
    left, top = corner(width)
    with Image.open(path) as picture:
        return np.asarray(picture, int)[top : top + height, left : left + width]


def near(shown, color):
    return np.abs(shown - np.array(color)).max(axis=2) < 60


@pytest.mark.parametrize(("longest", "name"), [(400, "o.png"), (800, "o.jpg")])
def test_outlines_are_drawn_where_they_are(make_scene, tmp_path, longest, name):
    mask = disc((200, 200), (100, 100), 60)
    with gx.open_scene(make_scene(mask)) as scene:
        found = gx.extract(scene, "ndsi")
        path = gx.draw_outlines(
            scene, found.glaciers, found.divides, tmp_path / name, longest_px=longest
        )
    shown = shown_in(path, longest, longest)
    larger = longest / 200
    rows, columns = np.nonzero(near(shown, MARGIN_COLOR))
    away = np.hypot(rows + 0.5 - 100 * larger, columns + 0.5 - 100 * larger)
    assert len(rows) > 200
    # Half the width of a line, and half a pixel of the scene.
    assert np.abs(away - 60 * larger).max() < 0.5 * larger + 2
    # Ice is brighter than rock.
    assert shown[int(100 * larger), int(100 * larger), 1] > shown[10, 10, 1]


def test_a_picture_of_a_large_scene_is_averaged_and_cut_at_the_frame(make_scene, tmp_path):
    # 203 columns go into 51 blocks of 4, the last of which has one column beyond the frame.
    mask = np.zeros((120, 203), bool)
    mask[:, 100:] = True
    with gx.open_scene(make_scene(mask)) as scene:
        picture, grid = scene_picture(scene, 60)
        bounds = scene.grid.bounds
    assert picture.size == (60, round(60 * 120 / 203))
    assert grid.bounds == pytest.approx(bounds)
    pixels = np.asarray(picture, int)
    assert (pixels[..., 3] == 255).all()
    brightness = pixels[10, :, 1]
    # The edge of the ice lies at 100 of 203 columns.
    assert abs(np.flatnonzero(brightness > 120).min() - 60 * 100 / 203) <= 1.5


def test_divides_are_yellow_and_nodata_grey(make_scene, tmp_path):
    mask = disc((100, 100), (50, 50), 30)
    path = make_scene(mask, nodata=1400)
    with gx.open_scene(path) as scene:
        found = gx.extract(scene, "ndsi")
        line = shapely.LineString([(600_300, 5_199_495), (600_700, 5_199_495)])
        divides = gx.Outlines(as_geometries([line]), scene.grid.crs, {})
        gx.draw_outlines(scene, found.glaciers, divides, tmp_path / "o.png", longest_px=1600)
    shown = shown_in(tmp_path / "o.png", 1600, 1600)
    yellow = np.argwhere(near(shown, DIVIDE_COLOR))
    # The line lies 505 m below the upper edge of 1000 m, which are 1600 pixels; it is 400 m long.
    assert np.abs(yellow[:, 0] + 0.5 - 808).max() <= 1.5
    assert np.ptp(yellow[:, 1]) == pytest.approx(640, abs=6)
    assert shown[32, 32].tolist() == list(NODATA_COLOR)
    with gx.open_scene(path) as scene, pytest.raises(gx.OutputError, match="exists already"):
        gx.draw_outlines(scene, found.glaciers, None, tmp_path / "o.png")
    with gx.open_scene(path) as scene, pytest.raises(gx.OutputError, match=r"\.png, \.jpg"):
        gx.draw_outlines(scene, found.glaciers, None, tmp_path / "o.pdf")


def test_a_south_up_scene_is_drawn_north_up(make_scene):
    mask = np.zeros((60, 80), bool)
    mask[:20] = True  # The first rows, which are the southern ones.
    t = utm_grid((60, 80)).transform
    grid = Grid(utm_grid((1, 1)).crs, Affine(t.a, 0, t.c, 0, -t.e, t.f), (60, 80))
    with gx.open_scene(make_scene(mask, grid=grid)) as scene:
        picture, turned = scene_picture(scene, 80)
    assert turned.bounds == pytest.approx(grid.bounds)
    assert turned.transform.e < 0
    brightness = np.asarray(picture, int)[..., 1]
    assert brightness[50, 40] > brightness[10, 40] + 100


@pytest.mark.parametrize(("a", "e"), [(10, -10), (-10, -10), (10, 10), (-10, 10)])
def test_an_upright_grid_covers_the_same_ground(a, e):
    grid = Grid(utm_grid((1, 1)).crs, Affine(a, 0, 600_000, 0, e, 5_200_000), (30, 40))
    turned, down, right = upright(grid)
    assert turned.bounds == pytest.approx(grid.bounds)
    assert turned.transform.a > 0 > turned.transform.e
    assert (down, right) == (1 if e < 0 else -1, 1 if a > 0 else -1)


def test_pixels_of_a_geographic_grid_are_square_on_the_ground(make_scene):
    # At 60 N a degree of longitude is half as long as one of latitude.
    mask = np.zeros((100, 100), bool)
    grid = Grid(LONLAT, Affine(1e-4, 0, 10, 0, -1e-4, 60), (100, 100))
    with gx.open_scene(make_scene(mask, grid=grid)) as scene:
        picture, _ = scene_picture(scene, 200)
    assert picture.size == (pytest.approx(100, abs=1), 200)


def test_the_same_picture_has_the_same_bytes(make_scene, tmp_path):
    mask = disc((60, 60), (30, 30), 20)
    for name in ("a.png", "b.png"):
        with gx.open_scene(make_scene(mask)) as scene:
            found = gx.extract(scene, "ndsi")
            gx.draw_outlines(scene, found.glaciers, found.divides, tmp_path / name, longest_px=200)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
