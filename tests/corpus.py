"""Bad files of every kind, each with the command that meets it and what has to come of it.

What has to come of a case follows from what its file is. ``python corpus.py make FOLDER`` makes
them all, ``python corpus.py run FOLDER`` runs each in one process.
"""

import contextlib
import gzip
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import corpus_models
import corpus_tables
import corpus_vectors
import numpy as np
import rasterio
from affine import Affine
from click.testing import CliRunner
from factories import ICE, ROCK, disc, utm_grid, write_tif
from rasterio.shutil import copy

COMMANDS = 10
EITHER = -1
"""Taken or refused with 4: a flipped bit may hit what nobody reads."""


@dataclass(frozen=True)
class Case:
    """A file, the command that meets it, and its exit code."""

    name: str
    command: tuple[str, ...]
    code: int
    says: str = ""


SCENE = ("predict", "{}", "-o", "out/p.tif", "--model", "ndsi")
DEM = ("extract", "good.tif", "--dem", "{}", "-o", "out/o.gpkg", "--model", "ndsi")
MASK = ("predict", "good.tif", "--invalid", "{}", "-o", "out/p.tif", "--model", "ndsi")
MAP = ("outline", "{}", "-o", "out/o.gpkg")


class Corpus:
    """Makes files into a folder and collects the cases that meet them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cases: list[Case] = []

    def add(self, file, command=SCENE, code=4, *, name=None, says=None):
        """Add a case; *says* is what its line of error has to name, the file unless told."""
        filled = tuple(part.format(file) for part in command)
        kind = command[0] if command[0] != "predict" else command[1].strip("{}") or "scene"
        label = name or f"{file}, {kind} {command[command.index('{}') - 1].strip('-')}"
        wanted = Path(file).name[:40] if says is None else says
        self.cases.append(Case(label, filled, code, wanted if code > 0 else ""))

    def write(self, file, content, command=SCENE, code=4, **more):
        """Write a file and add its case."""
        path = self.folder / file
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.add(file, command, code, **more)

    def raster(self, file, values, command=SCENE, code=4, *, grid=None, roles=tuple(ICE), **more):
        """Write a GeoTIFF with rasterio and add its case."""
        says = more.pop("says", None)
        grid = grid or utm_grid(np.shape(values)[1:])
        (self.folder / file).parent.mkdir(exist_ok=True, parents=True)
        write_tif(self.folder / file, values, grid, descriptions=roles, **more)
        self.add(file, command, code, says=says)


def scene_values(side=48, kind="uint16"):
    """Five bands of a disc of ice on rock."""
    ice = disc((side, side), (side / 2, side / 2), side / 3)
    bands = [np.where(ice, ICE[role], ROCK[role]) for role in ICE]
    return np.rint(np.stack(bands) / 1e-4).astype(kind)


def make(folder: Path) -> list[Case]:
    """Make every file and return every case."""
    corpus = Corpus(folder)
    _good(folder)
    for part in (_scenes, _headers, _places, _sizes, _pointers, _trusted, _heights, _maps):
        part(corpus)
    corpus_vectors.add(corpus)
    corpus_models.add(corpus)
    corpus_tables.add(corpus)
    return corpus.cases


SCALED = {"scales": (1e-4,) * 5}
TILED = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}


def _good(folder: Path) -> None:
    (folder / "out").mkdir()
    grid = utm_grid((48, 48))
    write_tif(folder / "good.tif", scene_values(), grid, descriptions=tuple(ICE), **SCALED)
    slope = np.linspace(2000, 2500, 48 * 48, dtype="float32").reshape(1, 48, 48)
    write_tif(folder / "good_dem.tif", slope, grid)
    ice = disc((48, 48), (24, 24), 16)
    write_tif(folder / "good_mask.tif", ice[None].astype("uint8"), grid)


def _scenes(corpus: Corpus) -> None:
    good = (corpus.folder / "good.tif").read_bytes()
    corpus.write("empty.tif", b"")
    corpus.write("text.tif", "this is no picture\n" * 20)
    corpus.write("page.tif", "<!DOCTYPE html><html><body>404 Not Found</body></html>")
    corpus.write("answer.tif", '{"error": "quota exceeded"}')
    corpus.write("noise.tif", np.random.default_rng(1).bytes(4000))
    corpus.write("zeros.tif", bytes(5000))
    corpus.write("magic.tif", b"PK" + good[2:])
    corpus.write("magic2.tif", b"II\x2a\x01" + good[4:])
    corpus.write("png.tif", b"\x89PNG\r\n\x1a\n" + good[8:])
    corpus.write("swapped.tif", b"MM\0*" + good[4:])
    corpus.write("gzip.tif", gzip.compress(good))
    with zipfile.ZipFile(corpus.folder / "zip.tif", "w") as archive:
        archive.write(corpus.folder / "good.tif", "good.tif")
    corpus.add("zip.tif")
    (corpus.folder / "folder.tif").mkdir()
    corpus.add("folder.tif")
    corpus.add("missing.tif")
    corpus.add("n" * 300 + ".tif")
    corpus.add("nul\0.tif", says="nul")
    corpus.add("http://127.0.0.1:9/gone.tif")
    corpus.add("/vsizip/good.tif/inside.tif", says="inside.tif")
    values = scene_values()
    nothing = np.full((5, 48, 48), np.nan, "float32")
    for kind in ("int64", "uint64", "float64", "int8", "uint32", "float32"):
        corpus.raster(f"{kind}.tif", (values // 100).astype(kind), code=0, scales=(0.01,) * 5)
    corpus.raster("one_pixel.tif", values[:, 20:21, 20:21], code=0, **SCALED)
    corpus.raster("one_row.tif", values[:, 20:21], code=0, **SCALED)
    corpus.raster("one_column.tif", values[:, :, 20:21], code=0, **SCALED)
    corpus.raster("one_block.tif", values, code=0, compress="deflate", blockysize=48, **SCALED)
    corpus.raster("infinite.tif", np.where(values > 5000, np.inf, values).astype("float32"),
                  code=0, **SCALED)  # fmt: skip
    corpus.raster("complex.tif", values.astype("complex64"))
    # An edge tile of a mosaic can be without data; then nothing is known of any of its pixels.
    corpus.raster("all_nan.tif", nothing, code=0, **SCALED)
    corpus.raster("all_nodata.tif", np.zeros_like(values), code=0, nodata=0, **SCALED)
    corpus.raster("nameless.tif", values, roles=())
    corpus.raster("four_bytes.tif", (values[:4] // 100).astype("uint8"), roles=())
    corpus.raster("twice.tif", values, roles=("green", "green", "red", "nir", "swir1"))
    corpus.raster("no_swir.tif", values[:4], roles=tuple(ICE)[:4])
    for codec in ("deflate", "lzw", "zstd"):
        path = corpus.folder / f"{codec}.tif"
        write_tif(
            path, values, utm_grid((48, 48)), descriptions=tuple(ICE), compress=codec, **SCALED
        )
        data = bytearray(path.read_bytes())
        offset = struct.unpack_from("<I", data, _entry(data, 273) + 8)[0]
        first = struct.unpack_from("<I", data, offset)[0]
        data[first : first + 64] = b"\xff" * 64
        # LZW has no checksum, so it may take anything for pixels.
        corpus.write(f"{codec}.tif", bytes(data), code=EITHER if codec == "lzw" else 4)


def _headers(corpus: Corpus) -> None:
    values, grid = scene_values(), utm_grid((48, 48))
    for file, profile in (("tiled", TILED), ("plain", {})):
        path = corpus.folder / f"{file}.whole.tif"
        write_tif(path, values, grid, descriptions=tuple(ICE), **profile, **SCALED)
        data = path.read_bytes()
        # The last bytes of compressed data are a checksum that a decoder may leave unread.
        for cut in np.linspace(1, len(data) - 64, 20).astype(int).tolist():
            corpus.write(f"{file}.cut{cut}.tif", data[:cut])
    data = bytearray((corpus.folder / "plain.whole.tif").read_bytes())
    start = struct.unpack_from("<I", data, 4)[0]
    random = np.random.default_rng(7)
    places = sorted(random.choice(8 * 12 * 20, 36, replace=False).tolist())
    for bit in [*range(0, 64, 6), *(8 * start + place for place in places)]:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        corpus.write(f"bit{bit}.tif", bytes(flipped), code=EITHER)
    for tag, value, code in (
        (256, 0, 4),  # no columns
        (257, 0, 4),  # no rows
        (257, 2**31 - 1, 4),  # more rows than the file can hold
        (258, 0, EITHER),  # where the types of bands stand
        (259, 60000, 4),  # no such compression
        (262, 60000, EITHER),  # no such colours
        (273, 2**31 - 1, 4),  # pixels beyond the end
        (277, 0, 4),  # no bands
        (277, 60000, 4),  # bands that are not there
        (278, 0, EITHER),  # strips of no rows
        (284, 77, EITHER),  # no such order of bands
        (339, 99, EITHER),  # no such kind of number
    ):
        patched = bytearray(data)
        at = _entry(patched, tag)
        kind = struct.unpack_from("<H", patched, at + 2)[0]
        short = kind == 3
        struct.pack_into(
            "<H" if short else "<I", patched, at + 8, min(value, 65535) if short else value
        )
        corpus.write(f"tag{tag}_{value}.tif", bytes(patched), code=code)
    loop = bytearray(data)
    count = struct.unpack_from("<H", loop, start)[0]
    struct.pack_into("<I", loop, start + 2 + 12 * count, start)
    corpus.write("loop.tif", bytes(loop), code=EITHER)


def _entry(data, tag):
    """Return where an entry of the first directory of a little-endian TIFF stands."""
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    entries = range(start + 2, start + 2 + 12 * count, 12)
    return next(at for at in entries if struct.unpack_from("<H", data, at)[0] == tag)


def _places(corpus: Corpus) -> None:
    values, grid = scene_values(), utm_grid((48, 48))
    corpus.raster("no_crs.tif", values, crs=None)
    with np.errstate(all="ignore"), contextlib.suppress(Exception):
        path = corpus.folder / "no_transform.tif"
        with rasterio.open(path, "w", driver="GTiff", width=48, height=48, count=5,
                           dtype="uint16", crs=grid.crs) as file:  # fmt: skip
            file.write(values)
            file.descriptions = tuple(ICE)
    corpus.add("no_transform.tif")
    data = (corpus.folder / "plain.whole.tif").read_bytes()
    scale = struct.pack("<3d", 10, 10, 0)
    corner = struct.pack("<2d", 600_000, 5_200_000)
    for name, old, new in (
        ("nan_scale", scale, (np.nan, np.nan, 0)),
        ("infinite_scale", scale, (np.inf, np.inf, 0)),
        ("no_scale", scale, (0, 0, 0)),
        ("huge_scale", scale, (1e300, 1e300, 0)),
        ("tiny_scale", scale, (1e-300, 1e-300, 0)),
        ("nan_corner", corner, (np.nan, np.nan)),
        ("far_corner", corner, (1e15, 1e15)),
    ):
        assert old in data
        corpus.write(f"{name}.tif", data.replace(old, struct.pack(f"<{len(new)}d", *new)))
    beyond = utm_grid((48, 48), gsd=0.01, corner=(10, 500), epsg=4326)
    corpus.raster("beyond_pole.tif", values, grid=beyond, **SCALED)
    other = utm_grid((48, 48), epsg=32632, corner=(100_000, 100_000))
    corpus.raster("elsewhere.tif", values[:1] % 2, MASK, grid=other, roles=())


def _sizes(corpus: Corpus) -> None:
    profile = {"driver": "GTiff", "dtype": "uint8", "crs": "EPSG:32632", "SPARSE_OK": True,
               "transform": Affine(10, 0, 6e5, 0, -10, 5.2e6)}  # fmt: skip
    tiles = {"tiled": True, "blockxsize": 4096, "blockysize": 4096, "bigtiff": "yes"}

    def sparse(file, rows, columns, count=5, command=SCENE, **more):
        path = corpus.folder / file
        with rasterio.open(
            path, "w", height=rows, width=columns, count=count, **{**profile, **more}
        ) as made:
            made.descriptions = (tuple(ICE) * count)[:count]
        corpus.add(file, command)

    sparse("sparse.tif", 200_000, 200_000, **tiles)
    sparse("sparse_dem.tif", 200_000, 200_000, 1, DEM, **tiles)
    sparse("sparse_map.tif", 200_000, 200_000, 1, MAP, **tiles)
    sparse("sparse_mask.tif", 200_000, 200_000, 1, MASK, **tiles)
    sparse("wide.tif", 1, 30_000_000, 1)
    sparse("tall.tif", 30_000_000, 1, 1, tiled=True, blockxsize=16, blockysize=512)
    sparse("huge_tile.tif", 100, 100, tiled=True, blockxsize=32768, blockysize=32768)
    sparse("bands.tif", 2, 2, 6000, interleave="band")
    with rasterio.open(corpus.folder / "nothing.tif", "w", height=48, width=48, count=5,
                       **profile) as made:  # fmt: skip
        made.descriptions = tuple(ICE)
    # A file of no tiles is a scene of zeros, which glacierx does not take for no data.
    corpus.add("nothing.tif", SCENE, EITHER)


BAND = (
    '<VRTRasterBand dataType="UInt16" band="{0}"><Description>{1}</Description>'
    "<Scale>0.0001</Scale>{2}</VRTRasterBand>"
)
SOURCE = (
    '<SimpleSource><SourceFilename relativeToVRT="{1}">{0}</SourceFilename>'
    "<SourceBand>{{0}}</SourceBand></SimpleSource>"
)


def vrt(source, *, start="", shape=(48, 48), beside=1, dataset=""):
    """Write a VRT of five bands with the same source."""
    inner = SOURCE.format(source, beside) if not source.startswith("<") else source
    bands = "".join(
        BAND.format(number, role, inner.format(number)) for number, role in enumerate(ICE, 1)
    )
    return (
        f'{start}<VRTDataset rasterXSize="{shape[1]}" rasterYSize="{shape[0]}">'
        "<SRS>EPSG:32632</SRS><GeoTransform>600000,10,0,5200000,0,-10</GeoTransform>"
        f"{dataset}{bands}</VRTDataset>"
    )


RAW = '<SourceFilename relativeToVRT="0">{}</SourceFilename><PixelOffset>2</PixelOffset>'
WMS = (
    '<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:9/${z}/${x}/${y}.png</ServerUrl>'
    "</Service><DataWindow><SizeX>48</SizeX><SizeY>48</SizeY></DataWindow></GDAL_WMS>"
)
OUTSIDE = "../secret.tif"


def _pointers(corpus: Corpus) -> None:
    folder = corpus.folder
    shutil.copy(folder / "good.tif", folder.parent / "secret.tif")
    whole = str((folder.parent / "secret.tif").resolve())
    python = (
        "<PixelFunctionType>f</PixelFunctionType><PixelFunctionLanguage>Python"
        "</PixelFunctionLanguage><PixelFunctionCode>open('out/canary', 'w')</PixelFunctionCode>"
    )
    sources = {
        "up": OUTSIDE, "whole": whole, "url": "http://127.0.0.1:9/x.tif",
        "curl": "/vsicurl/http://127.0.0.1:9/x.tif", "zip": "/vsizip/a.zip/x.tif",
        "vrt": f"vrt://{whole}", "inline": "&lt;VRTDataset rasterXSize='1'/&gt;",
        "gone": "gone.tif", "wms": "wms.tif", "linked": "linked.tif", "folder": "folder.tif",
        "nested": "up.tif", "upward": "sub/../../secret.tif", "netcdf": f'NETCDF:"{whole}":a',
        "comment": "good.tif<!-- -->/../../secret.tif", "cdata": f"<![CDATA[{whole}]]>",
        "python": python, "self": "self.tif", "entity": "&a;", "outlines": "fc.geojson",
        "attribute": f'<SimpleSource SourceFilename="{whole}"></SimpleSource>',
        "small": f"<simplesource><sourcefilename>{whole}</sourcefilename></simplesource>",
    }  # fmt: skip
    corpus.write("wms.tif", WMS)
    corpus.write("wmts.tif", "<GDAL_WMTS><GetCapabilitiesUrl>http://127.0.0.1:9/</GetCapabilitiesUrl>"
                 "</GDAL_WMTS>")  # fmt: skip
    corpus.write("gti.tif", "<GDALTileIndexDataset><IndexDataset>i.gpkg</IndexDataset>"
                 "</GDALTileIndexDataset>")  # fmt: skip
    corpus.write("stac.tif", '{"stac_version": "1.0.0", "stac_extensions": [], "type": "Feature"}')
    (folder / "linked.tif").symlink_to(whole)
    for name, source in sources.items():
        text = vrt(source)
        if source.startswith(("<![", "&")):
            text = vrt("x").replace(">x<", f">{source}<")
        corpus.write(f"{name}.vrt.tif" if name != "up" else "up.tif", text, says="--allow-vrt")
        if name == "self":
            corpus.write("self.tif", text)
    entity = f'<!DOCTYPE VRTDataset [<!ENTITY a "{whole}">]>'
    corpus.write("doctype.tif", vrt("&a;", start=entity))
    laughs = "".join(f'<!ENTITY b{n + 1} "{f"&b{n};" * 10}">' for n in range(9))
    corpus.write("laughs.tif", vrt("&b9;", start=f'<!DOCTYPE V [<!ENTITY b0 "ha">{laughs}]>'))
    raw = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{n}" subClass="VRTRawRasterBand"><Description>'
        f"{role}</Description>{RAW.format('/etc/passwd')}</VRTRasterBand>"
        for n, role in enumerate(ICE, 1)
    )
    corpus.write("raw.tif", vrt("good.tif").split("<VRTRasterBand")[0] + raw + "</VRTDataset>")
    over = f'<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{whole}</MDI></Metadata>'
    corpus.write("overviews.tif", vrt("good.tif", dataset=over))
    corpus.write("broken.tif", vrt("good.tif")[:-20])
    corpus.write("huge.tif", vrt("good.tif", shape=(10**9, 10**9)))
    corpus.write("empty_vrt.tif", '<VRTDataset rasterXSize="48" rasterYSize="48"></VRTDataset>')
    many = "".join(f'<VRTRasterBand dataType="Byte" band="{n}"/>' for n in range(1, 70_001))
    corpus.write("many.tif", f'<VRTDataset rasterXSize="4" rasterYSize="4">{many}</VRTDataset>')
    deep = '<VRTDataset rasterXSize="4" rasterYSize="4">' + "<Metadata>" * 100_000
    corpus.write("deep.tif", deep)
    for end in ("msk", "ovr"):
        shutil.copy(folder / "good.tif", folder / f"beside_{end}.tif")
        (folder / f"beside_{end}.tif.{end}").write_text(vrt(OUTSIDE))
        corpus.add(f"beside_{end}.tif")
    for command in (DEM, MAP, MASK):
        corpus.add("up.tif", command)
    corpus.add(vrt(whole), name="a VRT as the name of a scene", says="name")
    corpus.add(f"vrt://{folder / 'up.tif'}", says="up.tif")


def _trusted(corpus: Corpus) -> None:
    shutil.copytree(corpus.folder / "out", corpus.folder / "sub")
    shutil.copy(corpus.folder / "good.tif", corpus.folder / "sub" / "below.tif")
    for name, text in {
        "same_folder.vrt": vrt("good.tif"),
        "no_vrt_by_name.tif": vrt("good.tif"),
        "below.vrt": vrt("sub/below.tif"),
        "nested.vrt": vrt("same_folder.vrt"),
        "whole_name.vrt": vrt(str((corpus.folder / "good.tif").resolve()), beside=0),
    }.items():
        corpus.write(name, text, code=0)
    corpus.write("typed.vrt", vrt(OUTSIDE), (*SCENE, "--allow-vrt"), 0)
    copy(str(corpus.folder / "good.tif"), str(corpus.folder / "gdals.vrt"), driver="VRT")
    corpus.add("gdals.vrt", SCENE, 0)
    corpus.add("vrt://good.tif?bands=2,5", SCENE, 0)


def _heights(corpus: Corpus) -> None:
    good = (corpus.folder / "good_dem.tif").read_bytes()
    heights = np.linspace(2000, 2500, 48 * 48, dtype="float32").reshape(1, 48, 48)
    voids = heights.copy()
    voids[:, 10:12, 10:12] = -9999
    more = {"command": DEM, "roles": ()}
    corpus.write("dem_empty.tif", b"", DEM)
    corpus.add("dem_missing.tif", DEM)
    for cut in np.linspace(4, len(good) - 64, 10).astype(int).tolist():
        corpus.write(f"dem_cut{cut}.tif", good[:cut], DEM)
    corpus.raster("dem_no_crs.tif", heights, crs=None, **more)
    corpus.raster("dem_far.tif", heights, grid=utm_grid((48, 48), corner=(1e5, 1e5)), **more)
    corpus.raster("dem_complex.tif", heights.astype("complex64"), **more)
    corpus.raster("dem_bands.tif", np.repeat(heights, 2, 0), **more)
    corpus.raster("dem_nan.tif", np.full_like(heights, np.nan), DEM, 0, roles=())
    corpus.raster("dem_voids.tif", voids, DEM, 0, roles=())
    corpus.raster("dem_flat.tif", np.zeros_like(heights), DEM, 0, roles=())
    corpus.raster("dem_int64.tif", heights.astype("int64"), DEM, 0, roles=())
    corpus.raster("dem_huge_numbers.tif", heights * np.float32(1e34), DEM, 0, roles=())
    corpus.write("dem_feet.tif", vrt("good_dem.tif").replace(
        "</Description>", "</Description><UnitType>ft</UnitType>", 1), DEM)  # fmt: skip


def _maps(corpus: Corpus) -> None:
    good = (corpus.folder / "good_mask.tif").read_bytes()
    ice = disc((48, 48), (24, 24), 16)[None]
    more = {"command": MAP, "roles": ()}
    corpus.write("map_empty.tif", b"", MAP)
    for cut in np.linspace(4, len(good) - 64, 8).astype(int).tolist():
        corpus.write(f"map_cut{cut}.tif", good[:cut], MAP)
    corpus.raster("map_300.tif", (ice * 300).astype("uint16"), **more)
    corpus.raster("map_255.tif", (ice * 255).astype("uint8"), **more)
    corpus.raster("map_below.tif", -ice.astype("float32"), **more)
    corpus.raster("map_infinite.tif", np.where(ice, np.inf, 0).astype("float32"), **more)
    corpus.raster("map_bands.tif", np.repeat(ice, 3, 0).astype("uint8"), **more)
    corpus.raster("map_complex.tif", ice.astype("complex64"), **more)
    corpus.raster("map_no_crs.tif", ice.astype("uint8"), crs=None, **more)
    corpus.raster("map_none.tif", np.zeros(ice.shape, "uint8"), MAP, 0, roles=())
    corpus.raster("map_nan.tif", np.full(ice.shape, np.nan, "float32"), MAP, 0, roles=())
    corpus.raster("map_one.tif", np.ones((1, 1, 1), "uint8"), MAP, 0, roles=())
    odd = {
        "GLACIERX_THRESHOLD": "nonsense",
        "GLACIERX_CLASSES": "[1",
        "GLACIERX_RECORD": "[" * 9999,
    }
    corpus.raster("map_tags.tif", ice.astype("uint8"), MAP, 4, roles=(), tags=odd)
    corpus.raster("mask_values.tif", (ice * 7).astype("uint8"), MASK, roles=())
    corpus.raster("mask_bands.tif", np.repeat(ice, 2, 0).astype("uint8"), MASK, roles=())
    for cut in (10, 300, len(good) - 500):
        corpus.write(f"mask_cut{cut}.tif", good[:cut], MASK)


def run(cases, folder: Path):
    """Run every case in this process; yield what came of each."""
    from glacierx.cli.main import group

    for case in cases:
        before = listed(folder)
        started = time.perf_counter()
        result = CliRunner().invoke(group, list(case.command))
        took = time.perf_counter() - started
        made = sorted(listed(folder) - before)
        crash = ""
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            crash = repr(result.exception)[:300]
        yield {
            "code": result.exit_code,
            "stderr": result.stderr,
            "seconds": took,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "made": made,
            "crash": crash,
            "bad_result": check_made(folder, made) if result.exit_code == 0 else "",
        }
        for path in (folder / "out").iterdir():
            path.unlink()


def command(case: Case) -> dict[str, object]:
    """Run a case as a user does, in a process of its own."""
    words = [sys.executable, "-m", "glacierx", *case.command]
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with child.stderr:
        stderr = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return {
        "found": child.returncode,
        "stderr": stderr,
        "seconds": used.ru_utime + used.ru_stime,
        # It begins with the memory of this process, which is why the tests leave it to one.
        "peak_mb": used.ru_maxrss // 1024,
    }


def listed(folder: Path) -> set[str]:
    """Name every file below a folder and beside it."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return found | {f"../{path.name}" for path in folder.parent.iterdir()}


