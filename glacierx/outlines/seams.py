"""Glaciers that several scenes show: which scene is believed where, and what is joined."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from glacierx.outlines.outlines import Ints, as_geometries

SEAM_M = 0.1
"""Pieces on both sides of a frame's edge are brought to overlap by this much, so that they join."""
LEAST_SEAM_M = 1.0
SLIVER_M2 = 1e5
HALF = 0.5

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Views:
    """What several scenes show of one region, in one CRS whose unit is the metre.

    Attributes:
        geometry: Glaciers of all scenes.
        scene: The scene of each, from 0.
        whole: True where no frame, area of interest or nodata cuts it.
        divided: True where it is known how its ice is divided.
        footprints: Where each scene shows the ground, ice or not; None where that is not known
            beyond its ice.
        cluster: For each glacier the row of *rank* that holds for it.
        rank: The place of each scene in the order of belief, lowest first; infinite for one that
            has no say (clusters, scenes).
    """

    geometry: NDArray[np.object_]
    scene: Ints
    whole: Bools
    divided: Bools
    footprints: Sequence[Any]
    cluster: Ints
    rank: NDArray[np.float64]


@dataclass(frozen=True)
class Joined:
    """A glacier of the region.

    Attributes:
        geometry: Its polygon.
        parts: The glaciers of the scenes that it comes from, and how much of each, in m2.
        pieces: Number of pieces that were joined.
        rule: ``only`` if a single scene shows it, ``whole`` if it was taken from the best scene
            that sees all of it, else ``preferred``.
        changed: False where it is a scene's glacier as it was.
    """

    geometry: Any
    parts: dict[int, float]
    pieces: int
    rule: str
    changed: bool


@dataclass(frozen=True)
class _Unit:
    glacier: int
    polygon: Any
    complete: bool


def join_views(views: Views, missing_share: float, min_area_m2: float) -> list[Joined]:
    """Make one set of glaciers without overlaps of what several scenes show.

    Ground belongs to the best scene that sees it, so that its word that there is no ice counts,
    too. But a glacier of which every better scene misses more than a share, and of whose visible
    part the better scenes confirm at least half, is taken from the best scene that sees it whole,
    and stands in for the cut glaciers that it covers. What is still cut is joined across the
    seams: of several candidates with that which overlaps it most where both scenes see, a glacier
    of one scene never with another of the same scene if these are divided.

    Args:
        views: What the scenes show.
        missing_share: See above.
        min_area_m2: Smaller remains that nothing touches are dropped.
    """
    found = _Overlaps(views)
    pinned = found.pinned(missing_share)
    superseded = found.superseded(pinned)
    units: list[_Unit] = []
    for glacier in range(len(views.geometry)):
        if glacier not in superseded:
            units += found.units(glacier, pinned, superseded)
    return _joined(units, found, pinned, min_area_m2)


