"""A report of thousands of glaciers: how large it is, and how long a browser takes to open it.

    python benchmarks/report.py --glaciers 5000

Glaciers are made: discs with wavy margins of about 300 vertices and nunataks, on a grid, over a
scene of noise that compresses as badly as mountains do. Chromium and chromedriver must be
installed for the time; without them the size alone is told.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS
from scipy import ndimage

from glacierx.outlines.attributes import GLACIERS
from glacierx.outlines.geopackage import write_layers
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.report.report import write_report
from glacierx.scene.scene import open_scene

UTM = CRS.from_epsg(32645)
CORNER = 400_000.0, 3_200_000.0
GSD_M = 10.0
SPACING_M = 1100.0
VERTICES = 300
MOST_MB, MOST_S = 15.0, 3.0

# The driver of the tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
browser = import_module("browser")


def made_glaciers(count: int) -> Outlines:
    """Make glaciers on a square grid, with every column that `extract` writes."""
    random = np.random.default_rng(1)
    side = math.ceil(math.sqrt(count))
    angle = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    shapes = []
    for index in range(count):
        row, column = divmod(index, side)
        x = CORNER[0] + (column + 0.7) * SPACING_M
        y = CORNER[1] - (row + 0.7) * SPACING_M
        radius = 500 * random.beta(1.2, 3) + 60
        waves = sum(
            random.uniform(0, 0.5 / k) * np.sin(k * angle + random.uniform(0, 6))
            for k in range(2, 30)
        )
        reach = radius * np.exp(0.4 * waves)
        shell = np.column_stack([x + reach * np.cos(angle), y + reach * np.sin(angle)])
        hole = np.column_stack([x + 0.1 * radius * np.cos(angle[::20]),
                                y + 0.1 * radius * np.sin(angle[::20])])  # fmt: skip
        shapes.append(shapely.Polygon(shell, [hole]))
    geometry = as_geometries(shapes)
    area = shapely.area(geometry) / 1e6
    lowest = random.uniform(4000, 5500, count)
    values: dict[str, Any] = {
        "glac_id": np.array([f"G{index:06d}E28000N" for index in range(count)], dtype=object),
        "area_km2": area, "area_unc_km2": area * random.uniform(0.02, 0.2, count),
        "zmin_m": lowest, "zmed_m": lowest + 300, "zmax_m": lowest + 900, "zmean_m": lowest + 310,
        "src_date": np.full(count, "2024-08-15", dtype=object),
        "dem_source": np.full(count, "copernicus_dem", dtype=object),
        "aspect_sec": random.integers(1, 9, count), "complex_id": np.arange(count),
        "mean_probability": random.uniform(0.5, 1, count),
    }  # fmt: skip
    for declared in GLACIERS:
        if declared.name not in values and not declared.name.startswith("ref_"):
            numbers = random.uniform(0, 1, count)
            values[declared.name] = (
                numbers if declared.kind == "float" else numbers.astype(np.int64)
            )
    return Outlines(geometry, UTM, values)


def write_scene(path: Path, count: int) -> None:
    """Write a scene as large as the glaciers need, strip by strip."""
    side = math.ceil(math.ceil(math.sqrt(count)) * SPACING_M * 1.02 / GSD_M)
    random = np.random.default_rng(2)
    coarse = ndimage.zoom(random.normal(0, 1, (side // 40 + 2,) * 2), 20, order=1)
    texture = coarse + 0.6 * random.normal(0, 1, coarse.shape)
    rows = np.arange(side) // 2
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=3, dtype="uint8", crs=UTM,
        transform=Affine(GSD_M, 0, CORNER[0], 0, -GSD_M, CORNER[1]), tiled=True, compress="deflate",
    ) as file:  # fmt: skip
        for band, role in enumerate(("red", "green", "blue"), 1):
            picture = (texture[rows][:, rows] * 40 + 110 + 10 * band).clip(1, 255)
            file.write(picture.astype(np.uint8), band)
            file.set_band_description(band, role)


def main() -> None:
    """Print the size of the page and the time to open it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--glaciers", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="Write the page here too.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        glaciers = made_glaciers(given.glaciers)
        record = {"scene": {"name": "scene.tif", "src_date": "2024-08-15"}}
        write_layers(folder / "outlines.gpkg", {"glaciers": glaciers}, record)
        write_scene(folder / "scene.tif", given.glaciers)
        page = given.keep or folder / "report.html"
        began = time.perf_counter()
        with open_scene(folder / "scene.tif") as scene:
            size = scene.grid.describe()
            write_report(folder / "outlines.gpkg", page, scene=scene, overwrite=True)
        took = time.perf_counter() - began
        megabytes = page.stat().st_size / 1e6
        data = page.read_text(encoding="utf-8").split('id="data">')[1].split("</script>")[0]
        found = json.loads(data)
        vertices = sum(len(ring) // 2 for one in found["shapes"]["polygons"] for ring in one)
        print(f"{len(glaciers)} glaciers of {glaciers.vertices} vertices, scene {size}")
        print(f"written in {took:.1f} s: {vertices} vertices, scene "
              f"{len(found['scene']['url']) / 1e6:.2f} MB")  # fmt: skip
        print(f"size {megabytes:.2f} MB of {MOST_MB:g}")
        if browser.missing():
            print(f"time to open: {browser.missing()}")
            return
        ready = []
        for at in range(given.rounds):
            window = browser.Browser(folder / f"profile{at}")
            try:
                ready.append(float(window.open(page)) / 1000)
            finally:
                window.close()
        told = ", ".join(f"{one:.2f}" for one in ready)
        print(f"opened in {max(ready):.2f} s of {MOST_S:g} (rounds: {told})")


if __name__ == "__main__":
    main()
