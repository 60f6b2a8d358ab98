"""Mosaics: four photos side by side, of which a random part is shown.

After Bochkovskiy et al. 2020 (https://arxiv.org/abs/2004.10934): a batch shows more things, smaller and larger ones,
cut off and in front of other photos' backgrounds, for the price of one image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from viewfinder.augment.geometry import Moves
from viewfinder.augment.pieces import Pieces
from viewfinder.config import Augment

__all__ = ["mosaics"]

SMALLER = 0.75
"""What the photos of a mosaic are scaled by, beside the recipe's zoom."""
CROSS = (0.3, 0.7)
"""Where the four corners meet, as a share of the side."""


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
        np.zeros((int(used.sum()), 4), dtype=np.int64),
    )
