"""`blur`: a face becomes a few large cells, for privacy."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.live.scene import Face

__all__ = ["AROUND", "blur"]

AROUND = 0.2
"""How much larger than the box the hidden part is on each side, in shares of the box's sides."""
CELLS = 5
"""Across the face: two eyes are in two neighbouring cells, and nothing more is left of them."""


def blur(picture: NDArray[np.uint8], face: Face) -> None:
    """Hide the box, and a rim around it, in an RGB picture (H, W, 3). Needs no points."""
    height, width = picture.shape[:2]
    low, high = face.box[:2], face.box[2:]
    rim = AROUND * (high - low)
    x0, y0 = (int(side) for side in np.floor(np.clip(low - rim, 0, (width, height))))
    x1, y1 = (int(side) for side in np.ceil(np.clip(high + rim, 0, (width, height))))
    if x1 <= x0 or y1 <= y0:
        return
    part = picture[y0:y1, x0:x1]
    longest = max(part.shape[:2])
    cells = [max(1, round(CELLS * side / longest)) for side in (x1 - x0, y1 - y0)]
    few = cv2.resize(part, cells, interpolation=cv2.INTER_AREA)
    part[...] = cv2.resize(few, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)
