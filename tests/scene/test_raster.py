import numpy as np
import pytest
import rasterio
from factories import utm_grid, write_tif
from rasterio.enums import Resampling
from rasterio.shutil import copy

from glacierx.errors import OutputError, SceneError
from glacierx.scene.geotiff import TILE_PX, RasterLayout, RowWriter, write_raster
from glacierx.scene.raster import (
    Raster,
    base_name,
    overlap_share,
    read_raster,
    resample,
    source_window,
)


def test_what_is_written_is_read_again(tmp_path):
    grid = utm_grid((30, 40))
    values = np.random.default_rng(0).random((2, 30, 40)).astype("float32")
    valid = np.ones((30, 40), bool)
    valid[3, 4] = False
    path = write_raster(tmp_path / "r.tif", Raster(values, valid, grid), nodata=-1)
    back = read_raster(path)
    assert np.array_equal(back.valid, valid)
    assert np.array_equal(back.values[:, valid], values[:, valid])
    assert back.grid.matches(grid)
    assert read_raster(path, 2).values.shape == (1, 30, 40)
    with pytest.raises(SceneError, match="band 3 was asked for"):
        read_raster(path, 3)


def test_an_existing_raster_is_kept(tmp_path):
    grid = utm_grid((3, 4))
    raster = Raster(np.ones((1, 3, 4), "uint8"), np.ones((3, 4), bool), grid)
    path = write_raster(tmp_path / "r.tif", raster)
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"exists already\. Use --overwrite"):
        write_raster(path, raster)
    assert path.read_bytes() == before
    write_raster(path, raster, overwrite=True)


@pytest.mark.parametrize("steps", [[1000], [1] * 1000, [300, 300, 400], [255, 2, 743], [999, 1]])
def test_the_bytes_do_not_depend_on_how_rows_come(tmp_path, steps):
    grid = utm_grid((1000, 300))
    values = np.random.default_rng(0).integers(0, 9, (1, 1000, 300)).astype("uint8")
    layout = RasterLayout(bands=1, dtype="uint8", nodata=255)
    whole, pieces = tmp_path / "a.tif", tmp_path / "b.tif"
    with RowWriter(whole, grid, layout) as writer:
        writer.write(values)
    with RowWriter(pieces, grid, layout) as writer:
        start = 0
        for step in steps:
            writer.write(values[:, start : start + step])
            start += step
    assert whole.read_bytes() == pieces.read_bytes()
    assert np.array_equal(read_raster(whole).values, values)


def test_rasters_are_tiled_and_compressed(tmp_path):
    grid = utm_grid((600, 600))
    layout = RasterLayout(bands=1, dtype="uint8", scale=0.004, descriptions=("p",))
    with RowWriter(tmp_path / "a.tif", grid, layout) as writer:
        writer.write(np.zeros((1, 600, 600), "uint8"))
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.block_shapes == [(TILE_PX, TILE_PX)]
        assert file.compression.name == "deflate"
        assert file.scales == (0.004,)
        assert file.descriptions == ("p",)


def test_missing_rows_are_an_error(tmp_path):
    layout = RasterLayout(bands=1, dtype="uint8")
    with (
        pytest.raises(OutputError, match="10 of 20 rows"),
        RowWriter(tmp_path / "a.tif", utm_grid((20, 5)), layout) as writer,
    ):
        # A whole tile would be 256 rows; the ten wait until they are known to be the last.
        writer.write(np.zeros((1, 10, 5), "uint8"))
        writer._row = 10


def test_resampling_averages_and_interpolates_in_place():
    fine, coarse = utm_grid((40, 40), 10), utm_grid((20, 20), 20)
    plane = np.add.outer(np.arange(40) * 2.0, np.arange(40) * 3.0).astype("float32")
    half = resample(plane[None], fine, coarse, Resampling.average)[0]
    # The mean of a plane over 2 x 2 pixels is its value at their middle.
    expected = np.add.outer(np.arange(20) * 4.0 + 1, np.arange(20) * 6.0 + 1.5)
    assert np.allclose(half, expected)


def test_the_source_window_covers_what_is_needed_and_none_elsewhere():
    own = utm_grid((100, 100), 20)
    window = source_window(own, utm_grid((20, 20), 10, corner=(600_400, 5_199_600)))
    assert window.col_off <= 20 < 30 <= window.col_off + window.width
    assert window.row_off <= 20 < 30 <= window.row_off + window.height
    assert source_window(own, utm_grid((20, 20), 10, corner=(700_000, 5_200_000))) is None


def test_overlap_is_a_share_of_the_grid():
    grid = utm_grid((10, 10))
    half = utm_grid((10, 10), corner=(600_050, 5_200_000))
    assert overlap_share(grid, grid) == pytest.approx(1)
    assert overlap_share(half, grid) == pytest.approx(0.5)
    assert overlap_share(utm_grid((10, 10), corner=(0, 0)), grid) == 0


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.tif", "b.tif"),
        ("https://x.org/a/b.tif?token=1", "b.tif"),
        ("s3://bucket/a/b.tif", "b.tif"),
        ("C:\\data\\b.tif", "b.tif"),
    ],
)
def test_base_names(path, name):
    assert base_name(path) == name


def test_a_raster_of_several_parts_lists_them(tmp_path):
    grid = utm_grid((8, 8))
    one = write_tif(tmp_path / "one.tif", np.ones((1, 8, 8), "uint8"), grid)
    two = tmp_path / "two.gpkg"
    for table in ("a", "b"):
        with rasterio.open(one) as source:
            copy(source, str(two), driver="GPKG", RASTER_TABLE=table, APPEND_SUBDATASET="YES")
    with pytest.raises(SceneError, match=r"two\.gpkg has no bands of its own.*give one of them"):
        read_raster(two)
