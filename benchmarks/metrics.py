"""Time and memory of scores: counts against NumPy, ASD against SciPy, and two large masks whole.

Every measurement runs in a process of its own, the two that are compared in turns.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from scipy import ndimage

from glacierx.evaluate.boundary import find_edges
from glacierx.evaluate.distances import measure
from glacierx.evaluate.evaluate import evaluate
from glacierx.evaluate.metrics import confusion
from glacierx.scene.geotiff import RowWriter
from glacierx.scene.grid import Grid, row_bands
from glacierx.scene.prediction import mask_layout

# Spacing of random lattices in pixels and their weight: large ice, ragged margins, small patches.
Lattices = Sequence[tuple[int, float]]
LATTICES: Lattices = ((512, 1.0), (128, 0.5), (32, 0.22), (8, 0.08))
ICE_ABOVE = 0.55
WOBBLE = 0.1

Mask = NDArray[np.bool_]


class Field:
    """A random surface of any size, read by rows: ice is where it is high."""

    def __init__(self, size: int, seed: int, lattices: Lattices = LATTICES) -> None:
        generator = np.random.default_rng(seed)
        self.size = size
        self._lattices = [
            (step, weight * generator.normal(size=(size // step + 2, size // step + 2)))
            for step, weight in lattices
        ]

    def rows(self, first: int, last: int) -> NDArray[np.float32]:
        """Return rows from .. to, interpolated between the points of each lattice."""
        out = np.zeros((last - first, self.size), np.float32)
        for step, lattice in self._lattices:
            row = np.arange(first, last) / step
            column = np.arange(self.size) / step
            at, left = row.astype(int), column.astype(int)
            down, right = (row - at)[:, None], column - left
            lines = lattice[at] * (1 - down) + lattice[at + 1] * down
            out += (lines[:, left] * (1 - right) + lines[:, left + 1] * right).astype(np.float32)
        return out


def masks(size: int, first: int, last: int) -> tuple[Mask, Mask]:
    """Make rows of a true mask and of one that differs along the margins and in small patches."""
    true = Field(size, 1).rows(first, last)
    found = true + WOBBLE * Field(size, 2).rows(first, last)
    return found > ICE_ABOVE, true > ICE_ABOVE


def grid_of(size: int) -> Grid:
    """Lay the masks down somewhere, 10 m a pixel."""
    return Grid(CRS.from_epsg(32645), Affine(10, 0, 400_000, 0, -10, 3_400_000), (size, size))


def write_masks(folder: Path, size: int) -> None:
    """Write both masks as GeoTIFFs."""
    grid = grid_of(size)
    with (
        RowWriter(folder / "found.tif", grid, mask_layout({})) as found,
        RowWriter(folder / "true.tif", grid, mask_layout({})) as true,
    ):
        for first, last in row_bands(size, 256):
            for writer, mask in zip((found, true), masks(size, first, last), strict=True):
                writer.write(mask[None].astype(np.uint8))


def counts_by_numpy(found: Mask, true: Mask) -> Any:
    """Count the four kinds of pixels with whole arrays."""
    both = np.count_nonzero(found & true)
    only_found, only_true = np.count_nonzero(found & ~true), np.count_nonzero(~found & true)
    return [int(both), int(only_found), int(only_true), int(np.count_nonzero(~(found | true)))]


def counts_by_glacierx(found: Mask, true: Mask) -> Any:
    """Count them with glacierx."""
    counts = confusion(found, true)
    return [counts.tp, counts.fp, counts.fn, counts.tn]


def asd_by_scipy(found: Mask, true: Mask) -> Any:
    """Measure the ASD with two Euclidean distance transforms from the same boundary pixels."""
    total, places = 0.0, 0
    edges = find_edges(found), find_edges(true)
    for own, other in (edges, edges[::-1]):
        away = np.ones(found.shape, bool)
        away[tuple(other.at.T)] = False
        total += float(ndimage.distance_transform_edt(away)[tuple(own.at.T)].sum())
        places += len(own)
    return total / places


def asd_by_glacierx(found: Mask, true: Mask) -> Any:
    """Measure it with glacierx."""
    edges = find_edges(found), find_edges(true)
    return measure(*edges, grid_of(len(found))).apart()[0].average()


CASES: dict[str, Callable[[Mask, Mask], Any]] = {
    "counts_by_numpy": counts_by_numpy,
    "counts_by_glacierx": counts_by_glacierx,
    "asd_by_scipy": asd_by_scipy,
    "asd_by_glacierx": asd_by_glacierx,
}


def memory_mb() -> float:
    """Return the memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def peak_mb() -> float:
    """Return the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def run_case(case: str, folder: Path, repeats: int) -> None:
    """Measure one case in this process and print what was found as JSON."""
    if case == "evaluate":
        start = time.perf_counter()
        scores = evaluate(folder / "found.tif", folder / "true.tif")
        seconds = time.perf_counter() - start
        shown = {name: scores[name] for name in ("iou", "asd_px", "glaciers_true")}
        print(json.dumps({"seconds": seconds, "peak_mb": peak_mb(), "value": shown}))
        return
    found, true = (np.load(folder / f"{name}.npy") for name in ("found", "true"))
    before = memory_mb()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = CASES[case](found, true)
        times.append(time.perf_counter() - start)
    added = max(0.0, peak_mb() - before)
    print(json.dumps({"seconds": min(times), "added_mb": added, "value": value}))


def alone(script: str, *flags: str) -> dict[str, Any]:
    """Run a script in a process of its own and read the JSON of its last line."""
    done = subprocess.run([sys.executable, script, *flags], check=True, stdout=subprocess.PIPE)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def child(case: str, folder: Path, repeats: int = 1) -> dict[str, Any]:
    """Run one case in a process of its own."""
    given = ("--folder", str(folder), "--repeats", str(repeats))
    return alone(__file__, "--case", case, *given)


def compare(one: str, other: str, folder: Path, rounds: int, repeats: int) -> None:
    """Run two cases in turns and print the medians of their ratios."""
    runs = [(child(one, folder, repeats), child(other, folder, repeats)) for _ in range(rounds)]
    time_ratio = statistics.median(a["seconds"] / b["seconds"] for a, b in runs)
    memory_ratio = statistics.median(a["added_mb"] / max(b["added_mb"], 1) for a, b in runs)
    a, b = runs[-1]
    print(f"{one:20} {a['seconds']:8.3f} s  {a['added_mb']:7.0f} MB added  {a['value']}")
    print(f"{other:20} {b['seconds']:8.3f} s  {b['added_mb']:7.0f} MB added  {b['value']}")
    print(f"  time {time_ratio:.3f}, memory {memory_ratio:.3f} (medians of {rounds} ratios)")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10_000, help="pixels a side, both compared")
    parser.add_argument("--large", type=int, default=40_000, help="pixels a side, streamed; or 0")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=1, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        run_case(given.case, given.folder, given.repeats)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bands = [masks(given.size, *band) for band in row_bands(given.size, 256)]
        for label, parts in zip(("found", "true"), zip(*bands, strict=True), strict=True):
            np.save(folder / f"{label}.npy", np.concatenate(parts))
        print(f"{given.size} x {given.size} pixels")
        compare("counts_by_glacierx", "counts_by_numpy", folder, given.rounds, 5)
        compare("asd_by_glacierx", "asd_by_scipy", folder, given.rounds, 1)
        if given.large:
            write_masks(folder, given.large)
            found = child("evaluate", folder)
            print(f"{given.large} x {given.large} pixels, every score, from two files")
            print(f"  {found['seconds']:.0f} s, peak {found['peak_mb']:.0f} MB  {found['value']}")


if __name__ == "__main__":
    main()
