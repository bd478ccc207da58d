"""Pixels of scenes beside what reference outlines say of them, strip by strip."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.errors import OptionError
from glacierx.scene.grid import row_bands
from glacierx.scene.icemask import check_effect, open_ice_mask
from glacierx.scene.icewindow import MaskChoice
from glacierx.scene.raster import PathLike
from glacierx.scene.scene import Scene

ROWS = 256
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Reference:
    """What is fitted to.

    Attributes:
        paths: Masks or outlines: one for all scenes, or one for each.
        choice: What of the files is meant.
        align: Warp a mask of another grid onto its scene.
    """

    paths: tuple[PathLike, ...]
    choice: MaskChoice
    align: bool = False

    def of(self, scenes: Sequence[Any]) -> list[PathLike]:
        """Return the file for each scene.

        Raises:
            OptionError: There are neither as many files as scenes, nor one.
        """
        if not scenes or len(self.paths) not in (1, len(scenes)):
            raise OptionError(
                f"{len(self.paths)} files of outlines were given for {len(scenes)} scenes. "
                "Give one file for all scenes, or one for each, in the same order."
            )
        return list(self.paths) if len(self.paths) > 1 else list(self.paths) * len(scenes)


@dataclass(frozen=True)
class Labelled:
    """A strip of a scene with its reference.

    Attributes:
        values: Pixels (roles, rows, columns).
        ice: True where the reference has ice.
        known: True where the scene is valid, in its region, and the reference knows.
    """

    values: NDArray[np.float32]
    ice: NDArray[np.bool_]
    known: NDArray[np.bool_]


def read_labelled(
    scenes: Sequence[Scene],
    reference: Reference,
    roles: Sequence[str],
    progress: Progress | None = None,
) -> Iterator[Labelled]:
    """Read every row of every scene once, in order.

    Args:
        scenes: Scenes.
        reference: What they are fitted to.
        roles: What to read of the scenes.
        progress: Called as work goes on.

    Raises:
        GridError: A reference lies elsewhere, or on another grid.
        SceneError: A reference holds unexpected numbers.
    """
    total = sum(scene.grid.shape[0] for scene in scenes)
    done = 0
    for scene, path in zip(scenes, reference.of(scenes), strict=True):
        rows, columns = scene.grid.shape
        with open_ice_mask(path, reference.choice) as mask:
            check_effect(reference.choice, mask)
            mask.place(scene.grid, align=reference.align)
            for first, last in row_bands(rows, ROWS):
                window = Window(0, first, columns, last - first)
                raster, there = scene.read(window, roles), mask.read(window)
                known = raster.valid & scene.inside(window) & there.valid
                yield Labelled(raster.values, there.ice, known)
                done += last - first
                if progress:
                    progress(done, total, "rows")
            mask.finish()
