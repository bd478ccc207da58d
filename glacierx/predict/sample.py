"""A bounded sample of a scene's pixels, the same however the scene is tiled."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.scene.scene import Scene

LATTICE = 16
BLOCK_PX = 128


def sample_scene(scene: Scene, roles: Sequence[str]) -> NDArray[np.float32]:
    """Read valid pixels from up to 16 x 16 blocks of 128 x 128 spread evenly over a scene.

    Returns:
        Values (roles, pixels), at most 4.2 million of each; none where nothing is valid.
    """
    rows, columns = (
        [
            (start, min(BLOCK_PX, length - start))
            for start in np.unique(
                np.linspace(0, max(0, length - BLOCK_PX), LATTICE).astype(int)
            ).tolist()
        ]
        for length in scene.grid.shape
    )
    # Blocks overlap in a small scene; only what is beyond the last block is taken.
    parts = []
    for top, height in _apart(rows):
        for left, width in _apart(columns):
            raster = scene.read(Window(left, top, width, height), roles)
            parts.append(raster.values[:, raster.valid])
    return np.concatenate(parts, axis=1)


def _apart(blocks: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    end = 0
    for start, size in blocks:
        first = max(start, end)
        if start + size > first:
            found.append((first, start + size - first))
            end = start + size
    return found
