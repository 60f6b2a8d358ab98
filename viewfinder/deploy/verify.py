"""Does the model file say what the trained model says? Both answer the same real images and are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from viewfinder.data.answers import Answer
from viewfinder.data.dataset import Dataset
from viewfinder.data.images import fit_all, inverted
from viewfinder.deploy.predictor import Predictor
from viewfinder.errors import ExportError
from viewfinder.tasks.base import Metric, Task, as_tensor

Outputs = dict[str, NDArray[Any]]

__all__ = ["ENOUGH", "Comparison", "Difference", "compare", "refuse", "sampled"]

ENOUGH, MOST, MOST_PIXELS = 64, 2000, 2000 * 128 * 128
SHARE_LOST, IMAGES_LOST, ERROR_GROWN = 0.005, 2, 0.05
"""What quantisation may cost in the first metric. A share such as accuracy: half a percent of itself, and two images,
as chance moves one or two among few. An error in pixels: 5 %."""
_ALONE, _BATCH = 4, 128


@dataclass(frozen=True)
class Difference:
    """How far two sets of values of one output are apart: both are in the output's own unit."""

    output: str
    largest: float
    allowed: float

    @property
    def small(self) -> bool:
        return self.largest <= self.allowed


@dataclass(frozen=True)
class Comparison:
    """A model file beside the trained model on the same images.

    Args:
        images: how many images both answered.
        measured: on how many of them, the first ones, the metrics were measured.
        source: where those come from.
        differences: of the file from the trained model, an output each.
        alone: of images answered one at a time from the same images in a batch, both by the file.
        metrics: by name (trained, file); empty where the images have no targets.
        kinds: what the metrics are, the first is the one that counts.
        quantised: whether the file is judged by that metric, instead of by every number that it returns.
        threshold: the score from which on the file's answers are best, on the same images.
    """

    images: int
    measured: int
    source: str
    differences: tuple[Difference, ...]
    alone: tuple[Difference, ...]
    metrics: dict[str, tuple[float, float]] = field(default_factory=dict)
    kinds: tuple[Metric, ...] = ()
    quantised: bool = False
    threshold: float = 0.0

    @property
    def measured_on(self) -> str:
        """What the metrics were measured on, in words."""
        return f"{self.measured:,} of {self.source}"

    @property
    def worst(self) -> Difference:
        """The difference that is largest in relation to what is allowed; NaN is the largest of all."""
        every = (*self.differences, *self.alone)
        return max(every, key=lambda one: np.inf if np.isnan(one.largest) else one.largest / one.allowed)

    def __str__(self) -> str:
        rows = [["", "trained", "this file", ""]]
        for kind in self.kinds:
            if kind.name in self.metrics:
                rows.append([kind.name, *(kind.text(value) for value in self.metrics[kind.name]), ""])
        for one in self.differences:
            allowed = "judged by the metrics" if self.quantised else f"allowed {one.allowed:.2g}"
            rows.append([f"largest difference of {one.output}", "", f"{one.largest:.2g}", allowed])
        for one in self.alone:
            rows.append([f"… of one image from itself in a batch, {one.output}", "", f"{one.largest:.2g}", ""])
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([f"compared on {self.images:,} real images, metrics on {self.measured_on}", *lines])


