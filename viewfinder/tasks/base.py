"""What a task is. One task is one file with one class, and nothing outside this folder asks which one it is.

A task is made from a recipe and the dataset's names: `tasks.create(recipe, names)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from viewfinder.config import Recipe
from viewfinder.data.answers import Answer
from viewfinder.data.targets import Targets
from viewfinder.tasks.sections import Section

__all__ = ["Metric", "Task", "as_tensor", "padded"]


@dataclass(frozen=True)
class Metric:
    """A measure of a task: its name in tables and recipes, its unit, and which way is better."""

    name: str
    higher_is_better: bool
    unit: str = ""
    """"%": the value is a share from 0 to 1 that people see in percent; otherwise what stands behind the number."""
    about: str = ""
    """What the number says, one plain sentence for people."""

    def text(self, value: float) -> str:
        """Return the value as people read it: "99.52 %", "1.573 px", "unknown" for NaN."""
        if np.isnan(value):
            return "unknown"
        return f"{100 * value:.2f} %" if self.unit == "%" else f"{value:#.4g}".rstrip(".") + f" {self.unit}".rstrip()

    def better(self, new: float, old: float) -> bool:
        """Whether `new` is strictly better than `old`; anything is better than NaN."""
        return bool(np.isnan(old)) or (new > old if self.higher_is_better else new < old)


class Task(Protocol):
    """The contract. `outputs` is what the network returns; its form is the task's own business."""

    name: str
    learns_from: str
    """The kind of dataset, its `task`; several tasks may learn from one kind."""
    metrics: tuple[Metric, ...]
    """The first decides which checkpoint is best, unless the recipe names another.

    Where higher is better, it is a share and never above 1; the others are never below 0.
    """
    error: Metric
    """What `errors` measures, for the words under the worst images."""
    answer: type[Answer]
    """The form of its answers; its `kind` is written into the model file."""
    any_size: bool
    """Whether its networks answer for images of another size than they were trained on: `predict.size`."""
    padding: Mapping[str, float]
    """By name, what rows that stand for nothing hold in those of `collate`'s tensors whose length differs from batch to
    batch. `loss` does not count them; they are put behind the others where few shapes are wanted."""
    output_names: tuple[str, ...]
    """The names of the answering module's outputs, in order."""
    usual_names: tuple[str, ...]
    """As many names as the usual dataset of this task has, for looking at a network without one."""

    def __init__(self, recipe: Recipe, names: Sequence[str]) -> None: ...

    def build(self) -> nn.Module:
        """Return the network with fresh weights from torch's global generator: (B, H, W, C) uint8 → outputs."""
        ...

    def collate(self, targets: Targets) -> dict[str, Tensor]:
        """Return a batch of targets, in pixels of the network's input, as tensors for `loss`."""
        ...

    def prepare(self, targets: Targets) -> None:
        """Look once at all training targets before the first step (class weights need the counts)."""
        ...

    def loss(self, outputs: Any, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss by named parts, each a scalar; "total" is what is minimised.

        On a GPU it neither looks at what it computes nor, after the first time, copies anything from the host.
        """
        ...

    def answering(self, network: nn.Module) -> nn.Module:
        """Return the network with decoding and averaging: (B, H, W, C) uint8 → a tuple, one tensor an output name.

        Evaluation runs this module, and export writes it: they cannot differ.
        """
        ...

    def decode(self, outputs: Mapping[str, NDArray[Any]], to_image: NDArray[Any]) -> Sequence[Answer]:
        """Return an answer an image, in pixels of the original image, from the answering module's outputs."""
        ...

    def measure(self, predictions: Sequence[Any], targets: Any) -> dict[str, float]:
        """Return all metrics by name."""
        ...

    def threshold(self, predictions: Sequence[Any], targets: Any) -> float:
        """Return the score from which on things are better shown to people; 0 for tasks without such a choice."""
        ...

    def errors(self, predictions: Sequence[Any], targets: Any) -> NDArray[np.float64]:
        """Return (N,) how wrong each prediction is, for "worst first"; NaN where nothing is known."""
        ...

    def sections(self, predictions: Sequence[Any], targets: Any) -> list[Section]:
        """Return what the report shows of this task beside its metrics: tables, bars, matrices, lines."""
        ...

    def draw(self, image: NDArray[np.uint8], prediction: Any, target: Any) -> NDArray[np.uint8]:
        """Return a copy of an RGB image with a prediction, and the truth unless None, drawn on it."""
        ...


def padded(targets: Mapping[str, Tensor], padding: Mapping[str, float]) -> dict[str, Tensor]:
    """Return a batch's tensors with rows that stand for nothing behind the others, up to a power of two: of few shapes.

    Args:
        targets: what `collate` returned.
        padding: the task's.
    """
    more = dict(targets)
    for name, nothing in padding.items():
        value = targets[name]
        rows = 1 << max(4, (len(value) - 1).bit_length())
        more[name] = torch.cat([value, value.new_full((rows - len(value), *value.shape[1:]), nothing)])
    return more


def as_tensor(values: NDArray[Any]) -> Tensor:
    """Return a tensor that shares memory with a contiguous copy of `values`."""
    return torch.from_numpy(np.ascontiguousarray(values))
