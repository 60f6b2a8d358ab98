"""viewfinder evaluate: how good a trained model is, as numbers and as a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from viewfinder.errors import RunError

__all__ = ["evaluate"]


def evaluate(
    run: Annotated[Path, typer.Argument(help="The run folder that `viewfinder train` made.", show_default=False)],
    data: Annotated[
        str | None,
        typer.Option(help="Labelled images to use instead of the run's validation samples."),
    ] = None,
    part: Annotated[str, typer.Option(help="Which part of --data: train or test.")] = "train",
    out: Annotated[Path | None, typer.Option(help="The report's folder; by default RUN/report.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
) -> None:
    """Measure a trained model and write a report: metrics, curves, worst images first.

    Example:

        viewfinder evaluate runs/digits --open
    """
    from rich.console import Console

    from viewfinder.data.reading import read
    from viewfinder.evaluate.report import check_folder
    from viewfinder.training.run import open_run

    trained = open_run(run)
    if data is None and not trained.info["data"].get("val"):
        raise RunError("has no validation samples", where=run, hint="name labelled images with --data")
    folder = out or run / "report"
    check_folder(folder)
    with Console(stderr=True).status("answering the images and writing the report"):
        evaluation = trained.evaluate(None if data is None else read(data, part=part))
        page = evaluation.save(folder)
    typer.echo(_json(evaluation.metrics, page) if as_json else f"{evaluation}\n\nreport: {page}")
    if trained.unfinished:
        typer.echo(trained.unfinished, err=True)
    if show:
        typer.launch(page.as_uri())


def _json(metrics: dict[str, float], page: Path) -> str:
    import json
    import math

    known: dict[str, Any] = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    return json.dumps({"metrics": known, "report": str(page)}, indent=2)
