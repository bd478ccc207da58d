"""Labels of a scene that is too large for memory, and their polygons."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
import rasterio.features
import shapely
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from glacierx.scene.geotiff import RasterLayout, RowWriter
from glacierx.scene.grid import Grid
from glacierx.scene.handle import Handle


class LabelRaster(Handle):
    """Labels that are written from top to bottom and kept compressed, as few bytes as they are.

    Args:
        grid: Their grid.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        # GDAL masks by a file of bytes only.
        self._memory = MemoryFile(ext=".tif"), MemoryFile(ext=".tif")
        self._rows = [
            RowWriter(memory.name, grid, RasterLayout(bands=1, dtype=kind))
            for memory, kind in zip(self._memory, ("int32", "uint8"), strict=True)
        ]

    def write(self, label: NDArray[Any]) -> None:
        """Add the next rows, labels from 1 and 0 elsewhere (rows, columns)."""
        labels, ice = self._rows
        labels.write(label[None].astype(np.int32))
        ice.write((label[None] > 0).astype(np.uint8))

    def finish(self) -> None:
        """End writing.

        Raises:
            OutputError: Rows are missing.
        """
        for rows in self._rows:
            rows.close()

    def polygons(self) -> Iterator[tuple[Any, int]]:
        """Return, when writing has ended, each label's polygons and the label."""
        return self._polygons(self._memory[0])

    def unions(self) -> Iterator[Any]:
        """Return, when writing has ended, the polygons of all labels as if they were one."""
        return (polygon for polygon, _ in self._polygons(self._memory[1]))

    def _polygons(self, memory: MemoryFile) -> Iterator[tuple[Any, int]]:
        with rasterio.open(memory.name) as file, rasterio.open(self._memory[1].name) as ice:
            for shape, value in rasterio.features.shapes(
                rasterio.band(file, 1), rasterio.band(ice, 1), transform=self._grid.transform
            ):
                yield shapely.geometry.shape(shape), int(value)

    def close(self) -> None:
        """Forget the labels."""
        for memory in self._memory:
            memory.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            for rows in self._rows:
                rows.__exit__(kind, error, trace)
        self.close()
