"""How far two boundaries lie apart."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from scipy.spatial import cKDTree

from glacierx.errors import GridError
from glacierx.evaluate.boundary import Edges, contour_lengths
from glacierx.evaluate.metrics import average_distance, boundary_f1
from glacierx.scene.geodesy import LONLAT, metric_crs, transform_points
from glacierx.scene.grid import Grid

Floats = NDArray[np.float64]

BLOCK = 1 << 17
FIRST_REACH = 64.0
WIDER, LONG = 8, 16
SUM_UP = 1 << 20
GEOCENTRIC = "EPSG:4978"


def nearest(points: NDArray[Any], others: NDArray[Any], scale: Floats) -> Floats:
    """Return the Euclidean distance from each point to the nearest of others.

    Exact, and fast because the points lie sorted: blocks of them are asked of a tree of the others
    nearby, and what might be nearer to something farther away is asked again of a wider one.

    Args:
        points: Coordinates (points, axes), sorted along the first axis.
        others: The same; at least one.
        scale: What each axis is multiplied by.
    """
    found: Floats = np.empty(len(points))
    along = others[:, 0]
    reach = FIRST_REACH
    waiting = np.arange(len(points))
    while len(waiting):
        left = []
        for block in _blocks(points[waiting, 0], reach):
            at = waiting[block]
            here = points[at]
            low, high = float(here[0, 0]) - reach, float(here[-1, 0]) + reach
            first, last = np.searchsorted(along, [low, high])
            if first == last:
                left.append(at)
                continue
            tree = cKDTree(others[first:last] * scale, balanced_tree=False, compact_nodes=False)
            found[at] = tree.query(here * scale, workers=-1)[0]
            above = here[:, 0] - low if first else math.inf
            below = high - here[:, 0] if last < len(others) else math.inf
            left.append(at[found[at] > np.minimum(above, below) * scale[0]])
        waiting = np.concatenate(left)
        reach *= WIDER
    return found


def _blocks(along: NDArray[Any], reach: float) -> list[slice]:
    """Cut sorted coordinates into blocks neither many nor long, so that trees stay small."""
    stretch = np.floor((along - along[0]) / (LONG * reach))
    cuts = np.flatnonzero(np.diff(stretch)) + 1
    ends = np.union1d(cuts, np.arange(BLOCK, len(along), BLOCK))
    return [slice(a, b) for a, b in pairwise([0, *ends.tolist(), len(along)])]


def is_within(distances: Floats, tolerance: float) -> NDArray[np.bool_]:
    """Tell which distances are at most this; a billionth more is rounding."""
    return distances <= tolerance * (1 + 1e-9) + 1e-12


@dataclass(frozen=True)
class Spread:
    """Distances from one boundary to another: each that occurs, and its weight.

    Attributes:
        values: Distances that occur, rising; infinite where there is no other boundary.
        weights: How many places have each, or how long the boundary there is.
    """

    values: Floats
    weights: Floats

    @property
    def measured(self) -> "Spread":
        """The places that have a distance, there being another boundary."""
        known = np.isfinite(self.values)
        return Spread(self.values[known], self.weights[known])

    @classmethod
    def of(cls, distances: Floats, weights: Floats | None = None) -> Self:
        """Sum up one distance for each place, a million at a time."""
        parts: list[tuple[Floats, NDArray[Any]]] = []
        for start in range(0, len(distances), SUM_UP):
            part = slice(start, start + SUM_UP)
            values, of = np.unique(distances[part], return_inverse=True)
            own = None if weights is None else weights[part]
            parts.append((values, np.bincount(of, own, minlength=len(values))))
        values, of = np.unique(
            np.concatenate([part[0] for part in parts] or [np.zeros(0)]), return_inverse=True
        )
        weight = np.concatenate([part[1] for part in parts] or [np.zeros(0)])
        return cls(values, np.bincount(of, weight, minlength=len(values)).astype(np.float64))

    def __add__(self, other: "Spread") -> "Spread":
        return Spread.of(
            np.concatenate([self.values, other.values]),
            np.concatenate([self.weights, other.weights]),
        )

    @property
    def weight(self) -> float:
        """Number of places, or length of the boundary."""
        return float(self.weights.sum())

    @property
    def total(self) -> float:
        """Sum of all distances."""
        return float(self.values @ self.weights)

    @property
    def mean(self) -> float:
        """Mean distance; NaN if there are no places."""
        return self.total / self.weight if self.weight else math.nan

    def within(self, tolerance: float) -> float:
        """Return the weight of places at most this far."""
        return float(self.weights[is_within(self.values, tolerance)].sum())

    def percentile(self, percent: float) -> float:
        """Return a percentile of the distances, interpolated as NumPy does; NaN without places."""
        if not len(self.values):
            return math.nan
        rank = percent / 100 * (self.weight - 1)
        ends = np.cumsum(self.weights) - 1
        low, high = (
            self.values[min(int(np.searchsorted(ends, at)), len(ends) - 1)]
            for at in (math.floor(rank), math.ceil(rank))
        )
        return float(low + (high - low) * (rank - math.floor(rank)))


@dataclass(frozen=True)
class Apart:
    """Distances between two boundaries, both ways.

    Attributes:
        found: From the boundary found to the true one.
        reference: From the true boundary to the one found.
    """

    found: Spread
    reference: Spread

    def __add__(self, other: "Apart") -> "Apart":
        return Apart(self.found + other.found, self.reference + other.reference)

    def average(self, kind: str = "heimann") -> float:
        """Return the average surface distance; NaN where a boundary is missing.

        Args:
            kind: ``heimann`` pools all places of both boundaries (Heimann et al. 2009; Chu et al.
                2022, eq. 14-15); the others take the mean of the two directed means.
        """
        found, true = self.found.measured, self.reference.measured
        return float(
            average_distance(
                found.total, found.weight, true.total, true.weight, pooled=kind == "heimann"
            )
        )

    def hausdorff(self, percent: float = 95) -> float:
        """Return a percentile of the distances of both boundaries together."""
        return (self.found + self.reference).measured.percentile(percent)

    def boundary_f1(self, tolerance: float) -> float:
        """Return the F1 of boundary places within a tolerance; see `metrics.boundary_f1`."""
        found, true = self.found, self.reference
        return float(
            boundary_f1(found.within(tolerance), found.weight, true.within(tolerance), true.weight)
        )


class Ruler:
    """Measure between places on a grid, in pixels and in metres.

    On a map in metres, true to 1 % in the middle of the grid, the map's own metres count, as
    papers count them. Elsewhere, as in degrees, places are joined by straight lines through the
    WGS 84 ellipsoid, which for 10 km are shorter than the geodesic by a millimetre.

    Args:
        grid: The grid.
        shift: Where in its pixel a place is: 0.5 for the centre, 1 for the lower right corner.
    """

    def __init__(self, grid: Grid, shift: float = 0.5) -> None:
        self._grid, self._shift = grid, shift
        t = grid.transform
        self.height, self.width = grid.pixel_m
        self._flat = metric_crs(grid.crs, grid.bounds) == grid.crs
        square = False
        if self._flat:
            self.height, self.width = math.hypot(t.b, t.e), math.hypot(t.a, t.d)
            skew = abs(t.a * t.b + t.d * t.e) / (self.height * self.width)
            square = skew < 1e-9 and math.isclose(self.height, self.width, rel_tol=1e-9)
        self.side = self.height if square else None

    def pixels(self, edges: Edges, others: Edges) -> Floats:
        """Return the distance from each place to the nearest other, in pixels."""
        return nearest(edges.at, others.at, np.ones(2))

    def metres(self, edges: Edges, others: Edges) -> Floats:
        """Return the same in metres."""
        own, order = self._places(edges)
        found: Floats = np.empty(len(edges))
        found[order] = nearest(own, self._places(others)[0], np.ones(own.shape[1]))
        return found

    def _places(self, edges: Edges) -> tuple[Floats, NDArray[Any]]:
        """Return coordinates in metres, sorted along the first axis, and their order."""
        row, column = (edges.at + self._shift).T
        x, y = self._grid.to_map(row, column)
        if self._flat:
            places = np.column_stack([y, x])
        else:
            lon, lat = transform_points(x, y, self._grid.crs, LONLAT)
            moved = Transformer.from_crs("EPSG:4979", GEOCENTRIC, always_xy=True)
            places = np.column_stack(moved.transform(lon, lat, np.zeros_like(lon)))
            if not np.isfinite(places).all():
                raise GridError(
                    f"Ice lies where {self._grid.crs_name} has no place on Earth, such as beyond a "
                    "pole, so that no distance can be measured. Check the geotransform, or crop."
                )
            # North-south lies along the third axis, except near the poles.
            places = places[:, [2, 0, 1]]
        order = np.argsort(places[:, 0], kind="stable")
        return places[order], order


@dataclass(frozen=True)
class Measured:
    """Distances of each place of two boundaries: those found, and the true ones.

    Attributes:
        px: In pixels.
        side_m: Side of a pixel, where that turns pixels into metres.
        metres: In metres, where pixels are not square or not alike.
        lengths: Length of boundary at each place in pixels, None where each place counts once.
        lengths_m: The same in metres.
    """

    px: tuple[Floats, Floats]
    side_m: float = 1.0
    metres: tuple[Floats, Floats] | None = None
    lengths: tuple[Floats, Floats] | None = None
    lengths_m: tuple[Floats, Floats] | None = None

    def distances(self, unit: str, side: int) -> Floats:
        """Return distances in ``px`` or ``m`` of the places found (0) or the true ones (1)."""
        if unit == "px":
            return self.px[side]
        return self.px[side] * self.side_m if self.metres is None else self.metres[side]

    def weights(self, unit: str, side: int) -> Floats | None:
        """Return what each place counts, None where all count one."""
        lengths = self.lengths if unit == "px" else self.lengths_m
        return None if lengths is None else lengths[side]

    def apart(self) -> tuple[Apart, Apart]:
        """Sum up, in pixels and in metres."""
        px, metres = (
            [Spread.of(self.distances(unit, at), self.weights(unit, at)) for at in (0, 1)]
            for unit in ("px", "m")
        )
        return Apart(*px), Apart(*metres)


def measure(found: Edges, reference: Edges, grid: Grid) -> Measured:
    """Measure how far two boundaries, or two contours, on one grid lie apart."""
    ruler = Ruler(grid, 0.5 if found.codes is None else 1.0)
    lengths = lengths_m = metres = None
    if found.codes is not None and reference.codes is not None:
        codes = found.codes, reference.codes
        lengths, lengths_m = (
            (contour_lengths(codes[0], *size), contour_lengths(codes[1], *size))
            for size in ((1, 1), (ruler.height, ruler.width))
        )
    if not (len(found) and len(reference)):
        nothing = np.full(len(found), np.inf), np.full(len(reference), np.inf)
        return Measured(nothing, 1.0, None, lengths, lengths_m)
    px = ruler.pixels(found, reference), ruler.pixels(reference, found)
    if ruler.side is None:
        metres = ruler.metres(found, reference), ruler.metres(reference, found)
    return Measured(px, ruler.side or 1.0, metres, lengths, lengths_m)
