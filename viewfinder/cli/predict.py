"""`viewfinder predict`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.data.findings import counted
from viewfinder.errors import InputError

if TYPE_CHECKING:
    from viewfinder.deploy.pictures import Pictures
    from viewfinder.deploy.predictor import Predictor

    Find = Callable[[], tuple[Predictor, Pictures]]

__all__ = ["predict"]

SHOWN = 20
"""Images that could not be read, of which each gets a line."""


def predict(
    model: Annotated[Path, typer.Argument(help="The model file.")],
    sources: Annotated[
        list[str],
        typer.Argument(help="Images, folders of images, lists of images (.txt), a competition's download, or URLs."),
    ],
    out: Annotated[Path | None, typer.Option(help="The folder to write.", show_default="predictions")] = None,
    labels: Annotated[
        str,
        typer.Option(
            "--as", help="Labels to correct instead of pictures: labelme, voc, yolo, coco; or folders, of classes."
        ),
    ] = "",
    table: Annotated[
        Path | None, typer.Option(help="One table instead of a folder: .csv, .jsonl or .parquet. Goes on if stopped.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Leave out what scores lower.", show_default="the model's own")
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Draw the answers on copies of the images.")] = True,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.", show_default="all cores")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace older predictions.")] = False,
    rank: Annotated[int | None, typer.Option(min=0, help="With --table: which of several processes this is.")] = None,
    world_size: Annotated[int | None, typer.Option(min=1, help="With --table: how many processes there are.")] = None,
) -> None:
    """Answer images: pictures with the answers, predictions.json and predictions.csv; or labels; or one table.

    Exit code 1 when some images could not be read; all others are answered.

    Example:

        viewfinder predict keypoints.onnx photo.jpg photos/ --out predictions

        viewfinder predict faces.onnx new-photos/ --as labelme --out new-faces

        viewfinder predict faces.onnx archive/ --table archive.parquet
    """
    _refuse_both(out, labels, table, overwrite, rank, world_size)
    from viewfinder.deploy.stream import cores

    threads, find = threads or cores(), partial(_found, model, sources, threshold)
    out = out or Path("predictions")
    if table is not None:
        _refuse_source(table, sources)
        _table(partial(_found_beside, table, find, sources), table, threads, overwrite, rank, world_size)
    elif labels:
        _refuse_inside(out, sources)
        _labels(find, out, labels, threads)
    else:
        _folder(partial(find, without=out), out, sources, pictures, threads, overwrite)


def _refuse_both(
    out: Path | None, labels: str, table: Path | None, overwrite: bool, rank: int | None, size: int | None
) -> None:
    if out is not None and table is not None:
        raise InputError("a folder and a table are two things", where="--out", hint="ask for one at a time")
    if labels and table is not None:
        raise InputError("a folder of labels and a table are two things", where="--as", hint="ask for one at a time")
    if labels and overwrite:
        hint = "choose another --out: somebody may have corrected them"
        raise InputError("labels are never overwritten", where="--overwrite", hint=hint)
    if table is None and (rank, size) != (None, None):
        raise InputError("several processes write a table", where="--rank", hint="add --table predictions.csv")


def _here(sources: Sequence[str]) -> list[Path]:
    """Return where the sources on this machine are."""
    from viewfinder.data.remote import is_url

    return [Path(source).resolve() for source in sources if not is_url(source)]


def _refuse_inside(out: Path, sources: Sequence[str]) -> None:
    if any(source.is_dir() and source in out.resolve().parents for source in _here(sources)):
        raise InputError("lies inside the folder that is read", where=str(out), hint="name one beside it")


def _refuse_over(out: Path, sources: Sequence[str]) -> None:
    if out.exists() and any(source.is_relative_to(out.resolve()) for source in _here(sources)):
        raise InputError("is, or holds, what is read", where=str(out), hint="choose another --out")


def _refuse_source(table: Path, sources: Sequence[str]) -> None:
    if table.is_file() and any(source.is_file() and table.samefile(source) for source in _here(sources)):
        raise InputError("is what is read", where=str(table), hint="choose another --table")


def _found_beside(table: Path, find: Find, sources: Sequence[str]) -> tuple[Predictor, Pictures]:
    """Return what is found, unless the table lies in a folder of which a table is read: it could be that one."""
    found, above = find(), Path(os.path.realpath(table)).parents
    if found[1].of_tables and table.is_file() and any(source in above for source in _here(sources)):
        raise InputError("lies in the folder that is read", where=str(table), hint="choose another --table")
    return found


def _found(
    model: Path, sources: Sequence[str], threshold: float | None, without: Path | None = None
) -> tuple[Predictor, Pictures]:
    from viewfinder.deploy.pictures import find_pictures
    from viewfinder.deploy.predictor import load

    predictor = load(model, threads=1)
    if threshold is not None:
        if predictor.about.answer != "boxes":
            raise InputError("leaves out boxes, and this model finds none", where="--threshold", hint="leave it out")
        predictor.threshold = threshold
    return predictor, find_pictures(sources, without)


def _folder(find: Find, out: Path, sources: Sequence[str], draw: bool, threads: int, overwrite: bool) -> None:
    from viewfinder.deploy.predictions import refuse_existing, write_predictions

    refuse_existing(out, overwrite)
    _refuse_over(out, sources)
    found = find()
    with _bar() as progress:
        done = write_predictions(*found, out, draw=draw, threads=threads, overwrite=overwrite, progress=progress)
    typer.echo(f"{counted(done.count, 'image')} answered: {done.folder}")
    _tell_unreadable(done.unreadable)


def _labels(find: Find, out: Path, format: str, threads: int) -> None:
    from viewfinder.deploy.prelabels import write_prelabels

    found = find()
    with _bar() as progress:
        done = write_prelabels(*found, out, format, threads=threads, progress=progress)
    nothing = f", {done.negatives:,} of them without anything" if done.negatives else ""
    typer.echo(f"{counted(done.count, 'image')} in {format}{nothing}: {done.folder}")
    if format == "labelme":
        typer.echo(f"correct them with: labelme {out / 'images'} --output {out / 'labels'}")
    _tell_unreadable(done.unreadable)


def _table(find: Find, table: Path, threads: int, overwrite: bool, rank: int | None, world_size: int | None) -> None:
    from viewfinder.deploy.bulk import part_folder, write_table
    from viewfinder.deploy.ranks import share
    from viewfinder.deploy.tables import check_table

    check_table(table)
    found, mine = find(), share(os.environ, rank, world_size)
    try:
        with _bar() as progress:
            done = write_table(*found, table, share=mine, threads=threads, overwrite=overwrite, progress=progress)
    except KeyboardInterrupt:
        typer.echo(
            f"\nviewfinder: stopped; what is done is in {part_folder(table)}, the same command goes on", err=True
        )
        raise typer.Exit(130) from None
    if not done.joined:
        typer.echo(
            f"{mine}: {counted(done.count - done.unreadable, 'image')} answered, "
            f"{done.unreadable:,} could not be read: {done.path}"
        )
        typer.echo("when all ranks are done, the same command with --world-size 1 makes the table")
        return
    typer.echo(f"{counted(done.count - done.unreadable, 'image')} answered: {done.path}")
    if done.unreadable:
        typer.echo(f"viewfinder: {counted(done.unreadable, 'image')} could not be read: see the column error", err=True)
        raise typer.Exit(1)


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """Give a function that shows (done, of) on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("predicting", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _tell_unreadable(errors: Sequence[Exception]) -> None:
    """Name the images that could not be read, and stop with exit code 1 where there are some."""
    for error in errors[:SHOWN]:
        typer.echo(f"viewfinder: {error}", err=True)
    if len(errors) > SHOWN:
        typer.echo(f"viewfinder: and {len(errors) - SHOWN:,} more images that could not be read", err=True)
    if errors:
        raise typer.Exit(1)
