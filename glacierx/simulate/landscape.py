"""Mountains, and the glaciers that would lie on them, on a coarse grid.

Rivers first: every cell is joined to the edge by the path of least cost over a fractal field, and
the cost falls where much water already runs, so that the paths gather into valleys. Heights follow
from the tree of paths by the steady state of river incision, slope = k A^-theta (Flint 1974). Then
snow: a mass balance that grows with height is summed down the tree, and ice lies where the sum is
positive, as deep across a valley as its flux asks for. Glaciers are the trees that end where the
ice ends, so their divides are the ridges of the terrain.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric

from glacierx.outlines.flowsheds import merge_slivers, renumber
from glacierx.scene.terrain import slope_aspect

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

CONCAVITY = 0.42
STEEPEST = np.tan(np.radians(38))
RELIEF_M = 2600.0
LOWEST_M = 1500.0
BALANCE_PER_M = 0.007
MOST_SNOW_M, MOST_MELT_M = 1.4, -6.0
STREAM_WIDTH_M = 250.0
SMALLEST_GLACIER_KM2 = 0.05
BELOW_SNOW = 0.7
NO_ICE_M = 10_000.0


@dataclass(frozen=True)
class Landscape:
    """Terrain and ice on a coarse grid (rows, columns), north up.

    Attributes:
        cell_m: Side of a cell.
        surface: Heights in metres, with the ice.
        snowline: Height above which snow stays through the year.
        ice: True where there is ice.
        glacier: Label of each glacier, 0 off the ice.
        termini: Row and column of the lower end of each glacier.
    """

    cell_m: float
    surface: Floats
    snowline: Floats
    ice: NDArray[np.bool_]
    glacier: Labels
    termini: NDArray[np.int64]


@dataclass(frozen=True)
class _Tree:
    """Where each cell's water goes.

    Attributes:
        order: Cells from the edge inward.
        below: The cell that each drains to; itself at the edge.
    """

    order: NDArray[np.int64]
    below: NDArray[np.int64]

    @cached_property
    def levels(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Cells as many steps from the edge, in order, and those below; the edge is left out."""
        below = self.below
        depth = (below != np.arange(len(below))).astype(np.int32)
        while depth[below].any():
            depth, below = depth + depth[below], below[below]
        cells = self.order[np.argsort(depth[self.order], kind="stable")]
        ends = np.cumsum(np.bincount(depth))
        return [
            (cells[first:last], self.below[cells[first:last]]) for first, last in pairwise(ends)
        ]

    def gather(self, amount: Floats) -> Floats:
        """Add up what comes down the tree."""
        total = amount.ravel().copy()
        for cells, below in reversed(self.levels):
            np.add.at(total, below[::-1], total[cells[::-1]])
        return total.reshape(amount.shape)


def fractal(
    shape: tuple[int, int], roughness: float, random: np.random.Generator, *, longest: float = 0.5
) -> Floats:
    """Make a random field with a power-law spectrum, mean 0 and standard deviation 1.

    Args:
        shape: Rows and columns.
        roughness: Exponent of the amplitude: 1 is rough, 2.5 smooth.
        random: Source of randomness.
        longest: Longest wavelength, as a share of the larger side.
    """
    down = np.fft.fftfreq(shape[0])[:, None] * shape[0] / max(shape)
    across = np.fft.rfftfreq(shape[1])[None] * shape[1] / max(shape)
    frequency = np.hypot(down, across) * max(shape)
    amplitude = np.maximum(frequency, 1 / longest) ** -roughness
    amplitude[0, 0] = 0
    white = np.fft.rfft2(random.standard_normal(shape))
    field = np.fft.irfft2(white * amplitude, s=shape)
    return np.asarray(field / field.std())


