"""Scenes + reference outlines -> a pixel method with fitted thresholds, or a random forest."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacierx.errors import GlacierxWarning, OptionError, OutlineError, SceneError
from glacierx.predict.calibrate import (
    BAND_STEPS,
    BLUE_GRID,
    BLUE_STEPS,
    LEVEL_GRID,
    NDSI_GRID,
    RATIO_GRID,
    Counts,
)
from glacierx.predict.classic import (
    METHODS,
    PixelMethod,
    conditions,
    fitted_notes,
    mixed_of,
    need_roles,
    parse_method,
    roles_of,
    sample_measure,
    units_of,
)
from glacierx.predict.grow import draw_pixels, find_sklearn, grow_forest
from glacierx.predict.labelled import Progress, Reference, read_labelled
from glacierx.predict.mixture import fit_mixture, not_two
from glacierx.scene.icewindow import MaskChoice
from glacierx.scene.indices import INDICES, REFLECTANCE, measure
from glacierx.scene.provenance import fingerprint, versions
from glacierx.scene.raster import PathLike
from glacierx.scene.scene import Scene
from glacierx.scene.sensors import OPTICAL

FITTED = tuple(name for name in METHODS if name != "otsu")
# Percentiles of the sample that a search runs between where no literature gives its grid.
BAND_ENDS, BLUE_ENDS = (0.1, 99.9), (1.0, 90.0)
MIXTURE_PX = 4_000_000


def fit(  # noqa: PLR0913 - one keyword for each flag of the command line
    method: str,
    scenes: Sequence[Scene],
    outlines: Sequence[PathLike],
    *,
    positive: str | None = None,
    layer: str | None = None,
    align: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> PixelMethod:
    """Fit a pixel method to reference outlines.

    Thresholds are those that reach the highest IoU over all scenes together; see
    `glacierx.predict.calibrate.Counts.best` for equal ones.

    Args:
        method: ``ndsi``, ``ratio``, ``sbtm``, ``gmm`` or ``rf``; ``sbtm:role=red`` chooses a band.
        scenes: Open scenes, all in reflectance or all in the same stored numbers.
        outlines: Vector files or masks: one for all scenes, or one for each.
        positive: Numbers of a mask that mean ice, ``"1,2"``.
        layer: Layer of a vector file.
        align: Warp a mask of another grid onto its scene.
        seed: Number that a random forest follows from.
        progress: Called as work goes on.

    Returns:
        The method, which `save_model` writes and `predict` takes.

    Raises:
        OptionError: The method cannot be fitted, or the files do not go with the scenes.
        MissingBandError: A scene lacks a role.
        SceneError: Units differ, or no pixel is valid.
        OutlineError: There is no ice in the outlines, or nothing else.
        ExtraError: scikit-learn is needed and not installed.

    Example:
        >>> with open_scene("scene.tif") as scene:
        ...     method = fit("ratio", [scene], ["outlines.gpkg"])
        >>> save_model(method, "ratio.safetensors")
    """
    name, given = _parsed(method)
    choice = MaskChoice(layer=layer, positive=positive)
    reference = Reference(tuple(outlines), choice, align)
    reference.of(scenes)
    if name == "rf":
        return _fit_forest(scenes, reference, seed, progress)
    index = {"sbtm": given.get("role", "nir"), "ratio": "ratio", "ndsi": "ndsi"}.get(name)
    if index is None:
        index = mixed_of(scenes, given)
    return _fit_thresholds(name, index, scenes, reference, progress)


def _parsed(method: str) -> tuple[str, dict[str, Any]]:
    parsed = parse_method(method)
    if parsed is None or parsed[0] not in FITTED:
        why = " finds its threshold in each scene, so there is nothing to fit"
        raise OptionError(
            f"{method!r}{why if parsed else ' is no pixel method'}. It takes one of: "
            f"{', '.join(FITTED)}."
        )
    found = sorted({"above", "blue"} & set(parsed[1]))
    if found:
        raise OptionError(f"{method!r} gives {', '.join(found)}, which is what is to be found.")
    return parsed


def _fit_thresholds(
    name: str,
    index: str,
    scenes: Sequence[Scene],
    reference: Reference,
    progress: Progress | None,
) -> PixelMethod:
    """Search thresholds of a band or index, and of blue where the method has that condition."""
    roles = need_roles(roles_of([index]), scenes, name)
    units = _common_units(scenes, roles)
    limits = conditions(name, scenes) if units == REFLECTANCE else {}
    with_blue = name in ("ratio", "ndsi") and all(
        "blue" in scene.roles and units_of(scene, ("blue",)) == units for scene in scenes
    )
    read = roles_of([index, *limits, *(["blue"] if with_blue else [])])
    blue_grid = _blue_grid(scenes, units) if with_blue else None
    counts = Counts(_grid(name, index, scenes, units), blue_grid)
    for strip in read_labelled(scenes, reference, read, progress):
        pixels = dict(zip(read, strip.values[:, strip.known], strict=True))
        passing = np.ones(np.count_nonzero(strip.known), bool)
        for role, limit in limits.items():
            passing &= pixels[role] >= limit
        counts.add(
            measure(index, pixels, units),
            strip.ice[strip.known],
            blue=pixels["blue"] if with_blue else None,
            passing=passing,
        )
    _check_classes(*counts.pixels, scenes, reference)
    best = counts.best()
    other, ice = counts.pixels
    if not best.iou:
        raise OutlineError(
            f"No threshold of {index} that was tried finds any of the ice in {_listed(scenes)}. "
            "Check the units (--scale, --offset), the bands and the outlines."
        )
    if best.iou <= ice / (ice + other):
        warnings.warn(
            f"{name}: no threshold of {index} does better than calling everything glacier.",
            GlacierxWarning,
            stacklevel=3,
        )
    elif best.at_end:
        warnings.warn(
            f"{name}: the best threshold is the first or last that was tried, so these scenes do "
            "not tell it.",
            GlacierxWarning,
            stacklevel=3,
        )
    thresholds = {index: best.above, **limits}
    if best.blue is not None:
        thresholds["blue"] = best.blue
    training = _training(scenes, reference, counts.pixels, iou=round(best.iou, 6))
    notes = fitted_notes(name, units, thresholds)
    return PixelMethod(
        name, roles_of(thresholds), thresholds, notes, units=units, training=training
    )


def _grid(name: str, index: str, scenes: Sequence[Scene], units: str) -> NDArray[np.float64]:
    if name == "ratio":
        return RATIO_GRID
    if name == "ndsi":
        return NDSI_GRID
    if name == "sbtm":
        return _even(scenes, index, units, BAND_ENDS, BAND_STEPS)
    values = np.concatenate(
        [sample_measure(scene, index, units)[:: len(scenes)][:MIXTURE_PX] for scene in scenes]
    )
    mixture = fit_mixture(values)
    why_not = not_two(mixture, values)
    if mixture is None or why_not:
        raise SceneError(
            f"No two classes of {index} in {_listed(scenes)}: {why_not}. Fit gmm to scenes with "
            "ice and other ground, or choose another method."
        )
    found = [mixture.threshold(float(level)) for level in LEVEL_GRID]
    return np.array(sorted(limit for limit in found if limit is not None))


def _blue_grid(scenes: Sequence[Scene], units: str) -> NDArray[np.float64]:
    if units == REFLECTANCE:
        return BLUE_GRID
    return _even(scenes, "blue", units, BLUE_ENDS, BLUE_STEPS)


def _even(
    scenes: Sequence[Scene], role: str, units: str, ends: tuple[float, float], steps: int
) -> NDArray[np.float64]:
    """Return even steps over what scenes hold, between two percentiles of their samples."""
    samples = (sample_measure(scene, role, units) for scene in scenes)
    found = np.array([np.percentile(values, ends) for values in samples if values.size])
    if not len(found):
        raise _nothing(scenes)
    return np.linspace(found[:, 0].min(), found[:, 1].max(), steps)


def _fit_forest(
    scenes: Sequence[Scene], reference: Reference, seed: int, progress: Progress | None
) -> PixelMethod:
    find_sklearn()  # Before anything is read: it may not be installed.
    have = set.intersection(*(set(scene.roles) for scene in scenes))
    roles = tuple(role for role in OPTICAL if role in have)
    if not roles:
        need_roles(("green",), scenes, "rf")
    units = _common_units(scenes, roles)
    features = (*roles, *(name for name, needed in INDICES.items() if set(needed) <= have))
    other, ice = draw_pixels(read_labelled(scenes, reference, roles, progress), len(roles), seed)
    _check_classes(other.seen, ice.seen, scenes, reference)
    planes = []
    for sample in (other.values, ice.values):
        by_role = dict(zip(roles, sample, strict=True))
        planes.append(np.stack([measure(name, by_role, units) for name in features]))
    forest, unseen = grow_forest(features, planes[0], planes[1], seed)
    drawn = planes[0].shape[1]
    false, true = (float((part > 0.5).mean()) for part in (unseen[:drawn], unseen[drawn:]))
    # Shares of the sample, weighted back to how many pixels of each class there are.
    iou = true * ice.seen / (ice.seen + false * other.seen)
    training = _training(
        scenes,
        reference,
        (other.seen, ice.seen),
        iou_out_of_bag=round(iou, 6),
        drawn={"ice": planes[1].shape[1], "other": drawn},
        seed=seed,
        packages=("scikit-learn",),
    )
    notes = fitted_notes("rf", units, {})
    return PixelMethod("rf", roles, {}, notes, units=units, forest=forest, training=training)


def _common_units(scenes: Sequence[Scene], roles: tuple[str, ...]) -> str:
    found = {units_of(scene, roles): scene.name for scene in scenes}
    if len(found) > 1:
        listed = " and ".join(f"{name} in {units}" for units, name in found.items())
        raise SceneError(
            f"The scenes are in different units: {listed}. Give scenes that are alike, or --scale "
            "and --offset for all."
        )
    [units] = found
    return units


def _check_classes(other: int, ice: int, scenes: Sequence[Scene], reference: Reference) -> None:
    if not other + ice:
        raise _nothing(scenes)
    if not other or not ice:
        names = ", ".join(sorted({str(fingerprint(path)["name"]) for path in reference.paths}))
        found = "nothing but ice" if ice else "no ice"
        raise OutlineError(
            f"{names} shows {found} in the valid pixels of {_listed(scenes)}. A method is fitted "
            "to both: give a scene with ice and other ground, or say with --positive what is ice."
        )


def _nothing(scenes: Sequence[Scene]) -> SceneError:
    return SceneError(
        f"No pixel of {_listed(scenes)} is valid where the outlines know what is there. Check "
        "--nodata, --invalid, --aoi and the outlines."
    )


def _listed(scenes: Sequence[Scene]) -> str:
    names = [scene.name for scene in scenes]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _training(
    scenes: Sequence[Scene],
    reference: Reference,
    pixels: tuple[int, int],
    packages: tuple[str, ...] = (),
    **found: Any,
) -> dict[str, Any]:
    """Say what a method was fitted to, without paths or times."""
    return {
        "scenes": [
            {"name": scene.name, "sensor": scene.sensor, "inputs": scene.fingerprints()}
            for scene in scenes
        ],
        "outlines": [fingerprint(path) for path in reference.paths],
        "positive": reference.choice.positive,
        "layer": reference.choice.layer,
        "footprints": [[round(edge, 6) for edge in scene.bounds_lonlat()] for scene in scenes],
        "gsd_m": sorted({round(scene.grid.gsd_m, 3) for scene in scenes}),
        "pixels": {"ice": pixels[1], "other": pixels[0]},
        "versions": versions(*packages),
        **found,
    }
