"""Cross-validation: scenes dealt into folds, of which one is held out and the others are learnt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from glacierx.errors import OptionError
from glacierx.training.options import SplitOptions
from glacierx.training.samples import Source
from glacierx.training.share import (
    RANK_SPREAD,
    Share,
    ice_of,
    moved,
    places_of,
    split_ground,
)

CELL_PX = 16
# Glaciers whose centres lie in one cell of so many degrees are one, whatever scene shows them.
SITE_DEG = 0.02
EIGHT = np.ones((3, 3), bool)

Pairs = Sequence[tuple[Source, str | None]]


@dataclass(frozen=True)
class _Patch:
    """Cells of a scene that hold one glacier, or glaciers that touch.

    Attributes:
        source: Number of the scene.
        number: Its number among those of the scene, from 1.
        longitude: Of its centre, in degrees.
        site: Where it lies; the same for one glacier in several scenes.
        area_m2: Its ice.
    """

    source: int
    number: int
    longitude: float
    site: tuple[int, int]
    area_m2: float


def fold_sources(pairs: Pairs, options: SplitOptions, seed: int) -> list[Source]:
    """Hold one fold of scenes out, as the part ``test``.

    ``folds:K`` deals regions, where the manifest names at least K, else scenes (those that show the
    same ground together), else blocks of each scene, so that folds have about the same ice.
    ``folds-area:K`` cuts glaciers, sorted from west to east, into K of the same area (Diaconu et
    al. 2023); ground without ice goes with the nearest glacier of its scene. Of what is left a
    share becomes ``validation``, by the same units, and the rest ``train``.

    Args:
        pairs: Labelled scenes with their regions, none of them kept for a test.
        options: How many folds, by what, which is held out.
        seed: Number that the folds follow from; the same for each of them.

    Raises:
        OptionError: There is too little for so many folds.
    """
    if options.by_area:
        return _by_area([source for source, _ in pairs], options, seed)
    sources = [source for source, _ in pairs]
    regions = [region for _, region in pairs]
    named = [str(region) for region in regions if region is not None]
    places = places_of(sources)
    for names in (named, places):
        if len(names) == len(sources) and len(set(names)) >= options.folds:
            return _by_name(sources, names, options, seed)
    return _by_block(sources, options, seed)


def _by_name(
    sources: Sequence[Source], names: Sequence[str], options: SplitOptions, seed: int
) -> list[Source]:
    random = np.random.default_rng((seed, 11))
    worth = dict.fromkeys(sorted(set(names)), 0.0)
    for source, name in zip(sources, names, strict=True):
        worth[name] += float(ice_of(source, CELL_PX).sum()) * source.gsd_m**2
    fold_of = _dealt(worth, options.folds, random)
    held = {name for name, fold in fold_of.items() if fold == options.fold - 1}
    rest = [name for name in worth if name not in held]
    if not any(worth[name] for name in held) or not any(worth[name] for name in rest):
        raise _too_little(options)
    test = [moved(s, "test") for s, name in zip(sources, names, strict=True) if name in held]
    left = [(s, name) for s, name in zip(sources, names, strict=True) if name not in held]
    if len(rest) < 2:
        blocks = _validated([source for source, _ in left], options, random)
        return [*test, *blocks]
    many = min(len(rest) - 1, max(1, round(options.validation_share * len(rest))))
    chosen = set(random.permutation(rest)[:many].tolist())
    return [
        *test,
        *(moved(s, "validation" if name in chosen else "train") for s, name in left),
    ]


def _dealt(worth: Mapping[str, float], folds: int, random: np.random.Generator) -> dict[str, int]:
    """Deal units, the largest first, each to the fold that has least of what it brings."""
    names = list(worth)
    spread = random.lognormal(0, RANK_SPREAD, len(names))
    rank = {name: worth[name] * factor for name, factor in zip(names, spread, strict=True)}
    sums, counts = [0.0] * folds, [0] * folds
    found = {}
    for name in sorted(names, key=lambda name: -rank[name]):
        fold = min(range(folds), key=lambda at: (sums[at], counts[at]))
        if not worth[name]:
            fold = min(range(folds), key=lambda at: counts[at])
        found[name] = fold
        sums[fold] += worth[name]
        counts[fold] += 1
    return found


def _by_block(sources: Sequence[Source], options: SplitOptions, seed: int) -> list[Source]:
    count = options.folds
    # What is left over by the shares of the others is that of the first.
    shares = {str(fold): 1 / count for fold in range(1, count)}
    name = "train" if options.fold == 1 else str(options.fold - 1)
    shared = split_ground(sources, options.block_m, shares, np.random.default_rng((seed, 13)))
    places = places_of(sources)
    found: dict[str, set[str]] = {place: set() for place in places}
    for place, parts in zip(places, shared, strict=True):
        found[place] |= {part.part for part in parts}
    whole = {place for place, names in found.items() if len(names) == count}
    test: list[Source] = []
    rest: list[Source] = []
    for source, place, parts in zip(sources, places, shared, strict=True):
        if place not in whole and ice_of(source, CELL_PX).any():
            raise _too_little(options, f"{source.name} has not {count} blocks with ice. ")
        held = next((part for part in parts if part.part == name and place in whole), None)
        if isinstance(held, Share):
            test.append(Share(source, "test", held.blocks, held.block_px))
            if not held.blocks.all():
                rest.append(Share(source, "train", ~held.blocks, held.block_px))
        else:
            rest.append(moved(source, "train"))
    return [*test, *_validated(rest, options, np.random.default_rng((seed, 17)))]


def _validated(
    rest: Sequence[Source], options: SplitOptions, random: np.random.Generator
) -> list[Source]:
    """Keep blocks of what is left for validation."""
    shares = {"validation": options.validation_share}
    return [part for parts in split_ground(rest, options.block_m, shares, random) for part in parts]


def _by_area(sources: Sequence[Source], options: SplitOptions, seed: int) -> list[Source]:
    maps, patches = [], []
    for number, source in enumerate(sources):
        cells, found = _glaciers(source, number)
        maps.append(cells)
        patches += found
    if not patches:
        raise _too_little(options)
    fold_of = _cut(patches, options.folds)
    if len(set(fold_of.values())) < options.folds:
        raise _too_little(options, "Glaciers that touch stay in one fold. ")
    held = {site for site, fold in fold_of.items() if fold == options.fold - 1}
    chosen = _some(patches, held, options.validation_share, seed)
    edges = sorted((patch.longitude, fold_of[patch.site]) for patch in patches)
    found_parts: list[Source] = []
    for number, (source, cells) in enumerate(zip(sources, maps, strict=True)):
        own = [patch for patch in patches if patch.source == number]
        parts = {
            patch.number: "test" if patch.site in held
            else "validation" if patch.site in chosen else "train"
            for patch in own
        }  # fmt: skip
        if not own:
            # Ground without any ice goes with the fold of the nearest glacier to its west or east.
            west, _, east, _ = _footprint(source)
            near = min(edges, key=lambda edge: abs(edge[0] - (west + east) / 2))
            parts = {1: "test" if near[1] == options.fold - 1 else "train"}
        for part in sorted(set(parts.values())):
            mine = np.isin(cells, [label for label, name in parts.items() if name == part])
            found_parts.append(Share(source, part, mine, CELL_PX))
    return found_parts


def _glaciers(source: Source, number: int) -> tuple[NDArray[np.int64], list[_Patch]]:
    """Number the glaciers of a scene by cells; each cell has the number of the nearest one.

    Where there is none all cells have the number 1.
    """
    west, south, east, north = _footprint(source)
    ice = ice_of(source, CELL_PX)
    labels, count = ndimage.label(ice > 0, structure=EIGHT)
    if not count:
        return np.ones(ice.shape, np.int64), []
    _, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    cells = labels[tuple(nearest)].astype(np.int64)
    every = np.arange(1, count + 1)
    centres = ndimage.center_of_mass(ice, labels, every)
    areas = ndimage.sum(ice, labels, every) * source.gsd_m**2
    rows, columns = source.shape
    patches = []
    for label, (row, column), area in zip(every.tolist(), centres, areas, strict=True):
        x = west + (east - west) * (column + 0.5) * CELL_PX / columns
        y = north - (north - south) * (row + 0.5) * CELL_PX / rows
        site = round(x / SITE_DEG), round(y / SITE_DEG)
        patches.append(_Patch(number, label, x, site, float(area)))
    return cells, patches


def _footprint(source: Source) -> Sequence[float]:
    box: Sequence[float] = source.about.get("footprint", ())
    if len(box) != 4:
        raise OptionError(
            f"--split folds-area needs to know where scenes lie, and {source.name} is made. Use "
            "--split folds."
        )
    return box


def _cut(patches: Sequence[_Patch], folds: int) -> dict[tuple[int, int], int]:
    """Cut sites, from west to east, where their area reaches each share of the whole."""
    area, longitude = _sites(patches)
    order = sorted(area, key=lambda site: (longitude[site], site))
    whole = sum(area.values())
    found, before = {}, 0.0
    for site in order:
        # The fold that its middle lies in.
        found[site] = min(folds - 1, int(folds * (before + area[site] / 2) / whole))
        before += area[site]
    return found


def _sites(
    patches: Sequence[_Patch],
) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], float]]:
    """Return the area of each site, and its westernmost centre."""
    area: dict[tuple[int, int], float] = {}
    longitude: dict[tuple[int, int], float] = {}
    for patch in patches:
        area[patch.site] = area.get(patch.site, 0.0) + patch.area_m2
        longitude[patch.site] = min(longitude.get(patch.site, patch.longitude), patch.longitude)
    return area, longitude


def _some(
    patches: Sequence[_Patch], held: set[tuple[int, int]], share: float, seed: int
) -> set[tuple[int, int]]:
    """Choose sites at random until they have a share of the area that is not held out."""
    area, _ = _sites([patch for patch in patches if patch.site not in held])
    order = sorted(area)
    np.random.default_rng((seed, 19)).shuffle(order)
    chosen: set[tuple[int, int]] = set()
    wanted, got = share * sum(area.values()), 0.0
    for site in order[:-1]:
        if got >= wanted:
            break
        chosen.add(site)
        got += area[site]
    return chosen


def _too_little(options: SplitOptions, why: str = "") -> OptionError:
    return OptionError(
        f"{why}There is too little ice for --split {options.split}. Give fewer folds, a smaller "
        "--block-m, or more scenes."
    )
