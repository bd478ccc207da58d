"""How large a raster may be: looked at before any memory is taken for it."""

from collections.abc import Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from glacierx.errors import SceneError
from glacierx.scene.vrt import UnclearError, vrt_sources

MOST_BANDS = 4096
LONGEST_SIDE = 1_000_000
LARGEST_BLOCK = 512 * 2**20
# A file of no content decodes to anything. Compression of pixels that a satellite saw reaches a
# tenth; of a mask without ice, a thousandth.
SMALL_BYTES = 4 * 2**30
MOST_DECODED = 1000


def check_size(dataset: Any, name: str) -> None:
    """Refuse a raster whose pixels could not be held, or that a few bytes stand for.

    Args:
        dataset: An open dataset.
        name: Its name, for the message.

    Raises:
        SceneError: It has too many bands, blocks too large to decode, or hardly any content.
    """
    count = dataset.count
    if count > MOST_BANDS:
        raise SceneError(
            f"{name} has {count} bands; at most {MOST_BANDS} are read. "
            "Choose those that are needed (gdal_translate -b 1 -b 2 ...)."
        )
    if max(dataset.height, dataset.width) > LONGEST_SIDE:
        raise SceneError(
            f"{name} has {dataset.height} x {dataset.width} pixels; at most {LONGEST_SIDE} a side "
            "are read. Cut it into parts (gdal_translate -srcwin)."
        )
    sizes = [np.dtype(kind).itemsize for kind in dataset.dtypes]
    together = sum(sizes) if str(dataset.interleaving or "").lower() == "pixel" else max(sizes)
    # A tile is decoded whole, even where it is larger than the raster.
    largest = max(rows * columns for rows, columns in dataset.block_shapes) * together
    if largest > LARGEST_BLOCK:
        rows, columns = dataset.block_shapes[0]
        raise SceneError(
            f"{name} is stored in blocks of {rows} x {columns} pixels, {_size(largest)} each when "
            f"decoded; at most {_size(LARGEST_BLOCK)} are. Write it in smaller ones "
            "(gdal_translate -co TILED=YES)."
        )
    decoded = prod((dataset.height, dataset.width, sum(sizes)))
    held = sum(map(_bytes, _behind(dataset.files))) if decoded > SMALL_BYTES else 0
    if held and decoded > MOST_DECODED * held:
        raise SceneError(
            f"{name} has {dataset.height} x {dataset.width} pixels, {_size(decoded)}, in a file of "
            f"{_size(held)}: it is nearly empty, or made to fill memory. Cut it to where it has "
            "data (gdal_translate -projwin)."
        )


def _behind(files: Sequence[str]) -> set[str]:
    """Return files and, of VRTs, those behind them; GDAL names the sources of the first alone."""
    found: set[str] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            if Path(file).suffix.lower() == ".vrt":
                with suppress(UnclearError, OSError):
                    waiting += [str(source) for source, _ in vrt_sources(Path(file))]
    return found


def _bytes(path: str) -> int:
    """Return the size of a local file, 0 where it cannot be told."""
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return 0


def _size(count: int) -> str:
    for unit, least in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return f"{count} bytes"
