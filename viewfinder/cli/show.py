"""`viewfinder show`: pictures of data, and of what augmentation makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.errors import InputError

if TYPE_CHECKING:
    from viewfinder.config import Recipe
    from viewfinder.data.dataset import Dataset

__all__ = ["show"]

PLAIN, BESIDE = 40, 8
SUFFIXES = (".png", ".jpg", ".webp")


def show(
    source: Annotated[str, typer.Argument(help="A download, a folder, a csv.")],
    out: Annotated[Path, typer.Option(help="The picture to write; charts are written beside it.")] = Path("sheet.png"),
    part: Annotated[str, typer.Option(help="train or test.")] = "train",
    augment: Annotated[bool, typer.Option("--augment", help="Each image beside six augmented versions.")] = False,
    recipe: Annotated[
        str | None, typer.Option(help="With --augment: whose augmentation; by default that of ours which fits.")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value of the recipe, such as augment.rotate=30.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, max=1000, help="How many images.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which images.")] = 42,
) -> None:
    """Draw a contact sheet with targets, and charts of class counts or missing points; pictures are overwritten.

    Example:

        viewfinder show facial-keypoints-detection.zip --augment --out sheet.png
    """
    if out.suffix.lower() not in SUFFIXES:
        raise InputError("is not the name of a picture", where=out, hint=f"let it end in {', '.join(SUFFIXES)}")
    from viewfinder.data.reading import read
    from viewfinder.show.charts import charts
    from viewfinder.show.pictures import rendered, save
    from viewfinder.show.sheet import sheet

    dataset = read(source, part)
    if augment or recipe or change:
        wanted = _recipe(dataset, recipe, change or [])
        picture = sheet(dataset, count or BESIDE, seed, wanted.augment, wanted.data)
    else:
        picture = sheet(dataset, count or PLAIN, seed)
    pictures = {out: picture}
    pictures |= {out.with_name(f"{out.stem}-{name}.png"): rendered(chart) for name, chart in charts(dataset).items()}
    for path, image in pictures.items():
        save(image, path)
        typer.echo(path)


def _recipe(dataset: Dataset, name: str | None, changes: list[str]) -> Recipe:
    """Return the recipe that was asked for, else that of ours which fits."""
    from viewfinder.config import fitting_recipe, load_recipe, parse_changes

    chosen = name or fitting_recipe(dataset.task, dataset.images[0].shape[2])
    return load_recipe(chosen, parse_changes(changes))
