"""Time and memory of merging many made inventories.

    python benchmarks/merge.py --scenes 200 --glaciers 20000

Scenes of 100 x 100 km lie in rows and overlap by a fifth on each side. Glaciers are star-shaped
polygons of some hundred vertices on a lattice over the region; each scene shows those within its
frame, cut by it, with margins of its own.
"""

import argparse
import math
import resource
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import shapely
from rasterio.crs import CRS

import glacierx as gx
from glacierx.outlines.attributes import (
    COMPLEXES,
    GLACIERS,
    glacier_ids,
    in_schema,
    place_columns,
)
from glacierx.outlines.geopackage import write_layers
from glacierx.outlines.outlines import Outlines, as_geometries

SIDE_M, STEP_M = 100_000.0, 80_000.0
UTM = CRS.from_epsg(32645)


def main() -> None:
    """Make inventories, merge them, and print seconds and megabytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--glaciers", type=int, default=20_000, help="rows in all files together")
    parser.add_argument("--vertices", type=int, default=200, help="of each glacier")
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        rows = 0
        for path, count in made(Path(folder), chosen.scenes, chosen.glaciers, chosen.vertices):
            rows += count
            assert path.exists()
        print(f"made: {chosen.scenes} scenes, {rows} glaciers, {seconds(began)}")
        before = peak_mb()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gx.GlacierxWarning)
            for prefer in ("newest", "least-cloud", "highest-probability"):
                began = time.perf_counter()
                result = gx.merge([folder], gx.MergeOptions(prefer=prefer))
                told = seconds(began)
                joined = int((result.glaciers["joined"] > 1).sum())
                print(
                    f"{prefer}: {told}, {peak_mb():.0f} MB at most ({before:.0f} before), "
                    f"{len(result.glaciers)} glaciers, {joined} joined"
                )
        began = time.perf_counter()
        gx.write_outlines(result, Path(folder) / "region.gpkg")
        print(f"write: {seconds(began)}")


def seconds(began: float) -> str:
    """Return the time since then as text."""
    return f"{time.perf_counter() - began:.1f} s"


def peak_mb() -> float:
    """Return the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def made(folder: Path, scenes: int, glaciers: int, vertices: int) -> Iterator[tuple[Path, int]]:
    """Write inventories of scenes; yield each file and its number of glaciers."""
    across = math.ceil(math.sqrt(scenes))
    lattice = SIDE_M / math.sqrt(glaciers / scenes)
    for number in range(scenes):
        left, bottom = (number % across) * STEP_M, (number // across) * STEP_M
        frame = shapely.box(left, bottom, left + SIDE_M, bottom + SIDE_M)
        shapes = shown(frame, lattice, vertices, np.random.default_rng(number))
        path = folder / f"s{number:03d}.gpkg"
        write(path, shapes, frame, f"20{number % 20:02d}-08-01", number % 7 / 20)
        yield path, len(shapes)


def shown(
    frame: shapely.Polygon, lattice: float, vertices: int, noise: np.random.Generator
) -> list[shapely.Polygon]:
    """Return the glaciers that a scene shows within its frame."""
    left, bottom, right, top = frame.bounds
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    out = []
    for i in range(math.floor(left / lattice) - 1, math.ceil(right / lattice) + 1):
        for j in range(math.floor(bottom / lattice) - 1, math.ceil(top / lattice) + 1):
            shape = np.random.default_rng((i % 2**16, j % 2**16))
            size = lattice * shape.uniform(0.1, 0.7)
            wave = 1 + 0.2 * np.sin(angle * shape.integers(3, 9) + shape.uniform(0, 6))
            radius = size * wave / 1.2 + noise.normal(0, 10, vertices)
            x = (i + 0.5) * lattice + radius * np.cos(angle)
            y = (j + 0.5) * lattice + radius * np.sin(angle)
            whole = shapely.make_valid(shapely.Polygon(np.column_stack([x, y])))
            cut = shapely.get_parts(shapely.intersection(whole, frame))
            out += [part for part in cut if part.area > 10_000]
    apart = shapely.union_all(out)
    return [part for part in shapely.get_parts(apart) if part.area > 10_000]


def write(
    path: Path, shapes: list[shapely.Polygon], frame: shapely.Polygon, date: str, cloud: float
) -> None:
    """Write what `extract` would."""
    # The lattice lies around the middle of the zone.
    shapes = [shapely.affinity.translate(one, 100_000, 3_000_000) for one in shapes]
    frame = shapely.affinity.translate(frame, 100_000, 3_000_000)
    rows = Outlines(as_geometries(shapes), UTM)
    edge = shapely.length(shapely.intersection(rows.geometry, frame.boundary)) > 0
    none = np.zeros(len(rows), np.int64)
    rows = rows.with_columns(
        **place_columns(rows, shapely.length(rows.geometry), 10.0, date),
        complex_id=np.arange(len(rows)) + 1, divided=none, touches_edge=edge.astype(np.int64),
        touches_nodata=none, cut_by_aoi=none, mean_probability=np.full(len(rows), 0.9),
    )  # fmt: skip
    rows = rows.with_columns(glac_id=glacier_ids(rows["cenlon"], rows["cenlat"]))
    layers = {
        "glaciers": in_schema(rows, GLACIERS),
        "complexes": in_schema(rows, COMPLEXES),
        "footprint": Outlines(as_geometries([frame]), UTM, {"invalid_share": np.array([cloud])}),
    }
    write_layers(path, layers, {"scene": {"name": path.stem, "src_date": date, "gsd_m": 10.0}})


if __name__ == "__main__":
    main()
