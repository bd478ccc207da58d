"""Untrusted files stay data: what may be opened, and with which of GDAL's drivers."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fiona
from rasterio.env import ensure_env_with_credentials, set_gdal_config
from rasterio.io import DatasetReader

from glacierx.errors import OutlineError, SceneError
from glacierx.scene.staging import is_there
from glacierx.scene.vrt import CONNECTION, UnclearError, source_path, vrt_sources

HEAD_BYTES = 64 * 1024
# Drivers whose files hold their pixels; the others point to files, servers or programs.
PIXELS = (
    "GTiff", "COG", "JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "JPEG", "JPEGXL", "PNG", "WEBP",
    "GIF", "BIGGIF", "BMP", "PNM", "HFA", "ENVI", "EHdr", "AAIGrid", "AIG",
    "GRASSASCIIGrid", "GSAG", "GSBG", "GS7BG", "SRTMHGT", "USGSDEM", "DTED", "BT", "BYN", "GTX",
    "GXF", "HF2", "SIGDEM", "Terragen", "netCDF", "HDF5", "HDF5Image", "HDF4", "HDF4Image", "BAG",
    "GRIB", "NITF", "RST", "RRASTER", "SAGA", "SGI", "PCRaster", "XYZ", "GPKG", "MBTiles",
    "LERC",
)  # fmt: skip
VECTORS = (
    "GPKG", "ESRI Shapefile", "GeoJSON", "GeoJSONSeq", "TopoJSON", "ESRIJSON", "FlatGeobuf",
    "OpenFileGDB", "SQLite", "GML", "GPX", "MapInfo File", "DXF", "OGR_GMT", "CSV",
)  # fmt: skip

# First bytes of formats that hold pixels.
_MAGIC = (
    b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"\x89PNG",
    b"\xff\xd8\xff", b"EHFA_HEADER_TAG", b"\x89HDF", b"\x0e\x03\x13\x01", b"CDF\x01", b"CDF\x02",
    b"CDF\x05", b"GRIB", b"NITF", b"UHL1", b"GIF8", b"BM", b"RIFF", b"ncols", b"DSAA", b"DSBB",
    b"DSRB",
)  # fmt: skip
# Endings of formats without such bytes. What a file of one begins with is looked at all the same.
_PLAIN = (".hgt", ".bil", ".bip", ".bsq", ".img", ".dat", ".raw", ".flt", ".asc", ".dem", ".bin")
_VRT, _BLANK = b"<vrtdataset", b"\xef\xbb\xbf \t\r\n"
_OGR = re.compile(rb"<ogr\w*datasource|<vrtdataset|<gdaltileindexdataset")
# What is typed before a colon to pick a part of a file that holds its pixels.
_PARTS = re.compile(
    r"(?:GTIFF_\w+|NETCDF|HDF[45]\w*|GPKG|NITF_IM|BAG|GRIB|[A-Za-z]):", re.IGNORECASE
)
# What GDAL looks for anywhere in the first bytes, and at their start, of files that hold no pixels.
_MARKS = re.compile(
    rb"<gdaltileindexdataset|<ogr\w*datasource|stac_version|stac_extensions|iscube|pds_version_id"
)
_XML = re.compile(
    rb"<\s*(?:\w+:)?(?:gdal|wms|wmts|wcs|mrf|service|capabilities|tilemap|dimap|tileset|level-)"
)
# Files that GDAL takes along by their name, with whatever driver it finds for them.
_BESIDE = (".msk", ".MSK", ".ovr", ".OVR", ".aux", ".AUX", ".rrd", ".RRD")

_lock = threading.Lock()
_trusting = 0


@contextmanager
def allow_vrt() -> Iterator[None]:
    """Trust files that point to others, such as a VRT, within a ``with``.

    They may then read any file or URL that this process may, by any of GDAL's drivers. It holds
    for all threads.
    """
    global _trusting
    with _lock:
        _trusting += 1
    try:
        yield
    finally:
        with _lock:
            _trusting -= 1


def vrts_are_allowed() -> bool:
    """Tell whether files that point to others are trusted now."""
    return _trusting > 0


def open_pixels(path: str, *, remote: bool = False) -> Any:
    """Open a raster with GDAL; the caller closes it.

    Args:
        path: What GDAL opens.
        remote: True for a URL or a virtual file system, which cannot be looked into beforehand.

    Raises:
        SceneError: It points to files elsewhere, which the user did not allow.
        rasterio.errors.RasterioError: GDAL cannot open it.
    """
    # Whatever the environment says: a file is no program.
    set_gdal_config("GDAL_VRT_ENABLE_PYTHON", "NO")
    if _trusting:
        return _opened(path, None)
    name = Path(path.split("?")[0]).name
    try:
        drivers = PIXELS if remote else _drivers_for(path)
        dataset = _opened(path, list(drivers))
        # GDAL reads some of a header when it is first asked, and rasterio lets those errors pass.
        _ = dataset.colorinterp, dataset.mask_flag_enums, dataset.units, dataset.tags()
        overview = dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE")
        if overview and not remote:
            try:
                _check_overview(overview, Path(_local(path)))
            except BaseException:
                dataset.close()
                raise
    except UnclearError as error:
        raise SceneError(
            f"{name} {error}. Give the pixels themselves, or --allow-vrt if you trust it."
        ) from error
    return dataset


# rasterio.open takes the name of one driver; what it opens files with takes several.
@ensure_env_with_credentials  # type: ignore[untyped-decorator]  # rasterio publishes no types
def _opened(path: str, drivers: list[str] | None) -> Any:
    return DatasetReader(path, driver=drivers)


def open_features(path: str, layer: str | None = None, *, remote: bool = False) -> Any:
    """Open a layer of a vector file with GDAL; the caller closes it.

    Raises:
        OutlineError: It points to files elsewhere, which the user did not allow.
        fiona.errors.FionaError: GDAL cannot open it.
    """
    if _trusting:
        return fiona.open(path, layer=layer)
    if not remote and _OGR.search(_head(Path(_local(path)), HEAD_BYTES)):
        raise OutlineError(
            f"{Path(path).name} points to other files or servers, as an OGR VRT does. "
            "Give the outlines themselves, or --allow-vrt if you trust it."
        )
    return fiona.open(path, layer=layer, enabled_drivers=list(VECTORS))


def layers_in(path: str, *, remote: bool = False) -> list[str]:
    """Name the layers of a vector file; raises as `open_features` does."""
    # Fiona lists them with any driver, so one of ours must have opened the file first.
    with open_features(path, remote=remote):
        return list(fiona.listlayers(path))


def _local(path: str) -> str:
    return path.removeprefix("file://").removeprefix("file:")


def _head(path: Path, least: int = 4096) -> bytes:
    """Return the beginning of a file in lower case where it is text; nothing where there is none.

    GDAL looks for its marks in the first bytes only, but for how many differs.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return b""
    if head.startswith((b"\xfe\xff", b"\xff\xfe")) or head[:4].count(0) == 2:
        head = head.replace(b"\0", b"") + b" " + head
    # Within a binary file of pixels or tables only the first bytes could be taken for a mark.
    return (head if head.lstrip(_BLANK)[:1] == b"<" else head[:least]).lower()


