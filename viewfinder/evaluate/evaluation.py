"""What a trained model is worth on labelled images.

evaluation = run.evaluate(val)
print(evaluation)                       # the metrics
evaluation.save("report")               # report/index.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from viewfinder.config import Recipe
from viewfinder.data.answers import Answer
from viewfinder.data.dataset import Dataset
from viewfinder.data.findings import counted
from viewfinder.data.rows import fit_rows
from viewfinder.data.targets import Targets
from viewfinder.errors import DataError
from viewfinder.evaluate.errors import worst_first
from viewfinder.tasks.base import Metric, Task
from viewfinder.training.remembered import seen
from viewfinder.training.validation import answers

if TYPE_CHECKING:
    from viewfinder.training.run import Run

__all__ = ["Evaluation", "answer_all", "evaluate"]


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The answers of a model for labelled images, and how good they are.

    Args:
        metrics: by name, as the task measures them.
        predictions: an answer an image, coordinates in pixels of the original image.
        dataset: what was evaluated.
        errors: (N,) how wrong each answer is; NaN where nothing is known.
        events: what the training said.
        info: the run's own record: recipe, data, versions.
        threshold: the score from which on things are shown to people.
        seen: how many of the images were trained on, as far as the run can tell; the metrics flatter it then.
    """

    task: Task
    recipe: Recipe
    metrics: dict[str, float]
    predictions: Sequence[Answer]
    dataset: Dataset
    errors: NDArray[np.float64]
    events: Sequence[Mapping[str, Any]]
    info: Mapping[str, Any]
    threshold: float = 0.0
    seen: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Classes or keypoints."""
        return self.dataset.names

    @property
    def targets(self) -> Targets:
        """The truth, a row an image."""
        return self.dataset.labelled()

    @property
    def flattery(self) -> str:
        """What to say where images were trained on."""
        return f"the model was trained on {self.seen:,} of these {len(self.dataset):,} images; on new ones it is worse."

    def described(self) -> list[tuple[Metric, float]]:
        """Return the metrics with their units and words, the task's own order first."""
        known = {metric.name: metric for metric in self.task.metrics}
        order = sorted(self.metrics, key=lambda name: list(known).index(name) if name in known else len(known))
        return [(known.get(name, Metric(name, False)), self.metrics[name]) for name in order]

    def save(self, folder: str | Path) -> Path:
        """Write the report and return the path of its index.html.

        A report that is there already is replaced.

        Raises:
            RunError: the folder holds something else.
            OSError: nothing can be written there.
        """
        from viewfinder.evaluate.report import save

        return save(self, Path(folder))

    def __str__(self) -> str:
        described = self.described()
        left = max(len(metric.name) for metric, _ in described)
        right = max(len(metric.text(value)) for metric, value in described)
        lines = [f"{self.recipe.name} on {counted(len(self.dataset), 'image')} of {self.dataset.name}", ""]
        for metric, value in described:
            lines.append(f"  {metric.name:<{left}}  {metric.text(value):>{right}}   {metric.about}".rstrip())
        rows = [row for row in worst_first(self.errors)[:3] if np.isfinite(self.errors[row])]
        if rows:
            lines += ["", "  worst: " + "; ".join(self.dataset.images.where(int(row)) for row in rows)]
        if self.seen:
            lines += ["", f"  careful: {self.flattery}"]
        return "\n".join(lines)

    __repr__ = __str__


def evaluate(run: Run, dataset: Dataset) -> Evaluation:
    """Return how good a run's best weights are on labelled images.

    Raises:
        DataError: the dataset is empty, has no targets, or has names that the model does not know.
    """
    if not len(dataset):
        raise DataError("holds no images to evaluate on", where=dataset.source, hint="give labelled images")
    dataset.labelled()
    dataset = dataset.merged(run.recipe.data.merge_classes)
    if dataset.task != run.task.learns_from:
        what = f"is a dataset for {dataset.task}, and the model was trained for {run.task.name}"
        raise DataError(what, where=dataset.source, hint="use data of the model's task")
    trained_on, dataset = seen(dataset.images, run.recipe, run.arrays()), dataset.named(run.names)
    targets, task, recipe = dataset.labelled(), run.task, run.recipe
    predictions = answer_all(task, run.network(), dataset, recipe)
    metrics, errors = task.measure(predictions, targets), task.errors(predictions, targets)
    threshold = task.threshold(predictions, targets)
    known = (run.events(), run.info, threshold, trained_on)
    return Evaluation(task, recipe, metrics, predictions, dataset, errors, *known)


def answer_all(task: Task, network: nn.Module, dataset: Dataset, recipe: Recipe) -> Sequence[Answer]:
    """Return an answer an image, in pixels of the original images.

    Args:
        network: on any device; it is left in eval mode.
    """
    data = recipe.at_prediction().data
    pixels, to_input = fit_rows(dataset.images, data.size, data.channels)
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    return answers(task, network.eval(), pixels, to_input, device, count=len(dataset))
