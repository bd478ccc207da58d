"""Which scenes, or which parts of them, are kept from a network to see how well it does."""

import warnings
from collections.abc import Sequence

import numpy as np

from glacierx.errors import GlacierxWarning, OptionError
from glacierx.training.folds import fold_sources
from glacierx.training.options import SplitOptions
from glacierx.training.samples import Source
from glacierx.training.share import LEAST_PX, moved, places_of, split_blocks, split_ground


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

    Returns:
        Scenes and parts of scenes. Those that the manifest keeps for a test stay there; of folds
        the one that is held out is the test, and those scenes are in none.

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
    tests = [source for source in sources if source.part == "test"]
    pairs = [pair for pair in zip(sources, regions, strict=True) if pair[0].part != "test"]
    if options.folds:
        return fold_sources(pairs, options, seed)
    random = np.random.default_rng((seed, 7))
    if how in ("scene", "region"):
        return tests + _by_name(pairs, how, options, random)
    if how == "random-patches":
        warnings.warn(
            "Patches split at random lie beside each other: scores of such a validation are too "
            "high. Use --split block, scene or region for scores that mean something.",
            GlacierxWarning,
            stacklevel=2,
        )
    shares = {"validation": options.validation_share}
    left = [source for source, _ in pairs]
    if how == "block":
        shared = split_ground(left, options.block_m, shares, random)
    else:
        side = max(LEAST_PX, patch_px)
        shared = [split_blocks(source, side, shares, random) for source in left]
    found = [part for parts in shared for part in parts]
    if not any(source.part == "validation" for source in found):
        raise OptionError(
            f"{', '.join(source.name for source, _ in pairs)}: too little ice to keep a part of it "
            "back. Give more outlines, or a manifest with a validation scene."
        )
    return tests + found


def _by_name(
    pairs: Sequence[tuple[Source, str | None]],
    how: str,
    options: SplitOptions,
    random: np.random.Generator,
) -> list[Source]:
    if how == "region" and any(region is None for _, region in pairs):
        raise OptionError("--split region needs the column region filled in every line.")
    sources = [source for source, _ in pairs]
    names = [str(region) for _, region in pairs] if how == "region" else places_of(sources)
    order = random.permutation(sorted(set(names))).tolist()
    if len(order) < 2:
        raise OptionError(
            f"There is one {how}, and a split by {how} needs two or more. Use --split block."
        )
    held = set(order[: max(1, round(options.validation_share * len(order)))])
    if len(held) == len(order):
        raise OptionError("--validation-share leaves nothing to learn from. Give a smaller one.")
    return [
        moved(source, "validation" if name in held else "train")
        for source, name in zip(sources, names, strict=True)
    ]


def _many(regions: Sequence[str | None]) -> bool:
    return None not in regions and len(set(regions)) > 1
