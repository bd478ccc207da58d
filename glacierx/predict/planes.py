"""Patches in the numbers of a file -> scaled planes on a device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from glacierx.predict.normalise import HIGHEST, LOWEST, Normaliser
from glacierx.predict.strips import Patch
from glacierx.scene.stored import Stored


@dataclass(frozen=True)
class Planes:
    """Patches on a device, as a network takes them.

    Attributes:
        x: Planes in the order of the card's roles (batch, channels, rows, columns).
        context: A wider view, shaped as *x*, or None.
        ready: When the device has made them, where it works beside the processor.
    """

    x: Tensor
    context: Tensor | None = None
    ready: Any = None


class Feeder:
    """Brings patches to a device, as the numbers of the file, and scales them there.

    Args:
        roles: The card's roles.
        present: Those that the scene has.
        normaliser: The scaling of these.
        device: Where the planes go.
    """

    def __init__(
        self,
        roles: Sequence[str],
        present: Sequence[str],
        normaliser: Normaliser,
        device: torch.device,
    ) -> None:
        self._channels = len(roles)
        self._slots = {role: list(roles).index(role) for role in present}
        self._present = list(present)
        self._normaliser = normaliser
        self._device = device
        self._stream: Any = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's own

    def __call__(self, patches: Sequence[Patch]) -> Planes:
        """Return the planes of patches; absent roles and invalid pixels are zero."""
        if self._stream is None:
            return self._make(patches)
        # A stream of its own lets the device copy and scale while the network runs.
        with torch.cuda.stream(self._stream):
            made = self._make(patches)
            return Planes(made.x, made.context, self._stream.record_event())

    def _make(self, patches: Sequence[Patch]) -> Planes:
        x = self._stack([(patch.parts, patch.valid) for patch in patches])
        wider = [
            ((Stored.physical(self._present, patch.context[0]),), patch.context[1])
            for patch in patches
            if patch.context is not None
        ]
        return Planes(x, self._stack(wider) if wider else None)

    def _stack(self, pixels: Sequence[tuple[tuple[Stored, ...], NDArray[Any]]]) -> Tensor:
        shape = (len(pixels), self._channels, *pixels[0][1].shape)
        x = torch.zeros(shape, device=self._device)
        for planes, (parts, valid) in zip(x, pixels, strict=True):
            for part in parts:
                numbers = self._moved(part.values)
                for index, role in enumerate(part.roles):
                    plane = planes[self._slots[role]]
                    plane.copy_(numbers[index])
                    factor, shift = self._line(role, part.scale[index], part.offset[index])
                    if (factor, shift) != (1.0, 0.0):
                        plane.mul_(factor).add_(shift)
            self._finish(planes, valid)
        return x

    def _line(self, role: str, scale: float, offset: float) -> tuple[float, float]:
        """Return what a number is multiplied by, and what is added, to become what is seen."""
        how = self._normaliser
        if how.shift is None or how.scale is None:
            return scale, offset
        at = self._present.index(role)
        width = float(how.scale[at])
        return scale / width, (offset - float(how.shift[at])) / width

    def _finish(self, planes: Tensor, valid: NDArray[Any]) -> None:
        """Do the rest of what `Normaliser` does, in place."""
        how = self._normaliser
        slots = [self._slots[role] for role in self._present]
        # Asked of NumPy, for a GPU would be waited for.
        invalid = None if valid.all() else self._moved(~valid)
        if how.shift is None or how.scale is None:
            low, high = _extremes(planes[slots], invalid, some=bool(valid.any()))
            width = torch.clamp(high - low, min=1e-12)
        for slot in slots:
            plane = planes[slot]
            if how.shift is None or how.scale is None:
                plane.sub_(low).div_(width)
            if how.bounded:
                plane.clamp_(LOWEST, HIGHEST)
            if invalid is not None:
                plane.masked_fill_(invalid, 0)

    def _moved(self, values: NDArray[Any]) -> Tensor:
        numbers = torch.from_numpy(values)
        if self._stream is None:
            return numbers.to(self._device)
        return numbers.contiguous().pin_memory().to(self._device, non_blocking=True)


def _extremes(planes: Tensor, invalid: Tensor | None, *, some: bool) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest valid value of all planes together; 0 and 1 of none."""
    if not some:
        return planes.new_zeros(()), planes.new_ones(())
    if invalid is None:
        return planes.amin(), planes.amax()
    low = planes.masked_fill(invalid, float("inf")).amin()
    return low, planes.masked_fill(invalid, float("-inf")).amax()
