"""Pixels in the numbers that a file holds, and how they become physical values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Stored:
    """Roles of one file, of one type.

    Attributes:
        roles: What the planes measure.
        values: Their pixels (roles, rows, columns); anything where they are not valid.
        scale: Physical value = scale x number + offset, for each role.
        offset: See *scale*.
    """

    roles: tuple[str, ...]
    values: NDArray[Any]
    scale: tuple[float, ...]
    offset: tuple[float, ...]

    @classmethod
    def physical(cls, roles: Sequence[str], values: NDArray[Any]) -> "Stored":
        """Return planes that hold physical values already."""
        return cls(tuple(roles), values, (1.0,) * len(roles), (0.0,) * len(roles))

    def only(self, roles: Sequence[str]) -> "Stored":
        """Return those planes whose role is among these."""
        at = [index for index, role in enumerate(self.roles) if role in roles]
        if len(at) == len(self.roles):
            return self
        return Stored(
            tuple(self.roles[index] for index in at),
            self.values[at],
            tuple(self.scale[index] for index in at),
            tuple(self.offset[index] for index in at),
        )

    def plane(self, index: int) -> NDArray[np.float32]:
        """Return a plane (rows, columns) in physical units."""
        return self._physical(index, self.values[index])

    def pick(self, index: int, chosen: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return pixels of a plane by their numbers, row by row, in physical units (pixels)."""
        return self._physical(index, np.take(self.values[index], chosen))

    def _physical(self, index: int, values: NDArray[Any]) -> NDArray[np.float32]:
        real: NDArray[np.float32] = values.astype(np.float32)
        if (self.scale[index], self.offset[index]) != (1.0, 0.0):
            real *= np.float32(self.scale[index])
            real += np.float32(self.offset[index])
        return real
