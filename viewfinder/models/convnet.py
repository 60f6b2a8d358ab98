"""ConvNet: our network for classes, of any image size, gray or colour."""

from __future__ import annotations

from torch import nn

from viewfinder.config import Data
from viewfinder.models.blocks import Pixels, Residual, conv
from viewfinder.models.options import Count, Network, Rate

__all__ = ["ConvNet"]


class ConvNet(Network):
    """A stem that halves the image, stages of 3×3 convolutions, the mean over what is left, one linear layer."""

    stem: Count = 5
    """Side of the first kernel, whose stride is 2."""
    widths: tuple[Count, ...] = (32, 64)
    """Channels of each stage; between stages the largest of 2×2 is kept."""
    depths: tuple[Count, ...] = (2, 3)
    """Blocks of each stage."""
    residual: bool = False
    """Blocks are pairs of convolutions with the input carried around them, which deep networks need."""
    dropout: Rate = 0
    """Before the linear layer."""

    def build(self, data: Data, outputs: int) -> nn.Module:
        layers: list[nn.Module] = [Pixels("image"), conv(data.channels, self.widths[0], self.stem, stride=2)]
        channels = self.widths[0]
        for stage, (width, depth) in enumerate(zip(self.widths, self.depths, strict=False)):
            layers += [nn.MaxPool2d(2)] * (stage > 0)
            for _ in range(depth):
                same = self.residual and channels == width
                layers.append(Residual(width) if same else conv(channels, width))
                channels = width
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(self.dropout), nn.Linear(channels, outputs)]
        return nn.Sequential(*layers, *head)
