"""What two ice masks have in common, counted a few rows at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.evaluate.boundary import ContourTrace, EdgeTrace
from glacierx.evaluate.calibration import Calibration
from glacierx.evaluate.classes import ClassCounts
from glacierx.evaluate.components import Components
from glacierx.evaluate.distances import Apart, measure
from glacierx.evaluate.matching import Matched, Overlaps, count_overlaps, match
from glacierx.evaluate.metrics import Confusion, confusion
from glacierx.evaluate.pairs import Opened
from glacierx.evaluate.units import Blocks, Units, glacier_sums
from glacierx.options import EvaluateOptions
from glacierx.scene.grid import Grid, row_bands
from glacierx.scene.icewindow import IceWindow

# So many pixels at once are a few tens of megabytes, whatever the width.
BAND_PX = 1 << 22
LEAST_ROWS, MOST_ROWS = 16, 512

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Tally:
    """Everything that scores of a pair are made of; tallies of several pairs can be added up.

    Attributes:
        confusion: Counts of pixels.
        found_m2: Area of ice found.
        true_m2: Area of true ice.
        matched: Glaciers, matched one to one.
        surface: Distances between boundaries as ``--asd`` defines them, in pixels.
        surface_m: The same in metres.
        edges: Distances between boundary pixels, in pixels.
        edges_m: The same in metres.
        calibration: Of a probability.
        units: What the bootstrap resamples.
        valid: Valid pixels of the prediction and of the truth.
        classes: Pixels by class, where both tell classes apart.
    """

    confusion: Confusion
    found_m2: float
    true_m2: float
    matched: Matched
    surface: Apart
    surface_m: Apart
    edges: Apart
    edges_m: Apart
    calibration: Calibration | None
    units: Units
    valid: tuple[int, int] = (0, 0)
    classes: ClassCounts | None = None


@dataclass
class _Side:
    """One of the two masks while it is counted."""

    boundary: EdgeTrace
    contour: ContourTrace | None
    pieces: Components | None = None
    valid: int = 0

    @classmethod
    def of(cls, grid: Grid, options: EvaluateOptions) -> "_Side":
        contour = ContourTrace(grid.columns) if options.asd == "surface-distance" else None
        return cls(EdgeTrace(grid.columns), contour)

    def add(self, window: IceWindow, valid: Bools, *, labelled: bool) -> tuple[Bools, Ints]:
        self.valid += int(np.count_nonzero(window.valid))
        ice = window.ice & valid
        if self.pieces is None and window.label is not None:
            label = np.where(ice, window.label, 0)
        else:
            self.pieces = self.pieces or Components(ice.shape[1])
            label = self.pieces.label(ice)
        self.boundary.add(ice, valid, label if labelled else None)
        if self.contour is not None:
            self.contour.add(ice, valid)
        return ice, label

    def final(self, label: Ints | None) -> Ints:
        """Return the number that a glacier keeps, for those that it was given on the way."""
        label = np.zeros(0, np.int64) if label is None else label
        return label if self.pieces is None else self.pieces.final()[label]


@dataclass
class _Sums:
    """Sums over the bands of both masks."""

    confusion: Confusion = field(default_factory=Confusion)
    overlaps: list[Overlaps] = field(default_factory=list)
    calibration: Calibration | None = None
    classes: ClassCounts | None = None

    def add_classes(
        self, opened: Opened, windows: tuple[IceWindow, IceWindow], valid: Bools
    ) -> None:
        """Count the classes of a window, where both sides tell them."""
        found, true = windows[0].kind, windows[1].kind
        if found is None or true is None or opened.truth.classes is None:
            return
        counted = ClassCounts.of(opened.truth.classes.names, found, true, valid)
        self.classes = counted if self.classes is None else self.classes + counted


def tally(opened: Opened, options: EvaluateOptions, *, progress: Progress | None = None) -> Tally:
    """Compare two masks on one grid, reading each once from top to bottom.

    Args:
        opened: The prediction and the truth.
        options: What is measured.
        progress: Called as work goes on.
    """
    grid, found = opened.grid, opened.found
    sides = _Side.of(grid, options), _Side.of(grid, options)
    in_blocks = options.bootstrap in ("auto", "scenes", "blocks")
    blocks = Blocks(grid, options.block_m) if in_blocks else None
    labelled = options.bootstrap == "glaciers"
    sums = _Sums(calibration=Calibration.empty() if found.kind == "probability" else None)
    height = int(np.clip(BAND_PX // grid.columns, LEAST_ROWS, MOST_ROWS))
    for first, last in row_bands(grid.rows, height):
        window = Window(0, first, grid.columns, last - first)
        f, r, valid = opened.read(window)
        ice, label = sides[0].add(f, valid, labelled=labelled)
        true, true_label = sides[1].add(r, valid, labelled=labelled)
        outside = valid.size - int(np.count_nonzero(valid))
        sums.confusion += confusion(ice, true) + Confusion(tn=-outside)
        sums.overlaps.append(count_overlaps(label, true_label, grid.row_areas_m2(first, last)))
        sums.add_classes(opened, (f, r), valid)
        if sums.calibration is not None and f.probability is not None:
            sums.calibration += Calibration.of(f.probability[valid], true[valid])
        if blocks is not None:
            blocks.add(first, ice, true, valid)
        if progress:
            progress(last, grid.rows, "rows")
    for mask in (found, opened.truth):
        mask.finish()
    return _finish(grid, options, sides, sums, blocks)


def _finish(
    grid: Grid,
    options: EvaluateOptions,
    sides: tuple[_Side, _Side],
    sums: _Sums,
    blocks: Blocks | None,
) -> Tally:
    together = Overlaps.gather(
        *(
            np.concatenate([getattr(part, name) for part in sums.overlaps])
            for name in ("reference", "found", "pixels", "area_m2")
        )
    )
    overlaps = Overlaps.gather(
        sides[1].final(together.reference),
        sides[0].final(together.found),
        together.pixels,
        together.area_m2,
    )
    matched = match(overlaps)
    edges = sides[0].boundary.finish(), sides[1].boundary.finish()
    between = measure(*edges, grid)
    surface, places = between, edges
    if sides[0].contour is not None and sides[1].contour is not None:
        places = sides[0].contour.finish(), sides[1].contour.finish()
        surface = measure(*places, grid)
    if blocks is not None:
        units = Units("blocks", blocks.sums(edges, between, places, surface, options))
    elif options.bootstrap == "glaciers":
        marked = sides[0].final(edges[0].label), sides[1].final(edges[1].label)
        units = Units("glaciers", glacier_sums(overlaps, matched, marked, between, options))
    else:
        units = Units("none", {})
    edges_px, edges_m = between.apart()
    surface_px, surface_m = (edges_px, edges_m) if surface is between else surface.apart()
    return Tally(
        sums.confusion,
        float(matched.found_m2.sum()),
        float(matched.reference_m2.sum()),
        matched,
        surface_px,
        surface_m,
        edges_px,
        edges_m,
        sums.calibration,
        units,
        (sides[0].valid, sides[1].valid),
        sums.classes,
    )
