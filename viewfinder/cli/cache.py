"""`viewfinder cache`: what viewfinder keeps on disk so that data is parsed and decoded once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from viewfinder.data.store import Entry

__all__ = ["cache"]


def cache(clear: Annotated[bool, typer.Option("--clear", help="Delete all of it.")] = False) -> None:
    """Show, or clear, what is kept so that data is read once.

    Nothing in it is needed: what is deleted is made again at the next reading. The environment variable
    VIEWFINDER_CACHE names another folder.

    Example:

        viewfinder cache --clear
    """
    from viewfinder.data import store

    if clear:
        typer.echo(f"{store.clear() / 1e6:,.1f} MB deleted from {store.cache_folder()}")
        return
    _show(store.entries(), str(store.cache_folder()))


def _show(entries: Sequence[Entry], folder: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    table.add_column("made from", overflow="fold")
    table.add_column("what", no_wrap=True)
    for name in ("images", "MB", "last used"):
        table.add_column(name, justify="right", no_wrap=True)
    for entry in entries:
        used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d")
        images = f"{entry.shape[0]:,}" if entry.shape else ""
        table.add_row(Path(entry.source).name, entry.kind, images, f"{entry.size / 1e6:,.1f}", used)
    typer.echo(f"{sum(entry.size for entry in entries) / 1e6:,.1f} MB in {folder}")
    if entries:
        Console().print(table)
