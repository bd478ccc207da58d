"""The layers of a result, ready for a format: in longitude and latitude, with every column."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from glacierx.errors import OutlineError
from glacierx.formats.fields import missing
from glacierx.outlines.attributes import (
    TERM_NOT_KNOWN,
    glacier_ids,
    place_columns,
)
from glacierx.outlines.elevation import elevation_columns
from glacierx.outlines.outlines import (
    Outlines,
    as_geometries,
    connected_groups,
    touching_pairs,
)
from glacierx.scene.geodesy import LONLAT, lengths_m, to_lonlat
from glacierx.scene.terrain import Dem


@dataclass(frozen=True)
class Contents:
    """What is written, in EPSG:4326.

    Attributes:
        glaciers: Glaciers with at least glac_id (no two alike), the columns of their place,
            complex_id and term_type.
        complexes: One row for each glacier complex, with complex_id and the columns of its place.
        divides: Lines between glaciers with glac_id_1, glac_id_2, complex_id and length_m.
        record: The run record; empty if there is none.
    """

    glaciers: Outlines
    complexes: Outlines
    divides: Outlines
    record: Mapping[str, Any]


def contents_of(
    layers: Mapping[str, Outlines], record: Mapping[str, Any], dem: Dem | None = None
) -> Contents:
    """Make the layers of a result ready for a format.

    Ids, areas and places that are missing are made, elevations too if there is a DEM; without a
    layer of complexes glaciers of one complex_id are joined, without one of divides the lines are
    taken that neighbours share. A geometry that crosses 180 degrees counts on beyond it.

    Args:
        layers: Glaciers, or complexes that were not divided, and what there is beside them.
        record: The run record.
        dem: Heights, for outlines that have none yet.

    Raises:
        OutlineError: There are no outlines in it.
    """
    if "glaciers" not in layers and "complexes" not in layers:
        raise OutlineError("There is no layer of glaciers. Give a result that has one.")
    if "glaciers" in layers:
        glaciers = _glaciers(layers["glaciers"], dem)
    else:
        whole = layers["complexes"]
        glaciers = _glaciers(whole.with_columns(divided=np.zeros(len(whole), np.int64)), dem)
    return Contents(
        glaciers,
        _complexes(layers.get("complexes"), glaciers),
        _divides(layers.get("divides"), glaciers),
        record,
    )


def _glaciers(given: Outlines, dem: Dem | None) -> Outlines:
    moved = Outlines(as_geometries(to_lonlat(given.geometry, given.crs)), LONLAT, given.columns)
    made = _place(moved)
    made["glac_id"] = glacier_ids(made["cenlon"], made["cenlat"])
    grouped = moved.columns.get("complex_id")
    if grouped is None or any(missing(one) for one in grouped):
        groups = connected_groups(len(moved), *touching_pairs(given.geometry))
        moved = moved.with_columns(complex_id=np.asarray(groups + 1, np.int64))
    made["term_type"] = np.full(len(moved), TERM_NOT_KNOWN)
    if dem is not None and "zmin_m" not in moved.columns:
        made |= elevation_columns(given, dem)
    done = moved.with_columns(**{name: made[name] for name in made if name not in moved.columns})
    return done.with_columns(glac_id=_distinct(done["glac_id"], made["glac_id"]))


def _place(outlines: Outlines) -> dict[str, Any]:
    return place_columns(outlines, np.zeros(len(outlines)), None, None)


def _distinct(ids: NDArray[Any], spare: NDArray[Any]) -> NDArray[np.object_]:
    """Return ids of which no two are alike and none is missing."""
    out = np.empty(len(ids), dtype=object)
    seen: set[str] = set()
    for index, (one, other) in enumerate(zip(ids.tolist(), spare.tolist(), strict=True)):
        name = str(one) if isinstance(one, str) and one else other
        number = 1
        while (chosen := name if number == 1 else f"{name}_{number}") in seen:
            number += 1
        seen.add(chosen)
        out[index] = chosen
    return out


def _complexes(given: Outlines | None, glaciers: Outlines) -> Outlines:
    source = given if given is not None and "complex_id" in given.columns else glaciers
    lonlat = as_geometries(to_lonlat(source.geometry, source.crs))
    ids, back = np.unique(source["complex_id"].astype(np.int64), return_inverse=True)
    order = np.argsort(back, kind="stable")
    groups = np.split(lonlat[order], np.flatnonzero(np.diff(back[order])) + 1) if len(ids) else []
    # What is one polygon stays as it is, vertex by vertex.
    whole = as_geometries(part[0] if len(part) == 1 else shapely.union_all(part) for part in groups)
    dissolved = Outlines(whole, LONLAT, {"complex_id": ids})
    return dissolved.with_columns(**_place(dissolved))


def _divides(given: Outlines | None, glaciers: Outlines) -> Outlines:
    if given is not None and "glac_id_1" in given.columns:
        return Outlines(as_geometries(to_lonlat(given.geometry, given.crs)), LONLAT, given.columns)
    first, second = touching_pairs(glaciers.geometry)
    shared = shapely.line_merge(
        shapely.intersection(
            shapely.boundary(glaciers.geometry[first]), shapely.boundary(glaciers.geometry[second])
        )
    )
    parts, pair = shapely.get_parts(shared, return_index=True)
    lines = shapely.get_dimensions(parts) == 1
    parts, pair = as_geometries(parts[lines]), pair[lines]
    columns = {
        "complex_id": glaciers["complex_id"][first[pair]],
        "glac_id_1": glaciers["glac_id"][first[pair]],
        "glac_id_2": glaciers["glac_id"][second[pair]],
        "length_m": np.round(lengths_m(parts, LONLAT), 2),
    }
    return Outlines(parts, LONLAT, columns)
