"""Time and memory from a mask to a GeoPackage, beside GDAL's polygons alone; and of ice divides.

Each round runs `rasterio.features.shapes` and then trace, smooth, attributes and write, each side
in a process of its own. No outline is dropped, so that both sides have the same polygons. Seconds
are by the clock and of CPU: on a machine that does other work only the latter compare.
"""

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from metrics import Field, alone, peak_mb
from rasterio.crs import CRS

from glacierx.errors import GlacierxWarning
from glacierx.options import OutlineOptions
from glacierx.outlines.attributes import add_attributes, add_complex_attributes
from glacierx.outlines.divides import split_glaciers
from glacierx.outlines.geopackage import write_layers
from glacierx.outlines.smooth import smooth_outlines
from glacierx.outlines.trace import trace_outlines
from glacierx.scene.geodesy import areas_km2
from glacierx.scene.geotiff import RasterLayout, RowWriter, write_raster
from glacierx.scene.grid import Grid, row_bands
from glacierx.scene.prediction import mask_layout, open_prediction
from glacierx.scene.raster import Raster, read_raster
from glacierx.scene.terrain import Dem
from glacierx.simulate.landscape import make_landscape

# As metrics.LATTICES, with more small patches: 16,000 outlines on 10,000 x 10,000 pixels, of which
# a hundredth hold two thirds of the ice.
LATTICES = ((512, 0.6), (128, 0.5), (48, 0.3), (16, 0.19), (6, 0.085))
ICE_ABOVE = 0.39
STAGES = ("trace", "smooth", "attributes", "write")
EVERY_OUTLINE = OutlineOptions(min_area_km2=0)
LANDSCAPE_CELLS = 1000


def grid_of(size: int, gsd_m: float) -> Grid:
    """Lay pixels down somewhere in a UTM zone."""
    place = Affine(gsd_m, 0, 400_000, 0, -gsd_m, 3_400_000)
    return Grid(CRS.from_epsg(32645), place, (size, size))


def write_mask(path: Path, size: int) -> None:
    """Write a made mask of 10 m pixels, a few rows at a time."""
    field = Field(size, 1, LATTICES)
    with RowWriter(path, grid_of(size, 10), mask_layout({})) as writer:
        for first, last in row_bands(size, 256):
            writer.write((field.rows(first, last) > ICE_ABOVE)[None].astype(np.uint8))


def write_terrain(folder: Path, size: int) -> None:
    """Write heights and ice on 30 m cells: one made landscape, mirrored so that it goes on."""
    side = min(size, LANDSCAPE_CELLS)
    landscape = make_landscape((side, side), 30, np.random.default_rng(1))
    grid, more = grid_of(size, 30), (0, size - side)
    heights = np.pad(landscape.surface.astype(np.float32), more, mode="symmetric")[None]
    ice = np.pad(landscape.ice.astype(np.uint8), more, mode="symmetric")[None]
    everywhere = np.ones((size, size), bool)
    write_raster(folder / "dem.tif", Raster(heights, everywhere, grid))
    layout = RasterLayout(bands=1, dtype=np.uint8)
    with RowWriter(folder / "ice.tif", grid, layout) as writer:
        writer.write(ice)


