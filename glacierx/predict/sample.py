"""A bounded sample of a scene's pixels, however it is tiled, and a normalisation fitted to it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.predict.normalise import JOINT, SPECTRAL, Normalisation, Normaliser
from glacierx.scene.scene import Scene
from glacierx.scene.sensors import OPTICAL

LATTICE = 16
BLOCK_PX = 128
SLOPE_DEG = 45.0


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


def fit_normaliser(how: Normalisation, scene: Scene, roles: Sequence[str]) -> Normaliser:
    """Make a normalisation ready for a scene.

    Args:
        how: The card's normalisation.
        scene: The scene.
        roles: The card's roles; those that the scene lacks are left out.
    """
    if how.kind == JOINT:
        return Normaliser(None, None)
    present = [role for role in roles if role in scene.available]
    if how.kind == "fixed":
        at = [list(roles).index(role) for role in present]
        mean, std = np.array(how.mean, np.float32), np.array(how.std, np.float32)
        return Normaliser(mean[at], std[at])
    sample = sample_scene(scene, present)
    if sample.shape[1] == 0:
        nothing = np.zeros(len(sample), np.float32)
        return Normaliser(nothing, nothing + 1)
    low, high = np.percentile(sample, [how.low, how.high], axis=1).astype(np.float32)
    if how.kind == SPECTRAL:
        optical, slope = np.isin(present, OPTICAL), np.isin(present, "slope")
        if optical.any():
            low[optical], high[optical] = np.percentile(sample[optical], [how.low, how.high])
        low[slope], high[slope] = 0, SLOPE_DEG
    return Normaliser(low, np.maximum(high - low, np.float32(1e-12)), bounded=True)


def _apart(blocks: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    end = 0
    for start, size in blocks:
        first = max(start, end)
        if start + size > first:
            found.append((first, start + size - first))
            end = start + size
    return found
