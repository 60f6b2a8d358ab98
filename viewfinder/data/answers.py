"""One sample's answer: what a model predicts and, in the same form, what is true.

Nothing here needs torch: the predictor, the live view and the tasks share these classes. A model file
names its kind of answer in its metadata; `ANSWERS` finds the class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.boxes import move_boxes, overlaps
from viewfinder.data.findings import counted
from viewfinder.data.matching import Matching, match
from viewfinder.data.strokes import (
    EDGE,
    PREDICTED_COLOUR,
    TRUE_COLOUR,
    captioned,
    corners,
    dots,
    line,
    rectangles,
    tags,
)
from viewfinder.errors import InputError, nearest

__all__ = ["ANSWERS", "PREDICTED_COLOUR", "TRUE_COLOUR", "Answer", "Boxes", "Label", "Points"]

MOST_DRAWN = 1000
"""More boxes than this cannot be told apart in a picture."""
TOLERANCE = 2e-4
"""What two models may differ, as a share of the largest value and of no less than 1: 0.02 px where it is 96."""
FAINT = 0.1
"""Boxes with a lower score need no partner when two models are compared: which of two equally faint ones covers the
other is a matter of rounding, and nobody is shown either."""

Outputs = Mapping[str, NDArray[Any]]


class Answer(Protocol):
    """What one image is said to show."""

    kind: str
    marks: tuple[str, str]
    """How the answer and the truth are marked in a picture, for its legend; empty where there are words only."""

    @classmethod
    def decode(cls, outputs: Outputs, names: Sequence[str], to_image: NDArray[Any]) -> Sequence[Answer]:
        """Return an answer an image from a model file's outputs.

        Args:
            outputs: by name, arrays whose first axis is the batch; coordinates in input pixels.
            names: classes or keypoints.
            to_image: (N, 2, 3) maps from input pixels to the original image's pixels.
        """
        ...

    @classmethod
    def apart(cls, new: Outputs, old: Outputs) -> dict[str, tuple[float, float]]:
        """Return how far two models' outputs for the same images are apart: what by how much, and what is allowed.

        NaN where an output is not finite.
        """
        ...

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as plain JSON values."""
        ...

    def as_rows(self) -> list[dict[str, Any]]:
        """Return the answer as rows of a table: one, or one for each thing found."""
        ...

    @staticmethod
    def columns(names: Sequence[str]) -> dict[str, type]:
        """Return the columns of a prediction's rows, with the type of what is in them: str or float."""
        ...

    def scaled(self, factor: float) -> Answer:
        """Return the answer for the same image, enlarged by `factor`."""
        ...

    def above(self, threshold: float) -> Answer:
        """Return the answer without the things whose score is below `threshold`."""
        ...

    def text(self) -> str:
        """Return what is said in words, "seven (98 %)"; empty where a picture says it better."""
        ...

    def differences(self, truth: Any) -> str:
        """Return how far it is from the truth, "2 missed, 1 false"; empty where the answer or a number says it all."""
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
    marks = ("", "")

    @property
    def score(self) -> float:
        """The probability of the label; 1 for a truth."""
        return 1.0 if self.scores is None else float(self.scores[self.names.index(self.label)])

    @classmethod
    def decode(cls, outputs: Outputs, names: Sequence[str], to_image: NDArray[Any]) -> list[Label]:
        every = tuple(names)
        return [cls(every[int(row.argmax())], every, row) for row in outputs["scores"]]

    @classmethod
    def apart(cls, new: Outputs, old: Outputs) -> dict[str, tuple[float, float]]:
        return _values_apart(new, old)

    def as_dict(self) -> dict[str, Any]:
        scores = {} if self.scores is None else {"scores": dict(zip(self.names, self.scores.tolist(), strict=True))}
        return {"label": self.label, "score": self.score, **scores}

    def as_rows(self) -> list[dict[str, Any]]:
        scores = self.as_dict().get("scores", {})
        return [{"label": self.label, "score": self.score, **{f"score_{name}": scores[name] for name in scores}}]

    @staticmethod
    def columns(names: Sequence[str]) -> dict[str, type]:
        return {"label": str, "score": float, **{f"score_{name}": float for name in names}}

    def scaled(self, factor: float) -> Label:
        return self

    def above(self, threshold: float) -> Label:
        return self

    def text(self) -> str:
        return self.label if self.scores is None else f"{self.label} ({100 * self.score:.3g} %)"

    def differences(self, truth: Label) -> str:
        return ""

    def draw(self, image: NDArray[np.uint8], truth: Label | None = None) -> NDArray[np.uint8]:
        right = truth is None or truth.label == self.label
        text = self.text() if right or truth is None else f"{self.text()}, is {truth.label}"
        return captioned(image, text, EDGE if right else PREDICTED_COLOUR)


