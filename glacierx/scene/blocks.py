"""How a raster file is cut into blocks, and what reading it from top to bottom needs."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
from rasterio.env import get_gdal_config, set_gdal_config
from rasterio.errors import RasterioError
from rasterio.windows import Window

from glacierx.errors import OutputError
from glacierx.scene.raster import gdal_reason, read_window

# Blocks higher than this would have to be decoded again for each strip of patches.
TALL_PX = 1024
LEAST_CACHE = 64 * 2**20


def block_rows(dataset: Any) -> int:
    """Return the height of a dataset's blocks, at most its own."""
    return int(min(max(rows for rows, _ in dataset.block_shapes), dataset.height))


def row_bytes(dataset: Any) -> int:
    """Return what a full row of all bands takes."""
    return int(dataset.width * sum(np.dtype(name).itemsize for name in dataset.dtypes))


@contextmanager
def block_cache(size: int = 0) -> Iterator[None]:
    """Let GDAL keep so many bytes of decoded blocks, at least 64 MiB, within a ``with``.

    Its own limit is a share of the machine's memory, which a scene read once would fill.
    """
    before = get_gdal_config("GDAL_CACHEMAX")
    set_gdal_config("GDAL_CACHEMAX", max(LEAST_CACHE, size))
    try:
        yield
    finally:
        set_gdal_config("GDAL_CACHEMAX", before)


@contextmanager
def in_strips(dataset: Any, folder: Path) -> Iterator[Any]:
    """Copy a raster of tall blocks into a temporary file of rows, decoding each block once.

    Args:
        dataset: An open dataset.
        folder: Where the copy lies while it is used; it has the size of the pixels.

    Yields:
        The copy, open; without masks, nodata and metadata.

    Raises:
        OutputError: There is no room for it.
    """
    with TemporaryDirectory(prefix=".glacierx-", dir=folder, ignore_cleanup_errors=True) as name:
        path = Path(name) / "rows.tif"
        try:
            with rasterio.open(
                path, "w", driver="GTiff", width=dataset.width, height=dataset.height,
                count=dataset.count, dtype=dataset.dtypes[0], crs=dataset.crs,
                transform=dataset.transform, interleave="band", bigtiff="IF_SAFER",
            ) as copy:  # fmt: skip
                wide = dataset.block_shapes[0][1]
                for left in range(0, dataset.width, wide):
                    window = Window(left, 0, min(wide, dataset.width - left), dataset.height)
                    for band in range(1, dataset.count + 1):
                        copy.write(read_window(dataset, [band], window)[0], band, window=window)
            copied = rasterio.open(path)
        except (RasterioError, OSError) as error:
            raise OutputError(
                f"The blocks of {Path(dataset.name).name} are {block_rows(dataset)} rows high, so "
                f"it is copied before it is read, and the copy cannot be written to {folder}: "
                f"{gdal_reason(error)}. Free some space, or give a file with tiles "
                "(gdal_translate -co TILED=YES)."
            ) from error
        with copied:
            # Open files outlive their names, so a run that is killed leaves none.
            with suppress(OSError):
                path.unlink()
            yield copied
