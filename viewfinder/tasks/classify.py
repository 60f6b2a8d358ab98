"""Classify: which one of the classes an image shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from viewfinder.config import Recipe
from viewfinder.data.answers import Label
from viewfinder.data.targets import Labels
from viewfinder.errors import RecipeError
from viewfinder.models.blocks import widened
from viewfinder.models.registry import build_network
from viewfinder.tasks import measures
from viewfinder.tasks.base import Metric, as_tensor
from viewfinder.tasks.copies import Copies
from viewfinder.tasks.sections import Bars, Lines, Matrix, Section, Table

__all__ = ["Classify"]


class Classify:
    """The network's outputs are (B, classes) scores before the softmax."""

    name = learns_from = "classify"
    metrics = (
        Metric("accuracy", True, "%", "The share of images whose most probable class is the true one."),
        Metric("f1", True, "%", "How well classes are found and not confused, each class counting the same."),
        Metric("log_loss", False, "nats", "How surprised it is by the truth; sure and wrong costs most, 0 is perfect."),
        Metric(
            "ece", False, "%", "How far its probabilities are off: at 0, answers given with 90 % are right in 90 %."
        ),
    )
    error = Metric("margin", False, "", "The highest wrong probability minus that of the truth; above 0 it is wrong.")
    answer = Label
    any_size = False
    padding: Mapping[str, float] = {}
    output_names = ("scores",)
    usual_names = tuple("0123456789")

    def __init__(self, recipe: Recipe, names: Sequence[str]) -> None:
        if recipe.train.loss not in (None, "cross-entropy"):
            raise RecipeError(f"unknown loss {recipe.train.loss!r}", where=recipe.name, hint="known: cross-entropy")
        self.recipe, self.names = recipe, tuple(names)
        self._weights: Tensor | None = None

    def build(self) -> nn.Module:
        return build_network(self.recipe, len(self.names))

    def collate(self, targets: Labels) -> dict[str, Tensor]:
        return {"label": as_tensor(targets.ids)}

    def prepare(self, targets: Labels) -> None:
        if self.recipe.train.class_weights == "balanced":
            counts = np.bincount(targets.ids, minlength=len(self.names))
            weights = len(targets) / (len(self.names) * np.maximum(counts, 1))
            self._weights = as_tensor(weights.astype(np.float32))

    def loss(self, outputs: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        scores, smoothing = widened(outputs), self.recipe.train.label_smoothing
        if self._weights is not None:  # moved once: a recorded step copies nothing from the host
            with torch.inference_mode(False):  # what a validation moved could not be learnt with
                self._weights = self._weights.to(scores.device, scores.dtype)
        return {"total": F.cross_entropy(scores, targets["label"], self._weights, label_smoothing=smoothing)}

    def answering(self, network: nn.Module) -> nn.Module:
        return _Scores(network, Copies(self.recipe.predict))

    def decode(self, outputs: Mapping[str, NDArray[Any]], to_image: NDArray[Any]) -> list[Label]:
        return Label.decode(outputs, self.names, to_image)

    def measure(self, predictions: Sequence[Label], targets: Labels) -> dict[str, float]:
        scores, ids = _scores(predictions), targets.ids
        said = scores.argmax(axis=1)
        return {
            "accuracy": float(np.mean(said == ids)),
            "f1": measures.mean(measures.by_class(ids, said, scores.shape[1])[2]),
            "log_loss": measures.log_loss(scores, ids),
            "ece": measures.calibration_error(scores, ids),
        }

    def threshold(self, predictions: Sequence[Label], targets: Labels) -> float:
        return 0.0

    def errors(self, predictions: Sequence[Label], targets: Labels) -> NDArray[np.float64]:
        """Return (N,) the highest wrong probability minus the true one: above 0 for wrong answers, below for right."""
        return measures.worst_margin(_scores(predictions), targets.ids)

    def sections(self, predictions: Sequence[Label], targets: Labels) -> list[Section]:
        scores, ids = _scores(predictions), targets.ids
        said, classes = scores.argmax(axis=1), len(self.names)
        support = np.bincount(ids, minlength=classes).tolist()
        columns = [np.nan_to_num(column).tolist() for column in measures.by_class(ids, said, classes)]
        confidence, accuracy, _ = measures.reliability(scores, ids)
        return [
            Table(
                "Each class",
                ("class", "precision", "recall", "F1", "images"),
                list(zip(self.names, *columns, support, strict=True)),
                "Precision: of all images called so, the share that are. Recall: of all that are, the share called so.",
            ),
            Matrix(
                "Confusion",
                self.names,
                measures.confusion(ids, said, classes),
                "Rows are the truth, columns the answer.",
            ),
            Lines(
                "Reliability",
                {"model": (confidence, accuracy)},
                "probability of the answer",
                "share that is right",
                diagonal=True,
                about="On the diagonal, an answer given with 90 % is right in 90 % of the cases.",
            ),
            Bars("Images of each class", self.names, support),
        ]

    def draw(self, image: NDArray[np.uint8], prediction: Label, target: Label | None) -> NDArray[np.uint8]:
        return prediction.draw(image, target)


class _Scores(nn.Module):
    """(B, H, W, C) uint8 → ((B, classes) probabilities,), the mean over the copies."""

    def __init__(self, network: nn.Module, copies: Copies) -> None:
        super().__init__()
        self.network, self.copies = network, copies

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.copies.answers(self.network, images).softmax(2).mean(0),)


def _scores(predictions: Sequence[Label]) -> NDArray[np.float32]:
    return np.stack([prediction.scores for prediction in predictions if prediction.scores is not None])
