"""Overfitting is seen where it happens, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from viewfinder.config import load_recipe
from viewfinder.evaluate.history import History, Verdict, judge


def validations(train: Sequence[float], val: Sequence[float]) -> list[dict[str, Any]]:
    best, events = 0.0, []
    for index, (ours, theirs) in enumerate(zip(train, val, strict=True)):
        best = max(best, 1 - theirs)
        events.append(
            {
                "event": "validation",
                "step": 10 * index + 10,
                "epoch": index + 1.0,
                "seconds": 1.0 * index,
                "metrics": {"accuracy": 1 - theirs},
                "loss": {"total": theirs},
                "train_loss": {"total": ours},
                "best": best,
            }
        )
    return events


def verdict_on(train: Sequence[float], val: Sequence[float], **changes: Any) -> Verdict:
    return judge(History.of(validations(train, val)), load_recipe("seed-digits", changes))


def test_a_rising_validation_loss_under_a_falling_training_loss_is_overfitting() -> None:
    verdict = verdict_on([0.9, 0.5, 0.3, 0.2, 0.1, 0.05], [0.8, 0.5, 0.4, 0.45, 0.5, 0.6])
    assert verdict.overfits
    assert "from epoch 3" in verdict.title
    assert "risen by 38 %" in verdict.text


def test_a_validation_loss_that_stands_still_over_a_falling_training_loss_is_drifting_apart() -> None:
    train = 0.8 * 0.7 ** np.arange(12)
    val = np.maximum(0.2, 0.8 * 0.7 ** np.arange(12))
    verdict = verdict_on(train.tolist(), val.tolist())
    assert verdict.overfits
    assert "drift apart" in verdict.title


def test_losses_that_fall_together_are_not_overfitting() -> None:
    rng = np.random.default_rng(0)
    fall = 0.8 * 0.8 ** np.arange(12) + 0.05
    verdict = verdict_on((fall * 1.3).tolist(), (fall * rng.uniform(0.95, 1.05, 12)).tolist())
    assert not verdict.overfits
    assert not verdict.advice


def test_both_losses_rising_is_not_called_overfitting() -> None:
    assert not verdict_on([0.5, 0.4, 0.3, 0.6, 0.9], [0.5, 0.4, 0.3, 0.6, 0.9]).overfits


def test_one_bad_validation_is_not_overfitting() -> None:
    assert not verdict_on([0.5, 0.4, 0.3, 0.2, 0.1, 0.05], [0.5, 0.4, 0.3, 0.25, 0.2, 0.4]).overfits


def test_few_validations_are_not_judged() -> None:
    assert "Too short" in verdict_on([0.3, 0.1], [0.3, 0.9]).title


def test_the_advice_speaks_of_the_recipe_at_hand() -> None:
    train, val = [0.9, 0.5, 0.3, 0.2, 0.1], [0.8, 0.5, 0.4, 0.5, 0.6]
    with_dropout = verdict_on(train, val, **{"model.dropout": 0.25})
    assert any("0.25" in line for line in with_dropout.advice)
    assert any("Vary the training images more" in line for line in with_dropout.advice)
    off = {f"augment.{name}": 0 for name in ("rotate", "zoom", "shift")}
    assert any("augmentation is off" in line for line in verdict_on(train, val, **off).advice)
    patient = verdict_on(train, val, **{"train.patience": 3})
    assert not any("train.patience" in line for line in patient.advice)


def test_the_best_epoch_is_that_of_the_checkpoint_that_was_kept() -> None:
    assert History.of(validations([0.5] * 4, [0.5, 0.2, 0.4, 0.3])).best == 2.0


def test_a_run_without_validation_has_curves_of_the_training_alone() -> None:
    events = [event | {"metrics": {}, "loss": {}, "best": None} for event in validations([0.5, 0.4], [1, 1])]
    history = History.of(events)
    assert history.train.tolist() == [0.5, 0.4]
    assert history.val.size == 0
    assert history.best is None


def test_what_a_loss_is_made_of_has_curves_of_its_own() -> None:
    events = validations([0.5, 0.4], [0.6, 0.5])
    for event in events:
        for key in ("loss", "train_loss"):
            event[key] |= {"classification": event[key]["total"] / 4, "localisation": 3 * event[key]["total"] / 4}
    history = History.of([{"event": "train", "epoch": 0.5, "lr": 0.1, "loss": events[0]["loss"]}, *events])
    assert list(history.parts) == ["classification", "localisation"]
    assert history.parts["classification"].train.tolist() == [0.125, 0.1]
    assert history.parts["localisation"].val == pytest.approx([0.45, 0.375])
    assert history.parts["classification"].steps.tolist() == [0.15]
    assert history.train.tolist() == [0.5, 0.4]


def test_a_loss_of_one_part_has_no_parts() -> None:
    assert not History.of(validations([0.5], [0.6])).parts
    assert not History.of([]).parts