def _drivers_for(path: str) -> tuple[str, ...]:
    if path.lstrip().startswith(("<", "{")):
        raise UnclearError("is no name of a file")
    if path.startswith("vrt://"):
        real = source_path(path.removeprefix("vrt://").split("?")[0], None)
        _Walk(real.resolve().parent).visit(real, raw=False)
        return ("VRT",)
    local = Path(_local(path))
    if not is_there(local):
        if CONNECTION.match(_local(path)) and not _PARTS.match(_local(path)):
            raise UnclearError("asks a driver for pixels that lie elsewhere")
        return PIXELS
    walk = _Walk(local.resolve().parent)
    walk.beside(local)
    head = _head(local)
    if _VRT in head:
        walk.sources(local)
        return ("VRT",)
    if head.lstrip(_BLANK)[:1] == b"<" and _XML.search(head):
        raise UnclearError("names servers or files that its pixels are read from")
    return PIXELS


def _check_overview(name: str, path: Path) -> None:
    folder = path.parent
    real = source_path(name.removeprefix(":::BASE:::"), folder)
    _Walk(folder.resolve()).visit(real, raw=False)


class _Walk:
    """Follows a VRT to everything that it reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[Path] = set()
        self._within: list[Path] = []

    def sources(self, path: Path) -> None:
        """Check each file that a VRT names."""
        try:
            named = vrt_sources(path)
        except OSError as error:
            raise UnclearError(f"cannot be read: {error.strerror}") from error
        except UnclearError as error:
            raise UnclearError(f"is a VRT that holds {error}") from error
        self._within.append(path.resolve())
        for source, raw in named:
            self.visit(source, raw=raw)
        self._within.pop()

    def visit(self, path: Path, *, raw: bool) -> None:
        """Check a file that is read through another."""
        try:
            real = path.resolve()
            inside, there = real.is_relative_to(self._folder), real.is_file()
        except (OSError, RuntimeError, ValueError) as error:
            raise UnclearError(f"reads {str(path)[:100]!r}, which is no file") from error
        if real in self._within:
            raise UnclearError(f"reads {path.name}, which reads itself")
        if real in self._seen:
            return
        self._seen.add(real)
        if not inside:
            raise UnclearError(f"reads {path}, which lies outside its folder")
        if not there:
            raise UnclearError(f"reads {path}, which does not exist")
        if raw:
            return
        self.beside(real)
        head = _head(real)
        if _VRT in head:
            self.sources(real)
        elif not _holds_pixels(real, head):
            raise UnclearError(f"reads {path.name}, which may point to other files")

    def beside(self, path: Path) -> None:
        """Check the masks and overviews that GDAL takes along with a file."""
        for end in _BESIDE:
            for other in (path.with_name(path.name + end), path.with_suffix(end)):
                if is_there(other) and other != path:
                    self.visit(other, raw=False)


def _holds_pixels(path: Path, head: bytes) -> bool:
    if ".gti" in path.suffixes or _MARKS.search(head):
        return False
    if any(head.startswith(magic.lower()) for magic in _MAGIC):
        return True
    text = head.lstrip()[:1] in (b"<", b"{", b"[") or _XML.search(head)
    return path.suffix.lower() in _PLAIN and not text
