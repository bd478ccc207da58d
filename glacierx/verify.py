"""A result against its run record: its files, its model, its versions, and itself."""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window

from glacierx.errors import GlacierxError, GlacierxWarning, OutlineError
from glacierx.findings import Finding
from glacierx.inputs import Found, Search, table, wanted_files
from glacierx.outlines.attributes import OPTIONAL, Column
from glacierx.outlines.geopackage import RECORD_TAG, SCHEMAS, SHAPES
from glacierx.record import read_log
from glacierx.rerun import (
    Again,
    Repeat,
    compare_layers,
    explained,
    listed_changes,
    run_again,
)
from glacierx.scene.geodesy import areas_km2
from glacierx.scene.grid import row_bands
from glacierx.scene.prediction import NODATA, STEPS, own_classes
from glacierx.scene.provenance import versions
from glacierx.scene.raster import (
    PathLike,
    base_name,
    dataset_grid,
    is_remote,
    open_dataset,
    read_window,
)
from glacierx.scene.staging import RASTERS
from glacierx.scene.vector import VectorLayer, has_layer, read_layer

Progress = Callable[[int, int, str], None]

# Areas are written as they were measured; other versions of PROJ differ in the last digits.
SAME_AREA = 1e-6
STRIP_ROWS = 512
IDS = {"glaciers": "glac_id"}
"""The column of a layer whose values are there once only."""


@dataclass(frozen=True)
class Result:
    """A result to verify.

    Attributes:
        path: The file.
        record: Its run record.
        layers: Its layers by name; none for a raster.
        kind: ``probability``, ``mask`` or ``classes``, for a raster.
        threshold: That of a raster.
    """

    path: str
    record: Mapping[str, Any]
    layers: Mapping[str, VectorLayer]
    kind: str = ""
    threshold: float | None = None


def verify(
    result: PathLike,
    given: Sequence[PathLike] = (),
    *,
    log: PathLike | None = None,
    rerun: bool = False,
    progress: Progress | None = None,
) -> list[Finding]:
    """Check a result against the run record that it holds.

    Args:
        result: A GeoPackage, a probability map or a mask that glacierx wrote.
        given: Files that it was made from, and folders that hold such; others are looked for
            where the log says, beside the result, and in the current folder.
        log: The log of the run.
        rerun: Do the run again, and compare.
        progress: Called as the run goes on.

    Returns:
        A finding for the record, each file, the model, the versions, each layer, and the rerun.

    Raises:
        SceneError: A raster or the log cannot be read.
        OutlineError: A vector file cannot be read, or the result holds no run record.

    Example:
        >>> for finding in verify("outlines.gpkg", ["scene.tif", "dem.tif"]):
        ...     print(finding)
    """
    opened = open_result(result)
    logged, own = read_log(Path(log)) if log is not None else ([], None)
    findings = [_check_log(opened, own)] if own is not None else []
    search = Search(result, given, logged)
    files = [search.find(wanted) for wanted in wanted_files(opened.record)]
    model = search.find_model(opened.record) if table(opened.record, "model") else None
    findings += [found.finding for found in files]
    if not files:
        findings.append(Finding("inputs", "unknown", "the run record names no files"))
    findings += [model.finding] if model else []
    used = [found.path for found in (*files, *([model] if model else []))]
    findings += [
        Finding(base_name(path), "note", f"given, and none of the files of this run ({path})")
        for path in map(str, given)
        if path not in used and (is_remote(path) or Path(path).is_file())
    ]
    findings.append(check_versions(opened.record))
    findings += check_layers(opened.layers) if opened.layers else [check_raster(opened)]
    if rerun:
        findings += _rerun(opened, files, model, progress)
    return findings


def open_result(path: PathLike) -> Result:
    """Read a result and its run record.

    Raises:
        SceneError: A raster cannot be read.
        OutlineError: A vector file cannot be read, or there is no run record.
    """
    name = base_name(path)
    if Path(str(path)).suffix.lower() in RASTERS:
        with open_dataset(path, "result") as dataset:
            tags = dict(dataset.tags())
        record = _record(name, [tags.get(RECORD_TAG)])
        threshold = float(tags.get("GLACIERX_THRESHOLD", 0.5))
        return Result(str(path), record, {}, tags.get("GLACIERX_KIND", ""), threshold)
    if not Path(path).exists():
        raise OutlineError(f"The result {path} does not exist. Check the path.")
    layers = {layer: read_layer(path, layer) for layer in SCHEMAS if has_layer(path, layer)}
    record = _record(name, [layer.tags.get(RECORD_TAG) for layer in layers.values()])
    return Result(str(path), record, layers)


