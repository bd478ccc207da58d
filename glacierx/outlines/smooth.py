"""Outlines without stairs, shared borders kept."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from glacierx.outlines.outlines import Outlines, polygons_of_rings, touching_pairs
from glacierx.scene.grid import Grid

# Two edges are at least a pixel apart. If neither moves as far as half a pixel, none can meet that
# did not meet before, and no centre of a pixel changes sides: points move by at most REACH,
# thinning them out adds COLLINEAR, and the last correction of the area as much again.
REACH = 0.4
COLLINEAR = 0.05
ROUNDS = 40
SMALLEST_PX = 20.0
LARGEST_CHANGE = 0.01
LARGEST_TOTAL_CHANGE = 0.001

Points = NDArray[np.complex128]
"""Positions in pixels, column + i row: a right turn is a multiplication by i."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class _Track:
    """Points along pixel edges, one on each unit of edge, and which way they may move.

    Attributes:
        start: Where the points lie.
        normal: Direction in which each may move; 0 for those that stay.
        line: The line that each belongs to.
        first: Index of the first point of each line.
        closed: True where lines are rings.
    """

    start: Points
    normal: Points
    line: Ints
    first: Ints
    closed: bool

    def neighbours(self, points: Points) -> tuple[Points, Points]:
        """Return the point before and after each; at the ends of an open line the end itself."""
        before, after = np.empty_like(points), np.empty_like(points)
        before[1:], after[:-1] = points[:-1], points[1:]
        last = np.r_[self.first[1:], len(points)] - 1
        before[self.first] = points[last] if self.closed else points[self.first]
        after[last] = points[self.first] if self.closed else points[last]
        return before, after

    def moved(self, shift: Floats) -> Points:
        """Return the points moved by so much along their normals."""
        return self.start + self.normal * shift


def smooth_outlines(outlines: Outlines, grid: Grid, smooth_px: float = 1.0) -> Outlines:
    """Take the stairs out of outlines that follow pixel edges.

    Each unit of pixel edge is one point that moves square to it, towards the middle of its
    neighbours and at most 0.4 pixels; then each ring is blown up or let down to its old area.
    So straight digital edges become straight, nothing meets that did not meet before, and a mask
    burnt from the outlines is the mask they were traced from. The scene's frame and points where
    outlines touch stay. Chu et al. 2022 smooth but do not say how; this method is ours.

    Args:
        outlines: Polygons along the pixel edges of *grid*.
        grid: The grid that they were traced on.
        smooth_px: Width in pixels of the band that outlines move in; 0 leaves them as they are.
            Above 1 the promises above are kept by leaving outlines alone that would break one.

    Returns:
        The same rows. Rings below 20 pixels, and polygons that would become invalid or change
        their area by more than 1 %, are left as they are; the total stays within 0.1 %.
    """
    if smooth_px == 0 or not len(outlines):
        return outlines
    rings, polygon_of = shapely.get_rings(outlines.geometry, return_index=True)
    x, y = shapely.get_coordinates(rings).T
    rows, columns = grid.to_pixels(x, y)
    corners = np.rint(columns) + 1j * np.rint(rows)
    ring_of = np.repeat(np.arange(len(rings)), shapely.get_num_coordinates(rings))
    # A ring's last point is its first again.
    open_ends = np.r_[ring_of[1:] == ring_of[:-1], False]
    corners, ring_of = corners[open_ends], ring_of[open_ends]
    areas = _areas(corners, ring_of)
    touching = _repeated(corners)
    track = _track(corners, ring_of, touching | _on_frame(corners, grid), grid)
    moved = track.moved(_restore_areas(track, _relax(track, smooth_px), areas, REACH * smooth_px))
    smooth = _inflate(_thinned(_rings(moved, track.line)), areas, grid)
    raw = _rings(corners, ring_of)
    chosen = np.where(np.abs(areas) < SMALLEST_PX, raw, smooth)
    before = polygons_of_rings(raw, polygon_of)
    after = polygons_of_rings(chosen, polygon_of)
    may_overlap = np.unique(polygon_of[ring_of[touching]])
    if REACH * smooth_px + 2 * COLLINEAR > 0.5 + 1e-9:
        may_overlap = np.arange(len(outlines))
    return outlines.with_geometry(_to_map(_without_faults(before, after, may_overlap), grid))


