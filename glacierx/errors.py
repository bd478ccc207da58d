"""Every error a user can meet, and its exit code.

::

    GlacierxError                        1  a bug if raised by itself
    ├── OptionError      (ValueError)    2  a tunable outside its range, an unknown name
    │   └── ResumeError                     finished rows that are of another run
    ├── ExtraError       (ImportError)   2  a library that only some work needs is not installed
    ├── SceneError       (OSError)       4  a file missing, unreadable or not what it should be
    │   └── MissingBandError                a role that the scene does not have
    ├── GridError        (ValueError)    4  a CRS or a grid that does not fit
    ├── OutlineError     (ValueError)    4  a vector layer that cannot be used
    ├── OutputError      (OSError)       5  a result that cannot be written
    ├── ModelError       (ValueError)    6  a model missing, unsafe or inconsistent
    └── CheckError       (ValueError)    8  a score below what was asked for, a check that failed

The command line also ends with 7 when memory runs out, 130 after an interrupt and 143 after a
termination signal.
"""

from collections.abc import Sequence

OUT_OF_MEMORY = 7
INTERRUPTED = 130
TERMINATED = 143


class GlacierxError(Exception):
    """Anything that a user can put right; its text says what was found, expected and to do."""

    exit_code = 1


class OptionError(GlacierxError, ValueError):
    """An option is outside its range or names something unknown."""

    exit_code = 2


class ResumeError(OptionError):
    """A run cannot go on from the rows that are finished: they are of another."""


class ExtraError(GlacierxError, ImportError):
    """A library is missing that an extra of glacierx installs."""

    exit_code = 2


class SceneError(GlacierxError, OSError):
    """A raster or vector file is missing, unreadable or ambiguous."""

    exit_code = 4


class MissingBandError(SceneError):
    """A role was asked for that the scene does not have.

    Attributes:
        role: The role asked for.
        available: The roles that the scene has.
    """

    def __init__(self, role: str, available: Sequence[str], scene: str, reason: str = "") -> None:
        self.role = role
        self.available = tuple(available)
        has = ", ".join(available) or "none"
        needed = f" that {reason} needs" if reason else ""
        heights = ", give --dem FILE" if role in ("elevation", "slope") else ""
        super().__init__(
            f"{scene} has no {role!r} band{needed}: it has {has}. "
            f"Name it with --bands {role}=NUMBER{heights}, or choose another --model."
        )


class GridError(GlacierxError, ValueError):
    """Rasters do not share a place, or a raster has none."""

    exit_code = 4


class OutlineError(GlacierxError, ValueError):
    """A vector layer is missing, has the wrong columns or the wrong geometry."""

    exit_code = 4


class OutputError(GlacierxError, OSError):
    """A result exists already or cannot be written."""

    exit_code = 5


class ModelError(GlacierxError, ValueError):
    """A model file is missing, unsafe, or its card and weights disagree."""

    exit_code = 6


class CheckError(GlacierxError, ValueError):
    """A score is not as good as was asked for, or a machine or a result has a fault."""

    exit_code = 8


class GlacierxWarning(UserWarning):
    """The result is right, but something about it may surprise."""
