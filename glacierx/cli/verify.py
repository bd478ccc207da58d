"""glacierx verify."""

from pathlib import Path

import click

from glacierx.cli._options import Command, progress
from glacierx.cli._results import check_results, json_option, show_findings
from glacierx.cli._scene import file_option, overwrite_option


@click.command("verify", cls=Command)
@click.argument("result", metavar="RESULT")
@click.argument("files", nargs=-1, metavar="[FILE|FOLDER]...")
@file_option("--log", "The log of the run, which says where its files lie.")
@click.option("--rerun", is_flag=True, help="Do the run again in a temporary folder, and compare.")
@json_option
@overwrite_option
def command(
    result: str,
    files: tuple[str, ...],
    log: Path | None,
    rerun: bool,
    json: Path | None,
    overwrite: bool,
) -> None:
    """Check a result against its run record: is each file still the one it was made from?

    RESULT is an outlines.gpkg, a probability map or a mask. The files that it was made from are
    looked for among those given, in folders given, where --log says, beside RESULT and here. A
    line for each: same, changed, missing, or unknown where no hash was kept; then the model, the
    versions and the layers themselves. Exit code 8 where a check fails.

    \b
    Example:
        glacierx verify outlines.gpkg scene.tif dem.tif
        glacierx verify outlines.gpkg data/ --rerun
    """
    from glacierx.verify import verify

    check_results(json, None, [], overwrite, [result, *files, log])
    findings = verify(result, files, log=log, rerun=rerun, progress=progress())
    show_findings(findings, json, overwrite=overwrite)
