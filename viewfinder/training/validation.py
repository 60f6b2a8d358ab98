"""Validation while training: the same answers that evaluation gives, a piece of the samples after the other."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from viewfinder import tasks
from viewfinder.config import Recipe
from viewfinder.data.answers import Answer
from viewfinder.data.dataset import Dataset
from viewfinder.data.images import inverted
from viewfinder.data.rows import Maps, PixelRows, fit_rows
from viewfinder.data.targets import Targets
from viewfinder.tasks.base import Task, as_tensor
from viewfinder.training.distributed import ALONE, Team

__all__ = ["Stopped", "Validation", "answers"]

PIXELS_AT_ONCE = 256 * 96 * 96


class Stopped(Exception):  # noqa: N818 — it is no error
    """Somebody asked to stop before all images were looked at."""


@dataclass(frozen=True)
class Validation:
    """Validation samples, fitted to the network's input.

    Args:
        pixels: (N, S, S, C) uint8.
        to_input: (N, 2, 3) from image to input pixels.
        targets: the truth in image pixels, of the first samples; usually of all.
        names: the dataset's names.
        task: of the recipe, at the size of these pixels.
        device: where the network is.
        team: the processes that share the work.
    """

    pixels: PixelRows
    to_input: Maps
    targets: Targets
    names: tuple[str, ...]
    task: Task
    device: torch.device
    team: Team = ALONE

    @classmethod
    def of(cls, dataset: Dataset, task: Task, recipe: Recipe, device: torch.device, team: Team = ALONE) -> Validation:
        """Return a dataset's samples for validation, at the size at which the recipe answers."""
        data = recipe.at_prediction().data
        pixels, to_input = fit_rows(dataset.images, data.size, data.channels)
        if data.size != recipe.data.size:
            task = tasks.create(recipe.at_prediction(), dataset.names)
        return cls(pixels, to_input, dataset.labelled(), dataset.names, task, device, team)

    def __len__(self) -> int:
        return len(self.targets)

    def first(self, count: int) -> Validation:
        """Return the first samples alone."""
        return replace(self, targets=self.targets.select(np.arange(count)))

    def measure(
        self, network: nn.Module, weights: dict[str, Tensor], stopping: Callable[[], bool] = lambda: False
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return (metrics, mean loss by parts) of the network with these weights, in float32 as it is shipped.

        Raises Stopped where `stopping`, asked before each piece of the images, is true.
        """
        task, judged = self.task, copy.deepcopy(network).float()
        judged.load_state_dict(weights)
        judged.eval()
        seen = self.pixels, self.to_input
        predictions = answers(task, judged, *seen, self.device, count=len(self), team=self.team, stopping=stopping)
        losses = self._loss(judged, stopping)
        return self.team.agreed((task.measure(predictions, self.targets) if self.team.leads else {}, losses))

    @torch.inference_mode()
    def _loss(self, network: nn.Module, stopping: Callable[[], bool]) -> dict[str, float]:
        sums: dict[str, float] = {}
        for rows in _pieces(self.pixels, len(self), stopping):
            still = np.zeros(len(rows), dtype=bool)
            targets = self.targets.select(rows).moved(self.to_input[rows], still, self.names)
            tensors = {key: value.to(self.device) for key, value in self.task.collate(targets).items()}
            losses = self.task.loss(_outputs(network, self.pixels, rows, self.device, self.team), tensors)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(rows)
        return {name: value / len(self.targets) for name, value in sums.items()}


@torch.inference_mode()
def answers(
    task: Task,
    network: nn.Module,
    pixels: PixelRows,
    to_input: Maps,
    device: torch.device,
    *,
    count: int,
    team: Team = ALONE,
    stopping: Callable[[], bool] = lambda: False,
) -> Sequence[Answer]:
    """Return the task's answers for fitted pixels (N, S, S, C), in pixels of the original images.

    Args:
        network: in eval mode; decoding and averaging are put on top here.
        to_input: (N, 2, 3) from image to input pixels.
        count: of how many images, the first ones.
        team: the processes that share the work; each gets all answers.
        stopping: asked before each piece of the images; where it is true, Stopped is raised.
    """
    answering = task.answering(network).eval()
    found: list[Answer] = []
    for rows in _pieces(pixels, count, stopping):
        outputs = _outputs(answering, pixels, rows, device, team)
        named = {name: out.float().cpu().numpy() for name, out in zip(task.output_names, outputs, strict=True)}
        found.extend(task.decode(named, inverted(to_input[rows])))
    return found


def _outputs(network: nn.Module, pixels: PixelRows, rows: NDArray[np.int64], device: torch.device, team: Team) -> Any:
    """Return the outputs for the rows, of which each process computes its share."""
    share = team.piece(len(rows))
    mine = rows[share.places] if len(share.places) else rows[:1]
    return team.whole(network(as_tensor(pixels[mine]).to(device)), share)


def _pieces(pixels: PixelRows, count: int, stopping: Callable[[], bool]) -> Iterator[NDArray[np.int64]]:
    at_once = min(max(1, PIXELS_AT_ONCE // (pixels.shape[1] * pixels.shape[2])), 512)
    for first in range(0, count, at_once):
        if stopping():
            raise Stopped
        yield np.arange(first, min(first + at_once, count))
