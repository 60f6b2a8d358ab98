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

TRUE_COLOUR, PREDICTED_COLOUR = (86, 180, 233), (230, 120, 0)
"""RGB: blue is the truth, orange the prediction, which colour-blind people can tell apart."""
_EDGE = (24, 24, 24)
_SHIFT = 4


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

    def text(self) -> str:
        """Return what is said in words, "seven (98 %)"; empty where a picture says it better."""
        ...

    def draw(self, image: NDArray[np.uint8], truth: Any = None) -> NDArray[np.uint8]:
        """Return a copy of an RGB image (H, W, 3) with the answer, and the truth if given, drawn on it.

        Words, if any, stand in a strip that is added below the image.
        """
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
        scores = self.as_dict().get("scores", {})
        return [{"label": self.label, "score": self.score, **{f"score_{name}": scores[name] for name in scores}}]

    def scaled(self, factor: float) -> Label:
        return self

    def text(self) -> str:
        return self.label if self.scores is None else f"{self.label} ({100 * self.score:.3g} %)"

    def draw(self, image: NDArray[np.uint8], truth: Label | None = None) -> NDArray[np.uint8]:
        right = truth is None or truth.label == self.label
        text = self.text() if right or truth is None else f"{self.text()}, is {truth.label}"
        return _captioned(image, text, _EDGE if right else PREDICTED_COLOUR)


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
        known = np.asarray(np.isfinite(self.xy).all(axis=1)).tolist()
        pairs = zip(self.names, self.xy.tolist(), known, strict=True)
        return {"points": {name: xy if there else None for name, xy, there in pairs}}

    def as_rows(self) -> list[dict[str, Any]]:
        values = [value if np.isfinite(value) else None for value in self.xy.ravel().tolist()]
        return [dict(zip((f"{name}_{axis}" for name in self.names for axis in "xy"), values, strict=True))]

    def scaled(self, factor: float) -> Points:
        return Points(self.xy * np.float32(factor), self.names)

    def text(self) -> str:
        return ""

    def draw(self, image: NDArray[np.uint8], truth: Points | None = None) -> NDArray[np.uint8]:
        picture = image.copy()
        if truth is not None:
            for there, here in zip(truth.xy, self.xy, strict=True):
                _line(picture, there, here)
            _dots(picture, truth.xy, TRUE_COLOUR, hollow=True)
        _dots(picture, self.xy, PREDICTED_COLOUR)
        return picture


ANSWERS: dict[str, type[Label] | type[Points]] = {answer.kind: answer for answer in (Label, Points)}


def _dots(
    picture: NDArray[np.uint8], xy: NDArray[np.float32], colour: tuple[int, int, int], hollow: bool = False
) -> None:
    """Draw dots, or rings where hollow: told apart in black and white; a dark edge shows on light skin."""
    radius = max(1, round(min(picture.shape[:2]) / 90))
    if hollow:
        radius, width = round(1.8 * radius), max(1, radius // 2)
        strokes = [(_EDGE, width + 2), (colour, width)] if radius > 3 else [(colour, 1)]
    else:
        strokes = [(_EDGE, radius), (colour, -1)] if radius > 1 else [(colour, -1)]
    for point in xy[np.isfinite(xy).all(axis=1)]:
        for stroke, width in strokes:
            cv2.circle(picture, _fixed(point), radius << _SHIFT, stroke, width, cv2.LINE_AA, _SHIFT)


def _line(picture: NDArray[np.uint8], start: NDArray[np.float32], end: NDArray[np.float32]) -> None:
    if np.isfinite([start, end]).all():
        cv2.line(picture, _fixed(start), _fixed(end), PREDICTED_COLOUR, 1, cv2.LINE_AA, _SHIFT)


def _fixed(point: NDArray[np.float32]) -> tuple[int, int]:
    """Return a place as OpenCV draws it: pixel centres are whole there, in units of 1/16 px here."""
    x, y = np.rint((point - 0.5) * (1 << _SHIFT)).astype(int).clip(-(1 << 18), 1 << 18).tolist()
    return x, y


def _captioned(image: NDArray[np.uint8], text: str, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    scale = max(0.35, min(image.shape[:2]) / 400)
    height = int(26 * scale) + 6
    picture = np.pad(image, ((0, height), (0, 0), (0, 0)), constant_values=255)
    at = (3, picture.shape[0] - 6)
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, max(1, round(scale)), cv2.LINE_AA)
    return picture
