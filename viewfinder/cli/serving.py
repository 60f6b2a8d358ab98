"""The page that `live` and `capture` show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from viewfinder.live.page import Page

__all__ = ["served"]


@contextmanager
def served(title: str, host: str, port: int | None, open_page: bool) -> Iterator[Page]:
    """Give a page that runs, and say on standard error where it is."""
    from viewfinder.live.page import Page

    with Page(title, host, port) as page:
        typer.echo(f"open {page.address}  (Ctrl-C stops)", err=True)
        if open_page:
            typer.launch(page.address)
        yield page
