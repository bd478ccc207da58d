"""Where a prediction is right and wrong, drawn over an image."""

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp, Resampling
from rasterio.windows import Window

from glacierx.evaluate.evaluate import open_cached
from glacierx.evaluate.pairs import Opened, Pair
from glacierx.evaluate.tally import LEAST_ROWS
from glacierx.furniture import Entry, Words, page
from glacierx.picture import COLOURS, NODATA_COLOR, save_picture, stretched, upright
from glacierx.scene.bands import role_in_text
from glacierx.scene.grid import Grid, row_bands
from glacierx.scene.output import check_output, check_suffix
from glacierx.scene.raster import (
    PathLike,
    dataset_grid,
    open_dataset,
    read_mask,
    read_window,
    resample,
    source_window,
)
from glacierx.scene.staging import staged

LONGEST_PX, SHORTEST_PX = 1600, 800
# Told apart by colour-blind eyes, after Okabe and Ito; the image below is grey.
KINDS = {
    "in both": ((86, 180, 233), 0.5),
    "missed": ((213, 94, 0), 0.9),
    "false": ((204, 51, 170), 0.9),
}
GREY = np.array([0.3, 0.55, 0.15], np.float32)[:, None, None]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class _Shares:
    """What each cell of the picture holds, from 0 to 1, and the areas in all."""

    cells: Floats
    unknown: Floats
    km2: tuple[float, float, float]


def check_figure(path: PathLike, image: PathLike | None) -> None:
    """Refuse a picture that could not be drawn, before any work is done.

    Raises:
        OutputError: Its name is not that of a PNG.
        SceneError: The image below cannot be read.
    """
    check_suffix(path, (".png",), "pictures")
    if image is not None:
        with open_dataset(image, "image") as dataset:
            dataset_grid(dataset, "image")


def draw_errors(
    pair: Pair,
    path: PathLike,
    *,
    align: bool = False,
    overwrite: bool = False,
) -> Path:
    """Draw ice found in both, missed and false over an image, with a scale bar and a legend.

    Args:
        pair: The prediction, the truth and the image; without one the ground is plain.
        path: The picture, a PNG.
        align: Warp rasters of another grid onto the one that is scored.
        overwrite: Replace an existing file.

    Raises:
        OutputError: The picture cannot be written.
    """
    check_figure(path, pair.image)
    with ExitStack() as stack:
        opened = open_cached(pair, stack, align=align)
        step = max(1, math.ceil(max(opened.grid.shape) / LONGEST_PX))
        shares = _count(opened, step)
        rows, columns = shares.unknown.shape
        # The last cells may reach beyond the frame.
        grid = opened.grid.stretched(step, (rows, columns))
        picture = _ground(pair.image, grid)
        for (color, most), share in zip(KINDS.values(), shares.cells, strict=True):
            ink = np.sqrt(share) * most
            picture = picture * (1 - ink) + np.array(color, np.float32)[:, None, None] * ink
        away = np.array(NODATA_COLOR, np.float32)[:, None, None]
        picture = picture * (1 - shares.unknown) + away * shares.unknown
        titles = opened.found.name, opened.truth.name
    # The top of a picture is north, and its right east, whatever the order of the rows.
    grid, down, right = upright(grid)
    picture = picture[:, ::down, ::right]
    larger = math.ceil(SHORTEST_PX / max(grid.shape))
    pixels = np.rint(picture).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    pixels = pixels.repeat(larger, axis=0).repeat(larger, axis=1)
    whole = _on_page(pixels, grid.coarsened(pixels.shape[:2]), titles, shares)
    inputs = [pair.prediction, pair.truth, pair.image]
    check_output(path, overwrite=overwrite, inputs=inputs)
    with staged(path, overwrite=overwrite) as part:
        save_picture(part, whole)
    return Path(path)


def _count(opened: Opened, step: int) -> _Shares:
    grid = opened.grid
    shape = math.ceil(grid.rows / step), math.ceil(grid.columns / step)
    sums = np.zeros((4, *shape), np.float64)
    area = np.zeros(3)
    starts = np.arange(0, grid.columns, step)
    for first, last in row_bands(grid.rows, step * max(1, LEAST_ROWS // step)):
        window = Window(0, first, grid.columns, last - first)
        found, true, valid = opened.read(window)
        ice, reference = found.ice & valid, true.ice & valid
        pixel_km2 = grid.row_areas_m2(first, last)[:, None] / 1e6
        for at, mask in enumerate((ice & reference, reference & ~ice, ice & ~reference, ~valid)):
            rows = np.add.reduceat(mask.astype(np.int32), np.arange(0, last - first, step), axis=0)
            cells = np.add.reduceat(rows, starts, axis=1)
            sums[at, first // step : first // step + len(cells)] += cells
            if at < len(area):
                area[at] += float((mask * pixel_km2).sum())
    sums /= step * step
    both, missed, false = area.tolist()
    return _Shares(sums[:3].astype(np.float32), sums[3].astype(np.float32), (both, missed, false))


def _ground(image: PathLike | None, grid: Grid) -> Floats:
    """Return a grey picture of an image on a grid (3, rows, columns), light where there is none."""
    plain: Floats = np.full((3, *grid.shape), 235, np.float32)
    if image is None:
        return plain
    with open_dataset(image, "image") as dataset:
        own = dataset_grid(dataset, "image")
        window = source_window(own, grid)
        if window is None:
            return plain
        bands = _bands(dataset)
        coarse = max(1.0, grid.gsd_m / own.gsd_m)
        shape = max(1, round(window.height / coarse)), max(1, round(window.width / coarse))
        raw = read_window(dataset, bands, window, shape, Resampling.average)
        good = np.all([read_mask(dataset, band, window, shape) for band in bands], axis=0)
        values = np.where(good, raw.astype(np.float32), np.nan)
        moved = resample(values, own.crop(window).coarsened(shape), grid, Resampling.bilinear)
    seen = np.isfinite(moved).all(axis=0)
    colours = stretched(np.nan_to_num(moved), seen)
    grey = (colours * (GREY if len(colours) == len(GREY) else 1)).sum(axis=0)
    return np.where(seen, 60 + 0.75 * grey, plain)


def _bands(dataset: Any) -> list[int]:
    """Choose the bands of an image to show: by role, by colour, else the first."""
    roles = [role_in_text(text) if text else None for text in dataset.descriptions]
    for wanted in COLOURS:
        if set(wanted) <= set(roles):
            return [roles.index(role) + 1 for role in wanted]
    colours = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if set(colours) <= set(dataset.colorinterp):
        return [dataset.colorinterp.index(color) + 1 for color in colours]
    return [1, 2, 3] if dataset.count >= 3 else [1]


def _on_page(
    pixels: NDArray[np.uint8], grid: Grid, titles: tuple[str, str], shares: _Shares
) -> Image.Image:
    legend = [
        Entry(color, f"{name} {area:,.2f} km²")
        for (name, (color, _)), area in zip(KINDS.items(), shares.km2, strict=True)
    ]
    if shares.unknown.any():
        legend.append(Entry(NODATA_COLOR, "no data"))
    both, missed, false = shares.km2
    union = both + missed + false
    said = f"prediction {both + false:,.2f} km², truth {both + missed:,.2f} km²"
    if union:
        said += f" · IoU {both / union:.3f} by area"
    foot = f"{grid.crs_name} · {grid.gsd_m:.3g} m to a pixel"
    words = Words(f"{titles[0]} against {titles[1]}", said, foot)
    return page(Image.fromarray(pixels), grid, words, legend)
