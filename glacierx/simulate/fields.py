"""Random and coarse fields of a scene, of which any window can be read."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.simulate.landscape import fractal

Floats = NDArray[np.float32]

# What is added repeats only where both repeat: after 268,800 pixels.
PERIODS_PX = 1536, 1400


class Field(Protocol):
    """Values of a scene that are read by window."""

    def read(self, window: Window) -> Floats:
        """Return the values of a window (rows, columns)."""


@dataclass(frozen=True)
class Whole:
    """A field that is held as it is.

    Attributes:
        values: Its values at each pixel of the scene.
    """

    values: Floats

    def read(self, window: Window) -> Floats:
        """Return the values of a window (rows, columns)."""
        return np.asarray(cropped(self.values, window))


@dataclass(frozen=True)
class Repeated:
    """Fields without seams that are repeated and added.

    Attributes:
        parts: Square fields, each of another side.
    """

    parts: tuple[Floats, ...]

    def read(self, window: Window) -> Floats:
        """Return the values of a window (rows, columns)."""
        total = np.zeros((window.height, window.width), np.float32)
        for part in self.parts:
            rows, columns = (
                (first + np.arange(count)) % len(part)
                for first, count in (
                    (window.row_off, window.height),
                    (window.col_off, window.width),
                )
            )
            total += part.take(rows, axis=0).take(columns, axis=1)
        return np.asarray(total / np.float32(np.sqrt(len(self.parts))), np.float32)


@dataclass(frozen=True)
class Coarse:
    """A field that is held on larger cells and interpolated linearly.

    Attributes:
        values: Its values in the middle of each cell.
        step: Pixels on the side of a cell; the first begins where the scene does.
    """

    values: Floats
    step: int

    def read(self, window: Window) -> Floats:
        """Return the values of a window (rows, columns)."""
        top, down = self._between(window.row_off, window.height, 0)
        left, right = self._between(window.col_off, window.width, 1)
        near = self.values[:, left[0] : left[-1] + 2]
        rows = near[top] + down[:, None] * (near[top + 1] - near[top])
        left = left - left[0]
        out = rows.take(left + 1, axis=1)
        here = rows.take(left, axis=1)
        out -= here
        out *= right
        out += here
        return np.asarray(out, np.float32)

    def _between(self, first: int, count: int, axis: int) -> tuple[NDArray[Any], Floats]:
        last = self.values.shape[axis] - 1
        at = np.clip((first + np.arange(count) + 0.5) / self.step - 0.5, 0, last)
        before = np.minimum(at.astype(np.int64), last - 1)
        return before, (at - before).astype(np.float32)


def cropped(values: NDArray[Any], window: Window) -> Any:
    """Return a window of the last two axes of an array."""
    return values[
        ...,
        window.row_off : window.row_off + window.height,
        window.col_off : window.col_off + window.width,
    ]


def repeated(roughness: float, longest_px: float, random: np.random.Generator) -> Repeated:
    """Draw a fractal field that has no end, of mean 0 and standard deviation 1.

    Args:
        roughness: Exponent of the amplitude: 1 is rough, 2.5 smooth.
        longest_px: Longest wavelength in pixels.
        random: Source of randomness.
    """
    return Repeated(tuple(
        fractal((side, side), roughness, random, longest=min(1.0, longest_px / side)).astype(
            np.float32
        )
        for side in PERIODS_PX
    ))  # fmt: skip
