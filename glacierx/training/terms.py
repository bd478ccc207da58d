"""What ``--loss`` may say: names of losses and weighted sums of them; needs no torch."""

from glacierx.errors import OptionError

TERMS = ("bce", "ce", "weighted-bce", "weighted-ce", "focal", "dice", "log-jaccard")
"""Losses that a sum is made of. Entropies are those of the head: of a sigmoid for one class, of a
softmax for several; ``bce`` and ``ce`` are two names of one."""

NAMED = {
    "bce-dice": ((0.5, "bce"), (0.5, "dice")),
    "weighted-bce-dice": ((0.5, "weighted-bce"), (0.5, "dice")),
    "focal-dice": ((0.5, "focal"), (0.5, "dice")),
    "ce-dice": ((0.5, "ce"), (0.5, "dice")),
    "weighted-ce-dice": ((0.5, "weighted-ce"), (0.5, "dice")),
    "bce-log-jaccard": ((1.0, "bce"), (1.0, "log-jaccard")),
}
"""Sums that have a name. That with Dice is the mean of eq. 6 of Chu et al. (2022), that with the
Jaccard index the one of Cheng et al. (2021), which adds both whole."""

MOST_TERMS = 8

Sum = tuple[tuple[float, str], ...]


def parse_loss(text: str) -> Sum:
    """Read ``NAME[+NAME...]``, each with ``W*`` before it where it does not count once.

    Args:
        text: What ``--loss`` says, such as ``bce-dice`` or ``0.7*focal+0.3*dice``.

    Returns:
        Weights and names of `TERMS`.

    Raises:
        OptionError: It is no such sum.
    """
    found: list[tuple[float, str]] = []
    for part in text.split("+"):
        weight, star, name = part.strip().rpartition("*")
        name = name.strip()
        try:
            times = float(weight) if star else 1.0
        except ValueError:
            times = 0.0
        if name not in (*TERMS, *NAMED) or not 0 < times <= 1000:
            raise OptionError(
                f"--loss is {text[:60]!r}. It takes sums, such as 0.7*focal+0.3*dice, of: "
                f"{', '.join((*TERMS, *NAMED))}."
            )
        found += [(times * share, term) for share, term in NAMED.get(name, ((1.0, name),))]
    if len(found) > MOST_TERMS:
        raise OptionError(f"--loss adds {len(found)} losses. Give at most {MOST_TERMS}.")
    return tuple(found)


def parse_weights(text: str | None) -> tuple[float, ...]:
    """Read the weights of classes, ``1,4,2``; none where none are given.

    Raises:
        OptionError: They are no numbers above 0.
    """
    if text is None:
        return ()
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < one <= 1e6 for one in found):
        raise OptionError(
            f"--class-weights is {text[:60]!r}. It takes numbers above 0, one for each class, "
            "such as 1,4,2."
        )
    return found
