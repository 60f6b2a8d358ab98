"""How a training went, from its events, and whether it overfitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.config import Recipe

__all__ = ["Curves", "History", "Verdict", "judge"]

Floats = NDArray[np.float64]

FEWEST = 4
RISE = 1.1
STALL = 0.98


@dataclass(frozen=True)
class Curves:
    """A loss: (V,) on training and on validation samples at each validation, (T,) of single batches between them."""

    train: Floats
    val: Floats
    steps: Floats


@dataclass(frozen=True)
class History:
    """Curves over epochs.

    Args:
        epochs: (V,) when the model was validated.
        train: (V,) the mean training loss since the validation before.
        val: (V,) validation loss; empty where nothing was validated.
        metrics: by name, (V,) on the validation samples.
        best: the epoch of the checkpoint that was kept, None where nothing was validated.
        step_epochs: (T,) when the training spoke between validations.
        step_loss: (T,) loss of single batches.
        step_rate: (T,) learning rate.
        parts: by name, what the loss is made of; empty where it has one part only.
    """

    epochs: Floats
    train: Floats
    val: Floats
    metrics: dict[str, Floats]
    best: float | None
    step_epochs: Floats
    step_loss: Floats
    step_rate: Floats
    parts: dict[str, Curves] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Sequence[Mapping[str, Any]]) -> History:
        """Return the curves in a run's events."""
        steps = [event for event in events if event["event"] == "train"]
        seen = [event for event in events if event["event"] == "validation"]
        validated = [event for event in seen if event.get("metrics")]
        names = validated[-1]["metrics"] if validated else ()
        return cls(
            epochs=_column(event["epoch"] for event in seen),
            train=_column(event["train_loss"]["total"] for event in seen),
            val=_column(event["loss"]["total"] for event in validated),
            metrics={name: _column(event["metrics"][name] for event in validated) for name in names},
            best=_best_epoch(validated),
            step_epochs=_column(event["epoch"] for event in steps),
            step_loss=_column(event["loss"]["total"] for event in steps),
            step_rate=_column(event["lr"] for event in steps),
            parts={name: _part(name, seen, validated, steps) for name in _part_names(seen)},
        )


def _column(values: Any) -> Floats:
    return np.array(list(values), dtype=np.float64)


def _part_names(seen: Sequence[Mapping[str, Any]]) -> list[str]:
    return [name for name in seen[-1]["train_loss"] if name != "total"] if seen else []


def _part(
    name: str,
    seen: Sequence[Mapping[str, Any]],
    validated: Sequence[Mapping[str, Any]],
    steps: Sequence[Mapping[str, Any]],
) -> Curves:
    return Curves(
        _column(event["train_loss"].get(name) for event in seen),
        _column(event["loss"].get(name) for event in validated),
        _column(event["loss"].get(name) for event in steps),
    )


def _best_epoch(validated: Sequence[Mapping[str, Any]]) -> float | None:
    epoch, best = None, None
    for event in validated:
        if event["best"] != best or event.get("best_step") == event.get("step"):
            epoch, best = float(event["epoch"]), event["best"]
    return epoch


@dataclass(frozen=True)
class Verdict:
    """What the curves say: `overfits`, one or two sentences, and what to do about it."""

    overfits: bool
    title: str
    text: str
    advice: tuple[str, ...] = ()


def judge(history: History, recipe: Recipe) -> Verdict:
    """Return whether training and validation loss drift apart.

    They do when the validation loss stayed 10 % above its lowest value for the last quarter of the validations,
    while the training loss went on falling (a single high value is noise); or when the validation loss did not fall
    in the last third of the training, and the training loss fell below half of it.
    """
    train, val = history.train, history.val
    if len(val) < FEWEST:
        what = f"There were too few validations ({len(val)}); from {FEWEST} on the curves can be judged."
        return Verdict(False, "Too short to tell about overfitting.", what)
    low = int(val.argmin())
    last = val[-max(2, len(val) // 4) :]
    end = float(last.mean())
    if last.min() > RISE * val[low] and train[-1] < train[low]:
        text = (
            f"The validation loss was lowest at epoch {history.epochs[low]:.3g} ({val[low]:.3g}) and has risen by "
            f"{100 * (end / val[low] - 1):.0f} % since, while the training loss went on falling "
            f"(from {train[low]:.3g} to {train[-1]:.3g}): the network learns the training images by heart."
        )
        return Verdict(True, f"Overfitting from epoch {history.epochs[low]:.3g} on.", text, _advice(recipe))
    third = len(val) * 2 // 3
    if val[third:].min() > STALL * val[:third].min() and 2 * train[-1] < end and train[-1] < 0.8 * train[third - 1]:
        text = (
            f"Since epoch {history.epochs[third - 1]:.3g} the validation loss has stayed near {end:.3g}, while the "
            f"training loss went on falling to {train[-1]:.3g}: what the network still learns helps with the training "
            f"images only."
        )
        return Verdict(True, "Training and validation loss drift apart.", text, _advice(recipe))
    text = f"At the end the training loss is {train[-1]:.3g} and the validation loss {val[-1]:.3g}."
    return Verdict(False, "No sign of overfitting.", text)


def _advice(recipe: Recipe) -> tuple[str, ...]:
    """Return what helps, the cheapest first."""
    varied = any(value for name, value in recipe.augment if name not in ("border", "light"))  # these vary nothing alone
    more = "Vary the training images more" if varied else "Vary the training images (augmentation is off)"
    advice = [f"{more}, for example with --set augment.rotate=15 --set augment.zoom=0.15."]
    if "dropout" in recipe.model:
        advice.append(f"Raise the dropout: model.dropout is {recipe.model['dropout']}.")
    advice.append("Add training images, most of all of the kinds that stand among the worst below.")
    if not recipe.train.patience:
        advice.append("Save time: --set train.patience=5 ends a training that no longer gets better.")
    return tuple(advice)
