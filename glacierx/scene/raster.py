"""Raster: open, read, resample."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import rasterio
import shapely
import shapely.affinity
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.warp import reproject
from rasterio.windows import Window
from shapely import Polygon

from glacierx.errors import GridError, SceneError
from glacierx.scene.geodesy import transform_geometries
from glacierx.scene.grid import Grid
from glacierx.scene.limits import check_size
from glacierx.scene.trust import open_pixels

PathLike = str | Path

Floating = TypeVar("Floating", np.float32, np.float64)


@dataclass(frozen=True)
class Raster:
    """Pixels with their place on Earth.

    Attributes:
        values: Pixel values (bands, rows, columns).
        valid: True where data is good (rows, columns).
        grid: Where the pixels lie.
    """

    values: NDArray[Any]
    valid: NDArray[np.bool_]
    grid: Grid


def is_remote(path: PathLike) -> bool:
    """Tell whether a path is a URL or one of GDAL's virtual file systems."""
    text = str(path)
    here = text.startswith(("file://", "vrt://"))
    return ("://" in text and not here) or text.startswith("/vsi")


def base_name(path: PathLike) -> str:
    """Return the last part of a path or URL, for messages and records."""
    text = str(path).split("?")[0].rstrip("/\\")
    return text.replace("\\", "/").rsplit("/", 1)[-1]


def tell_apart(one: PathLike, other: PathLike) -> tuple[str, str]:
    """Return the names of two files, with as many of their folders as tell them apart."""
    parts = [str(path).replace("\\", "/").split("/") for path in (one, other)]
    names = base_name(one), base_name(other)
    for count in range(2, max(map(len, parts)) + 1):
        if names[0] == names[1] and parts[0] != parts[1]:
            names = "/".join(parts[0][-count:]), "/".join(parts[1][-count:])
    return names


