"""How large a raster may be: what is refused by its header, and what real mosaics look like."""

import numpy as np
import pytest
import rasterio
from factories import utm_grid, write_tif

from glacierx.errors import SceneError
from glacierx.scene.limits import LARGEST_BLOCK, MOST_DECODED, SMALL_BYTES, check_size
from glacierx.scene.raster import open_dataset


class Header:
    """What a dataset says of itself before a pixel is read."""

    def __init__(self, shape=(100, 100), bands=1, kind="uint8", block=(1, 100), files=()):
        self.height, self.width = shape
        self.count, self.dtypes = bands, (kind,) * bands
        self.block_shapes, self.interleaving = [block] * bands, None
        self.files = [str(file) for file in files]


@pytest.fixture
def file_of(tmp_path):
    """Make a file of so many bytes that takes none on the disk."""

    def make(size, name="a.tif"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
        return tmp_path / name

    return make


def test_a_mosaic_of_a_mountain_range_is_read(file_of):
    # 100,000 x 100,000 pixels of ten metres and five bands, nine tenths of them without data.
    whole = 100_000**2 * 5 * 2
    mosaic = Header((100_000,) * 2, 5, "uint16", (512, 512), [file_of(whole // 20)])
    check_size(mosaic, "mosaic.tif")
    # Its mask, in which a pixel in a hundred is ice, compressed to a three-hundredth.
    check_size(Header((100_000,) * 2, 1, "uint8", (512, 512), [file_of(100_000**2 // 300)]), "m")


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_a_file_that_a_thousandth_of_its_pixels_stands_for_is_refused(file_of, share):
    side = 100_000
    file = file_of(int(side**2 / MOST_DECODED * share))
    header = Header((side, side), files=[file])
    if share > 1:
        check_size(header, "x.tif")
    else:
        with pytest.raises(SceneError, match=r"x\.tif has 100000 x 100000 pixels.*nearly empty"):
            check_size(header, "x.tif")


def test_small_rasters_may_be_empty(file_of):
    side = int(SMALL_BYTES**0.5)
    check_size(Header((side, side), files=[file_of(10)]), "x.tif")


def test_a_raster_of_unknown_size_on_disk_is_read():
    check_size(Header((200_000, 200_000), files=["/vsicurl/https://somewhere/x.tif"]), "x.tif")


def test_vrts_count_what_lies_behind_them(file_of, tmp_path):
    file_of(10**8, "a.tif")
    for name, source in (("one.vrt", "a.tif"), ("two.vrt", "one.vrt")):
        (tmp_path / name).write_text(
            '<VRTDataset><VRTRasterBand><SimpleSource><SourceFilename relativeToVRT="1">'
            f"{source}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
        )
    check_size(Header((100_000, 100_000), files=[tmp_path / "two.vrt"]), "two.vrt")
    file_of(10, "a.tif")
    with pytest.raises(SceneError, match="nearly empty"):
        check_size(Header((100_000, 100_000), files=[tmp_path / "two.vrt"]), "two.vrt")


def test_blocks_count_as_they_are_decoded():
    side = int(LARGEST_BLOCK**0.5)
    check_size(Header(block=(side, side)), "x.tif")
    with pytest.raises(SceneError, match=r"blocks of .* TILED=YES"):
        check_size(Header(block=(side, side), kind="uint16"), "x.tif")
    # Pixels that are interleaved are decoded with all their bands.
    header = Header(block=(side // 2, side // 2), bands=5)
    check_size(header, "x.tif")
    header.interleaving = "PIXEL"
    with pytest.raises(SceneError, match="blocks of"):
        check_size(header, "x.tif")


@pytest.mark.parametrize(("bands", "taken"), [(4096, True), (4097, False)])
def test_bands_are_counted(tmp_path, bands, taken):
    grid = utm_grid((1, 1))
    write_tif(tmp_path / "x.tif", np.zeros((bands, 1, 1), "uint8"), grid, interleave="pixel")
    if taken:
        with open_dataset(tmp_path / "x.tif") as file:
            assert isinstance(file, rasterio.DatasetReader)
    else:
        with pytest.raises(SceneError, match="4097 bands"):
            open_dataset(tmp_path / "x.tif")


@pytest.mark.parametrize("shape", [(1, 1_000_001), (1_000_001, 1)])
def test_sides_are_measured(shape):
    with pytest.raises(SceneError, match="1000000 a side"):
        check_size(Header(shape), "x.tif")
