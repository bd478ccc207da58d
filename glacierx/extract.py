"""The whole job, top to bottom, readable as a list of steps."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import numpy as np

from glacierx.errors import GlacierxWarning, OutputError
from glacierx.formats.delivery import Delivery
from glacierx.formats.files import of_a_format
from glacierx.formats.write import check_target, save_format, write_format
from glacierx.options import DivideOptions, EngineOptions, ExtractOptions, OutlineOptions
from glacierx.outlines.attributes import add_attributes, add_complex_attributes
from glacierx.outlines.divides import Division, check_dem, split_glaciers
from glacierx.outlines.footprint import trace_footprint
from glacierx.outlines.geopackage import check_format, save_layers, write_layers
from glacierx.outlines.outlines import Outlines
from glacierx.outlines.reference import Inventory
from glacierx.outlines.smooth import smooth_outlines
from glacierx.outlines.trace import trace_outlines
from glacierx.predict.choice import choose_model
from glacierx.predict.classic import PixelMethod
from glacierx.predict.job import Job
from glacierx.predict.modelfile import Model
from glacierx.predict.predict import PredictionFiles, write_prediction
from glacierx.predict.resume import forget_rows, resumable
from glacierx.profile import Profile
from glacierx.record import with_divide, with_outline
from glacierx.scene.classes import Classes
from glacierx.scene.cog import make_cog
from glacierx.scene.geotiff import check_rasters
from glacierx.scene.output import check_outputs
from glacierx.scene.prediction import Prediction
from glacierx.scene.raster import PathLike
from glacierx.scene.scene import Scene
from glacierx.scene.staging import staged, staged_folder
from glacierx.scene.terrain import Dem

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Extraction:
    """What `extract` returns.

    Attributes:
        glaciers: One polygon for each glacier, with the attributes of an inventory.
        complexes: The outlines before division.
        divides: The lines between glaciers.
        record: What was run, on what, with which versions; no paths and no times.
        footprint: Where the scene shows the ground.
    """

    glaciers: Outlines
    complexes: Outlines
    divides: Outlines
    record: Mapping[str, Any]
    footprint: Outlines | None = None


def extract(  # noqa: PLR0913 - one keyword for each flag of the command line
    scene: Scene,
    model: PathLike | Model | PixelMethod = "auto",
    options: ExtractOptions = ExtractOptions(),
    *,
    divides: PathLike | None = None,
    probability: PathLike | None = None,
    mask: PathLike | None = None,
    class_map: PathLike | None = None,
    overwrite: bool = False,
    always_hash: bool = False,
    engine: EngineOptions = EngineOptions(),
    work_dir: PathLike | None = None,
    rows: PathLike | None = None,
    progress: Progress | None = None,
    profile: Profile | None = None,
) -> Extraction:
    """Extract the outlines of individual glaciers from a scene.

    Args:
        scene: The scene; its DEM, if it has one, divides complexes and gives elevations, to models
            too.
        model: ``auto``, a pixel method (``ndsi``, ``otsu``), a model's name or file, or a model.
        options: Every tunable of what is found.
        divides: An inventory whose divides are copied, instead of dividing by the DEM.
        probability: File for the probability map, if it is to be kept.
        mask: File for a mask, if wanted.
        class_map: File for the likeliest class of each pixel, if wanted.
        overwrite: Replace existing files.
        always_hash: Hash input files above 2 GB too.
        engine: Device, backend, precision and batch of a network.
        work_dir: Folder for the probability map while it is worked on.
        rows: File in which finished rows are kept; a run that finds those of the same run there
            goes on from them.
        progress: Called as work goes on.
        profile: Notes where the time goes.

    Returns:
        Glaciers, complexes, divides and the run record; `write_outlines` takes it.

    Raises:
        ResumeError: The finished rows are of another run.

    Example:
        >>> with open_scene("scene.tif", dem="dem.tif") as scene:
        ...     extraction = extract(scene)
        >>> write_outlines(extraction, "outlines.gpkg")
    """
    given = model if isinstance(model, str | Path) else None
    inputs = [*scene.paths, divides, given]
    check_rasters((probability, mask, class_map), overwrite=overwrite, inputs=inputs)
    with ExitStack() as stack:
        kept, masked, kinds = _all_staged(
            stack, (probability, mask, class_map), overwrite=overwrite
        )
        files = PredictionFiles(
            kept or _temporary(stack, work_dir), masked, kinds, options.outline.threshold,
            always_hash,
            rows=Path(rows) if rows is not None else None,
        )  # fmt: skip
        job = Job(scene, choose_model(model, scene), options.predict, engine, profile or Profile())
        return _extract(job, files, options, divides, progress)


def _all_staged(
    stack: ExitStack, paths: Sequence[PathLike | None], *, overwrite: bool
) -> list[Path | None]:
    return [
        stack.enter_context(staged(path, overwrite=overwrite)) if path is not None else None
        for path in paths
    ]


def _temporary(stack: ExitStack, work_dir: PathLike | None) -> Path:
    """Name a probability map that vanishes with the stack."""
    folder = stack.enter_context(TemporaryDirectory(prefix=".glacierx-", dir=work_dir))
    return Path(folder) / "probability.tif"


def _extract(
    job: Job,
    files: PredictionFiles,
    options: ExtractOptions,
    divides: PathLike | None,
    progress: Progress | None,
) -> Extraction:
    """Extract outlines, with rasters in files that the caller has prepared."""
    scene, profile, always_hash = job.scene, job.profile, files.always_hash
    told = job.model.card.told if isinstance(job.model, Model) else Classes()
    told.chosen(options.outline.classes, f"the model {job.model.name}")
    if scene.dem is not None and divides is None:
        check_dem(scene.dem, options.divide)
    inventory = None
    if divides is not None:
        inventory = Inventory(divides, scene.grid.footprint, scene.grid.crs)
    also = {
        "outline": options.outline.as_record(),
        **with_divide({}, options.divide, scene.dem, divides, always_hash=always_hash),
    }
    write_prediction(job, replace(files, also=also), progress=progress)
    if not files.probability.exists():
        raise OutputError(
            f"The folder {files.probability.parent} is gone. Check the disk, and run again."
        )
    with Prediction(files.probability, aoi=scene.aoi) as whole:
        prediction = whole.of(options.outline.classes)
        record = with_outline(prediction, options.outline, always_hash=always_hash)
        complexes = outline(prediction, options.outline, progress=progress, profile=profile)
        division = divide(
            complexes,
            scene.dem,
            options.divide,
            inventory=inventory,
            prediction=prediction,
            progress=progress,
            profile=profile,
        )
        footprint = trace_footprint(prediction)
        date = record.get("scene", {}).get("src_date")
        footprint = footprint.with_columns(src_date=np.full(len(footprint), date, dtype=object))
    if not len(complexes):
        _warn(f"No ice found in {scene.name}: the layers are empty.")
    record = with_divide(record, options.divide, scene.dem, divides, always_hash=always_hash)
    return Extraction(division.glaciers, complexes, division.divides, record, footprint)


def extract_to(  # noqa: PLR0913 - one keyword for each flag of the command line
    output: PathLike,
    scene: Scene,
    model: PathLike | Model | PixelMethod = "auto",
    options: ExtractOptions = ExtractOptions(),
    *,
    divides: PathLike | None = None,
    probability: PathLike | None = None,
    mask: PathLike | None = None,
    class_map: PathLike | None = None,
    overwrite: bool = False,
    delivery: Delivery | None = None,
    cog: bool = False,
    resume: bool = False,
    always_hash: bool = False,
    engine: EngineOptions = EngineOptions(),
    progress: Progress | None = None,
    profile: Profile | None = None,
    beside: Mapping[PathLike, Callable[[Path, Extraction], None]] = MappingProxyType({}),
) -> Extraction:
    """Extract outlines into files: all of them whole, or none.

    Rows that are finished are kept beside the output until it is there, so that a run that is
    killed can go on.

    Args:
        output: Where outlines go; see `write_outlines`.
        scene: See `extract`, as for what else is not said here.
        model: See `extract`.
        options: See `extract`.
        divides: See `extract`.
        probability: File for the probability map, if it is to be kept.
        mask: File for a mask, if wanted.
        class_map: File for the likeliest class of each pixel, if wanted.
        overwrite: Replace existing files.
        delivery: The format of the folder *output*, instead of a file by its ending.
        cog: Write the rasters as cloud-optimised GeoTIFFs.
        resume: Go on from the rows that an interrupted run of the same output finished.
        always_hash: See `extract`.
        engine: See `extract`.
        progress: See `extract`.
        profile: See `extract`.
        beside: Further files, each with what writes the result into a path that is prepared.

    Raises:
        OutputError: A file exists, is an input or cannot be written.
        ResumeError: The finished rows are of another run.
    """
    check_rasters((probability, mask, class_map), overwrite=overwrite)
    given = model if isinstance(model, str | Path) else None
    inputs = [*scene.paths, divides, given]
    check_target(output, delivery, overwrite=overwrite, inputs=inputs)
    files = (output if delivery is None else None, probability, mask, class_map, *beside)
    check_outputs(files, overwrite=overwrite, inputs=inputs)
    profile = profile or Profile()
    with ExitStack() as stack:
        part, kept, masked, kinds, *others = _all_staged(stack, files, overwrite=overwrite)
        if part is None:
            ours = of_a_format(Path(output).name)
            part = stack.enter_context(staged_folder(output, overwrite=overwrite, ours=ours))
        rows = stack.enter_context(resumable(Path(output), resume=resume))
        rasters = PredictionFiles(
            kept or _temporary(stack, part.parent), masked, kinds, options.outline.threshold,
            always_hash, rows=rows,
        )  # fmt: skip
        job = Job(scene, choose_model(model, scene), options.predict, engine, profile)
        result = _extract(job, rasters, options, divides, progress)
        with profile.measure("write"):
            if delivery is None:
                save_layers(part, layers_of(result), result.record, check_format(output))
            else:
                save_format(part, layers_of(result), result.record, delivery, dem=scene.dem)
            for made in filter(None, (kept, masked, kinds) if cog else ()):
                make_cog(made)
        for path, write in zip(others, beside.values(), strict=True):
            assert path is not None
            write(path, result)
    forget_rows(Path(output))
    return result


def outline(
    prediction: Prediction,
    options: OutlineOptions = OutlineOptions(),
    *,
    progress: Progress | None = None,
    profile: Profile | None = None,
) -> Outlines:
    """Trace, smooth and describe glacier complexes; see the functions called here."""
    profile = profile or Profile()
    prediction = prediction.of(options.classes)
    with profile.measure("outlines"):
        complexes = trace_outlines(prediction, options, progress=progress)
        complexes = smooth_outlines(complexes, prediction.grid, options.smooth_px)
    with profile.measure("attributes"):
        return add_complex_attributes(
            complexes,
            prediction=prediction,
            gsd_m=prediction.grid.gsd_m,
            src_date=prediction.record.get("scene", {}).get("src_date"),
        )


def divide(  # noqa: PLR0913 - what a division may go by
    complexes: Outlines,
    dem: Dem | None,
    options: DivideOptions = DivideOptions(),
    *,
    inventory: Inventory | None = None,
    prediction: Prediction | None = None,
    gsd_m: float | None = None,
    progress: Progress | None = None,
    profile: Profile | None = None,
) -> Division:
    """Divide glacier complexes and describe the glaciers; see the functions called here.

    A warning tells of outlines that could not be divided.
    """
    profile = profile or Profile()
    with profile.measure("divides"):
        division = split_glaciers(complexes, dem, options, inventory=inventory, progress=progress)
    _say_what_is_not_divided(division.glaciers, dem, inventory)
    with profile.measure("attributes"):
        return add_attributes(
            division,
            dem=dem,
            prediction=prediction,
            gsd_m=prediction.grid.gsd_m if prediction is not None else gsd_m,
            progress=progress,
        )


def _say_what_is_not_divided(
    glaciers: Outlines, dem: Dem | None, inventory: Inventory | None
) -> None:
    if not len(glaciers):
        return
    if dem is None and inventory is None:
        _warn(
            "There is no DEM: glacier complexes are not divided and have no elevations. "
            "Give one with --dem."
        )
    elif not all(glaciers["divided"]):
        left = int((glaciers["divided"] == 0).sum())
        outside = "the DEM" if inventory is None else inventory.name
        _warn(f"{left} of {len(glaciers)} outlines lie outside {outside} and are not divided.")


def _warn(text: str) -> None:
    warnings.warn(text, GlacierxWarning, stacklevel=3)


def write_outlines(
    result: Extraction | Outlines,
    path: PathLike,
    *,
    overwrite: bool = False,
    delivery: Delivery | None = None,
    dem: Dem | None = None,
) -> Path:
    """Write what `extract` returned, whole or not at all.

    Args:
        result: An extraction; or polygons, which become the layer glaciers.
        path: A ``.gpkg`` with the layers glaciers, complexes and divides and the run record; or a
            ``.shp``, ``.fgb`` or ``.geojson`` with the glaciers alone.
        overwrite: Replace an existing file.
        delivery: The format of the folder *path*, instead of a file by its ending.
        dem: Heights for what a format wants of them; see `write_format`.
    """
    layers = {"glaciers": result} if isinstance(result, Outlines) else layers_of(result)
    record = {} if isinstance(result, Outlines) else result.record
    if delivery is None:
        return write_layers(path, layers, record, overwrite=overwrite)
    return write_format(path, layers, record, delivery, dem=dem, overwrite=overwrite)


def layers_of(result: Extraction) -> dict[str, Outlines]:
    """Return the layers of a GeoPackage."""
    layers = {
        "glaciers": result.glaciers,
        "complexes": result.complexes,
        "divides": result.divides,
    }
    return layers if result.footprint is None else {**layers, "footprint": result.footprint}
