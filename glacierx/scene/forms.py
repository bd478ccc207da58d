"""Forms of terrain by a fitted quadratic: aspect, curvatures, unsphericity, SADI.

A surface z = r/2 x^2 + t/2 y^2 + s xy + p x + q y + z0 is fitted by least squares to the cells of a
window around each cell; x points east and y to true north, both in metres on the ground. Where x
and y follow from rows and columns by a matrix, a quadratic in the one is one in the other, with the
same sum of squares: it is fitted to rows and columns and carried over, to cells of any CRS, turned
or not square.

Sign: convex is positive, so that a summit has positive curvatures and a hollow negative ones. Unit:
1/m, one over the radius. Aspect is where the slope faces, downhill, clockwise from true north.
Level ground has no aspect: its sine and cosine are 0. Nor has it curvatures along and across the
slope: both are the mean curvature there, which is their mean over all directions, and 0 if flat.

Formulas: Mitasova & Hofierka (1993, doi:10.1007/BF00893172), Shary (1995,
doi:10.1007/BF02084608). Both curvatures are normal ones (Minar et al. 2020,
doi:10.1016/j.earscirev.2020.103414), so that those of a sphere are 1/R wherever they are taken. The
exponent of 1/2 in the tangential one is right: it is the curvature of the contour, which has
(p^2 + q^2)^(3/2) below, times the sine of the slope.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from glacierx.scene.geodesy import Floats

ASPECT = ("aspect_sin", "aspect_cos", "aspect_north", "aspect_south")
CURVED = ("profile_curvature", "tangential_curvature", "unsphericity")
WINDOW = 5
# Rises below a millimetre in a kilometre are rounding.
LEVEL = 1e-6
NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def reach_of(roles: Sequence[str], window: int = WINDOW) -> int:
    """Return how many cells around a cell its values are made of."""
    return window // 2 + ("sadi" in roles)


def forms(heights: Floats, frame: Floats, roles: Sequence[str], window: int = WINDOW) -> Floats:
    """Return forms of terrain on the cells of a DEM.

    Args:
        heights: Heights in metres (rows, columns), NaN in voids.
        frame: A step to the next column, east and north, and one to the next row, east and north,
            in metres (4, rows, columns).
        roles: Which forms.
        window: Side of the window in cells, odd.

    Returns:
        Forms (roles, rows, columns), NaN where the window holds a void. Cells nearer to the frame
        than `reach_of` see the outermost cells again.
    """
    right, down, *bends = derivatives(heights, window)
    p, q, turned = _gradient(right, down, frame)
    rise = np.hypot(p, q)
    level = rise < LEVEL
    downhill = np.where(level, 0.0, -np.stack([p, q]) / np.where(level, 1.0, rise))
    found = dict(zip(("aspect_sin", "aspect_cos"), downhill, strict=True))
    if any(role in roles for role in ("aspect_north", "aspect_south")):
        found["aspect_north"] = -q / np.sqrt(1 + p * p + q * q)
        found["aspect_south"] = -found["aspect_north"]
    if any(role in roles for role in CURVED):
        found |= _curved(p, q, _hessian(bends, turned), level)
    if "sadi" in roles:
        found["sadi"] = sadi(downhill, frame)
    return np.stack([found[role] for role in roles])


def derivatives(heights: Floats, window: int = WINDOW) -> tuple[Floats, ...]:
    """Fit a quadratic to a window around each cell, in steps of one cell.

    Returns:
        First derivatives by column and by row, second ones by column, by row and by both.
    """
    half = window // 2
    at = np.arange(-half, half + 1.0)
    squares, fourth = (at**2).sum(), (at**4).sum()
    mean = np.full(window, 1 / window)
    slope = at / squares
    # The part of the square that a plane does not explain.
    bend = 2 * (at**2 - squares / window) / (fourth - squares**2 / window)

    def fitted(down: Floats, right: Floats) -> Floats:
        along = ndimage.correlate1d(heights, right, axis=1, mode="nearest")
        return np.asarray(ndimage.correlate1d(along, down, axis=0, mode="nearest"))

    return (
        fitted(mean, slope), fitted(slope, mean),
        fitted(mean, bend), fitted(bend, mean), fitted(slope, slope),
    )  # fmt: skip


def _gradient(right: Floats, down: Floats, frame: Floats) -> tuple[Floats, Floats, Floats]:
    """Return dz/dx, dz/dy, and rows of the matrix that brings metres to steps (4, ...)."""
    a, b, c, d = frame  # Column: (a east, b north); row: (c east, d north).
    area = a * d - b * c
    turned = np.stack([d, -c, -b, a]) / area
    return right * turned[0] + down * turned[2], right * turned[1] + down * turned[3], turned


def _hessian(bends: Sequence[Floats], turned: Floats) -> tuple[Floats, Floats, Floats]:
    """Return d2z/dx2, d2z/dy2, d2z/dxdy from those by column and row."""
    across, along, mixed = bends
    u, v, m, n = turned  # Steps right: u x + v y; steps down: m x + n y.
    return (
        across * u * u + 2 * mixed * u * m + along * m * m,
        across * v * v + 2 * mixed * v * n + along * n * n,
        across * u * v + mixed * (u * n + v * m) + along * m * n,
    )


def _curved(
    p: Floats, q: Floats, second: tuple[Floats, Floats, Floats], level: NDArray[np.bool_]
) -> dict[str, Floats]:
    r, t, s = second
    rise = np.where(level, 1.0, p * p + q * q)
    long = 1 + p * p + q * q
    profile = -(p * p * r + 2 * p * q * s + q * q * t) / (rise * long**1.5)
    tangential = -(q * q * r - 2 * p * q * s + p * p * t) / (rise * np.sqrt(long))
    mean = -((1 + q * q) * r - 2 * p * q * s + (1 + p * p) * t) / (2 * long**1.5)
    gauss = (r * t - s * s) / long**2
    return {
        "profile_curvature": np.where(level, mean, profile),
        "tangential_curvature": np.where(level, mean, tangential),
        "unsphericity": np.sqrt((mean * mean - gauss).clip(0)),
    }


def sadi(downhill: Floats, frame: Floats) -> Floats:
    """Return how aspects around a cell point away from it (slope-azimuth divergence).

    1 - 1/32 of the sum, over the eight neighbours, of |cos a - cos b| + |sin a - sin b|: a is the
    aspect of the neighbour, b the direction to it. A summit has 1, an even slope 0.60 to 0.61, a
    hollow 0.40 (4 is more than a neighbour can differ by, so that 0 is not reached). A neighbour
    that is level has no direction, and differs from b by the length of b: level ground has 0.70.
    Directions are the true ones, which are not multiples of 45 degrees where cells are not square.
    Without unit.

    Args:
        downhill: East and north parts of where each cell faces (2, rows, columns).
        frame: See `forms`.
    """
    a, b, c, d = frame
    total = np.zeros(downhill[0].shape)
    wide = np.pad(downhill, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows, columns = downhill.shape[1:]
    for down, right in NEIGHBOURS:
        way = np.stack([right * a + down * c, right * b + down * d])
        way /= np.hypot(*way)
        there = wide[:, 1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
        total += np.abs(there - way).sum(axis=0)
    return 1 - total / (4 * len(NEIGHBOURS))
