"""The log of a run: where and when, which the run record in the results leaves out."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glacierx.scene.raster import PathLike, is_remote
from glacierx.scene.staging import staged


class RunLog:
    """Notes when a run began, and writes where and when it ran."""

    def __init__(self) -> None:
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
            "command": sys.argv,
            "inputs": [_absolute(file) for file in inputs],
            "outputs": [_absolute(file) for file in outputs],
            "record": record,
        }
        with staged(path, overwrite=overwrite) as part:
            part.write_text(json.dumps(log, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _absolute(path: PathLike) -> str:
    return str(path) if is_remote(path) else str(Path(path).absolute())
