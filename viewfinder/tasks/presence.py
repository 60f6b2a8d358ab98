"""What tasks that find one object an image, or none, measure and report.

A prediction is one box whose score is the probability that the object is there at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.answers import Boxes
from viewfinder.data.boxes import areas, overlaps
from viewfinder.data.matching import MATCH
from viewfinder.data.targets import BoxSets
from viewfinder.tasks import measures
from viewfinder.tasks.sections import Bars, Matrix, Section, Table

__all__ = ["PRESENT", "measure_one", "one_errors", "one_sections"]

PRESENT = 0.5
"""The probability from which on the object is said to be there."""

Floats = NDArray[np.float64]


def measure_one(predictions: Sequence[Boxes], targets: BoxSets) -> dict[str, float]:
    """Return "iou" and "presence"; NaN where there is nothing to judge.

    iou: the mean overlap of the box with the largest true one, over images that have one, whatever its score.
    presence: the share of images where it is rightly said whether the object is there.
    """
    said = _scores(predictions) >= PRESENT
    right = (said == (targets.counts > 0)).astype(np.float64)
    return {"iou": measures.mean(_overlaps(predictions, targets)), "presence": measures.mean(right)}


def one_errors(predictions: Sequence[Boxes], targets: BoxSets) -> Floats:
    """Return (N,) from 0 to 2: 1 - overlap where there is an object, and how far the probability is off."""
    loose = np.nan_to_num(1 - _overlaps(predictions, targets))
    return np.asarray(loose + np.abs((targets.counts > 0) - _scores(predictions)))


def one_sections(predictions: Sequence[Boxes], targets: BoxSets) -> list[Section]:
    """Return what the report shows: how well boxes fit, and whether it is known that the object is there."""
    there, said = targets.counts > 0, _scores(predictions) >= PRESENT
    counts = np.array([[np.sum((there == t) & (said == s)) for s in (True, False)] for t in (True, False)])
    overlap = _overlaps(predictions, targets)
    known = overlap[np.isfinite(overlap)]
    presence = Matrix("Presence", ("there", "absent"), counts, "Rows are the truth, columns the answer.")
    return [presence, *(_fit(known) if len(known) else [])]


def _fit(overlap: Floats) -> list[Section]:
    edges = np.linspace(0, 1, 11)
    counts, _ = np.histogram(overlap, edges)
    names = tuple(f"{low:.1f} to {high:.1f}" for low, high in pairwise(edges))
    about = "How many images have a box that overlaps the true one so much; 1 is perfect."
    limits = (MATCH, 0.75, 0.9)
    rows: list[tuple[str, float, int]] = [
        (f"{limit:g} and more", 100 * float(np.mean(overlap >= limit)), int(np.sum(overlap >= limit)))
        for limit in limits
    ]
    words = f"Of {len(overlap):,} images that show one. The median overlap is {np.median(overlap):.2f}."
    return [
        Bars("Overlap of the boxes", names, counts.tolist(), "images", about),
        Table("Boxes that fit", ("overlap", "% of images", "images"), rows, words),
    ]


def _scores(predictions: Sequence[Boxes]) -> Floats:
    """Return (N,) the probability that the object is there; 0 for an answer without a box."""
    scores = [0.0 if one.scores is None or not len(one) else float(one.scores[0]) for one in predictions]
    return np.array(scores, dtype=np.float64)


def _overlaps(predictions: Sequence[Boxes], targets: BoxSets) -> Floats:
    """Return (N,) the overlap of each first box with the largest true one; NaN where there is none."""
    overlap = np.full(len(targets), np.nan)
    for row in np.flatnonzero(targets.counts).tolist():
        true = targets.xyxy[targets.offsets[row] : targets.offsets[row + 1]]
        largest = true[[int(areas(true).argmax())]]
        overlap[row] = overlaps(predictions[row].xyxy[:1], largest).max(initial=0)
    return overlap
