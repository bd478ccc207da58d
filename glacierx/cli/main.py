"""The group; commands imported when run; errors printed."""

import os
import sys
from importlib import import_module
from typing import Any

import click

from glacierx import __version__
from glacierx.cli._signals import Ended, end_now, end_on_signals
from glacierx.errors import MEMORY_ADVICE, OUT_OF_MEMORY, GlacierxError, is_out_of_memory

COMMANDS = (
    "extract", "batch", "predict", "outline", "divide", "merge", "convert", "evaluate", "compare",
    "fit", "train", "crossval", "adapt", "report", "simulate", "demo", "models", "presets",
    "doctor", "verify",
)  # fmt: skip


# Settings of GDAL: a server that does not answer for so many seconds is given up.
PATIENCE = {
    "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
}


class Failure(click.ClickException):
    """An error of the user's, on one line, with its exit code."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(" ".join(text.split()))
        self.exit_code = exit_code  # type: ignore[misc]  # Click declares it on the class


class LazyGroup(click.Group):
    """A group that imports a command only when it is run or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"glacierx.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; of a name that is none, say which one it is like."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, 1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and turn what goes wrong into one line and an exit code."""
        try:
            return super().invoke(ctx)
        except GlacierxError as error:
            if ctx.meta.get("glacierx.debug"):
                raise
            raise Failure(str(error), error.exit_code) from error
        except (MemoryError, RuntimeError) as error:
            if ctx.meta.get("glacierx.debug") or not is_out_of_memory(error):
                raise
            raise Failure(MEMORY_ADVICE, OUT_OF_MEMORY) from error


def _show_versions(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from glacierx.scene.provenance import versions

        for name, number in versions("torch", "safetensors", "click").items():
            click.echo(f"{name} {number}")
        ctx.exit()


def _gdal_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from glacierx.scene.provenance import versions

        click.echo(versions()["gdal"])
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="glacierx")
@click.option(
    "--show-versions",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_versions,
    help="Show the versions of the libraries and exit.",
)
@click.option(
    "--gdal-version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_gdal_version,
    help="Show GDAL's version and exit.",
)
@click.option("--aws-profile", metavar="NAME", help="AWS profile for s3:// paths.")
@click.option("--aws-no-sign-requests", is_flag=True, help="Read public s3:// paths anonymously.")
@click.option("--aws-requester-pays", is_flag=True, help="Pay for the transfer of s3:// paths.")
@click.pass_context
def group(
    ctx: click.Context,
    aws_profile: str | None,
    aws_no_sign_requests: bool,
    aws_requester_pays: bool,
) -> None:
    """Outlines of individual glaciers from a satellite scene and a DEM.

    \b
    Example:
        glacierx extract scene.tif --dem dem.tif -o outlines.gpkg
    """
    settings = {
        "AWS_PROFILE": aws_profile,
        "AWS_NO_SIGN_REQUEST": "YES" if aws_no_sign_requests else None,
        "AWS_REQUEST_PAYER": "requester" if aws_requester_pays else None,
    }
    given = {name: value for name, value in settings.items() if value}
    if given:
        import rasterio

        ctx.with_resource(rasterio.Env(**given))


def main() -> None:
    """Run the command line."""
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    if "--debug" not in sys.argv:
        # GDAL prints what it finds wrong, which our line says in words.
        os.environ.setdefault("CPL_LOG", os.devnull)
    end_on_signals()
    try:
        group(prog_name="glacierx")
    except Ended as end:
        end_now(end.code)
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
