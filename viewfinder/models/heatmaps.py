"""Heatmaps: our network for keypoints. Each point is the centre of mass of a map of its own.

Soft-argmax after Luvizon et al. 2017 (https://arxiv.org/abs/1710.02322); features of several scales are
merged from coarse to fine as in a feature pyramid (Lin et al. 2016, https://arxiv.org/abs/1612.03144).
"""

from __future__ import annotations

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from viewfinder.config import Data
from viewfinder.models.blocks import Pixels, Residual, conv, plain_conv, widened
from viewfinder.models.options import Blocks, Count, Network, one_each

__all__ = ["Heatmaps"]


class Heatmaps(Network):
    """A stem that quarters the image, stages each half the size of the one before, the last of them merged."""

    stem: Count = 16
    """Channels between the stem's two convolutions."""
    widths: tuple[Count, ...] = (32, 64, 128)
    """Channels of each stage."""
    depths: tuple[Blocks, ...] = (0, 1, 1)
    """Residual blocks of each stage."""
    scales: Count = 2
    """How many stages are merged, from the last; a point's map has the size of the first of these."""
    merged: Count = 48
    """Channels of the merged features."""

    @model_validator(mode="after")
    def _stages_fit(self) -> Heatmaps:
        one_each("widths", self.widths, "depths", self.depths)
        if self.scales > len(self.widths):
            raise ValueError(f"{self.scales} scales are merged, but there are {len(self.widths)} stages")
        return self

    def build(self, data: Data, outputs: int) -> nn.Module:
        return _Heatmaps(self, data, outputs // 2)


class _Heatmaps(nn.Module):
    def __init__(self, options: Heatmaps, data: Data, points: int) -> None:
        super().__init__()
        widths, merged = options.widths, options.merged
        self.pixels = Pixels("image")
        self.stem = nn.Sequential(
            conv(data.channels, options.stem, stride=2),
            conv(options.stem, widths[0], stride=2),
        )
        self.stages = nn.ModuleList(
            _stage(before, width, depth, down=stage > 0)
            for stage, (before, width, depth) in enumerate(
                zip((widths[0], *widths[:-1]), widths, options.depths, strict=True)
            )
        )
        self.sides = nn.ModuleList(plain_conv(width, merged, 1) for width in widths[-options.scales :])
        self.smooth = conv(merged, merged)
        self.maps = nn.Conv2d(merged, points, 3, padding=1, bias=False)
        nn.init.normal_(self.maps.weight, 0, 0.01)
        self.centres = SoftArgmax(data.size)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(self.pixels(images))
        scales = []
        for stage in self.stages:
            x = stage(x)
            scales.append(x)
        sides = [side(scale) for side, scale in zip(self.sides, scales[-len(self.sides) :], strict=True)]
        merged = sides.pop()
        while sides:
            finer = sides.pop()
            merged = finer + F.interpolate(merged, size=finer.shape[2:], mode="nearest")
        points: Tensor = self.centres(self.maps(self.smooth(F.relu(merged))))
        return points


def _stage(before: int, width: int, depth: int, down: bool) -> nn.Sequential:
    halved = [conv(before, width, stride=2)] if down else []
    return nn.Sequential(*halved, *(Residual(width, width) for _ in range(depth)))


class SoftArgmax(nn.Module):
    """(B, K, h, w) scores → (B, 2K) x and y of each map's centre of mass, in pixels of a square image of `size`."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, maps: Tensor) -> Tensor:
        height, width = maps.shape[2:]
        mass = widened(maps).flatten(2).softmax(2).reshape(maps.shape)
        x = (mass.sum(2) * self._centres(width, mass)).sum(2)
        y = (mass.sum(3) * self._centres(height, mass)).sum(2)
        return torch.stack([x, y], 2).flatten(1)

    def _centres(self, count: int, like: Tensor) -> Tensor:
        return (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) * (self.size / count)
