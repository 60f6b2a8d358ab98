"""Detect: any number of things in an image, each in a box with a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from viewfinder.config import Recipe
from viewfinder.data.answers import Boxes
from viewfinder.data.targets import BoxSets
from viewfinder.errors import DataError, RecipeError
from viewfinder.models.blocks import widened
from viewfinder.models.detector import STRIDE
from viewfinder.models.registry import build_network
from viewfinder.tasks import detections
from viewfinder.tasks.base import Metric, as_tensor
from viewfinder.tasks.centres import PADDING, Decoded, centre_loss, learners
from viewfinder.tasks.sections import Section

__all__ = ["Detect"]

LEAST_INSIDE = 0.25
"""A box of which less than this share is still in the picture, after it was moved, is not learnt."""


class Detect:
    """The network's outputs are maps (B, C + 5, h, w): see `tasks/centres.py`."""

    name = learns_from = "detect"
    metrics: tuple[Metric, ...] = (
        Metric(
            "ap",
            True,
            "%",
            "Average precision, the mean over overlaps from 0.5 to 0.95 and over classes, as COCO counts it.",
        ),
        Metric("ap50", True, "%", "The same where a box counts as found if it overlaps the true one by half."),
        Metric("ap75", True, "%", "The same with an overlap of three quarters: tight boxes."),
        Metric("f1", True, "%", "Of found and of right boxes the harmonic mean, at the best score threshold."),
        Metric("precision", True, "%", "The share of the boxes shown that are right, at that threshold."),
        Metric("recall", True, "%", "The share of the true boxes that are found, at that threshold."),
    )
    error = Metric(
        "wrong boxes",
        False,
        "",
        "Words on orange stand at boxes that are wrong, words on blue at true ones that were not found.",
    )
    answer = Boxes
    any_size = True
    padding: Mapping[str, float] = PADDING
    output_names = ("boxes", "scores", "classes")
    usual_names = ("face",)

    def __init__(self, recipe: Recipe, names: Sequence[str]) -> None:
        if recipe.train.loss is not None:
            raise RecipeError(
                f"detect has one loss, not {recipe.train.loss!r}", where="train.loss", hint="leave it out"
            )
        if recipe.predict.mirror or recipe.predict.shifts:
            raise RecipeError(
                "detect averages no copies of an image", where="predict", hint="leave mirror and shifts out"
            )
        self.recipe, self.names = recipe, tuple(names)

    def build(self) -> nn.Module:
        return build_network(self.recipe, len(self.names) + 5)

    def collate(self, targets: BoxSets) -> dict[str, Tensor]:
        inside = targets.clipped(self.recipe.data.size, self.recipe.data.size, LEAST_INSIDE)
        columns: dict[str, NDArray[Any]] = {"boxes": inside.xyxy, "classes": inside.classes, "samples": inside.samples}
        tensors = {name: as_tensor(values) for name, values in columns.items()}
        side = -(-self.recipe.data.size // STRIDE)  # a cell that is only begun is one
        return tensors | learners(tensors["boxes"], tensors["samples"], len(targets), side)

    def prepare(self, targets: BoxSets) -> None:
        if not len(targets.classes):
            raise DataError("nothing is marked in the training images", hint="`viewfinder check` tells what was read")

    def loss(self, outputs: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        parts = centre_loss(widened(outputs), targets)
        return {"total": parts[0] + parts[1], "classification": parts[0], "localisation": parts[1]}

    def answering(self, network: nn.Module) -> nn.Module:
        return nn.Sequential(network, Decoded(self.recipe.data.size))

    def decode(self, outputs: Mapping[str, NDArray[Any]], to_image: NDArray[Any]) -> list[Boxes]:
        return Boxes.decode(outputs, self.names, to_image)

    def measure(self, predictions: Sequence[Boxes], targets: BoxSets) -> dict[str, float]:
        """Return all metrics; coordinates are in pixels of the original images."""
        return detections.measure_boxes(predictions, targets, self.names)

    def threshold(self, predictions: Sequence[Boxes], targets: BoxSets) -> float:
        return detections.best_threshold(predictions, targets, self.names)

    def errors(self, predictions: Sequence[Boxes], targets: BoxSets) -> NDArray[np.float64]:
        """Return (N,) how many boxes of each image are wrong, and how loosely the right ones fit."""
        return detections.box_errors(predictions, targets, self.names)

    def sections(self, predictions: Sequence[Boxes], targets: BoxSets) -> list[Section]:
        return detections.box_sections(predictions, targets, self.names)

    def draw(self, image: NDArray[np.uint8], prediction: Boxes, target: Boxes | None) -> NDArray[np.uint8]:
        return prediction.draw(image, target)