def _record(name: str, texts: Sequence[str | None]) -> Mapping[str, Any]:
    held = [text for text in texts if text is not None]
    advice = "Give an outlines.gpkg, a probability map or a mask that glacierx wrote."
    if not held:
        raise OutlineError(f"{name} holds no run record to verify it by. {advice}")
    try:
        record = json.loads(held[0])
    except ValueError as error:
        raise OutlineError(f"The run record of {name} is damaged: {error}. {advice}") from error
    if not table(record):
        raise OutlineError(f"The run record of {name} is empty. {advice}")
    if len(held) < len(texts) or len(set(held)) > 1:
        raise OutlineError(
            f"The layers of {name} do not hold one and the same run record, so they are of "
            "different runs. Verify the files that glacierx wrote."
        )
    return table(record)


def _check_log(result: Result, own: Mapping[str, Any]) -> Finding:
    """Tell whether a log is of the run; a raster's record ends before outlines are traced."""
    later = () if result.layers else ("dem", "inventory", "options")
    first, other = (
        {key: value for key, value in record.items() if key not in later}
        for record in (result.record, own)
    )
    changes = listed_changes(first, other)
    if not changes:
        return Finding("log", "ok", "it is of this run")
    text = f"it is of another run: {changes}."
    return Finding("log", "problem", text, "Give the log that was written with this result.")


def check_versions(record: Mapping[str, Any]) -> Finding:
    """Tell which versions differ from those of the run; that is no fault."""
    then = table(record, "versions")
    if not then:
        return Finding("versions", "unknown", "the run record names none")
    now = versions(*(name for name in then if name not in versions()))
    changed = [
        f"{name} {number} then, {now.get(name, 'none')} now"
        for name, number in then.items()
        if now.get(name) != number
    ]
    if changed:
        text = f"{'; '.join(changed)}: a rerun may differ in the last digits"
        return Finding("versions", "note", text)
    return Finding("versions", "ok", f"glacierx {then.get('glacierx')}, all as at the run")


def check_layers(layers: Mapping[str, VectorLayer]) -> list[Finding]:
    """Check each layer by itself and with the others: geometry, ids, columns, areas."""
    findings = []
    for name, layer in layers.items():
        faults = [*_geometry_faults(name, layer), *_column_faults(name, layer, SCHEMAS[name])]
        faults += _reference_faults(name, layers)
        if faults:
            advice = "It was changed after it was written, or damaged: extract it again."
            findings.append(Finding(name, "problem", f"{'; '.join(faults)}.", advice))
        else:
            kind = "lines" if SHAPES[name] == "LineString" else "polygons"
            right = "ids and areas right, " * (name in IDS) or "areas right, " * (kind != "lines")
            text = f"{len(layer.geometry)} {kind}: valid, {right}every column there"
            findings.append(Finding(name, "ok", text))
    return findings


def _geometry_faults(name: str, layer: VectorLayer) -> list[str]:
    shapes = layer.geometry
    there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    dimension = 1 if SHAPES[name] == "LineString" else 2
    return [
        *_rows("without a geometry", ~there),
        *_rows(
            "of another kind of geometry", there & (shapely.get_dimensions(shapes) != dimension)
        ),
        *_rows("whose geometry is not valid", there & ~shapely.is_valid(shapes)),
    ]


def _rows(what: str, chosen: NDArray[np.bool_]) -> list[str]:
    rows = (np.flatnonzero(chosen) + 1).tolist()
    listed = ", ".join(str(row) for row in rows[:5]) + (" ..." if len(rows) > 5 else "")
    return [f"{len(rows)} {what} (row {listed})"] if rows else []


def _column_faults(name: str, layer: VectorLayer, schema: Sequence[Column]) -> list[str]:
    columns = layer.columns
    faults = [
        f"the column {column.name} is missing"
        for column in schema
        if column.name not in columns and column.name not in OPTIONAL
    ]
    key = IDS.get(name, "")
    ids = columns.get(key, [])
    repeated = [str(one) for one, count in Counter(ids).items() if count > 1]
    faults += [f"{key} {', '.join(repeated[:3])} is there more than once"] if repeated else []
    faults += _rows(f"without {key}", np.array([not one for one in ids], bool))
    if "area_km2" in columns:
        faults += _rows("whose area_km2 is not that of the polygon", _wrong_areas(layer))
    return faults


def _wrong_areas(layer: VectorLayer) -> NDArray[np.bool_]:
    wrong = np.ones(len(layer.geometry), bool)
    whole = shapely.get_dimensions(layer.geometry) == 2
    written = [one if isinstance(one, int | float) else np.nan for one in layer.columns["area_km2"]]
    measured = areas_km2(layer.geometry[whole], layer.crs)
    near = np.isclose(measured, np.array(written)[whole], rtol=SAME_AREA, atol=1e-9)
    wrong[whole] = ~near
    return wrong


