"""Boxes as a detector would say them: true ones, disturbed, with some forgotten, confused, doubled and invented."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.answers import Boxes
from viewfinder.data.targets import BoxSets


def true_boxes(
    images: int, classes: int, rng: np.random.Generator, most: int = 7, largest: int = 160, side: int = 400
) -> BoxSets:
    """Return random boxes; some images have none."""
    counts = rng.integers(0, most + 1, images)
    boxes = [_random(int(count), rng, largest, side) for count in counts]
    return BoxSets.of(boxes, [rng.integers(0, classes, count) for count in counts])


def guesses(
    targets: BoxSets, names: tuple[str, ...], rng: np.random.Generator, off: float = 0.05, invented: int = 4
) -> list[Boxes]:
    """Return an answer an image; a side is off by a share of the box's side."""
    return [_guess(targets.one(row, names), rng, off, invented) for row in range(len(targets))]


def _guess(truth: Boxes, rng: np.random.Generator, off: float, invented: int) -> Boxes:
    kept = np.flatnonzero(rng.random(len(truth)) > 0.1)
    seen = np.concatenate([kept, kept[rng.random(len(kept)) < 0.1]])
    sides = np.ptp(truth.xyxy[seen].reshape(-1, 2, 2), axis=1).repeat(2, axis=0).reshape(-1, 4)
    near = truth.xyxy[seen] + off * sides * rng.normal(size=sides.shape)
    largest, side = (160, 400) if not len(truth) else (int(np.ptp(truth.xyxy)) // 3 + 2, int(truth.xyxy.max()))
    wild = _random(invented, rng, largest, side)
    said = [truth.classes[i] if rng.random() > 0.1 else str(rng.choice(truth.names)) for i in seen]
    said += [str(name) for name in rng.choice(truth.names, invented)]
    scores = np.concatenate([rng.beta(6, 2, len(seen)), rng.beta(1.5, 6, invented)]).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    xyxy = np.concatenate([near, wild]).astype(np.float32)[order]
    return Boxes(xyxy, tuple(said[i] for i in order), truth.names, scores[order])


def _random(count: int, rng: np.random.Generator, largest: int, side: int) -> NDArray[np.float64]:
    sides = rng.uniform(1, largest, (count, 2))
    start = rng.uniform(0, max(1, side - largest), (count, 2))
    return np.concatenate([start, start + sides], axis=1)
