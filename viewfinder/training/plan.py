"""How many steps, and when to validate: fixed before the first step, from epochs or from minutes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise

import torch

from viewfinder.config import Recipe
from viewfinder.training.loader import BLOCK
from viewfinder.training.loop import Progress, Session, train_step

__all__ = ["Speed", "measure_speed", "plan_epochs", "plan_minutes"]

SHARE_FOR_MEASURING, LONGEST_MEASURING = 0.02, 10.0
"""Steps are timed for this share of the training, and no more than so many seconds."""
SHARE_FOR_VALIDATION = 0.08
SHARE_FOR_COMPARING = 0.1
MUCH_SLOWER = 1.3
"""All threads together are given up where one alone is so many times as fast."""
MOST_VALIDATIONS = 40
WARM_STEPS, FEWEST_STEPS = 3, 3
WARM_BLOCKS, FEWEST_BLOCKS = 2, 2
"""On a GPU: in the first ones a step is recorded."""
PIXELS_MEASURED = 16_000_000
"""Validating more than these is measured on a part."""


@dataclass(frozen=True)
class Speed:
    """Seconds a step, seconds a validation, what measuring them took, and whether the cores are too busy for threads.

    Where other programs keep all cores busy, each step waits for the thread that lost its core.
    """

    step: float
    validation: float
    measuring: float
    crowded: bool = False


def plan_epochs(recipe: Recipe, steps_per_epoch: int) -> Progress:
    """Return the course of `train.epochs` passes over the data."""
    total = max(1, round(recipe.train.epochs * steps_per_epoch))
    every = list(range(steps_per_epoch, total, steps_per_epoch))
    return Progress(total, _evenly(total, recipe.train.validations) if recipe.train.validations else [*every, total])


def plan_minutes(recipe: Recipe, steps_per_epoch: int, minutes: float, speed: Speed) -> Progress:
    """Return the course that fills the time, validations and measuring included.

    There are as many validations as the recipe wants, but no more than a small share of the time has room for.
    """
    left = max(0.0, minutes * 60 - speed.measuring)
    fits = SHARE_FOR_VALIDATION * left / max(speed.validation, 1e-3)
    epochs = left / speed.step / steps_per_epoch
    wanted = recipe.train.validations or min(epochs, MOST_VALIDATIONS)
    count = max(1, int(min(fits, wanted)))
    total = max(1, int((left - count * speed.validation) / speed.step))
    return Progress(total, _evenly(total, count))


def measure_speed(
    session: Session, minutes: float, clock: Callable[[], float] = time.monotonic, *, one_thread_may_do: bool = False
) -> Speed:
    """Train a session that will be thrown away for a moment, and validate once; the leading process's clock counts.

    With `one_thread_may_do`, torch is left with one thread where that is much faster than all of them are now.
    """
    session.progress.total = 10**9  # the very beginning of a long course: the smallest rates
    start, seconds = clock(), minutes * 60
    long_enough = min(max(0.3, seconds * SHARE_FOR_MEASURING), LONGEST_MEASURING)
    step, crowded = _seconds_a_step(session, long_enough, clock), False
    threads = torch.get_num_threads()
    worth_it = (WARM_STEPS + 1 + FEWEST_STEPS) * step < SHARE_FOR_COMPARING * seconds
    if one_thread_may_do and threads > 1 and worth_it:
        torch.set_num_threads(1)
        alone = _seconds_a_step(session, 0, clock)
        crowded = alone * MUCH_SLOWER < step
        step = alone if crowded else step
        torch.set_num_threads(1 if crowded else threads)
    validation = _seconds_to_validate(session, clock)
    if validation < SHARE_FOR_MEASURING * seconds:  # the first one is slower than those that follow
        validation = _seconds_to_validate(session, clock)
    return session.team.agreed(Speed(step, validation, clock() - start, crowded))


def _seconds_a_step(session: Session, at_least: float, clock: Callable[[], float]) -> float:
    """Return the median over the steps of so many seconds, of three steps at least.

    On a GPU it is that of blocks of steps, whose images are made at once: the host asks for a few steps, and then waits
    until as many are done.
    """
    marks: list[float] = []
    start, on_gpu = clock(), session.device.type == "cuda"
    block = BLOCK if on_gpu else 1
    warm, fewest = (WARM_BLOCKS * BLOCK, FEWEST_BLOCKS * BLOCK) if on_gpu else (WARM_STEPS, FEWEST_STEPS)
    with closing(session.loader.batches(0, 10**9)) as batches:
        for batch in batches:
            train_step(session, batch)
            marks.append(clock())
            enough = len(marks) > warm + fewest and marks[-1] - (marks[warm] if on_gpu else start) > at_least
            if session.team.agreed(enough):
                break
    return statistics.median(later - earlier for earlier, later in pairwise(marks[warm::block])) / block


def _seconds_to_validate(session: Session, clock: Callable[[], float]) -> float:
    before, validation = clock(), session.validation
    if validation is None:
        return 0.0
    count = min(len(validation), max(1, PIXELS_MEASURED // validation.pixels.shape[1] ** 2))
    validation.first(count).measure(session.network, session.shipped())
    return session.team.agreed((clock() - before) * len(validation) / count)


def _evenly(total: int, count: int) -> list[int]:
    return sorted({max(1, round(total * (i + 1) / count)) for i in range(count)})
