"""Parts of labelled scenes: whole scenes, and blocks of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacierx.training.samples import ICE, IGNORED, INVALID, Labels, Source, Values, as_ice

LEAST_PX = 16
M_PER_DEGREE = 111_320.0
# Scenes that overlap by less than this share of the smaller one are neighbours.
SEAM = 0.1
# Chance in the order of blocks by ice, so that seeds give different splits.
RANK_SPREAD = 0.3


@dataclass(frozen=True)
class Wrapped:
    """A labelled scene seen in another way: what is not said otherwise is that of the whole.

    See `Source`.

    Attributes:
        whole: The scene.
    """

    whole: Source

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.whole.name

    @property
    def roles(self) -> tuple[str, ...]:
        """What its planes measure."""
        return self.whole.roles

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.whole.shape

    @property
    def gsd_m(self) -> float:
        """Ground sampling distance in metres."""
        return self.whole.gsd_m

    @property
    def group(self) -> str:
        """Scenes whose scores are pooled."""
        return self.whole.group

    @property
    def weight(self) -> float:
        """How often it is drawn."""
        return self.whole.weight

    @property
    def about(self) -> Mapping[str, Any]:
        """What a record says of it."""
        return self.whole.about

    @property
    def ice(self) -> tuple[int, ...]:
        """Labels that are ice."""
        return self.whole.ice


@dataclass(frozen=True)
class Share(Wrapped):
    """Some blocks of a labelled scene; elsewhere nothing is known.

    Attributes:
        part: What its blocks are for.
        blocks: True for its own (rows of blocks, columns of blocks).
        block_px: Side of a block in pixels.
    """

    part: str
    blocks: NDArray[np.bool_]
    block_px: int

    @property
    def about(self) -> Mapping[str, Any]:
        """What a record says of it."""
        own = {"block_px": self.block_px, "blocks": np.argwhere(self.blocks).tolist()}
        whole = dict(self.whole.about)
        wider = {key: whole.pop(key) for key in own if key in whole}
        return {**whole, **own, **({"within": wider} if wider else {})}

    def read(self, top: int, left: int, rows: int, columns: int) -> tuple[Values, Labels]:
        """Read a window; see `Source.read`."""
        values, label = self.whole.read(top, left, rows, columns)
        down, across = (
            (np.arange(first, first + count) // self.block_px).clip(0, limit - 1)
            for first, count, limit in zip(
                (top, left), (rows, columns), self.blocks.shape, strict=True
            )
        )
        own = self.blocks[np.ix_(down, across)]
        return values, np.where(own | (label >= INVALID), label, np.uint8(IGNORED))


def split_blocks(
    source: Source, block_px: int, shares: Mapping[str, float], random: np.random.Generator
) -> list[Source]:
    """Share out the square blocks of a scene; what is left is for training.

    Every part gets about its share of the ice, and at least one block that holds some; a scene
    that has not enough of them stays whole, for training.

    Args:
        source: The scene.
        block_px: Side of a block, made smaller until the scene has a block for each part.
        shares: Share of the ice, and of the blocks without any, of each part beside ``train``.
        random: Source of randomness.
    """
    ice = ice_of(source, block_px)
    while np.count_nonzero(ice) <= 2 * len(shares) and block_px // 2 >= LEAST_PX:
        block_px //= 2
        ice = ice_of(source, block_px)
    if np.count_nonzero(ice) <= len(shares):
        return [moved(source, "train")]
    parts = _parts(ice, shares, random)
    return [Share(source, name, blocks, block_px) for name, blocks in parts.items()]


def split_ground(
    sources: Sequence[Source],
    block_m: float,
    shares: Mapping[str, float],
    random: np.random.Generator,
) -> list[list[Source]]:
    """Share out the blocks of scenes, so that no ground is in two parts.

    A scene that shows ground of its own is split by `split_blocks`. Scenes that show the same
    ground, on other days or by their overlap, are split by one lattice of longitude and latitude,
    to within half of `LEAST_PX` pixels.

    Args:
        sources: The scenes.
        block_m: Side of a block in metres.
        shares: See `split_blocks`.
        random: Source of randomness.

    Returns:
        The parts of each scene; only those that have some of its ground.
    """
    places = places_of(sources)
    found: dict[int, list[Source]] = {}
    for place in dict.fromkeys(places):
        mine = [number for number, name in enumerate(places) if name == place]
        own = [sources[number] for number in mine]
        if len(own) == 1 or not all("footprint" in source.about for source in own):
            for number, source in zip(mine, own, strict=True):
                side = max(LEAST_PX, round(block_m / source.gsd_m))
                found[number] = split_blocks(source, side, shares, random)
        else:
            found |= zip(mine, _split_place(own, block_m, shares, random), strict=True)
    return [found[number] for number in range(len(sources))]


def _split_place(
    sources: Sequence[Source],
    block_m: float,
    shares: Mapping[str, float],
    random: np.random.Generator,
) -> list[list[Source]]:
    boxes = np.array([source.about["footprint"] for source in sources])
    west, north = boxes[:, 0].min(), boxes[:, 3].max()
    narrower = np.cos(np.radians(boxes[:, [1, 3]].mean()))
    ice = [ice_of(source, LEAST_PX) for source in sources]
    area = [one * source.gsd_m**2 for one, source in zip(ice, sources, strict=True)]
    least_m = LEAST_PX * max(source.gsd_m for source in sources)
    while True:
        step = block_m / M_PER_DEGREE
        where = [
            (
                ((north - latitude) / step).astype(int)[:, None],
                ((longitude - west) * narrower / step).astype(int)[None],
            )
            for latitude, longitude in map(_centres, sources)
        ]
        shape = tuple(max(int(one[axis].max()) for one in where) + 1 for axis in (0, 1))
        lattice = np.zeros(shape)
        for cells, there in zip(where, area, strict=True):
            np.add.at(lattice, cells, there)
        if np.count_nonzero(lattice) > 2 * len(shares) or block_m / 2 < least_m:
            break
        block_m /= 2
    if np.count_nonzero(lattice) <= len(shares):
        return [[moved(source, "train")] for source in sources]
    parts = _parts(lattice, shares, random)
    return [
        [
            Share(source, name, blocks[cells], LEAST_PX)
            for name, blocks in parts.items()
            if blocks[cells].any()
        ]
        for source, cells in zip(sources, where, strict=True)
    ]


def _centres(source: Source) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the latitudes of rows, and the longitudes of columns, of blocks of `LEAST_PX`."""
    west, south, east, north = source.about["footprint"]
    down, across = ((np.arange(-(-n // LEAST_PX)) + 0.5) * LEAST_PX / n for n in source.shape)
    return north - (north - south) * down.clip(0, 1), west + (east - west) * across.clip(0, 1)


def _parts(
    ice: NDArray[Any], shares: Mapping[str, float], random: np.random.Generator
) -> dict[str, NDArray[np.bool_]]:
    """Share out blocks by the ice that each holds."""
    wanted = {"train": 1 - sum(shares.values()), **shares}
    parts = {name: np.zeros(ice.shape, bool) for name in wanted}
    filled = np.argwhere(ice > 0)
    # Blocks with much ice first, about: what is left over then evens the parts out.
    rank = ice[tuple(filled.T)] * random.lognormal(0, RANK_SPREAD, len(filled))
    _share_out(filled[np.argsort(-rank)], ice, wanted, parts)
    bare = random.permutation(np.argwhere(ice == 0))
    _share_out(bare, np.ones_like(ice), wanted, parts)
    return parts


def _share_out(
    cells: NDArray[np.int64],
    worth: NDArray[Any],
    wanted: Mapping[str, float],
    parts: Mapping[str, NDArray[np.bool_]],
) -> None:
    """Give each block to the part that lacks most of its share, and one to every part."""
    got = dict.fromkeys(wanted, 0.0)
    seen = 0.0
    for left, (row, column) in zip(range(len(cells), 0, -1), cells, strict=True):
        seen += float(worth[row, column])
        empty = [name for name in wanted if not got[name]]
        open_to = empty if left <= len(empty) else list(wanted)
        lacks = {name: wanted[name] * seen - got[name] for name in open_to}
        name = max(lacks, key=lacks.__getitem__)
        got[name] += float(worth[row, column])
        parts[name][row, column] = True


def ice_of(source: Source, block_px: int) -> NDArray[np.int64]:
    """Count the ice of each block."""
    rows, columns = source.shape
    counts = np.zeros((-(-rows // block_px), -(-columns // block_px)), np.int64)
    for number, top in enumerate(range(0, rows, block_px)):
        _, label = source.read(top, 0, min(block_px, rows - top), columns)
        ice = (as_ice(label, source.ice) == ICE).sum(axis=0)
        found = np.bincount(np.arange(columns) // block_px, ice, counts.shape[1])
        counts[number] = found.astype(np.int64)
    return counts


def places_of(sources: Sequence[Source]) -> list[str]:
    """Name the place that each scene shows: one name for scenes that show the same ground."""
    boxes = [tuple(source.about.get("footprint", ())) for source in sources]
    names = [str(list(box)) if box else s.name for box, s in zip(boxes, sources, strict=True)]
    for first, box in enumerate(boxes):
        for second, other in enumerate(boxes[:first]):
            if names[first] != names[second] and _share_ground(box, other):
                joined = {names[first], names[second]}
                names = [min(joined) if name in joined else name for name in names]
    return names


def _share_ground(box: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Tell whether two boxes of west, south, east, north share more than a seam."""
    if not box or not other:
        return False
    wide, high = (max(0.0, min(box[i + 2], other[i + 2]) - max(box[i], other[i])) for i in (0, 1))
    smaller = min((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
    return wide * high > SEAM * smaller


def moved(source: Source, part: str) -> Source:
    """Return a whole scene in another part."""
    return _Moved(source, part)


class _Moved(Share):
    """A whole scene in another part."""

    def __init__(self, source: Source, part: str) -> None:
        rows, columns = source.shape
        super().__init__(source, part, np.ones((1, 1), bool), max(rows, columns))

    @property
    def about(self) -> Mapping[str, Any]:
        """What a record says of it."""
        return self.whole.about
