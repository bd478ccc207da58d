"""Results that appear whole or not at all."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from glacierx.errors import OutputError
from glacierx.scene.raster import raster_parts

RASTERS = (".tif", ".tiff")

_BESIDE_RASTERS = ("{name}.aux.xml", "{name}.msk", "{name}.ovr")
_COMPANIONS = {
    **dict.fromkeys(RASTERS, _BESIDE_RASTERS),
    ".gpkg": ("{name}-journal", "{name}-wal", "{name}-shm"),
    ".shp": (
        "{stem}.shx", "{stem}.dbf", "{stem}.prj", "{stem}.cpg", "{stem}.qix", "{stem}.sbn",
        "{stem}.sbx", "{name}.xml",
    ),
}  # fmt: skip

Files = Sequence[str | Path | None]
"""Paths, of which some may not have been given."""


@contextmanager
def staged(path: str | Path, *, overwrite: bool = False, inputs: Files = ()) -> Iterator[Path]:
    """Give a temporary path to write to; rename it to *path* when the block ends well.

    The temporary path lies in a hidden folder beside *path*, so that files a format adds of its
    own accord (an index, a journal) move or vanish with it. If the block raises, nothing is left.

    Args:
        path: The file to make.
        overwrite: Replace an existing file; without it an existing file is an error at once.
        inputs: Files that are being read, none of which may be *path*.

    Yields:
        The path to write to, with the same name.

    Raises:
        OutputError: The file exists, is an input, or its folder cannot be written to.
    """
    path = Path(path)
    check_output(path, overwrite=overwrite, inputs=inputs)
    folder = path.parent / f".{_short(path.name)}.{os.getpid()}.part"
    _clear_litter(path)
    try:
        folder.mkdir()
    except OSError as error:
        raise OutputError(
            f"Nothing can be written in {path.parent.absolute()}: {error.strerror}. "
            "Choose another folder for the result."
        ) from error
    try:
        yield folder / path.name
        _publish(folder, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_output(path: str | Path, *, overwrite: bool = False, inputs: Files = ()) -> None:
    """Refuse a result that could not be written, before any work is done.

    Raises:
        OutputError: The file exists, is an input or no ordinary file, or has no folder.
    """
    path = Path(path)
    try:
        path.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise OutputError(f"The name {path.name[:40]}... is too long. Shorten it.") from error
    if not path.parent.is_dir():
        raise OutputError(f"The folder {path.parent} does not exist. Make it, or choose another.")
    if path.is_dir():
        raise OutputError(f"{path} is a folder. Give the name of a file.")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is no ordinary file. Give the name of a file.")
    taken = [file for file in (path, *_companions(path)) if os.path.lexists(file)]
    for file in taken:
        if any(_same(file, part) for given in inputs if given for part in raster_parts(given)):
            raise OutputError(f"{file} is an input. Give another name for the result.")
    if taken and not overwrite:
        raise OutputError(f"{taken[0]} exists already. Use --overwrite to replace it.")


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
        whole = {file.resolve() for file in (Path(path), *_companions(Path(path)))}
        if whole & seen:
            raise OutputError(
                f"{path} is asked for twice, or belongs to another result. "
                "Give each result a name of its own."
            )
        seen |= whole


def _companions(path: Path) -> list[Path]:
    """Name the files that readers take together with a result, whoever wrote them."""
    patterns = _COMPANIONS.get(path.suffix.lower(), ())
    return [path.with_name(one.format(name=path.name, stem=path.stem)) for one in patterns]


def _short(name: str) -> str:
    """Return a name that leaves room for more within the 255 bytes that most disks allow."""
    whole = os.fsencode(name)
    return name if len(whole) <= 200 else hashlib.sha256(whole).hexdigest()


def _same(path: Path, given: str | Path) -> bool:
    try:
        return path.samefile(str(given).removeprefix("file://").removeprefix("file:"))
    except OSError:  # One of the two does not exist, or is a URL.
        return False


def _clear_litter(path: Path) -> None:
    """Remove what a killed process of the same output left behind."""
    start, end = f".{_short(path.name)}.", ".part"
    with suppress(OSError):  # A folder that may be written to need not be readable.
        for folder in path.parent.iterdir():
            number = folder.name[len(start) : -len(end)]
            ours = folder.name == start + number + end and number.isdecimal()
            if ours and not _alive(int(number)):
                shutil.rmtree(folder, ignore_errors=True)


def _alive(process: int) -> bool:
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _publish(folder: Path, path: Path) -> None:
    made = sorted(
        (file for file in folder.iterdir() if file.is_file()),
        key=lambda file: file.name == path.name,
    )
    if not made or made[-1].name != path.name:
        raise OutputError(f"{path} was not written.")
    try:
        for file in made:
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        for file in made:
            file.replace(path.parent / file.name)
        for stale in set(_companions(path)) - {path.parent / file.name for file in made}:
            stale.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # Windows cannot open a folder.
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
