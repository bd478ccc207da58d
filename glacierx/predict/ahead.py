"""Work that runs in a thread beside the one that needs it."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")


@contextmanager
def ahead(
    items: Iterable[Item], start: Callable[[], None] = lambda: None
) -> Iterator[Iterator[Item]]:
    """Make the next item in a thread while this one is used.

    One item is ready or being made, no more, so that memory stays bounded. Errors come where the
    item would have.

    Args:
        items: What is iterated over, in the thread alone.
        start: Called once in the thread before it begins.

    Yields:
        The items in their order.
    """
    source = iter(items)
    end = object()
    pool = ThreadPoolExecutor(1, initializer=start)

    def follow() -> Iterator[Item]:
        coming: Future[Any] = pool.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, source, end)
            yield item

    try:
        yield follow()
    finally:
        # A generator that is left half way lets go of its files in the thread that opened them.
        close = getattr(source, "close", None)
        if close is not None:
            pool.submit(close).result()
        pool.shutdown(wait=True)


@contextmanager
def behind(work: Callable[..., None]) -> Iterator[Callable[..., None]]:
    """Do something in a thread while the caller goes on; at most one call waits.

    Yields:
        A function that takes what *work* takes. An error of one call comes with the next one, or
        at the end.
    """
    pool = ThreadPoolExecutor(1)
    last: list[Future[None]] = []

    def hand_over(*arguments: Any) -> None:
        if last:
            last.pop().result()
        last.append(pool.submit(work, *arguments))

    try:
        yield hand_over
        if last:
            last.pop().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
