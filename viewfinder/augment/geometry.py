"""Where things are: one 2×3 matrix a sample moves the image and everything that is marked on it.

    moves = draw(recipe.augment, len(images), size, rng)
    images = warp_numpy(images, moves.matrices, recipe.augment.border)
    targets = targets.moved(moves.matrices, moves.mirrored, names)

A matrix maps old pixels to new pixels in continuous coordinates: pixel (row i, column j) covers
[j, j+1) × [i, i+1), an image is [0, W] × [0, H], and mirroring is x → W − x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from viewfinder.config import Augment

__all__ = ["Border", "Moves", "compose", "draw", "identity", "warp_numpy", "warp_torch"]

Border = Literal["constant", "replicate", "reflect"]
Matrices = NDArray[np.float64]

_CV2_BORDER = {"constant": cv2.BORDER_CONSTANT, "replicate": cv2.BORDER_REPLICATE, "reflect": cv2.BORDER_REFLECT}
_TORCH_BORDER = {"constant": "zeros", "replicate": "border", "reflect": "reflection"}


@dataclass(frozen=True)
class Moves:
    """How a batch is moved.

    Args:
        matrices: (N, 2, 3) float64, old pixels → new pixels.
        mirrored: (N,) true where left and right change places.
    """

    matrices: Matrices
    mirrored: NDArray[np.bool_]


def moving(spec: Augment) -> bool:
    """Whether the recipe moves anything at all."""
    return any((spec.rotate, spec.zoom, spec.shift, spec.shear, spec.mirror))


def draw(spec: Augment, count: int, size: int, rng: np.random.Generator) -> Moves:
    """Return random moves about the centre of images of `size` × `size` pixels.

    Angles and shifts are uniform, zoom is log-uniform, so that twice as large is as likely as half as large.
    The same numbers are drawn whatever is switched on: one setting does not disturb the others.
    """
    uniform = rng.uniform(-1, 1, (count, 5))
    mirrored = rng.random(count) < spec.mirror
    angle = np.deg2rad(spec.rotate) * uniform[:, 0]
    scale = (1 + spec.zoom) ** uniform[:, 1]
    shift = spec.shift * size * uniform[:, 2:4]
    shear = np.tan(np.deg2rad(spec.shear) * uniform[:, 4])
    linear = _linear(angle, scale, shear, np.where(mirrored, -1.0, 1.0))
    centre = np.full(2, size / 2)
    return Moves(np.concatenate([linear, (centre + shift - linear @ centre)[..., None]], axis=2), mirrored)


def _linear(angle: Matrices, scale: Matrices, shear: Matrices, side: Matrices) -> Matrices:
    """Mirror first, then shear along x, then zoom and turn: (N, 2, 2)."""
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    columns = [cos * side, shear * cos - sin, sin * side, shear * sin + cos]
    return np.stack(columns, axis=1).reshape(-1, 2, 2)


def identity(count: int) -> Matrices:
    """Return matrices (count, 2, 3) that leave everything where it is."""
    return np.tile(np.eye(2, 3), (count, 1, 1))


def compose(first: NDArray[Any], then: NDArray[Any]) -> Matrices:
    """Return the maps (N, 2, 3) that do `first` and `then` in one."""
    linear = then[:, :, :2] @ first
    linear[:, :, 2] += then[:, :, 2]
    return np.asarray(linear, dtype=np.float64)


def warp_numpy(images: NDArray[np.uint8], matrices: Matrices, border: Border = "constant") -> NDArray[np.uint8]:
    """Return images (N, H, W, C) uint8 moved by `matrices` (N, 2, 3), interpolated linearly.

    OpenCV counts pixel centres, which lie half a pixel inside: its shift is t + (A − 1)·½.
    """
    count, height, width, _ = images.shape
    centred = np.array(matrices, dtype=np.float64)
    centred[:, :, 2] += 0.5 * (matrices[:, :, :2].sum(axis=2) - 1)
    moved = np.empty((count, *images.shape[1:]), dtype=np.uint8)
    mode, warp, linear, size = _CV2_BORDER[border], cv2.warpAffine, cv2.INTER_LINEAR, (width, height)
    for image, matrix, result in zip(np.ascontiguousarray(images), centred, moved, strict=True):
        warp(image, matrix, size, result, linear, mode)
    return moved


def warp_torch(images: Tensor, matrices: Matrices, border: Border = "constant") -> Tensor:
    """Return images (N, H, W, C), uint8 or floating, moved by `matrices` (N, 2, 3), on their own device."""
    height, width = images.shape[1:3]
    scaling = np.array([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]])
    square = np.concatenate([matrices, np.broadcast_to([0.0, 0.0, 1.0], (len(matrices), 1, 3))], axis=1)
    backwards = (np.linalg.inv(scaling) @ np.linalg.inv(square) @ scaling)[:, :2]
    planes = images.permute(0, 3, 1, 2)
    planes = planes if planes.is_floating_point() else planes.float()
    theta = torch.as_tensor(backwards, dtype=planes.dtype).to(planes.device)
    grid = F.affine_grid(theta, list(planes.shape), align_corners=False)
    moved = F.grid_sample(planes, grid, padding_mode=_TORCH_BORDER[border], align_corners=False)
    moved = moved.permute(0, 2, 3, 1).contiguous()
    return moved if images.is_floating_point() else moved.round_().clamp_(0, 255).to(images.dtype)
