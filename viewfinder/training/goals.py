"""When to stop: `--until "rmse<=1.7"`."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from viewfinder.errors import RecipeError, nearest
from viewfinder.tasks.base import Metric

__all__ = ["Goal"]

_COMPARISONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


@dataclass(frozen=True)
class Goal:
    """A metric, a comparison and a number."""

    metric: str
    comparison: str
    number: float

    @classmethod
    def parse(cls, text: str, metrics: Sequence[Metric], recipe: str) -> Goal:
        """Read "metric<=number", of one of a task's metrics or of "train_loss".

        Raises RecipeError for another form, or a metric that is not known.
        """
        where, known = f"{recipe}: train.until", {metric.name: metric for metric in metrics}
        match = re.fullmatch(r"\s*([\w-]+)\s*(<=|>=|<|>)\s*([-+.\deE]+)\s*", text)
        try:
            name, comparison, number = match.groups() if match else ("", "", "?")
            goal = cls(name, comparison, float(number))
        except ValueError:
            example = metrics[0].name + (">=0.99" if metrics[0].higher_is_better else "<=1.7")
            raise RecipeError(f"cannot read {text!r}", where=where, hint=f'write it like "{example}"') from None
        if name not in (names := [*known, "train_loss"]):
            raise RecipeError(f"unknown metric {name!r}", where=where, hint=nearest(name, names))
        return goal

    def check(self, metrics: Sequence[Metric], recipe: str, validated: bool = True) -> None:
        """Raise RecipeError where no model can reach it, or nobody would know: only `train_loss` is not validated."""
        if not validated and self.metric != "train_loss":
            what = f"{self.metric} is not measured: there are no validation samples"
            raise RecipeError(what, where=f"{recipe}: train.until", hint="raise data.val, or name train_loss")
        up = next((metric.higher_is_better for metric in metrics if metric.name == self.metric), None)
        if up is not None and self._asks_too_much(up):
            end, hint = ("at most 1", "write 99 % as 0.99") if up else ("at least 0", "raise it")
            what = f"{self.metric}{self.comparison}{self.number:g} is never reached, since {self.metric} is {end}"
            raise RecipeError(what, where=f"{recipe}: train.until", hint=hint)

    def _asks_too_much(self, higher_is_better: bool) -> bool:
        """Whether it wants a metric to be better than the best value that there is: 1, or 0 where lower is better."""
        wants_better = self.comparison.startswith(">") == higher_is_better
        return wants_better and not self.reached({self.metric: float(higher_is_better)})

    def reached(self, metrics: Mapping[str, float]) -> bool:
        """Whether the metrics fulfil it; a metric that was not measured does not."""
        return self.metric in metrics and bool(_COMPARISONS[self.comparison](metrics[self.metric], self.number))
