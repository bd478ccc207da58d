"""Feed random files to whatever reads them: nothing but an error of ours may come of it.

``python benchmarks/fuzz.py --minutes 10`` goes through all readers, again and again with other
seeds; ``--only card`` through one. A crash is shown with the smallest example that leads to it.
"""

import argparse
import io
import json
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import fiona
import numpy as np
import rasterio
import torch
from affine import Affine
from click.testing import CliRunner
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from rasterio.windows import Window
from safetensors.torch import save

from glacierx.cli.main import group
from glacierx.errors import GlacierxError
from glacierx.evaluate.pairs import Pair, read_pairs
from glacierx.outlines.geopackage import read_complexes, read_outlines
from glacierx.predict.card import Card, Slot
from glacierx.predict.model import load_model
from glacierx.predict.modelfile import CARD_KEY, METHOD_KEY, build_model
from glacierx.scene.prediction import open_prediction
from glacierx.scene.scene import open_scene
from glacierx.scene.terrain import Dem
from glacierx.training.manifest import COLUMNS, read_manifest
from glacierx.training.samples import load_samples

SMALL = {"depth": 18, "widths": [4, 4, 4, 4, 8], "pyramid_width": 4, "low_width": 2}
READ_PX = 64
Target = Callable[[Any, Path], None]


def _raster(**profile: Any) -> bytes:
    """Return a small GeoTIFF."""
    values = np.arange(5 * 40 * 30, dtype="uint16").reshape(5, 40, 30)
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver="GTiff", count=5, height=40, width=30, dtype="uint16", crs="EPSG:32632",
            transform=Affine(10, 0, 6e5, 0, -10, 5.2e6), **profile,
        ) as file:  # fmt: skip
            file.write(values)
            file.descriptions = ("blue", "green", "red", "nir", "swir1")
            file.scales = (1e-4,) * 5
        return bytes(memory.read())


def _vector(driver: str) -> bytes:
    """Return a small vector file."""
    ring = [(10.0, 46.0), (10.1, 46.0), (10.1, 46.1), (10.0, 46.0)]
    schema = {"geometry": "Polygon", "properties": {"complex_id": "int", "name": "str"}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{'fgb' if driver == 'FlatGeobuf' else driver.lower()}"
        with fiona.open(path, "w", driver=driver, schema=schema, crs="EPSG:4326") as file:
            file.write({"geometry": {"type": "Polygon", "coordinates": [ring]},
                        "properties": {"complex_id": 1, "name": "a"}})  # fmt: skip
        return path.read_bytes()


VRT = b"""<VRTDataset rasterXSize="30" rasterYSize="40"><SRS>EPSG:32632</SRS>
<GeoTransform>600000,10,0,5200000,0,-10</GeoTransform><Metadata><MDI key="a">b</MDI></Metadata>
<VRTRasterBand dataType="UInt16" band="1"><Description>green</Description><SimpleSource>
<SourceFilename relativeToVRT="1">good.tif</SourceFilename><SourceBand>2</SourceBand>
<SrcRect xOff="0" yOff="0" xSize="30" ySize="40"/></SimpleSource></VRTRasterBand></VRTDataset>"""
CARD = Card("fuzzed", "deeplabv3plus", (Slot("green"), Slot("nir")), arguments=SMALL, patch_px=32)
WORDS = (
    b"<", b">", b"../", b"/etc/passwd", b"http://127.0.0.1:9/", b"\0", b"\xff" * 4, b"[" * 50,
    b"nan", b"-1", b"1e999", b"9" * 30, b'"', b",", b"\n", b"relativeToVRT", b"null",
)  # fmt: skip


@st.composite
def damaged(draw: Any, wholes: list[bytes]) -> bytes:
    """Cut, flip, overwrite, repeat and insert bytes of a good file."""
    data = bytearray(draw(st.sampled_from(wholes)))
    # Headers are short and say most, so half of the damage goes there.
    near = st.integers(0, min(600, len(data) - 1))
    places = st.one_of(near, st.integers(0, len(data) - 1))
    for _ in range(draw(st.integers(1, 6))):
        kind, at = draw(st.sampled_from("bbbvwxci")), draw(places)
        at = min(at, max(0, len(data) - 1))
        if kind == "b" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "v":
            number = draw(st.sampled_from((0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1)))
            data[at : at + 4] = struct.pack("<I", number)
        elif kind == "w":
            word = draw(st.sampled_from(WORDS))
            data[at : at + len(word)] = word
        elif kind == "i":
            data[at:at] = draw(st.sampled_from(WORDS))
        elif kind == "x":
            data[at : at + draw(st.integers(1, 64))] = b""
        elif kind == "c" and draw(st.booleans()):
            del data[at:]
    return bytes(data)


def _json(leaves: Any = None) -> Any:
    plain = st.one_of(
        st.none(), st.booleans(), st.integers(), st.integers(-(2**70), 2**70), st.floats(),
        st.text(max_size=8), st.sampled_from(("green", "nir", "none", "10", "../x", "1e400")),
    )  # fmt: skip
    return st.recursive(
        leaves or plain,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=8,
    )


@st.composite
def edited(draw: Any, whole: Any) -> Any:
    """Put anything in the place of anything in a tree of JSON."""
    tree = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 3))):
        node = tree
        while isinstance(node, dict | list) and node:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = draw(st.sampled_from(keys))
            if not isinstance(node[key], dict | list) or not node[key] or draw(st.booleans()):
                node[key] = draw(_json())
                break
            node = node[key]
        if isinstance(tree, dict) and draw(st.integers(0, 5)) == 0:
            tree[draw(st.text(max_size=5))] = draw(_json())
    return tree


