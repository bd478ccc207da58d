"""Options dataclass -> Click options; the flags that every command has."""

import datetime
import logging
import sys
import tomllib
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import click

from glacierx.errors import GlacierxWarning, OptionError
from glacierx.options import Options

if TYPE_CHECKING:
    from glacierx.extract import Extraction

Decorated = Callable[..., Any]

NOT_IN_FILES = ("config", "help", "allow_vrt")
LARGEST_CONFIG = 2**20


class Command(click.Command):
    """A command with -v, -q, --debug, --config, --allow-vrt and --no-progress."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(
                ["--config"],
                type=click.Path(path_type=Path),
                is_eager=True,
                expose_value=False,
                callback=_read_config,
                help="TOML file with the same names as the options; options given here win.",
            ),
            click.Option(
                ["--allow-vrt"],
                is_flag=True,
                help="Trust files that point to others, as a VRT does: they may read any file.",
            ),
            click.Option(
                ["--no-progress"], is_flag=True, help="Show no progress, even on a terminal."
            ),
            click.Option(["-v", "--verbose"], count=True, help="Say more; twice for everything."),
            click.Option(["-q", "--quiet"], count=True, help="Say less: no warnings."),
            click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Set up what is shown, then run."""
        verbose, quiet = ctx.params.pop("verbose"), ctx.params.pop("quiet")
        ctx.meta["glacierx.debug"] = ctx.params.pop("debug")
        ctx.meta["glacierx.quiet"] = bool(quiet)
        silent = ctx.params.pop("no_progress") or quiet or not sys.stderr.isatty()
        ctx.meta["glacierx.progress"] = None if silent else Bar()
        level = max(logging.DEBUG, logging.WARNING + 10 * (quiet - verbose))
        logging.basicConfig(level=level, format="%(name)s: %(message)s", force=True)
        # They log GDAL's errors, which ours explain.
        for library in ("rasterio", "fiona"):
            logging.getLogger(library).setLevel(level + 20)
        with ExitStack() as stack:
            if ctx.params.pop("allow_vrt"):
                from glacierx.scene.trust import allow_vrt

                stack.enter_context(allow_vrt())
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore" if verbose < 2 else "default")
            warnings.simplefilter("ignore" if quiet else "always", GlacierxWarning)
            warnings.showwarning = _show_warning
            return super().invoke(ctx)


def _show_warning(message: Any, category: Any, *args: Any, **kwargs: Any) -> None:
    name = "Warning" if issubclass(category, GlacierxWarning) else category.__name__
    click.echo(f"{name}: {' '.join(str(message).split())}", err=True)


class Bar:
    """A progress bar on stderr, one for each thing that is done."""

    def __init__(self) -> None:
        self._what = ""
        self._bar: Any = None

    def __call__(self, done: int, total: int, what: str) -> None:
        """Show how much is done, of how much."""
        from tqdm import tqdm

        if what != self._what:
            if self._bar is not None:
                self._bar.close()
            self._what, self._bar = what, tqdm(total=total, desc=what, leave=False)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self._bar.close()


def progress() -> Bar | None:
    """Return the progress bar of the running command, or None where none is wanted."""
    bar: Bar | None = click.get_current_context().meta["glacierx.progress"]
    return bar


def say(text: str) -> None:
    """Tell on stderr how the running command ended, unless -q was given."""
    if not click.get_current_context().meta["glacierx.quiet"]:
        click.echo(text, err=True)


def found(extraction: "Extraction") -> str:
    """Return how many glaciers and complexes there are, and their area."""
    complexes = len(set(extraction.complexes["complex_id"].tolist()))
    glaciers = len(extraction.glaciers)
    area = extraction.glaciers["area_km2"].sum()
    return (
        f"{glaciers} glacier{'' if glaciers == 1 else 's'} in "
        f"{complexes} complex{'' if complexes == 1 else 'es'}, {area:.2f} km2"
    )


def options_for(group: type[Options], name: str) -> Callable[[Decorated], Decorated]:
    """Give a command a flag for each field of a group, and the group itself as an argument.

    Args:
        group: The group of options.
        name: The argument that takes it.
    """
    hints = get_type_hints(group)

    def decorate(function: Decorated) -> Decorated:
        def collect(*args: Any, **kwargs: Any) -> Any:
            given = {declared.name: kwargs.pop(declared.name) for declared in fields(group)}
            return function(*args, **kwargs, **{name: group(**given)})

        flags = [_flag(declared, hints[declared.name]) for declared in fields(group)]
        return with_flags(function, collect, flags)

    return decorate