@dataclass(frozen=True)
class Points:
    """Named points. `xy` is (K, 2) float32 in pixels of the image, NaN where a point is unknown."""

    xy: NDArray[np.float32]
    names: tuple[str, ...]
    kind = "points"
    marks = ("dot", "ring")

    def __getitem__(self, name: str) -> tuple[float, float]:
        if name not in self.names:
            raise InputError(f"no point is called {name!r}", hint=nearest(name, self.names))
        x, y = self.xy[self.names.index(name)].tolist()
        return x, y

    @classmethod
    def decode(cls, outputs: Outputs, names: Sequence[str], to_image: NDArray[Any]) -> list[Points]:
        xy = np.einsum("nij,nkj->nki", to_image[:, :, :2], outputs["points"]) + to_image[:, None, :, 2]
        return [cls(row, tuple(names)) for row in xy.astype(np.float32)]

    @classmethod
    def apart(cls, new: Outputs, old: Outputs) -> dict[str, tuple[float, float]]:
        return _values_apart(new, old)

    def as_dict(self) -> dict[str, Any]:
        known = np.asarray(np.isfinite(self.xy).all(axis=1)).tolist()
        pairs = zip(self.names, self.xy.tolist(), known, strict=True)
        return {"points": {name: xy if there else None for name, xy, there in pairs}}

    def as_rows(self) -> list[dict[str, Any]]:
        values = [value if np.isfinite(value) else None for value in self.xy.ravel().tolist()]
        return [dict(zip((f"{name}_{axis}" for name in self.names for axis in "xy"), values, strict=True))]

    @staticmethod
    def columns(names: Sequence[str]) -> dict[str, type]:
        return {f"{name}_{axis}": float for name in names for axis in "xy"}

    def scaled(self, factor: float) -> Points:
        return Points(self.xy * np.float32(factor), self.names)

    def above(self, threshold: float) -> Points:
        return self

    def text(self) -> str:
        return ""

    def differences(self, truth: Points) -> str:
        return ""

    def draw(self, image: NDArray[np.uint8], truth: Points | None = None) -> NDArray[np.uint8]:
        picture = image.copy()
        if truth is not None:
            for there, here in zip(truth.xy, self.xy, strict=True):
                line(picture, there, here)
            dots(picture, truth.xy, TRUE_COLOUR, hollow=True)
        dots(picture, self.xy, PREDICTED_COLOUR)
        return picture


