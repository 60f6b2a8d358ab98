"""When to stop: `--until "rmse<=1.7"`."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass

from viewfinder.errors import RecipeError, nearest

__all__ = ["Goal"]

_COMPARISONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


@dataclass(frozen=True)
class Goal:
    """A metric, a comparison and a number."""

    metric: str
    comparison: str
    number: float

    @classmethod
    def parse(cls, text: str, known: list[str]) -> Goal:
        """Read "metric<=number". Raises RecipeError for another form or a metric that is not known."""
        match = re.fullmatch(r"\s*([\w-]+)\s*(<=|>=|<|>)\s*([-+.\deE]+)\s*", text)
        try:
            metric, comparison, number = match.groups() if match else ("", "", "?")
            goal = cls(metric, comparison, float(number))
        except ValueError:
            example = f'"{known[0]}>=0.99"'
            raise RecipeError(f"cannot read {text!r}", where="train.until", hint=f"write it like {example}") from None
        if goal.metric not in known:
            raise RecipeError(f"unknown metric {metric!r}", where="train.until", hint=nearest(metric, known))
        return goal

    def reached(self, metrics: Mapping[str, float]) -> bool:
        """Whether the metrics fulfil it; a metric that was not measured does not."""
        return self.metric in metrics and bool(_COMPARISONS[self.comparison](metrics[self.metric], self.number))