def smooth_lines(lines: NDArray[np.object_]) -> NDArray[np.object_]:
    """Take the stairs out of lines along cell edges; their ends stay.

    Args:
        lines: Line strings in cells (column, row), with whole-numbered vertices.
    """
    x, y = np.rint(shapely.get_coordinates(lines)).T
    line_of = np.repeat(np.arange(len(lines)), shapely.get_num_coordinates(lines))
    track = _track(x + 1j * y, line_of, np.zeros(len(x), bool), None)
    moved = track.moved(_relax(track, 1.0))
    smooth = shapely.linestrings(moved.real, moved.imag, indices=track.line)
    return np.asarray(shapely.simplify(smooth, COLLINEAR), dtype=object)


def _rings(points: Points, ring_of: Ints) -> NDArray[np.object_]:
    return np.asarray(shapely.linearrings(points.real, points.imag, indices=ring_of), dtype=object)


def _on_frame(corners: Points, grid: Grid) -> NDArray[np.bool_]:
    column, row = corners.real, corners.imag
    return np.isin(column, (0, grid.columns)) | np.isin(row, (0, grid.rows))


def _repeated(corners: Points) -> NDArray[np.bool_]:
    """Tell where rings touch: corners that come up more than once."""
    key = corners.real * (corners.imag.max() + 1) + corners.imag
    order = np.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    found = np.zeros(len(key), bool)
    found[order] = np.r_[same, False] | np.r_[False, same]
    return found


def _track(corners: Points, line_of: Ints, pinned: NDArray[np.bool_], grid: Grid | None) -> _Track:
    """Put a point on the middle of each unit of edge, and keep the corners that are pinned.

    Rings are given without their last point; open lines with theirs, and without a grid.
    """
    closed = grid is not None
    first = np.flatnonzero(np.r_[True, line_of[1:] != line_of[:-1]])
    last = np.r_[first[1:], len(corners)] - 1
    following = np.r_[corners[1:], corners[:1]]
    following[last] = corners[first] if closed else corners[last]
    if not closed:
        pinned = pinned.copy()
        pinned[first] = pinned[last] = True
    step = following - corners
    length = np.abs(step)
    direction = np.divide(step, length, out=np.zeros_like(step), where=length > 0)
    normal = direction * -1j
    if grid is not None:
        # An edge lies along the frame where both its ends are on the same side of it.
        level = (corners.imag == 0) | (corners.imag == grid.rows)
        upright = (corners.real == 0) | (corners.real == grid.columns)
        normal[(level & (step.imag == 0)) | (upright & (step.real == 0))] = 0
    points = length.astype(np.int64) + pinned
    edge = np.repeat(np.arange(len(corners)), points)
    begin = np.cumsum(points) - points
    along = np.arange(len(edge)) - begin[edge] - pinned[edge] + 0.5
    corner = along < 0
    along[corner] = 0
    start = corners[edge] + direction[edge] * along
    line = line_of[edge]
    starts = np.flatnonzero(np.r_[True, line[1:] != line[:-1]])
    return _Track(start, np.where(corner, 0, normal[edge]), line, starts, closed)


def _relax(track: _Track, smooth_px: float) -> Floats:
    """Draw points towards the middle of their neighbours, within reach of where they began.

    Each step goes half the way. As a point moves along its normal alone, that is a number: what it
    is at the start, half of what the point has moved, and a share of what each neighbour has.
    """
    reach = REACH * smooth_px
    last = np.r_[track.first[1:], len(track.start)] - 1
    half = np.conj(track.normal) / 2
    before, after = track.neighbours(track.start)
    pull = (half * ((before + after) / 2 - track.start)).real
    before, after = (neighbour * half / 2 for neighbour in track.neighbours(track.normal))
    from_before, from_after = before.real.copy(), after.real.copy()
    # Across the ends of lines in the arrays nothing is drawn; rings are closed one by one.
    from_last, from_first = from_before[track.first], from_after[last]
    from_before[track.first] = from_after[last] = 0
    shift, moved = np.zeros((2, len(track.start)))
    for _ in range(max(1, round(ROUNDS * min(smooth_px, 3.0) ** 2))):
        np.divide(shift, 2, out=moved)
        moved += pull
        moved[1:] += from_before[1:] * shift[:-1]
        moved[:-1] += from_after[:-1] * shift[1:]
        moved[track.first] += from_last * shift[last]
        moved[last] += from_first * shift[track.first]
        np.clip(moved, -reach, reach, out=moved)
        shift, moved = moved, shift
    return shift


