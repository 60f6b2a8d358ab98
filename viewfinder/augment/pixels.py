"""What light, camera and chance do to pixel values; nothing moves.

    drawn = draw_light(recipe.augment, images.shape, rng)
    images = light_numpy(images, recipe.augment, drawn)

In this order: contrast about the image's mean, brightness and channel shift, gamma (these four are one table of 256
values a sample and channel; torch computes them, unrounded), blur, noise, erasing. `light` says how often contrast and
brightness together, gamma and channel shift are each applied; the others always are. What is 0 changes nothing. From
the same strengths both backends make the same picture up to rounding; only the grains of the noise differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from viewfinder.augment.device import on_device
from viewfinder.augment.geometry import as_pixels
from viewfinder.augment.share import cut
from viewfinder.config import Augment

__all__ = ["Light", "draw_light", "light_numpy", "light_torch"]

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

_GRAINS = 4
"""Noise is cut out of one table this many images long at random places: drawing it is the dear part."""
_ERASED_AREA = (0.02, 0.15)
_ERASED_ASPECT = 2.0


@dataclass(frozen=True)
class Light:
    """What happens to each of N images.

    Args:
        contrast, gamma: (N,) factors and exponents.
        brightness: (N, C) what is added, as a share of the full range.
        blur: (N,) standard deviations in pixels.
        noise: (N,) standard deviations in gray levels.
        erased: (N, 4) int64 left, top, right, bottom; all 0 where nothing is erased.
        starts: (N,) int64, where in the table of grains the noise of each begins.
        seed: of that table.
    """

    contrast: Floats
    gamma: Floats
    brightness: Floats
    blur: Floats
    noise: Floats
    erased: NDArray[np.int64]
    starts: NDArray[np.int64]
    seed: int

    def of(self, images: NDArray[np.int64]) -> Light:
        """Return what happens to those of the images; they rise."""
        these = cut(images)
        return Light(
            self.contrast[these],
            self.gamma[these],
            self.brightness[these],
            self.blur[these],
            self.noise[these],
            self.erased[these],
            self.starts[these],
            self.seed,
        )


def light_numpy(images: Pixels, spec: Augment, light: Light, out: Pixels | None = None) -> Pixels:
    """Return images (N, H, W, C) uint8 in other light; the given ones stay as they are, unless they are `out`.

    Args:
        light: what `draw_light` drew for N images of this shape.
        out: memory for the result, of the images' shape, used where anything changes; where it is `images` itself, no
            other is needed.
    """
    if not _changes(spec):
        return images
    mean = _means(images) if spec.contrast or spec.erase else None
    out = np.empty_like(images) if out is None else out
    if _tabled(spec):
        images = _look_up(images, _tables(spec, light, mean), out)
    if spec.blur:
        images = _blurred(images, light.blur, _radius(spec.blur, images.shape), out)
    if spec.noise:
        images = _noisy(images, light, out)
    if spec.erase and mean is not None:
        images = _erased(images, light.erased, mean, out)
    return images


def light_torch(images: Tensor, spec: Augment, light: Light) -> Tensor:
    """Return images (N, H, W, C), uint8 or float32 in gray levels, in other light, on their own device.

    It does what `light_numpy` does, and rounds once, at the end, where the images are uint8; the memory of others is
    used.
    """
    if not _changes(spec):
        return images
    values = images.float()
    mean = values.mean(dim=(1, 2)) if spec.contrast or spec.erase else None
    if _tabled(spec):
        values = _lit_torch(values, spec, light, mean)
    if spec.blur:
        values = _blurred_torch(values, light.blur, _radius(spec.blur, tuple(images.shape)))
    if spec.noise:
        values = _noisy_torch(values, light)
    if spec.erase and mean is not None:
        values = _erased_torch(values, light.erased, mean)
    return values if images.is_floating_point() else as_pixels(values)


def draw_light(spec: Augment, shape: tuple[int, ...], rng: np.random.Generator) -> Light:
    """Return random strengths for images of a shape (N, H, W, C).

    Contrast and gamma are log-uniform, so that twice is as likely as half; all else is uniform.
    """
    count, height, width, channels = shape
    uniform = rng.uniform(-1, 1, (count, 3)).astype(np.float32)
    shifts = rng.uniform(-1, 1, (count, channels)).astype(np.float32)
    positive = rng.random((count, 2), dtype=np.float32)
    if spec.light < 1:
        together, gamma, shifted = rng.spawn(1)[0].random((3, count, 1)) < spec.light
        uniform *= np.concatenate([together, gamma, together], axis=1)
        shifts *= shifted
    return Light(
        contrast=(1 + spec.contrast) ** uniform[:, 0],
        gamma=(1 + spec.gamma) ** uniform[:, 1],
        brightness=spec.brightness * uniform[:, 2:] + spec.channel_shift * shifts,
        blur=spec.blur * positive[:, 0],
        noise=255 * spec.noise * positive[:, 1],
        erased=_rectangles(spec, count, height, width, rng),
        starts=rng.integers(0, (_GRAINS - 1) * height * width * channels, count),
        seed=int(rng.integers(2**63)),
    )


def _rectangles(spec: Augment, count: int, height: int, width: int, rng: np.random.Generator) -> NDArray[np.int64]:
    if spec.erase or spec.noise:  # the noise is drawn next: it does not depend on what is erased
        chosen, at_x, at_y, size, aspect = rng.random((5, count))
    if not spec.erase:
        return np.zeros((count, 4), dtype=np.int64)
    area = _ERASED_AREA[0] + (_ERASED_AREA[1] - _ERASED_AREA[0]) * size
    ratio = _ERASED_ASPECT ** (2 * aspect - 1)
    wide = np.rint(width * np.sqrt(area * ratio)).astype(np.int64)
    high = np.rint(height * np.sqrt(area / ratio)).astype(np.int64)
    left, top = (at_x * (width - wide + 1)).astype(np.int64), (at_y * (height - high + 1)).astype(np.int64)
    rectangles: NDArray[np.int64] = np.stack([left, top, left + wide, top + high], axis=1)
    rectangles[chosen >= spec.erase] = 0
    return rectangles


def _means(images: Pixels) -> Floats:
    channels = images.shape[3]
    return np.array([cv2.mean(image)[:channels] for image in images], dtype=np.float32)


def _changes(spec: Augment) -> bool:
    return _tabled(spec) or any((spec.blur, spec.noise, spec.erase))


def _tabled(spec: Augment) -> bool:
    return any((spec.contrast, spec.brightness, spec.channel_shift, spec.gamma))


def _tables(spec: Augment, light: Light, mean: Floats | None) -> Pixels:
    """Return what each gray level becomes: (N, C, 256), or (N, 1, 256) where it is the same in all channels."""
    middle = np.zeros((len(light.contrast), 1), np.float32) if mean is None else mean.mean(axis=1, keepdims=True)
    middle = (middle / 255)[:, :, None]
    levels = np.linspace(0, 1, 256, dtype=np.float32)
    brightness = light.brightness if spec.channel_shift else light.brightness[:, :1]
    lit = (levels - middle) * light.contrast[:, None, None] + middle + brightness[:, :, None]
    lit.clip(0, 1, out=lit)
    if spec.gamma:
        lit **= light.gamma[:, None, None]
    lit *= 255
    return np.rint(lit, out=lit).astype(np.uint8)


def _look_up(images: Pixels, tables: Pixels, out: Pixels) -> Pixels:
    by_channel = np.ascontiguousarray(tables.transpose(0, 2, 1))[:, None]
    for image, table, result in zip(images, by_channel, out, strict=True):
        cv2.LUT(image, table, result)
    return out


def _lit_torch(values: Tensor, spec: Augment, light: Light, mean: Tensor | None) -> Tensor:
    """Return values (N, H, W, C), whose memory is used, in the light that `_tables` holds, not rounded."""

    def by_image(drawn: Floats) -> Tensor:
        return on_device(drawn, values.device).reshape(len(values), 1, 1, -1)

    contrast = by_image(light.contrast)
    added = 255 * by_image(light.brightness if spec.channel_shift else light.brightness[:, :1])
    if mean is not None:
        added = added + (1 - contrast) * mean.mean(dim=1).reshape(-1, 1, 1, 1)
    lit = values.mul_(contrast).add_(added).clamp_(0, 255)
    return lit.div_(255).pow_(by_image(light.gamma)).mul_(255) if spec.gamma else lit


def _radius(blur: float, shape: tuple[int, ...]) -> int:
    return max(1, min(int(np.ceil(3 * blur)), min(shape[1:3]) - 1))


def _blurred(images: Pixels, sigmas: Floats, radius: int, out: Pixels) -> Pixels:
    size = (2 * radius + 1, 2 * radius + 1)
    for image, sigma, result in zip(images, sigmas.clip(0.05).tolist(), out, strict=True):
        cv2.GaussianBlur(image, size, sigma, result, sigma)
    return out


def _blurred_torch(images: Tensor, sigmas: Floats, radius: int) -> Tensor:
    count, height, width, channels = images.shape
    steps = np.arange(-radius, radius + 1, dtype=np.float32)
    weights = np.exp(-0.5 * (steps / sigmas.clip(0.05)[:, None]) ** 2)
    weights = (weights / weights.sum(axis=1, keepdims=True)).repeat(channels, axis=0)
    kernels = on_device(weights, images.device)
    planes = images.permute(0, 3, 1, 2).reshape(1, count * channels, height, width)
    planes = F.pad(planes, (radius, radius, radius, radius), mode="reflect")
    planes = F.conv2d(planes, kernels[:, None, None, :], groups=count * channels)
    planes = F.conv2d(planes, kernels[:, None, :, None], groups=count * channels)
    return planes.reshape(count, channels, height, width).permute(0, 2, 3, 1)


def _noisy(images: Pixels, light: Light, out: Pixels) -> Pixels:
    size = images[0].size
    grains = np.random.default_rng(light.seed).standard_normal(_GRAINS * size, dtype=np.float32)
    for image, start, sigma, result in zip(images, light.starts.tolist(), light.noise, out, strict=True):
        noise = (grains[start : start + size] * sigma).reshape(image.shape)
        cv2.add(image, noise, result, None, cv2.CV_8U)
    return out


def _noisy_torch(images: Tensor, light: Light) -> Tensor:
    size = images[0].numel()
    generator = torch.Generator(images.device).manual_seed(light.seed)
    grains = torch.randn(_GRAINS * size, device=images.device, generator=generator)
    noise = grains.unfold(0, size, 1)[on_device(light.starts, images.device)].view(images.shape)
    return (images + noise * on_device(light.noise, images.device)[:, None, None, None]).clamp_(0, 255)


def _erased(images: Pixels, rectangles: NDArray[np.int64], mean: Floats, out: Pixels) -> Pixels:
    if images is not out:
        out[:] = images
    fill = np.rint(mean).astype(np.uint8)
    for row in np.flatnonzero(rectangles[:, 2]):
        left, top, right, bottom = rectangles[row]
        out[row, top:bottom, left:right] = fill[row]
    return out


def _erased_torch(images: Tensor, rectangles: NDArray[np.int64], mean: Tensor) -> Tensor:
    left, top, right, bottom = on_device(rectangles, images.device).T[:, :, None]
    x, y = (torch.arange(side, device=images.device) for side in (images.shape[2], images.shape[1]))
    inside = ((y >= top) & (y < bottom))[:, :, None] & ((x >= left) & (x < right))[:, None, :]
    return torch.where(inside[..., None], mean.round()[:, None, None, :], images)
