"""Outlines: geometries with columns and a CRS."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from glacierx.scene.grid import Grid

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Outlines:
    """Glaciers, glacier complexes (polygons) or ice divides (lines), with their columns.

    ``geopandas.GeoDataFrame.from_features(outlines, crs=outlines.crs.to_wkt())`` works.

    Attributes:
        geometry: Shapely geometries.
        columns: Values by name, each as long as *geometry*. NaN and None stand for no value.
        crs: CRS of the geometries.
    """

    geometry: NDArray[np.object_]
    crs: CRS
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.geometry)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column."""
        return self.columns[name]

    def select(self, chosen: Any) -> Self:
        """Return the rows of a boolean mask or of indices."""
        columns = {name: values[chosen] for name, values in self.columns.items()}
        return type(self)(self.geometry[chosen], self.crs, columns)

    def with_geometry(self, geometry: NDArray[np.object_]) -> Self:
        """Return the same rows with other geometries."""
        return type(self)(geometry, self.crs, self.columns)

    def with_columns(self, **columns: Any) -> Self:
        """Return a copy with columns added or replaced."""
        added = {name: np.asarray(values) for name, values in columns.items()}
        return type(self)(self.geometry, self.crs, {**self.columns, **added})

    def rows(self) -> list[dict[str, Any]]:
        """Return each row's columns as plain values, None where there is no value."""
        names = list(self.columns)
        plain = [[_plain(value) for value in self.columns[name].tolist()] for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*plain, strict=True)] or [
            {} for _ in range(len(self))
        ]

    @property
    def vertices(self) -> int:
        """Number of vertices of all geometries."""
        return int(shapely.get_num_coordinates(self.geometry).sum())

    @property
    def frame(self) -> Grid:
        """The box around all outlines, as a grid of one cell."""
        left, bottom, right, top = shapely.total_bounds(self.geometry).tolist()
        return Grid(self.crs, Affine(right - left, 0, left, 0, bottom - top, top), (1, 1))

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        """Features with coordinates in the CRS of the outlines, as geopandas has them too.

        Plain GeoJSON (RFC 7946) is in WGS 84: `write_outlines` to a ``.geojson`` moves them.
        """
        return {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "id": str(index),
                    "geometry": shapely.geometry.mapping(shape),
                    "properties": row,
                }
                for index, (shape, row) in enumerate(zip(self.geometry, self.rows(), strict=True))
            ],
        }


def as_geometries(shapes: Any) -> NDArray[np.object_]:
    """Put shapely geometries into an array, however many there are."""
    shapes = list(shapes)
    out = np.empty(len(shapes), dtype=object)
    out[:] = shapes
    return out


def polygons_of_rings(rings: NDArray[np.object_], polygon_of: Ints) -> NDArray[np.object_]:
    """Put rings together to polygons.

    Args:
        rings: The shell of each polygon and then its holes.
        polygon_of: The polygon that each ring is of, counted from 0 without gaps, in order.
    """
    if not len(rings):
        return as_geometries([])
    points = np.r_[0, np.cumsum(shapely.get_num_coordinates(rings))]
    first = np.flatnonzero(np.r_[True, polygon_of[1:] != polygon_of[:-1], True])
    polygons = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, shapely.get_coordinates(rings), (points, first)
    )
    return np.asarray(polygons, dtype=object)


def touching_pairs(geometries: NDArray[np.object_]) -> tuple[Ints, Ints]:
    """Return the indices of each two geometries that share a point, the lower one first."""
    a, b = shapely.STRtree(geometries).query(geometries, predicate="intersects")
    return a[a < b], b[a < b]


def connected_groups(count: int, a: Ints, b: Ints) -> Ints:
    """Number groups from 0, of so many things of which pairs are linked."""
    links = coo_array((np.ones(len(a)), (a, b)), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value
