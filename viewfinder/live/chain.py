"""One model, or two in a row: boxes from the first, points inside each box from the second."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.answers import Answer, Boxes, Points
from viewfinder.data.boxes import clipped
from viewfinder.deploy.predictor import Predictor
from viewfinder.errors import InputError
from viewfinder.live.scene import Scene
from viewfinder.live.tracker import Tracker

__all__ = ["Chain", "cut_out"]

SIDE = 0.9
"""Side of the square that is cut out around a box, in shares of the square root of the box's area."""
LOWER = 0.08
"""How far below the middle of the box the middle of that square is, in shares of the box's height.

Labelled faces begin at the hair; in the Kaggle competition's photos the eyes are 37 % of the side apart and 38 % down.
"""
BELIEVED = 0.6
"""How much of where a point is now is believed, against where it was in its box before."""
WEAK = 0.4
"""Boxes with this share of the threshold, or more, continue a track."""


class Chain:
    """Answers frames: boxes come with identities, and with points if there is a second model.

    Args:
        model: answers whole frames. Boxes of any class are followed; other answers stay as they are.
            The tracker sees weaker boxes than `threshold`, too; the model given stays as it is.
        points: answers the square around each box with points.
        threshold: the least score that a new thing needs; by default that of the model.

    Raises:
        InputError: the models do not fit together.
    """

    def __init__(self, model: Predictor, points: Predictor | None = None, threshold: float | None = None) -> None:
        if points is not None:
            _require_pair(model, points)
        self.model, self.points = copy(model), points
        self.tracker = Tracker(model.threshold if threshold is None else threshold)
        self.model.threshold = WEAK * self.tracker.threshold
        self._shares: dict[int, NDArray[np.float32]] = {}

    @property
    def point_names(self) -> tuple[str, ...]:
        """The names of the points that it answers, if any."""
        named = self.points or self.model
        return named.names if named.about.answer == Points.kind else ()

    def __call__(self, image: NDArray[np.uint8], time: float) -> Answer | Scene:
        """Return the answer for a frame (H, W, 3) in its pixels; `time` in seconds never goes back."""
        answer = self.model(image)
        if not isinstance(answer, Boxes):
            return answer
        tracked = self.tracker.update(answer, time)
        inside = clipped(tracked.boxes.xyxy, np.array(image.shape[1::-1]))  # prediction may look over the edge
        boxes = replace(tracked.boxes, xyxy=inside)
        points = self._steadied(self._points(image, boxes), boxes, tracked.identities)
        return Scene(boxes, tracked.identities, points, tracked.lost)

    def _points(self, image: NDArray[np.uint8], boxes: Boxes) -> tuple[Points, ...]:
        if self.points is None or not len(boxes):
            return ()
        cuts = [cut_out(image, box) for box in boxes.xyxy]
        answers = self.points.batch([pixels for pixels, _ in cuts])
        pairs = [(one, corner) for one, (_, corner) in zip(answers, cuts, strict=True) if isinstance(one, Points)]
        return tuple(Points(one.xy + corner, one.names) for one, corner in pairs)

    def _steadied(self, points: tuple[Points, ...], boxes: Boxes, identities: tuple[int, ...]) -> tuple[Points, ...]:
        """Return points that tremble less: where in its box each point is changes slowly, and the box moves at once."""
        before, self._shares, steadied = self._shares, {}, []
        for one, box, identity in zip(points, boxes.xyxy, identities, strict=False):
            size = np.maximum(box[2:] - box[:2], 1)
            share = (one.xy - box[:2]) / size
            known = before.get(identity, share)
            share = np.where(np.isfinite(known), known + BELIEVED * (share - known), share).astype(np.float32)
            self._shares[identity] = share
            steadied.append(Points(box[:2] + share * size, one.names))
        return tuple(steadied)


def cut_out(image: NDArray[np.uint8], box: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the square (S, S, 3) around a box (4,) and where its upper left corner is (2,), in pixels of the image.

    What lies outside of the image repeats its edge.
    """
    x0, y0, x1, y1 = (float(side) for side in box)
    height, width = image.shape[:2]
    side = round(min(max(1.0, SIDE * ((x1 - x0) * (y1 - y0)) ** 0.5), 2.0 * max(height, width)))
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2 + LOWER * (y1 - y0))
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    return image[rows[:, None], columns], np.array([left, top], dtype=np.float32)


def _require_pair(model: Predictor, points: Predictor) -> None:
    if model.about.answer != Boxes.kind:
        raise InputError(
            f"answers {model.about.answer}", where=model.path, hint="--points needs a model of boxes first"
        )
    if points.about.answer != Points.kind:
        raise InputError(f"answers {points.about.answer}", where=points.path, hint="--points needs a model of points")
