"""`big-eyes`: a lens over each eye."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.live.effects.eyes import eyes_of
from viewfinder.live.scene import Face

__all__ = ["big_eyes"]

RADIUS = 0.48
"""Of a lens, in shares of the distance between the eyes: they just do not touch."""
STRENGTH = 0.55
"""How much nearer to its middle a lens looks there: 0.55 magnifies 2.2 times."""


def big_eyes(picture: NDArray[np.uint8], face: Face) -> None:
    """Enlarge both eyes in an RGB picture (H, W, 3), smoothly up to the edge of each lens."""
    eyes = eyes_of(face)
    if eyes is None:
        return
    for middle in (eyes.left, eyes.right):
        _enlarge(picture, middle, RADIUS * eyes.apart)


def _enlarge(picture: NDArray[np.uint8], middle: NDArray[np.float64], radius: float) -> None:
    """Replace each pixel of a disc by one that is nearer to its middle: r (1 - s (1 - r²)²) for r in [0, 1]."""
    height, width = picture.shape[:2]
    x0, y0 = (int(side) for side in np.floor(np.clip(middle - radius, 0, (width, height))))
    x1, y1 = (int(side) for side in np.ceil(np.clip(middle + radius, 0, (width, height))))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    x = np.arange(x0, x1)[None, :] + 0.5 - middle[0]
    y = np.arange(y0, y1)[:, None] + 0.5 - middle[1]
    inside = np.maximum(0, 1 - (x**2 + y**2) / radius**2)
    factor = 1 - STRENGTH * inside**2
    from_x = (middle[0] - 0.5 + x * factor).astype(np.float32)
    from_y = (middle[1] - 0.5 + y * factor).astype(np.float32)
    lens = cv2.remap(picture, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    picture[y0:y1, x0:x1] = np.where((inside > 0)[..., None], lens, picture[y0:y1, x0:x1])
