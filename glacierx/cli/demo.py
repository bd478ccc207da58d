"""glacierx demo."""

from pathlib import Path

import click

from glacierx.cli._options import Command, progress, say
from glacierx.cli._scene import overwrite_option


@click.command("demo", cls=Command)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out"),
    show_default=True,
    metavar="FOLDER",
    help="Where everything goes.",
)
@click.option("--size", default=1024, show_default=True, metavar="N", help="Pixels a side.")
@click.option("--seed", default=1, show_default=True, metavar="N", help="Which made scene.")
@overwrite_option
def command(out: Path, size: int, seed: int, overwrite: bool) -> None:
    """Run the main job on a made scene, draw the result, and say how well it matches the truth.

    \b
    Example:
        glacierx demo --out out/
    """
    from glacierx.demo import demonstrate
    from glacierx.options import SimulateOptions

    found = demonstrate(
        out, SimulateOptions(size=size, seed=seed), overwrite=overwrite, progress=progress()
    )
    match = found.matching
    say(
        f"On this made scene the ice found and the true ice have an IoU of {found.iou:.3f}. "
        f"{match.found} outlines were found for {match.reference} true glaciers; "
        f"{match.matched} match with an IoU above 0.5 and hold {match.area_50:.0%} of the true "
        f"area. The ice was found by {found.model}."
    )
    click.echo(found.outlines)
    click.echo(found.picture)