def _restore_areas(track: _Track, shift: Floats, areas: Floats, reach: float) -> Floats:
    """Shift all points of a ring alike until it has its area again (Newton's method)."""
    for _ in range(3):
        points = track.moved(shift)
        before, after = track.neighbours(points)
        gain = (np.conj(track.normal) * (after - before)).imag / 2
        slope = np.bincount(track.line, gain, minlength=len(areas))
        missing = areas - _areas(points, track.line)
        step = np.divide(missing, slope, out=np.zeros_like(missing), where=np.abs(slope) > 1e-9)
        shift = np.clip(shift + step[track.line], -reach, reach)
    return shift


def _thinned(rings: NDArray[np.object_]) -> NDArray[np.object_]:
    """Leave out points of rings that lie nearly in line.

    Rings cannot meet by it, see `REACH`, so that it need not be looked after at ten times the cost.
    """
    thin = shapely.simplify(rings, COLLINEAR, preserve_topology=False)
    return np.asarray(np.where(shapely.get_num_coordinates(thin) < 4, rings, thin), dtype=object)


def _inflate(rings: NDArray[np.object_], areas: Floats, grid: Grid) -> NDArray[np.object_]:
    """Shift the corners of rings a little outward or inward, to their areas.

    Corners on the frame stay, and those that were pinned: the only ones on whole numbers.
    """
    x, y, ring_of = (
        *shapely.get_coordinates(rings).T,
        np.repeat(np.arange(len(rings)), shapely.get_num_coordinates(rings)),
    )
    open_ends = np.r_[ring_of[1:] == ring_of[:-1], False]
    points, ring_of = (x + 1j * y)[open_ends], ring_of[open_ends]
    first = np.flatnonzero(np.r_[True, ring_of[1:] != ring_of[:-1]])
    none = np.zeros_like(points)
    before, after = _Track(points, none, ring_of, first, True).neighbours(points)
    chord = after - before
    pinned = (points.real % 1 == 0) & (points.imag % 1 == 0)
    width = np.where(pinned | _on_frame(points, grid), 0.0, np.abs(chord))
    slope = np.bincount(ring_of, width) / 2
    missing = areas - _areas(points, ring_of)
    step = np.divide(missing, slope, out=np.zeros_like(missing), where=slope > 0)
    step = np.clip(step, -COLLINEAR, COLLINEAR)
    outward = np.divide(chord, width, out=none, where=width > 0) * -1j
    return _rings(points + outward * step[ring_of], ring_of)


def _areas(points: Points, ring_of: Ints) -> Floats:
    """Return the signed areas of rings given without their last point."""
    first = np.flatnonzero(np.r_[True, ring_of[1:] != ring_of[:-1]])
    following = np.r_[points[1:], points[:1]]
    following[np.r_[first[1:], len(points)] - 1] = points[first]
    return np.bincount(ring_of, (np.conj(points) * following).imag) / 2


def _without_faults(
    before: NDArray[np.object_], after: NDArray[np.object_], may_overlap: Ints
) -> NDArray[np.object_]:
    """Go back to the old polygon wherever the new one breaks a promise."""
    change = np.abs(shapely.area(after) / shapely.area(before) - 1)
    after = np.where(shapely.is_valid(after) & (change <= LARGEST_CHANGE), after, before)
    while True:
        a, b = (may_overlap[ends] for ends in touching_pairs(after[may_overlap]))
        overlap = shapely.overlaps(after[a], after[b])
        bad = np.union1d(a[overlap], b[overlap])
        bad = bad[after[bad] != before[bad]]
        if not len(bad):
            break
        after[bad] = before[bad]
    change = shapely.area(after) - shapely.area(before)
    worst = np.argsort(-np.abs(change))
    left = np.abs(change.sum() - np.cumsum(change[worst]))
    if abs(change.sum()) > LARGEST_TOTAL_CHANGE * shapely.area(before).sum():
        enough = int(np.argmax(left <= LARGEST_TOTAL_CHANGE * shapely.area(before).sum())) + 1
        after[worst[:enough]] = before[worst[:enough]]
    return np.asarray(after, dtype=object)


def _to_map(polygons: NDArray[np.object_], grid: Grid) -> NDArray[np.object_]:
    def move(pixels: Floats) -> Floats:
        return np.column_stack(grid.to_map(pixels[:, 1], pixels[:, 0]))

    return np.asarray(shapely.orient_polygons(shapely.transform(polygons, move)), dtype=object)
