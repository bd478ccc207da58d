"""Polygons cut along the borders of a label grid, into pieces that fit without gap or overlap."""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from skimage.segmentation import expand_labels

from glacierx.outlines.outlines import as_geometries, connected_groups, touching_pairs
from glacierx.outlines.smooth import smooth_lines
from glacierx.scene.geodesy import transform_points
from glacierx.scene.grid import Grid

# Labels are carried this many cells beyond the ice, so that every border crosses the outline.
BEYOND = 4

Geometries = NDArray[np.object_]
Labels = NDArray[np.int64]


class Cutter:
    """Cuts polygons along the borders of a label grid.

    Args:
        label: Labels from 1 on a grid, 0 where there is no ice.
        grid: The grid, in metres.
        crs: CRS of the polygons that will be cut.
        sliver: Pieces below this area, in square units of *crs*, are given to a neighbour.
        lasting: For each label the area in square units of *crs* that a piece must have of it to
            be kept, however small it is; infinite where slivers are never kept.

    Attributes:
        lines: The borders, smoothed, in *crs*.
    """

    def __init__(
        self, label: Labels, grid: Grid, crs: CRS, *, sliver: float, lasting: NDArray[np.float64]
    ) -> None:
        self._label = expand_labels(label, distance=BEYOND)
        self._grid = grid
        self._crs = crs
        self._sliver = sliver
        self._lasting = lasting
        self.lines = self._borders()

    def _borders(self) -> Geometries:
        """Trace the borders between labels, smooth them and move them to the polygons' CRS."""
        cells = trace_borders(self._label)
        if not len(cells):
            return cells

        def move(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            x, y = self._grid.to_map(xy[:, 1], xy[:, 0])
            return np.column_stack(transform_points(x, y, self._grid.crs, self._crs))

        return np.asarray(shapely.transform(smooth_lines(cells), move), dtype=object)

    def _label_at(self, points: Geometries) -> Labels:
        x, y = transform_points(
            shapely.get_x(points), shapely.get_y(points), self._crs, self._grid.crs
        )
        row, column = self._grid.to_pixels(x, y)
        rows, columns = self._grid.shape
        at = np.clip(row.astype(int), 0, rows - 1), np.clip(column.astype(int), 0, columns - 1)
        label = self._label[at]
        if not label.all():
            # Strands thinner than a cell may lie far from all that the grid shows of the ice.
            label = expand_labels(self._label, distance=rows + columns)[at]
        return np.asarray(label)

    def cut(self, polygon: Any) -> tuple[Geometries, Labels]:
        """Cut one polygon.

        Returns:
            Pieces, each a valid polygon, that make up the polygon exactly; and the label of each,
            in order.
            The polygon's outline gains the ends of the borders and no other point.
        """
        crossing = self.lines[shapely.intersects(self.lines, polygon)]
        if not len(crossing):
            middle = as_geometries([shapely.point_on_surface(polygon)])
            return as_geometries([polygon]), self._label_at(middle)
        noded = shapely.union_all([shapely.boundary(polygon), *crossing])
        faces = np.asarray(shapely.get_parts(shapely.polygonize([noded])), dtype=object)
        middles = shapely.point_on_surface(faces)
        shapely.prepare(polygon)
        inside = shapely.contains_properly(polygon, middles)
        faces, label = faces[inside], self._label_at(middles[inside])
        piece, label = self._join(faces, label)
        pieces = as_geometries(
            shapely.coverage_union_all(faces[piece == number]) for number in range(len(label))
        )
        order = np.lexsort((-shapely.area(pieces), label))
        return _without_stray_points(pieces[order], polygon), label[order]

    def _join(self, faces: Geometries, label: Labels) -> tuple[Labels, Labels]:
        """Join faces to pieces: same label, and slivers to the neighbour they share most with.

        Returns:
            The piece of each face, and the label of each piece.
        """
        a, b, shared = _shared_lengths(faces)
        area = shapely.area(faces)
        same = label[a] == label[b]
        piece = connected_groups(len(faces), a[same], b[same])
        size = np.bincount(piece, area)
        of_piece = label[np.unique(piece, return_index=True)[1]]
        loose = (size < self._sliver) & (size < self._lasting[of_piece])
        for end in np.argsort(size, kind="stable").tolist():
            if not loose[end]:
                continue
            lengths: dict[int, float] = {}
            for one, other, length in zip(piece[a], piece[b], shared, strict=True):
                if end in (one, other) and one != other:
                    near = int(other if one == end else one)
                    lengths[near] = lengths.get(near, 0.0) + float(length)
            if lengths:
                piece[piece == end] = max(lengths, key=lambda near: (lengths[near], -near))
        kept, number = np.unique(piece, return_inverse=True)
        return number, of_piece[kept]


def trace_borders(label: Labels) -> Geometries:
    """Trace the borders between neighbouring labels along cell edges.

    Args:
        label: Labels from 1; 0 has no border.

    Returns:
        Lines in cells (column, row), from node to node: a node is where three labels meet or a
        border ends.
    """
    edges = []
    for axis, (a, b) in enumerate(((label[:, :-1], label[:, 1:]), (label[:-1], label[1:]))):
        row, column = np.nonzero((a != b) & (a > 0) & (b > 0))
        begin = np.stack([column + 1, row] if axis == 0 else [column, row + 1], axis=1)
        edges.append(np.stack([begin, begin + ([0, 1] if axis == 0 else [1, 0])], axis=1))
    segments = np.concatenate(edges).astype(np.float64)
    if not len(segments):
        return as_geometries([])
    lines = as_geometries(shapely.linestrings(segments))
    merged = shapely.line_merge(shapely.multilinestrings(lines))
    return np.asarray(shapely.get_parts(merged), dtype=object)


def border_lines(pieces: Geometries) -> tuple[Geometries, NDArray[np.int64]]:
    """Return the borders that pieces share, and the two pieces on their sides.

    Returns:
        Lines, and pairs of indices (lines, 2).
    """
    first, second = touching_pairs(pieces)
    lines, pairs = [], []
    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        shared = shapely.intersection(pieces[one].boundary, pieces[other].boundary)
        parts = shapely.get_parts(shapely.get_parts(shared))
        parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING]
        for line in shapely.get_parts(shapely.line_merge(shapely.multilinestrings(parts))):
            lines.append(line)
            pairs.append((one, other))
    return as_geometries(lines), np.array(pairs, np.int64).reshape(-1, 2)


