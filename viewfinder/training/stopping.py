"""How a training hears that it shall stop: the first request lets it save, and is answered at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["asked_to_stop"]


@contextlib.contextmanager
def asked_to_stop(heard: Callable[[], None], *, patient: bool) -> Iterator[Callable[[], bool]]:
    """Catch the first Ctrl-C or termination, so that the step can be finished; a second one stops at once.

    Args:
        heard: is called at the first one, whatever is being done.
        patient: a second one does nothing either: a launcher passes on what its processes have heard already.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}

    def note(kind: int, _frame: Any) -> None:
        asked.append(kind)
        if not patient:
            signal.signal(kind, signal.default_int_handler)
        if len(asked) == 1:
            with contextlib.suppress(RuntimeError):  # amid a writing to the stream on which this would be told
                heard()

    for kind in before:
        signal.signal(kind, note)
    try:
        yield lambda: bool(asked)
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
