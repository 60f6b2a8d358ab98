"""`viewfinder convert`: the same images and labels, as another tool wants them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from viewfinder.data.findings import counted
from viewfinder.errors import InputError, nearest

__all__ = ["convert"]

FORMATS = ("coco", "voc", "yolo", "labelme")


def convert(
    source: Annotated[str, typer.Argument(help="Labelled images, in a folder or a zip.")],
    out: Annotated[Path, typer.Argument(help="The folder to write; it must not exist.")],
    to: Annotated[str, typer.Option(help="coco, voc, yolo or labelme.")],
) -> None:
    """Write labelled images in another format: photos keep their bytes, and train, val and test their folders.

    Boxes are clipped to their images; what was wrong in the files is said, and left out.

    Example:

        viewfinder convert faces faces-coco --to coco
    """
    if to not in FORMATS:
        raise InputError(f"unknown format {to!r}", where="--to", hint=nearest(to, FORMATS))
    from viewfinder.data.joining import whole
    from viewfinder.data.reading import write

    dataset = whole(source)
    write(dataset, out, to)
    for note in dataset.notes:
        typer.echo(f"viewfinder: {note.line}", err=True)
    typer.echo(f"{counted(len(dataset), 'image')} in {to}: {out}")
