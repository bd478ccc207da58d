"""A file that appears whole or not at all; needs nothing that reads rasters."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from glacierx.errors import OutputError

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


@contextmanager
def staged(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to; rename it to *path* when the block ends well.

    The temporary path lies in a hidden folder beside *path*, so that files a format adds of its
    own accord (an index, a journal) move or vanish with it. If the block raises, nothing is left.

    Args:
        path: The file to make.
        overwrite: Replace an existing file; without it an existing file is an error at once.

    Yields:
        The path to write to, with the same name.

    Raises:
        OutputError: The file exists, or its folder cannot be written to.
    """
    path = Path(path)
    check_free(path, overwrite=overwrite)
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


def is_there(path: str | Path) -> bool:
    """Tell whether there is a file of that name, whatever the name holds."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # It is too long, or in a folder that may not be looked into.
        return False


def check_free(path: str | Path, *, overwrite: bool = False) -> None:
    """Refuse a result that could not be written, or whose place is taken.

    Raises:
        OutputError: The file exists or is no ordinary file, or has no folder.
    """
    taken = files_in_place(path)
    if taken and not overwrite:
        raise OutputError(f"{taken[0]} exists already. Use --overwrite to replace it.")


def files_in_place(path: str | Path) -> list[Path]:
    """Name the files that a result would replace: its own and those that readers take along.

    Raises:
        OutputError: No file can be written there at all.
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
    return [file for file in files_of(path) if os.path.lexists(file)]


def files_of(path: Path) -> list[Path]:
    """Name a result and the files that readers take together with it, whoever wrote them."""
    patterns = _COMPANIONS.get(path.suffix.lower(), ())
    return [path, *(path.with_name(one.format(name=path.name, stem=path.stem)) for one in patterns)]


def _short(name: str) -> str:
    """Return a name that leaves room for more within the 255 bytes that most disks allow."""
    whole = os.fsencode(name)
    return name if len(whole) <= 200 else hashlib.sha256(whole).hexdigest()


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
            # Some libraries write files that their owner alone may read.
            file.chmod(0o666 & ~_umask())
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        for file in made:
            file.replace(path.parent / file.name)
        for stale in set(files_of(path)) - {path.parent / file.name for file in made}:
            stale.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error


def _umask() -> int:
    """Return which permissions new files lack; it can be asked for by setting it alone."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # Windows cannot open a folder.
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