def sampled(parts: Sequence[Dataset], size: int) -> list[Dataset]:
    """Return what is compared: up to 2,000 images of the first part, and of the next ones until there are 64.

    Fewer where they are fitted to more than 128 × 128 pixels, but never fewer than 64.
    """
    most = max(ENOUGH, min(MOST, MOST_PIXELS // size**2))
    chosen: list[Dataset] = []
    for part in parts:
        missing = most if not chosen else ENOUGH - sum(map(len, chosen))
        if len(part) and missing > 0:
            chosen.append(part.select(np.linspace(0, len(part) - 1, min(missing, len(part))).round().astype(np.int64)))
    return chosen


def compare(answering: nn.Module, task: Task, file: Predictor, parts: Sequence[Dataset]) -> Comparison:
    """Return how a model file compares with the trained model.

    Args:
        answering: `task.answering(network)` in eval mode on the CPU.
        task: the trained model's task.
        file: the model file.
        parts: real images, at least one; metrics are measured on the first part, where it has targets.
    """
    fitted = [fit_all(part.images, file.about.size, file.about.channels) for part in parts]
    pixels = np.concatenate([one for one, _ in fitted])
    trained, exported = _run(answering, task.output_names, pixels), file.outputs(pixels)
    single = [file.outputs(one[None]) for one in pixels[:_ALONE]]
    alone = {name: np.concatenate([outputs[name] for outputs in single]) for name in exported}
    metrics, threshold = _metrics(task, parts[0], trained, exported, inverted(fitted[0][1]))
    return Comparison(
        images=len(pixels),
        measured=len(parts[0]),
        source=parts[0].name or "an array",
        differences=_differences(task.answer, exported, trained),
        alone=_differences(task.answer, alone, _first(len(single), exported)),
        metrics=metrics,
        threshold=threshold,
        kinds=tuple(task.metrics),
        quantised=file.about.int8,
    )


def refuse(comparison: Comparison) -> None:
    """Raise ExportError where the file differs too much from the trained model."""
    worst = comparison.worst
    if not np.isfinite(worst.largest):
        raise ExportError(f"{worst.output!r} is not finite on real images", hint="the model file was not written")
    if comparison.quantised:
        _refuse_worse(comparison)
    elif not worst.small:
        raise ExportError(
            f"the exported model differs from the trained one by {worst.largest:.3g} in {worst.output!r}, "
            f"allowed is {worst.allowed:.2g}",
            hint="the model file was not written",
        )


def _refuse_worse(comparison: Comparison) -> None:
    first = next(kind for kind in comparison.kinds if kind.name in comparison.metrics)
    trained, quantised = comparison.metrics[first.name]
    worse = trained - quantised if first.higher_is_better else quantised - trained
    of_few = IMAGES_LOST / comparison.measured
    if not worse <= (SHARE_LOST * trained + of_few if first.higher_is_better else ERROR_GROWN * trained):
        raise ExportError(
            f"quantised, {first.name} is {first.text(quantised)} instead of {first.text(trained)}, "
            f"largest difference {comparison.worst.largest:.3g}",
            hint="export without --int8",
        )


def _run(answering: nn.Module, names: Sequence[str], pixels: NDArray[np.uint8]) -> Outputs:
    chunks = [as_tensor(pixels[at : at + _BATCH]) for at in range(0, len(pixels), _BATCH)]
    with torch.inference_mode():
        outputs = [answering(chunk) for chunk in chunks]
    return {name: torch.cat([output[i] for output in outputs]).numpy() for i, name in enumerate(names)}


def _metrics(
    task: Task, part: Dataset, trained: Outputs, exported: Outputs, to_image: NDArray[Any]
) -> tuple[dict[str, tuple[float, float]], float]:
    finite = all(np.isfinite(values).all() for outputs in (trained, exported) for values in outputs.values())
    if part.targets is None or not finite:
        return {}, 0.0
    answers = [task.decode(_first(len(part), outputs), to_image) for outputs in (trained, exported)]
    ours, theirs = (task.measure(answer, part.targets) for answer in answers)
    metrics = {name: (ours[name], theirs[name]) for name in ours}
    return metrics, task.threshold(answers[1], part.targets)


def _first(count: int, outputs: Outputs) -> Outputs:
    return {name: values[:count] for name, values in outputs.items()}


def _differences(kind: type[Answer], new: Outputs, old: Outputs) -> tuple[Difference, ...]:
    return tuple(Difference(name, *apart) for name, apart in kind.apart(new, old).items())
