"""A result as one HTML page: map, plots, table, warnings, run record."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glacierx.errors import OptionError
from glacierx.extract import Extraction
from glacierx.inputs import same_state, table, tables
from glacierx.options import ReportOptions
from glacierx.report.command import bands_text
from glacierx.report.figures import figures_of
from glacierx.report.ground import frame_of, overlay_of, shapes_of
from glacierx.report.hypsometry import hypsometry_of
from glacierx.report.notes import notes_of
from glacierx.report.page import Contents, page_html
from glacierx.report.results import Results, read_results, results_of
from glacierx.scene.output import check_output, check_suffix
from glacierx.scene.raster import PathLike, base_name
from glacierx.scene.scene import Scene
from glacierx.scene.staging import staged
from glacierx.scene.terrain import Dem

SUFFIXES = (".html", ".htm")
LARGEST_SCORES = 64 * 2**20


def write_report(  # noqa: PLR0913 - one keyword for each flag of the command line
    result: Extraction | PathLike,
    path: PathLike,
    *,
    scene: Scene | None = None,
    dem: Dem | None = None,
    scores: PathLike | None = None,
    layer: str | None = None,
    options: ReportOptions = ReportOptions(),
    overwrite: bool = False,
) -> Path:
    """Write one HTML page that shows a result and opens without a network.

    Args:
        result: What `extract` returned, or a file of outlines; what its columns do not tell is
            left out, and said to be.
        path: The page.
        scene: The scene below the map.
        dem: Heights for the hypsometry; those of the scene if None.
        scores: The JSON that ``glacierx evaluate --json`` wrote.
        layer: The layer of the file, if it has several and none is called glaciers.
        options: How the scene is shown.
        overwrite: Replace an existing file.

    Raises:
        OutputError: The page exists, is an input or cannot be written.
        OutlineError: The file holds no polygons.
        GridError: The scene lies elsewhere.
        OptionError: The scores cannot be read.

    Example:
        >>> with open_scene("scene.tif", dem="dem.tif") as scene:
        ...     write_report("outlines.gpkg", "report.html", scene=scene)
    """
    check_report(path)
    given = None if isinstance(result, Extraction) else result
    read = [*(scene.paths if scene else []), *(dem.parts if dem else []), scores, given]
    check_output(path, overwrite=overwrite, inputs=read)
    said = read_scores(scores) if scores is not None else None
    if isinstance(result, Extraction):
        results = results_of(result, f"{Path(path).stem}.gpkg")
    else:
        results = read_results(result, layer)
    with staged(path, overwrite=overwrite) as part:
        text = report_html(results, scene, dem=dem, scores=said, options=options)
        save_report(part, text)
    return Path(path)


def report_html(
    results: Results,
    scene: Scene | None = None,
    *,
    dem: Dem | None = None,
    scores: Mapping[str, Any] | None = None,
    options: ReportOptions = ReportOptions(),
) -> str:
    """Make the page that `write_report` writes."""
    dem = dem or (scene.dem if scene else None)
    frame = frame_of(results.glaciers, scene)
    overlay = overlay_of(scene, options.overlay_px) if scene else None
    hypsometry = hypsometry_of(results, dem)
    changed = changed_files(results, scene) if scene else []
    contents = Contents(
        results,
        frame,
        shapes_of(frame, results.glaciers, results.divides),
        overlay,
        figures_of(results, hypsometry),
        notes_of(results, scene, overlay, hypsometry, changed),
        scores,
    )
    return page_html(contents)


def check_report(path: PathLike) -> None:
    """Refuse a page that could not be written, before any work is done.

    Raises:
        OutputError: Its name has another ending.
    """
    check_suffix(path, SUFFIXES, "reports")


def scene_choice(
    results: Results, path: PathLike | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Say how a scene is read: as it was in the run, where it is that scene and nothing is given.

    Args:
        results: The result.
        path: The scene: one of the run's files, or the folder that holds them.
        given: Keywords of `open_scene`.
    """
    named = {str(one.get("name")) for one in tables(results.record, "inputs")}
    same = path is not None and (Path(path).is_dir() or base_name(path) in named)
    bands = bands_text(results.record)
    if not same or given.get("bands") or given.get("sensor") or not bands:
        return dict(given)
    said = table(results.record, "scene")
    kept = {key: said.get(key) for key in ("sensor", "level") if given.get(key) is None}
    return {**given, **kept, "bands": bands}


def save_report(part: Path, text: str) -> None:
    """Write a page into a file that the caller has prepared."""
    part.write_text(text, encoding="utf-8", newline="")


def changed_files(results: Results, scene: Scene) -> list[str]:
    """Name the files of a scene that are not those of the run record."""
    known = {str(one.get("name")): one for one in tables(results.record, "inputs")}
    if not known:
        return []
    names = [
        (base_name(path), path) for path in scene.paths if scene.dem is None or (
            path not in scene.dem.parts)
    ]  # fmt: skip
    if scene.aoi is not None:
        names = [one for one in names if one[1] != scene.aoi.path]
    return [
        name
        for name, path in names
        if name not in known or same_state(path, known[name])[0] == "changed"
    ]


def read_scores(path: PathLike) -> dict[str, Any]:
    """Read the scores that ``evaluate --json`` wrote; of several pairs, those of all together.

    Raises:
        OptionError: It is no such file.
    """
    file, name = Path(path), base_name(path)
    try:
        if file.stat().st_size > LARGEST_SCORES:
            raise OptionError(f"{name} is too large for scores. Give what evaluate --json wrote.")
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"The scores {name} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise OptionError(
            f"{name} is not JSON in UTF-8. Give what glacierx evaluate --json wrote."
        ) from error
    if isinstance(found, dict) and isinstance(found.get("pooled"), dict):
        pairs = found.get("pairs")
        several = f"{len(pairs) if isinstance(pairs, list) else 'several'} predictions"
        found = {"prediction": several, "truth": "their truths", **found["pooled"]}
    if not isinstance(found, dict) or not isinstance(found.get("scores"), dict):
        raise OptionError(f"{name} holds no scores. Give what glacierx evaluate --json wrote.")
    return found
