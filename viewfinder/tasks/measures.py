"""What the tasks measure: numpy in, numbers out. What is not annotated is NaN, and never counted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "by_class",
    "calibration_error",
    "confusion",
    "distances",
    "eye_distances",
    "log_loss",
    "mean",
    "reliability",
    "root_mean_square",
    "share_within",
    "worst_margin",
]

Floats = NDArray[np.float64]


def mean(values: NDArray[Any]) -> float:
    """Return the mean of what is not NaN; NaN where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def root_mean_square(values: NDArray[Any]) -> float:
    """Return the root of the mean square of what is not NaN."""
    return float(np.sqrt(mean(np.square(values, dtype=np.float64))))


def share_within(values: NDArray[Any], limit: float) -> float:
    """Return the share of what is not NaN that is at most `limit`."""
    return mean(np.where(np.isnan(values), np.nan, values <= limit))


def confusion(ids: NDArray[np.int64], said: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return (C, C) counts: rows are the truth, columns the answer. ids and said are (N,)."""
    return np.bincount(ids * classes + said, minlength=classes**2).reshape(classes, classes)


def by_class(ids: NDArray[np.int64], said: NDArray[np.int64], classes: int) -> tuple[Floats, Floats, Floats]:
    """Return (C,) precision and recall, 0 where nothing is counted, and F1, NaN for classes neither true nor said."""
    right, true, called = (np.bincount(of, minlength=classes) for of in (ids[ids == said], ids, said))
    there = true + called
    f1 = np.divide(2 * right, there, out=np.full(classes, np.nan), where=there > 0)
    return right / np.maximum(called, 1), right / np.maximum(true, 1), f1


def log_loss(scores: NDArray[Any], ids: NDArray[np.int64]) -> float:
    """Return the mean of -log of the true class's probability, in nats; scores (N, C)."""
    true = scores[np.arange(len(ids)), ids].astype(np.float64)
    return mean(-np.log(np.clip(true, 1e-15, 1)))


def worst_margin(scores: NDArray[Any], ids: NDArray[np.int64]) -> Floats:
    """Return (N,) the best other class's probability minus the true one's: above 0 where the answer is wrong."""
    rows = np.arange(len(ids))
    others = scores.astype(np.float64)
    others[rows, ids] = -np.inf
    return np.asarray(others.max(axis=1) - scores[rows, ids], dtype=np.float64)


def reliability(scores: NDArray[Any], ids: NDArray[np.int64], bins: int = 15) -> tuple[Floats, Floats, Floats]:
    """Return (confidence, accuracy, share of the samples), a number each bin of confidence that is not empty."""
    confidence = scores.max(axis=1).astype(np.float64)
    right = (scores.argmax(axis=1) == ids).astype(np.float64)
    bin_of = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    there = counts > 0
    sums = [np.bincount(bin_of, values, minlength=bins)[there] for values in (confidence, right)]
    return sums[0] / counts[there], sums[1] / counts[there], counts[there] / max(len(ids), 1)


def calibration_error(scores: NDArray[Any], ids: NDArray[np.int64]) -> float:
    """Return the expected calibration error over 15 bins (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""
    confidence, accuracy, share = reliability(scores, ids)
    return float(np.sum(share * np.abs(confidence - accuracy)))


def distances(predicted: NDArray[Any], true: NDArray[Any]) -> Floats:
    """Return (N, K) how far each predicted point is from the true one, in pixels; both are (N, K, 2)."""
    return np.asarray(np.linalg.norm(predicted.astype(np.float64) - true, axis=2), dtype=np.float64)


def eye_distances(true: NDArray[Any], names: Sequence[str]) -> Floats | None:
    """Return (N,) the distance between the centres of the eyes in pixels; None where no points are named so."""
    left, right = (_eye(names, side) for side in ("left", "right"))
    if left is None or right is None:
        return None
    gaps = np.linalg.norm(true[:, left].astype(np.float64) - true[:, right], axis=1)
    return np.where(gaps > 0, gaps, np.nan)


def _eye(names: Sequence[str], side: str) -> int | None:
    for index, name in enumerate(names):
        words = set(re.split(r"[\W_]+", name.lower()))
        if {side, "eye"} <= words <= {side, "eye", "center", "centre", "pupil"}:
            return index
    return None