class Watch:
    """Takes the time of stages, by the clock and of CPU."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self._last = self._now()

    def _now(self) -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def stop(self, stage: str) -> None:
        """Book the time since the last stop under a stage."""
        now = self._now()
        self.seconds[stage] = [b - a for a, b in zip(self._last, now, strict=True)]
        self._last = now


def shapes_alone(folder: Path) -> dict[str, Any]:
    """Trace the mask with GDAL and keep nothing."""
    raster = read_raster(folder / "mask.tif")
    mask, ice = raster.values[0], raster.values[0] == 1
    watch = Watch()
    count = sum(1 for _ in rasterio.features.shapes(mask, ice, transform=raster.grid.transform))
    watch.stop("shapes")
    return {**watch.seconds, "polygons": count}


def mask_to_geopackage(folder: Path) -> dict[str, Any]:
    """Trace, smooth, describe and write the mask as `glacierx outline` does."""
    watch = Watch()
    with open_prediction(folder / "mask.tif") as prediction:
        traced = trace_outlines(prediction, EVERY_OUTLINE)
        watch.stop("trace")
        smooth = smooth_outlines(traced, prediction.grid, EVERY_OUTLINE.smooth_px)
        watch.stop("smooth")
        gsd_m = prediction.grid.gsd_m
        complexes = add_complex_attributes(smooth, prediction=prediction, gsd_m=gsd_m)
        watch.stop("attributes")
    write_layers(folder / "outlines.gpkg", {"complexes": complexes}, {}, overwrite=True)
    watch.stop("write")
    rings = shapely.get_num_interior_rings(smooth.geometry).sum() + len(smooth)
    return {
        **watch.seconds,
        "polygons": len(smooth),
        "rings": int(rings),
        "corners": int(shapely.get_num_coordinates(traced.geometry).sum()),
        "vertices": int(shapely.get_num_coordinates(smooth.geometry).sum()),
    }


def divide_terrain(folder: Path) -> dict[str, Any]:
    """Divide the ice of the terrain by where it flows, and describe the glaciers."""
    with open_prediction(folder / "ice.tif") as prediction, Dem(folder / "dem.tif") as dem:
        grid = prediction.grid
        complexes = smooth_outlines(trace_outlines(prediction), grid)
        watch = Watch()
        division = split_glaciers(complexes, dem)
        watch.stop("divides")
        add_attributes(division, dem=dem, prediction=prediction, gsd_m=grid.gsd_m)
        watch.stop("attributes")
    area = areas_km2(complexes.geometry, complexes.crs)
    return {
        **watch.seconds,
        "ice_km2": float(area.sum()),
        "largest_km2": float(area.max()),
        "complexes": len(complexes),
        "glaciers": len(division.glaciers),
    }


CASES = {
    "shapes_alone": shapes_alone,
    "mask_to_geopackage": mask_to_geopackage,
    "divide_terrain": divide_terrain,
}


def run_case(case: str, folder: Path) -> None:
    """Measure one case in this process and print what was found as JSON."""
    print(json.dumps({**CASES[case](folder), "peak_mb": peak_mb()}))


def child(case: str, folder: Path) -> dict[str, Any]:
    """Run one case in a process of its own."""
    return alone(__file__, "--case", case, "--folder", str(folder))


def compare(folder: Path, rounds: int) -> None:
    """Run both sides in turns and print the medians of times and of ratios."""
    runs = [
        (child("shapes_alone", folder), child("mask_to_geopackage", folder)) for _ in range(rounds)
    ]
    theirs, ours = zip(*runs, strict=True)
    last = ours[-1]
    print(
        f"  {last['polygons']} polygons with {last['rings']} rings and {last['corners']} corners "
        f"({theirs[-1]['polygons']} of shapes)"
    )
    base = np.array([run["shapes"] for run in theirs])
    rows = [("shapes alone", base)]
    rows += [(stage, np.array([run[stage] for run in ours])) for stage in STAGES]
    rows.append(("together", sum((seconds for _, seconds in rows[1:]), np.zeros_like(base))))
    for name, seconds in rows:
        wall, cpu = np.median(seconds, axis=0)
        of_wall, of_cpu = np.median(seconds / base, axis=0)
        print(f"  {name:14} {wall:8.2f} s {of_wall:7.2f} of shapes, ", end="")
        print(f"CPU {cpu:8.2f} s {of_cpu:7.2f} of shapes")
    print(
        f"  memory at most {max(run['peak_mb'] for run in theirs):.0f} MB of shapes alone, "
        f"{max(run['peak_mb'] for run in ours):.0f} MB of ours"
    )


def measure_divides(folder: Path, rounds: int) -> None:
    """Divide the terrain some times and print medians."""
    runs = [child("divide_terrain", folder) for _ in range(rounds)]
    last = runs[-1]
    print(
        f"  {last['ice_km2']:.0f} km2 of ice in {last['complexes']} complexes, the largest "
        f"{last['largest_km2']:.0f} km2: {last['glaciers']} glaciers"
    )
    for name in ("divides", "attributes"):
        wall, cpu = np.median([run[name] for run in runs], axis=0)
        each = [seconds / last["ice_km2"] * 1000 for seconds in (wall, cpu)]
        print(f"  {name:14} {wall:8.2f} s {each[0]:7.2f} s per 1000 km2 of ice, ", end="")
        print(f"CPU {cpu:8.2f} s {each[1]:7.2f} s per 1000 km2 of ice")
    print(f"  memory at most {max(run['peak_mb'] for run in runs):.0f} MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10_000, help="pixels a side of the mask; or 0")
    parser.add_argument("--terrain", type=int, default=3000, help="cells a side of the DEM; or 0")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        run_case(given.case, given.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.size:
            write_mask(folder / "mask.tif", given.size)
            print(f"Mask to GeoPackage, {given.size} x {given.size} pixels of 10 m")
            compare(folder, given.rounds)
        if given.terrain:
            write_terrain(folder, given.terrain)
            print(f"Divides, {given.terrain} x {given.terrain} cells of 30 m")
            measure_divides(folder, given.rounds)


if __name__ == "__main__":
    warnings.simplefilter("ignore", GlacierxWarning)
    main()