def _shared_lengths(
    faces: Geometries,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    a, b = touching_pairs(faces)
    shared = shapely.length(
        shapely.intersection(shapely.boundary(faces[a]), shapely.boundary(faces[b]))
    )
    return a[shared > 0], b[shared > 0], shared[shared > 0]


def _without_stray_points(pieces: Geometries, polygon: Any) -> Geometries:
    """Drop points that cutting left on the outline where no border ends."""

    def places(geometries: Any) -> NDArray[np.complex128]:
        return shapely.get_coordinates(geometries).view(np.complex128).ravel()

    rings, piece_of = shapely.get_rings(pieces, return_index=True)
    of_ring = [np.unique(places(ring)) for ring in rings]
    known = places(polygon)
    where, count = np.unique(np.concatenate(of_ring), return_counts=True)
    stray = np.setdiff1d(where[count == 1], known)
    if not len(stray):
        return pieces
    cleaned = []
    for ring in rings:
        here = places(ring)[:-1]
        kept = here[~np.isin(here, stray)]
        usable = kept if len(kept) > 2 else here
        cleaned.append(shapely.linearrings(usable.real, usable.imag))
    begin = np.searchsorted(piece_of, np.arange(len(pieces) + 1))
    out = as_geometries(
        shapely.Polygon(cleaned[begin[i]], cleaned[begin[i] + 1 : begin[i + 1]])
        for i in range(len(pieces))
    )
    # A point is stray only where leaving it out changes nothing.
    same = np.abs(shapely.area(out) - shapely.area(pieces)) <= 1e-9 * shapely.area(pieces)
    return np.asarray(np.where(same & shapely.is_valid(out), out, pieces), dtype=object)
