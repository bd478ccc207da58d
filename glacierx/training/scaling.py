"""Means and standard deviations of what a network learns from, for its card."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from glacierx.errors import ModelError
from glacierx.predict.card import Card
from glacierx.predict.normalise import DIRECTED, FITTED
from glacierx.training.samples import INVALID, Labels, Source, Values
from glacierx.training.share import Wrapped

ROWS = 512
# A plane that is the same everywhere is left as it is.
LEAST_STD = 1e-9

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Rescaled(Wrapped):
    """A labelled scene whose planes are scaled once more.

    Attributes:
        shift: Subtracted from each of its planes (roles).
        scale: What the difference is divided by (roles).
    """

    shift: Numbers
    scale: Numbers

    @property
    def part(self) -> str:
        """What it is for."""
        return self.whole.part

    def read(self, top: int, left: int, rows: int, columns: int) -> tuple[Values, Labels]:
        """Read a window; see `Source.read`."""
        values, label = self.whole.read(top, left, rows, columns)
        scaled = (values - self.shift[:, None, None]) / self.scale[:, None, None]
        # A place without data is 0 in every plane, which is the mean.
        return np.where(label == INVALID, 0.0, scaled).astype(np.float32), label


def needs_fitting(card: Card) -> bool:
    """Tell whether the scaling of a card is still to be found."""
    return card.normalisation.kind == FITTED


def scaled_by(card: Card, mean: Numbers, std: Numbers) -> Card:
    """Return a card with means and standard deviations, one for each of its roles."""
    first, second = (tuple(float(f"{value:.9g}") for value in values) for values in (mean, std))
    scaling = replace(card.normalisation, kind="fixed", mean=first, std=second)
    return replace(card, normalisation=scaling)


def moments_of(sources: Sequence[Source], roles: Sequence[str]) -> tuple[Numbers, Numbers]:
    """Find the mean and the standard deviation of each role over the pixels whose label is known.

    Args:
        sources: Labelled scenes; read a few rows at a time.
        roles: Roles; one that no scene has gets 0 and 1.

    Returns:
        Means and standard deviations (roles).
    """
    count, total, squares = np.zeros((3, len(roles)))
    for source in sources:
        at = [list(roles).index(role) for role in source.roles]
        rows, columns = source.shape
        for top in range(0, rows, ROWS):
            values, label = source.read(top, 0, min(ROWS, rows - top), columns)
            known = values[:, label < INVALID].astype(np.float64)
            count[at] += known.shape[1]
            total[at] += known.sum(axis=1)
            squares[at] += (known**2).sum(axis=1)
    return moments(count, total, squares, roles)


def moments(
    count: Numbers, total: Numbers, squares: Numbers, roles: Sequence[str]
) -> tuple[Numbers, Numbers]:
    """Return means and standard deviations from sums; 0 and 1 where nothing was counted.

    Of parts of a direction the mean is 0, and the deviation that of all of them together from 0.
    """
    directed = np.isin(roles, DIRECTED)
    if directed.any():
        total = np.where(directed, 0.0, total)
        squares = np.where(directed, squares[directed].sum(), squares)
        count = np.where(directed, count[directed].sum(), count)
    some = np.maximum(count, 1)
    mean = total / some
    std = np.sqrt(np.maximum(squares / some - mean**2, 0))
    return mean, np.where(std > LEAST_STD, std, 1.0)


def fit_scaling(parts: Sequence[Source], card: Card) -> tuple[list[Source], Card]:
    """Scale scenes by what those for training hold, which is what a network learns from.

    Args:
        parts: Scenes, all scaled in the way of *card*.
        card: A card with means and standard deviations of some kind: `fixed`.

    Returns:
        The scenes scaled anew, and the card with the means and standard deviations of both
        scalings together.

    Raises:
        ModelError: No pixel for training has data.
    """
    roles = card.roles
    taught = [part for part in parts if part.part == "train"]
    mean, std = moments_of(taught, roles)
    if not np.isfinite([mean, std]).all():
        raise ModelError("The training scenes hold values that are no numbers. Check their nodata.")
    before = card.normalisation
    first, second = np.array(before.mean), np.array(before.std)
    scaled: list[Source] = []
    for part in parts:
        at = [roles.index(role) for role in part.roles]
        scaled.append(Rescaled(part, mean[at], std[at]))
    return scaled, scaled_by(card, first + second * mean, second * std)
