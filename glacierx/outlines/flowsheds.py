"""Ice and heights on a grid -> one label for each glacier.

Kienholz, Hock & Arendt 2013 (J. Glaciol. 59, 925-937, doi:10.3189/2013JoG12J138), written from the
published steps. Different here: ice ends in the gutter around it, so that a cell of the gutter
collects its flowshed and a watershed transform does the routing; and, unless `burn_slope` is 0,
the ice is lowered away from its margin, since glacier tongues are convex and would otherwise drain
sideways into the gutter and fall apart.
"""

import math
from collections import defaultdict
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from glacierx.options import DivideOptions

EIGHT = np.ones((3, 3), bool)
THIN = 0.5

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]


def divide_ice(
    ice: Mask, heights: NDArray[Any], known: Mask, spacing_m: float, options: DivideOptions
) -> Labels:
    """Divide the ice of one complex into glaciers by where it flows.

    Args:
        ice: True where there is ice (rows, columns), with room for the gutter around it.
        heights: Heights in metres.
        known: True where they are known; elsewhere ice is not divided.
        spacing_m: Side of a cell.
        options: The method's parameters.

    Returns:
        Labels from 1, 0 where there is no ice or no height.
    """
    seen = ice & known
    if not seen.any():
        return np.zeros(ice.shape, np.int64)
    gutter_m = max(options.gutter_m, 4 / 3 * spacing_m)
    # Nunataks carry ice past them; they are no outlets.
    filled = ndimage.binary_fill_holes(ice)
    away = ndimage.distance_transform_edt(~filled, sampling=spacing_m)
    domain = (away <= 2 * gutter_m + 1e-6) & known
    gutter = (away > gutter_m + 1e-6) & domain
    # Where heights end across the ice it may flow on: the first unknown cells take it up.
    beyond = ice & ~known & ndimage.binary_dilation(seen, EIGHT)
    domain, gutter = domain | beyond, gutter | beyond
    if not gutter.any():
        return seen.astype(np.int64)
    depth = ndimage.distance_transform_edt(filled, sampling=spacing_m)
    routed = _smooth(heights, known, spacing_m, options.median_m)
    routed = routed - options.burn_slope * np.minimum(depth, options.burn_reach_m)
    routed[gutter] -= options.gutter_depth_m

    cells = np.flatnonzero(gutter)
    outlets = np.zeros(ice.shape, np.int64)
    outlets.ravel()[cells] = np.arange(1, len(cells) + 1)
    sheds = watershed(routed, outlets, mask=domain, connectivity=2)
    collected = np.zeros(ice.shape)
    collected.ravel()[cells] = np.bincount(sheds[seen], minlength=len(cells) + 1)[1:]
    points = _pour_points(collected, gutter)
    basin_of_outlet = np.zeros(len(cells) + 1, np.int64)
    basin_of_outlet[1:] = watershed(-collected, points, mask=gutter, connectivity=2).ravel()[cells]
    basins = np.where(seen, basin_of_outlet[sheds], 0)
    if not basins.any():
        return seen.astype(np.int64)
    basins = watershed(np.zeros(ice.shape), basins, mask=seen, connectivity=2)
    basins = np.where(seen & (basins == 0), basins.max() + 1, basins)
    glaciers = _merge_by_radius(basins, points, seen, spacing_m, options)
    return merge_slivers(glaciers, spacing_m, options.sliver_km2 * 1e6)


def _smooth(heights: NDArray[Any], known: Mask, spacing_m: float, median_m: float) -> Any:
    """Fill unknown heights with the nearest, and take the median of a window."""
    z = np.asarray(heights, np.float64)
    if not known.all():
        nearest = ndimage.distance_transform_edt(
            ~known, return_distances=False, return_indices=True
        )
        z = z[tuple(nearest)]
    size = round(median_m / spacing_m)
    return ndimage.median_filter(z, size + 1 - size % 2) if size > 1 else z.copy()


def _pour_points(collected: NDArray[np.float64], gutter: Mask) -> Labels:
    """Label the cells of the gutter that collect more than their neighbours."""
    peak = ndimage.maximum_filter(collected, 3) == collected
    return np.asarray(ndimage.label(peak & gutter & (collected > 0), EIGHT)[0], np.int64)


