"""The flags that say in which format a result is written, and what its files say besides."""

from collections.abc import Callable
from typing import Any

import click

from glacierx.cli._options import with_flags
from glacierx.errors import OptionError
from glacierx.formats.delivery import FORMATS, Delivery

Decorated = Callable[..., Any]
NAMES = ("format", "region", "analyst", "image_id", "instrument", "geolocation_m")

_FLAGS = (
    click.option(
        "--format",
        type=click.Choice(FORMATS),
        help="Write a folder in this format instead of one file by its ending.",
    ),
    click.option(
        "--region", metavar="NN[-NN]", help="RGI's region, for rgi7, rgi6 and oggm: 11 or 11-01."
    ),
    click.option("--analyst", metavar="NAME", help="Who made the outlines, for glims."),
    click.option(
        "--image-id",
        multiple=True,
        metavar="ID",
        help="The supplier's id of the image, for glims; once for each.",
    ),
    click.option("--instrument", metavar="NAME", help="What took the image, for glims."),
    click.option(
        "--geolocation-m",
        type=float,
        metavar="NUM",
        help="How far off the image may lie, for glims.",
    ),
)


def format_options(function: Decorated) -> Decorated:
    """Give a command the flags of formats, and what they say as the argument *delivery*."""

    def collect(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in NAMES}
        images = given.pop("image_id")
        delivery = None
        if given["format"] is not None:
            delivery = Delivery(image_ids=tuple(images), **given)
        else:
            useless = [name for name, value in given.items() if value is not None]
            useless += ["image_id"] if images else []
            if useless:
                flag = "--" + useless[0].replace("_", "-")
                raise OptionError(f"{flag} says something of a format. Give one with --format.")
        return function(*args, **kwargs, delivery=delivery)

    return with_flags(function, collect, _FLAGS)
