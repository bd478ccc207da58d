"""glacierx doctor."""

from pathlib import Path

import click

from glacierx.cli._options import Command, progress
from glacierx.cli._results import STDOUT, json_option, show_findings
from glacierx.cli._scene import overwrite_option


@click.command("doctor", cls=Command)
@json_option
@overwrite_option
def command(json: Path | None, overwrite: bool) -> None:
    """Check this machine: packages, GDAL, disk, memory, devices, models, and a trial run.

    A line for each check, which is ok, a note, or a problem with what to do about it; exit code 8
    where there is a problem.

    \b
    Example:
        glacierx doctor
    """
    from glacierx.doctor import examine
    from glacierx.scene.staging import check_free

    # Not by what reads rasters: whether that can be imported is among what is checked.
    if json not in (None, STDOUT):
        check_free(json, overwrite=overwrite)
    show_findings(examine(progress()), json, overwrite=overwrite)