class _Overlaps:
    """Which scenes see which glacier, and which glaciers of other scenes lie on it."""

    def __init__(self, views: Views) -> None:
        self.views = views
        geometry, scene = views.geometry, views.scene
        self.area = shapely.area(geometry)
        tree = shapely.STRtree(geometry)
        # Frames that only touch do not see the same ground.
        self.ground = [
            shapely.Polygon() if one is None else shapely.buffer(one, -SEAM_M, join_style="mitre")
            for one in views.footprints
        ]
        self.seen: dict[int, set[int]] = defaultdict(set)
        self.covered: set[tuple[int, int]] = set()
        for at, ground in enumerate(self.ground):
            for glacier in tree.query(ground, predicate="intersects").tolist():
                if scene[glacier] != at:
                    self.seen[glacier].add(at)
            self.covered |= {
                (glacier, at) for glacier in tree.query(ground, predicate="covers").tolist()
            }
        a, b = tree.query(geometry, predicate="intersects")
        apart = scene[a] != scene[b]
        self.over: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for one, other in zip(a[apart].tolist(), b[apart].tolist(), strict=True):
            self.over[one][int(scene[other])].append(other)
            self.seen[one].add(int(scene[other]))

    def better(self, glacier: int) -> list[int]:
        """Return the scenes that see something of a glacier and come before its own, in order."""
        rank = self.views.rank[self.views.cluster[glacier]]
        own = rank[self.views.scene[glacier]]
        found = [one for one in self.seen.get(glacier, ()) if rank[one] < own]
        return sorted(found, key=lambda one: float(rank[one]))

    def on(self, glacier: int, scene: int) -> list[int]:
        """Return the glaciers of a scene that lie on one of another."""
        return self.over[glacier][scene] if glacier in self.over else []

    def visible(self, glacier: int, scene: int) -> Any:
        """Return the part of a glacier that a scene sees."""
        polygon = self.views.geometry[glacier]
        if (glacier, scene) in self.covered:
            return polygon
        return shapely.intersection(
            polygon, shapely.union_all([self.ground[scene], *self._ice(self.on(glacier, scene))])
            if scene in self.over.get(glacier, {}) else self.ground[scene],
        )  # fmt: skip

    def _ice(self, glaciers: Iterable[int]) -> list[Any]:
        return [self.views.geometry[one] for one in glaciers]

    def pinned(self, missing_share: float) -> set[int]:
        """Find the glaciers that are taken whole although better scenes see parts of them."""
        out = set()
        for glacier in list(self.seen):
            if not self.views.whole[glacier]:
                continue
            better = self.better(glacier)
            if better and all(self._yields(glacier, one, missing_share) for one in better):
                out.add(glacier)
        return out

    def _yields(self, glacier: int, scene: int, missing_share: float) -> bool:
        """Tell whether a better scene misses much of a glacier, and confirms what it sees."""
        if (glacier, scene) in self.covered:
            return False
        visible = self.visible(glacier, scene)
        seen = shapely.area(visible)
        if seen >= (1 - missing_share) * self.area[glacier]:
            return False
        ice = shapely.union_all(self._ice(self.on(glacier, scene)))
        return bool(shapely.area(shapely.intersection(visible, ice)) >= HALF * seen)

    def superseded(self, pinned: set[int]) -> set[int]:
        """Find the cut glaciers in whose place whole ones of scenes after theirs stand."""
        covering: dict[int, list[int]] = defaultdict(list)
        for glacier in sorted(pinned):
            for scene in self.better(glacier):
                for other in self.on(glacier, scene):
                    if not self.views.whole[other] and other not in pinned:
                        covering[other].append(glacier)
        out = set()
        for glacier, by in covering.items():
            taken = shapely.intersection(
                self.views.geometry[glacier], shapely.union_all(self._ice(by))
            )
            if shapely.area(taken) >= HALF * self.area[glacier]:
                out.add(glacier)
        return out

    def units(self, glacier: int, pinned: set[int], superseded: set[int]) -> list[_Unit]:
        """Return what is left of a glacier where its scene is believed."""
        whole = bool(self.views.whole[glacier])
        polygon = self.views.geometry[glacier]
        if glacier not in self.seen:
            return [_Unit(glacier, polygon, whole)]
        better = self.better(glacier)
        over = self.over.get(glacier, {})
        pins = [one for scene in over for one in over[scene] if one in pinned]
        if glacier in pinned:
            first = [
                one
                for scene in better
                for one in self.on(glacier, scene)
                if one in pinned or (self.views.whole[one] and not self.better(one))
            ]
            return self._rest(glacier, shapely.union_all(self._ice(first)), complete=True)
        if not better and not pins:
            return [_Unit(glacier, polygon, whole)]
        taken = self._ice(pins)
        for scene in better:
            on = self.on(glacier, scene)
            gone = self._ice(one for one in on if one in superseded)
            if (glacier, scene) in self.covered and not gone:
                return []
            box = shapely.box(*shapely.bounds(polygon))
            ground = shapely.intersection(self.ground[scene], shapely.buffer(box, 1))
            if gone:
                ground = shapely.difference(ground, shapely.union_all(gone))
            taken += [ground, *self._ice(one for one in on if one not in superseded)]
        return self._rest(glacier, shapely.union_all(taken), complete=False)

    def _rest(self, glacier: int, taken: Any, *, complete: bool) -> list[_Unit]:
        polygon = self.views.geometry[glacier]
        if not shapely.intersects(polygon, taken):
            return [_Unit(glacier, polygon, complete)]
        parts = polygons_in(shapely.difference(polygon, taken))
        return [_Unit(glacier, part, complete) for part in parts if width_m(part) > 2 * SEAM_M]


def polygons_in(geometry: Any) -> list[Any]:
    """Return the polygons of whatever an overlay gave."""
    parts = shapely.get_parts(shapely.get_parts(np.atleast_1d(geometry)))
    return [part for part in parts if shapely.get_dimensions(part) == 2 and part.area > 0]


def width_m(polygon: Any) -> float:
    """Return the width that a strip of the same area and length of margin has."""
    return float(2 * polygon.area / polygon.length)


class _Groups:
    """Pieces that become one glacier: none with two divided glaciers of one scene."""

    def __init__(self, units: Sequence[_Unit], views: Views) -> None:
        self._top = list(range(len(units)))
        self._of: list[dict[int, int]] = [
            {int(views.scene[unit.glacier]): unit.glacier} if views.divided[unit.glacier] else {}
            for unit in units
        ]

    def top(self, unit: int) -> int:
        """Return the first piece of the group of a piece."""
        while self._top[unit] != unit:
            self._top[unit] = self._top[self._top[unit]]
            unit = self._top[unit]
        return unit

    def join(self, one: int, other: int, *, anyway: bool = False) -> None:
        """Make two groups one, unless a scene knows of a divide between them."""
        low, high = sorted((self.top(one), self.top(other)))
        here, there = self._of[low], self._of[high]
        clash = any(there.get(scene, glacier) != glacier for scene, glacier in here.items())
        if low != high and (anyway or not clash):
            self._top[high] = low
            self._of[low] = {**there, **here}


