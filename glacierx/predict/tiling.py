"""Overlapping windows that keep their centres, row by row."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Span(NamedTuple):
    """A patch along one axis: it is read from *start*, and kept from *first* to *last*."""

    start: int
    first: int
    last: int

    @property
    def kept(self) -> slice:
        """What is kept, counted from the patch's first pixel."""
        return slice(self.first - self.start, self.last - self.start)


def cut(length: int, patch_px: int, keep: float) -> list[Span]:
    """Cut an axis into overlapping patches whose kept parts cover it once.

    The margin that is dropped on each inner side is int((1 - sqrt(keep)) * patch_px / 2), after
    Chu et al. 2022: 26 of 1024 pixels for 90 % of the area. The outer patches keep their outer
    side, and the last one is shifted inward so that it ends with the axis.

    Args:
        length: Pixels along the axis.
        patch_px: Pixels of a patch.
        keep: Share of a patch's area that is kept.

    Returns:
        Spans in order; a single one where the axis is not longer than a patch.
    """
    margin = int((1 - math.sqrt(keep)) * patch_px / 2)
    stride = patch_px - 2 * margin
    starts = [0]
    while starts[-1] + patch_px < length:
        starts.append(min(starts[-1] + stride, length - patch_px))
    lasts = [min(start + patch_px - margin, length) for start in starts]
    lasts[-1] = length
    return [Span(start, first, last) for start, first, last in zip(starts, [0, *lasts], lasts)]  # noqa: B905


@dataclass(frozen=True)
class Tiling:
    """How a scene is cut into overlapping patches.

    Attributes:
        shape: Rows and columns of the scene.
        patch_px: Side of a patch.
        keep: Share of a patch's area that is kept.
    """

    shape: tuple[int, int]
    patch_px: int = 1024
    keep: float = 0.9

    @cached_property
    def down(self) -> list[Span]:
        """Strips of patches, from top to bottom."""
        return cut(self.shape[0], self.patch_px, self.keep)

    @cached_property
    def across(self) -> list[Span]:
        """Patches of a strip, from left to right."""
        return cut(self.shape[1], self.patch_px, self.keep)

    def below(self, row: int) -> list[Span]:
        """Strips that keep rows from this one on."""
        return [span for span in self.down if span.last > row]

    @property
    def patches(self) -> int:
        """Number of patches, those without a valid pixel included."""
        return len(self.down) * len(self.across)


def mirrored(pixels: NDArray[Any], patch_px: int) -> NDArray[Any]:
    """Extend rows and columns to a patch by reflection at the scene's edge."""
    missing = [patch_px - size for size in pixels.shape[-2:]]
    if not any(missing):
        return pixels
    pad = [(0, 0)] * (pixels.ndim - 2) + [(0, size) for size in missing]
    return np.pad(pixels, pad, mode="reflect")
