"""`viewfinder export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    out: Annotated[
        Path, typer.Option(help="The model file to write; an older one is replaced when the new one passed.")
    ],
    int8: Annotated[bool, typer.Option("--int8", help="8 bit convolutions, calibrated on real images.")] = False,
    data: Annotated[str | None, typer.Option(help="Images to compare on, instead of the run's own.")] = None,
) -> None:
    """Write a run as one ONNX file, and prove that it answers as the trained model does.

    Example:

        viewfinder export runs/keypoints --out keypoints.onnx
    """
    from rich.console import Console

    from viewfinder.data.reading import read
    from viewfinder.training.run import open_run

    try:
        images = None if data is None else read(data)
        with Console(stderr=True).status("writing the file and comparing it with the trained model"):
            trained = open_run(run)
            exported = trained.exported(out, int8=int8, images=images)
    except KeyboardInterrupt:
        typer.echo("\nviewfinder: stopped, nothing was written", err=True)
        raise typer.Exit(130) from None
    typer.echo(str(exported))
    if trained.unfinished:
        typer.echo(trained.unfinished, err=True)