def with_flags(
    function: Decorated, collect: Decorated, flags: Sequence[Callable[[Decorated], Decorated]]
) -> Decorated:
    """Put *collect*, which takes the values of more flags, in the place of a command's function."""
    collect.__name__, collect.__doc__ = function.__name__, function.__doc__
    collect.__click_params__ = list(getattr(function, "__click_params__", []))  # type: ignore[attr-defined]  # where Click keeps them
    for decorate in reversed(flags):
        decorate(collect)
    return collect


def _flag(declared: "Field[Any]", hint: Any) -> Callable[[Decorated], Decorated]:
    flag = "--" + declared.name.replace("_", "-")
    kind = next((part for part in get_args(hint) if part is not types.NoneType), hint)
    default = declared.default
    if kind is bool:
        return click.option(
            f"{flag}/--no-{flag[2:]}", default=default, show_default=True, help=_help(declared)
        )
    choices = declared.metadata["choices"]
    metavar = {int: "N", float: "NUM", str: "TEXT"}[kind]
    if declared.metadata["auto"]:
        return click.option(
            flag, type=AutoNumber(), default="auto", show_default=True, metavar=f"auto|{metavar}",
            help=_help(declared),
        )  # fmt: skip
    return click.option(
        flag,
        type=click.Choice(choices) if choices else kind,
        default=default,
        show_default=default is not None,
        metavar=None if choices else metavar,
        help=_help(declared),
    )


class AutoNumber(click.ParamType[int | None]):
    """A whole number, or ``auto`` for None."""

    name = "number or auto"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | None:
        """Read a flag's text."""
        if value == "auto":
            return None
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a whole number nor auto.", param, ctx)


def _help(declared: "Field[Any]") -> str:
    text: str = declared.metadata["help"]
    return text


def prefer(ctx: click.Context, values: Mapping[str, Any], *, strong: bool) -> None:
    """Set defaults of the running command: strongly (a file), or only where nothing else is set."""
    defaults = dict(ctx.default_map or {})
    ctx.default_map = {**defaults, **values} if strong else {**values, **defaults}


def _read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise OptionError(f"--config {path} is too large for a list of options. Give another.")
        values = _flat(tomllib.loads(path.read_bytes().decode()))
    except OptionError:
        raise
    except OSError as error:
        raise OptionError(f"--config {path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # TOML's and UTF-8's errors are of the first.
        raise OptionError(f"--config {path} is not TOML in UTF-8: {error}.") from error
    # Trust is given where the command is typed, not by a file that may come with the scene.
    params = [param for param in ctx.command.params if param.name not in NOT_IN_FILES]
    by_flag = {name: param for param in params for name in _names(param)}
    unknown = sorted(set(values) - set(by_flag))
    if unknown:
        raise OptionError(
            f"--config {path} sets {', '.join(unknown)}, which {ctx.info_name} does not have. "
            f"See glacierx {ctx.info_name} --help."
        )
    chosen = {}
    for name, value in values.items():
        param = by_flag[name]
        chosen[str(param.name)] = _fitting(
            param, value, f"--config {path}: {name} is {_short(value)}"
        )
    prefer(ctx, chosen, strong=True)


def _fitting(param: click.Parameter, value: Any, found: str) -> Any:
    """Return a value of a config file as Click takes it, refusing other types."""
    if not param.multiple:
        return _fitting_one(param, value, found)
    values = value if isinstance(value, list) else [value]
    return [_fitting_one(param, one, found) for one in values]


def _fitting_one(param: click.Parameter, value: Any, found: str) -> Any:
    if isinstance(value, datetime.date):  # TOML has dates; we take them as text.
        value = value.isoformat()
    # TOML has whole numbers of any length; no option takes more than 64 bits.
    whole = type(value) is int and abs(value) < 2**63
    kinds: dict[str, tuple[str, bool]] = {
        "flag": ("true or false", isinstance(value, bool)),
        "integer": ("a whole number", whole),
        "float": ("a number", whole or isinstance(value, float)),
        "number or auto": ("a whole number, or auto", whole or value == "auto"),
    }
    is_flag = isinstance(param, click.Option) and (param.is_flag or param.count)
    kind = "integer" if getattr(param, "count", False) else "flag" if is_flag else param.type.name
    text, fits = kinds.get(kind, ("text", isinstance(value, str) or whole))
    if not fits:
        raise OptionError(f"{found}. It takes {text}.")
    return value if kind in kinds else str(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _names(param: click.Parameter) -> set[str]:
    """Return what a config file may call a parameter: its flags, without dashes."""
    return {flag.lstrip("-").replace("-", "_") for flag in param.opts} | {str(param.name)}


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """Bring the options of all sections together, under the names that Click uses."""
    out: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            out.update(_flat(value))
        else:
            out[key.replace("-", "_")] = value
    return out
