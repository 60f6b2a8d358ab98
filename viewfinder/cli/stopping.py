"""How a verb that runs until it is stopped ends in order, whoever stops it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

__all__ = ["undisturbed", "until_stopped"]

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_ASKS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
"""Ctrl-C, a service's end, a terminal or SSH connection that is gone, Windows' Ctrl-Break; no system has all."""


@contextmanager
def until_stopped() -> Iterator[None]:
    """Let whatever asks to end raise KeyboardInterrupt, as Ctrl-C does, so that files are finished."""
    with _heard_by(signal.default_int_handler):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Do this to its end, and only then obey what asked to end meanwhile; say at once that it was heard."""
    asked: list[int] = []

    def note(number: int, _: Any) -> None:
        if not asked:
            typer.echo("\nviewfinder: stopping in a moment", err=True)
        asked.append(number)

    with _heard_by(note):
        yield
    if asked:
        raise KeyboardInterrupt


@contextmanager
def _heard_by(handler: Callable[[int, Any], Any]) -> Iterator[None]:
    """Give signals to a handler for a while; under nohup, a terminal may go all the same."""
    before = {number: signal.getsignal(number) for number in _ASKS}
    heard = {number: old for number, old in before.items() if number == signal.SIGINT or old is not signal.SIG_IGN}
    for number in heard:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in heard.items():
            signal.signal(number, old)
