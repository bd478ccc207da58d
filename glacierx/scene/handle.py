"""What holds a file open."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Handle(ABC):
    """An open file, to be used in a with statement or closed by hand."""

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
