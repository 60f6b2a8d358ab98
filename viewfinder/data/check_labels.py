"""Findings about classes: how many samples each has, and images that are said to show two things."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.findings import Finding, counted
from viewfinder.data.survey import Part

__all__ = ["class_counts", "class_imbalance", "conflicting_labels", "one_class", "rare_classes"]

RARE = 10
"""Fewer samples of a class than this cannot be split and learned."""
UNEVEN = 3
"""How many times as many samples the largest class may have before the smallest one suffers."""


def class_counts(part: Part) -> Iterator[Finding]:
    """Count the samples of each class."""
    counts = _counts(part)
    total = max(1, int(counts.sum()))
    where = tuple(
        f"{name}: {count:,} ({100 * count / total:.1f} %)"
        for name, count in zip(part.dataset.names, counts.tolist(), strict=True)
    )
    low, high = int(counts.min(initial=total)), int(counts.max(initial=0))
    each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    yield Finding("class-counts", "info", f"{counted(len(counts), 'class')}, {each} samples each", where)


def one_class(part: Part) -> Iterator[Finding]:
    """Find a set with nothing to tell apart."""
    there = [name for name, count in zip(part.dataset.names, _counts(part), strict=True) if count]
    if len(there) < 2:
        message = f"only one class has samples: {there[0]}" if there else "no class has samples"
        yield Finding("one-class", "error", message, advice="Add samples of at least one more class.")


def rare_classes(part: Part) -> Iterator[Finding]:
    """Find classes with too few samples."""
    pairs = zip(part.dataset.names, _counts(part).tolist(), strict=True)
    rare = tuple(f"{name}: {count}" for name, count in pairs if count < RARE)
    if rare:
        message = f"{len(rare)} of {len(part.dataset.names)} classes have fewer than {RARE} samples"
        yield Finding("rare-classes", "warning", message, rare, "Add samples, or leave these classes out.")


def class_imbalance(part: Part) -> Iterator[Finding]:
    """Find one class that is much more frequent than another."""
    counts = _counts(part)
    there = np.flatnonzero(counts)
    if len(there) < 2:
        return
    least, most = there[counts[there].argmin()], there[counts[there].argmax()]
    if counts[most] >= UNEVEN * counts[least]:
        names, times = part.dataset.names, counts[most] / counts[least]
        yield Finding(
            "class-imbalance",
            "warning",
            f"{names[most]} has {times:.1f} times as many samples as {names[least]}",
            tuple(f"{names[i]}: {counts[i]:,}" for i in there[counts[there].argsort(kind="stable")]),
            "Add samples of the rare ones, or train with --set train.class_weights=balanced.",
        )


def conflicting_labels(part: Part) -> Iterator[Finding]:
    """Find equal images that have two classes."""
    ids, names = _ids(part), part.dataset.names
    groups = [rows for rows in part.repeated(part.exact) if len(np.unique(ids[rows])) > 1]
    if groups:
        yield Finding(
            "conflicting-targets",
            "error",
            f"{counted(len(groups), 'image')} with more than one class",
            tuple(" = ".join(f"{part.where(row)} ({names[ids[row]]})" for row in rows) for rows in groups),
            "Decide which one is right, and delete the other copies.",
        )


def _ids(part: Part) -> NDArray[np.int64]:
    return np.asarray(part.dataset.labelled().array())


def _counts(part: Part) -> NDArray[np.int64]:
    return np.bincount(_ids(part), minlength=len(part.dataset.names))
