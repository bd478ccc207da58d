"""A run record in words."""

from collections.abc import Mapping
from typing import Any


def process_text(record: Mapping[str, Any]) -> list[str]:
    """Say sentence by sentence how outlines were made.

    Args:
        record: A run record; whatever is missing in it is left out.
    """
    made = [_version(record), _model(_part(record, "model")), _outline(record), _divides(record)]
    return [sentence for sentence in made if sentence]


def _part(record: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        inner = record.get(key)
        record = inner if isinstance(inner, Mapping) else {}
    return record


def _version(record: Mapping[str, Any]) -> str:
    version = _part(record, "versions").get("glacierx")
    return f"Glacier outlines were made by glacierx {version}." if version else ""


def _model(model: Mapping[str, Any]) -> str:
    name = model.get("name")
    if not name:
        return ""
    roles = model.get("roles")
    bands = f" from the bands {', '.join(roles)}" if isinstance(roles, list) and roles else ""
    kind = str(model.get("kind", "model"))
    if kind == "pixel method":
        numbers = model.get("thresholds")
        above = ""
        if isinstance(numbers, Mapping) and numbers:
            above = ", thresholds " + ", ".join(
                f"{key} {numbers[key]:g}" for key in sorted(numbers)
            )
        return f"Ice was found pixel by pixel by the method {name}{bands}{above}."
    return f"The probability of glacier was predicted by the network {name}{bands}."


def _outline(record: Mapping[str, Any]) -> str:
    options = _part(record, "options", "outline")
    if not options:
        return ""
    parts = []
    if options.get("threshold") is not None:
        parts.append(f"where the probability is above {options['threshold']:g}")
    if options.get("smooth_px"):
        parts.append(f"smoothed within a band of {options['smooth_px']:g} pixels")
    if options.get("min_area_km2"):
        parts.append(f"those below {options['min_area_km2']:g} km2 left out")
    if options.get("min_hole_km2"):
        parts.append(f"nunataks below {options['min_hole_km2']:g} km2 filled")
    return f"Outlines were traced along pixels: {', '.join(parts)}." if parts else ""


def _divides(record: Mapping[str, Any]) -> str:
    inventory, dem = _part(record, "inventory"), _part(record, "dem")
    if inventory:
        return f"Ice divides were copied from the inventory {inventory.get('name')}."
    if dem:
        return (
            f"Ice was divided by the flow over the DEM {dem.get('name')}, after Kienholz et al. "
            "(2013, doi:10.3189/2013JoG12J138)."
        )
    return "Glacier complexes were not divided." if record else ""
