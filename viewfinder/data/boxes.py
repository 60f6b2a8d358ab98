"""The arithmetic of boxes: (M, 4) x0 y0 x1 y1 in pixels, continuous, so that an image is [0, W] × [0, H]."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["areas", "clipped", "move_boxes", "overlaps"]

Floats = NDArray[np.float32]


def areas(xyxy: NDArray[Any]) -> Floats:
    """Return (M,) areas: 0 where a box is empty or its corners are exchanged, NaN where a side is no number."""
    with np.errstate(invalid="ignore", over="ignore"):
        sides = np.maximum(xyxy[:, 2:] - xyxy[:, :2], 0)
        return np.asarray(sides[:, 0] * sides[:, 1], dtype=np.float32)


def clipped(xyxy: NDArray[Any], sizes: NDArray[Any]) -> Floats:
    """Return boxes (M, 4) cut at their image's edges; `sizes` is (M, 2) or (2,) widths and heights."""
    limits = np.concatenate([sizes, sizes], axis=-1)
    return np.asarray(np.clip(xyxy, 0, limits), dtype=np.float32)


def move_boxes(xyxy: NDArray[Any], matrices: NDArray[Any]) -> Floats:
    """Return the boxes around the four moved corners of each box, for maps (M, 2, 3) or one map (2, 3)."""
    corners = xyxy.reshape(-1, 4)[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
    moved = corners @ np.swapaxes(matrices[..., :2], -1, -2) + matrices[..., None, :, 2]
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).astype(np.float32)


def overlaps(one: NDArray[Any], other: NDArray[Any]) -> Floats:
    """Return (M, K) intersection over union of boxes (M, 4) with boxes (K, 4); 0 where both are empty."""
    corner = np.maximum(one[:, None, :2], other[None, :, :2])
    sides = np.maximum(np.minimum(one[:, None, 2:], other[None, :, 2:]) - corner, 0)
    shared = sides[..., 0] * sides[..., 1]
    union = areas(one)[:, None] + areas(other)[None] - shared
    return np.asarray(shared / np.maximum(union, np.finfo(np.float32).tiny), dtype=np.float32)
