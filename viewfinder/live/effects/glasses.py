"""`glasses`: dark sunglasses with a light on each lens."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.live.effects.eyes import Eyes, eyes_of
from viewfinder.live.scene import Face

__all__ = ["glasses"]

WIDE, HIGH = 0.40, 0.30
"""Half the width and half the height of a lens, in shares of the distance between the eyes."""
FRAME, TINT, LIGHT = (22, 20, 24), (38, 30, 46), (235, 240, 250)
"""RGB."""
_SHIFT = 4

Mask = NDArray[np.uint8]


def glasses(picture: NDArray[np.uint8], face: Face) -> None:
    """Put sunglasses on a face in an RGB picture (H, W, 3)."""
    eyes = eyes_of(face)
    if eyes is None:
        return
    part = _part(picture, eyes)
    if part is None:
        return
    pixels, corner = part
    for colour, share, mask in _layers(eyes, corner, pixels.shape[:2]):
        weight = (share / 255 * mask.astype(np.float32))[..., None]
        pixels[...] = np.rint(pixels + weight * (np.array(colour, np.float32) - pixels)).astype(np.uint8)


def _part(picture: NDArray[np.uint8], eyes: Eyes) -> tuple[NDArray[np.uint8], NDArray[np.float64]] | None:
    """Return the part of the picture that glasses can reach, as a view, and its corner."""
    height, width = picture.shape[:2]
    reach, middle = 1.15 * eyes.apart, (eyes.left + eyes.right) / 2
    x0, y0 = (int(side) for side in np.floor(np.clip(middle - reach, 0, (width, height))))
    x1, y1 = (int(side) for side in np.ceil(np.clip(middle + reach, 0, (width, height))))
    return (picture[y0:y1, x0:x1], np.array([x0, y0], np.float64)) if x1 > x0 and y1 > y0 else None


def _layers(
    eyes: Eyes, corner: NDArray[np.float64], size: tuple[int, ...]
) -> list[tuple[tuple[int, int, int], float, Mask]]:
    """Return colour, opacity and mask from the back to the front."""
    lens, light, frame = (np.zeros(size, np.uint8) for _ in range(3))
    thick = max(1, round(0.055 * eyes.apart))

    def at(middle: NDArray[np.float64], x: float, y: float) -> NDArray[np.float64]:
        return middle + eyes.apart * (x * eyes.along + y * eyes.down) - corner

    for middle, side in ((eyes.right, -1), (eyes.left, 1)):
        shape = _fixed([at(middle, *place) for place in _lens(side)])
        cv2.fillPoly(lens, [shape], 255, cv2.LINE_AA, _SHIFT)
        cv2.polylines(frame, [shape], True, 255, thick, cv2.LINE_AA, _SHIFT)
        hinge = [at(middle, side * WIDE, -0.14), at(middle, side * (WIDE + 0.2), -0.17)]
        cv2.polylines(frame, [_fixed(hinge)], False, 255, thick, cv2.LINE_AA, _SHIFT)
        streak = [at(middle, x, y) for x, y in ((-0.24, 0.0), (-0.10, -0.19), (-0.02, -0.19), (-0.19, 0.05))]
        cv2.fillPoly(light, [_fixed(streak)], 255, cv2.LINE_AA, _SHIFT)
    cv2.polylines(
        frame, [_fixed([at(eyes.right, *place) for place in _BRIDGE])], False, 255, thick, cv2.LINE_AA, _SHIFT
    )
    return [(TINT, 0.86, lens), (LIGHT, 0.35, light), (FRAME, 1.0, frame)]


def _lens(side: int) -> NDArray[np.float64]:
    """Return the outline (P, 2) of a lens: flat above, round below, a little wider outside."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    x = WIDE * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.75
    y = HIGH * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.75
    y = np.where(y < 0, 0.72 * y, 1.1 * y) * (1 + 0.12 * side * x / WIDE)
    return np.stack([x, y + 0.02], axis=1)


_BRIDGE = [(0.5 + 0.13 * t, -0.09 - 0.05 * (1 - t * t)) for t in np.linspace(-1, 1, 9)]


def _fixed(places: list[NDArray[np.float64]]) -> NDArray[np.int32]:
    """Return places as OpenCV draws them: pixel centres are whole there, in units of 1/16 px here."""
    return np.rint((np.array(places) - 0.5) * (1 << _SHIFT)).astype(np.int32)