def _merge_by_radius(
    basins: Labels, points: Labels, ice: Mask, spacing_m: float, options: DivideOptions
) -> Labels:
    """Join basins that reach into the circle around another's pour point."""
    count = int(basins.max())
    parent = list(range(count + 1))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    area_m2 = np.bincount(basins.ravel(), minlength=count + 1) * spacing_m**2
    middles = ndimage.center_of_mass(points > 0, points, range(1, int(points.max()) + 1))
    for number, middle in enumerate(middles, 1):
        if area_m2[number] == 0:
            continue
        radius_m = min(options.radius_factor * np.sqrt(area_m2[number]), options.radius_max_m)
        for other in _within(basins, ice, middle, radius_m / spacing_m):
            parent[root(other)] = root(number)
    roots = np.array([root(node) for node in range(count + 1)])
    return renumber(roots[basins])


def _within(basins: Labels, ice: Mask, middle: Any, radius: float) -> list[int]:
    """List the basins in the part of a circle's ice that is nearest to its middle."""
    top, left = (max(0, int(at - radius)) for at in middle)
    bottom, right = (int(at + radius) + 2 for at in middle)
    near = ice[top:bottom, left:right]
    down = np.arange(top, top + near.shape[0]) - middle[0]
    across = np.arange(left, left + near.shape[1]) - middle[1]
    distance = np.hypot(down[:, None], across)
    circle = near & (distance <= radius)
    if not circle.any():
        return []
    part, _ = ndimage.label(circle, EIGHT)
    nearest = part.ravel()[np.argmin(np.where(circle, distance, np.inf))]
    found: list[int] = np.unique(basins[top:bottom, left:right][part == nearest]).tolist()
    return [label for label in found if label]


def merge_slivers(
    label: Labels, spacing_m: float, sliver_m2: float, only: Mask | None = None
) -> Labels:
    """Join pieces that are too small to be glaciers to the neighbour with the longest border.

    Too small is below *sliver_m2*, or below twice that and thin: compactness
    2 sqrt(pi A) / P below 0.5. Pieces without a neighbour stay.

    Args:
        label: Labels from 1, 0 where there is no ice.
        spacing_m: Side of a cell.
        sliver_m2: Smallest area.
        only: For each label whether it may be joined to another; all if None.
    """
    count = int(label.max())
    sizes = np.bincount(label.ravel(), minlength=count + 1) * spacing_m**2
    area: list[float] = sizes.tolist()
    border, perimeter = _borders(label, count, spacing_m)
    target = list(range(count + 1))

    def is_sliver(piece: int) -> bool:
        thin = 2 * math.sqrt(math.pi * area[piece]) / perimeter[piece] < THIN
        small = area[piece] < sliver_m2 or (area[piece] < 2 * sliver_m2 and thin)
        return small and bool(border[piece]) and (only is None or bool(only[piece]))

    waiting = [(area[piece], piece) for piece in range(1, count + 1)]
    waiting = [(size, piece) for size, piece in waiting if size and is_sliver(piece)]
    heapify(waiting)
    while waiting:
        size, piece = heappop(waiting)
        # What has been joined since, or has grown, waits no more under its old size.
        if target[piece] != piece or area[piece] != size:
            continue
        into = max(border[piece], key=lambda label: (border[piece][label], -label))
        shared = border[piece].pop(into)
        del border[into][piece]
        for other, length in border.pop(piece).items():
            del border[other][piece]
            border[into][other] += length
            border[other][into] += length
        target[piece] = into
        area[into] += area[piece]
        perimeter[into] += perimeter[piece] - 2 * shared
        if is_sliver(into):
            heappush(waiting, (area[into], into))

    def final(piece: int) -> int:
        while target[piece] != piece:
            piece = target[piece]
        return piece

    return renumber(np.array([final(piece) for piece in range(count + 1)])[label])


def _borders(
    label: Labels, count: int, spacing_m: float
) -> tuple[dict[int, dict[int, float]], list[float]]:
    """Measure the border between each two labels, and each label's perimeter, in metres."""
    padded = np.pad(label, 1)
    border: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    perimeter = [0.0] * (count + 1)
    for a, b in ((padded[:, :-1], padded[:, 1:]), (padded[:-1], padded[1:])):
        differ = a != b
        low, high = np.minimum(a[differ], b[differ]), np.maximum(a[differ], b[differ])
        pair, edges = np.unique(low * (count + 1) + high, return_counts=True)
        for code, length in zip(pair.tolist(), (edges * spacing_m).tolist(), strict=True):
            one, other = divmod(code, count + 1)
            perimeter[one] += length
            perimeter[other] += length
            if one:
                border[one][other] += length
                border[other][one] += length
    return border, perimeter


def renumber(label: Labels) -> Labels:
    """Number labels from 1 without gaps; 0 stays 0."""
    found = np.unique(label)
    found = found[found != 0]
    table = np.zeros(int(label.max(initial=0)) + 1, np.int64)
    table[found] = np.arange(1, len(found) + 1)
    return table[label]
