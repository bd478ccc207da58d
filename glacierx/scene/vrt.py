"""What a VRT points to, found before GDAL opens it."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

LARGEST_BYTES = 64 * 2**20
SOURCES = frozenset(("sourcefilename", "sourcedataset"))

# GDAL finds elements and attributes by one name, whatever their case, so both are looked up here.
# What is not listed can name files in ways of its own: pixel functions in Python, steps of
# processing, transformers that take a DEM.
KNOWN = frozenset((
    "vrtdataset", "rasterxsize", "rasterysize", "subclass", "srs", "dataaxistosrsaxismapping",
    "coordinateepoch", "geotransform", "gcplist", "projection", "gcp", "id", "info", "pixel",
    "line", "x", "y", "z", "metadata", "domain", "format", "mdi", "key", "vrtrasterband",
    "datatype", "band", "blockxsize", "blockysize", "description", "unittype", "offset",
    "scale", "nodatavalue", "hidenodatavalue", "colorinterp", "colortable", "entry", "c1", "c2",
    "c3", "c4", "categorynames", "category", "histograms", "histitem", "histmin", "histmax",
    "bucketcount", "includeoutofrange", "approximate", "histcounts", "maskband", "simplesource",
    "complexsource", "averagedsource", "kernelfilteredsource", "nodatafrommasksource",
    "relativetovrt", "shared", "sourceband", "sourceproperties", "srcrect", "dstrect", "xoff",
    "yoff", "xsize", "ysize", "nodata", "usemaskband", "resampling", "scaleoffset",
    "scaleratio", "lut", "colortablecomponent", "exponent", "srcmin", "srcmax", "dstmin",
    "dstmax", "clip", "kernel", "normalized", "size", "coefs", "maskvaluethreshold",
    "remappedvalue", "overviewlist", "overview", "imageoffset", "pixeloffset", "lineoffset",
    "byteorder", "pixelfunctiontype", "sourcetransfertype", "bufferradius",
    "skipnoncontributingsources", "gdalwarpoptions", "warpmemorylimit", "resamplealg",
    "workingdatatype", "option", "name", "transformer", "approxtransformer", "maxerror",
    "basetransformer", "genimgprojtransformer", "srcgeotransform", "srcinvgeotransform",
    "dstgeotransform", "dstinvgeotransform", "reprojecttransformer", "reprojectiontransformer",
    "sourcesrs", "targetsrs", "options", "bandlist", "bandmapping", "src", "dst",
    "srcnodatareal", "srcnodataimag", "dstnodatareal", "dstnodataimag", "srcalphaband",
    "dstalphaband", "cutline", "cutlineblenddist", "srcgcptransformer", "dstgcptransformer",
    "gcptransformer", "srctpstransformer", "tpstransformer", "order", "reversed", "refine",
    "maxgcps", "tolerance", "minimumgcps", "pansharpeningoptions", "algorithm",
    "algorithmoptions", "weights", "numthreads", "bitdepth", "spatialextentadjustment",
    "panchroband", "spectralband", "dstband",
))  # fmt: skip
# Domains of metadata that name files, and a kind of VRT that runs steps which do.
_REACHING = frozenset(
    ("overviews", "geolocation", "proxyoverviewrequest", "vrtprocesseddataset", "xml:vrt")
)
_PREFIXED = re.compile(r'(?:NETCDF|HDF5|GTIFF_DIR:\d+):"?([^":]+)"?(?::.*)?', re.IGNORECASE)
CONNECTION = re.compile(r"[A-Za-z][\w+.-]+:")


class UnclearError(ValueError):
    """A VRT holds what cannot be told to be harmless; its text says what."""


class _Collector:
    """Reads a VRT as XML and keeps the names of its sources; a target of XMLParser."""

    def __init__(self) -> None:
        self.found: list[tuple[str, bool, bool]] = []
        self._path: list[str] = []
        self._classes: list[str] = []
        self._text: list[str] | None = None
        self._beside = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.casefold()
        if self._text is not None:
            raise UnclearError(f"an element {tag} within the name of a file")
        given = {key.casefold(): value.strip().casefold() for key, value in attributes.items()}
        # The arguments of a pixel function may have any name.
        free = name == "pixelfunctionarguments"
        odd = {name} - KNOWN - SOURCES - {"pixelfunctionarguments"}
        odd |= set() if free else set(given) - KNOWN
        if odd:
            raise UnclearError(f"{sorted(odd)[0]!r}, which may reach other files")
        if len(given) < len(attributes) or _REACHING & set(given.values()):
            raise UnclearError(f"an element {tag} that may reach other files")
        self._path.append(name)
        self._classes.append(given.get("subclass", ""))
        if name in SOURCES:
            self._text, self._beside = [], given.get("relativetovrt", "0") == "1"
            if given.get("relativetovrt", "0") not in ("0", "1"):
                raise UnclearError("a source that is neither relative to it nor not")

    def data(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)
        elif text.strip().casefold() in _REACHING:
            raise UnclearError(f"{text.strip()!r}, which may reach other files")

    def end(self, tag: str) -> None:
        self._path.pop()
        self._classes.pop()
        if self._text is not None:
            raw = bool(self._classes) and self._classes[-1] == "vrtrawrasterband"
            self.found.append(("".join(self._text), self._beside, raw))
            self._text = None

    def comment(self, text: str) -> None:
        if self._text is not None:
            raise UnclearError("a comment within the name of a file")

    def pi(self, target: str, text: str | None = None) -> None:
        if self._text is not None:
            raise UnclearError("an instruction within the name of a file")

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise UnclearError("a DOCTYPE")

    def close(self) -> list[tuple[str, bool, bool]]:
        return self.found


def vrt_sources(path: Path) -> list[tuple[Path, bool]]:
    """Name the files that a VRT reads.

    Args:
        path: A file that holds a VRT, whatever it is called.

    Returns:
        Each source, and whether its bytes are pixels without any format of their own.

    Raises:
        UnclearError: It is no XML, or names sources that are no plain files.
    """
    if path.stat().st_size > LARGEST_BYTES:
        raise UnclearError(f"more than {LARGEST_BYTES // 2**20} MiB of XML")
    text = path.read_bytes()
    if b"<![CDATA[" in text or b"\0" in text:
        raise UnclearError("text that is no plain XML")
    try:
        parser = ElementTree.XMLParser(target=_Collector(), encoding="utf-8")
        parser.feed(text)
        found: Any = parser.close()
    except (ElementTree.ParseError, ValueError) as error:
        if isinstance(error, UnclearError):
            raise
        raise UnclearError(f"what is no XML ({error})") from error
    return [(source_path(name, path.parent if beside else None), raw)
            for name, beside, raw in dict.fromkeys(found)]  # fmt: skip


def source_path(name: str, folder: Path | None) -> Path:
    """Return the file that a name means, seen from a folder where it is relative to one.

    Raises:
        UnclearError: It is a URL, a connection or anything else than the name of a file.
    """
    plain = name
    if prefixed := _PREFIXED.fullmatch(name):
        plain = prefixed[1]
    here = (folder / plain) if folder else Path(plain)
    odd = plain.startswith(("/vsi", "\\\\", "<", "{")) or plain != plain.strip() or not plain
    if odd or "\0" in plain or CONNECTION.match(plain) or "://" in plain:
        raise UnclearError(f"the source {name[:100]!r}, which is no plain file")
    return here
