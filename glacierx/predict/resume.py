"""Finished rows of a run, kept in a file from which the same run goes on if it is cut short."""

import hashlib
import json
import os
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from glacierx.errors import GlacierxWarning, OutputError, ResumeError
from glacierx.scene.handle import Handle
from glacierx.scene.staging import hidden

FORMAT = "glacierx rows 1"
SHAPE = struct.Struct("<III")
"""Classes, rows and bytes of a record; then comes the sha256 of these and the bytes, then these."""

WHAT = {
    "inputs": "the files of the scene",
    "scene": "how the scene is read",
    "terrain": "the DEM",
    "dem": "the DEM",
    "inventory": "the inventory of divides",
    "model": "the model",
    "options": "the options",
    "outline": "the options",
    "versions": "the versions",
}
NAMED = ("options", "outline", "versions")


class FinishedRows(Handle):
    """Rows of steps (classes, rows, columns), written as they are finished.

    Each record carries its checksum, so that a file cut short anywhere gives the rows before the
    cut, and no more.

    Attributes:
        rows: How many are finished.
        batch: Patches that the network took at once; None where nothing is known.

    Args:
        path: The file; it need not exist.
        columns: Columns of the scene.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(self, path: Path, columns: int) -> None:
        self.rows = 0
        self.batch: int | None = None
        self._path = path
        self._columns = columns
        self._run: Mapping[str, Any] | None = None
        try:
            self._file: IO[bytes] = path.open("r+b" if path.exists() else "x+b")
        except OSError as error:
            raise self._failed(error) from error
        header = _header(self._file.readline())
        if header is not None:
            self._run, self.batch = header["run"], header["batch"]
        self._first = self._file.tell()
        if self._run is not None:
            self.rows = sum(rows for _, rows, _ in self._records())

    def begin(self, run: Mapping[str, Any], batch: int | None) -> None:
        """Make sure that the rows found are of this run, or begin with none.

        Args:
            run: What the rows follow from.
            batch: Patches that the network takes at once.

        Raises:
            ResumeError: They are of another run.
            OutputError: The file cannot be written.
        """
        run = json.loads(json.dumps(run))
        if self._run is not None:
            _check_same(self._path, self._run, run)
            return
        text = json.dumps({"format": FORMAT, "run": run, "batch": batch}, sort_keys=True)
        try:
            self._file.seek(0)
            self._file.truncate()
            self._file.write(text.encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error
        self._first = self._file.tell()

    def found(self) -> Iterator[NDArray[np.uint8]]:
        """Yield what is finished from the top; what comes after it is added below."""
        for classes, rows, packed in self._records():
            steps = np.frombuffer(zlib.decompress(packed), np.uint8)
            yield steps.reshape(classes, rows, self._columns)

    def add(self, steps: NDArray[np.uint8]) -> None:
        """Keep the next rows (classes, rows, columns).

        Raises:
            OutputError: The disk is full.
        """
        packed = zlib.compress(steps.tobytes(), 1)
        shape = SHAPE.pack(*steps.shape[:2], len(packed))
        try:
            self._file.write(shape + hashlib.sha256(shape + packed).digest() + packed)
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error
        self.rows += steps.shape[1]

    def close(self) -> None:
        """Close the file; it stays."""
        with suppress(OSError):  # What a full disk did not take was told when it was written.
            self._file.close()

    def _records(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield classes, rows and packed steps; cut off what is not whole."""
        end = self._file.seek(0, os.SEEK_END)
        at = self._file.seek(self._first)
        while True:
            shape = self._file.read(SHAPE.size)
            if len(shape) < SHAPE.size:
                break
            classes, rows, size = SHAPE.unpack(shape)
            digest = self._file.read(32)
            packed = self._file.read(size) if size <= end - self._file.tell() else b""
            if hashlib.sha256(shape + packed).digest() != digest:
                break
            at = self._file.tell()
            yield classes, rows, packed
        self._file.seek(at)
        self._file.truncate()

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._path} cannot be written: {error.strerror}. "
            "Check the free space and your rights in that folder."
        )


def _header(line: bytes) -> dict[str, Any] | None:
    """Read the first line of a file; None where it is not whole."""
    try:
        header = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    whole = isinstance(header, dict) and header.get("format") == FORMAT
    return header if whole else None


def _check_same(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    changed: dict[str, list[str]] = {}
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            names = changed.setdefault(WHAT.get(key, key), [])
            names += _names(key, old.get(key), new.get(key))
    if changed:
        listed = ", ".join(
            what + (f" ({', '.join(names)})" if names else "") for what, names in changed.items()
        )
        raise ResumeError(
            f"{path.name} holds finished rows of another run; what differs: {listed}. "
            "Give the command that was interrupted, or leave out --resume to begin again."
        )


def _names(key: str, old: Any, new: Any) -> list[str]:
    """Name what differs in options and versions, which have names that a user knows."""
    if key not in NAMED:
        return []
    one, other = _flat(old or {}), _flat(new or {})
    return [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= _flat(value) if isinstance(value, Mapping) else {key: value}
    return found


@contextmanager
def resumable(path: Path, *, resume: bool) -> Iterator[Path]:
    """Name the file of finished rows beside a result, and remove it where the run fails.

    It stays where the run is interrupted, runs out of memory or cannot go on from it; and where
    all went well, until `forget_rows` once the result is in its place.

    Args:
        path: The result, which this process alone writes.
        resume: Keep the rows that are there; else they are removed at once.
    """
    if not resume:
        forget_rows(path)
    try:
        yield hidden(path, "rows")
    except (ResumeError, MemoryError, KeyboardInterrupt, SystemExit):
        if hidden(path, "rows").exists():
            warnings.warn(
                "Finished rows are kept: the same command with --resume goes on from them.",
                GlacierxWarning,
                stacklevel=3,
            )
        raise
    except Exception:
        forget_rows(path)
        raise


def forget_rows(path: Path) -> None:
    """Remove the finished rows beside a result."""
    hidden(path, "rows").unlink(missing_ok=True)
