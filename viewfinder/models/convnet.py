"""ConvNet: our network for classes, of any image size, gray or colour."""

from __future__ import annotations

from pydantic import Field, model_validator
from torch import nn

from viewfinder.config import Data
from viewfinder.models.blocks import Dropout, Pixels, Residual, Scaling, conv
from viewfinder.models.options import Blocks, Count, Network, Rate, one_each

__all__ = ["ConvNet"]


class ConvNet(Network):
    """A stem that halves the image, stages of 3×3 convolutions, the mean over what is left, one linear layer."""

    pixels: Scaling = "image"
    """What is done to pixels first: raw, unit (0 to 1), or image (mean 0 and deviation 1 within each image)."""
    stem: Count = 5
    """Side of the first kernel, whose stride is 2."""
    widths: tuple[Count, ...] = (32, 64)
    """Channels of each stage; between stages the largest of 2×2 is kept."""
    depths: tuple[Blocks, ...] = (2, 3)
    """Blocks of each stage; the first may have none beside the stem."""
    unpadded: int = Field(0, ge=0)
    """So many stages, the stem with the first, do not pad: each convolution takes two pixels off, which saves time."""
    residual: bool = False
    """Blocks are pairs of convolutions with the input carried around them, which deep networks need."""
    dropout: Rate = 0
    """Before the linear layer."""

    @model_validator(mode="after")
    def _one_depth_a_stage(self) -> ConvNet:
        one_each("widths", self.widths, "depths", self.depths)
        if 0 in self.depths[1:]:
            raise ValueError("only the first stage may have no blocks")
        return self

    def build(self, data: Data, outputs: int) -> nn.Module:
        channels = self.widths[0]
        stem_pad = 0 if self.unpadded else None
        layers: list[nn.Module] = [Pixels(self.pixels), conv(data.channels, channels, self.stem, 2, stem_pad)]
        for stage, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            layers += [nn.MaxPool2d(2)] * (stage > 0)
            for _ in range(depth):
                layers.append(self._block(channels, width, padded=stage >= self.unpadded))
                channels = width
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), Dropout(self.dropout), nn.Linear(channels, outputs)]
        return nn.Sequential(*layers, *head)

    def _block(self, channels: int, width: int, padded: bool) -> nn.Module:
        return Residual(channels, width) if self.residual else conv(channels, width, padding=None if padded else 0)
