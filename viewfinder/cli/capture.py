"""`viewfinder capture`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.serving import served
from viewfinder.cli.stopping import until_stopped
from viewfinder.data.findings import counted
from viewfinder.errors import ViewfinderError

if TYPE_CHECKING:
    from viewfinder.live.capture import Frame
    from viewfinder.live.keys import Keys


def capture(
    folder: Annotated[Path, typer.Argument(help="Photos are added to images/ in this folder.")],
    source: Annotated[str, typer.Option(help="A camera's number, a video, a folder of images, or an address.")] = "0",
    count: Annotated[int, typer.Option(min=1, help="How many photos.")] = 30,
    every: Annotated[
        float, typer.Option(min=0, help="Seconds between two of them: of the video in a file, of the clock else.")
    ] = 0.5,
    page: Annotated[bool, typer.Option(help="Show what the camera sees in a page of this machine.")] = False,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The page's port, 0 for any; by default 8765 if it is free.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for a camera or an address.")] = 10.0,
) -> None:
    """Collect photos to label: FOLDER/images/<uuid>.jpg, from a camera, a video or an address.

    q in the terminal or Ctrl-C stops; what was written stays. None is ever overwritten.

    Example:

        viewfinder capture faces --source 0 --count 30 --every 0.5
    """
    from viewfinder.live.capture import open_source
    from viewfinder.live.keys import Keys
    from viewfinder.live.photos import take_photos

    opened = open_source(source, timeout)
    paths = list[Path]()
    with until_stopped(), ExitStack() as stack:
        shown = stack.enter_context(served(f"photos of {opened.name}", "127.0.0.1", port, open_page)) if page else None
        keys = stack.enter_context(Keys())
        progress = stack.enter_context(_bar(f"{opened.name}, q stops", count))

        def look(frame: Frame) -> None:
            if shown is not None:
                told = f"{len(paths):,} of {count:,} photos"
                shown.show(frame.image, {"figures": [("time", f"{frame.time:.0f} s")], "text": told, "things": []})

        try:
            stop = partial(_asked, keys)
            for path in take_photos(opened, folder, count=count, every=every, look=look, stop=stop):
                paths.append(path)
                progress(len(paths))
        except KeyboardInterrupt:
            pass
        except (OSError, ViewfinderError):
            if paths:
                _tell(paths, folder)
            raise
    _tell(paths, folder)


def _asked(keys: Keys) -> bool:
    return "q" in keys.pressed().lower()


@contextmanager
def _bar(what: str, count: int) -> Iterator[Callable[[int], None]]:
    """Give a function that shows on a terminal how many of them are done."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    console, columns = Console(stderr=True), (*Progress.get_default_columns()[:2], MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=count)
        yield lambda done: bar.update(task, completed=done)


def _tell(paths: list[Path], folder: Path) -> None:
    typer.echo(f"{counted(len(paths), 'photo')} written: {folder / 'images'}")