def main() -> None:
    """Make the corpus in a folder, run it there, or a part of it as commands; lines of JSON."""
    step, folder = sys.argv[1], Path(sys.argv[2])
    file = folder.parent / "cases.json"
    if step == "make":
        file.write_text(json.dumps([asdict(case) for case in make(folder)]))
        return
    cases = [Case(**case) for case in json.loads(file.read_text())]
    os.chdir(folder)
    if step == "commands":
        refused = [case for case in cases if case.code > 0 and "\0" not in "".join(case.command)]
        chosen = refused[:: len(refused) // COMMANDS][:COMMANDS]
        with ThreadPoolExecutor(2) as pool:
            for case, found in zip(chosen, pool.map(command, chosen), strict=True):
                sys.stdout.write(json.dumps({**asdict(case), **found}) + "\n")
        return
    # What a command brings along before it meets a bad file is not counted.
    warm = Case("warm", ("predict", "good.tif", "-o", "out/p.tif", "--model", "ndsi"), 0)
    list(run([warm], folder))
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    for case, found in zip(cases, run(cases, folder), strict=True):
        sys.stdout.write(json.dumps({**asdict(case), "found": found, "start_mb": start}) + "\n")


def check_made(folder: Path, made) -> str:
    """Say what is wrong with the results of a case that was taken; nothing if nothing is."""
    odd = [name for name in made if not name.startswith("out/")]
    if odd:
        return f"written elsewhere: {odd}"
    for name in made:
        path = folder / name
        if path.suffix == ".tif":
            with rasterio.open(path) as file:
                values = file.read(1)
                if not ((values <= 250) | (values == 255)).all():
                    return f"{name} holds no probabilities"
        if path.suffix == ".gpkg":
            wrong = corpus_vectors.check(path)
            if wrong:
                return wrong
    return ""


if __name__ == "__main__":
    main()
