"""Turn a finished GeoTIFF into a cloud-optimised one, in its place."""

from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.errors import RasterioError
from rasterio.windows import Window

from glacierx.errors import OutputError
from glacierx.scene.geotiff import TILE_PX
from glacierx.scene.grid import row_bands
from glacierx.scene.output import cannot_write


def make_cog(path: Path) -> None:
    """Rewrite a GeoTIFF as a cloud-optimised one with the same pixels, tags, colours and scale.

    Overviews of classes take the nearest pixel, those of numbers the mean of the valid ones. The
    file lies where results are prepared, so that whoever reads it there sees it whole.

    Raises:
        OutputError: It cannot be written, or reads otherwise than before.
    """
    made = path.with_name(f"{path.stem}.cog{path.suffix}")
    try:
        with rasterio.open(path) as file:
            classes = file.colorinterp[0] == rasterio.enums.ColorInterp.palette
        rasterio.shutil.copy(
            path,
            made,
            driver="COG",
            compress="DEFLATE",
            level=6,
            blocksize=2 * TILE_PX,
            bigtiff="IF_SAFER",
            overview_resampling="NEAREST" if classes else "AVERAGE",
            num_threads=1,  # Where several compress, the order of tiles is theirs.
        )
        _check(path, made)
    except (RasterioError, OSError) as error:
        raise cannot_write(path, error) from error
    made.replace(path)


def _check(one: Path, other: Path) -> None:
    """Read both files once more: libraries do not tell of every failure to write."""
    with rasterio.open(one) as first, rasterio.open(other) as second:
        for top, bottom in row_bands(first.height, 8 * TILE_PX):
            window = Window(0, top, first.width, bottom - top)
            if not np.array_equal(first.read(window=window), second.read(window=window)):
                raise OutputError(
                    f"{one.name} does not read as it was written. "
                    "Check the disk, or write to another."
                )
