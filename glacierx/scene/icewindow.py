"""What an ice mask is and what a window of it holds."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.errors import GridError, OptionError
from glacierx.scene.classes import Classes
from glacierx.scene.grid import Grid
from glacierx.scene.handle import Handle
from glacierx.scene.raster import PathLike, base_name

EVERY = "labels"


@dataclass(frozen=True)
class MaskChoice:
    """What of a file is meant, and which of its numbers are ice.

    Attributes:
        layer: Layer of a vector file that has several.
        band: Band of a raster that has several, counted from 1.
        positive: Numbers that mean ice, ``"1,2"`` or ``"3-8"``; ``"labels"`` if each number above
            0 is a glacier of its own.
        threshold: Probability above which a pixel is ice.
        classes: Which classes of the file are ice, by their names, parted by commas.
        legend: What the numbers of a raster, or the values of *field*, stand for:
            ``"0=background,1=debris,2=ice"``.
        field: Column of a vector layer that holds the class of each outline.
        is_truth: What is scored against, which is no probability.
        shared: The choice is for two files; what does not fit one of them is for the other.
    """

    layer: str | None = None
    band: int | None = None
    positive: str | None = None
    threshold: float | None = None
    classes: str | None = None
    legend: str | None = None
    field: str | None = None
    is_truth: bool = False
    shared: bool = False

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise OptionError(f"--threshold is {self.threshold:g}. It takes a number from 0 to 1.")


@dataclass(frozen=True)
class IceWindow:
    """A window of an ice mask.

    Attributes:
        ice: True where there is ice; never where not valid.
        valid: True where it is known whether there is.
        label: Number of the glacier from 1, 0 for none; None where the file knows no glaciers.
        probability: The probability of ice, where the file is of probabilities.
        kind: Number of the class in `IceMask.classes`, 255 where not valid; None where the file
            knows none.
    """

    ice: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    label: NDArray[np.int64] | None = None
    probability: NDArray[np.float32] | None = None
    kind: NDArray[np.uint8] | None = None


class IceMask(Handle):
    """Ice on a grid, whatever the file is; made by `open_ice_mask`.

    Attributes:
        name: The base name of the file.
        path: The file.
        kind: ``mask``, ``probability``, ``labels`` or ``outlines``.
        own_grid: The file's own grid; None for outlines.
        overlap: Share of the grid in use that the file covers.
        notes: What a user should know of how it was read.
        classes: The classes that the file tells apart, and which of them are ice; None for a file
            that knows none.
        tells_kinds: Windows hold the class of each pixel; a map of probabilities is asked for them.
    """

    kind: str
    own_grid: Grid | None

    def __init__(self, path: PathLike) -> None:
        self.name, self.path = base_name(path), str(path)
        self.overlap = 1.0
        self.notes: list[str] = []
        self.classes: Classes | None = None
        self.tells_kinds = False
        self._grid: Grid | None = None

    @property
    def grid(self) -> Grid:
        """The grid in use.

        Raises:
            GridError: It is a vector layer that was not put on one.
        """
        if self._grid is None:
            raise GridError(f"{self.name} is a vector layer: give it a grid with --like RASTER.")
        return self._grid

    @abstractmethod
    def place(self, grid: Grid, *, align: bool = False) -> None:
        """Put the ice on a grid.

        Args:
            grid: The grid to read by.
            align: Warp a raster of another grid onto it (nearest neighbour).

        Raises:
            GridError: The file lies elsewhere, or on another grid and is not to be aligned.
        """

    @abstractmethod
    def read(self, window: Window) -> IceWindow:
        """Read a window of the grid in use.

        Raises:
            SceneError: A value is not one of those expected, or the file is damaged there.
        """

    def finish(self) -> None:
        """Check what only the whole file tells; call it after the last window.

        Raises:
            SceneError: Which number means ice cannot be told.
        """

    def close(self) -> None:
        """Close the file."""
