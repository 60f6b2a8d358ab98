"""What is fixed before the first step: how many threads, where other programs keep the cores busy."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from viewfinder import tasks
from viewfinder.config import load_recipe
from viewfinder.data.targets import Labels
from viewfinder.training.loader import Loader
from viewfinder.training.loop import Session, train_step
from viewfinder.training.plan import measure_speed


def small() -> Session:
    """Return a small training."""
    recipe = load_recipe("digits", {"train.batch": 16, "data.size": 16, "train.precision": "float32"})
    task, targets = tasks.create(recipe, ("a", "b")), Labels(np.arange(32) % 2)
    task.prepare(targets)
    pixels = np.random.default_rng(0).integers(0, 255, (32, 16, 16, 1), dtype=np.uint8)
    loader = Loader(
        pixels, targets, names=("a", "b"), task=task, batch=16, augment=recipe.augment, seed=0
    )  # fmt: skip
    parts = (task, task.build(), loader, None, task.metrics[0], None, Path(), str, torch.device("cpu"))
    return Session(recipe, *parts)


@pytest.fixture
def session() -> Iterator[Session]:
    """Yield a small training that may use two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield small()
    torch.set_num_threads(before)


def clock(together: float, alone: float) -> Callable[[], float]:
    """Return a clock on which a step takes so long with two threads, and so long with one."""
    now = 0.0

    def seconds() -> float:
        nonlocal now
        now += alone if torch.get_num_threads() == 1 else together
        return now

    return seconds


@pytest.mark.parametrize(
    ("together", "alone", "minutes", "threads"),
    [(10, 1, 30, 1), (1, 1.7, 30, 2), (1.2, 1, 30, 2), (10, 1, 2, 2)],
    ids=["much faster alone", "faster together", "nearly the same", "no time to compare"],
)
def test_one_thread_trains_where_the_others_only_stand_in_its_way(
    session: Session, together: float, alone: float, minutes: float, threads: int
) -> None:
    speed = measure_speed(session, minutes, clock(together, alone), one_thread_may_do=True)
    assert (torch.get_num_threads(), speed.crowded) == (threads, threads == 1)
    assert speed.step == pytest.approx(alone if threads == 1 else together)


def test_a_training_that_is_thrown_away_gives_its_memory_back_at_once() -> None:
    gc.collect()
    gc.disable()
    try:
        session = small()
        train_step(session, session.loader.batch_at(0))
        left = weakref.ref(session)
        del session
        assert left() is None
    finally:
        gc.enable()


def test_threads_that_somebody_asked_for_are_kept(session: Session) -> None:
    speed = measure_speed(session, 20, clock(10, 1))
    assert (torch.get_num_threads(), speed.crowded, speed.step) == (2, False, pytest.approx(10))


@pytest.mark.parametrize(("minutes", "fewest"), [(30, 800), (0.1, 32)])
def test_on_a_gpu_whose_steps_come_in_bursts_blocks_of_them_are_timed_however_long_it_took_to_begin(
    session: Session, monkeypatch: pytest.MonkeyPatch, minutes: float, fewest: int
) -> None:
    steps = 0

    def step(*_: object) -> None:
        nonlocal steps
        steps += 1

    monkeypatch.setattr("viewfinder.training.plan.train_step", step)
    session.device = torch.device("cuda")
    slow_start = [20.0, 0.0][minutes > 1]
    speed = measure_speed(session, minutes, lambda: slow_start * min(steps, 9) + 0.08 * -(-steps // 8))
    assert steps > fewest
    assert speed.step == pytest.approx(0.01)


def test_of_a_long_training_no_more_than_some_seconds_are_measured(session: Session) -> None:
    assert measure_speed(session, 100_000, clock(1, 1)).measuring < 60
