"""What a network's options are: the `model` part of a recipe, as a class of its own for each network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import nn

from viewfinder.config import Data, Part
from viewfinder.errors import RecipeError

__all__ = ["Blocks", "Count", "Network", "Rate", "Rates", "one_each", "spread"]

Blocks = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Rates = Rate | tuple[Rate, ...]


class Network(Part):
    """The options of a network, which build it.

    A new network is a subclass with documented fields and a `build`, and one line in `registry.NETWORKS`.
    """

    members: Count = 1
    """So many networks of this kind, which share each batch and answer together with their mean."""

    def build(self, data: Data, outputs: int) -> nn.Module:
        """Return the network with fresh weights from torch's global generator.

        It takes pixels (B, size, size, channels) uint8 and returns (B, outputs) float32, after `double()` float64, as
        what begins with `Pixels` does. What it does to pixels before the first layer is part of it. Coordinates come
        out in pixels of the input.
        """
        raise NotImplementedError

    def start(self, network: nn.Module) -> None:
        """Give a network that `build` returned the weights that a new training starts from, where they are not fresh.

        A training that goes on, and a model that is opened, have weights already: they do not ask.
        """


def one_each(first: str, values: Sequence[object], second: str, others: Sequence[object]) -> None:
    """Raise ValueError unless there are as many of both, as a validator does."""
    if len(values) != len(others):
        raise ValueError(f"{len(values)} {first} and {len(others)} {second}, but a stage has one of each")


def spread(name: str, value: float | Sequence[float], count: int) -> tuple[float, ...]:
    """Return `count` values: `value` for all, or its own. Raises RecipeError for a list of another length."""
    if isinstance(value, int | float):
        return (float(value),) * count
    if len(value) != count:
        raise RecipeError(f"model.{name}: {len(value)} values for {count} places", hint="give one number, or one each")
    return tuple(value)
