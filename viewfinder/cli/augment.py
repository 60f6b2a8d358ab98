"""`viewfinder augment`: varied copies of labelled images, on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.data.findings import counted

if TYPE_CHECKING:
    from viewfinder.config import Augment
    from viewfinder.data.dataset import Dataset

__all__ = ["augment"]


def augment(
    source: Annotated[str, typer.Argument(help="Labelled images, in a folder or a zip.")],
    out: Annotated[Path, typer.Argument(help="The folder to write; it must not exist.")],
    times: Annotated[int, typer.Option(min=1, max=999, help="Copies of each image.")] = 60,
    crop: Annotated[
        int | None,
        typer.Option(
            min=0, help="Side of the random square that is cut out, in pixels; 0: all; by default the recipe's."
        ),
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="The name of a recipe, or the path of a TOML file, whose augmentation it is.")
    ] = "seed-facetracker",
    change: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value of the recipe, such as augment.flip=0.")
    ] = None,
    all_parts: Annotated[bool, typer.Option("--all", help="Vary validation and test images too.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Which copies.")] = 42,
) -> None:
    """Write varied copies of training images with their labels, in the format that they have.

    Training varies images by itself, anew each time; this is for other tools, and to look at. Images for validation and
    testing are copied as they are, unless --all is given.

    Example:

        viewfinder augment faces-split aug --times 60 --crop 450
    """
    from viewfinder.augment import TRAINING_ONLY
    from viewfinder.config import load_recipe, parse_changes
    from viewfinder.data.joining import in_folders
    from viewfinder.errors import DataError

    changes = parse_changes(change or []) | ({} if crop is None else {"augment.crop": str(crop)})
    wanted = load_recipe(recipe, changes).augment
    if out.exists():
        raise DataError("exists", where=out, hint="name a new folder")
    dataset = in_folders(source, "`viewfinder train` varies its images by itself")
    count = _written(dataset, wanted, out, times=times, seed=seed, every_part=all_parts)
    more = " and ".join(name for name in TRAINING_ONLY if getattr(wanted, name))
    if more:
        typer.echo(f"viewfinder: {more} of {recipe}: in training only", err=True)
    if dataset.splits is None:
        hint = "copies of one image should not be trained on and tested on; split first, with `viewfinder split`"
        typer.echo(f"viewfinder: careful: {source} has no splits: {hint}", err=True)
    typer.echo(f"{counted(count, 'image')} of {len(dataset):,}: {out}")


def _written(dataset: Dataset, wanted: Augment, out: Path, *, times: int, seed: int, every_part: bool) -> int:
    """Write the copies, shown as they are made, and return how many images there are then."""
    from rich.console import Console
    from rich.progress import Progress

    from viewfinder.augment.copies import varied
    from viewfinder.data.reading import write

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("varying", total=None)
        copies = varied(dataset, wanted, times, seed, every_part=every_part, progress=lambda: bar.advance(task))
        bar.update(task, total=len(copies))
        write(copies, out, dataset.format)
    return len(copies)
