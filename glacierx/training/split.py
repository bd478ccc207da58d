"""Which scenes, or which parts of them, are kept from a network to see how well it does."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacierx.errors import GlacierxWarning, OptionError
from glacierx.options import SplitOptions
from glacierx.training.samples import ICE, IGNORED, Labels, Source, Values


@dataclass(frozen=True)
class Share:
    """Some blocks of a labelled scene; elsewhere nothing is known. See `Source`.

    Attributes:
        whole: The scene.
        part: What its blocks are for.
        blocks: True for its own (rows of blocks, columns of blocks).
        block_px: Side of a block in pixels.
    """

    whole: Source
    part: str
    blocks: NDArray[np.bool_]
    block_px: int

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
        return {
            **self.whole.about,
            "block_px": self.block_px,
            "blocks": np.argwhere(self.blocks).tolist(),
        }

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
        return values, np.where(own | (label > ICE), label, np.uint8(IGNORED))


def split_sources(
    sources: Sequence[Source],
    options: SplitOptions,
    *,
    seed: int,
    said: bool,
    regions: Sequence[str | None],
    patch_px: int,
) -> list[Source]:
    """Say which scenes a network learns from and which it is looked at by.

    Args:
        sources: Labelled scenes.
        options: How they are split.
        seed: Number that the choice follows from.
        said: The scenes' own parts come from the manifest, and hold unless another way is asked.
        regions: The region of each scene, where the manifest says one.
        patch_px: Side of a patch, for the split by patches.

    Raises:
        OptionError: There is too little to split in the way that is asked.
    """
    how = options.split
    if how == "auto":
        how = "manifest" if said else "region" if _many(regions) else "scene"
        if how == "scene" and len(sources) < 3:
            how = "block"
    if how == "manifest":
        if not said:
            raise OptionError(
                "--split manifest needs the column split, which no line of the manifest fills."
            )
        return list(sources)
    random = np.random.default_rng((seed, 7))
    if how in ("scene", "region"):
        return _by_name(sources, how, options, random, regions)
    if how == "random-patches":
        warnings.warn(
            "Patches split at random lie beside each other: scores of such a validation are too "
            "high. Use --split block, scene or region for scores that mean something.",
            GlacierxWarning,
            stacklevel=2,
        )
    found: list[Source] = []
    for source in sources:
        side = patch_px if how == "random-patches" else round(options.block_m / source.gsd_m)
        found += split_blocks(
            source, max(16, side), {"validation": options.validation_share}, random
        )
    return found


def split_blocks(
    source: Source, block_px: int, shares: Mapping[str, float], random: np.random.Generator
) -> list[Source]:
    """Share out the square blocks of a scene; what is left is for training.

    Every part gets at least one block that holds ice where there are enough of them.

    Args:
        source: The scene.
        block_px: Side of a block, made smaller until the scene has a block for each part.
        shares: Share of the blocks of each part beside ``train``.
        random: Source of randomness.

    Raises:
        OptionError: The scene has too few blocks with ice.
    """
    ice = np.zeros((0, 0), np.int64)
    while block_px >= 16:
        ice = _ice_of(source, block_px)
        if np.count_nonzero(ice) > 2 * len(shares):
            break
        block_px //= 2
    filled = np.argwhere(ice > 0)
    if len(filled) <= len(shares):
        raise OptionError(
            f"{source.name} has too little ice to keep a part of it back. Give more outlines, or a "
            "manifest with a validation scene."
        )
    bare = np.argwhere(ice == 0)
    parts = {name: np.zeros(ice.shape, bool) for name in ("train", *shares)}
    for cells in (random.permutation(filled), random.permutation(bare)):
        first = 0
        for name, share in shares.items():
            count = max(1 if cells is not None and len(cells) else 0, round(share * len(cells)))
            for row, column in cells[first : first + count]:
                parts[name][row, column] = True
            first += count
        for row, column in cells[first:]:
            parts["train"][row, column] = True
    return [Share(source, name, blocks, block_px) for name, blocks in parts.items()]


def _ice_of(source: Source, block_px: int) -> NDArray[np.int64]:
    """Count the ice of each block."""
    rows, columns = source.shape
    counts = np.zeros((-(-rows // block_px), -(-columns // block_px)), np.int64)
    for number, top in enumerate(range(0, rows, block_px)):
        _, label = source.read(top, 0, min(block_px, rows - top), columns)
        found = np.bincount(
            np.arange(columns) // block_px, (label == ICE).sum(axis=0), counts.shape[1]
        )
        counts[number] = found.astype(np.int64)
    return counts


def _by_name(
    sources: Sequence[Source],
    how: str,
    options: SplitOptions,
    random: np.random.Generator,
    regions: Sequence[str | None],
) -> list[Source]:
    if how == "region" and None in regions:
        raise OptionError("--split region needs the column region filled in every line.")
    # Scenes that show one place are one: their files differ, their footprint does not.
    names = [
        str(region) if how == "region" else str(source.about.get("footprint", source.name))
        for source, region in zip(sources, regions, strict=True)
    ]
    order = random.permutation(sorted(set(names))).tolist()
    if len(order) < 2:
        raise OptionError(
            f"There is one {how}, and a split by {how} needs two or more. Use --split block."
        )
    held = set(order[: max(1, round(options.validation_share * len(order)))])
    if len(held) == len(order):
        raise OptionError("--validation-share leaves nothing to learn from. Give a smaller one.")
    return [
        _Moved(source, "validation" if name in held else "train")
        for source, name in zip(sources, names, strict=True)
    ]


def _many(regions: Sequence[str | None]) -> bool:
    return None not in regions and len(set(regions)) > 1


class _Moved(Share):
    """A whole scene in another part."""

    def __init__(self, source: Source, part: str) -> None:
        rows, columns = source.shape
        super().__init__(source, part, np.ones((1, 1), bool), max(rows, columns))
