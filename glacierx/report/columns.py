"""The columns of glaciers as a page shows them, and the classes that colour a map."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacierx.outlines.attributes import GLACIERS, class_of, widened
from glacierx.report.results import Results

TITLES = {
    "area_km2": "Area", "area_unc_km2": "Area uncertainty", "zmin_m": "Lowest", "zmed_m": "Median",
    "zmax_m": "Highest", "zmean_m": "Mean", "slope_deg": "Slope", "aspect_deg": "Aspect",
    "mean_probability": "Probability", "spread": "Spread", "touches_edge": "At the frame",
    "touches_nodata": "At nodata",
}  # fmt: skip
IN_TABLE = (
    "area_km2", "area_unc_km2", "zmin_m", "zmed_m", "zmax_m", "slope_deg", "aspect_deg",
    "mean_probability", "spread",
)  # fmt: skip
UNITS = {"_km2": "km²", "_m": "m", "_deg": "°"}
DIGITS = {
    "area_km2": 3, "area_unc_km2": 3, "cenlon": 4, "cenlat": 4, "slope_deg": 1, "aspect_deg": 0,
    "mean_probability": 2, "spread": 3, "dem_share": 3, "invalid_share": 3,
}  # fmt: skip
MOST_COLUMNS = 60
LONGEST_TEXT = 200
# Edges that inventories are told by, in km2.
SIZES = (0.0, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1e6)
PROBABILITIES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
# Viridis at nine places: even to the eye, colour-blind or not, and in grey.
VIRIDIS = (
    (68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140), (40, 174, 128),
    (94, 201, 98), (173, 220, 48), (253, 231, 37),
)  # fmt: skip
MOST_CLASSES = 7

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Classes:
    """Classes of a number, by which glaciers are coloured.

    Attributes:
        column: The number.
        title: What it is.
        unit: Its unit.
        edges: Edges of the classes, from the lowest to the highest.
    """

    column: str
    title: str
    unit: str
    edges: tuple[float, ...]

    @property
    def labels(self) -> list[str]:
        """What each class is called."""
        return range_labels(self.edges)

    def as_record(self) -> dict[str, Any]:
        """Describe them for the page."""
        return {
            "column": self.column,
            "title": self.title,
            "unit": self.unit,
            "edges": list(self.edges[1:-1]),
            "labels": self.labels,
            "colors": palette(len(self.edges) - 1),
        }


def range_labels(edges: tuple[float, ...]) -> list[str]:
    """Name each class between two edges; the ends of a row of classes are open where they are."""
    names = []
    for low, high in itertools.pairwise(edges):
        if low <= 0 and edges is not PROBABILITIES and low == edges[0]:
            names.append(f"below {high:,g}")
        elif high >= SIZES[-1]:
            names.append(f"{low:,g} and more")
        else:
            names.append(f"{low:,g} to {high:,g}")
    return names


def palette(count: int) -> list[str]:
    """Return so many colours, from dark and low to bright and high."""
    at = np.linspace(0.8, len(VIRIDIS) - 1, count) if count > 1 else np.array([4.0])
    anchors = np.array(VIRIDIS, np.float64)
    channels = [np.interp(at, np.arange(len(VIRIDIS)), anchors[:, one]) for one in range(3)]
    rows = np.rint(np.column_stack(channels)).astype(int).tolist()
    return ["#" + "".join(f"{value:02x}" for value in row) for row in rows]


def size_edges(areas: Floats) -> tuple[float, ...]:
    """Return the edges of those size classes that areas in km2 fall into."""
    if not len(areas):
        return SIZES[:2]
    first = max(0, int(np.searchsorted(SIZES, areas.min(), "right")) - 1)
    last = min(len(SIZES) - 1, int(np.searchsorted(SIZES, areas.max(), "right")))
    return SIZES[first : last + 1]


def even_edges(values: Floats) -> tuple[float, ...]:
    """Return round and even edges around numbers, of at most seven classes."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    step = nice_step((high - low) / MOST_CLASSES)
    while True:
        first, last = math.floor(low / step), math.floor(high / step) + 1
        if last - first <= MOST_CLASSES:
            return tuple(step * at for at in range(first, last + 1))
        step = nice_step(step * 1.5)


def nice_step(least: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten that is not below a number; 1 for zero."""
    if not least > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(one * power for one in (1, 2, 5, 10) if one * power >= least * (1 - 1e-9))


def classes_of(results: Results) -> list[Classes]:
    """Return by what glaciers can be coloured: area, elevation, probability, where it is known."""
    found = [Classes("area_km2", "Area", "km²", size_edges(results.areas))]
    for column, title in (("zmed_m", "Median elevation"), ("zmean_m", "Mean elevation")):
        heights = results.numbers(column)
        if heights is not None:
            found.append(Classes(column, title, "m", even_edges(heights)))
            break
    mean = results.numbers("mean_probability")
    if mean is not None:
        first = 1 if np.nanmin(mean) >= PROBABILITIES[1] else 0
        found.append(Classes("mean_probability", "Mean probability", "", PROBABILITIES[first:]))
    return found


def columns_record(results: Results) -> list[dict[str, Any]]:
    """Describe the columns for the page, each with its values."""
    names = list(results.glaciers.columns)
    texts = {column.name: column.text for column in widened(GLACIERS, names)}
    found = []
    for name in names[:MOST_COLUMNS]:
        values = results.values(name)
        if all(value is None for value in values):
            continue
        numeric = results.numbers(name) is not None and not any(
            isinstance(value, str) for value in values
        )
        whole = all(value is None or isinstance(value, int) for value in values)
        digits = DIGITS.get(name, 0 if whole or name.endswith("_m") else 3)
        ending = next((end for end in UNITS if name.endswith(end)), "")
        found.append(
            {
                "name": name,
                "title": TITLES.get(name) or _class_title(name) or name,
                "unit": UNITS.get(ending, ""),
                "text": texts.get(name, ""),
                "numeric": numeric,
                "digits": digits,
                "table": name in IN_TABLE or class_of(name) is not None,
                "values": [_short(value, digits) for value in values],
            }
        )
    return found


def _class_title(name: str) -> str:
    of_class = class_of(name)
    return f"Area, {of_class}" if of_class else ""


def _short(value: Any, digits: int) -> Any:
    """Keep two digits more than are shown, so that sorting tells glaciers apart."""
    if isinstance(value, float):
        return round(value, digits + 2)
    return value[:LONGEST_TEXT] if isinstance(value, str) else value
