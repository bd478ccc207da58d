"""Every tunable but those of training: default, range, help: the page of knobs.

A field declared here becomes a command-line flag, a key of a ``--config`` file and an entry of the
run record; nothing else has to be written.
"""

import math
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, Self, get_args

from glacierx.errors import OptionError


def option(
    default: Any,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    auto: bool = False,
) -> Any:
    """Declare a tunable: its default, one sentence of help, and what it may be.

    Args:
        default: Value that it has where nobody says otherwise.
        text: Its help.
        low: Least value.
        high: Greatest value.
        choices: Values that it may have, if they are few.
        auto: None means that a good number is found by itself; the flag takes ``auto`` for it.
    """
    return field(
        default=default,
        metadata={"help": text, "low": low, "high": high, "choices": choices, "auto": auto},
    )


@dataclass(frozen=True)
class Options:
    """A group of tunables that checks itself when it is built."""

    def __post_init__(self) -> None:
        for declared in fields(self):
            _check(declared, getattr(self, declared.name))

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> Self:
        """Build the group from a mapping that may hold the fields of other groups too."""
        names = {declared.name for declared in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in names})

    def as_record(self) -> dict[str, Any]:
        """Return the options as plain values for a run record."""
        return asdict(self)


def _check(declared: "Field[Any]", value: Any) -> None:
    meta = declared.metadata
    flag = "--" + declared.name.replace("_", "-")
    if isinstance(value, bool) != (declared.type is bool):
        raise OptionError(f"{flag} is {value!r}. It takes no such value.")
    if value is None or isinstance(value, bool):
        return
    if meta["choices"] and value not in meta["choices"]:
        allowed = ", ".join(meta["choices"])
        raise OptionError(f"{flag} is {value!r}. It takes one of: {allowed}.")
    kinds = get_args(declared.type) or (declared.type,)
    wanted = "text" if str in kinds else "a whole number" if int in kinds else "a number"
    if not isinstance(value, str if str in kinds else int if int in kinds else int | float):
        raise OptionError(f"{flag} is {value!r}. It takes {wanted}.")
    if isinstance(value, str):
        return
    low, high = meta["low"], meta["high"]
    if (
        (low is None or value >= low)
        and (high is None or value <= high)
        and -math.inf < value < math.inf
    ):
        return
    bounds = f"from {low:g}" if high is None else f"from {low:g} to {high:g}"
    raise OptionError(f"{flag} is {str(value)[:40]}. It takes a number {bounds}.")


@dataclass(frozen=True)
class PredictOptions(Options):
    """How a network or a pixel method is run over a scene."""

    tta: str | None = option(
        None,
        "Test-time augmentation: average over flipped and rotated views [default: the model's].",
        choices=("none", "chu6", "d4"),
    )
    patch_px: int | None = option(
        None, "Side of a patch in pixels [default: the model's].", low=16, high=16384
    )
    keep: float = option(
        0.9, "Share of a patch's area, its middle, that is kept.", low=0.05, high=1
    )
    median: bool = option(False, "Take the 3 x 3 median of what a pixel method decides.")


