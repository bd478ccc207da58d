"""The flags --json and --csv of commands whose result is a table or a list of findings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glacierx.cli._options import say
from glacierx.cli._scene import file_option

if TYPE_CHECKING:
    from glacierx.findings import Finding

STDOUT = Path("-")

json_option = file_option("--json", "Write everything as JSON; - for standard output.")


def check_results(
    json: Path | None, csv: Path | None, others: Sequence[Path | None], overwrite: bool, inputs: Any
) -> None:
    """Refuse results that could not be written, before any work is done."""
    from glacierx.errors import OptionError
    from glacierx.scene.output import check_outputs

    if json == csv == STDOUT:
        raise OptionError("--json - and --csv - both go to standard output. Give one a file.")
    files = [path for path in (json, csv, *others) if path != STDOUT]
    check_outputs(files, overwrite=overwrite, inputs=inputs)


def show_results(
    text: str,
    record: Mapping[str, Any],
    rows: tuple[Sequence[str], Sequence[Mapping[str, Any]]],
    files: tuple[Path | None, Path | None],
    *,
    overwrite: bool,
) -> None:
    """Write JSON and CSV, and the table, or one of the two, to standard output.

    Args:
        text: The table.
        record: What goes into the JSON.
        rows: Names of the columns and rows of the CSV.
        files: Where JSON and CSV go: a file, - or nowhere.
        overwrite: Replace existing files.
    """
    from glacierx.evaluate.table import csv_text, json_text
    from glacierx.scene.staging import staged

    shown = text + "\n"
    for path, content in zip(files, (json_text(record), csv_text(*rows)), strict=True):
        if path == STDOUT:
            shown = content
        elif path is not None:
            with staged(path, overwrite=overwrite) as part:
                part.write_text(content, encoding="utf-8", newline="")
            say(f"Written: {path}")
    click.echo(shown, nl=False)


def show_findings(findings: "Sequence[Finding]", json: Path | None, *, overwrite: bool) -> None:
    """Write findings to standard output and as JSON, and fail where one of them does.

    Args:
        findings: What checks found.
        json: Where JSON goes: a file, - or nowhere.
        overwrite: Replace an existing file.

    Raises:
        CheckError: A check failed.
    """
    from glacierx.findings import check_findings, findings_json, findings_text
    from glacierx.scene.staging import staged

    content = findings_json(findings)
    if json == STDOUT:
        click.echo(content, nl=False)
    else:
        click.echo(findings_text(findings))
    if json is not None and json != STDOUT:
        with staged(json, overwrite=overwrite) as part:
            part.write_text(content, encoding="utf-8", newline="")
        say(f"Written: {json}")
    check_findings(findings)
    say(f"{len(findings)} checks, and no problem.")
