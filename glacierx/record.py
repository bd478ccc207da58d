"""The run record of outlines, and the log: where and when, which the record leaves out."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glacierx.errors import SceneError
from glacierx.options import DivideOptions, OutlineOptions
from glacierx.scene.prediction import Prediction
from glacierx.scene.provenance import fingerprint, versions
from glacierx.scene.raster import PathLike, is_remote
from glacierx.scene.staging import staged
from glacierx.scene.terrain import Dem


class RunLog:
    """Notes when a run began, and writes where and when it ran.

    Args:
        command: The command, where another process was given it.
    """

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = list(sys.argv if command is None else command)
        self._began = datetime.now(UTC)
        self._clock = time.monotonic()

    def write(
        self,
        path: Path,
        record: Mapping[str, Any],
        inputs: Sequence[PathLike],
        outputs: Sequence[PathLike],
        *,
        overwrite: bool = False,
    ) -> None:
        """Write the log as JSON.

        Args:
            path: The log.
            record: The run record.
            inputs: Files and URLs that were read.
            outputs: Files that were written.
            overwrite: Replace an existing log.
        """
        log = {
            "began": self._began.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self._clock, 1),
            "command": self._command,
            "inputs": [_absolute(file) for file in inputs],
            "outputs": [_absolute(file) for file in outputs],
            "record": record,
        }
        with staged(path, overwrite=overwrite) as part:
            part.write_text(json.dumps(log, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_log(path: Path) -> tuple[list[str], dict[str, Any]]:
    """Read which files the log of a run names as its inputs, and its run record.

    Raises:
        SceneError: It is no log of glacierx.
    """
    try:
        log = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise SceneError(f"The log {path} cannot be read: {reason}. Check --log.") from error
    parts = (log.get("inputs"), log.get("record")) if isinstance(log, dict) else ()
    if [type(part) for part in parts] != [list, dict]:
        raise SceneError(f"{path.name} is no log of glacierx extract --log. Check --log.")
    return [str(one) for one in log["inputs"]], log["record"]


def _absolute(path: PathLike) -> str:
    return str(path) if is_remote(path) else str(Path(path).absolute())


def with_outline(
    prediction: Prediction, options: OutlineOptions, *, always_hash: bool = False
) -> dict[str, Any]:
    """Return the run record of a probability map with how outlines are traced in it.

    A map that glacierx did not write is described by its file.
    """
    record = prediction.record or {
        "scene": {
            "name": prediction.name,
            "gsd_m": prediction.grid.gsd_m,
            "crs": prediction.grid.crs_name,
            "shape": list(prediction.grid.shape),
            "transform": list(prediction.grid.transform)[:6],
        },
        **foreign_record(prediction.path, always_hash=always_hash),
    }
    if prediction.aoi is not None:
        region = prediction.aoi.describe(always_hash=always_hash)
        record = {**record, "scene": {**record.get("scene", {}), **region}}
    threshold = prediction.threshold if options.threshold is None else options.threshold
    traced = {**options.as_record(), "threshold": threshold}
    return {**record, "options": {**record.get("options", {}), "outline": traced}}


def foreign_record(path: PathLike, *, always_hash: bool = False) -> dict[str, Any]:
    """Begin a run record with a file that holds none."""
    return {"inputs": [fingerprint(path, always_hash=always_hash)], "versions": versions()}


def with_divide(
    record: Mapping[str, Any],
    options: DivideOptions,
    dem: Dem | None,
    divides: PathLike | None,
    *,
    always_hash: bool = False,
) -> dict[str, Any]:
    """Add to a run record how complexes were divided, and by what."""
    inventory = None if divides is None else fingerprint(divides, always_hash=always_hash)
    heights = None if dem is None else dem.describe(always_hash=always_hash)
    chosen = {**record.get("options", {})}
    if heights or inventory:
        chosen["divide"] = options.as_record()
    return {**record, "dem": heights, "inventory": inventory, "options": chosen}
