"""What a report is made from: the layers of a result and its run record."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from glacierx.extract import Extraction
from glacierx.outlines.geopackage import read_outlines, read_record
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.outlines.reference import ID_COLUMNS, NAME_COLUMNS
from glacierx.scene.geodesy import areas_km2
from glacierx.scene.raster import PathLike, base_name
from glacierx.scene.vector import has_layer, read_layer

Floats = NDArray[np.float64]

GUESSED = ("area_km2",)
"""Columns that are measured here where a file lacks them."""


@dataclass(frozen=True)
class Results:
    """Glaciers, divides and the run record.

    Attributes:
        name: Name of the file of outlines.
        glaciers: Polygons, with a column area_km2.
        divides: Lines; None where there is no such layer.
        record: The run record; empty where there is none.
        measured: Columns that were measured here, for the file lacks them.
    """

    name: str
    glaciers: Outlines
    divides: Outlines | None
    record: Mapping[str, Any]
    measured: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.glaciers)

    def values(self, name: str) -> list[Any]:
        """Return a column as plain values, None where there is none; nothing but None if absent."""
        if name not in self.glaciers.columns:
            return [None] * len(self)
        return [plain(value) for value in self.glaciers[name].tolist()]

    def numbers(self, name: str) -> Floats | None:
        """Return a column of numbers, NaN where there is none; None if it holds none at all."""
        values = self.values(name)
        kept = [value if _is_number(value) else np.nan for value in values]
        numbers = np.array(kept, np.float64)
        return numbers if np.isfinite(numbers).any() else None

    @property
    def areas(self) -> Floats:
        """Area of each glacier in km2."""
        found = self.numbers("area_km2")
        return np.zeros(len(self)) if found is None else np.nan_to_num(found)

    @property
    def ids(self) -> list[str]:
        """What each glacier is called: its id, or its row."""
        lower = {name.lower(): name for name in self.glaciers.columns}
        column = next((lower[name] for name in ("glac_id", *ID_COLUMNS) if name in lower), "")
        values = self.values(column)
        return [f"row {row}" if one is None else str(one) for row, one in enumerate(values, 1)]

    @property
    def names(self) -> list[str]:
        """The name of each glacier; empty where it has none."""
        lower = {name.lower(): name for name in self.glaciers.columns}
        kinds = (*NAME_COLUMNS, "ref_name")
        column = next((lower[name] for name in kinds if name in lower), "")
        return ["" if one is None else str(one) for one in self.values(column)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def plain(value: Any) -> Any:
    """Return a value of a column as JSON has it."""
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)


def results_of(extraction: Extraction, name: str) -> Results:
    """Take what `extract` returned, to be written into a file of that name."""
    record = json.loads(json.dumps(extraction.record, sort_keys=True))
    glaciers, divides = extraction.glaciers, extraction.divides
    return _measured(Results(name, glaciers, Outlines(divides.geometry, divides.crs), record))


def read_results(path: PathLike, layer: str | None = None) -> Results:
    """Read the glaciers of any vector file; divides and the run record where glacierx wrote it.

    Raises:
        OutlineError: There is no such layer, or it holds no polygons.
    """
    glaciers = read_outlines(path, layer)
    divides = None
    if layer in (None, "glaciers") and has_layer(path, "divides"):
        source = read_layer(path, "divides")
        kept = ~(shapely.is_missing(source.geometry) | shapely.is_empty(source.geometry))
        lines = source.geometry[kept]
        lines = as_geometries(lines[shapely.get_dimensions(lines) == 1])
        divides = Outlines(lines, source.crs)
    return _measured(Results(base_name(path), glaciers, divides, read_record(path, layer)))


def _measured(results: Results) -> Results:
    glaciers = results.glaciers
    if results.numbers("area_km2") is not None:
        return results
    found = glaciers.with_columns(area_km2=areas_km2(glaciers.geometry, glaciers.crs))
    return Results(results.name, found, results.divides, results.record, GUESSED)


def stem(name: str) -> str:
    """Return a file's name without its ending."""
    return Path(name).stem
