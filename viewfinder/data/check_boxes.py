"""Findings about boxes: how many there are of what, and those that cannot be right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.boxes import areas, clipped
from viewfinder.data.findings import Finding, counted
from viewfinder.data.survey import Part
from viewfinder.data.targets import BoxSets

__all__ = [
    "box_counts",
    "box_imbalance",
    "box_values",
    "boxes_outside",
    "conflicting_boxes",
    "crowded_samples",
    "duplicate_boxes",
    "empty_boxes",
    "no_boxes",
    "rare_boxes",
    "tiny_boxes",
    "unseen_classes",
]

RARE = 10
"""Fewer boxes of a class than this cannot be split and learned."""
UNEVEN = 5
"""How many times as many boxes the most frequent class may have before the rarest one suffers."""
TINY = 0.01
"""Share of the image's longer side: 3 of 320 pixels, less than a network can find."""
CROWDED = 300
"""Boxes in one image that a detector will not all find."""
OUTSIDE = 0.5
"""Pixels by which a rounded number may reach outside."""


def box_counts(part: Part) -> Iterator[Finding]:
    """Count the boxes of each class and of each sample."""
    boxes, names = _boxes(part), part.dataset.names
    counts, total = _counts(part), max(1, len(boxes.classes))
    pairs = zip(names, counts.tolist(), strict=True)
    where = tuple(f"{name}: {count:,} ({100 * count / total:.1f} %)" for name, count in pairs)
    classes = counted(len(names), "class")
    yield Finding("class-counts", "info", f"{counted(len(boxes.classes), 'box')} of {classes}", where)
    empty = int((boxes.counts == 0).sum())
    if len(boxes.classes):
        sides = np.sqrt(areas(boxes.xyxy)[np.isfinite(boxes.xyxy).all(axis=1)])
        size = f", the middle one {np.median(sides):.0f} px wide and high" if len(sides) else ""
        each = f"{boxes.counts.min():,} to {boxes.counts.max():,} boxes in an image{size}"
        yield Finding("box-counts", "info", f"{each}; {counted(empty, 'image')} without a box")


def no_boxes(part: Part) -> Iterator[Finding]:
    """Find a set in which nothing is marked."""
    if not len(_boxes(part).classes):
        advice = "Mark what should be found; a set of negatives alone teaches nothing."
        yield Finding("no-boxes", "error", "there is no box in any image", advice=advice)


def rare_boxes(part: Part) -> Iterator[Finding]:
    """Find classes with too few boxes."""
    pairs = zip(part.dataset.names, _counts(part).tolist(), strict=True)
    rare = tuple(f"{name}: {count}" for name, count in pairs if count < RARE)
    if rare and len(_boxes(part).classes):
        message = f"{len(rare)} of {len(part.dataset.names)} classes have fewer than {RARE} boxes"
        yield Finding("rare-classes", "warning", message, rare, "Mark more of them, or leave these classes out.")


def box_imbalance(part: Part) -> Iterator[Finding]:
    """Find one class that has many more boxes than another."""
    counts, names = _counts(part), part.dataset.names
    there = np.flatnonzero(counts)
    order = there[counts[there].argsort(kind="stable")]
    if len(order) > 1 and counts[order[-1]] >= UNEVEN * counts[order[0]]:
        times = counts[order[-1]] / counts[order[0]]
        yield Finding(
            "class-imbalance",
            "warning",
            f"{names[order[-1]]} has {times:.1f} times as many boxes as {names[order[0]]}",
            tuple(f"{names[i]}: {counts[i]:,}" for i in order),
            "Add images of the rare ones, or merge classes that need not be told apart.",
        )


def box_values(part: Part) -> Iterator[Finding]:
    """Find boxes that are no pixels: NaN, infinite, or scaled to 0 to 1."""
    boxes = _boxes(part)
    finite = np.asarray(np.isfinite(boxes.xyxy).all(axis=1))
    if not finite.all():
        message = f"{counted(int((~finite).sum()), 'box')} with a side that is no number"
        yield Finding(
            "value-range", "error", message, _places(part, boxes, ~finite), "Draw them again, or delete them."
        )
    there, side = boxes.xyxy[finite], part.seen.sizes[:, :2].max(initial=0)
    if there.size and side > 8 and np.abs(there).max() <= 2:
        message = f"no box reaches further than {np.abs(there).max():.3g} in images of up to {side} pixels"
        advice = "Boxes are in pixels: multiply them by the image's width and height."
        yield Finding("value-range", "error", message, advice=advice)


def empty_boxes(part: Part) -> Iterator[Finding]:
    """Find boxes of no area, and those whose corners are exchanged."""
    boxes = _finite(part)
    empty = np.asarray(areas(boxes.xyxy) == 0)
    if empty.any():
        advice = "Corners are in order, x0 < x1 and y0 < y1: correct or delete these."
        message = f"{counted(int(empty.sum()), 'box')} without an area"
        yield Finding("empty-boxes", "error", message, _places(part, boxes, empty), advice)


def boxes_outside(part: Part) -> Iterator[Finding]:
    """Find boxes that reach outside their image."""
    boxes = _finite(part)
    rows, sizes = boxes.samples, part.seen.sizes[:, 1::-1]
    outside = (np.abs(clipped(boxes.xyxy, sizes[rows]) - boxes.xyxy) > OUTSIDE).any(axis=1)
    outside &= part.seen.readable[rows]
    if outside.any():
        count = int(outside.sum())
        message = f"{counted(count, 'box')} {'reach' if count > 1 else 'reaches'} outside the image"
        advice = "Look whether x and y, or two images, were mixed up; `viewfinder convert` writes them clipped."
        yield Finding("boxes-outside", "warning", message, _places(part, boxes, outside), advice)


