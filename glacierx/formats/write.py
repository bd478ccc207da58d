"""Write a result in another format: a folder of files, all of them or none."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glacierx.errors import GlacierxWarning, OutputError
from glacierx.formats import glims, rgi6, rgi7
from glacierx.formats.contents import Contents, contents_of
from glacierx.formats.delivery import Delivery
from glacierx.formats.files import (
    RECORD,
    of_a_format,
    write_attributes,
    write_geopackage,
    write_hypsometry,
    write_json,
    write_shapefile,
    write_text,
)
from glacierx.formats.hypsometry import Hypsometry, measure
from glacierx.outlines.geopackage import check_format
from glacierx.outlines.outlines import Outlines
from glacierx.scene.output import Files, check_output
from glacierx.scene.raster import PathLike
from glacierx.scene.staging import check_folder, staged_folder
from glacierx.scene.terrain import Dem


def check_target(
    path: PathLike, delivery: Delivery | None, *, overwrite: bool = False, inputs: Files = ()
) -> None:
    """Refuse a result that could not be written: a folder of a format, or else a file.

    Raises:
        OutputError: It is taken, an input, or no name for such a result.
    """
    if delivery is None:
        check_format(path)
        check_output(path, overwrite=overwrite, inputs=inputs)
        return
    check_folder(path, overwrite=overwrite)
    folder = Path(path).absolute()
    for given in inputs:
        if given and Path(given).absolute() in (folder, *_files_in(folder)):
            raise OutputError(f"{path} holds an input, {given}. Give another folder.")


def _files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def write_format(
    folder: PathLike,
    layers: Mapping[str, Outlines],
    record: Mapping[str, Any],
    delivery: Delivery,
    *,
    dem: Dem | None = None,
    overwrite: bool = False,
) -> Path:
    """Write layers as the files of a format, all of them or none.

    Args:
        folder: Where they go; it gives them their name.
        layers: Glaciers, complexes and divides; what is missing follows from the glaciers.
        record: The run record.
        delivery: The format, and what its files say besides.
        dem: Heights, for the hypsometry and for outlines that have no elevations.
        overwrite: Write into a folder that holds files.

    Raises:
        OutputError: The folder cannot be written, or holds files already.
        OutlineError: There are no outlines to write.

    Example:
        >>> write_format("aletsch", layers_of(extraction), extraction.record, Delivery("rgi7"))
    """
    path = Path(folder)
    with staged_folder(path, overwrite=overwrite, ours=of_a_format(path.name)) as part:
        save_format(part, layers, record, delivery, dem=dem)
    return path


def save_format(
    folder: Path,
    layers: Mapping[str, Outlines],
    record: Mapping[str, Any],
    delivery: Delivery,
    *,
    dem: Dem | None = None,
) -> None:
    """Write layers into a folder that the caller has prepared; see `write_format`."""
    contents = contents_of(layers, record, dem)
    stem = folder.name
    if delivery.format == "glims":
        made = glims.table(contents, delivery, stem)
        write_shapefile(folder, made)
        write_text(folder / f"{stem}.txt", glims.sidecar(contents, delivery, made))
    elif delivery.format == "oggm":
        for table in rgi6.tables(contents, delivery, stem):
            write_geopackage(folder, table)
    else:
        bands = _bands(contents, dem)
        write = _write_rgi7 if delivery.format == "rgi7" else _write_rgi6
        write(folder, contents, delivery, bands)
    if record:
        write_json(folder / f"{stem}-{RECORD}", record, in_order=False)


def _bands(contents: Contents, dem: Dem | None) -> Hypsometry | None:
    if dem is None:
        warnings.warn(
            "There is no hypsometry file: it needs heights. Give a DEM with --dem.",
            GlacierxWarning,
            stacklevel=3,
        )
        return None
    bands = measure(contents.glaciers, dem)
    unknown = int((~bands.known).sum())
    if unknown:
        warnings.warn(
            f"{unknown} of {len(bands.known)} glaciers have no hypsometry: {dem.name} does not "
            "cover half of them.",
            GlacierxWarning,
            stacklevel=3,
        )
    return bands


def _write_rgi7(
    folder: Path, contents: Contents, delivery: Delivery, bands: Hypsometry | None
) -> None:
    products = rgi7.tables(contents, delivery, folder.name, bands)
    for table in products:
        write_shapefile(folder, table)
        write_attributes(folder, table)
    glaciers, _, complexes = products
    links = rgi7.links(contents, complexes)
    write_json(folder / f"{complexes.name}-CtoG_links.json", links)
    if bands is not None:
        write_hypsometry(folder / f"{glaciers.name}-hypsometry.csv", bands, "rgi_id", glaciers)


def _write_rgi6(
    folder: Path, contents: Contents, delivery: Delivery, bands: Hypsometry | None
) -> None:
    glaciers, intersects = rgi6.tables(contents, delivery, folder.name)
    for table in (glaciers, intersects):
        write_shapefile(folder, table)
    if bands is not None:
        write_hypsometry(folder / f"{glaciers.name}_hypso.csv", bands, "RGIId", glaciers)
