"""What a terminal is told of a training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from viewfinder.cli.progress import Watch
from viewfinder.config import load_recipe
from viewfinder.training.run import Run


def ended(seconds: float, reason: str = "steps", minutes: float | None = 20) -> Run:
    last = {"step": 1, "seconds": seconds, "reason": reason, "best": 0.5, "best_step": 1}
    recipe = load_recipe("digits", {"train.minutes": minutes, "train.metric": "accuracy"})
    return cast("Run", SimpleNamespace(events=lambda: [last], recipe=recipe))


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (ended(1018), "planned for 20:00 by its first steps, which were slower"),
        (ended(1290), "planned for 20:00 by its first steps, which were faster"),
        (ended(1180), ""),
        (ended(600, reason="interrupted"), ""),
        (ended(600, minutes=None), ""),
    ],
)
def test_a_training_that_misses_its_minutes_says_why(run: Run, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    Watch().tell_end(run)
    first, *more = capsys.readouterr().err.splitlines()
    assert first.startswith("trained 1 step in ")
    assert more == ([told] if told else [])
