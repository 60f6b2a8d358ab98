"""What a frame shows: boxes with identities, and the points that a second model found in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.answers import Boxes, Points
from viewfinder.live.overlay import draw_boxes, draw_points

__all__ = ["Face", "Scene"]


@dataclass(frozen=True)
class Face:
    """A box (4,) x0 y0 x1 y1 in pixels of the frame, and the points in it, if they were looked for."""

    box: NDArray[np.float32]
    points: Points | None


@dataclass(frozen=True)
class Scene:
    """One frame's answer.

    Args:
        boxes: in pixels of the frame.
        identities: a number for each box, the same from frame to frame.
        points: for each box those in it; nothing where no second model looks for any.
        lost: (L, 4) where things should be that were seen a moment ago, and are not now.
    """

    boxes: Boxes
    identities: tuple[int, ...]
    points: tuple[Points, ...]
    lost: NDArray[np.float32]

    @property
    def faces(self) -> list[Face]:
        """The boxes with their points."""
        points = self.points or (None,) * len(self.boxes)
        return [Face(box, each) for box, each in zip(self.boxes.xyxy, points, strict=True)]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values: each box with its class, score and identity, and its points if there are any."""
        records = self.boxes.as_dict()["boxes"]
        records = [{"identity": one, **record} for one, record in zip(self.identities, records, strict=True)]
        if self.points:
            records = [{**record, **each.as_dict()} for record, each in zip(records, self.points, strict=True)]
        return {"boxes": records}

    def text(self) -> str:
        """Return how many of each class there are."""
        return self.boxes.text()

    def things(self) -> list[tuple[str, str]]:
        """Return what each box is, "face #3", and its score, "98 %"."""
        names = [f"{name} #{one}" for name, one in zip(self.boxes.classes, self.identities, strict=True)]
        scores = (
            [""] * len(names) if self.boxes.scores is None else [f"{100 * score:.0f} %" for score in self.boxes.scores]
        )
        return list(zip(names, scores, strict=True))

    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a copy of an RGB image with boxes, names, scores, identities and points."""
        picture = image.copy()
        draw_boxes(picture, self.boxes, self.identities)
        draw_points(picture, self.points, self.identities)
        return picture
