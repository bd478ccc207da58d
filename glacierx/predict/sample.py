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
# Pixels of a sample that its percentiles are taken of, spread evenly; more change them by nothing
# that a network would tell.
ENOUGH = 300_000


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
    wanted = np.zeros(scene.grid.columns, bool)
    for left, width in _apart(columns):
        wanted[left : left + width] = True
    parts = []
    for top, height in _apart(rows):
        # All blocks beside each other at once: tiles that they share are decoded once, and by
        # several threads.
        parts_of_row, valid = scene.read_stored(Window(0, top, scene.grid.columns, height), roles)
        seen = np.flatnonzero(valid & wanted)
        planes = {
            role: part.pick(index, seen)
            for part in parts_of_row
            for index, role in enumerate(part.roles)
        }
        parts.append(np.stack([planes[role] for role in roles]))
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
    sample = sample[:, :: max(1, sample.shape[1] // ENOUGH)]
    low, high = np.zeros((2, len(sample)), np.float32)
    groups = [[index] for index in range(len(present))]
    if how.kind == SPECTRAL:
        optical = np.flatnonzero(np.isin(present, OPTICAL)).tolist()
        groups = [optical] * bool(optical) + [one for one in groups if one[0] not in optical]
    for group in groups:
        low[group], high[group] = np.percentile(sample[group], [how.low, how.high])
    if how.kind == SPECTRAL:
        slope = np.isin(present, "slope")
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