def tiny_boxes(part: Part) -> Iterator[Finding]:
    """Find boxes that nothing can be seen in."""
    boxes = _finite(part)
    sides = (boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]).min(axis=1, initial=np.inf)
    longest = part.seen.sizes[boxes.samples, :2].max(axis=1, initial=0)
    tiny = (sides > 0) & (sides < TINY * longest)
    if tiny.any():
        message = f"{counted(int(tiny.sum()), 'box')} narrower than {100 * TINY:.0f} % of the image"
        advice = "A slip of the mouse? If they are meant: use a larger data.size, or photos from nearer."
        yield Finding("tiny-boxes", "warning", message, _places(part, boxes, tiny), advice)


def crowded_samples(part: Part) -> Iterator[Finding]:
    """Find images with more boxes than a detector answers with."""
    counts = _boxes(part).counts
    rows = np.flatnonzero(counts > CROWDED)
    if len(rows):
        where = tuple(f"{part.where(row)}: {counts[row]:,}" for row in rows.tolist())
        message = f"{counted(len(rows), 'image')} with more than {CROWDED} boxes"
        advice = "Were all files written into one? If they are meant: cut the image into pieces."
        yield Finding("many-boxes", "warning", message, where, advice)


def duplicate_boxes(part: Part) -> Iterator[Finding]:
    """Find boxes that are there twice, of one class or of two."""
    boxes = _finite(part)
    keys = np.column_stack([boxes.samples, boxes.xyxy])
    same, counts = _repeats(keys)
    repeated = counts[same] > 1
    of_class, class_counts = _repeats(np.column_stack([same, boxes.classes]))
    twice = class_counts[of_class] > 1
    if twice.any():
        message = f"{counted(int(twice.sum()), 'box')} of one class at the same place as another one"
        advice = "Delete the copies: each counts as an object of its own."
        yield Finding("duplicate-boxes", "warning", message, _places(part, boxes, twice), advice)
    if (repeated & ~twice).any():
        message = f"{counted(int((repeated & ~twice).sum()), 'box')} at the same place as one of another class"
        advice = "Decide which one is right: a thing has one class."
        yield Finding("conflicting-boxes", "warning", message, _places(part, boxes, repeated & ~twice), advice)


def conflicting_boxes(part: Part) -> Iterator[Finding]:
    """Find equal images in which different things are marked."""
    boxes, names = _boxes(part), part.dataset.names
    where = []
    for rows in part.repeated(part.exact):
        said = [boxes.one(int(row), names).text() for row in rows]
        if len({*said}) > 1:
            where.append(" = ".join(f"{part.where(row)} ({one})" for row, one in zip(rows, said, strict=True)))
    if where:
        message = f"{counted(len(where), 'image')} with different things marked in its copies"
        advice = "Decide which one is right, and delete the other copies."
        yield Finding("conflicting-targets", "error", message, tuple(where), advice)


def unseen_classes(parts: Sequence[Part]) -> Iterator[Finding]:
    """Find classes that are in a validation or test part, and never in what is trained on."""
    train = parts[0]
    splits, boxes = train.dataset.splits, _boxes(train)
    learned = np.ones(len(boxes), dtype=bool) if splits is None else splits == "train"
    known = {train.dataset.names[i] for i in boxes.select(learned).classes.tolist()}
    held = [(train.dataset, boxes.select(~learned))]
    tests = [part.dataset for part in parts[1:] if part.dataset.part == "test"]
    held += [(dataset, dataset.targets) for dataset in tests if isinstance(dataset.targets, BoxSets)]
    counts: dict[str, int] = {}
    for dataset, others in held:
        for i in others.classes.tolist():
            counts[dataset.names[i]] = counts.get(dataset.names[i], 0) + 1
    unseen = tuple(f"{name}: {count:,}" for name, count in sorted(counts.items()) if name not in known)
    if unseen and known:
        message = f"{counted(len(unseen), 'class')} to be tested on, but never to be seen"
        advice = "Put some of their images into the training part: `viewfinder split` spreads them."
        yield Finding("unseen-classes", "error", message, unseen, advice)


def _boxes(part: Part) -> BoxSets:
    targets = part.dataset.labelled()
    assert isinstance(targets, BoxSets)
    return targets


def _finite(part: Part) -> BoxSets:
    """Return the boxes whose sides are numbers; `box_values` tells of the others."""
    boxes = _boxes(part)
    return boxes.kept(np.asarray(np.isfinite(boxes.xyxy).all(axis=1)))


def _counts(part: Part) -> NDArray[np.int64]:
    return np.bincount(_boxes(part).classes, minlength=len(part.dataset.names))


def _repeats(keys: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (M,) the number of each row's value, and how often each value is there."""
    _, inverse, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    return inverse.reshape(-1).astype(np.int64), counts.astype(np.int64)


def _places(part: Part, boxes: BoxSets, which: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return where boxes are: "images/tom.jpg: face (12, 20, 40, 51)"."""
    rows, names = boxes.samples, part.dataset.names
    return tuple(
        f"{part.where(rows[i])}: {names[boxes.classes[i]]} ({', '.join(f'{side:.4g}' for side in boxes.xyxy[i])})"
        for i in np.flatnonzero(which).tolist()
    )
