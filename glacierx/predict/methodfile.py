"""A fitted pixel method as a safetensors file: save, load, and refuse what is none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from glacierx.errors import ModelError
from glacierx.predict.card import are_boxes, is_number
from glacierx.predict.classic import PixelMethod, fitted_notes, roles_of
from glacierx.predict.forest import Forest, check_forest
from glacierx.predict.modelfile import METHOD_KEY
from glacierx.scene.indices import INDICES, NUMBERS, REFLECTANCE
from glacierx.scene.raster import PathLike
from glacierx.scene.sensors import OPTICAL
from glacierx.scene.staging import staged

FORMAT = 1
KEYS = {"format", "name", "thresholds", "units", "features", "training"}
# What each fitted method may compare.
COMPARED = {
    "ndsi": {"ndsi", "green", "nir", "blue"},
    "ratio": {"ratio", "blue"},
    "sbtm": set(OPTICAL),
    "gmm": {*OPTICAL, "ndsi"},
}
ARRAYS = {"starts": np.int64, "feature": np.int16, "right": np.int32, "number": np.float32}


def card_of(method: PixelMethod) -> dict[str, Any]:
    """Return what the file of a method says of it, and `glacierx models show` prints."""
    return {
        "format": FORMAT,
        "name": method.name,
        "thresholds": dict(method.thresholds),
        "units": method.units,
        "features": list(method.forest.features) if method.forest else [],
        "training": dict(method.training),
    }


def save_method(method: PixelMethod, path: PathLike, *, overwrite: bool = False) -> Path:
    """Write a fitted pixel method into one safetensors file, the same bytes for the same method.

    Args:
        method: What `fit` returned.
        path: The file, ending in ``.safetensors``.
        overwrite: Replace an existing file.

    Raises:
        ModelError: It was not fitted to outlines, so that it is made anew for each scene.
    """
    if not method.training:
        raise ModelError(
            f"The method {method.name} was not fitted to outlines, so there is nothing to keep. "
            "Save what glacierx.fit returns."
        )
    arrays = {name: getattr(method.forest, name) for name in ARRAYS} if method.forest else {}
    text = json.dumps(card_of(method), sort_keys=True, indent=1)
    with staged(path, overwrite=overwrite) as part:
        part.write_bytes(save(arrays, metadata={METHOD_KEY: text}))
    return Path(path)


def read_method(path: Path, text: str, sha256: str) -> PixelMethod:
    """Read a pixel method from its file.

    Args:
        path: A safetensors file.
        text: What its metadata hold under `METHOD_KEY`.
        sha256: Of the file.

    Raises:
        ModelError: It is not a method that this version can read, or its numbers cannot be.
    """
    data = _card(text, path.name)
    thresholds = {name: float(value) for name, value in data["thresholds"].items()}
    forest = None
    if data["name"] == "rf":
        forest = _forest(path, tuple(data["features"]))
    names = forest.features if forest else tuple(thresholds)
    return PixelMethod(
        data["name"],
        roles_of(names),
        thresholds,
        fitted_notes(data["name"], data["units"], thresholds),
        units=data["units"],
        forest=forest,
        training=data["training"],
        sha256=sha256,
    )


def _card(text: str, name: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"The card of {name} is not JSON: {error}.") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT or set(data) != KEYS:
        raise ModelError(
            f"The card of {name} is not one of format {FORMAT}. Fit the method again with this "
            "version of glacierx."
        )
    limits, training, features = data["thresholds"], data["training"], data["features"]
    forest = data["name"] == "rf"
    named = isinstance(features, list) and all(isinstance(item, str) for item in features)
    problems = {
        f"{data['name']!r} is no method that is fitted": data["name"] not in (*COMPARED, "rf"),
        "its thresholds are not numbers by name": not (
            isinstance(limits, dict) and all(is_number(value) for value in limits.values())
        ),
        "its units are not known": data["units"] not in (REFLECTANCE, NUMBERS),
        "it does not say what it was fitted to": not (isinstance(training, dict) and training),
        "its features are not names": not named,
    }
    if not any(problems.values()):
        compared = COMPARED.get(data["name"], set())
        known = {*OPTICAL, *INDICES}
        problems |= {
            "it compares what such a method does not": not set(limits) <= compared,
            "it compares nothing": not forest and not (set(limits) - {"blue"}),
            "it has features that are not known": not set(features) <= known
            or len(set(features)) < len(features)
            or bool(features) != forest,
            "its footprints are not boxes of west, south, east, north": not are_boxes(
                training.get("footprints", [])
            ),
        }
    for problem, found in problems.items():
        if found:
            raise ModelError(
                f"The card of {name} cannot be used: {problem}. The file is damaged or was edited; "
                "get it again, or fit it anew."
            )
    return data


def _forest(path: Path, features: tuple[str, ...]) -> Forest:
    try:
        with safe_open(path, framework="numpy") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safetensors has no iterator
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path.name} cannot be read as safetensors: {str(error).strip()}. "
            "The file is damaged or cut short; get it again."
        ) from error
    kinds = {name: value.dtype for name, value in found.items() if value.ndim == 1}
    if kinds != {name: np.dtype(kind) for name, kind in ARRAYS.items()}:
        raise ModelError(
            f"{path.name} does not hold the arrays of a random forest "
            f"({', '.join(ARRAYS)}). Fit it again with this version of glacierx."
        )
    forest = Forest(features, **found)
    check_forest(forest, path.name)
    return forest
