"""A key pressed in the terminal, noticed while something else runs."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

__all__ = ["Keys"]


class Keys:
    """Reads single keys without Enter; there are none without a terminal, or in its background."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None
        self._there = _listens()

    def __enter__(self) -> Keys:
        if self._there and sys.platform != "win32":
            import termios
            import tty

            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None and sys.platform != "win32":
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def pressed(self) -> str:
        """Return the keys that were pressed since the last call."""
        if not self._there:
            return ""
        keys = ""
        if sys.platform == "win32":
            import msvcrt

            while msvcrt.kbhit():
                keys += msvcrt.getwch()
            return keys
        import os
        import select

        while select.select([sys.stdin], [], [], 0)[0] and (key := os.read(sys.stdin.fileno(), 64)):
            keys += key.decode(errors="replace")
        return keys


def _listens() -> bool:
    """Whether keys come here; a process in the background that asks a terminal for them would be halted."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    if sys.platform == "win32":
        return True
    import os

    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # a terminal, but not the one that it was started from
        return True
