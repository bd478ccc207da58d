"""Every error a user can meet, and its exit code.

::

    GlacierxError                        1  a bug if raised by itself
    ├── OptionError      (ValueError)    2  a tunable outside its range, an unknown name
    │   └── ResumeError                     finished rows that are of another run
    ├── ExtraError       (ImportError)   2  a library that only some work needs is not installed
    ├── BatchError                       3  some scenes of a batch failed
    ├── SceneError       (OSError)       4  a file missing, unreadable or not what it should be
    │   └── MissingBandError                a role that the scene does not have
    ├── GridError        (ValueError)    4  a CRS or a grid that does not fit
    ├── OutlineError     (ValueError)    4  a vector layer that cannot be used
    ├── OutputError      (OSError)       5  a result that cannot be written
    │   └── BusyError                       another run is writing it
    ├── ModelError       (ValueError)    6  a model missing, unsafe or inconsistent
    └── CheckError       (ValueError)    8  a score below what was asked for, a check that failed

The command line also ends with 7 when memory runs out, 130 after an interrupt and 143 after a
termination signal.
"""

from collections.abc import Sequence

OUT_OF_MEMORY = 7
INTERRUPTED = 130
TERMINATED = 143


MEMORY_ADVICE = (
    "Memory ran out. Where a network runs use a smaller --patch-px or --batch, or --device cpu; "
    "else a smaller region."
)


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


class BatchError(GlacierxError):
    """Some scenes of a batch failed; the others are done."""

    exit_code = 3


class SceneError(GlacierxError, OSError):
    """A raster or vector file is missing, unreadable or ambiguous."""

    exit_code = 4


class MissingBandError(SceneError):
    """A role was asked for that the scene does not have.

    Attributes:
        role: The role asked for.
        available: The roles that the scene has.
    """

    def __init__(
        self,
        role: str,
        available: Sequence[str],
        scene: str,
        reason: str = "",
        advice: str = "",
    ) -> None:
        self.role = role
        self.available = tuple(available)
        has = ", ".join(available) or "none"
        needed = f" that {reason} needs" if reason else ""
        advice = advice or f"Name it with --bands {role}=NUMBER"
        super().__init__(
            f"{scene} has no {role!r} band{needed}: it has {has}. "
            f"{advice}, or choose another --model."
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


class BusyError(OutputError):
    """Another run is writing the same result."""


class ModelError(GlacierxError, ValueError):
    """A model file is missing, unsafe, or its card and weights disagree."""

    exit_code = 6


class CheckError(GlacierxError, ValueError):
    """A score is not as good as was asked for, or a machine or a result has a fault."""

    exit_code = 8


class GlacierxWarning(UserWarning):
    """The result is right, but something about it may surprise."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out, without importing the libraries that have names for it."""
    # torch.OutOfMemoryError and NumPy's _ArrayMemoryError.
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
