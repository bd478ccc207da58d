"""Which scene is believed first, where several see the ground."""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from glacierx.errors import OptionError
from glacierx.inventories import SceneOutlines
from glacierx.outlines.outlines import Ints, Outlines, connected_groups

CUT = ("touches_edge", "touches_nodata", "cut_by_aoi")


def nothing_cuts(glaciers: Outlines) -> NDArray[np.bool_]:
    """Tell which glaciers their scene sees whole; outlines that do not say are taken for whole."""
    whole = np.ones(len(glaciers), bool)
    for name in CUT:
        whole &= np.array([value != 1 for value in glaciers[name].tolist()], bool)
    return whole


def order_of_belief(
    scenes: Sequence[SceneOutlines], glaciers: Outlines, scene_of: Ints, prefer: str
) -> tuple[Ints, NDArray[np.float64]]:
    """Put scenes in order: everywhere the same, or for each place of ice by itself.

    Args:
        scenes: The scenes.
        glaciers: Those of all scenes, in one CRS.
        scene_of: The scene of each.
        prefer: ``newest``, by date; ``least-cloud``, by the share of invalid ground;
            ``highest-probability``, by the mean probability of the ice of a place, where a scene
            without ice there has no say. What is equal goes by date, that by invalid ground, and
            that by name.

    Returns:
        For each glacier a row, and for each row the place of every scene, lowest first: see
        `Views`.

    Raises:
        OptionError: A scene does not say what the rule goes by.
    """
    everywhere = np.zeros(len(glaciers), np.int64)
    if len(scenes) == 1:
        return everywhere, np.zeros((1, 1))
    dates = [scene.date or "" for scene in scenes]
    shares = [scene.invalid_share for scene in scenes]
    age = (-np.unique(np.array(dates), return_inverse=True)[1]).tolist()
    clear = [1.0 if share is None else share for share in shares]
    both = list(zip(clear, age, strict=True))
    if prefer == "newest":
        both = list(zip(age, clear, strict=True))
        _refuse("has no date", [not date for date in dates], scenes, "extract it with --date")
    if prefer == "least-cloud":
        unknown = [share is None for share in shares]
        _refuse("does not say what it shows", unknown, scenes, "extract it with glacierx")
    place = np.empty(len(scenes))
    place[sorted(range(len(scenes)), key=lambda at: (both[at], at))] = np.arange(len(scenes))
    if prefer != "highest-probability":
        return everywhere, place[None]
    probability = np.array(
        [np.nan if one is None else one for one in glaciers["mean_probability"].tolist()], float
    )
    without = set(scene_of[np.isnan(probability)].tolist())
    lacks = [at in without for at in range(len(scenes))]
    _refuse("has no mean_probability", lacks, scenes, "extract it with glacierx")
    a, b = shapely.STRtree(glaciers.geometry).query(glaciers.geometry, predicate="intersects")
    cluster = connected_groups(len(glaciers), a, b)
    area = np.maximum(shapely.area(glaciers.geometry), 1e-9)
    shape = max(1, int(cluster.max(initial=0)) + 1), len(scenes)
    total, weight = np.zeros(shape), np.zeros(shape)
    np.add.at(total, (cluster, scene_of), area * probability)
    np.add.at(weight, (cluster, scene_of), area)
    mean = np.round(np.divide(total, weight, out=np.zeros_like(total), where=weight > 0), 9)
    # Far below the ninth digit, so that it decides between equals alone.
    return cluster, np.where(weight > 0, 1 - mean + 1e-12 * place, np.inf)


def _refuse(
    what: str, missing: Sequence[bool], scenes: Sequence[SceneOutlines], advice: str
) -> None:
    names = [scene.path.name for scene, lacks in zip(scenes, missing, strict=True) if lacks]
    if names:
        others = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        raise OptionError(
            f"{names[0]}{others} {what}, which the rule goes by: {advice}, or choose another "
            "--prefer."
        )
