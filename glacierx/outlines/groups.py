"""Divides and complexes of an inventory that is made of several scenes."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from glacierx.outlines.combine import Origins, Row
from glacierx.outlines.outlines import Ints, Outlines, as_geometries, connected_groups
from glacierx.outlines.seams import LEAST_SEAM_M, SEAM_M, Joined, united
from glacierx.scene.geodesy import lengths_m

TOUCHING_M = 0.01


class Shared:
    """The lines between glaciers: those of a scene where both are as they were, else measured.

    Args:
        own: The divides of each scene and their columns.
        joined: The glaciers.
        every: The glaciers of all scenes.
        scene: The scene of each.

    Attributes:
        metres: How much of the boundary of each glacier is shared.
    """

    def __init__(
        self,
        own: Sequence[tuple[NDArray[np.object_], list[dict[str, Any]]]],
        joined: Sequence[Joined],
        every: Outlines,
        scene: Ints,
    ) -> None:
        self._lines: list[Any] = []
        self._pairs: list[tuple[int, int]] = []
        crs = every.crs
        now = {
            (int(scene[first]), every["glac_id"][first]): at
            for at, one in enumerate(joined)
            if not one.changed
            for first in one.parts
        }
        for at, (lines, rows) in enumerate(own):
            for line, row in zip(lines, rows, strict=True):
                pair = tuple(now.get((at, row.get(name))) for name in ("glac_id_1", "glac_id_2"))
                if None not in pair:
                    self._lines.append(line)
                    self._pairs.append((int(pair[0] or 0), int(pair[1] or 0)))
        shapes = as_geometries(one.geometry for one in joined)
        changed = np.array([at for at, one in enumerate(joined) if one.changed], np.int64)
        if len(changed):
            near, other = shapely.STRtree(shapes).query(
                shapes[changed], "dwithin", distance=TOUCHING_M
            )
            pairs = {(min(a, b), max(a, b)) for a, b in zip(changed[near].tolist(), other.tolist(),
                                                           strict=True) if a != b}  # fmt: skip
            for a, b in sorted(pairs):
                line = _between(shapes[a], shapes[b])
                self._lines += line
                self._pairs += [(a, b)] * len(line)
        self._length = lengths_m(as_geometries(self._lines), crs)
        self.metres = np.zeros(len(joined))
        for (a, b), length in zip(self._pairs, self._length.tolist(), strict=True):
            self.metres[[a, b]] += length

    def reorder(self, order: Sequence[int]) -> None:
        """Follow the glaciers into another order."""
        place = {at: new for new, at in enumerate(order)}
        self._pairs = [(place[a], place[b]) for a, b in self._pairs]

    def lines(self, rows: Sequence[Row]) -> tuple[list[Any], list[Row]]:
        """Return the divides and their columns, by the glaciers beside them."""
        order = sorted(
            range(len(self._lines)),
            key=lambda at: (self._pairs[at], shapely.bounds(self._lines[at]).tolist()),
        )
        described = [
            {
                "complex_id": rows[self._pairs[at][0]]["complex_id"],
                "glac_id_1": rows[self._pairs[at][0]]["glac_id"],
                "glac_id_2": rows[self._pairs[at][1]]["glac_id"],
                "length_m": round(float(self._length[at]), 2),
            }
            for at in order
        ]
        return [self._lines[at] for at in order], described


def _between(one: Any, other: Any) -> list[Any]:
    box = shapely.buffer(shapely.box(*shapely.bounds(one)), 1)
    near = shapely.intersection(shapely.boundary(other), box)
    found = shapely.intersection(shapely.boundary(one), shapely.buffer(near, SEAM_M))
    lines = [part for part in shapely.get_parts(found) if shapely.get_dimensions(part) == 1]
    merged = shapely.get_parts(shapely.line_merge(shapely.multilinestrings(lines)))
    return [line for line in merged if line.length > LEAST_SEAM_M]


class Complexes:
    """Glacier complexes: those of a scene where all of their glaciers are as they were.

    The column complex_id is added to the rows of the glaciers, numbered in their order.

    Args:
        joined: The glaciers.
        rows: Their columns.
        own: The complexes of each scene, in the CRS of the glaciers.
        every: The glaciers of all scenes.
        scene: The scene of each.
        origins: What combines columns.

    Attributes:
        shapes: Polygons; complexes that touch at a corner only have several.
        rows: Their columns.
    """

    def __init__(
        self,
        joined: Sequence[Joined],
        rows: Sequence[Row],
        own: Sequence[Outlines],
        every: Outlines,
        scene: Ints,
        origins: Origins,
    ) -> None:
        self.shapes: list[Any] = []
        self.rows: list[Row] = []
        before = list(zip(scene.tolist(), every["complex_id"].tolist(), strict=True))
        intact = _intact(joined, before)
        there: dict[Any, list[int]] = defaultdict(list)
        described = [one.rows() for one in own]
        for index, complexes in enumerate(described):
            for at, row in enumerate(complexes):
                there[index, row["complex_id"]].append(at)
        made: list[tuple[int, Joined]] = []
        for number, of in enumerate(_touching(joined, intact), 1):
            for at in of:
                rows[at]["complex_id"] = number
            key = before[next(iter(joined[of[0]].parts))]
            if intact.get(key) == of and there.get(key):
                merged = {name: rows[of[0]][name] for name in ("source", "rule", "joined")}
                for at in there[key]:
                    self._add(own[key[0]].geometry[at], {**described[key[0]][at], **merged}, number)
            else:
                for one in _grown([joined[at] for at in of]):
                    made.append((len(self.rows), one))
                    self._add(one.geometry, {}, number)
        combined = origins.combined([one for _, one in made], np.zeros(len(made)))
        for (at, _), row in zip(made, combined, strict=True):
            self.rows[at] = {**row, **self.rows[at]}

    def _add(self, shape: Any, row: Row, number: int) -> None:
        self.shapes.append(shape)
        self.rows.append({**row, "complex_id": number})


def _intact(joined: Sequence[Joined], before: Sequence[Any]) -> dict[Any, list[int]]:
    """Return the complexes of which every glacier is as it was, and where these are now."""
    size: dict[Any, int] = defaultdict(int)
    for key in before:
        size[key] += 1
    kept: dict[Any, list[int]] = defaultdict(list)
    for at, one in enumerate(joined):
        if not one.changed:
            kept[before[next(iter(one.parts))]].append(at)
    return {key: of for key, of in kept.items() if len(of) == size[key]}


def _touching(joined: Sequence[Joined], intact: dict[Any, list[int]]) -> list[list[int]]:
    """Return the glaciers that belong together, in the order of the first of each."""
    shapes = as_geometries(one.geometry for one in joined)
    a, b = shapely.STRtree(shapes).query(shapes, "dwithin", distance=TOUCHING_M)
    links = [(of[0], other) for of in intact.values() for other in of[1:]]
    first, second = np.array(links, np.int64).reshape(-1, 2).T
    group = connected_groups(len(joined), np.r_[a, first], np.r_[b, second])
    members: dict[int, list[int]] = defaultdict(list)
    for at in range(len(joined)):
        members[int(group[at])].append(at)
    return sorted(members.values(), key=lambda of: of[0])


def _grown(glaciers: Sequence[Joined]) -> list[Joined]:
    """Unite the glaciers of a complex."""
    if len(glaciers) == 1:
        return list(glaciers)
    parts: dict[int, float] = defaultdict(float)
    for one in glaciers:
        for glacier, area in one.parts.items():
            parts[glacier] += area
    rules = {one.rule for one in glaciers}
    rule = rules.pop() if len(rules) == 1 else "preferred"
    pieces = max(one.pieces for one in glaciers)
    return [
        Joined(one, dict(parts), pieces, rule, changed=True)
        for one in united([one.geometry for one in glaciers])
    ]
