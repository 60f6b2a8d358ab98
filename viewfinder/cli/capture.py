"""`viewfinder capture`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def capture(
    folder: Annotated[Path, typer.Argument(help="Photos are added to images/ in this folder.")],
    source: Annotated[str, typer.Option(help="A camera's number, a video, a folder of images, or an address.")] = "0",
    count: Annotated[int, typer.Option(min=1, help="How many photos.")] = 30,
    every: Annotated[float, typer.Option(min=0, help="Seconds between two of them; of a video file, its own.")] = 0.5,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for a camera or an address.")] = 10.0,
) -> None:
    """Collect photos to label: FOLDER/images/<uuid>.jpg, from a camera, a video or an address.

    q in the terminal or Ctrl-C stops; what was written stays. None is ever overwritten.

    Example:

        viewfinder capture faces --source 0 --count 30 --every 0.5
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    from viewfinder.live.capture import open_source
    from viewfinder.live.keys import Keys
    from viewfinder.live.photos import take_photos

    opened = open_source(source, timeout)
    console, written = Console(stderr=True), 0
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn())
    try:
        with (
            Keys() as keys,
            Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
        ):
            task = bar.add_task(f"{opened.name}, q stops", total=count)
            enough = lambda: "q" in keys.pressed().lower()  # noqa: E731
            for _ in take_photos(opened, folder, count=count, every=every, stop=enough):
                written += 1
                bar.update(task, completed=written)
    except KeyboardInterrupt:
        pass
    finally:
        typer.echo(f"{written:,} photos written: {folder / 'images'}")
