"""Average precision as COCO defines it (https://cocodataset.org/#detection-eval), counted by faster-coco-eval.

Every threshold of the score gives a precision and a recall; average precision is the mean precision over 101 levels of
recall. The usual figure, AP, is its mean over ten demands on the overlap (intersection over union 0.50, 0.55 … 0.95)
and over the classes; AP50 and AP75 are for one demand each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from viewfinder.data.answers import Boxes
from viewfinder.data.boxes import areas
from viewfinder.data.targets import BoxSets

__all__ = ["SIZES", "Precision", "average_precision", "sizes_of"]

SIZES: dict[str, tuple[float, float]] = {
    "all": (0, 1e10),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e10),
}
"""COCO's sizes, by a box's area in square pixels of the original image."""
MOST = 100
"""COCO counts as many boxes of a class in an image; more only where an image has more true ones."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Precision:
    """Precision by demanded overlap, recall, class and size.

    Args:
        table: (10, 101, K, sizes) precision at overlaps 0.50 … 0.95 and recalls 0.00 … 1.00;
            NaN where a class has no true box of that size.
        sizes: the names of the last axis, "all" first.
    """

    table: Floats
    sizes: tuple[str, ...]

    def mean(self, overlap: float | None = None, size: str = "all") -> float:
        """Return the mean over the classes that occur; NaN where none does."""
        return _mean(self.by_class(overlap, size))

    def by_class(self, overlap: float | None = None, size: str = "all") -> Floats:
        """Return (K,) average precision at one demanded overlap (0.5, 0.75), or over all ten."""
        chosen = slice(None) if overlap is None else slice(round(20 * overlap) - 10, round(20 * overlap) - 9)
        return np.asarray(self.table[chosen, :, :, self.sizes.index(size)].mean(axis=(0, 1)))

    def curves(self) -> Floats:
        """Return (101, K) precision over the recalls 0.00 … 1.00 at overlap 0.5."""
        return self.table[0, :, :, 0]


def average_precision(
    predictions: Sequence[Boxes], targets: BoxSets, names: Sequence[str], sizes: Sequence[str] = ("all",)
) -> Precision:
    """Return how precise predicted boxes are.

    Args:
        predictions: boxes with scores, an answer an image, the best first.
        targets: the truth, a row an image; at least one box.
        names: the classes.
        sizes: of `SIZES`, "all" first.
    """
    truth = _coco(len(targets), names, _described(targets.samples, targets.classes, targets.xyxy))
    ids = {name: i for i, name in enumerate(names)}
    samples = np.repeat(np.arange(len(predictions)), [len(one) for one in predictions])
    classes = np.array([ids[name] for one in predictions for name in one.classes], dtype=np.int64)
    xyxy = np.concatenate([np.zeros((0, 4), dtype=np.float32), *(one.xyxy for one in predictions)])
    scores = np.concatenate([np.zeros(0), *(one.scores for one in predictions if one.scores is not None)])
    found = _described(samples, classes, xyxy)
    for box, score in zip(found, scores.tolist(), strict=True):
        box["score"] = score
    judge = COCOeval_faster(truth, _coco(len(targets), names, found), "bbox")
    judge.params.maxDets = [max(MOST, _most(targets))]
    judge.params.areaRng, judge.params.areaRngLbl = [list(SIZES[size]) for size in sizes], list(sizes)
    judge.evaluate()
    judge.accumulate()
    table = np.asarray(judge.eval["precision"], dtype=np.float64)[..., 0]
    return Precision(np.where(table < 0, np.nan, table), tuple(sizes))


def _described(samples: NDArray[Any], classes: NDArray[Any], xyxy: NDArray[Any]) -> list[dict[str, Any]]:
    """Return boxes as COCO writes them. Ids count from 1: to its matching, 0 means none."""
    corners = xyxy.astype(np.float64)
    xywh = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    rows = zip(samples.tolist(), classes.tolist(), xywh.tolist(), strict=True)
    return [
        {"id": i, "image_id": image + 1, "category_id": kind + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for i, (image, kind, box) in enumerate(rows, 1)
    ]


def _coco(images: int, names: Sequence[str], boxes: list[dict[str, Any]]) -> COCO:
    content = {
        "images": [{"id": i + 1} for i in range(images)],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(names)],
        "annotations": boxes,
    }
    return COCO(content)


def _most(targets: BoxSets) -> int:
    """Return the largest number of true boxes of one class in one image."""
    _, counts = np.unique(np.stack([targets.samples, targets.classes]), axis=1, return_counts=True)
    return int(counts.max(initial=0))


def sizes_of(targets: BoxSets) -> dict[str, int]:
    """Return how many true boxes each of COCO's sizes has."""
    area = areas(targets.xyxy)
    return {size: int(((area >= low) & (area < high)).sum()) for size, (low, high) in SIZES.items()}


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
