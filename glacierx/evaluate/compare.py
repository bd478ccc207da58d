"""Two inventories of one area: how much ice, above and below z50, and which glaciers."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from glacierx.errors import GlacierxWarning, OutlineError
from glacierx.evaluate.inventory import (
    RELATIONS,
    Glaciers,
    Links,
    link,
    lonlat_polygons,
    nearest_of,
    read_glaciers,
)
from glacierx.evaluate.lattice import Cells, Lattice
from glacierx.evaluate.scores import plain
from glacierx.evaluate.table import aligned, signed
from glacierx.outlines.elevation import LEAST_SHARE
from glacierx.scene.masks import read_area
from glacierx.scene.raster import PathLike, tell_apart
from glacierx.scene.terrain import Dem
from glacierx.scene.vector import has_layer

SCHEMA = "glacierx-comparison/1"
TOTAL = "total"
ELSEWHERE = "no region"
OUTSIDE_SHARE = 0.05

NOT_DIVIDED = "not divided"
PARTS = ("area", "ablation", "accumulation", NOT_DIVIDED)
UNMATCHED = "unmatched "
COLUMNS = ("region", "part", "first_km2", "second_km2", "difference_km2", "percent")

Floats = NDArray[np.float64]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Difference:
    """An area in two inventories.

    Attributes:
        region: The region, or ``total``.
        part: ``area``; ``ablation`` and ``accumulation``, below z50 and not below it;
            ``not divided``, where heights or a z50 are not known; and the same of glaciers of the
            second inventory that match none of the first.
        first_km2: Area in the first inventory; NaN where a part is of the second alone.
        second_km2: Area in the second.
    """

    region: str
    part: str
    first_km2: float
    second_km2: float

    @property
    def difference_km2(self) -> float:
        """First less second."""
        return self.first_km2 - self.second_km2

    @property
    def percent(self) -> float:
        """Difference in per cent of the first inventory (Chu et al. 2022, Table 3)."""
        return self.difference_km2 / self.first_km2 * 100 if self.first_km2 else float("nan")

    def as_row(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "region": self.region,
            "part": self.part,
            "first_km2": plain(self.first_km2),
            "second_km2": plain(self.second_km2),
            "difference_km2": plain(self.difference_km2),
            "percent": plain(self.percent),
        }


@dataclass(frozen=True)
class Comparison:
    """Two inventories of one area.

    Attributes:
        first: Name of the first inventory.
        second: Name of the second.
        counts: Number of glaciers in the first and in the second.
        rows: Areas by region and part, the total last.
        relations: How many groups of glaciers are matched, new (in the first only), vanished (in
            the second only), merged (several of the second are one in the first), divided (one of
            the second is several in the first) or regrouped (several, several).
        groups: Each group: its glaciers and areas.
    """

    first: str
    second: str
    counts: tuple[int, int]
    rows: Sequence[Difference]
    relations: Mapping[str, int]
    groups: Sequence[Mapping[str, Any]]

    def as_record(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return {
            "schema": SCHEMA,
            "first": {"name": self.first, "glaciers": self.counts[0]},
            "second": {"name": self.second, "glaciers": self.counts[1]},
            "areas": [row.as_row() for row in self.rows],
            "relations": dict(self.relations),
            "groups": [dict(group) for group in self.groups],
        }

    def as_text(self) -> str:
        """Write areas and relations as aligned tables."""
        head = [
            ["first", self.first, f"{self.counts[0]:,} glaciers"],
            ["second", self.second, f"{self.counts[1]:,} glaciers"],
        ]
        table = [["region", "part", "first km2", "second km2", "difference", "%"]]
        seen = ""
        for row in self.rows:
            table.append([row.region if row.region != seen else "", row.part, *_numbers(row)])
            seen = row.region
        one, other = self.first, self.second
        told = {
            "matched": "one in each",
            "new": f"in {one} only",
            "vanished": f"in {other} only",
            "merged": f"several of {other} are one in {one}",
            "divided": f"one of {other} is several in {one}",
            "regrouped": "several are several others",
        }
        kinds = [name for name in RELATIONS if self.relations[name] or name != "regrouped"]
        counted = aligned([[name, f"{self.relations[name]:,}"] for name in kinds])
        lines = [*aligned(head, 2), "", *aligned(table, 2), ""]
        lines += [f"{line}  {told[name]}" for line, name in zip(counted, kinds, strict=True)]
        return "\n".join(lines)


def _numbers(row: Difference) -> list[str]:
    areas = [f"{value:,.2f}" for value in (row.first_km2, row.second_km2)]
    changes = [signed(value) for value in (row.difference_km2, row.percent)]
    return ["-" if "nan" in text else text for text in (*areas, *changes)]


def compare(  # noqa: PLR0913 - one keyword for each flag of the command line
    first: PathLike,
    second: PathLike,
    dem: Dem | None = None,
    *,
    layer: str | None = None,
    second_layer: str | None = None,
    region: str | None = None,
    aoi: PathLike | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare the areas of two inventories, as Table 3 of Chu et al. (2022) does.

    Each glacier of the first inventory is divided at its median elevation z50, which stands for
    the equilibrium line (Braithwaite & Raper 2009). The same z50 divides the ice of the second
    inventory that is matched with it; where that is matched with several, each cell takes the
    nearest one's. A glacier of the second inventory that matches none takes the z50 of the nearest
    and is told of apart, too.

    Args:
        first: The inventory that differences are relative to, such as one's own.
        second: The other one.
        dem: Heights; without them only whole areas are compared.
        layer: Layer of a file that has several; also of the second, unless that has its own.
        second_layer: That of the second.
        region: A column that tells the region of each glacier; glaciers of an inventory without
            it take the region of the glacier that they match, or else of the nearest.
        aoi: A vector file of the area that both are cut to.
        progress: Called as work goes on.

    Raises:
        OutlineError: A layer or column is missing, or holds no polygons.
        GridError: The two lie in different places.

    Example:
        >>> compare("outlines.gpkg", "inventory.gpkg").relations["matched"]
        412
    """
    within = None if aoi is None else shapely.union_all(lonlat_polygons(*read_area(aoi)))
    names = tell_apart(first, second)
    layers = layer, second_layer or _shared(layer, second)
    one = read_glaciers(first, layers[0], region=region, within=within)
    other = read_glaciers(second, layers[1], region=region, within=within, around=one.around)
    one, other = replace(one, name=names[0]), replace(other, name=names[1])
    links = link(one, other)
    if within is None:
        _warn_of_room(one, other)
    regions = _regions(one, other, links, region)
    parts = [{"area": one.areas}, {"area": other.areas}]
    alone = ~np.isin(np.arange(len(other)), links.second)
    if dem is not None:
        for mine, found in zip(parts, _elevations(one, other, links, dem, progress), strict=True):
            mine |= found
    return Comparison(
        one.name,
        other.name,
        (len(one), len(other)),
        _rows(parts, regions, alone if dem is not None else None),
        {name: Counter(links.relations.tolist())[name] for name in RELATIONS},
        _groups(one, other, links),
    )


