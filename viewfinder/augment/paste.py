"""Pasting: a thing of another photo is laid over the image, often so that it hides part of one that is there.

After Ghiasi et al. 2021 (https://arxiv.org/abs/2012.07177), with the box for the thing's outline. Few photos show few
things that cover each other; so a network learns to find what is only half to be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from viewfinder.augment.geometry import Moves
from viewfinder.augment.pieces import Pieces, single
from viewfinder.data.boxes import areas, clipped
from viewfinder.data.rows import Maps
from viewfinder.data.targets import BoxSets

__all__ = ["pasted"]

Floats = NDArray[np.float32]

BESIDE = 0.6
"""How often a thing is laid beside or over one that is there; else it lies anywhere."""
NEAREST = 0.4
"""How far from the other's centre at least, as a share of the distance at which corners or sides just touch."""
INSIDE = 0.6
"""Share of a thing's width and of its height that is in the image; else it is not pasted."""
SMALLEST = 8
"""Pixels of its sides; what is smaller is not pasted."""
HIDDEN = 0.7
"""A box of which more than this share is covered is no longer learnt."""


@dataclass(frozen=True)
class Things:
    """What may be pasted.

    Args:
        boxes: N rows, those of the whole set, in pixels of the original images.
        to_pixels: (N, 2, 3) from there to the pixels that are held.
        names: the dataset's names, some of which change in a mirror.
    """

    boxes: BoxSets
    to_pixels: Maps
    names: Sequence[str]

    def moved(self, index: NDArray[np.int64], moves: Moves) -> tuple[NDArray[np.int64], BoxSets]:
        """Return the rows (B,) of the boxes with those numbers (B,), and each moved, alone in a sample of its own."""
        rows = self.boxes.samples[index]
        alone = BoxSets(self.boxes.xyxy[index], self.boxes.classes[index], np.arange(len(index) + 1, dtype=np.int64))
        fitted = alone.moved(self.to_pixels[rows], np.zeros(len(index), dtype=bool), self.names)
        return rows, fitted.moved(moves.matrices, moves.mirrored, self.names)


def pasted(
    pieces: Pieces,
    shown: BoxSets,
    things: Things,
    moves: Moves,
    share: float,
    *,
    size: int,
    rng: np.random.Generator,
) -> tuple[Pieces, BoxSets]:
    """Return what the images are made of, and their boxes, with a thing pasted into some of them.

    Args:
        pieces: of B images.
        shown: B rows, the images' boxes.
        things: all that may be pasted; each is as likely as any other.
        moves: B, from the set's pixels to the images', one for each image's thing; where to is chosen here.
        share: of the images, into which something is pasted.
        size: side of the images.
        rng: draws whether, which and where.
    """
    count, every = len(shown), len(things.boxes.classes)
    if not every:
        return pieces, shown
    chance = rng.random(count)
    rows, moved = things.moved(rng.integers(0, every, count), moves)
    sides = moved.xyxy[:, 2:] - moved.xyxy[:, :2]
    shift = _places(sides, shown.clipped(size, size), size, rng) - _middles(moved.xyxy)
    boxes = moved.xyxy + np.tile(shift, 2)
    windows = np.rint(clipped(boxes, np.full(2, size)))
    seen = (windows[:, 2:] - windows[:, :2] >= np.maximum(INSIDE * sides, SMALLEST)).all(axis=1)
    images = np.flatnonzero((chance < share) & seen)
    matrices = moves.matrices.copy()
    matrices[:, :, 2] += shift
    over = replace(single(rows, Moves(matrices, moves.mirrored)), windows=windows.astype(np.int64))
    left = shown.kept(~_hidden(shown, np.where(np.isin(np.arange(count), images)[:, None], windows, 0)))
    return (
        pieces.with_more(images, over.of(images)),
        left.with_more(images, boxes[images], moved.classes[images]),
    )


def _places(sides: Floats, inside: BoxSets, size: int, rng: np.random.Generator) -> Floats:
    """Return (B, 2) where the middles of things of those sides (B, 2) shall be."""
    count = len(sides)
    beside, which, turn, far = rng.random((4, count))
    places = sides / 2 + rng.random((count, 2)) * np.maximum(size - sides, 0)
    near = np.flatnonzero((inside.counts > 0) & (beside < BESIDE))
    other = inside.xyxy[inside.offsets[near] + (which[near] * inside.counts[near]).astype(np.int64)]
    angle = 2 * np.pi * turn[near]
    away = (NEAREST + (1 - NEAREST) * far[near]) * np.stack([np.cos(angle), np.sin(angle)])
    places[near] = _middles(other) + away.T * (other[:, 2:] - other[:, :2] + sides[near]) / 2
    return np.asarray(places, dtype=np.float32)


def _middles(xyxy: Floats) -> Floats:
    return np.asarray((xyxy[:, :2] + xyxy[:, 2:]) / 2, dtype=np.float32)


def _hidden(shown: BoxSets, windows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (M,) which boxes the windows (B, 4) of their images cover."""
    over = windows[shown.samples]
    shared = [np.maximum(shown.xyxy[:, :2], over[:, :2]), np.minimum(shown.xyxy[:, 2:], over[:, 2:])]
    covered: NDArray[np.bool_] = areas(np.concatenate(shared, axis=1)) > HIDDEN * areas(shown.xyxy)
    return covered
