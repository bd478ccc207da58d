"""How a model wants its pixels scaled; part of its card."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacierx.errors import ModelError

JOINT = "joint-minmax-patch"
SPECTRAL = "spectral-scene"
FITTED = "z-score"
KINDS = (JOINT, "percentile-scene", SPECTRAL, "fixed", FITTED)
LOWEST, HIGHEST = -0.5, 1.5
SCALES = {
    "slope": (0.0, 45.0),
    "profile_curvature": (-0.02, 0.02),
    "tangential_curvature": (-0.02, 0.02),
    "unsphericity": (0.0, 0.02),
    "sadi": (0.0, 1.0),
    "coherence": (0.0, 1.0),
    **dict.fromkeys(("ndsi", "ndvi", "ndwi", "mndwi", "nbr"), (-1.0, 1.0)),
}
"""What becomes 0 and 1 in ``spectral-scene`` whatever the scene, in the role's unit; ours."""
DIRECTED = ("aspect_sin", "aspect_cos", "aspect_north", "aspect_south")
"""Parts of a direction: they turn with the view, so that 0 must stay 0, and all be scaled alike."""
DIRECTED_SCALE = 2.0


@dataclass(frozen=True)
class Normalisation:
    """How pixels are scaled before a network sees them.

    Attributes:
        kind: ``joint-minmax-patch``: each patch to 0..1 by the least and greatest of all its bands
            together, as in the code of Chu et al. 2022; a pixel's input then depends on its patch.
            ``percentile-scene``: each band by two percentiles of a bounded sample of the scene.
            ``spectral-scene``: the same, but all optical bands by one pair of percentiles, so that
            which band is brighter stays as it was, and what has natural limits by `SCALES`. Ours:
            bands scaled one by one make rock without snow beside it as white as snow.
            ``fixed``: each plane by a mean and a standard deviation in its unit.
            Parts of a direction (`DIRECTED`) are halved by the kinds of a scene, and have a mean of
            0 in ``fixed``.
            ``z-score``: the same before training, which finds both in the scenes that it learns
            from and makes it ``fixed``.
        low: Percentile that becomes 0.
        high: Percentile that becomes 1.
        mean: Mean of each role, for ``fixed``.
        std: Standard deviation of each role, for ``fixed``.
    """

    kind: str = "percentile-scene"
    low: float = 1.0
    high: float = 99.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ModelError(
                f"The card's normalisation is {self.kind!r}; known are {', '.join(KINDS)}."
            )
        if not 0 <= self.low < self.high <= 100:
            raise ModelError(f"The card's percentiles {self.low:g} and {self.high:g} do not fit.")
        if self.kind == "fixed" and not (self.mean and len(self.mean) == len(self.std)):
            raise ModelError("The card's fixed normalisation needs a mean and a std for each role.")
        if not all(0 < value < math.inf for value in self.std):
            raise ModelError("The card's standard deviations must be above 0, and numbers.")
        if not all(math.isfinite(value) for value in self.mean):
            raise ModelError("The card's means must be numbers.")

    def bends(self, roles: Sequence[str]) -> bool:
        """Tell whether it would make another direction of one, in some of the planes."""
        at = [index for index, role in enumerate(roles) if role in DIRECTED]
        if self.kind != "fixed" or len(self.mean) != len(roles):
            return bool(at) and self.kind == JOINT
        return any(self.mean[index] for index in at) or len({self.std[index] for index in at}) > 1

    @property
    def needs_reflectance(self) -> bool:
        """True where the numbers of the card mean nothing in other units."""
        return self.kind in ("fixed", FITTED)


@dataclass(frozen=True)
class Normaliser:
    """A normalisation made ready for one scene.

    Attributes:
        shift: Subtracted from each role; None where it is found patch by patch.
        scale: What the difference is divided by.
        bounded: Clip to -0.5..1.5, so that glints and defects do not reach far.
    """

    shift: NDArray[np.float32] | None
    scale: NDArray[np.float32] | None
    bounded: bool = False

    def __call__(self, values: NDArray[np.float32], valid: NDArray[Any]) -> NDArray[np.float32]:
        """Scale a patch (roles, rows, columns); invalid pixels become 0, whatever they held."""
        if self.shift is None or self.scale is None:
            good = values[:, valid]
            low, high = (good.min(), good.max()) if good.size else (0.0, 1.0)
            scaled = (values - np.float32(low)) / np.float32(max(high - low, 1e-12))
        else:
            scaled = (values - self.shift[:, None, None]) / self.scale[:, None, None]
        if self.bounded:
            scaled = scaled.clip(LOWEST, HIGHEST)
        return np.where(valid, scaled, np.float32(0)).astype(np.float32)
