"""Any raster of the same ground as a role of the scene: coherence, velocity, a user's own."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.errors import GridError, OptionError, SceneError
from glacierx.scene.asked import split_band
from glacierx.scene.bandfile import BandFile, RadiometryChoice
from glacierx.scene.bands import BandSource
from glacierx.scene.grid import Grid
from glacierx.scene.handle import Handle
from glacierx.scene.provenance import fingerprint
from glacierx.scene.raster import base_name, open_dataset, overlap_share, raster_parts


class Auxiliary(Handle):
    """One band of a raster on the scene's grid, whatever its own; bilinear, averaged where finer.

    Attributes:
        role: What it is to the scene.
        path: The file.
        band: Its band, counted from 1.
        unit: What the file says of its unit; ``"unknown"`` where it says nothing.

    Args:
        role: See above.
        target: ``FILE`` or ``FILE:BAND``.
        grid: The scene's grid.
        name: The scene's name.

    Raises:
        SceneError: The file is missing, unreadable, or has several bands and none is named.
        GridError: It lies elsewhere, or nowhere.
    """

    def __init__(self, role: str, target: str, grid: Grid, name: str) -> None:
        what = f"{role} raster"
        self.role = role
        self.path, number = split_band(target)
        with open_dataset(self.path, what) as dataset:
            count = dataset.count
        own = base_name(self.path)
        if number is None and count > 1:
            raise SceneError(f"{own} has {count} bands. Say which is {role}: --aux {role}={own}:1")
        self.band = number or 1
        if not 1 <= self.band <= count:
            raise SceneError(f"{own} has {count} bands; --aux asks for number {number} as {role}.")
        self._file = BandFile(
            [BandSource(role, self.path, self.band)], RadiometryChoice(), what=what
        )
        if overlap_share(self._file.grid, grid) == 0:
            self._file.close()
            raise GridError(
                f"{own} does not overlap {name}. Give a raster of the same area as {role}."
            )
        self._file.align(grid, None)
        self.unit = self._file.radiometry[role].unit

    @property
    def parts(self) -> list[str]:
        """The files that it is made of: its own first, then those that a VRT shows."""
        return raster_parts(self.path)

    @property
    def cache_bytes(self) -> int:
        """What GDAL keeps of its blocks while it is read from top to bottom."""
        return self._file.cache_bytes

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read pixels (rows, columns) of the scene's window, 0 where invalid; and where valid."""
        stored, valid = self._file.read(window, [self.role])
        plane = np.where(valid, stored.plane(0), np.float32(0))
        return plane, valid

    def describe(self, *, always_hash: bool = False) -> dict[str, Any]:
        """Return what a run record says of the raster."""
        own, *parts = (fingerprint(path, always_hash=always_hash) for path in self.parts)
        how = self._file.radiometry[self.role]
        told = {"band": self.band, "unit": how.unit, "scale": how.scale, "offset": how.offset}
        return {**own, **told, **({"parts": parts} if parts else {})}

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_aux(
    choice: Mapping[str, str], grid: Grid, name: str, bands: Sequence[str], closing: ExitStack
) -> dict[str, Auxiliary]:
    """Open the rasters beside a scene.

    Args:
        choice: What `parse_aux` found.
        grid: The scene's grid.
        name: The scene's name.
        bands: Roles of the scene's bands.
        closing: Closes the files in the end.

    Raises:
        OptionError: A band of the scene has the role already.
    """
    found = {}
    for role, target in choice.items():
        if role in bands:
            raise OptionError(
                f"--aux names {role!r}, and {name} has a band of it. Give one of them."
            )
        found[role] = Auxiliary(role, target, grid, name)
        closing.callback(found[role].close)
    return found
