"""What a patch could also have looked like: drawn anew each time, on the device.

All numbers are of our choice. Planes are scaled so that most of a scene lies between 0 and 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from glacierx.predict.normalise import DIRECTED
from glacierx.predict.tta import VIEWS, is_upright, turn, turn_planes
from glacierx.scene.sensors import INDEX, TERRAIN
from glacierx.training.samples import IGNORED, INVALID

OPTICAL = ("blue", "green", "red", "nir", "swir1", "swir2")
LEAST_OPTICAL = 3
# Standard deviations from where a plane is dark to where it is bright.
SPAN_SD = 4.0
# How much haze adds and how much light a shadow keeps, by role; the sky is blue.
HAZE = {"blue": 0.35, "green": 0.28, "red": 0.22, "nir": 0.14, "swir1": 0.05, "swir2": 0.03}
# What light and sensor do not change: forms of the ground, and ratios of bands.
STEADY = (*INDEX, *(role for role in TERRAIN if role not in ("elevation", "slope")))
SKY = {"blue": 0.40, "green": 0.32, "red": 0.26, "nir": 0.22, "swir1": 0.18, "swir2": 0.18}


@dataclass(frozen=True)
class Batch:
    """Patches on a device.

    Attributes:
        x: Planes (batch, roles, rows, columns).
        present: 1 where a plane holds data (batch, roles).
        label: Labels (batch, rows, columns), as `glacierx.training.samples` numbers them.
    """

    x: Tensor
    present: Tensor
    label: Tensor

    def take_out(self, roles: Tensor) -> "Batch":
        """Return the batch with planes zeroed where *roles* (batch, roles) is True."""
        keep = (~roles).to(self.x.dtype)
        return Batch(self.x * keep[..., None, None], self.present * keep, self.label)


class Augmenter:
    """Turn, light, veil and cover patches.

    Args:
        roles: What the planes measure.
        kind: ``full``; ``flips``, the symmetries of the square alone (Chu et al. 2022); or
            ``none``.
        band_dropout: Chance that a patch loses planes. At least three optical planes, or NIR, stay.
        optional: Planes that may be lost; the others always stay.
        z_scored: Planes are scaled by means and standard deviations.
    """

    def __init__(
        self,
        roles: Sequence[str],
        kind: str,
        band_dropout: float,
        optional: Sequence[str],
        *,
        z_scored: bool = False,
    ) -> None:
        self._z_scored = z_scored
        self._roles, self._kind, self._dropout = tuple(roles), kind, band_dropout
        self._optional = torch.tensor([role in optional for role in roles])
        self._optical = torch.tensor([role in OPTICAL for role in roles])
        self._measured = torch.tensor([role != "slope" for role in roles])
        self._steady = torch.tensor([role in STEADY for role in roles])
        self._directed = torch.tensor([role in DIRECTED for role in roles])
        self._all_optional = all(role in optional for role in roles if role in DIRECTED)
        self._haze = torch.tensor([HAZE.get(role, 0.0) for role in roles])
        self._sky = torch.tensor([SKY.get(role, 1.0) for role in roles])

    def __call__(self, batch: Batch, random: torch.Generator) -> Batch:
        """Return another look of a batch; *random* lives on the batch's device."""
        if self._kind == "none":
            return batch
        batch = turned(batch, random, self._roles)
        if self._kind == "full":
            batch = self._relit(batch, random)
            batch = covered(batch, random)
        if self._dropout:
            batch = batch.take_out(self._lost(batch, random))
        return batch

    def _relit(self, batch: Batch, random: torch.Generator) -> Batch:
        """Change light and sensor of planes that lie between 0 and 1, or are brought there."""
        if not self._z_scored:
            return self._lit(batch, random)
        seen = Batch(batch.x / SPAN_SD + 0.5, batch.present, batch.label)
        lit = (self._lit(seen, random).x - 0.5) * SPAN_SD
        there = batch.present[..., None, None] * (batch.label != INVALID)[:, None]
        steady = self._steady.to(lit.device)[None, :, None, None]
        lit = torch.where(steady, batch.x, lit)
        return Batch(lit * there, batch.present, batch.label)

    def _lit(self, batch: Batch, random: torch.Generator) -> Batch:
        """Change light and sensor: gain, offset, gamma, haze, shadow, saturation, noise.

        How much is drawn for each patch: half of them by less than a quarter of the most, so that
        scenes as they are remain the rule. Light leaves terrain alone.
        """
        x, device = batch.x, batch.x.device
        many, planes = x.shape[:2]
        optical, measured = (
            which.to(device)[None, :, None, None] for which in (self._optical, self._measured)
        )

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, 1, 1, generator=random, device=device)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, 1, 1, generator=random, device=device)

        strength = uniform(many, 1) ** 2
        own = torch.where(optical, 0.03, 0.1) * measured
        gain = torch.exp(
            strength * (0.15 * normal(many, 1) * optical + 0.08 * normal(many, planes) * measured)
        )
        offset = strength * (0.05 * normal(many, 1) * optical + own * normal(many, planes))
        gamma = torch.exp(
            strength * optical * (0.2 * normal(many, 1) + 0.08 * normal(many, planes))
        )
        lit = x.clamp_min(1e-3) ** gamma * gain + x.clamp_max(0) + offset
        shade = blobs(x, 6, random) * (uniform(many, 1) < 0.4 * strength)
        depth = shade * (0.5 + 0.5 * uniform(many, 1))
        lit = lit * (1 - depth * (1 - self._sky.to(device)[None, :, None, None]))
        veil = blobs(x, 3, random) * (uniform(many, 1) < 0.4 * strength) * uniform(many, 1)
        haze = veil * self._haze.to(device)[None, :, None, None] * 2
        lit = lit * (1 - haze) + haze * 0.9
        level = 0.6 + 0.6 * uniform(many, 1)
        saturated = (uniform(many, 1) < 0.4 * strength) & optical
        lit = torch.where(saturated, torch.minimum(lit, level), lit)
        # One field of noise, shifted from plane to plane, costs a tenth of one for each.
        noise = torch.randn(many, 1, *x.shape[-2:], generator=random, device=device)
        noise *= 0.03 * strength * uniform(many, 1)
        for plane in range(planes):
            shift = (37 * plane % x.shape[-2], 53 * plane % x.shape[-1])
            lit[:, plane] += noise.roll(shift, (-2, -1))[:, 0]
        valid = (batch.label != INVALID)[:, None]
        there = batch.present[..., None, None] * valid
        steady = self._steady.to(device)[None, :, None, None]
        lit = torch.where(steady, x, lit.clamp(-0.5, 1.5))
        return Batch(lit * there, batch.present, batch.label)

    def _lost(self, batch: Batch, random: torch.Generator) -> Tensor:
        """Choose the planes that go (batch, roles)."""
        device, present = batch.x.device, batch.present > 0
        many = len(present)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=random, device=device)

        chance = 0.15 + 0.45 * uniform(many, 1)
        lost = (uniform(*present.shape) < chance) & self._optional.to(device)
        directed = self._directed.to(device)
        # Of a direction all parts go, or none; that is drawn for the first.
        if directed.any():
            first = int(directed.nonzero()[0])
            lost = torch.where(directed, lost[:, first, None] & self._all_optional, lost)
        lost &= (uniform(many, 1) < self._dropout) & present
        left = present & ~lost
        enough = (left & self._optical.to(device)).sum(dim=1) >= LEAST_OPTICAL
        if "nir" in self._roles:
            enough |= left[:, self._roles.index("nir")]
        return lost & enough[:, None]


