"""Mosaics: four photos side by side, of which a random part is shown.

After Bochkovskiy et al. 2020 (https://arxiv.org/abs/2004.10934): a batch shows more things, smaller and larger ones,
cut off and in front of other photos' backgrounds, for the price of one image.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from viewfinder.augment.geometry import Matrices, Moves
from viewfinder.config import Augment

__all__ = ["Pieces", "laid", "laid_torch", "mosaics", "single"]

SMALLER = 0.75
"""What the photos of a mosaic are scaled by, beside the recipe's zoom."""
CROSS = (0.3, 0.7)
"""Where the four corners meet, as a share of the side."""


@dataclass(frozen=True)
class Pieces:
    """What the images of a batch are made of: one photo each, or four that do not overlap.

    Args:
        rows: (P,) int64, which rows of the set.
        matrices: (P, 2, 3), from their pixels to the batch's.
        mirrored: (P,) true where left and right change places.
        offsets: (B + 1,) int64: image i is made of the pieces from offsets[i] up to offsets[i + 1].
    """

    rows: NDArray[np.int64]
    matrices: Matrices
    mirrored: NDArray[np.bool_]
    offsets: NDArray[np.int64]

    def of(self, images: NDArray[np.int64]) -> Pieces:
        """Return what those images of the batch are made of."""
        counts = np.diff(self.offsets)[images]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        every = np.arange(offsets[-1]) + np.repeat(self.offsets[images] - offsets[:-1], counts)
        return Pieces(self.rows[every], self.matrices[every], self.mirrored[every], offsets)


def single(rows: NDArray[np.int64], moves: Moves) -> Pieces:
    """Return one photo an image."""
    return Pieces(rows, moves.matrices, moves.mirrored, np.arange(len(rows) + 1, dtype=np.int64))


def mosaics(
    rows: NDArray[np.int64], moves: Moves, spec: Augment, *, size: int, every: int, rng: np.random.Generator
) -> Pieces:
    """Return what the images are made of: a share of `spec.mosaic` of them is four photos, turned and zoomed as one.

    Args:
        rows: (B,) the first photo of each image.
        moves: how images of one photo are moved; of a mosaic's, turn, zoom and mirror hold.
        spec: whose `mosaic`.
        size: side of the images.
        every: rows of the set, from which the other three photos are drawn.
        rng: draws them.
    """
    count = len(rows)
    fours = rng.random(count) < spec.mosaic
    others = rng.integers(0, every, (count, 3))
    cross = size * rng.uniform(*CROSS, (count, 2))
    linear = SMALLER * moves.matrices[:, None, :, :2]
    corners = size * np.array([[-1, -1], [0, -1], [-1, 0], [0, 0]], dtype=np.float64)
    places = (linear @ corners[None, :, :, None]) + cross[:, None, :, None]
    tiles = np.concatenate([np.broadcast_to(linear, (count, 4, 2, 2)), places], axis=3)
    tiles[~fours, 0] = moves.matrices[~fours]
    used = fours[:, None] | (np.arange(4) == 0)
    return Pieces(
        np.concatenate([rows[:, None], others], axis=1)[used],
        tiles[used],
        np.repeat(moves.mirrored, 4).reshape(count, 4)[used],
        np.concatenate([[0], np.cumsum(used.sum(axis=1))]).astype(np.int64),
    )


def laid(moved: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return images (B, H, W, C) from moved pieces (P, H, W, C) that are black where they have nothing to show.

    The memory of the pieces is used.
    """
    if len(offsets) == len(moved) + 1:
        return moved
    for first, last in pairwise(offsets):
        for piece in moved[first + 1 : last]:
            cv2.max(moved[first], piece, moved[first])
    return moved[offsets[:-1]]


def laid_torch(moved: Tensor, offsets: NDArray[np.int64]) -> Tensor:
    """Return the same from a tensor, on its own device."""
    if len(offsets) == len(moved) + 1:
        return moved
    return torch.stack([moved[first:last].amax(0) for first, last in pairwise(offsets)])
