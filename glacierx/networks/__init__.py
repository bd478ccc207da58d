"""The table of architectures; build(name, ...).

The contract of a network, which one parametrised test checks for every entry of the table:

1. ``__init__(self, in_channels, classes, *, ...)``: everything else is keyword-only, with the
   paper's value as default, and JSON-serialisable, so that name and arguments rebuild it.
2. ``forward(inputs)`` takes an `Inputs` and returns an `Output`, whatever the flags.
3. Rows and columns divisible by the attribute ``stride``, which may follow from the arguments,
   work; others raise an error that names the padded size.
4. No downloads, printing, device placement, final activation, or randomness outside dropout and
   initialisation.
5. It says by ``precise`` which parts compute in fp32 where the rest does in 16 bits, if any.
6. The class docstring gives the paper, what was changed, and the default's parameter count.
"""

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from glacierx.errors import ModelError

ARCHITECTURES: dict[str, str] = {
    "attention_deeplabv3plus": "glacierx.networks.deeplabv3plus:AttentionDeepLabV3Plus",
    "deeplabv3plus": "glacierx.networks.deeplabv3plus:DeepLabV3Plus",
    "fc_densenet": "glacierx.networks.fc_densenet:FCDenseNet",
    "fcn": "glacierx.networks.fcn:FCN",
    "pspnet": "glacierx.networks.pspnet:PSPNet",
    "segnet": "glacierx.networks.segnet:SegNet",
    "unet": "glacierx.networks.unet:UNet",
}
"""Name to ``module:Class``; nothing is imported before a network is built."""


def architectures() -> dict[str, str]:
    """Return the architectures of this package and of installed ones.

    Other packages add theirs through the entry-point group ``glacierx.networks``.

    Raises:
        ModelError: Two packages use one name.
    """
    table = dict(ARCHITECTURES)
    for point in entry_points(group="glacierx.networks"):
        if table.get(point.name, point.value) != point.value:
            raise ModelError(
                f"Two architectures are called {point.name!r}: {table[point.name]} and "
                f"{point.value}. Uninstall one of the packages."
            )
        table[point.name] = point.value
    return table


def build(name: str, *, in_channels: int, classes: int, **arguments: Any) -> Any:
    """Build the network registered as *name*, with fresh weights.

    Args:
        name: A key of `architectures`.
        in_channels: Planes of the input.
        classes: Planes of the output; 1 for glacier or not.
        arguments: The architecture's own keywords.

    Returns:
        A `torch.nn.Module` that keeps the contract above.

    Raises:
        ModelError: The name or an argument is unknown.
    """
    table = architectures()
    if name not in table:
        raise ModelError(f"No architecture is called {name!r}. Known: {', '.join(sorted(table))}.")
    module, _, attribute = table[name].partition(":")
    try:
        network = getattr(import_module(module), attribute)
        return network(in_channels, classes, **arguments)
    except ModelError:
        raise
    except (TypeError, ValueError, AttributeError, ImportError) as error:
        raise ModelError(f"The architecture {name!r} cannot be built: {error}.") from error
    except (RuntimeError, ArithmeticError, LookupError) as error:
        # PyTorch says on many lines what an argument would have led to.
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"The architecture {name!r} cannot be built: {first}.") from error
