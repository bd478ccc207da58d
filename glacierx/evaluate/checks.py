"""Scores that must be reached."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from glacierx.errors import CheckError, OptionError
from glacierx.evaluate.scores import Scores, is_better_low
from glacierx.evaluate.table import TITLES, number
from glacierx.evaluate.units import tolerances
from glacierx.options import EvaluateOptions


@dataclass(frozen=True)
class Limit:
    """A score and what it may be.

    Attributes:
        name: Name of the score.
        bound: The least, or the most, that will do.
        over: True if more is too much.
    """

    name: str
    bound: float
    over: bool = False

    def broken_by(self, value: float) -> bool:
        """Tell whether a score fails; one that is not defined does."""
        if math.isnan(value):
            return True
        return abs(value) > self.bound if self.over else value < self.bound


def parse_limits(
    texts: Sequence[str], options: EvaluateOptions, *, over: bool = False
) -> list[Limit]:
    """Read ``iou=0.9,f1=0.95``.

    Raises:
        OptionError: A name is no score, has no number, or is better the other way.
    """
    flag = "--fail-over" if over else "--fail-under"
    known = [*TITLES, *(name for name in tolerances(options) if name not in TITLES)]
    fitting = ", ".join(name for name in known if is_better_low(name) == over)
    limits = []
    items = [item for item in ",".join(texts).replace(" ", "").split(",") if item]
    for item in items:
        name, _, text = item.partition("=")
        try:
            bound = float(text)
        except ValueError:
            bound = math.nan
        if name not in known or not math.isfinite(bound):
            raise OptionError(f"{flag} {item!r} is not NAME=NUMBER. It takes: {fitting}.")
        if is_better_low(name) != over:
            other = "--fail-under" if over else "--fail-over"
            raise OptionError(
                f"{flag} {item!r}: {name} is better the {'higher' if over else 'lower'} it is. "
                f"Use {other} {item}."
            )
        if over and bound < 0:
            raise OptionError(
                f"{flag} {item!r} can never hold: it is the size that counts, without a sign."
            )
        limits.append(Limit(name, bound, over))
    if texts and not limits:
        raise OptionError(f"{flag} names no score. Give NAME=NUMBER, of: {fitting}.")
    return limits


def check_scores(scores: Scores, limits: Sequence[Limit]) -> None:
    """Fail where a score is beyond its limit.

    Raises:
        CheckError: One or more are.
    """
    broken = []
    for limit in limits:
        value = scores.values.get(limit.name, math.nan)
        if limit.broken_by(value):
            side = "above" if limit.over else "below"
            what = number(limit.name, value)
            if math.isnan(value):
                reason = scores.reasons.get(limit.name, "this prediction has none")
                broken.append(f"{limit.name} is not defined ({reason})")
            else:
                broken.append(f"{limit.name} is {what}, {side} {limit.bound:g}")
    if broken:
        raise CheckError(f"Not good enough: {'; '.join(broken)}.")
