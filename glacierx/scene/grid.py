"""Grid: pixel to map and back, windows, GSD, footprint."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window
from shapely.geometry import Polygon

from glacierx.errors import GridError
from glacierx.scene.geodesy import GEOD, LONLAT, Floats, transform_points


@dataclass(frozen=True)
class Grid:
    """Where pixels lie on Earth: a CRS, an affine transform and a shape. It holds no pixels.

    Positions are (row, column), with (0, 0) the outer corner of the first pixel and (0.5, 0.5) its
    centre. Rotated and south-up transforms are as good as any.

    Attributes:
        crs: Coordinate reference system.
        transform: From (column, row) to map (x, y).
        shape: Rows and columns.
    """

    crs: CRS
    transform: Affine
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        numbers = tuple(self.transform)[:6]
        if not all(math.isfinite(v) for v in numbers) or self.transform.determinant == 0:
            raise GridError(
                f"The geotransform {numbers} is not a grid: pixels need a finite position and size."
            )

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.shape[0]

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.shape[1]

    @property
    def window(self) -> Window:
        """The window that covers the whole grid."""
        return Window(0, 0, self.columns, self.rows)

    def crop(self, window: Window) -> Self:
        """Return the grid of a window of whole pixels."""
        t = self.transform
        x, y = self.to_map(window.row_off, window.col_off)
        moved = Affine(t.a, t.b, float(x), t.d, t.e, float(y))
        return type(self)(self.crs, moved, (int(window.height), int(window.width)))

    def coarsened(self, shape: tuple[int, int]) -> Self:
        """Return a grid of the same footprint with another number of rows and columns."""
        t = self.transform
        down, right = self.rows / shape[0], self.columns / shape[1]
        stretched = Affine(t.a * right, t.b * down, t.c, t.d * right, t.e * down, t.f)
        return type(self)(self.crs, stretched, shape)

    def stretched(self, factor: int, shape: tuple[int, int]) -> Self:
        """Return a grid from the same corner whose cells are so many pixels wide and high."""
        return type(self)(self.crs, self.transform @ Affine.scale(factor), shape)

    def moved_east(self, distance: float) -> Self:
        """Return the grid so far east of here, in units of its CRS."""
        return type(self)(self.crs, Affine.translation(distance, 0) @ self.transform, self.shape)

    def to_map(self, rows: Any, columns: Any) -> tuple[Floats, Floats]:
        """Return map coordinates (x, y) of positions."""
        t = self.transform
        rows, columns = np.asarray(rows, np.float64), np.asarray(columns, np.float64)
        return t.a * columns + t.b * rows + t.c, t.d * columns + t.e * rows + t.f

    def to_pixels(self, x: Any, y: Any) -> tuple[Floats, Floats]:
        """Return positions (row, column) of map coordinates."""
        t = ~self.transform
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        return t.d * x + t.e * y + t.f, t.a * x + t.b * y + t.c

    @cached_property
    def footprint(self) -> Polygon:
        """The outline of the grid in its own CRS."""
        x, y = self.to_map([0, 0, self.rows, self.rows], [0, self.columns, self.columns, 0])
        return shapely.orient_polygons(Polygon(np.column_stack([x, y])))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of the footprint."""
        left, bottom, right, top = self.footprint.bounds
        return left, bottom, right, top

    @cached_property
    def pixel_m(self) -> tuple[float, float]:
        """Height and width of the middle pixel in metres on the ellipsoid."""
        row, column = self.rows / 2, self.columns / 2
        x, y = self.to_map([row, row + 1, row], [column, column, column + 1])
        lon, lat = transform_points(x, y, self.crs, LONLAT)
        steps = [math.nan]
        if np.all(np.isfinite([lon, lat])):
            steps = GEOD.inv([lon[0]] * 2, [lat[0]] * 2, lon[1:], lat[1:])[2]
        if not np.all(np.isfinite(steps)):
            raise GridError(
                f"The middle of the grid, {x[0]:g} {y[0]:g}, is nowhere on Earth in its CRS "
                f"{self.crs_name}. Check the geotransform and the CRS (gdal_edit.py -a_srs)."
            )
        return float(steps[0]), float(steps[1])

    def row_areas_m2(self, first: int, last: int) -> Floats:
        """Return the area of a pixel in the middle of each row from .. to, on the ellipsoid."""
        row, column = np.arange(first, last) + 0.5, self.columns / 2
        sides = []
        for down, right in ((0.5, 0.0), (0.0, 0.5)):
            x, y = self.to_map(np.r_[row - down, row + down],
                               np.repeat([column - right, column + right], len(row)))  # fmt: skip
            lon, lat = transform_points(x, y, self.crs, LONLAT)
            ends = np.where(np.isfinite(lon) & np.isfinite(lat), (lon, lat), np.nan)
            azimuth, _, length = GEOD.inv(*ends[:, : len(row)], *ends[:, len(row) :])
            sides.append((np.radians(azimuth), np.asarray(length)))
        (one, height), (other, width) = sides
        areas: Floats = np.abs(np.sin(one - other)) * height * width
        return np.where(np.isfinite(areas), areas, self.gsd_m**2)

    @property
    def gsd_m(self) -> float:
        """Ground sampling distance in metres: the side of a square as large as a pixel."""
        return math.sqrt(self.pixel_m[0] * self.pixel_m[1])

    @property
    def crs_name(self) -> str:
        """A short name of the CRS for messages: EPSG:32645, or its title."""
        return crs_name(self.crs)

    def matches(self, other: "Grid") -> bool:
        """Tell whether two grids are the same to a thousandth of a pixel."""
        if self.shape != other.shape or self.crs != other.crs:
            return False
        corners = np.array([0.0, self.rows]), np.array([0.0, self.columns])
        rows, columns = self.to_pixels(*other.to_map(*corners))
        return bool(
            np.all(np.abs(rows - corners[0]) < 1e-3) and np.all(np.abs(columns - corners[1]) < 1e-3)
        )

    def difference(self, other: "Grid") -> str:
        """Say in words how another grid differs from this one; nothing if it does not."""
        if self.matches(other):
            return ""
        if self.crs != other.crs:
            return f"the CRS is {self.crs_name} here and {other.crs_name} there"
        own, their = self.transform, other.transform
        size = np.hypot([own.a, own.b], [own.d, own.e])
        if not np.allclose([own.a, own.b, own.d, own.e], [their.a, their.b, their.d, their.e],
                           rtol=0, atol=1e-6 * float(size.min())):  # fmt: skip
            if math.isclose(self.gsd_m, other.gsd_m, rel_tol=1e-4):
                return "pixels are turned, flipped or stretched otherwise"
            digits = 3 if f"{self.gsd_m:.3g}" != f"{other.gsd_m:.3g}" else 7
            return f"pixels are {self.gsd_m:.{digits}g} m here and {other.gsd_m:.{digits}g} m there"
        row, column = (float(value) for value in self.to_pixels(their.c, their.f))
        if abs(row) > 1e-3 or abs(column) > 1e-3:
            return f"the first pixel there is {row:.4g} rows down and {column:.4g} columns right"
        return f"there are {_size(self.shape)} pixels here and {_size(other.shape)} there"

    def describe(self) -> str:
        """Say size, GSD and CRS in a few words."""
        return f"{_size(self.shape)} pixels of {self.gsd_m:.3g} m, {self.crs_name}"


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[0]} x {shape[1]}"


def crs_name(crs: CRS) -> str:
    """Return a short name of a CRS: its EPSG code, else its title."""
    code = crs.to_epsg()
    if code:
        return f"EPSG:{code}"
    wkt: str = crs.to_wkt()
    return wkt.split('"')[1] if '"' in wkt else "unknown"


def row_bands(rows: int, height: int) -> list[tuple[int, int]]:
    """Cut rows into bands from .. to of a height; the last may be lower."""
    return [(start, min(start + height, rows)) for start in range(0, rows, height)]
