"""What tasks that find boxes measure and report: predicted boxes beside true ones.

A box is found where its overlap (intersection over union) with a true box of its class is at least 0.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.answers import Boxes
from viewfinder.data.boxes import overlaps
from viewfinder.data.matching import Matching, assigned, same_class
from viewfinder.data.targets import BoxSets
from viewfinder.tasks.precision import SIZES, Precision, average_precision, sizes_of
from viewfinder.tasks.sections import Bars, Lines, Matrix, Section, Table

__all__ = ["best_threshold", "box_errors", "box_sections", "measure_boxes"]

USUAL = 0.3
"""The threshold where nothing says which one is good."""
MOST_CURVES, WORST_CURVES = 6, 4
BACKGROUND = "background"

Floats = NDArray[np.float64]


def measure_boxes(predictions: Sequence[Boxes], targets: BoxSets, names: Sequence[str]) -> dict[str, float]:
    """Return "ap", "ap50", "ap75", and "f1", "precision", "recall" at the best threshold; NaN without any true box.

    Args:
        predictions: boxes with scores, an answer an image, the best first; pixels of the original images.
        targets: the truth, a row an image.
        names: the classes.
    """
    if not len(targets.classes):
        return dict.fromkeys(("ap", "ap50", "ap75", "f1", "precision", "recall"), float("nan"))
    precise = average_precision(predictions, targets, names)
    curve = _curve(predictions, targets, names)
    return {
        "ap": precise.mean(),
        "ap50": precise.mean(0.5),
        "ap75": precise.mean(0.75),
        "f1": curve.best("f1"),
        "precision": curve.best("precision"),
        "recall": curve.best("recall"),
    }


def best_threshold(predictions: Sequence[Boxes], targets: BoxSets, names: Sequence[str]) -> float:
    """Return the score with the best F1, midway to the next lower one; 0.3 where no box is found."""
    return _curve(predictions, targets, names).threshold


def box_errors(predictions: Sequence[Boxes], targets: BoxSets, names: Sequence[str]) -> Floats:
    """Return (N,) the number of wrong boxes of each image at the best threshold, and how loose its right ones are.

    Missed, false, doubled and confused boxes count 1 each; the mean of 1 - overlap of those found is added.
    """
    threshold = best_threshold(predictions, targets, names)
    return np.array([_error(one) for one in _matchings(predictions, targets, names, threshold)], dtype=np.float64)


def box_sections(predictions: Sequence[Boxes], targets: BoxSets, names: Sequence[str]) -> list[Section]:
    """Return what the report shows of boxes: counts, precision by class and size, curves, and what is confused."""
    curve = _curve(predictions, targets, names)
    matchings = list(_matchings(predictions, targets, names, curve.threshold))
    counts = _counted(predictions, targets, names, curve.threshold, matchings)
    summary = _summary(matchings, curve.threshold)
    if not len(targets.classes):
        return [summary]
    precise = average_precision(predictions, targets, names, tuple(SIZES))
    return [
        summary,
        _by_size(precise, targets),
        *_by_class(precise, counts, names),
        _precision_recall(precise, names),
        _over_threshold(curve),
        _confusion(counts, names),
    ]


@dataclass(frozen=True)
class _Curve:
    """Precision, recall and F1 of all boxes together with a score of at least `scores` (P,), which fall."""

    scores: Floats
    found: Floats
    said: Floats
    true: int

    @property
    def precision(self) -> Floats:
        return self.found / self.said

    @property
    def recall(self) -> Floats:
        return self.found / max(1, self.true)

    @property
    def f1(self) -> Floats:
        return 2 * self.found / (self.said + self.true)

    @property
    def threshold(self) -> float:
        if not self.found.any():
            return USUAL
        best = int(self.f1.argmax())
        score = np.float32(self.scores[best])
        lower = np.float32(self.scores[best + 1] if best + 1 < len(self.scores) else 0)
        return float(max((score + lower) / 2, np.nextafter(lower, np.float32(1))))

    def best(self, name: str) -> float:
        """Return a figure at the threshold with the best F1; 0 where nothing is found."""
        values: Floats = getattr(self, name)
        return float(values[self.f1.argmax()]) if self.found.any() else 0.0

    def at(self, thresholds: Floats) -> dict[str, Floats]:
        """Return the three figures at thresholds (S,); precision is NaN where nothing has such a score."""
        last = np.searchsorted(-self.scores, -thresholds, side="right") - 1
        known = last >= 0
        curves = {}
        for name, nothing in (("precision", np.nan), ("recall", 0.0), ("f1", 0.0)):
            values: Floats = getattr(self, name)
            curves[name] = np.where(known, values[last], nothing) if len(values) else np.full(len(last), nothing)
        return curves


def _curve(predictions: Sequence[Boxes], targets: BoxSets, names: Sequence[str]) -> _Curve:
    found = [np.zeros(0, dtype=bool)]
    scores = [np.zeros(0)]
    for row, one in enumerate(predictions):
        if one.scores is not None and len(one):
            truth = targets.one(row, names)
            same = same_class(one.classes, truth.classes)
            found.append(assigned(overlaps(one.xyxy, truth.xyxy), same) >= 0)
            scores.append(one.scores.astype(np.float64))
    score, right = np.concatenate(scores), np.concatenate(found)
    order = np.argsort(-score, kind="stable")
    score = score[order]
    last = np.append(np.diff(score) != 0, True)[: len(score)]  # boxes of one score are above a threshold together
    sums, ranks = np.cumsum(right[order], dtype=np.float64), np.arange(1.0, len(score) + 1)
    return _Curve(score[last], sums[last], ranks[last], len(targets.classes))


def _matchings(
    predictions: Sequence[Boxes], targets: BoxSets, names: Sequence[str], threshold: float
) -> Iterator[Matching]:
    for row, one in enumerate(predictions):
        yield one.above(threshold).matching(targets.one(row, names))


def _error(one: Matching) -> float:
    loose = float(1 - one.overlap[one.found].mean()) if one.found.any() else 0.0
    return sum(one.mistakes.values()) + loose


def _summary(matchings: Sequence[Matching], threshold: float) -> Table:
    def total(kind: str) -> int:
        return sum(int(getattr(one, kind).sum()) for one in matchings)

    found, confused, missed = total("found"), total("confused"), total("missed")
    rows = [
        ("true boxes", found + confused + missed),
        ("found: the right place and class", found),
        ("confused: the right place, a wrong class", confused),
        ("missed: nothing was said at their place", missed),
        ("doubled: said once more where one is already", total("doubled")),
        ("false: said where nothing is", total("false")),
    ]
    about = (
        f"Boxes with a score of at least {threshold:.2f}, the threshold with the best F1. "
        "At the right place: intersection over union of at least 0.5."
    )
    return Table("Right and wrong boxes", ("", "boxes"), rows, about)


def _by_size(precise: Precision, targets: BoxSets) -> Table:
    words = {"small": "small: below 32 × 32 px", "medium": "medium: up to 96 × 96 px", "large": "large", "all": "all"}
    counts = sizes_of(targets)
    rows = [(words[size], 100 * precise.mean(size=size), counts[size]) for size in words]
    about = "Sizes as COCO has them, by area, in pixels of the original images."
    return Table("Average precision by size", ("size", "AP %", "boxes"), rows, about)


def _by_class(precise: Precision, counts: NDArray[np.int64], names: Sequence[str]) -> list[Section]:
    ap, ap50 = precise.by_class(), precise.by_class(0.5)
    rows = [
        (
            name,
            100 * float(ap[k]),
            100 * float(ap50[k]),
            int(counts[k].sum()),
            int(counts[k, k]),
            int(counts[k, -1]),
            int(counts[k].sum() - counts[k, k] - counts[k, -1]),
        )
        for k, name in enumerate(names)
    ]
    columns = ("class", "AP %", "AP50 %", "boxes", "found", "missed", "confused")
    about = "AP: mean over overlaps from 0.50 to 0.95. AP50: an overlap of 0.5 is enough."
    bars = Bars("Average precision of each class", tuple(names), ap.tolist(), "%", about)
    return [*([bars] if len(names) > 1 else []), Table("Each class", columns, rows, about)]


def _precision_recall(precise: Precision, names: Sequence[str]) -> Lines:
    levels = np.linspace(0, 1, 101)
    curves = {names[k]: precise.curves()[:, k] for k in _shown(precise)}
    some = len(curves) < np.isfinite(precise.by_class()).sum()
    if some:
        curves = {"mean of all": np.nanmean(precise.curves(), axis=1), **curves}
    reached = {name: (levels, np.where(values > 0, values, np.nan)) for name, values in curves.items()}
    about = "How many of the boxes said are right, while more and more of the true ones are found. Overlap 0.5."
    which = " The mean, and the classes with the lowest AP." if some else ""
    return Lines("Precision and recall", reached, "recall", "precision", about=about + which)


def _shown(precise: Precision) -> list[int]:
    """Return the classes whose curves are drawn: all, or the worst where there are many."""
    ap = precise.by_class()
    known = [int(k) for k in np.argsort(ap, kind="stable") if np.isfinite(ap[k])]
    return sorted(known) if len(known) <= MOST_CURVES else known[:WORST_CURVES]


def _over_threshold(curve: _Curve) -> Lines:
    thresholds = np.linspace(0, min(1.0, 1.1 * float(curve.scores.max(initial=0.1))), 201)
    curves = {name.replace("f1", "F1"): (thresholds, values) for name, values in curve.at(thresholds).items()}
    about = f"What a threshold on the score does to all boxes together. F1 is best at {curve.threshold:.2f}, the line."
    return Lines("The choice of the threshold", curves, "threshold", "share", about=about, mark=curve.threshold)


def _confusion(counts: NDArray[np.int64], names: Sequence[str]) -> Matrix:
    about = (
        "Rows are the truth, columns the answer. Last column: true boxes that were missed. "
        "Last row: boxes said where nothing is, or twice."
    )
    return Matrix("Confusion", (*names, BACKGROUND), counts, about)


def _counted(
    predictions: Sequence[Boxes],
    targets: BoxSets,
    names: Sequence[str],
    threshold: float,
    matchings: Sequence[Matching],
) -> NDArray[np.int64]:
    """Return (K + 1, K + 1) counts, rows the truth, columns the answer; the last of each is the background."""
    ids = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names) + 1, len(names) + 1), dtype=np.int64)
    for row, (one, matching) in enumerate(zip(predictions, matchings, strict=True)):
        true = targets.classes[targets.offsets[row] : targets.offsets[row + 1]]
        said = np.array([ids[name] for name in one.above(threshold).classes], dtype=np.int64)
        np.add.at(counts, (np.append(true, len(names))[matching.partner], said), 1)
        np.add.at(counts[:, -1], true[matching.missed], 1)
    return counts
