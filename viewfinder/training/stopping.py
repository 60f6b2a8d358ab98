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

    Nothing is caught outside the main thread.

    Args:
        heard: is called at the first one, in a thread of its own, whatever is being done; what it raises is left aside.
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
            _tell(heard)

    for kind in before:
        signal.signal(kind, note)
    try:
        yield lambda: bool(asked)
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _tell(heard: Callable[[], None]) -> None:
    """Call it beside the training, which may hold what it needs, and must be saved even where it fails."""

    def told() -> None:
        with contextlib.suppress(BaseException):
            heard()

    thread = threading.Thread(target=told, name="stopping", daemon=True)
    thread.start()
    thread.join(timeout=0.5)
