"""What is wrong with a command line, told in one line as everything else is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from viewfinder.errors import InputError

__all__ = ["Verb", "Verbs"]

UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])
"""Click's error for a wrong command line; Typer brings a Click of its own, or uses the one that is installed."""

_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+", re.ASCII | re.IGNORECASE)
"""What is left of the beginning of a URL in a path."""
_UNREADABLE = re.compile(r": \w+ ['\"](.+)['\"] is not readable$")
_VALUE = re.compile(r"Invalid value for (.+?): (.+)", re.DOTALL)
_GUESS = re.compile(r"(.+?)\.? \(?(?:Did you mean|Possible options:) (.+?)[?)]")


class Verbs(TyperGroup):
    """All verbs, whose usage errors are ours instead of Click's, which fill five lines."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args:  # shows the help, as an error of Click's
            return super().parse_args(ctx, args)
        with _as_ours(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with _as_ours(ctx):
            return super().invoke(ctx)


class Verb(TyperCommand):
    """A verb, whose paths are on this machine but for those of data, which are texts: they may be URLs.

    Earlier versions of Typer keep a path as a text until the verb is called, and call its type TyperPath.
    """

    def invoke(self, ctx: Any) -> Any:
        for one in self.params:
            value = ctx.params.get(one.name)
            if isinstance(value, Path) or (value and type(getattr(one, "type", None)).__name__ == "TyperPath"):
                _refuse_url(Path(value).as_posix())
        return super().invoke(ctx)


def _refuse_url(path: str) -> None:
    if _URL.match(path):
        url = _URL.sub(r"\1://", path)
        raise InputError("is a URL, which only data that is read may have", where=url, hint="name a path")


@contextmanager
def _as_ours(ctx: Any) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        raise _ours(error, ctx) from None


def _ours(error: typer.BadParameter, ctx: Any) -> InputError:
    said = error.format_message().rstrip(".")
    if unreadable := _UNREADABLE.search(said):
        return InputError("permission denied", where=unreadable[1], hint="see that you may read it")
    if value := _VALUE.fullmatch(said):
        return InputError(_small(value[2]), where=value[1].replace("'", ""))
    if guess := _GUESS.fullmatch(said):
        return InputError(_small(guess[1]), hint=f"did you mean {guess[2]}?")
    # an option without its value is an error that does not know its command
    command = error.ctx.command_path if error.ctx else f"{ctx.command_path} {ctx.invoked_subcommand or ''}".strip()
    return InputError(_small(said), hint=f"see `{command} --help`")


def _small(said: str) -> str:
    return said[:1].lower() + said[1:]