def gdal_reason(error: BaseException) -> str:
    """Return GDAL's own words, which rasterio and fiona keep in the chain of causes."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    if text.startswith(("b'", 'b"')):  # fiona's own exceptions hold bytes
        text = text[2:-1]
    return text.rstrip(".") or type(error).__name__


def open_dataset(path: PathLike, what: str = "raster", *, workers: int = 1) -> Any:
    """Open a raster with GDAL; the caller closes it.

    Args:
        path: What GDAL opens.
        what: What it is to the user.
        workers: Threads that decode its blocks, where the format allows.

    Raises:
        SceneError: The file is missing, unreadable, or a container of several rasters.
    """
    name = base_name(path)
    remote = is_remote(path)
    if not remote:
        _check_local(Path(path), name, what)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            # GeoTIFFs take the number from here when they are opened; other formats have no such.
            with rasterio.Env(GDAL_NUM_THREADS=str(workers)):
                dataset = open_pixels(str(path), remote=remote)
    except SceneError:
        raise
    except (RasterioError, CPLE_BaseError, OSError, ValueError) as error:
        raise SceneError(
            f"{name} cannot be read as a raster: {gdal_reason(error)}. "
            f"Give a file that GDAL opens (gdalinfo {name})."
        ) from error
    if dataset.count == 0 or dataset.width == 0 or dataset.height == 0:
        parts = list(dataset.subdatasets)
        dataset.close()
        listed = f" It holds {', '.join(parts[:6])}; give one of them." if parts else ""
        raise SceneError(f"{name} has no bands of its own.{listed}")
    try:
        check_size(dataset, name)
    except SceneError:
        dataset.close()
        raise
    return dataset


def raster_parts(path: PathLike) -> list[str]:
    """Name the files whose pixels a raster is made of: itself, its mask, the sources of a VRT."""
    found: list[str] = []
    waiting = [str(path)]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.append(name)
        if is_remote(name):
            continue
        with suppress(SceneError), open_dataset(name) as dataset:
            # A name that is no file, such as a subdataset, stands for files too.
            whole = dataset.driver == "VRT" or not Path(name).is_file()
            waiting += [file for file in dataset.files if whole or file.endswith(".msk")]
    return found


def _check_local(path: Path, name: str, what: str) -> None:
    try:
        folder, there, empty = path.is_dir(), path.exists(), path.is_file() and _is_empty(path)
    except OSError as error:
        raise SceneError(f"The {what} {path} cannot be read: {error.strerror}.") from error
    if folder:
        raise SceneError(
            f"{path} is a folder, and the {what} is a file. "
            "Name the files of its bands: --bands green=B03.tif,nir=B08.tif,..."
        )
    # GDAL also opens names that are not files, such as a subdataset or GTIFF_DIR:2:x.tif.
    if not there and ":" not in str(path):
        raise SceneError(f"The {what} {path} does not exist. Check the path.")
    if empty:
        raise SceneError(f"{name} is empty (0 bytes). Copy or download it again.")


def _is_empty(path: Path) -> bool:
    return path.stat().st_size == 0


def dataset_grid(dataset: Any, what: str = "raster") -> Grid:
    """Return the grid of an open dataset.

    Raises:
        GridError: The file has no CRS, no geotransform, or only ground control points.
    """
    name = base_name(dataset.name)
    if dataset.transform.is_identity:
        points = len(dataset.gcps[0]) or dataset.rpcs
        advice = (
            "It has ground control points or RPCs only: warp it first (gdalwarp -t_srs EPSG:326xx)."
            if points
            else "Write one with gdal_translate -a_srs EPSG:... -a_ullr ..."
        )
        raise GridError(f"The {what} {name} has no geotransform, so it lies nowhere. {advice}")
    if dataset.crs is None or not dataset.crs.to_wkt():
        raise GridError(
            f"The {what} {name} has no CRS, so it lies nowhere on Earth. "
            "Write one into it with gdal_edit.py -a_srs EPSG:... FILE."
        )
    try:
        grid = Grid(dataset.crs, dataset.transform, (dataset.height, dataset.width))
        # Where its middle is nowhere on Earth, it is told before any work.
        _ = grid.pixel_m
    except GridError as error:
        raise GridError(f"The {what} {name} lies nowhere: {error}") from error
    return grid


def read_window(
    dataset: Any,
    bands: Sequence[int],
    window: Window,
    shape: tuple[int, int] | None = None,
    resampling: Resampling = Resampling.nearest,
) -> NDArray[Any]:
    """Read bands (bands, rows, columns) of a window, in the file's own numbers.

    Args:
        dataset: An open dataset.
        bands: Band numbers, counted from 1.
        window: Pixels to read.
        shape: Rows and columns to return; those of the window if None.
        resampling: How pixels are combined where *shape* is smaller.

    Raises:
        SceneError: The file is damaged there, or a server stopped answering.
    """
    size = None if shape is None else (len(bands), *shape)
    try:
        return np.asarray(
            dataset.read(list(bands), window=window, out_shape=size, resampling=resampling)
        )
    except (RasterioError, CPLE_BaseError, OSError) as error:
        raise SceneError(_damaged(dataset, window, error)) from error


def read_mask(
    dataset: Any, band: int, window: Window, shape: tuple[int, int] | None = None
) -> NDArray[np.bool_]:
    """Read GDAL's own mask of a band, or of rows and columns fewer: True where it is good.

    Raises:
        SceneError: The file is damaged there.
    """
    try:
        return np.asarray(dataset.read_masks(band, window=window, out_shape=shape), bool)
    except (RasterioError, CPLE_BaseError, OSError) as error:
        raise SceneError(_damaged(dataset, window, error)) from error


def nodata_is_background(dataset: Any, band: int) -> bool:
    """Tell whether 0 is both a mask's nodata and its "not glacier".

    Many tools call the 0 of a mask of 0 and 1 nodata; then nothing would be without ice.
    """
    return bool(
        np.dtype(dataset.dtypes[band - 1]).kind in "iu"
        and (dataset.scales[band - 1], dataset.offsets[band - 1]) == (1.0, 0.0)
        and dataset.nodatavals[band - 1] == 0
        and MaskFlags.nodata in dataset.mask_flag_enums[band - 1]
    )


def _damaged(dataset: Any, window: Window, error: BaseException) -> str:
    rows = f"rows {window.row_off} to {window.row_off + window.height}"
    cause = "The file is damaged or cut short; copy or download it again."
    if is_remote(dataset.name):
        cause = "The server stopped answering or the file is cut short; try again, or download it."
    return f"{base_name(dataset.name)} cannot be read at {rows}: {gdal_reason(error)}. {cause}"


def source_window(own: Grid, grid: Grid) -> Window | None:
    """Find the pixels of a raster that are needed to show it on another grid.

    Returns:
        A window with room for interpolation, or None where the two do not meet.
    """
    frame = shapely.segmentize(grid.footprint, shapely.length(grid.footprint) / 80)
    x, y = shapely.get_coordinates(transform_geometries(frame, grid.crs, own.crs)).T
    rows, columns = own.to_pixels(x, y)
    seen = np.isfinite(rows) & np.isfinite(columns)
    if not seen.any():
        return None
    rows, columns = rows[seen], columns[seen]
    # A pixel of the grid can be many of the raster's, and cubic kernels reach two of the larger.
    pad = 4 + int(2 * max(np.ptp(rows) / grid.rows, np.ptp(columns) / grid.columns))
    top, bottom = max(0, int(rows.min()) - pad), min(own.rows, int(rows.max()) + pad)
    left, right = max(0, int(columns.min()) - pad), min(own.columns, int(columns.max()) + pad)
    if top >= bottom or left >= right:
        return None
    return Window(left, top, right - left, bottom - top)


def resample(
    values: NDArray[Floating], own: Grid, grid: Grid, resampling: Resampling
) -> NDArray[Floating]:
    """Show pixels on another grid.

    Args:
        values: Pixels (bands, rows, columns) of floating point, NaN where there are none.
        own: Their grid.
        grid: The grid to show them on.
        resampling: How pixels are combined.

    Returns:
        Pixels (bands, rows, columns) of the new grid, NaN where there are none.
    """
    out = np.full((len(values), *grid.shape), np.nan, values.dtype)
    reproject(
        values,
        out,
        src_transform=own.transform,
        src_crs=own.crs,
        src_nodata=np.nan,
        dst_transform=grid.transform,
        dst_crs=grid.crs,
        dst_nodata=np.nan,
        resampling=resampling,
    )
    return out


def read_nearest(read: Callable[[Window], NDArray[Any]], own: Grid, grid: Grid) -> NDArray[Any]:
    """Show a raster on another grid by the nearest pixel.

    Args:
        read: Gives the pixels of a window (rows, columns), of floating point, NaN where there are
            none.
        own: The raster's grid.
        grid: The grid to show it on.

    Returns:
        Pixels (rows, columns), NaN where the raster has none.
    """
    needed = source_window(own, grid)
    if needed is None:
        return np.full(grid.shape, np.nan, np.float32)
    values = read(needed)[None]
    return np.asarray(resample(values, own.crop(needed), grid, Resampling.nearest)[0])


def overlap_share(dataset_grid: Grid, grid: Grid) -> float:
    """Return the share of a grid's footprint that another raster's footprint covers."""
    frame = shapely.segmentize(grid.footprint, shapely.length(grid.footprint) / 80)
    own = dataset_grid.footprint
    moved = transform_geometries(frame, grid.crs, dataset_grid.crs)
    if not dataset_grid.crs.is_geographic:
        return _share_of(moved, own)
    # Longitudes may count beyond 180 degrees, or from 0 to 360; and not all are in degrees.
    circle = 2 * np.pi / dataset_grid.crs.units_factor[1]
    if moved.bounds[2] - moved.bounds[0] > circle / 2:
        moved = shapely.transform(moved, lambda xy: xy + np.where(xy < 0, circle, 0) * (1, 0))
    turns = (shapely.affinity.translate(moved, turn) for turn in (-circle, 0, circle))
    return max(_share_of(turned, own) for turned in turns)


def _share_of(moved: Polygon, own: Polygon) -> float:
    if not np.all(np.isfinite(shapely.get_coordinates(moved))):
        # A part of the grid has no place in the raster's CRS; the rest may.
        return float(shapely.intersects(shapely.box(*_finite_bounds(moved)), own))
    whole = shapely.make_valid(moved)
    area = float(shapely.area(whole))
    return float(shapely.area(shapely.intersection(whole, own))) / area if area else 0.0


def _finite_bounds(shape: Polygon) -> tuple[float, float, float, float]:
    xy = shapely.get_coordinates(shape)
    xy = xy[np.isfinite(xy).all(axis=1)]
    if not len(xy):
        return np.nan, np.nan, np.nan, np.nan
    (left, bottom), (right, top) = xy.min(axis=0), xy.max(axis=0)
    return left, bottom, right, top


def read_raster(path: PathLike, band: int | None = None) -> Raster:
    """Read a whole raster file; for scenes use `open_scene`, which reads by window.

    Args:
        path: Any raster that GDAL reads.
        band: One band, counted from 1; all of them if None.

    Returns:
        Values in the file's own numbers, valid where every band read has data.
    """
    with open_dataset(path) as dataset:
        bands = _pick(dataset, band)
        grid = dataset_grid(dataset)
        values = read_window(dataset, bands, grid.window)
        valid = np.all([read_mask(dataset, index, grid.window) for index in bands], axis=0)
        if np.issubdtype(values.dtype, np.floating):
            valid &= ~np.isnan(values).any(axis=0)
    return Raster(values, valid, grid)


def _pick(dataset: Any, band: int | None) -> list[int]:
    if band is None:
        return list(range(1, dataset.count + 1))
    if not 1 <= band <= dataset.count:
        raise SceneError(
            f"{base_name(dataset.name)} has {dataset.count} bands; band {band} was asked for."
        )
    return [band]
