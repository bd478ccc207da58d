"""A pixel method over a scene, strip by strip, and the 3 x 3 median of what it decides."""

import time
import warnings
from collections.abc import Callable, Generator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.errors import GlacierxWarning
from glacierx.predict.classic import PixelMethod
from glacierx.scene.grid import row_bands
from glacierx.scene.prediction import Rows, encode
from glacierx.scene.scene import Scene

PIXEL_ROWS = 512
LONG_RUN_S = 600
MEDIAN_ROWS = 64


class _Pixels(NamedTuple):
    """Full rows of a scene in physical units, where they are valid, and where wanted."""

    values: NDArray[np.float32]
    valid: NDArray[np.bool_]
    wanted: NDArray[np.bool_]


def _read(scene: Scene, roles: tuple[str, ...], first: int, last: int) -> _Pixels:
    """Read full rows of a scene; nothing where none of them is in its region."""
    window = Window(0, first, scene.grid.columns, last - first)
    inside = scene.inside(window)
    if not inside.any():
        nothing = np.zeros((len(roles), *inside.shape), np.float32)
        return _Pixels(nothing, np.zeros_like(inside), inside)
    raster = scene.read(window, roles)
    return _Pixels(raster.values, raster.valid, raster.valid & inside)


def pixel_rows(
    scene: Scene,
    method: PixelMethod,
    *,
    median: bool = False,
    first_row: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Generator[Rows, None, None]:
    """Decide a scene from top to bottom.

    Args:
        scene: The scene.
        method: What decides.
        median: Take the 3 x 3 median; see `median_of_neighbours`.
        first_row: Rows above it are left out; it is one where rows yielded begin.
        progress: Called as work goes on.

    Yields:
        Rows from top to bottom, each pixel once.
    """
    rows, _ = scene.grid.shape
    began = time.monotonic()
    for first, last in row_bands(rows, PIXEL_ROWS):
        if last <= first_row:
            continue
        # A row more on either side, so that the strips leave no trace in the median.
        above, below = (int(first > 0), int(last < rows)) if median else (0, 0)
        strip = _read(scene, method.roles, first - above, last + below)
        own = slice(above, above + last - first)
        found = np.zeros(strip.wanted.shape, np.float32)
        if strip.wanted[own].any():
            # Only valid pixels are decided; without a median only those that are wanted.
            there = strip.valid if median else strip.wanted
            found[there] = method.apply(strip.values[:, there])
            if median:
                found = median_of_neighbours(found, strip.valid)
        if first == first_row and method.forest is not None:
            _say_how_long((time.monotonic() - began) * (rows - first) / (last - first), scene)
        wanted = strip.wanted[own]
        yield encode(found[None, own], wanted), wanted
        if progress:
            progress(last, rows, "rows")


def _say_how_long(seconds: float, scene: Scene) -> None:
    if seconds > LONG_RUN_S:
        warnings.warn(
            f"The random forest will take about {seconds / 60:.0f} minutes for {scene.name}; "
            "--aoi keeps it to a region.",
            GlacierxWarning,
            stacklevel=3,
        )


def median_of_neighbours(
    values: NDArray[np.float32], valid: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the median of the valid pixels among each pixel and its eight neighbours.

    Of an even number of them it is the pixel's own value, held between the two in the middle. So
    the majority decides, the pixel itself where there is none, and it is the same whether a
    threshold comes before or after.

    Args:
        values: Pixels (rows, columns).
        valid: Which of them count.
    """
    out = values.copy()
    padded = np.pad(np.where(valid, values, np.float32(np.inf)), 1, constant_values=np.inf)
    voters = np.pad(valid, 1)
    rows, columns = values.shape
    for first, last in row_bands(rows, MEDIAN_ROWS):
        shifts = [
            (slice(first + row, last + row), slice(column, column + columns))
            for row in range(3)
            for column in range(3)
        ]
        ranked = np.sort(np.stack([padded[shift] for shift in shifts]), axis=0)
        count = np.sum([voters[shift] for shift in shifts], axis=0)
        low, high = (
            np.take_along_axis(ranked, np.maximum(at, 0)[None], axis=0)[0]
            for at in ((count - 1) // 2, count // 2)
        )
        part = slice(first, last)
        out[part] = np.where(valid[part], np.clip(values[part], low, high), values[part])
    return out