def make_landscape(
    shape: tuple[int, int],
    cell_m: float,
    random: np.random.Generator,
    *,
    ice: bool = True,
    below_snow: float = BELOW_SNOW,
) -> Landscape:
    """Make mountains with glaciers.

    Args:
        shape: Rows and columns.
        cell_m: Side of a cell.
        random: Source of randomness.
        ice: Put the snow line above the summits if False.
        below_snow: Share of the ground that lies below the snow line.
    """
    # At the edge of the grid all water runs out; what is made is wider, and its edge is cut off.
    margin = max(8, max(shape) // 12)
    wide = shape[0] + 2 * margin, shape[1] + 2 * margin
    inner = (slice(margin, -margin),) * 2
    tree, bed = _mountains(wide, cell_m, random)
    slope, aspect = slope_aspect(bed, cell_m)
    # Slopes that face the pole keep snow at lower heights.
    shade = np.cos(np.radians(aspect)) * np.sin(np.radians(slope))
    snowline = np.quantile(bed[inner], below_snow) - 220 * shade + 60 * fractal(wide, 1.8, random)
    if not ice:
        snowline = snowline + NO_ICE_M
    depth, flux = _ice_depth(tree, bed, slope, snowline, cell_m)
    covered = depth > 0
    covered = ndimage.binary_opening(covered, np.ones((2, 2), bool)) & covered
    covered = _without_specks(covered, cell_m)
    glacier = _label(tree, covered, flux, cell_m)
    covered = glacier > 0
    surface = _smooth_surface(np.where(covered, bed + depth, bed), covered)
    return Landscape(
        cell_m,
        surface[inner],
        snowline[inner],
        covered[inner],
        renumber(glacier[inner]),
        _termini(renumber(glacier[inner]), surface[inner]),
    )


def _mountains(
    shape: tuple[int, int], cell_m: float, random: np.random.Generator
) -> tuple[_Tree, Floats]:
    rough = fractal(shape, 1.5, random)
    cost = np.exp(0.9 * rough)
    for _ in range(3):
        tree, _ = _drain(cost)
        area = tree.gather(np.full(shape, cell_m**2))
        cost = np.exp(0.7 * rough) * (area / cell_m**2) ** -0.28
    tree, length = _drain(cost)
    area = tree.gather(np.full(shape, cell_m**2))
    hardness = np.exp(0.25 * fractal(shape, 1.6, random))
    gradient = hardness * area**-CONCAVITY
    heights = _climb(tree, gradient, length * cell_m)
    gradient *= RELIEF_M / np.quantile(heights, 0.999)
    heights = _climb(tree, np.minimum(gradient, STEEPEST), length * cell_m)
    # Ice has worn the high ground into cirques; valleys further down are sharp.
    worn = np.clip((heights - np.quantile(heights, 0.5)) / (0.35 * RELIEF_M), 0, 1)
    sharp, round_ = (ndimage.gaussian_filter(heights, width) for width in (0.8, 3.0))
    return tree, LOWEST_M + sharp + worn * (round_ - sharp)


def _drain(cost: Floats) -> tuple[_Tree, Floats]:
    """Join every cell to the edge by its cheapest path; return also each step's length in cells."""
    columns = cost.shape[1]
    edge = np.ones(cost.shape, bool)
    edge[1:-1, 1:-1] = False
    walker = MCP_Geometric(cost)
    total, came_by = walker.find_costs(np.argwhere(edge).tolist())
    offsets = np.vstack([np.array(walker.offsets), [0, 0]])
    step = offsets[came_by]
    row, column = np.indices(cost.shape)
    below = ((row - step[..., 0]) * columns + column - step[..., 1]).ravel()
    order = np.argsort(total.ravel(), kind="stable")
    length = np.hypot(step[..., 0], step[..., 1]).astype(np.float64)
    return _Tree(order, below), length


def _climb(tree: _Tree, gradient: Floats, length: Floats) -> Floats:
    rise = (gradient * length).ravel()
    heights = np.zeros(len(rise))
    for cells, below in tree.levels:
        heights[cells] = heights[below] + rise[cells]
    return heights.reshape(gradient.shape)


def _ice_depth(
    tree: _Tree, bed: Floats, slope: Floats, snowline: Floats, cell_m: float
) -> tuple[Floats, Floats]:
    """Return the depth of ice, 0 where there is none, and its flux in cubic metres a year."""
    balance = np.clip(BALANCE_PER_M * (bed - snowline), MOST_MELT_M, MOST_SNOW_M)
    flux = _ice_flux(tree, balance, cell_m)
    smooth_slope = np.tan(np.radians(ndimage.gaussian_filter(slope, 2)))
    stream = flux > 4e4
    deep = np.where(stream, 30 * (flux / 1e5) ** 0.25 * (smooth_slope + 0.05) ** -0.3, 0.0)
    deep = np.minimum(deep, 260.0)
    into = np.where(stream.ravel(), np.arange(stream.size), -1)
    for cells, below in tree.levels:
        into[cells] = np.where(into[cells] < 0, into[below], into[cells])
    above_channel = bed.ravel() - bed.ravel()[into]
    reach = np.where(into >= 0, deep.ravel()[into], 0.0)
    valley = np.maximum(reach - above_channel, 0).reshape(bed.shape)
    # Rock walls shed their snow onto the ice below.
    snowfield = np.where((balance > 0) & (slope < 41), 12.0 + 10 * balance, 0.0)
    return np.maximum(valley, snowfield), flux


def _ice_flux(tree: _Tree, balance: Floats, cell_m: float) -> Floats:
    """Sum the balance down the tree; a stream of ice melts over its whole width."""
    gain = (balance * cell_m).ravel()
    flux = np.zeros(len(gain))

    def passed_on(cells: NDArray[np.int64]) -> Floats:
        wide = np.maximum(cell_m, STREAM_WIDTH_M * (flux[cells] / 1e6) ** 0.5)
        width = np.where(gain[cells] < 0, wide, cell_m)
        return np.maximum(0.0, flux[cells] + gain[cells] * width)

    for cells, below in reversed(tree.levels):
        flux[cells] = passed_on(cells)
        np.add.at(flux, below[::-1], flux[cells[::-1]])
    edge = np.flatnonzero(tree.below == np.arange(len(gain)))
    flux[edge] = passed_on(edge)
    return flux.reshape(balance.shape)


def _without_specks(ice: NDArray[np.bool_], cell_m: float) -> NDArray[np.bool_]:
    label, _ = ndimage.label(ice)
    size = np.bincount(label.ravel()) * cell_m**2 / 1e6
    size[0] = 0
    holes, _ = ndimage.label(~(size[label] >= SMALLEST_GLACIER_KM2))
    small = np.bincount(holes.ravel()) < 4
    return np.asarray((size[label] >= SMALLEST_GLACIER_KM2) | (small[holes] & (holes > 0)))


def _label(tree: _Tree, ice: NDArray[np.bool_], flux: Floats, cell_m: float) -> Labels:
    """Label ice by the place where its tree leaves the ice."""
    active = (ice | (flux > 0)).ravel()
    roots = active & ((tree.below == np.arange(len(active))) | ~active[tree.below])
    label = np.zeros(len(active), np.int64)
    first = tree.order[roots[tree.order]]
    label[first] = np.arange(1, len(first) + 1)
    for cells, below in tree.levels:
        label[cells] = np.where(active[cells] & ~roots[cells], label[below], label[cells])
    found = np.where(ice, label.reshape(ice.shape), 0)
    # A tree can hold ice in several places; each is a glacier of its own.
    split = np.zeros_like(found)
    for index, window in enumerate(ndimage.find_objects(found), 1):
        if window is not None:
            parts, _ = ndimage.label(found[window] == index)
            split[window] = np.where(parts > 0, parts + split.max(), split[window])
    merged = merge_slivers(renumber(split), cell_m, 0.12e6)
    size = np.bincount(merged.ravel()) * cell_m**2 / 1e6
    return renumber(np.where(size[merged] >= SMALLEST_GLACIER_KM2, merged, 0))


def _smooth_surface(heights: Floats, ice: NDArray[np.bool_]) -> Floats:
    """Smooth the ice without drawing in the rock beside it."""
    weight = ndimage.gaussian_filter(ice.astype(np.float64), 1.6)
    smooth = ndimage.gaussian_filter(np.where(ice, heights, 0.0), 1.6) / np.maximum(weight, 1e-6)
    return np.where(ice, smooth, heights)


def _termini(glacier: Labels, surface: Floats) -> NDArray[np.int64]:
    labels = range(1, int(glacier.max(initial=0)) + 1)
    found = ndimage.minimum_position(surface, glacier, labels) if labels else []
    return np.array(found, np.int64).reshape(-1, 2)
