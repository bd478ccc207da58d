"""Values between and beyond cells: cubic convolution, and bridges over voids."""

import numpy as np
from scipy import ndimage

from glacierx.scene.geodesy import Floats

# Voids are bridged by a Gaussian mean of the heights around them, this far.
BRIDGE_SIGMA, REACH = 3.0, 12


def bridge(heights: Floats) -> Floats:
    """Fill voids by the Gaussian mean of heights within twelve cells; NaN where there are none."""
    known = np.isfinite(heights)
    if known.all() or not known.any():
        return heights
    total, weight = (
        ndimage.gaussian_filter(part, BRIDGE_SIGMA, mode="constant", truncate=REACH / BRIDGE_SIGMA)
        for part in (np.where(known, heights, 0.0), known.astype(np.float64))
    )
    mean = np.divide(total, weight, out=np.full(heights.shape, np.nan), where=weight > 0)
    return np.where(known, heights, mean)


def cubic(planes: Floats, rows: Floats, columns: Floats) -> Floats:
    """Interpolate by cubic convolution (Keys 1981), which meets the cells' own values.

    Args:
        planes: Cells (planes, rows, columns), two more on each side than positions reach.
        rows: Positions, of which 0.5 is the centre of the first cell.
        columns: Positions.

    Returns:
        Values (planes, ...), NaN where one of the sixteen cells around is.
    """
    (top, down), (left, right) = (
        (np.floor(place - 0.5).astype(np.intp), _weights(place - 0.5 - np.floor(place - 0.5)))
        for place in (rows, columns)
    )
    flat = planes.reshape(len(planes), -1)
    first = top * planes.shape[2] + left
    out = np.zeros((len(planes), *rows.shape))
    for row, one in enumerate(down, -1):
        line = np.zeros_like(out)
        for column, other in enumerate(right, -1):
            line += np.take(flat, first + (row * planes.shape[2] + column), axis=1) * other
        out += line * one
    return out


def _weights(t: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    return (
        ((2 - t) * t - 1) * t / 2,
        ((3 * t - 5) * t * t + 2) / 2,
        ((4 - 3 * t) * t + 1) * t / 2,
        (t - 1) * t * t / 2,
    )
