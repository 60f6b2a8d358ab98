"""Where things are: one 2×3 matrix a sample moves the image and everything that is marked on it.

    moves = draw(recipe.augment, len(images), size, rng)
    images = warp_numpy(images, moves.matrices, recipe.augment.border)
    targets = targets.moved(moves.matrices, moves.mirrored, names)

Where training images are kept larger than the input, or squares are cut out of them, a frame comes first:

    frames = draw_frames(recipe.augment, to_pixels, images.shape[1], size, rng)
    matrices = compose(frames, moves.matrices)
    images = warp_numpy(images, matrices, recipe.augment.border, size)

A matrix maps old pixels to new pixels in continuous coordinates: pixel (row i, column j) covers
[j, j+1) × [i, i+1), an image is [0, W] × [0, H], and mirroring is x → W − x.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from viewfinder.augment.device import on_device
from viewfinder.config import Augment
from viewfinder.data.images import inverted

__all__ = ["Border", "Moves", "as_pixels", "compose", "draw", "draw_frames", "identity", "warp_numpy", "warp_torch"]

Border = Literal["constant", "replicate", "reflect"]
Matrices = NDArray[np.float64]

_CV2_BORDER = {"constant": cv2.BORDER_CONSTANT, "replicate": cv2.BORDER_REPLICATE, "reflect": cv2.BORDER_REFLECT}
_TORCH_BORDER = {"constant": "zeros", "replicate": "border", "reflect": "reflection"}


@dataclass(frozen=True)
class Moves:
    """How a batch is moved.

    Args:
        matrices: (N, 2, 3) float64, old pixels → new pixels.
        mirrored: (N,) true where the picture is a mirror image, so that left and right change their names. Up ↔ down
            is one too: it is left ↔ right, then turned by 180°. Both together are the turn alone.
    """

    matrices: Matrices
    mirrored: NDArray[np.bool_]


def moving(spec: Augment) -> bool:
    """Whether the recipe moves anything at all."""
    return any((spec.rotate, spec.zoom, spec.shift, spec.shear, spec.mirror, spec.flip, spec.mosaic, spec.paste))


def draw(spec: Augment, count: int, size: int, rng: np.random.Generator) -> Moves:
    """Return random moves about the centre of images of `size` × `size` pixels.

    Angles and shifts are uniform, zoom is log-uniform, so that twice as large is as likely as half as large.
    The same numbers are drawn whatever is switched on: one setting does not disturb the others.
    """
    uniform = rng.uniform(-1, 1, (count, 5))
    mirrored = rng.random(count) < spec.mirror
    flipped = np.zeros(count, dtype=bool)
    if spec.flip:  # by itself: the numbers that follow stay what they were
        flipped = rng.spawn(1)[0].random(count) < spec.flip
    angle = np.deg2rad(spec.rotate) * uniform[:, 0]
    scale = (1 + spec.zoom) ** uniform[:, 1]
    shift = spec.shift * size * uniform[:, 2:4]
    shear = np.tan(np.deg2rad(spec.shear) * uniform[:, 4])
    matrices = np.empty((count, 2, 3))
    linear = _linear(angle, scale, shear, np.where(mirrored, -1.0, 1.0), np.where(flipped, -1.0, 1.0))
    matrices[:, :, :2] = linear
    matrices[:, :, 2] = shift + size / 2 * (1 - linear.sum(axis=2))
    return Moves(matrices, mirrored ^ flipped)


def _linear(angle: Matrices, scale: Matrices, shear: Matrices, across: Matrices, down: Matrices) -> Matrices:
    """Mirror first, then shear along x, then zoom and turn: (N, 2, 2)."""
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    rows = [[cos * across, (shear * cos - sin) * down], [sin * across, (shear * sin + cos) * down]]
    return np.array(rows).transpose(2, 0, 1)


def draw_frames(spec: Augment, to_pixels: Matrices, side: int, size: int, rng: np.random.Generator) -> Matrices:
    """Return maps (N, 2, 3) from images of `side` × `side` pixels to inputs of `size` × `size`: what of each is shown.

    It is all of the image, or a random square of `spec.crop` pixels of the original. Where the original is smaller in
    one direction, its middle is shown with what is beside it, which is nothing; smaller in both, all of it is shown.

    Args:
        spec: whose `crop`.
        to_pixels: (N, 2, 3) from original pixels to these, as `fit_all` returns them.
        side: of the images, into which the originals were fitted.
        size: of the input.
        rng: says where the squares are.
    """
    corners = to_pixels[:, :, 2]
    cut = np.full((len(to_pixels), 1), float(side))
    if spec.crop:
        cut = np.minimum(cut, spec.crop * to_pixels[:, [0, 1], [0, 1]].max(axis=1, keepdims=True))
    free = side - 2 * corners - cut
    drawn = np.minimum(np.floor(rng.random(corners.shape) * (free + 1)), free)  # whole pixels stay as sharp as they are
    places = corners + np.where(free > 0, drawn, free / 2)
    scale = size / cut[..., None]
    return np.concatenate([scale * np.eye(2), -scale * places[..., None]], axis=2)


def identity(count: int) -> Matrices:
    """Return matrices (count, 2, 3) that leave everything where it is."""
    return np.tile(np.eye(2, 3), (count, 1, 1))


def compose(first: NDArray[Any], then: NDArray[Any]) -> Matrices:
    """Return the maps (N, 2, 3) that do `first` and `then` in one."""
    linear = then[:, :, :2] @ first
    linear[:, :, 2] += then[:, :, 2]
    return np.asarray(linear, dtype=np.float64)


def warp_numpy(
    images: NDArray[np.uint8],
    matrices: Matrices,
    border: Border = "constant",
    size: int | None = None,
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.uint8]:
    """Return images (N, H, W, C) uint8 moved by `matrices` (N, 2, 3), interpolated linearly.

    With `size`, the results are squares of that side, and what shrinks is averaged as `fit` does: interpolated at a
    grid as many times finer as it shrinks, whose cells are then averaged. Without, they have the images' size.
    With `rows` (N,), those of any number of images are moved, without a copy of them.

    OpenCV counts pixel centres, which lie half a pixel inside: its shift is t + (A − 1)·½.
    """
    count, images = len(matrices), np.asarray(images)  # looking up a row of a memory-mapped array takes longer
    height, width, channels = images.shape[1:]
    times = np.ones(count, dtype=np.int64) if size is None else _finer(matrices)
    shape = (height, width) if size is None else (size, size)
    centred = np.array(matrices, dtype=np.float64) * times[:, None, None]
    centred[:, :, 2] += 0.5 * (centred[:, :, :2].sum(axis=2) - 1)
    moved = np.empty((count, *shape, channels), dtype=np.uint8)
    which = range(count) if rows is None else rows.tolist()
    mode, warp, linear, to = _CV2_BORDER[border], cv2.warpAffine, cv2.INTER_LINEAR, shape[::-1]
    for row, matrix, k, result in zip(which, centred, times.tolist(), moved, strict=True):
        if k == 1 and channels == 1:
            warp(images[row], matrix, to, result, linear, mode)
            continue
        # OpenCV 5 moves four channels in half the time that it takes for three, to the same values
        image = images[row] if channels == 1 else cv2.cvtColor(images[row], cv2.COLOR_RGB2RGBA)
        fine = warp(image, matrix, (k * to[0], k * to[1]), None, linear, mode)
        shown = fine if k == 1 else cv2.resize(fine, to, interpolation=cv2.INTER_AREA)
        if channels == 1:
            result[..., 0] = shown
        else:
            cv2.cvtColor(shown, cv2.COLOR_RGBA2RGB, result)
    return moved


def warp_torch(
    images: Tensor,
    matrices: Matrices,
    border: Border = "constant",
    size: int | None = None,
    places: Tensor | None = None,
) -> Tensor:
    """Return images (N, H, W, C), uint8 or floating, moved as `warp_numpy` does, on their own device.

    Args:
        places: memory for work on images that keep their size: (2·N or more, H·W) of their floating type.
    """
    planes = images.permute(0, 3, 1, 2)
    planes = planes if planes.is_floating_point() else planes.float()
    if size is None:
        moved = _sampled(planes, matrices, border, (planes.shape[2], planes.shape[3]), places)
    else:
        moved = planes.new_empty((*planes.shape[:2], size, size))
        times = _finer(matrices)
        for k in np.unique(times).tolist():
            rows = on_device(np.flatnonzero(times == k), planes.device)
            fine = _sampled(planes[rows], k * matrices[times == k], border, (k * size, k * size))
            moved[rows] = F.avg_pool2d(fine, k)
    moved = moved.permute(0, 2, 3, 1).contiguous()
    return moved if images.is_floating_point() else as_pixels(moved)


def as_pixels(values: Tensor) -> Tensor:
    """Return floating values (N, H, W, C), none of them below 0, rounded to uint8; what is uint8 stays as it is."""
    if not values.is_floating_point():
        return values
    if values.device.type == "cpu":  # OpenCV rounds, saturates and converts in one go
        rounded = cv2.convertScaleAbs(values.flatten(1).numpy())
        return torch.from_numpy(rounded).view(values.shape)
    return values.round().clamp_(0, 255).to(torch.uint8)


def _sampled(
    planes: Tensor, matrices: Matrices, border: Border, shape: tuple[int, int], places: Tensor | None = None
) -> Tensor:
    """Return planes (N, C, H, W) moved by `matrices`, as planes of `shape`."""
    height, width = planes.shape[2:]
    back = inverted(matrices) * np.array([[2 / width], [2 / height]])
    back[:, :, 2] -= 1  # torch counts from −1 to 1 across the image
    maps = on_device(torch.as_tensor(back, dtype=planes.dtype), planes.device)
    a, b, c = maps.reshape(-1, 3, 1).unbind(1)
    x, y = _centres(*shape, planes.dtype, planes.device)
    rows = None if places is None else places[: len(a)]
    places = torch.mul(a, x, out=rows).addcmul_(b, y).add_(c)  # x in planes, and y, in long rows: sooner than pairs
    grid = places.view(-1, 2, *shape).permute(0, 2, 3, 1)
    return F.grid_sample(planes, grid, padding_mode=_TORCH_BORDER[border], align_corners=False)


@lru_cache(maxsize=2)
def _centres(height: int, width: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return x (H·W,) and y (H·W,) of the pixels' centres, row after row; kept: one batch is as large as the next."""
    y, x = (torch.arange(side, dtype=dtype, device=device) + 0.5 for side in (height, width))
    return x.repeat(height), y.repeat_interleave(width)


def _finer(matrices: Matrices) -> NDArray[np.int64]:
    """Return (N,) how many times a map shrinks, in whole numbers; 1 where it enlarges."""
    shrinks = np.abs(np.linalg.det(matrices[:, :, :2])) ** -0.5
    return np.asarray(np.maximum(1, np.rint(shrinks)), dtype=np.int64)
