"""`viewfinder submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from viewfinder.errors import InputError


def submit(
    model: Annotated[Path, typer.Argument(help="A run folder or a model file.")],
    source: Annotated[str, typer.Argument(help="The competition's download.")],
    out: Annotated[Path, typer.Option(help="The csv file to write.")] = Path("submission.csv"),
    upload: Annotated[bool, typer.Option("--upload", help="Hand it in with Kaggle's client.")] = False,
    message: Annotated[str, typer.Option("--message", "-m", help="With --upload: what Kaggle shows beside it.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older file.")] = False,
) -> None:
    """Write a Kaggle submission, checked against what the competition asks for.

    Example:

        viewfinder submit runs/digits digit-recognizer.zip --out submission.csv
    """
    if upload and not message:
        raise InputError("needs a message", where="--upload", hint='add -m "what is new"')
    from rich.console import Console

    from viewfinder import kaggle
    from viewfinder.data.reading import read
    from viewfinder.deploy.predictor import load
    from viewfinder.training.run import open_run

    api = kaggle.client() if upload else None
    opened = load(model) if model.suffix == ".onnx" or model.is_file() else open_run(model)
    with Console(stderr=True).status("answering the test images"):
        submission = kaggle.submit(opened, read(source, part="test"), out, overwrite=overwrite)
    typer.echo(f"{submission.path}: {submission.rows:,} rows for kaggle.com/c/{submission.competition.slug}, checked")
    if upload:
        typer.echo(kaggle.upload(submission, message, api))
