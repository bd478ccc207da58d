"""The table of encoders; build_encoder(name, ...).

Each returns a pyramid of feature maps, finest first, and says their `channels` and `strides`, so
that any encoder goes with any decoder. It takes the planes of its input, and keywords that JSON can
hold. None brings weights: all start fresh.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from glacierx.errors import ModelError
from glacierx.networks.encoders.pyramid import Encoder

_ROOM = "glacierx.networks.encoders."
_HE = {"stem_stride": 2, "always_project": False}

ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "dense": ("dense:Dense", {}),
    "drn": ("drn:DRN", {}),
    "mobilenet_v2": ("mobilenet_v2:MobileNetV2", {}),
    "plain": ("plain:Plain", {}),
    "resnest101": ("resnest:ResNeSt", {"depth": 101}),
    "resnest50": ("resnest:ResNeSt", {"depth": 50}),
    "resnet": ("resnet:ResNet", {}),
    "resnet18": ("resnet:ResNet", {"depth": 18, **_HE}),
    "resnet34": ("resnet:ResNet", {"depth": 34, **_HE}),
    "resnet50": ("resnet:ResNet", {"depth": 50, **_HE}),
    "vgg16": ("vgg:VGG16", {}),
    "vgg16_bn": ("vgg:VGG16", {"norm": True}),
    "xception65": ("xception:Xception", {"depth": 65}),
    "xception71": ("xception:Xception", {"depth": 71}),
}
"""Name to ``module:Class`` and the keywords that the name stands for; a caller's come after them.

``resnet`` is the ResNet of Chu et al. (stem of stride 1, every stage projects); those with a number
are He et al.'s.
"""


def build_encoder(
    name: str, in_channels: int, arguments: Mapping[str, Any] | None = None
) -> Encoder:
    """Build the encoder registered as *name*, with fresh weights.

    Args:
        name: A key of `ENCODERS`.
        in_channels: Planes of the input.
        arguments: The encoder's own keywords.

    Raises:
        ModelError: The name is unknown.
        TypeError: An argument is.
    """
    if name not in ENCODERS:
        raise ModelError(f"No encoder is called {name!r}. Known: {', '.join(ENCODERS)}.")
    place, own = ENCODERS[name]
    module, _, attribute = place.partition(":")
    kind = getattr(import_module(_ROOM + module), attribute)
    encoder: Encoder = kind(in_channels, **{**own, **(arguments or {})})
    return encoder
