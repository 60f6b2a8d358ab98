"""Locate: whether the one thing that the network knows is in an image, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from viewfinder.config import Recipe
from viewfinder.data.answers import Boxes
from viewfinder.data.boxes import areas
from viewfinder.data.targets import BoxSets
from viewfinder.errors import RecipeError
from viewfinder.models.blocks import widened
from viewfinder.models.registry import build_network
from viewfinder.tasks.base import Metric, as_tensor
from viewfinder.tasks.copies import Copies
from viewfinder.tasks.presence import PRESENT, measure_one, one_errors, one_sections
from viewfinder.tasks.sections import Section

__all__ = ["Locate"]

CLASSIFICATION = 0.5
"""How much the question whether it is there counts beside the question where."""


class Locate:
    """The network's outputs are (B, 5): presence, x0, y0, x1, y1, all before the sigmoid; boxes then in 0 … 1.

    The truth of an image is the largest of its boxes. What a crop or a move left of a box counts, however little.
    """

    name, learns_from = "locate", "detect"
    metrics = (
        Metric(
            "iou", True, "", "How much the box and the true one overlap, from 0 to 1; the mean of images that show one."
        ),
        Metric("presence", True, "%", "The share of images where it is rightly said whether the object is there."),
    )
    error = Metric("error", False, "", "What the box's overlap lacks, plus how far the probability is off.")
    answer = Boxes
    any_size = False
    padding: Mapping[str, float] = {}
    output_names = ("boxes", "scores", "classes")
    usual_names = ("face",)

    def __init__(self, recipe: Recipe, names: Sequence[str]) -> None:
        if recipe.train.loss not in (None, "squares"):
            raise RecipeError(f"unknown loss {recipe.train.loss!r}", where=recipe.name, hint="known: squares")
        if len(names) != 1:
            what = f"finds one kind of thing, and the data has {len(names)}" + f": {', '.join(names)}" * bool(names)
            hint = "--merge-classes NAME makes them one; a recipe of the task detect tells them apart"
            raise RecipeError(what, where=recipe.name, hint=hint)
        self.recipe, self.names = recipe, tuple(names)

    def build(self) -> nn.Module:
        return build_network(self.recipe, 5)

    def collate(self, targets: BoxSets) -> dict[str, Tensor]:
        """Return "presence" (B,) 0 or 1, and "box" (B, 4): the largest one in 0 … 1 of the input, zeros without one."""
        size = self.recipe.data.size
        inside = targets.clipped(size, size)
        order = np.lexsort((-areas(inside.xyxy), inside.samples))
        rows, first = np.unique(inside.samples[order], return_index=True)
        box = np.zeros((len(targets), 4), dtype=np.float32)
        box[rows] = inside.xyxy[order[first]] / np.float32(size)
        return {"presence": as_tensor((inside.counts > 0).astype(np.float32)), "box": as_tensor(box)}

    def prepare(self, targets: BoxSets) -> None:
        """Nothing about all targets is needed."""

    def loss(self, outputs: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return "total", "classification" (mean binary cross-entropy) and "localisation".

        Localisation is the squared distance of the corner and the squared differences of width and height, where there
        is something: the sum over a batch of the recipe's size. So validation, in larger batches, can be compared.
        """
        there, true = targets["presence"], targets["box"]
        off = widened(outputs[:, 1:]).sigmoid() - true
        sides = off[:, 2:] - off[:, :2]
        squares = (off[:, :2].square() + sides.square()).sum(1) * there
        localisation = squares.mean() * self.recipe.train.batch
        classification = F.binary_cross_entropy_with_logits(widened(outputs[:, 0]), there)
        total = localisation + CLASSIFICATION * classification
        return {"total": total, "classification": classification, "localisation": localisation}

    def answering(self, network: nn.Module) -> nn.Module:
        return _OneBox(network, Copies(self.recipe.predict), self.recipe.data.size)

    def decode(self, outputs: Mapping[str, NDArray[Any]], to_image: NDArray[Any]) -> list[Boxes]:
        return Boxes.decode(outputs, self.names, to_image)

    def measure(self, predictions: Sequence[Boxes], targets: BoxSets) -> dict[str, float]:
        return measure_one(predictions, targets)

    def threshold(self, predictions: Sequence[Boxes], targets: BoxSets) -> float:
        return PRESENT

    def errors(self, predictions: Sequence[Boxes], targets: BoxSets) -> NDArray[np.float64]:
        return one_errors(predictions, targets)

    def sections(self, predictions: Sequence[Boxes], targets: BoxSets) -> list[Section]:
        return one_sections(predictions, targets)

    def draw(self, image: NDArray[np.uint8], prediction: Boxes, target: Boxes | None) -> NDArray[np.uint8]:
        return prediction.draw(image, target)


class _OneBox(nn.Module):
    """(B, H, W, C) uint8 → boxes (B, 1, 4) in pixels of the input, scores (B, 1), classes (B, 1).

    The mean over the copies, each moved back. Corners that a network at its beginning exchanges are put right, and no
    side is shorter than a pixel: of a box without area nobody could say whether two are the same.
    """

    def __init__(self, network: nn.Module, copies: Copies, size: int) -> None:
        super().__init__()
        self.network, self.copies, self.size = network, copies, size

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        answers = self.copies.answers(self.network, images).sigmoid()
        pairs = zip(answers, self.copies.moves, strict=True)
        boxes = torch.stack([self._back(one[:, 1:] * self.size, move) for one, move in pairs]).mean(0)
        scores = answers[:, :, 0].mean(0)
        return _with_area(boxes)[:, None], scores[:, None], torch.zeros_like(scores[:, None], dtype=torch.int64)

    def _back(self, box: Tensor, move: tuple[bool, int, int]) -> Tensor:
        mirrored, x, y = move
        left, top, right, bottom = box.unbind(1)
        if mirrored:
            left, right = self.size - right, self.size - left
        return torch.stack([left - x, top - y, right - x, bottom - y], 1)


def _with_area(boxes: Tensor) -> Tensor:
    first, second = boxes[:, :2], boxes[:, 2:]
    middle, half = (first + second) / 2, ((first - second).abs() / 2).clamp(min=0.5)
    return torch.cat([middle - half, middle + half], 1)
