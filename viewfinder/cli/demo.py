"""`viewfinder demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from viewfinder.demo import Outcome


def demo(
    out: Annotated[Path, typer.Option(help="The folder to write into; an earlier demo in it is replaced.")] = Path(
        "demo"
    ),
    minutes: Annotated[float, typer.Option(min=0.01, help="How long to train in all.")] = 1.2,
    people: Annotated[int, typer.Option(min=100, help="How many faces to draw.")] = 1600,
) -> None:
    """See everything once, in two minutes, without any data of your own: it trains, measures and exports two models.

    Example:

        viewfinder demo --out demo
    """
    from viewfinder.cli.progress import Watch
    from viewfinder.demo import demo as show

    watch = Watch()
    try:
        with watch:
            outcomes = show(
                out,
                minutes=minutes,
                people=people,
                say=lambda line: watch.console.print(f"\n[bold]{line}"),
                on_event=lambda event: None if event["event"] == "stopping" else watch.see(event),  # nothing is kept
            )
    except KeyboardInterrupt:
        typer.echo("\nviewfinder: the demo was stopped; the next one begins anew", err=True)
        raise typer.Exit(130) from None
    watch.console.print()
    watch.console.print(_table(outcomes))
    watch.console.print(f"\nLook at {outcomes[0].report} first. Your own data: viewfinder check PATH")


def _table(outcomes: list[Outcome]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for one in outcomes:
        table.add_column(one.what.replace(": ", "\n"), overflow="fold")
    table.add_row("new images", *(f"[bold]{one.metric}" for one in outcomes))
    table.add_row("time", *(f"{one.seconds:.0f} s" for one in outcomes))
    table.add_row("report", *(str(one.report) for one in outcomes))
    table.add_row("sheet", *(str(one.sheet) for one in outcomes))
    table.add_row("model file", *(str(one.model) for one in outcomes))
    table.add_row("differs by", *(f"{one.difference:.1g} at most" for one in outcomes))
    return table
