"""Ice divides on real glacier complexes, against their true division.

    python benchmarks/divides.py [FOLDER]

FOLDER holds a folder for each case with complex_mask.tif (1 is ice), dem.tif and truth_labels.tif;
without it ../shared/data/splits is looked for. Each mask is traced, smoothed and divided as the
main job does it, then burnt and matched with the truth one to one. The first line of each case is
the baseline that divides nothing.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glacierx.demo import burn_labels
from glacierx.errors import GlacierxWarning
from glacierx.evaluate.matching import SLIVER_KM2, Matching, match_glaciers
from glacierx.options import DIVIDE_PRESETS, DivideOptions
from glacierx.outlines.divides import split_glaciers
from glacierx.outlines.outlines import Outlines
from glacierx.outlines.smooth import smooth_outlines
from glacierx.outlines.trace import trace_outlines
from glacierx.scene.grid import Grid
from glacierx.scene.prediction import open_prediction
from glacierx.scene.raster import read_raster
from glacierx.scene.terrain import Dem

DEFAULT = Path(__file__).parents[1].parent / "shared" / "data" / "splits"
HEADER = f"{'case':14} {'method':13} {'glaciers':>8} {'truth':>5} {'area@.5':>7} {'area@.75':>8} "
HEADER += f"{'F1':>5} {'PQ':>5} {'slivers':>7} {'(truth)':>7} {'s/1000 km2':>10}"


def complexes_of(case: Path) -> tuple[Outlines, Grid]:
    """Trace and smooth the outlines of a case with the default options."""
    with open_prediction(case / "complex_mask.tif") as prediction:
        traced = trace_outlines(prediction)
        return smooth_outlines(traced, prediction.grid), prediction.grid


def truth_of(case: Path) -> NDArray[np.int64]:
    """Read the true labels of a case."""
    raster = read_raster(case / "truth_labels.tif")
    return np.where(raster.valid, raster.values[0], 0).astype(np.int64)


def score(case: Path, method: str) -> tuple[Matching, float]:
    """Divide a case by a method, or not at all; return the scores and the seconds it took."""
    complexes, grid = complexes_of(case)
    options = DIVIDE_PRESETS.get(method, DivideOptions())
    with Dem(case / "dem.tif") as dem:
        began = time.perf_counter()
        division = split_glaciers(complexes, None if method == "no division" else dem, options)
        seconds = time.perf_counter() - began
    labels = burn_labels(division.glaciers, grid)
    return match_glaciers(labels, truth_of(case), grid.gsd_m**2), seconds


def slivers_in(labels: NDArray[np.int64], pixel_m2: float) -> int:
    """Count true glaciers below the size of a sliver."""
    size = np.bincount(labels.ravel())[1:] * pixel_m2 / 1e6
    return int(np.count_nonzero((size > 0) & (size < SLIVER_KM2)))


def main(folder: Path) -> None:
    """Print one line for each case and method."""
    cases = sorted(path.parent for path in folder.glob("*/truth_labels.tif"))
    if not cases:
        sys.exit(f"There are no cases in {folder}: give the folder that holds them.")
    print(HEADER)
    for case in cases:
        with open_prediction(case / "complex_mask.tif") as prediction:
            pixel_m2 = prediction.grid.gsd_m**2
        truth = truth_of(case)
        ice_km2 = np.count_nonzero(truth) * pixel_m2 / 1e6
        for method in ("no division", *DIVIDE_PRESETS):
            found, seconds = score(case, method)
            print(
                f"{case.name:14} {method:13} {found.found:8} {found.reference:5} "
                f"{found.area_50:7.3f} {found.area_75:8.3f} {found.f1:5.3f} {found.pq:5.3f} "
                f"{found.slivers:7} {slivers_in(truth, pixel_m2):7} {seconds / ice_km2 * 1e3:10.1f}"
            )


if __name__ == "__main__":
    warnings.simplefilter("ignore", GlacierxWarning)
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT)
