"""Outlines drawn over their scene."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasterio.windows import Window

from glacierx.errors import OutputError
from glacierx.furniture import Entry, Words, page
from glacierx.options import ReportOptions
from glacierx.outlines.outlines import Outlines
from glacierx.scene.geodesy import areas_km2, transform_geometries
from glacierx.scene.grid import Grid, row_bands
from glacierx.scene.output import check_output, check_suffix
from glacierx.scene.raster import PathLike
from glacierx.scene.scene import Scene
from glacierx.scene.staging import staged

# Natural colours where there are such bands, else those that show ice and plants apart.
COLOURS = (("red", "green", "blue"), ("swir1", "nir", "green"), ("nir", "red", "green"))
# Vermilion and yellow, told apart by colour-blind eyes; dark sides show them on snow as well.
MARGIN_COLOR = (255, 78, 0)
DIVIDE_COLOR = (255, 225, 50)
NODATA_COLOR = (60, 60, 60)
SIDE_COLOR = (15, 20, 30)
LINE_PX, SIDES_PX = 2.1, 3.8
FULL_PX = 1600
"""Longest side of a picture whose lines are that wide."""
FINER = 3
STRIP_ROWS = 256
DPI = (300, 300)
SUFFIXES = (".png", ".jpg", ".jpeg")

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def draw_outlines(
    scene: Scene,
    glaciers: Outlines,
    divides: Outlines | None,
    path: PathLike,
    *,
    longest_px: int = ReportOptions().picture_px,
    overwrite: bool = False,
) -> Path:
    """Draw outlines and ice divides over a scene, with scale bar, north arrow and legend.

    Args:
        scene: The scene, shown in natural colours where it has them.
        glaciers: Polygons.
        divides: Lines, if any.
        path: The picture: a .png or a .jpg.
        longest_px: Longest side of the map in pixels.
        overwrite: Replace an existing file.

    Raises:
        OutputError: The picture cannot be written.

    Example:
        >>> with open_scene("scene.tif") as scene:
        ...     draw_outlines(scene, read_outlines("outlines.gpkg"), None, "outlines.png")
    """
    check_picture(path)
    check_output(path, overwrite=overwrite, inputs=scene.paths)
    picture = outline_picture(scene, glaciers, divides, longest_px=longest_px)
    with staged(path, overwrite=overwrite) as part:
        save_picture(part, picture)
    return Path(path)


def check_picture(path: PathLike) -> None:
    """Refuse a picture that could not be written, before any work is done.

    Raises:
        OutputError: Its name has another ending.
    """
    check_suffix(path, SUFFIXES, "pictures")


def outline_picture(
    scene: Scene,
    glaciers: Outlines,
    divides: Outlines | None,
    *,
    longest_px: int = ReportOptions().picture_px,
) -> Image.Image:
    """Draw what `draw_outlines` writes."""
    picture, grid = scene_picture(scene, longest_px)
    ground = Image.alpha_composite(Image.new("RGBA", picture.size, NODATA_COLOR), picture)
    pixels = np.asarray(ground.convert("RGB"), np.float32).transpose(2, 0, 1)
    thick = max(0.7, longest_px / FULL_PX)
    margins = transform_geometries(shapely.boundary(glaciers.geometry), glaciers.crs, grid.crs)
    lines = margins[:0]
    if divides is not None:
        lines = transform_geometries(divides.geometry, divides.crs, grid.crs)
    sides = _ink(np.concatenate([margins, lines]), grid, SIDES_PX * thick)
    pixels = _paint(pixels, 0.5 * sides, SIDE_COLOR)
    pixels = _paint(pixels, _ink(margins, grid, LINE_PX * thick), MARGIN_COLOR)
    pixels = _paint(pixels, _ink(lines, grid, LINE_PX * thick), DIVIDE_COLOR)
    drawn = Image.fromarray(np.rint(pixels).astype(np.uint8).transpose(1, 2, 0))
    legend = [Entry(MARGIN_COLOR, "glacier outlines", line=True, dark=True)]
    if len(lines):
        legend.append(Entry(DIVIDE_COLOR, "ice divides", line=True, dark=True))
    if np.asarray(picture)[..., 3].min() < 255:
        legend.append(Entry(NODATA_COLOR, "no data"))
    return page(drawn, grid, _words(scene, glaciers), legend)


def _words(scene: Scene, glaciers: Outlines) -> Words:
    placed = transform_geometries(glaciers.geometry, glaciers.crs, scene.grid.crs)
    seen = glaciers.select(shapely.intersects(placed, scene.grid.footprint))
    area = float(areas_km2(seen.geometry, seen.crs).sum())
    date = f"{scene.date} · " if scene.date else ""
    made = " · a made scene, seen by no satellite" if scene.made else ""
    count = f"{len(seen):,} glacier{'' if len(seen) == 1 else 's'}"
    roles = colour_roles(scene)
    kind = "natural colours" if roles == COLOURS[0] else "false colours"
    shown = f"{kind} ({', '.join(roles)})" if len(set(roles)) == 3 else roles[0]
    grid = f"{scene.grid.crs_name} · {scene.grid.gsd_m:.3g} m · {shown}"
    return Words(scene.name, f"{date}{count}, {area:,.2f} km²{made}", grid)


def colour_roles(scene: Scene) -> tuple[str, ...]:
    """Choose what is shown as red, green and blue."""
    for roles in COLOURS:
        if set(roles) <= set(scene.roles):
            return roles
    return (scene.roles[0],) * 3


def upright(grid: Grid) -> tuple[Grid, int, int]:
    """Return a grid with its rows from north to south and its columns from west to east.

    Returns:
        The grid, and the steps (1 or -1) that bring rows and columns of the first one there.
    """
    t = grid.transform
    down, right = (1 if t.e <= 0 else -1), (1 if t.a >= 0 else -1)
    moved = Affine.translation(0 if right > 0 else grid.columns, 0 if down > 0 else grid.rows)
    turned = t @ moved @ Affine.scale(right, down)
    return Grid(grid.crs, turned, grid.shape), down, right


def scene_picture(scene: Scene, longest_px: int) -> tuple[Image.Image, Grid]:
    """Read a scene in colours, north up, with square pixels on the ground.

    Returns:
        The picture (RGBA), transparent where there is no data, its longest side as long as asked
        for; and where its pixels lie.
    """
    step = max(1, int(np.ceil(max(scene.grid.shape) / longest_px)))
    values, seen = scene_colours(scene, step)
    layers = np.concatenate([np.where(seen, values, 0), np.where(seen, 255, 0)[None]])
    # What is beyond the frame in the last row and column of blocks is cut off.
    (rows, columns), (high, wide) = seen.shape, (size / step for size in scene.grid.shape)
    grid, down, right = upright(scene.grid)
    left, top = 0.0 if right > 0 else columns - wide, 0.0 if down > 0 else rows - high
    box = (left, top, left + wide, top + high)
    pixels = np.rint(layers).astype(np.uint8)[:, ::down, ::right].transpose(1, 2, 0)
    high_m, wide_m = grid.pixel_m[0] * grid.rows, grid.pixel_m[1] * grid.columns
    longest = max(high_m, wide_m)
    shape_px = [max(1, round(longest_px * side / longest)) for side in (wide_m, high_m)]
    size = shape_px[0], shape_px[1]
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if picture.size != size or box != (0, 0, *picture.size):
        picture = picture.resize(size, Image.Resampling.BICUBIC, box=box)
    return picture, grid.coarsened(size[::-1])


def scene_colours(scene: Scene, step: int) -> tuple[Floats, Mask]:
    """Read a scene averaged over blocks of pixels, and stretch it.

    Args:
        scene: The scene.
        step: Rows and columns of a block; those at the end may reach beyond the frame.

    Returns:
        Colours from 0 to 255 (3, rows, columns), and where a pixel of the block is valid.
    """
    roles = colour_roles(scene)
    grid = scene.grid
    rows, columns = (-(-size // step) for size in grid.shape)
    sums = np.zeros((3, rows, columns), np.float32)
    count = np.zeros((rows, columns), np.float32)
    starts = np.arange(0, grid.columns, step)
    for first, last in row_bands(grid.rows, step * max(1, STRIP_ROWS // step)):
        raster = scene.read(Window(0, first, grid.columns, last - first), roles)
        lines = np.arange(0, last - first, step)
        here = slice(first // step, first // step + len(lines))
        down = np.add.reduceat(raster.values, lines, axis=1)
        sums[:, here] = np.add.reduceat(down, starts, axis=2)
        valid = np.add.reduceat(raster.valid.astype(np.float32), lines, axis=0)
        count[here] = np.add.reduceat(valid, starts, axis=1)
    seen = count > 0
    return stretched(np.asarray(sums / np.maximum(count, 1), np.float32), seen), seen


def stretched(values: Floats, seen: Mask) -> Floats:
    """Stretch bands (bands, rows, columns) together to 0..255, as the pixels that are seen need."""
    if not seen.any():
        return np.zeros_like(values)
    low, high = np.percentile(values[:, seen], [1, 98])
    bright = ((values - low) / max(high - low, 1e-9)).clip(0, 1) ** 0.7 * 255
    return np.asarray(bright, np.float32)


def _ink(lines: NDArray[np.object_], grid: Grid, width_px: float) -> Floats:
    """Return how much of each pixel lines cover, from 0 to 1."""
    lines = lines[~shapely.is_empty(lines)]
    fine = grid.coarsened((grid.rows * FINER, grid.columns * FINER))
    if not len(lines):
        return np.zeros(grid.shape, np.float32)

    def to_fine(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        row, column = fine.to_pixels(xy[:, 0], xy[:, 1])
        return np.column_stack([column, row])

    pixels: Any = shapely.transform(lines, to_fine)
    strokes = shapely.buffer(pixels, width_px * FINER / 2, quad_segs=2)
    burnt = rasterio.features.rasterize(list(strokes), out_shape=fine.shape, dtype="uint8")
    blocks = burnt.reshape(grid.rows, FINER, grid.columns, FINER)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def _paint(picture: Floats, ink: Floats, color: tuple[int, int, int]) -> Floats:
    return picture * (1 - ink) + np.array(color, np.float32)[:, None, None] * ink


def save_picture(path: Path, picture: Image.Image) -> None:
    """Write a picture, for 300 dots per inch, into a file that the caller has prepared.

    Raises:
        OutputError: It cannot be written.
    """
    jpeg = path.suffix.lower() != ".png"
    try:
        picture.save(path, format="JPEG" if jpeg else "PNG", dpi=DPI, quality=92, subsampling=0)
    except OSError as error:
        raise OutputError(f"{path.name} cannot be written: {error}.") from error
