"""A wider, coarser view around a patch, for networks that take one."""

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.scene.grid import row_bands
from glacierx.scene.scene import Scene

CONTEXT_LINES = 64


def read_context(
    scene: Scene,
    roles: tuple[str, ...],
    corner: tuple[int, int],
    patch_px: int,
    factor: int,
    *,
    needed: tuple[str, ...] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read a view *factor* times as wide around a patch, averaged to the size of the patch.

    Args:
        scene: The scene.
        roles: What to read.
        corner: Row and column of the patch's first pixel.
        patch_px: Side of the patch.
        factor: Side of a block of pixels that is averaged.
        needed: See `Scene.read_stored`.

    Returns:
        Values (roles, patch, patch), and True where a block holds valid pixels of the scene.
    """
    values = np.zeros((len(roles), patch_px, patch_px), np.float32)
    valid = np.zeros((patch_px, patch_px), bool)
    shift = (patch_px * factor - patch_px) // 2
    top, left = corner[0] - shift, corner[1] - shift
    rows, columns = scene.grid.shape
    from_column, to_column = max(0, left), min(columns, left + patch_px * factor)
    for line, end in row_bands(patch_px, CONTEXT_LINES):
        first, last = max(0, top + line * factor), min(rows, top + end * factor)
        if first >= last or from_column >= to_column:
            continue
        raster = scene.read(
            Window(from_column, first, to_column - from_column, last - first), roles, needed
        )
        down = (np.arange(first, last) - top) // factor - line
        right = (np.arange(from_column, to_column) - left) // factor
        block = (down[:, None] * patch_px + right).ravel()
        shape = (end - line, patch_px)
        count, *totals = (
            np.bincount(block, plane.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
            for plane in (raster.valid, *(raster.values * raster.valid))
        )
        for index, total in enumerate(totals):
            np.divide(
                total, count, out=values[index, line:end], where=count > 0, casting="same_kind"
            )
        valid[line:end] = count > 0
    return values, valid
