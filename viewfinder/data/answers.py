"""One sample's answer: what a model predicts and, in the same form, what is true.

Nothing here needs torch: the predictor, the live view and the tasks share these classes. A model file
names its kind of answer in its metadata; `ANSWERS` finds the class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["ANSWERS", "Answer", "Label", "Points"]

TRUE_COLOUR, PREDICTED_COLOUR = (46, 204, 113), (231, 76, 60)  # RGB: green is the truth, red the prediction


class Answer(Protocol):
    """What one image is said to show."""

    kind: str

    @classmethod
    def decode(
        cls, outputs: Mapping[str, NDArray[Any]], names: Sequence[str], to_image: NDArray[Any]
    ) -> Sequence[Answer]:
        """Return an answer an image from a model file's outputs.

        Args:
            outputs: by name, arrays whose first axis is the batch; coordinates in input pixels.
            names: classes or keypoints.
            to_image: (N, 2, 3) maps from input pixels to the original image's pixels.
        """
        ...

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as plain JSON values."""
        ...

    def as_rows(self) -> list[dict[str, Any]]:
        """Return the answer as rows of a table: one, or one for each thing found."""
        ...

    def scaled(self, factor: float) -> Answer:
        """Return the answer for the same image, enlarged by `factor`."""
        ...

    def draw(self, image: NDArray[np.uint8], truth: Any = None) -> NDArray[np.uint8]:
        """Return a copy of an RGB image (H, W, 3) with the answer, and the truth if given, drawn on it."""
        ...


@dataclass(frozen=True)
class Label:
    """A class. `scores` is (C,) float32 probabilities in the order of `names`, None for a truth."""

    label: str
    names: tuple[str, ...]
    scores: NDArray[np.float32] | None = field(default=None, repr=False)
    kind = "label"

    @property
    def score(self) -> float:
        """The probability of the label; 1 for a truth."""
        return 1.0 if self.scores is None else float(self.scores[self.names.index(self.label)])

    @classmethod
    def decode(cls, outputs: Mapping[str, NDArray[Any]], names: Sequence[str], to_image: NDArray[Any]) -> list[Label]:
        every = tuple(names)
        return [cls(every[int(row.argmax())], every, row) for row in outputs["scores"]]

    def as_dict(self) -> dict[str, Any]:
        scores = {} if self.scores is None else {"scores": dict(zip(self.names, self.scores.tolist(), strict=True))}
        return {"label": self.label, "score": self.score, **scores}

    def as_rows(self) -> list[dict[str, Any]]:
        return [{"label": self.label, "score": self.score, **self.as_dict().get("scores", {})}]

    def scaled(self, factor: float) -> Label:
        return self

    def draw(self, image: NDArray[np.uint8], truth: Label | None = None) -> NDArray[np.uint8]:
        right = truth is None or truth.label == self.label
        text = self.label if self.scores is None else f"{self.label} {self.score:.2f}"
        text = text if right or truth is None else f"{text} is {truth.label}"
        return _captioned(image, text, TRUE_COLOUR if right else PREDICTED_COLOUR)


@dataclass(frozen=True)
class Points:
    """Named points. `xy` is (K, 2) float32 in pixels of the image, NaN where a point is unknown."""

    xy: NDArray[np.float32]
    names: tuple[str, ...]
    kind = "points"

    def __getitem__(self, name: str) -> tuple[float, float]:
        x, y = self.xy[self.names.index(name)].tolist()
        return x, y

    @classmethod
    def decode(cls, outputs: Mapping[str, NDArray[Any]], names: Sequence[str], to_image: NDArray[Any]) -> list[Points]:
        xy = np.einsum("nij,nkj->nki", to_image[:, :, :2], outputs["points"]) + to_image[:, None, :, 2]
        return [cls(row, tuple(names)) for row in xy.astype(np.float32)]

    def as_dict(self) -> dict[str, Any]:
        known = [bool(there) for there in np.isfinite(self.xy).all(axis=1)]
        pairs = zip(self.names, self.xy.tolist(), known, strict=True)
        return {"points": {name: xy if there else None for name, xy, there in pairs}}

    def as_rows(self) -> list[dict[str, Any]]:
        values = [value if np.isfinite(value) else None for value in self.xy.ravel().tolist()]
        return [dict(zip((f"{name}_{axis}" for name in self.names for axis in "xy"), values, strict=True))]

    def scaled(self, factor: float) -> Points:
        return Points(self.xy * np.float32(factor), self.names)

    def draw(self, image: NDArray[np.uint8], truth: Points | None = None) -> NDArray[np.uint8]:
        picture = image.copy()
        if truth is not None:
            _dots(picture, truth.xy, TRUE_COLOUR)
        _dots(picture, self.xy, PREDICTED_COLOUR if truth is not None else TRUE_COLOUR)
        return picture


ANSWERS: dict[str, type[Label] | type[Points]] = {answer.kind: answer for answer in (Label, Points)}


def _dots(picture: NDArray[np.uint8], xy: NDArray[np.float32], colour: tuple[int, int, int]) -> None:
    radius = max(1, round(min(picture.shape[:2]) / 90))
    for x, y in xy[np.isfinite(xy).all(axis=1)]:
        centre = (int(np.floor(x)), int(np.floor(y)))
        cv2.circle(picture, centre, radius, colour, -1, cv2.LINE_AA)


def _captioned(image: NDArray[np.uint8], text: str, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    scale = max(0.35, min(image.shape[:2]) / 400)
    height = int(26 * scale) + 6
    picture = np.pad(image, ((0, height), (0, 0), (0, 0)), constant_values=255)
    at = (3, picture.shape[0] - 6)
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, max(1, round(scale)), cv2.LINE_AA)
    return picture
