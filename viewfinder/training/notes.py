"""What a training does in another way than its recipe would without its set or its minutes; told at its start."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from viewfinder.data.dataset import Dataset
from viewfinder.layers import leaves
from viewfinder.training.loop import Session
from viewfinder.training.remembered import is_large_for

__all__ = ["notes_on"]

FEW_STEPS = 50


def notes_on(session: Session, parts: Mapping[str, Dataset], crowded: bool = False) -> list[str]:
    """Return what is done in another way because of the set, or for the sake of the minutes.

    Args:
        crowded: one thread is used because other programs keep the cores busy.
    """
    train, minutes = parts["train"], session.recipe.train.minutes
    time = f"{minutes or 0:g} minute{'s' * (minutes != 1)}"
    notes = [
        f"for {time}: {_as_set(budget.changes)}"
        for budget in session.recipe.budgets
        if minutes and budget.changes and budget.fits(minutes)
    ]
    if minutes and session.progress.total < FEW_STEPS:
        notes.append(f"so few steps teach nearly nothing: give it more than {time}")
    spec = session.recipe
    waits = {"train.metric": spec.train.metric, "train.patience": spec.train.patience}
    waits |= {'optim.schedule = "plateau"': spec.optim.schedule == "plateau"}
    if idle := [name for name, wanted in waits.items() if wanted and "val" not in parts]:
        notes.append(f"nothing is kept back to validate on: {' and '.join(idle)} can do nothing")
    if crowded:
        notes.append(
            "other programs keep the cores busy: one thread is much faster now, so one is used (train.threads)"
        )
    if not is_large_for(train.images, session.recipe):
        return notes
    gigabytes = math.prod(session.loader.pixels.shape) / 1e9
    notes.append(f"a large set: its {gigabytes:.2g} GB of pixels are read as they are needed")
    split_here = "val" in parts and parts["val"].source == train.source and train.splits is None
    if split_here and session.recipe.data.similar and train.groups is None:
        notes.append("near-duplicates were not looked for: of a large set they may be on both sides of the split")
    return notes


def _as_set(changes: Mapping[str, Any]) -> str:
    """Return changes as a user would set them, value by value."""
    return ", ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in leaves(changes))
