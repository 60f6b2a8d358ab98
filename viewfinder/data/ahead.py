"""Work that threads do ahead of whoever asks for its results.

OpenCV, ONNX Runtime, hashing and reading let go of Python's lock, so that threads need not wait for each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_PIECES = 2
"""Pieces of work a thread that may be under way or wait to be taken."""


def ahead(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    begin: Callable[[], None] | None = None,
) -> Generator[Result, None, None]:
    """Yield `work(item)` for each item, in the order of the items, done by threads that keep a few steps ahead.

    The threads end with the generator: close it to stop early. What `work` raises comes in the place of its result.

    Args:
        begin: called in each thread before its first work.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="ahead", initializer=begin)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > _PIECES * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