def _joined(
    units: Sequence[_Unit], found: _Overlaps, pinned: set[int], min_area_m2: float
) -> list[Joined]:
    views = found.views
    seams = _seams(units, views)
    groups = _Groups(units, views)
    open_ends = {
        pair: length
        for pair, length in seams.items()
        if not any(units[one].complete for one in pair)
        and len({int(views.scene[units[one].glacier]) for one in pair}) > 1
    }

    def evidence(pair: tuple[int, int]) -> tuple[float, float, int, int]:
        one, other = (views.geometry[units[at].glacier] for at in pair)
        shared = float(shapely.area(shapely.intersection(one, other)))
        return -round(shared, 3), -round(open_ends[pair], 3), *pair

    for pair in sorted(open_ends, key=evidence):
        groups.join(*pair)
    dropped = _absorb_slivers(units, found, seams, groups, min_area_m2)
    members: dict[int, list[int]] = defaultdict(list)
    for at in range(len(units)):
        members[groups.top(at)].append(at)
    return [
        one
        for top, of in members.items()
        if top not in dropped
        for one in _glaciers([units[at] for at in of], found, pinned)
    ]


def _seams(units: Sequence[_Unit], views: Views) -> dict[tuple[int, int], float]:
    """Measure how long each two pieces touch of which one is not complete."""
    shapes = as_geometries(unit.polygon for unit in units)
    cut = np.flatnonzero([not unit.complete for unit in units])
    if not len(cut):
        return {}
    at, other = shapely.STRtree(shapes).query(shapes[cut], "dwithin", distance=SEAM_M)
    out: dict[tuple[int, int], float] = {}
    for one, two in zip(cut[at].tolist(), other.tolist(), strict=True):
        pair = min(one, two), max(one, two)
        if one == two or pair in out:
            continue
        box = shapely.buffer(shapely.box(*shapely.bounds(shapes[one])), 1)
        near = shapely.intersection(shapely.boundary(shapes[two]), box)
        shared = shapely.intersection(shapely.buffer(near, SEAM_M), shapely.boundary(shapes[one]))
        out[pair] = float(shapely.length(shared))
    return {pair: length for pair, length in out.items() if length > LEAST_SEAM_M}


def _absorb_slivers(
    units: Sequence[_Unit],
    found: _Overlaps,
    seams: dict[tuple[int, int], float],
    groups: _Groups,
    min_area_m2: float,
) -> set[int]:
    """Give small remains to the glacier that they touch longest; return those that touch none."""
    area: dict[int, float] = defaultdict(float)
    before: dict[int, float] = defaultdict(float)
    complete: set[int] = set()
    for at, unit in enumerate(units):
        top = groups.top(at)
        area[top] += unit.polygon.area
        before[top] = max(before[top], float(found.area[unit.glacier]))
        complete |= {top} if unit.complete else set()
    beside: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for (one, other), length in seams.items():
        a, b = groups.top(one), groups.top(other)
        if a != b:
            beside[a][b] += length
            beside[b][a] += length
    small = [
        top
        for top in sorted(area, key=lambda top: (area[top], top))
        if top not in complete and area[top] < SLIVER_M2 and area[top] < HALF * before[top]
    ]
    dropped = set()
    for top in small:
        if beside[top]:
            longest = max(beside[top], key=lambda other: (round(beside[top][other], 3), -other))
            groups.join(top, longest, anyway=True)
        elif area[top] < min_area_m2:
            dropped.add(top)
    return dropped


def _glaciers(units: Sequence[_Unit], found: _Overlaps, pinned: set[int]) -> list[Joined]:
    """Put the pieces of a group together."""
    parts: dict[int, float] = defaultdict(float)
    for unit in units:
        parts[unit.glacier] += float(unit.polygon.area)
    rule = "preferred"
    if all(one in pinned for one in parts):
        rule = "whole"
    elif not any(found.seen.get(one) for one in parts):
        rule = "only"
    [first, *others] = units
    if not others:
        changed = first.polygon is not found.views.geometry[first.glacier]
        return [Joined(first.polygon, dict(parts), 1, rule, changed)]
    whole = united([unit.polygon for unit in units])
    return [Joined(one, dict(parts), len(units), rule, changed=True) for one in whole]


def united(polygons: Sequence[Any]) -> list[Any]:
    """Unite pieces that touch, without the hairlines between them that rounding leaves."""
    whole = shapely.union_all(polygons)
    if len(polygons_in(whole)) > 1:
        wider = shapely.buffer(whole, SEAM_M, join_style="mitre")
        whole = shapely.buffer(wider, -SEAM_M, join_style="mitre")
    out = []
    for polygon in polygons_in(whole):
        holes = [ring for ring in polygon.interiors if width_m(shapely.Polygon(ring)) > 2 * SEAM_M]
        out.append(shapely.Polygon(polygon.exterior, holes))
    return out
