"""What a result may be called: never an input, nor anything that an input is made of."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

from glacierx.errors import OutputError
from glacierx.scene.raster import gdal_reason, raster_parts
from glacierx.scene.staging import check_free, files_in_place, files_of

Files = Sequence[str | Path | None]
"""Paths, of which some may not have been given."""


def check_output(path: str | Path, *, overwrite: bool = False, inputs: Files = ()) -> None:
    """Refuse a result that could not be written, before any work is done.

    Raises:
        OutputError: The file exists, is an input or no ordinary file, or has no folder.
    """
    for file in files_in_place(path):
        if any(_same(file, part) for given in inputs if given for part in raster_parts(given)):
            raise OutputError(f"{file} is an input. Give another name for the result.")
    check_free(path, overwrite=overwrite)


def check_suffix(path: str | Path, suffixes: Sequence[str], what: str) -> str:
    """Return the ending of a result's name, in lower case.

    Raises:
        OutputError: It is none of those that such results are written in.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in suffixes:
        raise OutputError(
            f"{path} ends in {suffix or 'nothing'}; {what} are written as "
            f"{', '.join(suffixes)}. Give one of these."
        )
    return suffix


def check_outputs(paths: Files, *, overwrite: bool = False, inputs: Files = ()) -> None:
    """Check several results as `check_output` does, and that no two are one file.

    Raises:
        OutputError: One cannot be written, or two are the same.
    """
    seen: set[Path] = set()
    for path in (path for path in paths if path):
        check_output(path, overwrite=overwrite, inputs=inputs)
        whole = {file.resolve() for file in files_of(Path(path))}
        if whole & seen:
            raise OutputError(
                f"{path} is asked for twice, or belongs to another result. "
                "Give each result a name of its own."
            )
        seen |= whole


def cannot_write(path: str | Path, error: BaseException) -> OutputError:
    """Say why a library could not write a file, in the system's words where it has any."""
    path = Path(path)
    return OutputError(
        f"{path.name} cannot be written: {_refusal(path.parent) or gdal_reason(error)}. "
        "Check the free space and your rights in that folder."
    )


def _refusal(folder: Path) -> str | None:
    """Return why a mebibyte cannot be written in a folder; libraries seldom tell."""
    try:
        with TemporaryFile(dir=folder) as file:
            file.write(bytes(2**20))
    except OSError as error:
        return error.strerror
    return None


def _same(path: Path, given: str | Path) -> bool:
    try:
        return path.samefile(str(given).removeprefix("file://").removeprefix("file:"))
    except OSError:  # One of the two does not exist, or is a URL.
        return False
