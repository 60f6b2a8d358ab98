"""What the images of a batch are made of: photos, four of them side by side, and things laid over them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from viewfinder.augment.device import on_device
from viewfinder.augment.geometry import Matrices, Moves
from viewfinder.augment.share import cut

__all__ = ["Pieces", "laid", "laid_torch", "single"]


@dataclass(frozen=True)
class Pieces:
    """What the images of a batch are made of: one photo each, or four that do not overlap, then what lies over them.

    Args:
        rows: (P,) int64, which rows of the set.
        matrices: (P, 2, 3), from their pixels to the batch's.
        mirrored: (P,) true where left and right change places.
        offsets: (B + 1,) int64: image i is made of the pieces from offsets[i] up to offsets[i + 1].
        windows: (P, 4) int64 left, top, right, bottom: the pixels of the image in which a piece hides all before it.
            Of one without a window, all 0, is shown what is not black; no piece with a window comes before such a one.
    """

    rows: NDArray[np.int64]
    matrices: Matrices
    mirrored: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    windows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(self, images: NDArray[np.int64]) -> Pieces:
        """Return what those of the images are made of; they rise."""
        if len(images) == len(self):
            return self
        every: NDArray[np.int64] | slice
        if len(self.rows) == len(self):  # of one piece each, as most are: many small calls are saved
            every, offsets = cut(images), self.offsets[: len(images) + 1]
        else:
            counts = np.diff(self.offsets)[images]
            offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            every = np.arange(offsets[-1]) + np.repeat(self.offsets[images] - offsets[:-1], counts)
        return Pieces(self.rows[every], self.matrices[every], self.mirrored[every], offsets, self.windows[every])

    def with_more(self, images: NDArray[np.int64], more: Pieces) -> Pieces:
        """Return the pieces with those of `more` (K,) as well, each the last one of its image (K,); images rise."""
        at = self.offsets[images + 1]
        counts = np.bincount(images, minlength=len(self))
        return Pieces(
            np.insert(self.rows, at, more.rows),
            np.insert(self.matrices, at, more.matrices, axis=0),
            np.insert(self.mirrored, at, more.mirrored),
            self.offsets + np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.insert(self.windows, at, more.windows, axis=0),
        )


def single(rows: NDArray[np.int64], moves: Moves) -> Pieces:
    """Return one photo an image."""
    count = len(rows)
    offsets, windows = np.arange(count + 1, dtype=np.int64), np.zeros((count, 4), dtype=np.int64)
    return Pieces(rows, moves.matrices, moves.mirrored, offsets, windows)


def laid(moved: NDArray[np.uint8], pieces: Pieces) -> NDArray[np.uint8]:
    """Return images (B, H, W, C) from moved pieces (P, H, W, C) that are black where they have nothing to show.

    The memory of the pieces is used.
    """
    if len(pieces) == len(moved):
        return moved
    for first, last in pairwise(pieces.offsets):
        for piece in range(first + 1, last):
            left, top, right, bottom = pieces.windows[piece]
            if right:
                moved[first, top:bottom, left:right] = moved[piece, top:bottom, left:right]
            else:
                cv2.max(moved[first], moved[piece], moved[first])
    return moved[pieces.offsets[:-1]]


def laid_torch(moved: Tensor, pieces: Pieces) -> Tensor:
    """Return the same from a tensor, on its own device."""
    if len(pieces) == len(moved):
        return moved
    owners = np.repeat(np.arange(len(pieces)), np.diff(pieces.offsets))
    over = pieces.windows[:, 2] > 0
    below, firsts = np.bincount(owners[~over], minlength=len(pieces)), pieces.offsets[:-1]
    images = moved[on_device(firsts, moved.device)]
    for number in range(1, int(below.max())):
        more = np.flatnonzero(below > number)
        where = on_device(more, moved.device)
        images[where] = torch.maximum(images[where], moved[on_device(firsts[more] + number, moved.device)])
    for piece in np.flatnonzero(over).tolist():
        left, top, right, bottom = pieces.windows[piece].tolist()
        images[owners[piece], top:bottom, left:right] = moved[piece, top:bottom, left:right]
    return images
