"""Names of the classes that a map tells apart, and which of them are glacier; needs no library."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from glacierx.errors import OptionError

GLACIER = "glacier"
BACKGROUND = "background"
LONGEST, MOST = 40, 100


@dataclass(frozen=True)
class Classes:
    """The classes of a model or a map.

    Attributes:
        names: Their names, in the order of their numbers from 0.
        ice: Those that are glacier together.
    """

    names: tuple[str, ...] = (GLACIER,)
    ice: tuple[str, ...] = (GLACIER,)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the classes that are glacier."""
        return tuple(self.names.index(name) for name in self.ice)

    @property
    def elsewhere(self) -> str | None:
        """The class of ground that no label speaks of; None where there is no telling."""
        if BACKGROUND in self.names and BACKGROUND not in self.ice:
            return BACKGROUND
        others = [name for name in self.names if name not in self.ice]
        return others[0] if len(others) == 1 else None

    def problem(self) -> str:
        """Say why these are no classes of a model; nothing where they are."""
        names, ice = self.names, self.ice
        if not all(isinstance(name, str) for name in (*names, *ice)) or len(set(names)) < len(
            names
        ):
            return "its classes are not names, each once"
        if ice == (GLACIER,) and GLACIER not in names:
            return "its classes do not hold 'glacier', and no ice is named"
        if len(names) > MOST:
            return f"it has more than {MOST} classes"
        if not ice or len(set(ice)) < len(ice) or not set(ice) <= set(names):
            return "its ice is not among its classes, each once"
        if len(names) > 1 and len(ice) == len(names):
            return "all its classes are ice, and none is other ground"
        keys = {key_of(name) for name in names}
        if len(names) > 1 and (
            len(keys) < len(names)
            or {"", "unc"} & keys
            or any(len(name) > LONGEST or set(name) & set(",;=+") for name in names)
        ):
            return "its classes cannot be told apart as columns"
        return ""

    def chosen(self, text: str | None, where: str) -> "Classes":
        """Return the same classes with others taken for glacier.

        Args:
            text: What ``--classes`` says: names, parted by commas; None changes nothing.
            where: What holds the classes.

        Raises:
            OptionError: A name is none of them, or is there twice.
        """
        if text is None:
            return self
        asked = tuple(name.strip() for name in text.split(","))
        unknown = [name for name in asked if name not in self.names]
        if unknown or len(set(asked)) < len(asked):
            raise OptionError(
                f"--classes is {text[:60]!r}, and {where} holds the classes "
                f"{', '.join(self.names)}. Give some of them, parted by commas, each once."
            )
        return Classes(self.names, asked)


def key_of(name: str) -> str:
    """Return the name of a class as part of a column's: small letters, digits and _."""
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")


def parse_legend(text: str) -> Mapping[str, str]:
    """Read what values stand for: ``0=background,1=debris,2=ice``, parted by , or ;.

    Raises:
        OptionError: It is no such list.
    """
    found: dict[str, str] = {}
    for part in re.split("[,;]", text):
        value, equals, name = (one.strip() for one in part.partition("="))
        if not equals or not value or not name or value in found:
            raise OptionError(
                f"The legend {text[:60]!r} is no list of values and classes. Give one such as "
                "0=background,1=debris,2=ice, each value once."
            )
        found[value] = name
    return found
