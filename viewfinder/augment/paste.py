"""Pasting: a thing of the set is laid over the image, often so that it hides part of one that is there.

After Ghiasi et al. 2021 (https://arxiv.org/abs/2012.07177), with the box for the thing's outline: what else is marked
inside it comes along. Few photos show few things that cover each other; so a network learns to find what is only half
to be seen.
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

__all__ = ["Things", "pasted"]

Floats = NDArray[np.float32]

BESIDE = 0.6
"""How often a thing is laid beside or over one that is there; else it lies anywhere."""
NEAREST = 0.4
"""How far from the other's centre at least, as a share of the distance at which their sides just touch."""
INSIDE = 0.6
"""Share of a thing's width and of its height that is in the image; else it is not pasted."""
SMALLEST = 8
"""Pixels of its sides; what is smaller is not pasted."""
HIDDEN = 0.7
"""A box of which more than this share cannot be seen, of what is in the image, is not learnt."""


@dataclass(frozen=True)
class Things:
    """What may be pasted.

    Args:
        boxes: N rows, those of the whole set, in pixels of the original images.
        to_pixels: (N, 2, 3) from there to the pixels that are held.
        side: of the squares that are held.
        names: the dataset's names, some of which change in a mirror.
    """

    boxes: BoxSets
    to_pixels: Maps
    side: int
    names: Sequence[str]

    def moved(self, index: NDArray[np.int64], moves: Moves) -> tuple[NDArray[np.int64], NDArray[np.int64], BoxSets]:
        """Return where the boxes with those numbers (K,) are and what lies with them, moved.

        Returns:
            rows: (K,) the photo of each.
            chosen: (K,) its place among the boxes that follow.
            all boxes of those photos, K rows.
        """
        rows = np.searchsorted(self.boxes.offsets, index, side="right") - 1
        every = self.boxes.select(rows)
        fitted = every.moved(self.to_pixels[rows], np.zeros(len(rows), dtype=bool), self.names)
        held = replace(fitted, xyxy=clipped(fitted.xyxy, np.full(2, self.side)))
        chosen = every.offsets[:-1] + index - self.boxes.offsets[rows]
        return rows, chosen, held.moved(moves.matrices, moves.mirrored, self.names)


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
        moves: B, from the held pixels to the images', one for each image's thing; where to is chosen here.
        share: of the images, into which something is pasted.
        size: side of the images.
        rng: draws whether, which and where.
    """
    count, every, frame = len(shown), len(things.boxes.classes), np.full(2, size)
    if not every:
        return pieces, shown
    index, chances = rng.integers(0, every, count), rng.random((7, count))
    images = np.flatnonzero(chances[0] < share)
    own = Moves(moves.matrices[images], moves.mirrored[images])
    rows, chosen, boxes = things.moved(index[images], own)
    sides = boxes.xyxy[chosen, 2:] - boxes.xyxy[chosen, :2]
    places = _places(sides, shown.select(images).clipped(size, size), size, chances[1:, images])
    shift = places - _middles(boxes.xyxy[chosen])
    windows = clipped(boxes.xyxy[chosen] + np.tile(shift, 2), frame)
    seen = np.flatnonzero((windows[:, 2:] - windows[:, :2] >= np.maximum(INSIDE * sides, SMALLEST)).all(axis=1))
    images, shift, windows = images[seen], shift[seen], windows[seen]
    matrices = own.matrices[seen]
    matrices[:, :, 2] += shift
    over = replace(single(rows[seen], Moves(matrices, own.mirrored[seen])), windows=np.rint(windows).astype(np.int64))
    laid = boxes.select(seen)
    laid = replace(laid, xyxy=laid.xyxy + np.tile(shift, 2)[laid.samples])
    covers = np.zeros((count, 4), dtype=np.float32)
    covers[images] = windows
    inside = replace(shown, xyxy=clipped(shown.xyxy, frame))
    hidden = areas(_within(inside, covers)) > HIDDEN * areas(inside.xyxy)
    more = _visible(laid, windows)
    return pieces.with_more(images, over), shown.kept(~hidden).with_more(images[more.samples], more.xyxy, more.classes)


def _places(sides: Floats, inside: BoxSets, size: int, chances: NDArray[np.float64]) -> Floats:
    """Return (K, 2) where the middles of things of those sides (K, 2) shall be, for chances (6, K) from 0 to 1."""
    beside, which, turn, far, *anywhere = chances
    places = sides / 2 + np.stack(anywhere, axis=1) * np.maximum(size - sides, 0)
    near = np.flatnonzero((inside.counts > 0) & (beside < BESIDE))
    other = inside.xyxy[inside.offsets[near] + (which[near] * inside.counts[near]).astype(np.int64)]
    angle = 2 * np.pi * turn[near]
    away = (NEAREST + (1 - NEAREST) * far[near]) * np.stack([np.cos(angle), np.sin(angle)])
    places[near] = _middles(other) + away.T * (other[:, 2:] - other[:, :2] + sides[near]) / 2
    return np.asarray(places, dtype=np.float32)


def _middles(xyxy: Floats) -> Floats:
    return np.asarray((xyxy[:, :2] + xyxy[:, 2:]) / 2, dtype=np.float32)


def _visible(laid: BoxSets, windows: Floats) -> BoxSets:
    """Return what the windows (K, 4) show of the boxes of their photos (K rows), without those mostly outside."""
    cut = _within(laid, windows)
    return replace(laid, xyxy=cut).kept((areas(cut) > 0) & (areas(cut) >= (1 - HIDDEN) * areas(laid.xyxy)))


def _within(boxes: BoxSets, windows: Floats) -> Floats:
    """Return (M, 4) the boxes cut at the windows (N, 4) of their samples; those apart get exchanged corners."""
    edges = windows[boxes.samples]
    shared = [np.maximum(boxes.xyxy[:, :2], edges[:, :2]), np.minimum(boxes.xyxy[:, 2:], edges[:, 2:])]
    return np.concatenate(shared, axis=1).astype(np.float32)
