"""Files whose blocks do not suit reading from top to bottom."""

import errno

import numpy as np
import pytest
import rasterio
from factories import utm_grid, write_tif
from rasterio.env import get_gdal_config
from rasterio.windows import Window

from glacierx.errors import OutputError
from glacierx.scene import bandfile, blocks
from glacierx.scene.blocks import LEAST_CACHE, block_cache, block_rows
from glacierx.scene.scene import open_scene

ROWS, COLUMNS = 2500, 700
LAYOUTS = {
    "one strip": {"blockysize": ROWS},
    "tall tiles": {"tiled": True, "blockxsize": 64, "blockysize": 2048},
    "tiles": {"tiled": True, "blockxsize": 256, "blockysize": 256},
    "rows": {"blockysize": 1},
}


@pytest.fixture
def numbers():
    return np.random.default_rng(0).integers(0, 9000, (2, ROWS, COLUMNS)).astype("uint16")


def written(path, numbers, layout, **more):
    grid = utm_grid((ROWS, COLUMNS))
    with rasterio.open(
        path, "w", driver="GTiff", width=COLUMNS, height=ROWS, count=2, dtype="uint16",
        crs=grid.crs, transform=grid.transform, compress="deflate", **LAYOUTS[layout], **more,
    ) as file:  # fmt: skip
        file.write(numbers)
        file.descriptions = ("green", "nir")
        file.scales = (1e-4, 1e-4)
    return path


def bands_of(scene, height=256):
    parts = []
    for first in range(0, ROWS, height):
        window = Window(0, first, COLUMNS, min(height, ROWS - first))
        [part], valid = scene.read_stored(window, scene.roles)
        parts.append(np.where(valid, part.values, 0))
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("nodata", [None, 17])
def test_any_layout_gives_the_same_numbers(tmp_path, numbers, layout, nodata):
    path = written(tmp_path / "s.tif", numbers, layout, nodata=nodata)
    bad = (numbers == 17).any(axis=0) if nodata else np.zeros(numbers.shape[1:], bool)
    with open_scene(path) as scene, scene.by_rows(tmp_path):
        assert np.array_equal(bands_of(scene), np.where(bad, 0, numbers))
    assert [file.name for file in tmp_path.iterdir()] == ["s.tif"]


@pytest.mark.parametrize("layout", ["one strip", "tall tiles"])
def test_tall_blocks_are_decoded_once(tmp_path, numbers, layout, monkeypatch):
    path = written(tmp_path / "s.tif", numbers, layout)
    seen = []
    original = blocks.read_window

    def noting(dataset, bands, window):
        seen.append((bands, window.col_off, window.height))
        return original(dataset, bands, window)

    monkeypatch.setattr(blocks, "read_window", noting)
    monkeypatch.setattr(bandfile, "read_window", lambda *given: pytest.fail("read from the file")
                        if given[0].name == str(path) else original(*given))  # fmt: skip
    with open_scene(path) as scene:
        with scene.by_rows(tmp_path):
            assert scene.block_rows <= 256
            bands_of(scene)
    assert len(seen) == len(set(map(str, seen)))
    assert {height for *_, height in seen} == {ROWS}


def test_other_files_are_read_as_they_are(tmp_path, numbers):
    for layout in ("tiles", "rows"):
        path = written(tmp_path / f"{layout}.tif", numbers, layout)
        with open_scene(path) as scene, scene.by_rows(tmp_path / "nowhere"):
            assert scene.block_rows == {"tiles": 256, "rows": 1}[layout]


def test_no_room_for_the_copy_is_one_line(tmp_path, numbers, monkeypatch):
    path = written(tmp_path / "s.tif", numbers, "tall tiles")
    opened = rasterio.open

    def full(name, mode="r", **more):
        if mode == "w":
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(name, mode, **more)

    monkeypatch.setattr(rasterio, "open", full)
    with (
        open_scene(path) as scene,
        pytest.raises(OutputError, match=r"2048 rows high.*No space left.*TILED=YES"),
        scene.by_rows(tmp_path),
    ):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["s.tif"]


def test_the_cache_of_blocks_is_bounded_and_given_back():
    before = get_gdal_config("GDAL_CACHEMAX")
    with block_cache(10):
        assert get_gdal_config("GDAL_CACHEMAX") == LEAST_CACHE
        with block_cache(LEAST_CACHE * 3):
            assert get_gdal_config("GDAL_CACHEMAX") == LEAST_CACHE * 3
        assert get_gdal_config("GDAL_CACHEMAX") == LEAST_CACHE
    assert get_gdal_config("GDAL_CACHEMAX") == before


def test_blocks_are_never_higher_than_the_file(tmp_path):
    path = write_tif(tmp_path / "s.tif", np.ones((1, 5, 5), "uint8"), utm_grid((5, 5)))
    with rasterio.open(path) as file:
        assert block_rows(file) <= 5
