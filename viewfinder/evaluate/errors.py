"""Which images are wrong: worst first, with a picture of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.answers import Answer

if TYPE_CHECKING:
    from viewfinder.evaluate.evaluation import Evaluation

__all__ = ["Worst", "worst", "worst_first"]

TILE, LARGEST = 320, 480
"""The longer side of a tile in pixels: what is smaller is enlarged, what is larger is shrunk."""


@dataclass(frozen=True)
class Worst:
    """One of the images with the largest errors.

    Args:
        row: its row in the dataset that was evaluated.
        where: its file or its row in the source, for people.
        error: as the task measures it.
        tile: (H, W, 3) uint8 RGB, its longer side between 320 and 480 pixels, prediction and truth drawn on it.
    """

    row: int
    where: str
    error: float
    prediction: Answer
    target: Answer
    tile: NDArray[np.uint8]

    @property
    def large(self) -> bool:
        """Whether it wants more room than a small image does."""
        return int(max(self.tile.shape)) > TILE


def worst_first(errors: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return (N,) the rows from the largest error to the smallest; rows of unknown error (NaN) come last."""
    return np.argsort(-errors, kind="stable")


def worst(evaluation: Evaluation, count: int) -> list[Worst]:
    """Return at most `count` images of known error, worst first."""
    rows = [int(row) for row in worst_first(evaluation.errors)[:count] if np.isfinite(evaluation.errors[row])]
    return [_one(evaluation, row) for row in rows]


def _one(evaluation: Evaluation, row: int) -> Worst:
    images = evaluation.dataset.images
    prediction = evaluation.predictions[row].above(evaluation.threshold)
    target = evaluation.targets.one(row, evaluation.names)
    tile = _tile(evaluation.task, images[row], prediction, target)
    return Worst(row, images.where(row), float(evaluation.errors[row]), prediction, target, tile)


def _tile(task: Any, image: NDArray[np.uint8], prediction: Answer, target: Answer) -> NDArray[np.uint8]:
    longer = max(image.shape[:2])
    factor = min(max(longer, TILE), LARGEST) / longer
    width, height = (max(1, round(side * factor)) for side in (image.shape[1], image.shape[0]))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(image, (width, height), interpolation=how)
    rgb = cv2.cvtColor(resized, cv2.COLOR_GRAY2RGB) if resized.ndim == 2 else resized
    drawn = task.draw(rgb, prediction.scaled(factor), target.scaled(factor))
    return np.asarray(drawn[:height, :width])  # the strip of words is left out: the report sets them in its own type