def turned(batch: Batch, random: torch.Generator, roles: Sequence[str] = ()) -> Batch:
    """Show each patch in one of the eight views of a square.

    Of *roles* those that point somewhere turn along; a patch with one part of a direction alone is
    shown in the four views that do without the other.
    """
    views = VIEWS["d4"]
    chosen = torch.randint(
        len(views), (len(batch.x),), generator=random, device=batch.x.device
    ).tolist()
    shown = [views[k] for k in chosen]
    if any(role in DIRECTED for role in roles):
        there = (batch.present > 0).tolist()
        shown = [
            (turns - turns % 2, flip) if is_upright(_present(roles, has)) else (turns, flip)
            for (turns, flip), has in zip(shown, there, strict=True)
        ]
    pairs = list(zip(batch.x, batch.label, shown, strict=True))
    x = torch.stack([turn_planes(part, view, roles) for part, _, view in pairs])
    label = torch.stack([turn(part, view) for _, part, view in pairs])
    return Batch(x, batch.present, label)


def _present(roles: Sequence[str], has: Sequence[bool]) -> list[str]:
    return [role for role, there in zip(roles, has, strict=True) if there]


def covered(batch: Batch, random: torch.Generator) -> Batch:
    """Hide a rectangle in some patches, as a gap in the data does; nothing is known there."""
    x, label = batch.x.clone(), batch.label.clone()
    numbers = torch.rand(len(x), 5, generator=random, device=x.device).tolist()
    for index, (chance, a, b, c, d) in enumerate(numbers):
        if chance > 0.15:
            continue
        side = x.shape[-1]
        high, wide = (int(side * (0.1 + 0.35 * share)) for share in (a, b))
        top, left = int((side - high) * c), int((side - wide) * d)
        place = slice(top, top + high), slice(left, left + wide)
        x[index, :, *place] = 0
        label[index, *place] = INVALID
    return Batch(x, batch.present, label)


def blobs(x: Tensor, cells: int, random: torch.Generator) -> Tensor:
    """Make smooth patches of 0 to 1 that cover about half of each sample (batch, 1, r, c)."""
    coarse = torch.randn(len(x), 1, cells, cells, generator=random, device=x.device)
    field = F.interpolate(coarse, size=x.shape[-2:], mode="bicubic", align_corners=True)
    return torch.sigmoid(8 * field)


def resized(values: Tensor, label: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Bring a window to the side of a patch; what lies beside a gap becomes unknown.

    Args:
        values: Planes (roles, rows, columns), 0 where there is no data.
        label: Labels (rows, columns).
        side: Rows and columns wanted.
    """
    if values.shape[-1] == side:
        return values, label
    valid = (label != INVALID).to(values.dtype)[None]

    def smooth(planes: Tensor) -> Tensor:
        shrinks = planes.shape[-1] > side
        return F.interpolate(
            planes[None], size=(side, side), mode="bilinear", align_corners=False, antialias=shrinks
        )[0]

    share = smooth(valid)
    small = F.interpolate(label[None, None].float(), size=(side, side), mode="nearest-exact")[0, 0]
    small = small.to(label.dtype)
    gap = share[0] < 0.5
    small = torch.where(gap, torch.full_like(small, INVALID), small)
    small = torch.where(~gap & (small == INVALID), torch.full_like(small, IGNORED), small)
    return torch.where(gap, 0.0, smooth(values) / share.clamp_min(1e-3)), small
