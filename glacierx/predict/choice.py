"""Which model or pixel method predicts a scene, and what a user should know of the choice."""

import warnings
from collections.abc import Sequence

from glacierx.errors import GlacierxWarning
from glacierx.predict.card import Card
from glacierx.predict.classic import PixelMethod, fit_method, parse_method
from glacierx.predict.model import check_file, find_model, load_model, shipped_models
from glacierx.predict.modelfile import Model, load_card
from glacierx.scene.raster import PathLike
from glacierx.scene.scene import Scene

SHOWN = 0.05


def choose_model(name: PathLike | Model | PixelMethod, scene: Scene) -> Model | PixelMethod:
    """Choose what predicts a scene, and refuse the scene if it does not fit.

    Args:
        name: ``auto``, a pixel method (``ratio``, ``sbtm:role=red``), the name of a model that
            ships, a file of a model or of a fitted method, or a model.
        scene: The scene.

    Returns:
        A model or a pixel method that fits the scene. With ``auto`` that is a model that ships, or
        else a pixel method, which a warning names.
    """
    if isinstance(name, Model | PixelMethod):
        chosen = name
    elif str(name) == "auto":
        shipped = shipped_for(scene)
        if shipped is None:
            return _fall_back(scene)
        chosen = load_model(shipped)
    elif parse_method(str(name)) is not None:
        chosen = fit_method(str(name), scene)
    else:
        # The card is checked before the weights are read.
        check_file(find_model(name), scene)
        chosen = load_model(name)
    chosen.check(scene)
    if isinstance(chosen, PixelMethod):
        for note in chosen.notes:
            warnings.warn(f"{chosen.name}: {note}.", GlacierxWarning, stacklevel=2)
        _warn_of_place(chosen.name, chosen.training.get("footprints", ()), scene)
    else:
        _warn_of_gsd(chosen.card, scene)
        _warn_of_place(chosen.name, chosen.card.training.get("footprints", ()), scene)
    return chosen


def shipped_for(scene: Scene) -> str | None:
    """Return the name of the model that ships and fits a scene, if there is one."""
    fitting = (name for name in shipped_models() if load_card(find_model(name)).fits(scene))
    return next(fitting, None)


def _fall_back(scene: Scene) -> PixelMethod:
    has_swir = {"green", "swir1"} <= set(scene.roles)
    name = "ndsi" if has_swir and scene.has_reflectance(("green", "swir1")) else "otsu"
    method = fit_method(name, scene)
    unknown = " the units are unknown, so NDSI cannot be used;" if has_swir else ""
    notes = "".join(f" {note};" for note in method.notes)
    warnings.warn(
        f"No model fits {scene.name}: the pixel method {name} is used, which is no network;"
        f"{unknown if name == 'otsu' else ''}{notes} "
        "it misses ice under debris and takes seasonal snow for ice.",
        GlacierxWarning,
        stacklevel=3,
    )
    return method


def _warn_of_gsd(card: Card, scene: Scene) -> None:
    low, high = card.gsd_m
    if not card.covers(scene.grid.gsd_m):
        warnings.warn(
            f"{scene.name} has a GSD of {scene.grid.gsd_m:.3g} m and {card.name} was made for "
            f"{low:g} to {high:g} m: expect poor outlines.",
            GlacierxWarning,
            stacklevel=3,
        )


def _warn_of_place(name: str, footprints: Sequence[Sequence[float]], scene: Scene) -> None:
    west, south, east, north = scene.bounds_lonlat()
    for box in footprints:
        wide, high = min(east, box[2]) - max(west, box[0]), min(north, box[3]) - max(south, box[1])
        # The boxes of neighbours overlap a little, because they are not upright in their CRS.
        if min(wide, high) > 0 and wide * high > SHOWN * (east - west) * (north - south):
            warnings.warn(
                f"{name} was trained on ground that {scene.name} shows: scores here are no "
                "test of it.",
                GlacierxWarning,
                stacklevel=3,
            )
            return