def _reference_faults(name: str, layers: Mapping[str, VectorLayer]) -> list[str]:
    """Name what refers to another layer's rows and finds none there."""
    glaciers, complexes = layers.get("glaciers"), layers.get("complexes")
    refers = {
        "glaciers": [("complex_id", complexes, "complex_id")],
        "divides": [("glac_id_1", glaciers, "glac_id"), ("glac_id_2", glaciers, "glac_id")],
    }
    faults = []
    for column, other, key in refers.get(name, []):
        if other is None or key not in other.columns:
            continue
        known = set(other.columns[key])
        lost = [one not in known for one in layers[name].columns.get(column, [])]
        faults += _rows(f"whose {column} is in no row of the layer it names", np.array(lost, bool))
    return faults


def check_raster(result: Result) -> Finding:
    """Read every pixel of a probability map or mask, and compare its grid with the record's."""
    allowed = np.zeros(256, bool)
    allowed[NODATA] = True
    advice = "It was changed after it was written, or damaged: predict it again."
    name = result.kind or "raster"
    with open_dataset(result.path, "result") as dataset:
        classes = own_classes(dataset.tags())
        count = {"probability": STEPS + 1, "classes": len(classes.names) if classes else 0}
        allowed[: count.get(result.kind, 2)] = True
        grid, scene = dataset_grid(dataset, "result"), table(result.record, "scene")
        said = (scene.get("crs"), scene.get("shape"))
        faults = []
        if said != (grid.crs_name, list(grid.shape)):
            faults.append(f"it is {grid.shape} in {grid.crs_name}, and its record says {said}")
        if any(dtype != "uint8" for dtype in dataset.dtypes):
            faults.append(f"its type is {dataset.dtypes[0]}, and glacierx writes uint8")
        else:
            for first, last in row_bands(grid.rows, STRIP_ROWS):
                window = Window(0, first, grid.columns, last - first)
                values = np.unique(read_window(dataset, list(dataset.indexes), window))
                if not allowed[values].all():
                    wrong = values[~allowed[values]].tolist()
                    faults.append(f"rows {first} to {last} hold {wrong[:3]}, which mean nothing")
                    break
    if faults:
        return Finding(name, "problem", f"{'; '.join(faults)}.", advice)
    text = f"{grid.rows} x {grid.columns} pixels, all readable, with values that can be"
    return Finding(name, "ok", text)


def _rerun(
    result: Result, files: Sequence[Found], model: Found | None, progress: Progress | None
) -> list[Finding]:
    lost = [one.wanted.name for one in files if one.path is None or one.finding.failed]
    if model is None:
        text = "the record names no model: it begins with a file that glacierx did not make."
        return [Finding("rerun", "problem", f"not done: {text}", "Do its steps again by hand.")]
    if model.finding.failed or (model.finding.state == "unknown" and model.path is None):
        lost.append("the model")
    if lost:
        text = f"not done: it needs what is not found or has changed ({', '.join(lost)})."
        return [Finding("rerun", "problem", text, "Give the files that the run read.")]
    with TemporaryDirectory(prefix="glacierx-") as folder, warnings.catch_warnings():
        try:
            # What the run warned of was told when it was done first.
            warnings.simplefilter("ignore", GlacierxWarning)
            repeat = run_again(
                Again(result.record, files, model), Path(folder), layers=list(result.layers),
                threshold=result.threshold, kind=result.kind, progress=progress,
            )  # fmt: skip
        except GlacierxError as error:
            return [Finding("rerun", "problem", f"not done: {error}")]
        return _compare(result, repeat)


def _compare(result: Result, repeat: Repeat) -> list[Finding]:
    file = Path(result.path)
    if file.is_file() and file.read_bytes() == repeat.path.read_bytes():
        return [Finding("rerun", "same", "the run done again gives the same file, byte for byte")]
    if result.layers:
        said = [
            compare_layers(name, layer, read_layer(repeat.path, name))
            for name, layer in result.layers.items()
        ]
    else:
        said = [_compare_pixels(result, repeat)]
    differences = "; ".join(text for text in said if text)
    if differences:
        return explained(differences, result.record, repeat)
    changes = listed_changes(result.record, repeat.record)
    why = "; ".join(filter(None, [repeat.machine, changes]))
    why = why or "another program, or another GDAL, has written it since"
    text = f"the run done again gives the same content; the file's bytes differ ({why})"
    return [Finding("rerun", "same", text)]


def _compare_pixels(result: Result, repeat: Repeat) -> str:
    unlike, most = 0, 0
    with open_dataset(result.path) as one, open_dataset(repeat.path) as other:
        if (one.count, one.shape) != (other.count, other.shape):
            return f"{result.kind}: {one.shape} in the result, {other.shape} in the run"
        for first, last in row_bands(one.height, STRIP_ROWS):
            window = Window(0, first, one.width, last - first)
            a, b = (read_window(file, list(file.indexes), window) for file in (one, other))
            off = np.abs(a.astype(np.int16) - b.astype(np.int16))
            unlike, most = unlike + int((off > 0).any(axis=0).sum()), max(most, int(off.max()))
    if not unlike:
        return ""
    told = f", by {most * 0.004:.3f} at most" if result.kind == "probability" else ""
    return f"{result.kind}: {unlike} pixels{told}"
