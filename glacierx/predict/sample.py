"""A bounded sample of a scene's pixels, however it is tiled, and a normalisation fitted to it."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.errors import ModelError
from glacierx.predict.normalise import (
    DIRECTED,
    DIRECTED_SCALE,
    FITTED,
    JOINT,
    SCALES,
    SPECTRAL,
    Normalisation,
    Normaliser,
)
from glacierx.scene.scene import Scene
from glacierx.scene.sensors import OPTICAL

LATTICE = 16
BLOCK_PX = 128
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

    Raises:
        ModelError: Its means are found by training, and there was none yet.
    """
    if how.kind == FITTED:
        raise ModelError(
            "The model's means and standard deviations are those of its training scenes, and it "
            "was never trained. Train it with glacierx train."
        )
    if how.kind == JOINT:
        return Normaliser(None, None)
    has = scene.available
    present = [role for role in roles if role in has]
    if how.kind == "fixed":
        at = [list(roles).index(role) for role in present]
        mean, std = np.array(how.mean, np.float32), np.array(how.std, np.float32)
        return Normaliser(mean[at], std[at])
    low, high = np.zeros(len(present), np.float32), np.ones(len(present), np.float32)
    for group in _groups(present, scene.aux):
        sample = sample_scene(scene, [present[index] for index in group])
        thinned = sample[:, :: max(1, sample.shape[1] // ENOUGH)]
        for part in _together(how, group, present) if sample.shape[1] else ():
            inside = [group.index(index) for index in part]
            low[part], high[part] = np.percentile(thinned[inside], [how.low, how.high])
    for index, role in enumerate(present):
        if role in DIRECTED:
            low[index], high[index] = 0, DIRECTED_SCALE
        elif how.kind == SPECTRAL and role in SCALES:
            low[index], high[index] = SCALES[role]
    return Normaliser(low, np.maximum(high - low, np.float32(1e-12)), bounded=True)


def _groups(present: Sequence[str], beside: Iterable[str]) -> list[list[int]]:
    """Return which planes are sampled together: a raster beside the scene has gaps of its own."""
    alone = [index for index, role in enumerate(present) if role in beside]
    others = [index for index in range(len(present)) if index not in alone]
    return [group for group in (others, *([index] for index in alone)) if group]


def _together(how: Normalisation, group: Sequence[int], present: Sequence[str]) -> list[list[int]]:
    """Return which planes of a group have their percentiles together."""
    if how.kind != SPECTRAL:
        return [[index] for index in group]
    optical = [index for index in group if present[index] in OPTICAL]
    return [optical] * bool(optical) + [[index] for index in group if index not in optical]


def _apart(blocks: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    end = 0
    for start, size in blocks:
        first = max(start, end)
        if start + size > first:
            found.append((first, start + size - first))
            end = start + size
    return found