def _shared(layer: str | None, path: PathLike) -> str | None:
    return layer if layer is not None and has_layer(path, layer) else None


def _warn_of_room(one: Glaciers, other: Glaciers) -> None:
    for inner, outer in ((one, other), (other, one)):
        if len(inner) and len(outer):
            apart = ~shapely.intersects(outer.geometry, shapely.box(*inner.box))
            area = float(outer.areas[apart].sum())
            if area > OUTSIDE_SHARE * outer.areas.sum():
                warnings.warn(
                    f"{area:,.4g} km2 of {outer.name} lie beyond the frame of {inner.name}. If "
                    "that shows less ground, cut both to it with --aoi.",
                    GlacierxWarning,
                    stacklevel=4,
                )


def _regions(
    one: Glaciers, other: Glaciers, links: Links, column: str | None
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Give each glacier a region, its own or that of its counterpart."""
    own = one.region.copy(), other.region.copy()
    if column is None:
        return own
    if all(value is None for value in [*own[0], *own[1]]):
        raise OutlineError(
            f"Neither {one.name} nor {other.name} has a column {column!r} that names regions. "
            "Check --region."
        )
    sides = ((one, other, links.first, links.second), (other, one, links.second, links.first))
    for at, (mine, theirs, here, there) in enumerate(sides):
        missing = np.array([value is None for value in own[at]], bool)
        if not missing.any() or not len(theirs):
            continue
        nearest = nearest_of(theirs, mine.geometry)
        order = np.argsort(links.shared_km2, kind="stable")
        nearest[here[order]] = there[order]
        own[at][missing] = (other, one)[at].region[nearest[missing]]
    return own


def _elevations(
    one: Glaciers, other: Glaciers, links: Links, dem: Dem, progress: Progress | None
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Divide glaciers at z50: areas of the parts of each, of both inventories."""
    lattice = Lattice(dem, np.concatenate([one.geometry, other.geometry]))
    total = len(one) + len(other)
    z50 = np.full(len(one), np.nan)
    own = np.full((len(one), 2), np.nan)
    for at, outline in enumerate(one.geometry):
        cells = lattice.cells(outline)
        if cells.known.sum() >= LEAST_SHARE * cells.ice.sum():
            z50[at] = np.median(cells.heights[cells.known].astype(np.float64))
        own[at] = _split(cells, z50[at])
        if progress:
            progress(at + 1, total, "elevations")
    theirs = np.full((len(other), 2), np.nan)
    near = nearest_of(one, other.geometry) if len(one) and len(other) else np.zeros(0, np.int64)
    for at, outline in enumerate(other.geometry):
        linked = links.first[links.second == at]
        if not len(linked):
            linked = near[at : at + 1]
        if len(linked):
            cells = lattice.cells(outline)
            limits = z50[linked]
            theirs[at] = _split(
                cells,
                limits[0] if len(linked) == 1 else limits[cells.nearest(one.geometry[linked])],
            )
        if progress:
            progress(len(one) + at + 1, total, "elevations")
    return _parts(one.areas, own), _parts(other.areas, theirs)


def _split(cells: Cells, limit_m: Any) -> tuple[float, float]:
    """Return the shares of an outline below a limit and not below it; NaN where unknown."""
    limit = np.broadcast_to(limit_m, cells.ice.shape)
    known = cells.known & np.isfinite(limit)
    if known.sum() < LEAST_SHARE * max(1, int(cells.ice.sum())):
        return np.nan, np.nan
    below = float((cells.heights[known] < limit[known]).mean())
    return below, 1 - below


def _parts(areas: Floats, shares: Floats) -> dict[str, Floats]:
    known = np.isfinite(shares[:, 0])
    return {
        "ablation": np.where(known, areas * shares[:, 0], 0),
        "accumulation": np.where(known, areas * shares[:, 1], 0),
        NOT_DIVIDED: np.where(known, 0, areas),
    }


def _rows(
    parts: Sequence[Mapping[str, Floats]],
    regions: tuple[NDArray[np.object_], NDArray[np.object_]],
    alone: NDArray[np.bool_] | None,
) -> list[Difference]:
    """Add up the parts by region and in total."""
    names = {str(name) for side in regions for name in side if name is not None}
    unknown = bool(names) and any(name is None for side in regions for name in side)
    lines: list[tuple[str, str | None, bool]] = [
        (name, name, False) for name in sorted(names, key=_in_order)
    ]
    lines += [(_other_than(names, ELSEWHERE), None, False)] if unknown else []
    rows = []
    for label, name, every in [*lines, (_other_than(names, TOTAL), None, True)]:
        chosen = [np.array([every or value == name for value in side], bool) for side in regions]
        for part in (part for part in PARTS if part in parts[0]):
            one, other = (
                float(side[part][here].sum()) for side, here in zip(parts, chosen, strict=True)
            )
            if part != NOT_DIVIDED or one or other:
                rows.append(Difference(label, part, one, other))
        if alone is not None and (chosen[1] & alone).any():
            for part in PARTS:
                area = float(parts[1][part][chosen[1] & alone].sum())
                if part != NOT_DIVIDED or area:
                    rows.append(Difference(label, UNMATCHED + part, np.nan, area))
    return rows


def _in_order(name: str) -> tuple[float, str]:
    """Sort numbers as numbers, before names."""
    try:
        return float(name), ""
    except ValueError:
        return float("inf"), name


def _other_than(names: set[str], label: str) -> str:
    """Return a label that no region has."""
    return f"({label})" if label in names else label


def _groups(one: Glaciers, other: Glaciers, links: Links) -> list[dict[str, Any]]:
    """List every group of glaciers that are the same ice."""
    groups: list[dict[str, Any]] = [
        {"relation": name, "first": [], "second": [], "first_km2": 0.0, "second_km2": 0.0}
        for name in links.relations.tolist()
    ]
    sides = (("first", one, links.group_first), ("second", other, links.group_second))
    for key, glaciers, group_of in sides:
        for at, group in enumerate(group_of.tolist()):
            groups[group][key].append(glaciers.ids[at])
            groups[group][f"{key}_km2"] += float(glaciers.areas[at])
    return groups
