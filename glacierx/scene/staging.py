"""A file that appears whole or not at all; needs nothing that reads rasters."""

import errno
import hashlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from glacierx.errors import BusyError, OutputError

RASTERS = (".tif", ".tiff")
ATTEMPTS = 100
# EDQUOT is not known everywhere.
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG, errno.EROFS)

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
    What a killed process left is cleared by the next one, and of two at once the second is
    refused.

    Args:
        path: The file to make.
        overwrite: Replace an existing file; without it an existing file is an error at once.

    Yields:
        The path to write to, with the same name.

    Raises:
        BusyError: Another process is writing it.
        OutputError: The file exists, or its folder cannot be written to.
    """
    path = Path(path)
    with _prepared(path, lambda: check_free(path, overwrite=overwrite)) as new:
        yield new / path.name
        _publish(new, path)


@contextmanager
def staged_folder(
    path: str | Path, *, overwrite: bool = False, ours: Callable[[str], bool] = lambda name: True
) -> Iterator[Path]:
    """Give a temporary folder to write files to; it becomes *path* when the block ends well.

    A new folder appears at once, with all its files. In one that exists each file takes its place,
    those of an older result of the same kind go, and whatever else lies there stays.

    Args:
        path: The folder to make.
        overwrite: Write into a folder that holds files; without it that is an error at once.
        ours: Tells by name which files an older result may have left.

    Yields:
        The folder to write to, with the same name.

    Raises:
        OutputError: See `staged`.
    """
    path = Path(path)
    with _prepared(path, lambda: check_folder(path, overwrite=overwrite)) as new:
        folder = new / path.name
        folder.mkdir()
        yield folder
        _publish_folder(folder, path, ours)


@contextmanager
def _prepared(path: Path, check: Callable[[], None]) -> Iterator[Path]:
    """Give an empty folder for a result whose place is free, to one process at a time."""
    check()
    with _own_folder(path) as folder:
        check()  # Another process may have finished it just now.
        new = folder / "new"
        try:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            yield new
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise OutputError(
                f"{path} cannot be written: {error.strerror}. Free some space, or write elsewhere."
            ) from error
        finally:
            shutil.rmtree(new, ignore_errors=True)


def make_folder(folder: Path) -> None:
    """Make the folder of many results, or keep the one that is there.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be made: {error.strerror}. Choose another with -o."
        ) from error


def check_folder(path: str | Path, *, overwrite: bool = False) -> None:
    """Refuse a folder of results that could not be written, or holds files already.

    Raises:
        OutputError: It cannot be written, or is taken.
    """
    path = Path(path)
    try:
        taken = path.is_dir() and any(path.iterdir())
    except OSError as error:
        raise OutputError(
            f"{path.name[:40]} cannot be written to: {error.strerror}. Give another folder."
        ) from error
    if taken and not overwrite:
        raise OutputError(
            f"The folder {path} holds files already. Use --overwrite, or give a new one."
        )
    if path.is_dir():
        return
    if os.path.lexists(path):
        raise OutputError(f"{path} is a file. Give the name of a folder.")
    files_in_place(path)


def hidden(path: Path, ending: str) -> Path:
    """Name a hidden file or folder beside a result that belongs to it."""
    return path.with_name(f".{_short(path.name)}.{ending}")


def abandon() -> None:
    """Remove everything that is being written, where a process is about to end at once."""
    for folder in list(_LIVE):
        shutil.rmtree(folder, ignore_errors=True)


_LIVE: set[Path] = set()


@contextmanager
def _own_folder(path: Path) -> Iterator[Path]:
    """Hold the folder in which one process at a time writes a result."""
    folder = hidden(path, "part")
    lock = FileLock(folder / "lock", timeout=0, is_singleton=False)
    for attempt in itertools.count():
        try:
            folder.mkdir(exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise BusyError(
                f"Another run is writing {path}. Wait until it has ended, or give another name."
            ) from error
        except OSError as error:
            # Whoever held the folder last may have removed it since we made sure of it.
            passing = isinstance(error, FileNotFoundError | FileExistsError)
            if passing and path.parent.is_dir() and attempt < ATTEMPTS:
                continue
            raise OutputError(
                f"Nothing can be written in {path.parent.absolute()}: {error.strerror}. "
                "Choose another folder for the result."
            ) from error
        break
    _LIVE.add(folder)
    try:
        yield folder
    finally:
        _LIVE.discard(folder)
        file = Path(lock.lock_file)
        try:
            # While it is held, so that it is never another process's that is removed.
            file.unlink(missing_ok=True)
            lock.release()
        except OSError:
            lock.release()
            with suppress(OSError):  # Windows cannot remove what is open, by whomever.
                file.unlink()
        with suppress(OSError):  # Another process may hold the folder already.
            folder.rmdir()


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


def _publish(folder: Path, path: Path) -> None:
    made = sorted(
        (file for file in folder.iterdir() if file.is_file()),
        key=lambda file: file.name == path.name,
    )
    if not made or made[-1].name != path.name:
        raise OutputError(f"{path} was not written.")
    try:
        _finish(made)
        # What belongs to the old file first: a reader would take it for the new one's.
        for stale in set(files_of(path)) - {path} - {path.parent / file.name for file in made}:
            stale.unlink(missing_ok=True)
        for file in made:
            file.replace(path.parent / file.name)
        _sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error


def _publish_folder(folder: Path, path: Path, ours: Callable[[str], bool]) -> None:
    made = sorted(file for file in folder.iterdir() if file.is_file())
    if not made:
        raise OutputError(f"{path} was not written.")
    try:
        _finish(made)
        _sync_folder(folder)
        if not path.exists():
            folder.rename(path)
        else:
            names = {file.name for file in made}
            for stale in sorted(path.iterdir()):
                if stale.is_file() and stale.name not in names and ours(stale.name):
                    stale.unlink()
            for file in made:
                file.replace(path / file.name)
            _sync_folder(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error


def _finish(files: list[Path]) -> None:
    """Give files the permissions of new ones, and bring them to the disk."""
    for file in files:
        # Some libraries write files that their owner alone may read.
        file.chmod(0o666 & ~_umask())
        with file.open("rb") as handle:
            os.fsync(handle.fileno())


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
