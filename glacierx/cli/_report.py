"""What shows a result: its report and its picture, as files that are written beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glacierx.extract import Extraction
    from glacierx.options import ReportOptions
    from glacierx.scene.scene import Scene

    Write = Callable[[Path, Extraction], None]


def check_shown(report: Path | None, picture: Path | None) -> list[Path]:
    """Return the files that are wanted; refuse names that such files cannot have.

    Raises:
        OutputError: An ending is another.
    """
    from glacierx.picture import check_picture
    from glacierx.report.report import check_report

    if report:
        check_report(report)
    if picture:
        check_picture(picture)
    return [path for path in (report, picture) if path]


def shown_beside(
    report: Path | None,
    picture: Path | None,
    scene: "Scene",
    output: Path,
    options: "ReportOptions",
) -> "dict[str | Path, Write]":
    """Say how each of them is made of an extraction from a scene."""
    from glacierx.picture import outline_picture, save_picture
    from glacierx.report.report import report_html, save_report
    from glacierx.report.results import results_of

    def write_report(part: Path, found: "Extraction") -> None:
        results = results_of(found, output.name)
        save_report(part, report_html(results, scene, options=options))

    def write_picture(part: Path, found: "Extraction") -> None:
        drawn = outline_picture(scene, found.glaciers, found.divides, longest_px=options.picture_px)
        save_picture(part, drawn)

    made: dict[str | Path, Write] = {}
    if report:
        made[report] = write_report
    if picture:
        made[picture] = write_picture
    return made
