"""Outlines drawn over their scene."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.features
import shapely
from numpy.typing import NDArray
from PIL import Image
from rasterio.windows import Window

from glacierx.errors import OutputError
from glacierx.outlines.outlines import Outlines
from glacierx.scene.geodesy import transform_geometries
from glacierx.scene.grid import Grid
from glacierx.scene.output import check_output
from glacierx.scene.raster import PathLike
from glacierx.scene.scene import Scene
from glacierx.scene.staging import staged

# Natural colours where there are such bands, else those that show ice and plants apart.
COLOURS = (("red", "green", "blue"), ("swir1", "nir", "green"), ("nir", "red", "green"))
MARGIN_COLOR = (255, 70, 20)
DIVIDE_COLOR = (255, 235, 60)
NODATA_COLOR = (60, 60, 60)
LINE_PX = 1.6
FINER = 3


def draw_outlines(
    scene: Scene,
    glaciers: Outlines,
    divides: Outlines | None,
    path: PathLike,
    *,
    longest_px: int = 1600,
    overwrite: bool = False,
) -> Path:
    """Draw outlines (red) and ice divides (yellow) over a scene, and write a PNG.

    Args:
        scene: The scene, shown in natural colours where it has them.
        glaciers: Polygons.
        divides: Lines, if any.
        path: The picture.
        longest_px: Longest side of the picture; a larger scene is averaged.
        overwrite: Replace an existing file.
    """
    step = max(1, int(np.ceil(max(scene.grid.shape) / longest_px)))
    picture = _colours(scene, _roles(scene), step)
    grid = scene.grid.coarsened(picture.shape[1:])
    margins = transform_geometries(shapely.boundary(glaciers.geometry), glaciers.crs, grid.crs)
    picture = _paint(picture, _ink(margins, grid), MARGIN_COLOR)
    if divides is not None:
        lines = transform_geometries(divides.geometry, divides.crs, grid.crs)
        picture = _paint(picture, _ink(lines, grid), DIVIDE_COLOR)
    check_output(path, overwrite=overwrite, inputs=scene.paths)
    with staged(path, overwrite=overwrite) as part:
        pixels = np.rint(picture).astype(np.uint8).transpose(1, 2, 0)
        save_png(part, Image.fromarray(pixels))
    return Path(path)


def _roles(scene: Scene) -> tuple[str, ...]:
    for roles in COLOURS:
        if set(roles) <= set(scene.roles):
            return roles
    return (scene.roles[0],) * 3


def _colours(scene: Scene, roles: Sequence[str], step: int) -> NDArray[np.float32]:
    """Read a scene averaged over blocks of pixels, stretched to 0..255 (3, rows, columns)."""
    rows, columns = (-(-size // step) for size in scene.grid.shape)
    sums = np.zeros((3, rows, columns), np.float32)
    count = np.zeros((rows, columns), np.float32)
    starts = np.arange(0, scene.grid.columns, step)
    for row in range(rows):
        first, last = row * step, min((row + 1) * step, scene.grid.rows)
        raster = scene.read(Window(0, first, scene.grid.columns, last - first), roles)
        sums[:, row] = np.add.reduceat(raster.values.sum(axis=1), starts, axis=1)
        count[row] = np.add.reduceat(raster.valid.sum(axis=0), starts)
    seen = count > 0
    values = stretched(np.asarray(sums / np.maximum(count, 1), np.float32), seen)
    return np.where(seen, values, np.array(NODATA_COLOR, np.float32)[:, None, None])


def stretched(values: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Stretch bands (bands, rows, columns) together to 0..255, as the pixels that are seen need."""
    if not seen.any():
        return values
    low, high = np.percentile(values[:, seen], [1, 98])
    bright = ((values - low) / max(high - low, 1e-9)).clip(0, 1) ** 0.7 * 255
    return np.asarray(bright, np.float32)


def _ink(lines: NDArray[np.object_], grid: Grid) -> NDArray[np.float32]:
    """Return how much of each pixel lines cover, from 0 to 1."""
    lines = lines[~shapely.is_empty(lines)]
    fine = grid.coarsened((grid.rows * FINER, grid.columns * FINER))
    if not len(lines):
        return np.zeros(grid.shape, np.float32)

    def to_fine(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        row, column = fine.to_pixels(xy[:, 0], xy[:, 1])
        return np.column_stack([column, row])

    pixels: Any = shapely.transform(lines, to_fine)
    strokes = shapely.buffer(pixels, LINE_PX * FINER / 2, quad_segs=2)
    burnt = rasterio.features.rasterize(list(strokes), out_shape=fine.shape, dtype="uint8")
    blocks = burnt.reshape(grid.rows, FINER, grid.columns, FINER)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def _paint(
    picture: NDArray[np.float32], ink: NDArray[np.float32], color: tuple[int, int, int]
) -> NDArray[np.float32]:
    return picture * (1 - ink) + np.array(color, np.float32)[:, None, None] * ink


def save_png(path: Path, picture: Image.Image) -> None:
    """Write a picture into a file that the caller has prepared.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        picture.save(path, format="PNG")
    except OSError as error:
        raise OutputError(f"{path.name} cannot be written: {error}.") from error
