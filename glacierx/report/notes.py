"""What a reader of a report should know before believing it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glacierx.inputs import table
from glacierx.options import OutlineOptions
from glacierx.outlines.attributes import class_of
from glacierx.report.ground import Overlay
from glacierx.report.hypsometry import Hypsometry
from glacierx.report.results import Results
from glacierx.scene.scene import Scene

DOUBTFUL = 0.6
"""Mean probability below which a glacier is called doubtful."""
LITTLE = 0.0005


@dataclass(frozen=True)
class Note:
    """A warning, or a fact that is as good to know.

    Attributes:
        text: One or two sentences.
        rows: The glaciers that it is about, if about some.
        warns: It is a warning.
    """

    text: str
    rows: list[int] = field(default_factory=list)
    warns: bool = True


def notes_of(
    results: Results,
    scene: Scene | None,
    overlay: Overlay | None,
    hypsometry: Hypsometry | None,
    changed: list[str],
) -> list[Note]:
    """Say what limits a result.

    Args:
        results: The result.
        scene: Its scene, if it is at hand.
        overlay: The scene as it is shown.
        hypsometry: Its ice by elevation.
        changed: Files of the scene that are not those that the result was made from.
    """
    found = [
        *_of_files(results, scene, changed),
        *_of_model(results.record),
        *_of_pixels(results, overlay),
        *_of_heights(results, hypsometry),
        *_of_columns(results),
    ]
    return sorted(found, key=lambda note: not note.warns)


def _of_files(results: Results, scene: Scene | None, changed: list[str]) -> Iterator[Note]:
    if not len(results):
        yield Note("There is no glacier in the result.")
    if not results.record:
        yield Note(
            f"{results.name} holds no run record: what it was made from, and how, is not known."
        )
    for name in changed:
        yield Note(f"{name}, which is shown, is not the file that the outlines were made from.")
    if scene is not None and scene.made:
        yield Note("A program made this scene; no satellite saw it.")
    said = table(results.record, "scene")
    if said and not said.get("src_date"):
        yield Note("The date of the scene is not known.", warns=False)


def _of_model(record: Mapping[str, Any]) -> Iterator[Note]:
    model = table(record, "model")
    if model.get("kind") == "pixel method":
        yield Note(
            f"The pixel method {model.get('name')} found the ice, without a network: ice under "
            "debris is missing, and seasonal snow is taken for ice."
        )
        notes = model.get("notes")
        for text in notes if isinstance(notes, list) else []:
            yield Note(f"{str(text)[:1].upper()}{str(text)[1:]}.")
    if model and not table(record, "scene").get("invalid"):
        yield Note(
            "No quality mask was given: what lies under cloud is not marked as unknown.",
            warns=False,
        )
    if model.get("kind") == "network":
        yield Note(
            f"A network ({model.get('name')}) found the ice. Clouds, seasonal snow, shadow, "
            "frozen lakes and debris are where it errs most; look at the map.",
            warns=False,
        )


def _flagged(results: Results, column: str) -> list[int]:
    values = results.numbers(column)
    return [] if values is None else np.flatnonzero(np.nan_to_num(values) > 0).tolist()


def _count(rows: list[int], results: Results, one: str, several: str) -> str:
    area = float(results.areas[rows].sum())
    number, verb = ("1 glacier", one) if len(rows) == 1 else (f"{len(rows):,} glaciers", several)
    return f"{number} ({area:,.2f} km²) {verb}"


def _of_pixels(results: Results, overlay: Overlay | None) -> Iterator[Note]:
    if overlay is not None and overlay.unseen >= LITTLE:
        yield Note(f"About {overlay.unseen:.1%} of the scene holds no data.")
    kinds = (
        ("touches_edge", "is cut by the scene's frame", "are cut by the scene's frame",
         "more of the ice lies outside"),
        ("touches_nodata", "touches pixels without data", "touch pixels without data",
         "cloud, shadow or a gap may hide ice beside it"),
        ("cut_by_aoi", "is cut by the area of interest", "are cut by the area of interest",
         "more of the ice lies outside"),
        ("invalid_share", "has pixels without data inside", "have pixels without data inside",
         "they do not count as ice"),
    )  # fmt: skip
    for column, one, several, why in kinds:
        rows = _flagged(results, column)
        if rows:
            yield Note(f"{_count(rows, results, one, several)}: {why}.", rows)


def _of_heights(results: Results, hypsometry: Hypsometry | None) -> Iterator[Note]:
    divided = results.numbers("divided")
    rows = [] if divided is None else np.flatnonzero(divided == 0).tolist()
    if rows and len(rows) == len(results):
        yield Note("Neither a DEM nor an inventory divides the ice: complexes count as glaciers.")
    elif rows:
        said = _count(rows, results, "lies", "lie")
        yield Note(f"{said} outside the DEM or inventory and could not be divided.", rows)
    share = results.numbers("dem_share")
    rows = [] if share is None else np.flatnonzero(share < 1 - LITTLE).tolist()
    if rows:
        said = _count(rows, results, "has", "have")
        yield Note(f"{said} gaps in the DEM: its elevations leave them out.", rows)
    if hypsometry is not None and hypsometry.unknown_km2 > LITTLE * results.areas.sum():
        unknown = hypsometry.unknown_km2
        yield Note(f"The elevation of {unknown:,.2f} km² of ice is not known.", warns=False)


def _of_columns(results: Results) -> Iterator[Note]:
    mean = results.numbers("mean_probability")
    rows = [] if mean is None else np.flatnonzero(mean < DOUBTFUL).tolist()
    if rows:
        said = _count(rows, results, "is doubtful", "are doubtful")
        yield Note(f"{said}: mean probability below {DOUBTFUL:g}.", rows)
    areas = {class_of(name): results.numbers(name) for name in results.glaciers.columns}
    listed = [
        f"{name} {np.nansum(area):,.2f} km²"
        for name, area in areas.items()
        if name is not None and area is not None
    ]
    if listed:
        yield Note(f"Of the ice, by its likeliest class: {', '.join(listed)}.", warns=False)
    if results.measured:
        yield Note(f"{results.name} has no areas; they were measured for this report.", warns=False)
    outline = table(results.record, "options", "outline")
    least = outline.get("min_area_km2", OutlineOptions().min_area_km2 if outline else None)
    if isinstance(least, int | float) and least > 0:
        yield Note(f"Outlines below {least:g} km² were left out.", warns=False)