def _table() -> Any:
    words = st.sampled_from(("good.tif", "green=2,nir=4", "0.5", "nan", "train", "-1", ""))
    numbers = st.one_of(st.floats(), st.integers()).map(str)
    cell = st.one_of(words, st.text(max_size=12), numbers)
    names = st.lists(st.sampled_from((*COLUMNS, "prediction", "truth", "band", "x")), max_size=6)
    rows = st.lists(st.lists(cell, max_size=6), max_size=4)
    return st.builds(
        lambda head, body: "\n".join(",".join(row) for row in [head, *body]).encode(), names, rows
    )


def _tables() -> Any:
    lines = st.lists(st.one_of(edited({"scene": "a", "labels": "b", "weight": 1, "scale": 2}),
                               _json()), max_size=3)  # fmt: skip
    jsonl = lines.map(lambda rows: "\n".join(json.dumps(row) for row in rows).encode())
    return st.one_of(_table(), jsonl, st.binary(max_size=60))


def _configs() -> Any:
    known = st.sampled_from(("keep", "patch_px", "tta", "median", "bands", "a.b", "nodata"))
    key = st.one_of(known, st.text(max_size=6))
    value = st.one_of(
        st.sampled_from(("1", "0.5", "nan", "true", '"none"', "[1, 2]", "{a = 1}", "2020-01-01",
                         "9" * 400, "0x7f", "07:32:00", "")),
        st.text(max_size=10), st.floats().map(str), st.integers().map(str),
    )  # fmt: skip
    line = st.builds(lambda one, other: f"{one} = {other}", key, value)
    return st.lists(line, max_size=4).map(lambda rows: "\n".join(rows).encode("utf-8", "replace"))


def read_pixels(data: bytes, folder: Path) -> None:
    """Read a raster as a scene, a DEM and a probability map."""
    path = folder / "fuzzed.tif"
    path.write_bytes(data)
    for open_one in (open_scene, Dem, open_prediction):
        with suppress(GlacierxError), open_one(path) as opened:
            grid = opened.grid
            window = Window(0, 0, min(READ_PX, grid.columns), min(READ_PX, grid.rows))
            opened.read(grid.crop(window) if open_one is Dem else window)


def read_vectors(data: bytes, folder: Path) -> None:
    """Read outlines and complexes."""
    path = folder / "fuzzed.gpkg"
    path.write_bytes(data)
    for read in (read_outlines, read_complexes):
        with suppress(GlacierxError):
            read(path)


def read_features(tree: Any, folder: Path) -> None:
    """Read outlines from a tree of GeoJSON."""
    read_vectors(json.dumps(tree).encode(), folder)


def read_card(tree: Any, folder: Path) -> None:
    """Read a card alone."""
    with suppress(GlacierxError):
        Card.from_json(json.dumps(tree), "fuzzed")


def read_model(data: bytes, folder: Path) -> None:
    """Read the file of a model, weights and all."""
    path = folder / "fuzzed.safetensors"
    path.write_bytes(data)
    with suppress(GlacierxError):
        load_model(path)