@dataclass(frozen=True)
class Boxes:
    """Boxes with a class each; there may be none.

    Args:
        xyxy: (M, 4) float32 x0 y0 x1 y1 in pixels of the image.
        classes: the class of each box.
        names: all classes there are.
        scores: (M,) float32 from 0 to 1, the best first; None for a truth.
    """

    xyxy: NDArray[np.float32]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    scores: NDArray[np.float32] | None = None
    kind = "boxes"
    marks = ("rectangle", "corners")

    def __len__(self) -> int:
        return len(self.classes)

    @classmethod
    def decode(cls, outputs: Outputs, names: Sequence[str], to_image: NDArray[Any]) -> list[Boxes]:
        """Decode "boxes" (B, K, 4), "scores" (B, K) and "classes" (B, K); rows with a score of 0 fill up the K."""
        answers = []
        columns = (outputs["boxes"], outputs["scores"], outputs["classes"], to_image)
        for xyxy, scores, classes, matrix in zip(*columns, strict=True):
            found = np.flatnonzero(scores > 0)
            found = found[np.argsort(-scores[found], kind="stable")]
            said = tuple(names[int(i)] for i in classes[found])
            answers.append(cls(move_boxes(xyxy[found], matrix), said, tuple(names), scores[found].astype(np.float32)))
        return answers

    @classmethod
    def apart(cls, new: Outputs, old: Outputs) -> dict[str, tuple[float, float]]:
        """Compare box by box, each with the one of its class on the other side that overlaps it most."""
        pairs = [
            _partners(*({name: values[image] for name, values in side.items()} for side in sides))
            for image in range(len(new["scores"]))
            for sides in ((new, old), (old, new))
        ]
        loosest, score = np.max([(0.0, 0.0), *(worst for pair in pairs for worst in pair)], axis=0).tolist()
        finite = all(np.isfinite(values).all() for side in (new, old) for values in side.values())
        loose = loosest if finite else float("nan")
        found = max(int((side["scores"] > FAINT).sum()) for side in (new, old))
        boxes = f"{counted(found, 'box')}, 1 − overlap"  # an agreement on none proves little
        return {boxes: (loose, 0.01), "scores": (score if finite else float("nan"), 0.01)}

    def as_dict(self) -> dict[str, Any]:
        pairs = zip(self.classes, self.xyxy.tolist(), strict=True)
        boxes: list[dict[str, Any]] = [{"class": name, "box": box} for name, box in pairs]
        if self.scores is not None:
            boxes = [{**box, "score": score} for box, score in zip(boxes, self.scores.tolist(), strict=True)]
        return {"boxes": boxes}

    def as_rows(self) -> list[dict[str, Any]]:
        rows = self.as_dict()["boxes"]
        sides = [dict(zip(("x0", "y0", "x1", "y1"), row["box"], strict=True)) for row in rows]
        return [
            {"class": row["class"], "score": row.get("score", 1.0), **side}
            for row, side in zip(rows, sides, strict=True)
        ]

    @staticmethod
    def columns(names: Sequence[str]) -> dict[str, type]:
        return {"class": str, "score": float, "x0": float, "y0": float, "x1": float, "y1": float}

    def scaled(self, factor: float) -> Boxes:
        return replace(self, xyxy=self.xyxy * np.float32(factor))

    def above(self, threshold: float) -> Boxes:
        if self.scores is None:
            return self
        kept = np.flatnonzero(self.scores >= threshold)
        return replace(
            self, xyxy=self.xyxy[kept], classes=tuple(self.classes[i] for i in kept), scores=self.scores[kept]
        )

    def matching(self, truth: Boxes) -> Matching:
        """Return what became of these boxes, the best first, and of the true ones."""
        return match(self.xyxy, self.classes, truth.xyxy, truth.classes)

    def text(self) -> str:
        counts = Counter(self.classes)
        shown = ", ".join(f"{counts[name]:,} {name}" for name in sorted(counts, key=self.names.index))
        return shown or "nothing"

    def differences(self, truth: Boxes) -> str:
        """Return the boxes that are wrong, and how well those at their place overlap the true ones."""
        matching = self.matching(truth)
        wrong = [f"{count:,} {word}" for word, count in matching.mistakes.items()]
        placed = matching.overlap[matching.partner >= 0]
        overlap = [f"overlap {placed.mean():.2f}"] if len(placed) else []
        return ", ".join([*(wrong or ["all right"]), *overlap])

    def draw(self, image: NDArray[np.uint8], truth: Boxes | None = None) -> NDArray[np.uint8]:
        """Draw the answer as rectangles and the truth as thick corners.

        Beside a truth, words on orange are at boxes that are wrong, words on blue at true ones that were not found.
        """
        picture, shown = image.copy(), self._first(MOST_DRAWN)
        if truth is not None:
            corners(picture, truth.xyxy[:MOST_DRAWN], TRUE_COLOUR)
        rectangles(picture, shown.xyxy, PREDICTED_COLOUR)
        if truth is not None:
            shown._tag_beside(truth._first(MOST_DRAWN), picture)
        elif len(self.names) > 1 or self.scores is not None:
            tags(picture, shown.xyxy, shown._words())
        return picture

    def _tag_beside(self, truth: Boxes, picture: NDArray[np.uint8]) -> None:
        """Write what is wrong first, since words give way to those that stand already."""
        matching, taken = self.matching(truth), list[tuple[int, int, int, int]]()
        lost = np.setdiff1d(np.arange(len(truth)), matching.partner[matching.found])
        for boxes, rows, paper, said in (
            (self, np.flatnonzero(~matching.found), PREDICTED_COLOUR, True),
            (truth, lost, TRUE_COLOUR, False),
            (self, np.flatnonzero(matching.found), EDGE, True),
        ):
            if len(self.names) > 1 or (said and self.scores is not None):
                words = boxes._words()
                tags(picture, boxes.xyxy[rows], [words[row] for row in rows], paper, below=not said, taken=taken)

    def _first(self, count: int) -> Boxes:
        scores = None if self.scores is None else self.scores[:count]
        return replace(self, xyxy=self.xyxy[:count], classes=self.classes[:count], scores=scores)

    def _words(self) -> list[str]:
        if self.scores is None:
            return list(self.classes)
        return [f"{name} {100 * score:.0f} %" for name, score in zip(self.classes, self.scores.tolist(), strict=True)]


def _values_apart(new: Outputs, old: Outputs) -> dict[str, tuple[float, float]]:
    largest = {name: float(np.abs(new[name] - old[name]).max()) for name in old}
    scale = {name: max(1.0, float(np.abs(old[name]).max())) for name in old}
    return {name: (largest[name], TOLERANCE * scale[name]) for name in old}


def _partners(here: Outputs, there: Outputs) -> list[tuple[float, float]]:
    """Return for each box of one image that is not faint (1 − overlap, difference of scores) to its partner."""
    chosen, others = (np.flatnonzero(side["scores"] > least) for side, least in ((here, FAINT), (there, 0)))
    if not chosen.size:
        return []
    if not others.size:
        return [(1.0, 1.0)]
    shared = overlaps(here["boxes"][chosen], there["boxes"][others])
    shared[here["classes"][chosen][:, None] != there["classes"][others]] = 0
    best = shared.argmax(axis=1)
    gaps = np.abs(here["scores"][chosen] - there["scores"][others][best])
    return list(zip((1 - shared.max(axis=1)).tolist(), gaps.tolist(), strict=True))


ANSWERS: dict[str, type[Label] | type[Points] | type[Boxes]] = {kind.kind: kind for kind in (Label, Points, Boxes)}
