"""The columns of glaciers that come from several scenes, and their complexes and divides."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS

from glacierx.outlines.attributes import (
    TERM_NOT_KNOWN,
    Column,
    class_of,
    glacier_ids,
    place_columns,
    widened,
)
from glacierx.outlines.elevation import aspect_sector
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.outlines.seams import LEAST_SEAM_M, SEAM_M, Joined
from glacierx.scene.geodesy import lengths_m

SEPARATOR = "; "
# A glacier of which less than this is left has no longer the elevations that it had.
SEEN = 0.9
CHUNK = 32

Row = dict[str, Any]


class Origins:
    """What glaciers come from.

    Args:
        every: The glaciers of all scenes, with all columns.
        scene: The scene of each, from 0.
        names: Names of the scenes.
        edge: The line around what all scenes show, in the CRS of the glaciers.
        gsd_m: Ground sampling distance of each, NaN if unknown.
        prefer: The rule by which scenes were put in order.
    """

    def __init__(
        self,
        every: Outlines,
        scene: NDArray[np.int64],
        names: Sequence[str],
        edge: Any,
        gsd_m: Sequence[float],
        prefer: str,
    ) -> None:
        self.rows = every.rows()
        self.geometry = every.geometry
        self.crs = every.crs
        self.scene = scene
        self.names = names
        self._edge = chunks_of(edge)
        self.gsd_m = gsd_m
        self.prefer = prefer

    def combined(self, joined: Sequence[Joined], shared_m: NDArray[np.float64]) -> list[Row]:
        """Return the columns of glaciers: as they were, or put together of those of their parts.

        Args:
            joined: The glaciers.
            shared_m: How much of the boundary of each is divides, in metres.
        """
        rows: list[Row] = []
        changed = [at for at, one in enumerate(joined) if one.changed]
        places = self._places([joined[at] for at in changed], shared_m[changed])
        for one in joined:
            names = self._names(one.parts)
            said = {"only": "only", "whole": "whole"}.get(one.rule, self.prefer)
            merged = {"source": names, "rule": said, "joined": one.pieces}
            if not one.changed:
                rows.append({**self.rows[next(iter(one.parts))], **merged})
            else:
                place = next(places)
                rows.append({**self._columns(one), **place, **self._classes(one, place), **merged})
        return rows

    def _names(self, parts: Mapping[int, float]) -> str:
        area: dict[str, float] = {}
        for glacier, part in parts.items():
            name = self.names[self.scene[glacier]]
            area[name] = area.get(name, 0.0) + part
        return SEPARATOR.join(sorted(area, key=lambda name: (-round(area[name]), name)))

    def _places(self, joined: Sequence[Joined], shared_m: NDArray[np.float64]) -> Any:
        """Measure changed glaciers: place, area, uncertainty, whether the region ends there."""
        shapes = as_geometries(one.geometry for one in joined)
        boundary = shapely.boundary(shapes)
        gsd = [self._weighted(one, lambda at: self.gsd_m[self.scene[at]]) for one in joined]
        on_edge = [self._on_edge(one, line) for one, line in zip(joined, boundary, strict=True)]
        edge_m = lengths_m(as_geometries(on_edge), self.crs)
        margin_m = np.maximum(lengths_m(boundary, self.crs) - shared_m - edge_m, 0)
        gsd_m = np.array([np.nan if one is None else one for one in gsd], np.float64)
        done = place_columns(Outlines(shapes, self.crs), margin_m, gsd_m)
        done = {name: values.tolist() for name, values in done.items() if name != "src_date"}
        for at, one in enumerate(joined):
            row = {name: values[at] for name, values in done.items()}
            edge = self._most(one, "touches_edge")
            row["touches_edge"] = int(edge_m[at] > LEAST_SEAM_M) if edge else edge
            yield row

    def _on_edge(self, one: Joined, boundary: Any) -> Any:
        near = self._edge.query(shapely.box(*shapely.bounds(one.geometry)), "dwithin", distance=1)
        edge = shapely.buffer(shapely.union_all(self._edge.geometries[near]), SEAM_M)
        return shapely.intersection(boundary, edge)

    def _values(self, one: Joined, name: str) -> list[Any]:
        return [self.rows[glacier].get(name) for glacier in one.parts]

    def _weighted(self, one: Joined, value: Callable[[int], float | None]) -> float | None:
        found = [(value(glacier), area) for glacier, area in one.parts.items()]
        known = [(float(number), area) for number, area in found if number is not None]
        whole = sum(area for _, area in known)
        # What one part does not know is not known of the whole.
        if not whole or len(known) < len(found):
            return None
        return sum(number * area for number, area in known) / whole

    def _mean(self, one: Joined, name: str) -> float | None:
        found = self._weighted(one, lambda glacier: self.rows[glacier].get(name))
        return None if found is None else round(found, 6)

    def _most(self, one: Joined, name: str) -> Any:
        known = [value for value in self._values(one, name) if value is not None]
        return max(known, default=None)

    def _same(self, one: Joined, name: str) -> Any:
        found = set(self._values(one, name))
        return found.pop() if len(found) == 1 else None

    def _columns(self, one: Joined) -> Row:
        """Put together the columns that do not follow from the geometry."""
        row: Row = {
            "src_date": joined_dates(self._values(one, "src_date")),
            "term_type": self._same(one, "term_type") or TERM_NOT_KNOWN,
            "divided": min((value for value in self._values(one, "divided") if value is not None),
                           default=None),
            "mean_probability": self._mean(one, "mean_probability"),
            "invalid_share": self._mean(one, "invalid_share"),
            "touches_nodata": self._most(one, "touches_nodata"),
            "cut_by_aoi": self._most(one, "cut_by_aoi"),
        }  # fmt: skip
        row |= {name: self._same(one, name) for name in ("ref_id", "ref_name", "ref_date")}
        before = shapely.union_all([self.geometry[glacier] for glacier in one.parts])
        if shapely.area(one.geometry) >= SEEN * shapely.area(before):
            row |= self._elevations(one)
        return row

    def _classes(self, one: Joined, place: Row) -> Row:
        """Share out the area of a glacier as its parts do; nothing where one tells of none."""

        def share(glacier: int, name: str) -> float | None:
            part, whole = self.rows[glacier].get(name), self.rows[glacier].get("area_km2")
            return None if part is None or not whole else part / whole

        names = dict.fromkeys(name for at in one.parts for name in self.rows[at] if class_of(name))
        found = {}
        for name in names:
            of_all = self._weighted(one, lambda at, name=name: share(at, name))  # type: ignore[misc]
            found[name] = None if of_all is None else round(of_all * place["area_km2"], 6)
        return found

    def _elevations(self, one: Joined) -> Row:
        low, high = self._values(one, "zmin_m"), self._values(one, "zmax_m")
        if None in low or None in high:
            return {}
        sources = {str(value) for value in self._values(one, "dem_source") if value is not None}
        facing = self._facing(one)
        return {
            "zmin_m": min(low),
            "zmax_m": max(high),
            "zmean_m": self._mean(one, "zmean_m"),
            "slope_deg": self._mean(one, "slope_deg"),
            "dem_share": self._mean(one, "dem_share"),
            "dem_source": SEPARATOR.join(sorted(sources)) or None,
            "aspect_deg": None if facing is None else round(facing, 3),
            "aspect_sec": int(aspect_sector(np.nan if facing is None else facing)),
        }

    def _facing(self, one: Joined) -> float | None:
        found = [
            (np.radians(self.rows[glacier]["aspect_deg"]), area)
            for glacier, area in one.parts.items()
            if self.rows[glacier].get("aspect_deg") is not None
        ]
        if not found:
            return None
        east = sum(float(np.sin(angle)) * area for angle, area in found)
        north = sum(float(np.cos(angle)) * area for angle, area in found)
        return float(np.degrees(np.arctan2(east, north)) % 360)


def chunks_of(line: Any) -> shapely.STRtree:
    """Cut a long line into short ones that are found by place."""
    pieces = []
    for part in shapely.get_parts(line):
        xy = shapely.get_coordinates(part)
        pieces += [
            shapely.linestrings(xy[at : at + CHUNK + 1]) for at in range(0, len(xy) - 1, CHUNK)
        ]
    return shapely.STRtree(as_geometries(pieces))


def joined_dates(dates: Sequence[Any]) -> str | None:
    """Return the one date, or the first and the last as an ISO 8601 interval."""
    ends = sorted(end for date in dates if date for end in str(date).split("/"))
    if not ends:
        return None
    return ends[0] if ends[0] == ends[-1] else f"{ends[0]}/{ends[-1]}"


def in_place_order(rows: Sequence[Row]) -> list[int]:
    """Return the indices of rows from west to east, by longitude from 0 to 360 degrees."""
    return sorted(
        range(len(rows)),
        key=lambda at: (rows[at]["cenlon"] % 360, rows[at]["cenlat"], rows[at]["area_km2"]),
    )


def stable_ids(rows: Sequence[Row], changed: Sequence[bool]) -> list[str]:
    """Give glaciers ids by their place; those that are as they were keep theirs.

    Of glaciers that would have the same id those that are as they were come first, in the order
    of the rows; the next ones get _2, _3 and so on.
    """
    lon, lat = (np.array([row[name] for row in rows], np.float64) for name in ("cenlon", "cenlat"))
    wanted = [glacier_ids(lon[[at]], lat[[at]])[0] for at in range(len(rows))]
    out, taken = [""] * len(rows), set()
    for at in sorted(range(len(rows)), key=lambda at: changed[at]):
        name = wanted[at]
        own = rows[at].get("glac_id")
        if own and not changed[at] and str(own).split("_")[0] == name and own not in taken:
            name = str(own)
        base, number = wanted[at], 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        out[at] = name
    return out


def as_outlines(
    shapes: Sequence[Any], rows: Sequence[Row], crs: CRS, schema: Sequence[Column]
) -> Outlines:
    """Put rows into the columns of a schema; one that no row knows and is optional is left out."""
    columns: dict[str, NDArray[Any]] = {}
    for column in widened(tuple(schema), dict.fromkeys(name for row in rows for name in row)):
        if column.name.startswith("ref_") and not any(row.get(column.name) for row in rows):
            continue
        values = [row.get(column.name) for row in rows]
        columns[column.name] = _typed(values, column.kind)
    return Outlines(as_geometries(shapes), crs, columns)


def _typed(values: Sequence[Any], kind: str) -> NDArray[Any]:
    if kind == "float":
        return np.array([np.nan if one is None else one for one in values], np.float64)
    if kind == "int" and values and all(one is not None and one == one for one in values):
        return np.array([int(one) for one in values], np.int64)
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out
