import numpy as np
import pytest
import rasterio
from factories import disc

import glacierx as gx
from glacierx.picture import DIVIDE_COLOR, MARGIN_COLOR, NODATA_COLOR


def colors_near(picture, color):
    return np.abs(picture.astype(int) - np.array(color)[:, None, None]).max(axis=0) < 40


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("longest", [400, 100])
def test_outlines_are_drawn_where_they_are(make_scene, tmp_path, longest):
    mask = disc((200, 200), (100, 100), 60)
    with gx.open_scene(make_scene(mask)) as scene:
        found = gx.extract(scene, "ndsi")
        path = gx.draw_outlines(
            scene, found.glaciers, found.divides, tmp_path / "o.png", longest_px=longest
        )
    with rasterio.open(path) as file:
        picture = file.read()
    step = max(1, 200 // longest)
    assert picture.shape == (3, 200 // step, 200 // step)
    rows, columns = np.nonzero(colors_near(picture, MARGIN_COLOR))
    away = np.hypot(rows + 0.5 - 100 / step, columns + 0.5 - 100 / step)
    assert len(rows) > 100 / step
    assert np.abs(away - 60 / step).max() < 2
    # Ice is brighter than rock.
    assert picture[1, 100 // step, 100 // step] > picture[1, 5, 5]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_divides_are_yellow_and_nodata_grey(make_scene, tmp_path):
    import shapely

    from glacierx.outlines.outlines import as_geometries

    mask = disc((100, 100), (50, 50), 30)
    path = make_scene(mask, nodata=1400)
    with gx.open_scene(path) as scene:
        found = gx.extract(scene, "ndsi")
        line = shapely.LineString([(600_300, 5_199_495), (600_700, 5_199_495)])
        divides = gx.Outlines(as_geometries([line]), scene.grid.crs, {})
        gx.draw_outlines(scene, found.glaciers, divides, tmp_path / "o.png")
    with rasterio.open(tmp_path / "o.png") as file:
        picture = file.read()
    yellow = np.argwhere(colors_near(picture, DIVIDE_COLOR))
    assert np.abs(yellow[:, 0] - 50).max() <= 1
    assert np.ptp(yellow[:, 1]) == pytest.approx(40, abs=2)
    assert picture[:, 2, 2].tolist() == list(NODATA_COLOR)
    with gx.open_scene(path) as scene, pytest.raises(gx.OutputError, match="exists already"):
        gx.draw_outlines(scene, found.glaciers, None, tmp_path / "o.png")
    with gx.open_scene(path) as scene, pytest.raises(gx.OutputError, match="is an input"):
        gx.draw_outlines(scene, found.glaciers, None, path, overwrite=True)
