"""The flags that say how a scene is read."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from glacierx.cli._options import prefer, with_flags
from glacierx.errors import ModelError

Decorated = Callable[..., Any]

NAMES = (
    "path", "bands", "sensor", "level", "scale", "offset", "nodata", "invalid", "aoi",
    "aoi_buffer_m", "date",
)  # fmt: skip


def scene_options(function: Decorated) -> Decorated:
    """Give a command the argument SCENE and its flags, and them as the argument *scene*."""
    return _decorated(function, NAMES, (_SCENE, *_FLAGS, _DATE))


def scenes_options(function: Decorated) -> Decorated:
    """Give a command the flags that say how each of several scenes is read, as *scene*."""
    names = tuple(name for name in NAMES if name not in ("path", "date"))
    return _decorated(function, names, _FLAGS)


def _decorated(function: Decorated, names: tuple[str, ...], flags: tuple[Any, ...]) -> Decorated:
    def collect(*args: Any, **kwargs: Any) -> Any:
        chosen = {name: kwargs.pop(name) for name in names}
        chosen["bands"] = ",".join(chosen["bands"]) if chosen["bands"] else None
        return function(*args, **kwargs, scene=chosen)

    return with_flags(function, collect, flags)


aoi_option = click.option(
    "--aoi", type=click.Path(path_type=Path), metavar="FILE", help="Vector file of the region."
)

aoi_buffer_option = click.option(
    "--aoi-buffer-m", type=float, default=0.0, metavar="NUM", help="Widen it by so many metres."
)

aux_option = click.option(
    "--aux",
    multiple=True,
    metavar="ROLE=FILE[:BAND]",
    help="Another raster of the same ground for models that take it: coherence=coh.tif, or a role "
    "of your own.",
)

_SCENE = click.argument("path", metavar="[SCENE]", required=False)

_FLAGS = (
    click.option(
        "--bands",
        multiple=True,
        metavar="ROLE=BAND,...",
        help="Which band has which role: blue=1,nir=4, or files: nir=B08.tif,swir1=B11.tif, or "
        "roles in file order: blue,green,-,nir.",
    ),
    click.option("--sensor", metavar="NAME", help="The sensor: sentinel-2, landsat-8 ..."),
    click.option("--level", metavar="NAME", help="Its processing level, which gives the units."),
    click.option(
        "--scale", type=float, metavar="NUM", help="Reflectance = scale x stored + offset."
    ),
    click.option(
        "--offset", type=float, metavar="NUM", help="See --scale; alone it keeps the file's scale."
    ),
    click.option("--nodata", metavar="NUM|nan|none", help="Number that means no data."),
    click.option(
        "--invalid",
        multiple=True,
        metavar="FILE[:BAND][=VALUES]",
        help="Quality mask of pixels to leave out; VALUES as 3,8-10 or bit1-4.",
    ),
    aoi_option,
    aoi_buffer_option,
)

_DATE = click.option("--date", metavar="DATE", help="Date of the scene, 2023-08-15.")

device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="auto, cpu, cuda, cuda:N or mps.",
)

profile_option = click.option(
    "--profile", is_flag=True, help="Tell at the end where the time went, stage by stage."
)


def _take_defaults(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Take what a model's card sets of inference and of what follows as defaults."""
    if not value.endswith(".safetensors"):
        return value
    from glacierx.predict.modelfile import load_card

    # What is wrong with the file is told where it is opened; a pixel method has no card.
    with suppress(ModelError):
        card = load_card(value)
        set_by_card = {name: v for group in card.defaults.values() for name, v in group.items()}
        prefer(ctx, set_by_card, strong=False)
    return value


model_option = click.option(
    "--model",
    default="auto",
    show_default=True,
    metavar="NAME|FILE",
    is_eager=True,
    callback=_take_defaults,
    help="A model file, the name of a model, auto, or a pixel method: ndsi, otsu, sbtm, ratio or "
    "gmm, with numbers of its own as ratio:above=2.8,blue=0.08.",
)

cog_option = click.option(
    "--cog", is_flag=True, help="Write rasters as cloud-optimised GeoTIFFs, with overviews."
)

hash_option = click.option(
    "--hash", "always_hash", is_flag=True, help="Hash inputs above 2 GB too."
)

overwrite_option = click.option("--overwrite", is_flag=True, help="Replace existing files.")

resume_option = click.option(
    "--resume", is_flag=True, help="Go on from the rows that an interrupted run finished."
)


def output_option(text: str) -> Callable[[Decorated], Decorated]:
    """Give a command -o."""
    return click.option(
        "-o",
        "--output",
        required=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=text,
    )


def file_option(flag: str, text: str) -> Callable[[Decorated], Decorated]:
    """Give a command an optional flag that names a file."""
    return click.option(flag, type=click.Path(path_type=Path), metavar="FILE", help=text)
