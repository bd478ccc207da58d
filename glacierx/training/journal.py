"""The folder of a run: log.jsonl, curves.png, record.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glacierx.scene.staging import staged
from glacierx.training.curves import draw_curves

LOG = "log.jsonl"


class Journal:
    """Write down what a run does.

    Args:
        folder: Where; None writes nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._rows: list[dict[str, Any]] = []

    def cut(self, step: int) -> None:
        """Take up the log of an earlier run, up to a step."""
        if self._folder is None or not (self._folder / LOG).exists():
            return
        for line in (self._folder / LOG).read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
                known = row["step"] <= step
            except (ValueError, KeyError, TypeError):
                break
            if known:
                self._rows.append(row)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add what an epoch brought."""
        self._rows.append(dict(row))
        if self._folder is None:
            return
        with staged(self._folder / LOG, overwrite=True) as part:
            part.write_text("".join(json.dumps(one) + "\n" for one in self._rows), encoding="utf-8")
        draw_curves(self._rows, self._folder / "curves.png")

    def write(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a file of facts."""
        if self._folder is not None:
            with staged(self._folder / name, overwrite=True) as part:
                part.write_text(json.dumps(values, indent=1, sort_keys=True), encoding="utf-8")
