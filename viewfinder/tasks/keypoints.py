"""Keypoints: where in an image each of the named points lies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from viewfinder.config import Recipe
from viewfinder.data.answers import Points
from viewfinder.data.targets import PointSets, flip_order
from viewfinder.errors import RecipeError, nearest
from viewfinder.models.blocks import widened
from viewfinder.models.registry import build_network
from viewfinder.tasks import measures
from viewfinder.tasks.base import Metric, as_tensor
from viewfinder.tasks.copies import Copies
from viewfinder.tasks.sections import Bars, Lines, Section, Table

__all__ = ["LOSSES", "Keypoints"]

LOSSES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "mse": lambda off, half: off.square(),
    "mse-half": lambda off, half: (off / half).square(),
    "l1": lambda off, half: off.abs(),
    "smooth-l1": lambda off, half: F.smooth_l1_loss(off, torch.zeros_like(off), reduction="none"),
}
"""How a coordinate that is `off` pixels away counts; `half` is half the image's side.

mse: squared pixels. mse-half: squared, in units of half the image, as the notes' networks were trained.
l1: pixels. smooth-l1: squared within a pixel, linear beyond, so that wrong annotations pull less.
"""


class Keypoints:
    """The network's outputs are (B, 2K): x and y of each point in pixels of its input."""

    name = learns_from = "keypoints"
    metrics: tuple[Metric, ...] = (
        Metric("rmse", False, "px", "Root mean square error of all coordinates; points that are far off weigh most."),
        Metric("mean_error", False, "px", "How far a point is from the truth, on average."),
        Metric("nme", False, "%", "The same as a share of the distance between the eyes."),
        Metric("within_2", True, "%", "The share of points that are off by at most 2 % of the eyes' distance."),
        Metric("within_5", True, "%", "The share of points that are off by at most 5 % of the eyes' distance."),
    )
    error = Metric("rmse", False, "px", "The root mean square error of the image's own coordinates.")
    answer = Points
    any_size = False
    padding: Mapping[str, float] = {}
    output_names = ("points",)
    usual_names = tuple(f"point_{k}" for k in range(1, 16))

    def __init__(self, recipe: Recipe, names: Sequence[str]) -> None:
        loss = recipe.train.loss or "mse"
        if loss not in LOSSES:
            raise RecipeError(f"unknown loss {loss!r}", where=recipe.name, hint=nearest(loss, LOSSES))
        self.recipe, self.names = recipe, tuple(names)
        self._loss, self._half = LOSSES[loss], recipe.data.size / 2
        if measures.eye_distances(np.empty((0, len(self.names), 2)), self.names) is None:
            self.metrics = tuple(metric for metric in self.metrics if metric.unit == "px")

    def build(self) -> nn.Module:
        return build_network(self.recipe, 2 * len(self.names))

    def collate(self, targets: PointSets) -> dict[str, Tensor]:
        return {"points": as_tensor(targets.xy)}

    def prepare(self, targets: PointSets) -> None:
        """Nothing about all targets is needed."""

    def loss(self, outputs: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        true = targets["points"].flatten(1)
        known = ~torch.isnan(true)
        off = torch.where(known, widened(outputs) - true.nan_to_num(), 0)
        return {"total": self._loss(off, self._half).sum() / known.sum().clamp(min=1)}

    def answering(self, network: nn.Module) -> nn.Module:
        return _Points(network, Copies(self.recipe.predict), self.recipe.data.size, flip_order(self.names))

    def decode(self, outputs: Mapping[str, NDArray[Any]], to_image: NDArray[Any]) -> list[Points]:
        return Points.decode(outputs, self.names, to_image)

    def measure(self, predictions: Sequence[Points], targets: PointSets) -> dict[str, float]:
        """Return all metrics in pixels of the original images. Those relative to the eyes need points named so."""
        predicted = _stacked(predictions)
        far = measures.distances(predicted, targets.xy)
        all_of_them = {
            "rmse": measures.root_mean_square(predicted - targets.xy),
            "mean_error": measures.mean(far),
        }
        eyes = measures.eye_distances(targets.xy, self.names)
        if eyes is None:
            return all_of_them
        relative = far / eyes[:, None]
        within = {f"within_{limit}": measures.share_within(relative, limit / 100) for limit in (2, 5)}
        return {**all_of_them, "nme": measures.mean(relative), **within}

    def threshold(self, predictions: Sequence[Points], targets: PointSets) -> float:
        return 0.0

    def errors(self, predictions: Sequence[Points], targets: PointSets) -> NDArray[np.float64]:
        """Return (N,) the RMSE of each image in pixels, NaN where no point is annotated."""
        off = _stacked(predictions) - targets.xy
        return np.array([measures.root_mean_square(row) for row in off], dtype=np.float64)

    def sections(self, predictions: Sequence[Points], targets: PointSets) -> list[Section]:
        predicted = _stacked(predictions)
        far = measures.distances(predicted, targets.xy)
        off = predicted - targets.xy
        rmse = [measures.root_mean_square(off[:, k]) for k in range(len(self.names))]
        known = np.isfinite(far).sum(axis=0)
        rows = [
            (
                name,
                rmse[k],
                measures.mean(far[:, k]),
                measures.mean(off[:, k, 0]),
                measures.mean(off[:, k, 1]),
                int(known[k]),
            )
            for k, name in enumerate(self.names)
        ]
        columns = ("point", "RMSE px", "mean error px", "too far right px", "too far down px", "annotated")
        return [
            Bars("RMSE of each point", self.names, rmse, "px"),
            Table("Each point", columns, rows, "Signed columns show a habit: a mean that is not near 0."),
            *self._cumulative(far, targets),
        ]

    def _cumulative(self, far: NDArray[np.float64], targets: PointSets) -> list[Section]:
        eyes = measures.eye_distances(targets.xy, self.names)
        if eyes is None or not np.isfinite(eyes).any():
            return []
        limits = np.linspace(0, 15, 61)
        relative = 100 * far / eyes[:, None]
        shares = np.array([measures.share_within(relative, limit) for limit in limits])
        about = "The share of all points that lie within a distance of the truth."
        return [
            Lines(
                "Points within a distance", {"model": (limits, shares)}, "% of the eye distance", "share", about=about
            )
        ]

    def draw(self, image: NDArray[np.uint8], prediction: Points, target: Points | None) -> NDArray[np.uint8]:
        return prediction.draw(image, target)


class _Points(nn.Module):
    """(B, H, W, C) uint8 → ((B, K, 2) pixels of the input,), the mean over the copies, each moved back."""

    def __init__(self, network: nn.Module, copies: Copies, size: int, flipped: NDArray[np.int64]) -> None:
        super().__init__()
        self.network, self.copies, self.size = network, copies, size
        self.register_buffer("flipped", torch.from_numpy(flipped), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        answers = self.copies.answers(self.network, images)
        return (torch.stack([self._back(*pair) for pair in zip(answers, self.copies.moves, strict=True)]).mean(0),)

    def _back(self, outputs: Tensor, move: tuple[bool, int, int]) -> Tensor:
        mirrored, x, y = move
        points = outputs.reshape(outputs.shape[0], -1, 2)
        across, down = points[..., 0], points[..., 1]
        if mirrored:
            flipped = self.get_buffer("flipped")
            across, down = (self.size - across)[:, flipped], down[:, flipped]
        return torch.stack([across - x, down - y], 2)


def _stacked(predictions: Sequence[Points]) -> NDArray[np.float32]:
    return np.stack([prediction.xy for prediction in predictions])
