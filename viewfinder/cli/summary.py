"""viewfinder summary: the layers of a recipe's network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from viewfinder.models.summary import Layer

__all__ = ["summary"]


def summary(
    recipe: Annotated[str, typer.Argument(help="The name of a recipe, or the path of a TOML file.")],
    data: Annotated[
        str | None,
        typer.Option(help="A dataset whose names decide the size of the last layer."),
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value of the recipe, such as model.dropout=0.")
    ] = None,
) -> None:
    """Print the layers of a recipe's network: what comes out of each, and its parameters.

    Example:

        viewfinder summary seed-digits
    """
    from viewfinder import tasks
    from viewfinder.config import load_recipe, parse_changes
    from viewfinder.data.reading import read
    from viewfinder.models.summary import summary as layers_of

    known = load_recipe(recipe, parse_changes(change or []))
    names = tasks.usual_names(known)
    if data is not None:
        dataset = read(data)
        dataset.labelled()
        names = dataset.names
    layers = layers_of(tasks.create(known, names).build(), known.data)
    size, channels = known.data.size, known.data.channels
    typer.echo(f"{known.name}: {size} × {size} × {channels} in, {layers[-1].shape[-1]} numbers out\n")
    typer.echo("\n".join(_table(layers)))


def _table(layers: Sequence[Layer]) -> Iterator[str]:
    rows = [(row.kind, _times(row.shape), _times(row.weights), f"{row.parameters:,}") for row in layers]
    head = ("layer", "output", "weights", "parameters")
    total = ("in all", "", "", f"{sum(layer.parameters for layer in layers):,}")
    widths = [max(map(len, column)) for column in zip(head, total, *rows, strict=True)]
    rule = "─" * (sum(widths) + 6)
    for row in (head, None, *rows, None, total):
        yield rule if row is None else _line(row, widths)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    *words, count = (text.ljust(width) for text, width in zip(row, widths, strict=True))
    return "  ".join((*words, count.strip().rjust(widths[-1])))


def _times(numbers: Sequence[int]) -> str:
    return " × ".join(f"{number:,}" for number in numbers)
