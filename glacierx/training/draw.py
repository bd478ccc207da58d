"""Which windows a network sees: drawn by seed, with a share of glacier that is controlled."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glacierx.errors import OptionError, OutlineError
from glacierx.training.options import TrainOptions
from glacierx.training.samples import ICE, IGNORED, Source, as_ice

CELL_PX = 16
TRIES = 40
LEAST_KNOWN = 0.2
ROWS = 512


@dataclass(frozen=True)
class Draw:
    """A square window of a source.

    Attributes:
        source: Number of the source.
        top: First row, which may lie above the scene.
        left: First column.
        side: Rows and columns; more or less than a patch has, to which it is resized.
    """

    source: int
    top: int
    left: int
    side: int


@dataclass(frozen=True)
class Survey:
    """How much ice and how much known ground each part of a source has.

    Attributes:
        ice: Summed-area table of pixels with ice, by cells of 16 x 16 pixels.
        known: The same of pixels whose label is known.
    """

    ice: NDArray[np.int64]
    known: NDArray[np.int64]

    @property
    def pixels(self) -> tuple[int, int]:
        """Pixels of ice, and known ones."""
        return int(self.ice[-1, -1]), int(self.known[-1, -1])

    def within(self, top: int, left: int, side: int) -> tuple[int, int]:
        """Count ice and known pixels of the cells that a window touches."""
        rows, columns = self.ice.shape
        first = max(0, top // CELL_PX), max(0, left // CELL_PX)
        last = (
            min(rows - 1, -(-(top + side) // CELL_PX)),
            min(columns - 1, -(-(left + side) // CELL_PX)),
        )
        found = []
        for table in (self.ice, self.known):
            corners = table[last], table[first[0], last[1]], table[last[0], first[1]], table[first]
            found.append(int(corners[0] - corners[1] - corners[2] + corners[3]))
        return found[0], found[1]


def survey(source: Source) -> Survey:
    """Read the labels of a source once, strip by strip."""
    rows, columns = source.shape
    shape = -(-rows // CELL_PX), -(-columns // CELL_PX)
    tables = np.zeros((2, shape[0] + 1, shape[1] + 1), np.int64)
    for top in range(0, rows, ROWS):
        _, label = source.read(top, 0, min(ROWS, rows - top), columns)
        filled = np.full(
            (-(-label.shape[0] // CELL_PX) * CELL_PX, shape[1] * CELL_PX), IGNORED, np.uint8
        )
        filled[: label.shape[0], :columns] = as_ice(label, source.ice)
        cells = filled.reshape(-1, CELL_PX, shape[1], CELL_PX)
        at = slice(1 + top // CELL_PX, 1 + top // CELL_PX + cells.shape[0])
        for table, found in zip(tables, (cells == ICE, cells <= ICE), strict=True):
            table[at, 1:] = found.sum(axis=(1, 3))
    ice, known = tables.cumsum(axis=1).cumsum(axis=2)
    return Survey(ice, known)


class Sampler:
    """Draw windows from sources.

    Sources are drawn by their known pixels times their weight; a window's place at random, again
    until the share of ice within it is as asked.

    Args:
        sources: Sources of the part ``train``.
        options: Size of patches, scale, shares of glacier.

    Attributes:
        surveys: What each source holds.
        ice_share: Share of ice among the known pixels of all.

    Raises:
        OutlineError: Nothing is known in any source, or there is no ice, or nothing else.
        OptionError: No source has a weight.
    """

    def __init__(self, sources: Sequence[Source], options: TrainOptions) -> None:
        self._sources, self._options = list(sources), options
        self.surveys = [survey(source) for source in sources]
        ice, known = (sum(s.pixels[which] for s in self.surveys) for which in (0, 1))
        if not known or not ice or ice == known:
            found = "no ice" if known else "nothing that is known"
            raise OutlineError(
                f"The labels of the {len(self._sources)} training scenes show "
                f"{'nothing but ice' if ice and ice == known else found}. A network learns from "
                "ice and other ground: check the outlines, --positive and the split."
            )
        share = np.array(
            [s.pixels[1] * source.weight for s, source in zip(self.surveys, sources, strict=True)],
            float,
        )
        if not share.any():
            raise OptionError("Every training scene has the weight 0. Give one of them more.")
        self._chance = share / share.sum()
        self.ice_share = ice / known

    def draw(self, random: np.random.Generator) -> Draw:
        """Draw a window."""
        options = self._options
        number = int(random.choice(len(self._sources), p=self._chance))
        source, known_here = self._sources[number], self.surveys[number]
        low, high = math.log(options.scale_low), math.log(options.scale_high)
        side = max(CELL_PX, round(options.patch_px * math.exp(random.uniform(low, high))))
        side = min(side, max(source.shape))
        background = random.random() < options.background
        best: tuple[float, Draw] | None = None
        for _ in range(TRIES):
            top, left = (_place(length, side, random) for length in source.shape)
            ice, known = known_here.within(top, left, side)
            share = ice / known if known else 0.0
            wanted = share == 0 if background else options.share_low <= share <= options.share_high
            # The fullest window stands in where none is as asked.
            rank = min(1.0, known / (LEAST_KNOWN * side * side)) + wanted
            if best is None or rank > best[0]:
                best = rank, Draw(number, top, left, side)
            if rank >= 2:
                break
        assert best is not None
        return best[1]


def _place(length: int, side: int, random: np.random.Generator) -> int:
    if side >= length:
        return int(random.integers(length - side, 1))
    return int(random.integers(0, length - side + 1))
