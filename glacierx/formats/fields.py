"""What a table of another format holds: its fields, and our column in each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacierx.outlines.geopackage import plain_values
from glacierx.outlines.outlines import Outlines


@dataclass(frozen=True)
class Field:
    """A field of a format's table.

    Attributes:
        name: Its name in the format; at most ten letters.
        kind: ``str``, ``int`` or ``float``.
        text: What it says.
        unit: Its unit.
        ours: Our column that it holds; empty for what we have no column for.
        fixed: What stands in it where we have no value.
        width: Letters that a text may have.
    """

    name: str
    kind: str
    text: str
    unit: str = ""
    ours: str = ""
    fixed: Any = None
    width: int = 80

    @property
    def declared(self) -> str:
        """Its type as fiona wants it."""
        return f"str:{self.width}" if self.kind == "str" else self.kind


@dataclass(frozen=True)
class Table:
    """A layer as a format has it.

    Attributes:
        name: Name of its file, without ending.
        outlines: Geometries in EPSG:4326 and columns by the names of the fields.
        fields: Its fields, in order.
        shape: Type of its geometries.
    """

    name: str
    outlines: Outlines
    fields: Sequence[Field]
    shape: str = "Polygon"

    def columns(self) -> list[list[Any]]:
        """Return the values of each field, None where there is none."""
        return [plain_values(self.outlines[field.name], field.kind) for field in self.fields]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Return the values of each row."""
        return zip(*self.columns(), strict=True)


def filled(
    outlines: Outlines, fields: Sequence[Field], own: Mapping[str, Sequence[Any]] | None = None
) -> Outlines:
    """Return outlines whose columns are the fields of a format.

    Args:
        outlines: Outlines with our columns.
        fields: The fields.
        own: Values of fields that are not plain copies of our columns.
    """
    count = len(outlines)
    columns: dict[str, NDArray[Any]] = {}
    for field in fields:
        if own and field.name in own:
            values = list(own[field.name])
        elif field.ours in outlines.columns:
            values = outlines[field.ours].tolist()
        else:
            values = [None] * count
        columns[field.name] = as_column(
            [field.fixed if missing(value) else value for value in values]
        )
    return Outlines(outlines.geometry, outlines.crs, columns)


def missing(value: Any) -> bool:
    """Tell whether a value stands for none."""
    return value is None or value != value


def as_column(values: Sequence[Any]) -> NDArray[np.object_]:
    """Put values of any kind into a column."""
    out = np.empty(len(values), dtype=object)
    out[:] = list(values)
    return out
