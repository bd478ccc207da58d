"""Write rasters: tiled, compressed, a few rows at a time."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
from numpy.typing import DTypeLike, NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.windows import Window

from glacierx.errors import OutputError
from glacierx.scene.grid import Grid, row_bands
from glacierx.scene.handle import Handle
from glacierx.scene.output import Files, cannot_write, check_outputs, check_suffix
from glacierx.scene.raster import PathLike, Raster, base_name
from glacierx.scene.staging import RASTERS, staged

TILE_PX = 256
COLOURS = {
    "blue": ColorInterp.blue,
    "green": ColorInterp.green,
    "red": ColorInterp.red,
}


def check_rasters(paths: Files, *, overwrite: bool = False, inputs: Files = ()) -> None:
    """Refuse names of results that are not those of GeoTIFFs, or that `check_outputs` refuses.

    Raises:
        OutputError: A file cannot be written under that name.
    """
    for path in (path for path in paths if path):
        check_suffix(path, RASTERS, "rasters")
    check_outputs(paths, overwrite=overwrite, inputs=inputs)


def write_raster(
    path: PathLike, raster: Raster, *, nodata: float | None = None, overwrite: bool = False
) -> Path:
    """Write a raster as a tiled, compressed GeoTIFF, whole or not at all.

    Args:
        path: The file to write.
        raster: What to write; its dtype is kept.
        nodata: Value put where the raster is not valid, and noted in the file.
        overwrite: Replace an existing file.
    """
    check_rasters([path], overwrite=overwrite)
    values = raster.values
    if nodata is not None:
        values = np.where(raster.valid, values, np.asarray(nodata, values.dtype))
    layout = RasterLayout(bands=values.shape[0], dtype=values.dtype, nodata=nodata)
    with staged(path, overwrite=overwrite) as part, RowWriter(part, raster.grid, layout) as writer:
        writer.write(values)
    return Path(path)


@dataclass(frozen=True)
class RasterLayout:
    """What a raster file holds besides its pixels.

    Attributes:
        bands: Number of bands.
        dtype: NumPy type of the pixels.
        nodata: Value that means no data.
        scale: What a stored number is multiplied by to give the value, of all bands or of each.
        offsets: What is then added, for each band.
        units: Unit of each band.
        descriptions: A name for each band.
        tags: Metadata of the file.
        colors: Palette of a one-band uint8 raster: value to (red, green, blue, alpha).
    """

    bands: int
    dtype: DTypeLike
    nodata: float | None = None
    scale: float | tuple[float, ...] = 1.0
    offsets: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    colors: Mapping[int, tuple[int, int, int, int]] | None = None


class RowWriter(Handle):
    """Write a raster from top to bottom, a few rows at a time, in whole tiles.

    Rows that do not fill a tile wait in memory, so each tile is compressed once and the bytes of
    the file do not depend on how many rows came at a time.
    """

    def __init__(self, path: PathLike, grid: Grid, layout: RasterLayout) -> None:
        self._grid = grid
        self._row = 0
        self._sums = [0] * layout.bands
        self._waiting: list[NDArray[Any]] = []
        try:
            self._file = rasterio.open(
                str(path),
                "w",
                driver="GTiff",
                height=grid.rows,
                width=grid.columns,
                count=layout.bands,
                dtype=np.dtype(layout.dtype).name,
                crs=grid.crs,
                transform=grid.transform,
                nodata=layout.nodata,
                tiled=True,
                blockxsize=TILE_PX,
                blockysize=TILE_PX,
                compress="deflate",
                zlevel=4,  # a third of the time of the default for a twentieth more bytes
                bigtiff="IF_SAFER",
                photometric="MINISBLACK" if layout.colors is None else "PALETTE",
            )
            self._describe(layout)
        except (RasterioError, OSError) as error:
            raise cannot_write(path, error) from error

    def _describe(self, layout: RasterLayout) -> None:
        for band, name in enumerate(layout.descriptions, 1):
            self._file.set_band_description(band, name)
        if COLOURS.keys() <= set(layout.descriptions):
            # So that a GIS shows natural colours.
            self._file.colorinterp = [
                COLOURS.get(name, ColorInterp.undefined) for name in layout.descriptions
            ]
        if isinstance(layout.scale, tuple):
            self._file.scales = layout.scale
        elif layout.scale != 1:
            self._file.scales = (layout.scale,) * layout.bands
        if layout.offsets:
            self._file.offsets = layout.offsets
        if layout.units:
            self._file.units = layout.units
        if layout.colors is not None:
            self._file.write_colormap(1, dict(layout.colors))
        self._file.update_tags(**layout.tags)

    def write(self, values: NDArray[Any]) -> None:
        """Add the next rows (bands, rows, columns)."""
        self._waiting.append(values)
        waiting = sum(part.shape[1] for part in self._waiting)
        whole = waiting // TILE_PX * TILE_PX
        if self._row + waiting == self._grid.rows:
            whole = waiting
        if whole == 0:
            return
        rows = np.concatenate(self._waiting, axis=1) if len(self._waiting) > 1 else values
        window = Window(0, self._row, self._grid.columns, whole)
        try:
            self._file.write(rows[:, :whole], window=window)
        except (RasterioError, OSError) as error:
            raise cannot_write(self._file.name, error) from error
        for band, values in enumerate(rows[:, :whole]):
            self._sums[band] = zlib.crc32(values.tobytes(), self._sums[band])
        self._row += whole
        self._waiting = [rows[:, whole:]] if whole < waiting else []

    def close(self) -> None:
        """Finish the file.

        Raises:
            OutputError: Rows are missing, or the disk is full.
        """
        try:
            self._file.close()
        except (RasterioError, OSError) as error:
            raise cannot_write(self._file.name, error) from error
        if self._row != self._grid.rows:
            raise OutputError(
                f"{self._row} of {self._grid.rows} rows were written to {self._file.name}."
            )
        self._check()

    def _check(self) -> None:
        """Read the file once more: libraries do not tell of every failure to write."""
        found = [0] * len(self._sums)
        try:
            with rasterio.open(self._file.name) as file:
                for first, last in row_bands(self._grid.rows, 4 * TILE_PX):
                    window = Window(0, first, self._grid.columns, last - first)
                    for band, values in enumerate(file.read(window=window)):
                        found[band] = zlib.crc32(values.tobytes(), found[band])
        except (RasterioError, OSError) as error:
            raise cannot_write(self._file.name, error) from error
        if found != self._sums:
            raise OutputError(
                f"{base_name(self._file.name)} does not read as it was written. "
                "Check the disk, or write to another."
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._file.close()