@dataclass(frozen=True)
class EngineOptions(Options):
    """What a network runs on, and how: the result stays the same but for rounding."""

    device: str = option("auto", "Where networks run: auto, cpu, cuda, cuda:N or mps.")
    backend: str = option(
        "auto",
        "What runs them; auto takes OpenVINO for fp32 on a CPU, where it is installed and the "
        "scene is large enough to pay for its start.",
        choices=("auto", "torch", "openvino"),
    )
    precision: str = option(
        "auto",
        "Numbers that they compute in; auto is bf16 where the device has it, else fp16 on CUDA and "
        "fp32 elsewhere.",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    batch: int | None = option(
        None,
        "Patches that go through the network at once; auto is 1 on a CPU and as many as fit on a "
        "GPU.",
        low=1,
        high=4096,
        auto=True,
    )
    workers: int | None = option(
        None,
        "Threads that decode the scene beside the network; auto is one for each core, up to 8.",
        low=1,
        high=64,
        auto=True,
    )
    compile: bool = option(False, "Compile the network first; pays for large scenes only.")


@dataclass(frozen=True)
class OutlineOptions(Options):
    """How a probability map becomes outlines of glacier complexes."""

    threshold: float | None = option(
        None,
        "A pixel above this probability is glacier [default: the model's, 0.5].",
        low=0,
        high=1,
    )
    classes: str | None = option(
        None,
        "Outline these classes of the map together, as debris,ice, instead of all that is glacier "
        "[default: glacier].",
    )
    min_area_km2: float = option(0.01, "Minimum area: drop smaller outlines.", low=0)
    min_hole_km2: float = option(0.0, "Minimum nunatak: fill smaller holes.", low=0)
    smooth_px: float = option(
        1.0,
        "Smooth outlines within a band of this many pixels; 0 keeps pixel edges.",
        low=0,
        high=10,
    )


@dataclass(frozen=True)
class DivideOptions(Options):
    """How glacier complexes are divided into glaciers.

    The method is that of Kienholz et al. (2013, doi:10.3189/2013JoG12J138); burn_slope is ours.
    """

    grid_m: float = option(30.0, "Spacing of the grid that ice is routed on.", low=1, high=100)
    median_m: float = option(150.0, "Window of the median filter on the DEM.", low=0, high=2000)
    gutter_m: float = option(
        40.0, "Width of the gutter that collects the ice, and its distance from it.", low=1
    )
    gutter_depth_m: float = option(100.0, "Depth of the gutter.", low=0)
    radius_factor: float = option(
        0.55,
        "Radius of a pour point's circle over the root of its flowshed's area.",
        low=0,
        high=10,
    )
    radius_max_m: float = option(3500.0, "Largest radius of a pour point's circle.", low=0)
    burn_slope: float = option(
        0.3,
        "Lower the ice by this much per metre from its margin, so that tongues drain to their end.",
        low=0,
        high=10,
    )
    burn_reach_m: float = option(200.0, "Distance from the margin where burning ends.", low=0)
    sliver_km2: float = option(
        0.1,
        "Pieces of a complex below this join a neighbour, thin ones below twice this.",
        low=0,
    )
    reference_reach_m: float = option(
        500.0, "Ice farther than this from an inventory's glaciers takes no divide from it.", low=0
    )
    force_dem: bool = option(False, "Use a DEM even if its cells are over 100 m wide.")


DIVIDE_PRESETS = {
    "flowsheds": DivideOptions(),
    # 14.3 m per root of a 40 m cell is 0.3575 per root of a square metre.
    "kienholz2013": DivideOptions(radius_factor=0.3575, burn_slope=0.0),
}


@dataclass(frozen=True)
class MergeOptions(Options):
    """How the outlines of several scenes become one inventory."""

    prefer: str = option(
        "newest",
        "Which scene is believed where several see the ground.",
        choices=("newest", "least-cloud", "highest-probability"),
    )
    missing_share: float = option(
        0.1,
        "A glacier of which the believed scene misses more than this share is taken whole from the "
        "next scene that sees all of it, if one does; else it is joined from pieces.",
        low=0,
        high=1,
    )


@dataclass(frozen=True)
class SimulateOptions(Options):
    """What a made scene is like."""

    size: int = option(
        2048, "Rows and columns of the scene; at most so many of a DEM.", low=128, high=20000
    )
    gsd: float | None = option(
        None,
        "Ground sampling distance in metres [default: the sensor's, else 10].",
        low=1,
        high=60,
    )
    seed: int = option(1, "Number that all random choices follow from.", low=0)
    ice: bool = option(True, "Put glaciers into made mountains.")
    vary: bool = option(
        False, "Draw sun, air, snow, debris and rock by the seed; with a DEM they always are."
    )
    sensor: str | None = option(
        None,
        "Sensor whose bands, blur, noise and numbers the scene has "
        "[default: none, reflectance x 10,000 in six bands].",
    )


@dataclass(frozen=True)
class EvaluateOptions(Options):
    """How a prediction is scored."""

    asd: str = option(
        "heimann",
        "Average surface distance: all boundary pixels pooled, mean of the two directed means, or "
        "those of contours weighted by length.",
        choices=("heimann", "mean-of-means", "surface-distance"),
    )
    tolerance_m: float | None = option(
        None, "Also give the boundary F1 at this tolerance in metres [default: none].", low=0
    )
    bootstrap: str = option(
        "auto",
        "What 95 % intervals resample; auto is scenes for several pairs, else blocks.",
        choices=("auto", "glaciers", "scenes", "blocks", "none"),
    )
    block_m: float = option(3000.0, "Side of a block in metres.", low=1)


@dataclass(frozen=True)
class ReportOptions(Options):
    """How results are shown."""

    picture_px: int = option(
        1600, "Longest side of the map in a picture, in pixels.", low=200, high=10000
    )
    overlay_px: int = option(
        2048, "Longest side of the scene below a report's map, in pixels.", low=128, high=8192
    )


@dataclass(frozen=True)
class ExtractOptions:
    """All the tunables of the main job, group by group."""

    predict: PredictOptions = PredictOptions()
    outline: OutlineOptions = OutlineOptions()
    divide: DivideOptions = DivideOptions()

    def __post_init__(self) -> None:
        for group in fields(self):
            given = getattr(self, group.name)
            if type(given) is not type(group.default):
                raise OptionError(
                    f"{group.name} of ExtractOptions is of type {type(given).__name__}. "
                    f"Give {group.name}={type(group.default).__name__}(...)."
                )

    def as_record(self) -> dict[str, Any]:
        """Return the options as plain values for a run record."""
        return asdict(self)
