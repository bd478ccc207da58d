"""What went in: fingerprints of files, versions of libraries."""

import hashlib
import re
import urllib.request
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fiona
import numpy as np
import pyproj
import rasterio
import shapely

from glacierx import __version__
from glacierx.scene.raster import PathLike, base_name, is_remote

HASH_LIMIT_BYTES = 2 * 1024**3


def fingerprint(path: PathLike, *, always_hash: bool = False) -> dict[str, Any]:
    """Describe a file so that the same content is recognised elsewhere.

    Args:
        path: A local file or a URL.
        always_hash: Hash files above 2 GB too.

    Returns:
        The base name, and the sha256 of a local file; of a larger file or a URL the size and the
        modification time or ETag instead, marked ``weak``.
    """
    name = base_name(path)
    if is_remote(path):
        return {"name": name, "weak": True, **_remote(str(path))}
    local = Path(path)
    if not local.is_file():
        return {"name": name, "weak": True}
    stat = local.stat()
    if stat.st_size > HASH_LIMIT_BYTES and not always_hash:
        return {"name": name, "weak": True, "bytes": stat.st_size, "mtime": int(stat.st_mtime)}
    return {"name": name, "sha256": _sha256(local.absolute(), stat.st_size, stat.st_mtime_ns)}


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    """Hash a file once for as long as its size and time stay; a run asks several times."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remote(path: str) -> dict[str, Any]:
    url = path.removeprefix("/vsicurl/")
    bucket = re.match(r"(?:s3://|/vsis3/)([^/]+)/(.+)", path)
    if bucket:
        # A private bucket does not answer this; its files are known by name alone.
        url = f"https://{bucket[1]}.s3.amazonaws.com/{quote(bucket[2])}"
    if not url.startswith(("http://", "https://")):
        return {}
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            headers = answer.headers
    except OSError:
        return {}
    found = {"etag": headers.get("ETag"), "bytes": headers.get("Content-Length")}
    return {key: value for key, value in found.items() if value}


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of glacierx, the libraries that shape its results, and more packages."""
    found = {
        "glacierx": __version__,
        "gdal": rasterio.__gdal_version__,
        "geos": ".".join(str(part) for part in shapely.geos_version),
        "proj": pyproj.proj_version_str,
        "numpy": np.__version__,
        "rasterio": rasterio.__version__,
        "fiona": fiona.__version__,
        "shapely": shapely.__version__,
    }
    for package in ("scipy", "scikit-image", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
