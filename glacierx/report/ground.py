"""The plane of a report's map, and the scene that lies in it."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from glacierx.errors import GridError, OutputError
from glacierx.furniture import north_turn
from glacierx.outlines.outlines import Outlines
from glacierx.picture import colour_roles, scene_picture, upright
from glacierx.scene.geodesy import metric_crs, transform_geometries
from glacierx.scene.grid import Grid, crs_name
from glacierx.scene.scene import Scene

QUALITY = 84
MOST_VERTICES = 400_000
FINEST = 16384
"""Without a scene outlines are drawn as if the map were so many pixels wide."""


@dataclass(frozen=True)
class Frame:
    """The plane of a map: metres to the right and down from its upper left corner.

    Attributes:
        crs: CRS of map coordinates.
        transform: From (right, down) to map coordinates.
        size_m: How far it reaches to the right and down.
        finest_m: What is smaller than this cannot be seen.
        north_deg: Where true north is, clockwise from up.
    """

    crs: CRS
    transform: Affine
    size_m: tuple[float, float]
    finest_m: float
    north_deg: float

    def place(self, outlines: Outlines) -> NDArray[np.object_]:
        """Move geometries into the frame."""
        moved: Any = transform_geometries(outlines.geometry, outlines.crs, self.crs)
        t = ~self.transform

        def to_frame(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            x, y = xy.T
            return np.column_stack([t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f])

        return np.asarray(shapely.transform(moved, to_frame), dtype=object)

    def as_record(self) -> dict[str, Any]:
        """Describe it for the page."""
        t = self.transform
        geographic = self.crs.is_geographic
        return {
            "size": [round(side, 3) for side in self.size_m],
            "transform": [t.a, t.b, t.c, t.d, t.e, t.f],
            "crs": crs_name(self.crs),
            "digits": 5 if geographic else 0,
            "axes": ["lon", "lat"] if geographic else ["E", "N"],
            "north": round(self.north_deg, 1),
        }


def frame_of(outlines: Outlines, scene: Scene | None) -> Frame:
    """Lay the plane of a map: along the pixels of a scene, else around outlines.

    Raises:
        GridError: The scene lies elsewhere than the outlines.
    """
    if scene is not None:
        grid, _, _ = upright(scene.grid)
        _check_place(outlines, scene)
        high, wide = grid.pixel_m
        size = grid.columns * wide, grid.rows * high
        metres = grid.transform @ Affine.scale(1 / wide, 1 / high)
        return Frame(grid.crs, metres, size, grid.gsd_m, north_turn(grid))
    if not len(outlines):
        return Frame(outlines.crs, Affine(1, 0, 0, 0, -1, 0), (1.0, 1.0), 1.0, 0.0)
    crs = metric_crs(outlines.crs, shapely.total_bounds(outlines.geometry).tolist())
    moved = transform_geometries(outlines.geometry, outlines.crs, crs)
    left, bottom, right, top = shapely.total_bounds(moved).tolist()
    room = 0.03 * max(right - left, top - bottom, 1.0)
    left, bottom, right, top = left - room, bottom - room, right + room, top + room
    wide, high = right - left, top - bottom
    north = north_turn(Grid(crs, Affine(wide, 0, left, 0, -high, top), (1, 1)))
    finest = max(wide, high) / FINEST
    return Frame(crs, Affine(1, 0, left, 0, -1, top), (wide, high), finest, north)


def _check_place(outlines: Outlines, scene: Scene) -> None:
    if not len(outlines):
        return
    box = shapely.box(*shapely.total_bounds(outlines.geometry).tolist())
    there = transform_geometries(box, outlines.crs, scene.grid.crs)
    if not shapely.intersects(there, scene.grid.footprint):
        raise GridError(
            f"The outlines do not overlap the scene {scene.name}. Give the scene that they were "
            "made from, or leave it out."
        )


@dataclass(frozen=True)
class Overlay:
    """A scene as it lies in the frame of a map.

    Attributes:
        url: The picture, as a data URL.
        text: What it shows.
        unseen: Share of it that holds no data.
    """

    url: str
    text: str
    unseen: float


def overlay_of(scene: Scene, longest_px: int) -> Overlay:
    """Draw a scene at a size that a screen shows, what holds no data transparent.

    Raises:
        OutputError: Pillow cannot write WebP here.
    """
    picture, _ = scene_picture(scene, min(longest_px, max(scene.grid.shape)))
    file = io.BytesIO()
    try:
        picture.save(file, format="WEBP", quality=QUALITY, method=4)
    except (OSError, KeyError) as error:
        raise OutputError(
            "The Pillow that is installed cannot write WebP, in which a report holds its scene. "
            "Install Pillow's own wheel (pip install --force-reinstall pillow)."
        ) from error
    url = "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    text = f"{scene.name}: {', '.join(dict.fromkeys(colour_roles(scene)))}"
    return Overlay(url, text, float(1 - np.asarray(picture)[..., 3].mean() / 255))


@dataclass(frozen=True)
class Shapes:
    """Geometries as a page holds them.

    Attributes:
        quantum_m: Coordinates are whole multiples of it.
        tolerance_m: How far a line was moved at most to save vertices.
        polygons: For each glacier its rings, each as x, y and then steps to the next vertex.
        lines: Each divide in the same way.
    """

    quantum_m: float
    tolerance_m: float
    polygons: list[list[list[int]]]
    lines: list[list[int]]


def shapes_of(frame: Frame, glaciers: Outlines, divides: Outlines | None) -> Shapes:
    """Simplify geometries to what can be seen and what a page has room for, and encode them."""
    polygons = frame.place(glaciers)
    lines = frame.place(divides) if divides is not None else polygons[:0]
    tolerance = frame.finest_m / 4
    while True:
        thin, thin_lines = (
            shapely.simplify(one, tolerance, preserve_topology=True) for one in (polygons, lines)
        )
        used = shapely.get_num_coordinates(thin).sum()
        if used <= max(MOST_VERTICES, 4 * len(glaciers)) or tolerance > max(frame.size_m):
            break
        tolerance *= 1.5
    quantum = tolerance / 2
    rings = [
        [_steps(ring, quantum) for ring in shapely.get_rings(polygon).tolist()]
        for polygon in thin.tolist()
    ]
    parts = shapely.get_parts(thin_lines).tolist()
    return Shapes(quantum, tolerance, rings, [_steps(part, quantum) for part in parts])


def _steps(line: Any, quantum: float) -> list[int]:
    """Round vertices and write each as the way from the one before."""
    at = np.rint(shapely.get_coordinates(line) / quantum).astype(np.int64)
    ways = np.diff(at, axis=0)
    kept = ways[(ways != 0).any(axis=1)]
    flat: list[int] = np.concatenate([at[:1], kept]).ravel().tolist()
    return flat
