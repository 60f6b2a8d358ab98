"""Detector: our network for boxes, without anchors. Each cell of one map says what is centred there, and how large.

Centres as a heat map a class after Zhou et al. 2019 (https://arxiv.org/abs/1904.07850), distances to the four sides
after Tian et al. 2019 (https://arxiv.org/abs/1904.01355); scales are merged from coarse to fine as in a feature
pyramid (Lin et al. 2016, https://arxiv.org/abs/1612.03144).
"""

from __future__ import annotations

import math

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from viewfinder.config import Data
from viewfinder.models.blocks import Pixels, Residual, conv, plain_conv, widened
from viewfinder.models.options import Blocks, Count, Network, one_each

__all__ = ["STRIDE", "Detector"]

STRIDE = 8
"""Pixels of the input that a cell of the map is wide and high."""
PRIOR = 0.01
"""What a fresh network says of every cell: nearly all of them are centres of nothing."""


class Detector(Network):
    """A stem that quarters the image, stages at strides 8, 16, 32 and so on, all merged into one map at stride 8."""

    stem: tuple[Count, Count] = (16, 32)
    """Channels of the stem's two convolutions, each of which halves the image."""
    widths: tuple[Count, ...] = (64, 96, 128)
    """Channels of each stage."""
    depths: tuple[Blocks, ...] = (1, 2, 2)
    """Residual blocks of each stage."""
    merged: Count = 64
    """Channels of the merged features."""

    @model_validator(mode="after")
    def _one_depth_a_stage(self) -> Detector:
        one_each("widths", self.widths, "depths", self.depths)
        return self

    def build(self, data: Data, outputs: int) -> nn.Module:
        return nn.Sequential(_Backbone(self, data), Merged(self.widths, self.merged), Cells(self.merged, outputs))


class _Backbone(nn.Module):
    """(B, H, W, C) uint8 → the features of each stage, fine to coarse."""

    def __init__(self, options: Detector, data: Data) -> None:
        super().__init__()
        first, second = options.stem
        self.stem = nn.Sequential(Pixels("unit"), conv(data.channels, first, stride=2), conv(first, second, stride=2))
        befores = (second, *options.widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(conv(before, width, stride=2), *(Residual(width, width) for _ in range(depth)))
            for before, width, depth in zip(befores, options.widths, options.depths, strict=True)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        scales = [self.stem(images)]
        for stage in self.stages:
            scales.append(stage(scales[-1]))
        return scales[1:]


class Merged(nn.Module):
    """Features of several scales, fine to coarse → one map (B, channels, h, w) of the finest."""

    def __init__(self, widths: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.sides = nn.ModuleList(plain_conv(width, channels, 1) for width in widths)
        self.smooth = conv(channels, channels)

    def forward(self, scales: list[Tensor]) -> Tensor:
        merged, *finer = [side(scale) for side, scale in zip(self.sides, scales, strict=True)][::-1]
        for side in finer:
            merged = side + F.interpolate(merged, size=side.shape[2:], mode="nearest")
        smoothed: Tensor = self.smooth(F.relu(merged))
        return smoothed


class Cells(nn.Module):
    """Merged features → (B, outputs, h, w), the last four the logarithms of distances in cells.

    Distances need more digits than bfloat16 has: the last layer computes in float32, or as all do in float64.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.ahead = conv(channels, channels)
        self.last = nn.Conv2d(channels, outputs, 1)
        nn.init.normal_(self.last.weight, 0, 0.01)
        nn.init.constant_(self.last.bias, math.log(PRIOR / (1 - PRIOR)))  # type: ignore[arg-type]
        with torch.no_grad():
            self.last.bias[-4:] = 1  # type: ignore[index]

    def forward(self, features: Tensor) -> Tensor:
        x = self.ahead(features)
        if not torch.is_autocast_enabled(x.device.type):
            return self.last(x)  # type: ignore[no-any-return]
        with torch.autocast(x.device.type, enabled=False):
            return self.last(widened(x))  # type: ignore[no-any-return]
