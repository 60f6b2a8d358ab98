"""`viewfinder check`: findings about data, before it costs a training."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.data.findings import counted

if TYPE_CHECKING:
    from rich.table import Table

    from viewfinder.data.dataset import Dataset
    from viewfinder.data.findings import Report

__all__ = ["check"]

STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def check(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Downloads, folders or files, also URLs.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, nothing shortened.")] = False,
) -> None:
    """Say what is worth knowing about data; exit code 1 if something would break or falsify a training.

    All parts of a download and all paths are looked at together, so that images that two of them share are found.

    Example:

        viewfinder check digit-recognizer.zip
    """
    from rich.console import Console

    from viewfinder.data.check import check_all

    datasets = list(_datasets(paths))
    images = sum(len(dataset) for dataset in datasets)
    with Console(stderr=True).status(f"looking at {counted(images, 'image')}"):
        reports = check_all(datasets)
    if as_json:
        typer.echo(json.dumps([report.as_dict() for report in reports], indent=2, ensure_ascii=False))
    else:
        _show(reports)
    if any(report.errors for report in reports):
        raise typer.Exit(1)


def _datasets(paths: Sequence[str]) -> Iterator[Dataset]:
    from viewfinder.data.reading import parts, read

    for path in paths:
        for part in parts(path):
            yield read(path, part)


def _show(reports: Sequence[Report]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for report in reports:
        if not console.is_terminal:
            typer.echo(report)
            continue
        console.print(f"[bold]{report.summary()}[/bold]")
        console.print(_table(report))


def _table(report: Report) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from viewfinder.data.findings import first_few

    table = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for finding in report.findings:
        lines = [escape(finding.message)]
        if finding.where:
            lines.append(f"[dim]{escape(first_few(finding.where))}[/dim]")
        if finding.advice:
            lines.append(f"[green]→[/green] {escape(finding.advice)}")
        style = STYLES[finding.severity]
        table.add_row(f"[{style}]{finding.severity}[/{style}]", finding.id, "\n".join(lines))
    return table
