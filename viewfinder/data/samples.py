"""Data that is always at hand: real handwritten digits, and faces that viewfinder draws itself."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.drawn.face import draw_face
from viewfinder.data.drawn.head import NAMES
from viewfinder.data.targets import Labels, PointSets

__all__ = ["digits", "faces"]

_SIDE, _INSIDE = 28, 20
"""As in MNIST: a digit fills 20×20 pixels in the middle of 28×28."""
_SEEDS_APART = 1_000_003


def digits() -> Dataset:
    """Return scikit-learn's 1,797 handwritten digits, 28×28 gray, white on black.

    They are 8×8 pictures of 17 gray levels, enlarged smoothly. Source: E. Alpaydin and C. Kaynak, Optical
    Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    pixels = np.zeros((len(small), _SIDE, _SIDE, 1), dtype=np.uint8)
    edge = (_SIDE - _INSIDE) // 2
    for image, result in zip(small, pixels, strict=True):
        large = cv2.resize(image, (_INSIDE, _INSIDE), interpolation=cv2.INTER_CUBIC)
        result[edge:-edge, edge:-edge, 0] = large
    images = ArrayImages.of(pixels, source="handwritten digits")
    names = tuple("0123456789")
    return Dataset("classify", names, images, Labels(bunch.target.astype(np.int64)), source="handwritten digits")


def faces(count: int, seed: int = 0, size: int = 96, channels: int = 3) -> Dataset:
    """Return drawn faces with Kaggle's 15 keypoints, all different, the same for the same seed.

    The first faces of a larger set are those of a smaller one.

    Args:
        count: how many.
        seed: which ones.
        size: width and height in pixels.
        channels: 3 for RGB, 1 for gray.
    """
    drawn = [draw_face(seed * _SEEDS_APART + i, size) for i in range(count)]
    points = np.stack([face.points for face in drawn])
    pixels = np.stack([_gray(face.pixels) if channels == 1 else face.pixels for face in drawn])
    images = ArrayImages.of(pixels, source="drawn faces")
    return Dataset("keypoints", NAMES, images, PointSets(points), source=f"drawn faces (seed {seed})")


def _gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], dtype=np.uint8)
