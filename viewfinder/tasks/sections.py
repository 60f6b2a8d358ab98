"""The pieces that a task gives to its report. They hold numbers only; evaluate/plots.py draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bars", "Lines", "Matrix", "Section", "Table"]


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers under column heads."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str | float]]
    about: str = ""


@dataclass(frozen=True)
class Bars:
    """A number a name."""

    title: str
    names: tuple[str, ...]
    values: Sequence[float]
    unit: str = ""
    about: str = ""


@dataclass(frozen=True)
class Matrix:
    """Counts (rows are the truth, columns the prediction)."""

    title: str
    names: tuple[str, ...]
    counts: NDArray[Any]
    about: str = ""


@dataclass(frozen=True)
class Lines:
    """Curves over a common axis, each (x, y) of equal length.

    `diagonal` draws where y equals x, `mark` a line across at one x.
    """

    title: str
    curves: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    x_label: str
    y_label: str
    diagonal: bool = False
    about: str = ""
    mark: float | None = None


Section = Table | Bars | Matrix | Lines