def read_method(tree: Any, folder: Path) -> None:
    """Read the card of a pixel method."""
    read_model(save({}, metadata={METHOD_KEY: json.dumps(tree)}), folder)


def read_tables(data: bytes, folder: Path) -> None:
    """Read a table as a manifest and as a list of pairs."""
    for name in ("fuzzed.csv", "fuzzed.jsonl"):
        (folder / name).write_bytes(data)
        with suppress(GlacierxError):
            read_manifest(folder / name)
    with suppress(GlacierxError):
        read_pairs(folder / "fuzzed.csv", Pair("", ""))


def read_samples(data: bytes, folder: Path) -> None:
    """Read a sample file."""
    (folder / "fuzzed.npz").write_bytes(data)
    with suppress(GlacierxError):
        load_samples(folder / "fuzzed.npz")


def read_config(data: bytes, folder: Path) -> None:
    """Run a command with a config; the scene that it wants is not there."""
    (folder / "fuzzed.toml").write_bytes(data)
    config = str(folder / "fuzzed.toml")
    out = str(folder / "out.tif")
    result = CliRunner().invoke(group, ["predict", "gone.tif", "-o", out, "--config", config])
    if not isinstance(result.exception, SystemExit):
        raise AssertionError(repr(result.exception)) from result.exception


def _archive() -> bytes:
    about = {"name": "a", "roles": ["green"], "gsd_m": 10.0, "part": "train", "group": "all",
             "weight": 1.0, "about": {}}  # fmt: skip
    text = json.dumps({"format": "glacierx samples 1", "about": {}, "samples": [about]})
    file = io.BytesIO()
    np.savez(file, card=np.frombuffer(text.encode(), np.uint8), label_0=np.zeros((2, 2), np.uint8),
             values_0=np.zeros((1, 2, 2), np.float16))  # fmt: skip
    return file.getvalue()


def targets() -> dict[str, tuple[Any, Target]]:
    """Return what is fuzzed: a strategy, and what is done with what it draws."""
    plain = _raster()
    tiled = _raster(tiled=True, blockxsize=16, blockysize=16, compress="deflate")
    weights = save(build_model(CARD).network.state_dict(), metadata={CARD_KEY: CARD.to_json()})
    collection = json.loads(_vector("GeoJSON"))
    method = {"format": 1, "name": "ratio", "thresholds": {"ratio": 2.0}, "units": "reflectance",
              "features": [], "training": {"footprints": [[1, 2, 3, 4]]}}  # fmt: skip
    return {
        "raster": (damaged([plain, tiled]), read_pixels),
        "vrt": (damaged([VRT]), read_pixels),
        "vector": (damaged([_vector("GPKG"), _vector("GeoJSON"), _vector("FlatGeobuf")]),
                   read_vectors),
        "geojson": (edited(collection), read_features),
        "card": (edited(json.loads(CARD.to_json())), read_card),
        "model": (damaged([weights]), read_model),
        "method": (edited(method), read_method),
        "tables": (_tables(), read_tables),
        "samples": (damaged([_archive()]), read_samples),
        "config": (_configs(), read_config),
    }  # fmt: skip


def fuzz(strategy: Any, target: Target, *, examples: int, number: int) -> None:
    """Draw so many examples from a seed; the smallest that crashes is raised with its error."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "good.tif").write_bytes(_raster())

        @seed(number)
        @settings(max_examples=examples, deadline=None, database=None,
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(strategy)
        def check(drawn: Any) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                target(drawn, folder)

        check()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", choices=sorted(targets()))
    parser.add_argument("--seed", type=int, default=1)
    given_flags = parser.parse_args()
    torch.set_num_threads(1)
    chosen = {name: pair for name, pair in targets().items() if given_flags.only in (None, name)}
    end = time.monotonic() + 60 * given_flags.minutes
    drawn = dict.fromkeys(chosen, 0)
    number = given_flags.seed
    while time.monotonic() < end:
        for name, (strategy, target) in chosen.items():
            try:
                fuzz(strategy, target, examples=100, number=number)
            except Exception:
                print(f"{name} crashed with --only {name} --seed {number}", file=sys.stderr)
                raise
            drawn[name] += 100
            if time.monotonic() > end:
                break
        number += 1
    print(", ".join(f"{name} {count}" for name, count in drawn.items()), "examples, no crash")


if __name__ == "__main__":
    main()
