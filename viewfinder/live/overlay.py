"""Boxes and points on the frames of a video: a colour and a number for each thing, the same from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.answers import MOST_DRAWN, Boxes, Points
from viewfinder.data.strokes import dots, rectangles, tags

__all__ = ["COLOURS", "draw_boxes", "draw_points"]

COLOURS = ((230, 120, 0), (86, 180, 233), (0, 190, 130), (240, 228, 66), (204, 121, 167), (0, 114, 178))
"""RGB, after M. Okabe and K. Ito: colour-blind people can tell them apart."""


def draw_boxes(picture: NDArray[np.uint8], boxes: Boxes, identities: Sequence[int]) -> None:
    """Draw boxes with "face 98 % #3" into an RGB picture (H, W, 3)."""
    for box, identity in list(zip(boxes.xyxy, identities, strict=True))[:MOST_DRAWN]:
        rectangles(picture, box[None], _colour(identity))
    tags(picture, boxes.xyxy[:MOST_DRAWN], _words(boxes, identities))


def draw_points(picture: NDArray[np.uint8], points: Sequence[Points], identities: Sequence[int]) -> None:
    """Draw the points in each box into an RGB picture (H, W, 3)."""
    for each, identity in zip(points, identities, strict=False):
        dots(picture, each.xy, _colour(identity))


def _colour(identity: int) -> tuple[int, int, int]:
    return COLOURS[(identity - 1) % len(COLOURS)]


def _words(boxes: Boxes, identities: Sequence[int]) -> list[str]:
    scores = [""] * len(boxes) if boxes.scores is None else [f" {100 * score:.0f} %" for score in boxes.scores.tolist()]
    columns = zip(boxes.classes, scores, identities, strict=True)
    return [f"{name}{score} #{identity}" for name, score, identity in columns]
