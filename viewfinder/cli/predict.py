"""`viewfinder predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    model: Annotated[Path, typer.Argument(help="The model file.")],
    sources: Annotated[list[Path], typer.Argument(help="Images, folders of images, or a competition's download.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("predictions"),
    pictures: Annotated[bool, typer.Option(help="Draw the answers on copies of the images.")] = True,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older folder of predictions.")] = False,
) -> None:
    """Answer images: pictures with the answers, predictions.json and predictions.csv.

    Exit code 1 when some images could not be read; all others are answered.

    Example:

        viewfinder predict keypoints.onnx photo.jpg photos/ --out predictions
    """
    from rich.console import Console
    from rich.progress import Progress

    from viewfinder.deploy.predictions import find_pictures, refuse_existing, write_predictions
    from viewfinder.deploy.predictor import load

    refuse_existing(out, overwrite)
    predictor, found = load(model, threads), find_pictures(sources)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("predicting", total=len(found))
        done = write_predictions(
            predictor,
            found,
            out,
            draw=pictures,
            overwrite=overwrite,
            progress=lambda count, of: bar.update(task, completed=count),
        )
    typer.echo(f"{done.count:,} images answered: {done.folder}")
    for error in done.unreadable:
        typer.echo(f"viewfinder: {error}", err=True)
    if done.unreadable:
        raise typer.Exit(1)
