"""The notes' networks for digits and keypoints, layer by layer.

Where the notes are silent, Keras's defaults hold: Glorot-uniform weights, zero biases, "same" padding.

ReLU comes after a pooling instead of before it: that is the same, since the largest value stays the largest, at a
quarter of the work.
"""

from __future__ import annotations

from torch import Tensor, nn

from viewfinder.config import Data
from viewfinder.models.blocks import Dropout, Pixels, SameConv
from viewfinder.models.options import Network, Rates, spread

__all__ = ["SeedDigits", "SeedKeypoints", "SeedKeypointsCnn", "SeedKeypointsMlp", "keras"]


class SeedDigits(Network):
    """Two pairs of convolutions and two dense layers: 887,530 parameters for ten digits of 28×28."""

    dropout: Rates = (0.25, 0.25, 0.5)
    """After the first pair, the second pair and the dense layer; one number stands for all three."""

    def build(self, data: Data, outputs: int) -> nn.Module:
        first, second, third = spread("dropout", self.dropout, 3)
        return keras(
            Pixels("unit"),
            *_pair(data.channels, 32, 5, first),
            *_pair(32, 64, 3, second),
            nn.Flatten(),
            nn.Linear(64 * (data.size // 4) ** 2, 256),
            nn.ReLU(),
            Dropout(third),
            nn.Linear(256, outputs),
        )


class SeedKeypoints(Network):
    """Two convolutions without biases and one linear layer, on raw pixels: 1,124,670 parameters for 15 points."""

    def build(self, data: Data, outputs: int) -> nn.Module:
        first = SameConv(data.channels, 32, 3, bias=False)
        second = SameConv(32, 64, 3, bias=False)
        last = nn.Linear(64 * (data.size // 4) ** 2, outputs)
        nn.init.normal_(first.weight, 0, 0.01)
        nn.init.normal_(second.weight, 0, 0.01)
        nn.init.xavier_uniform_(last.weight)
        nn.init.normal_(last.bias)
        pooled = [first, nn.MaxPool2d(2), nn.ReLU(), second, nn.MaxPool2d(2), nn.ReLU()]
        return nn.Sequential(Pixels("raw"), *pooled, nn.Flatten(), last)


class SeedKeypointsMlp(Network):
    """Three dense layers of 1,000: 11,249,030 parameters for 15 points in 96×96."""

    dropout: Rates = 0
    """After each dense layer."""

    def build(self, data: Data, outputs: int) -> nn.Module:
        layers: list[nn.Module] = [Pixels("unit"), nn.Flatten()]
        inputs = data.channels * data.size**2
        for rate in spread("dropout", self.dropout, 3):
            layers += [nn.Linear(inputs, 1000), nn.ReLU(), Dropout(rate)]
            inputs = 1000
        return keras(*layers, nn.Linear(inputs, outputs), _Centred(data.size))


class SeedKeypointsCnn(Network):
    """Three convolutions, each pooled, and two linear layers: 19,055,134 parameters for 15 points in 96×96."""

    dropout: Rates = 0.1
    """After each pooling."""

    def build(self, data: Data, outputs: int) -> nn.Module:
        layers: list[nn.Module] = [Pixels("unit")]
        channels: int = data.channels
        rates = spread("dropout", self.dropout, 3)
        for width, kernel, rate in zip((64, 128, 256), (3, 2, 2), rates, strict=True):
            layers += [SameConv(channels, width, kernel), nn.MaxPool2d(2), nn.ReLU(), Dropout(rate)]
            channels = width
        dense = nn.Linear(channels * (data.size // 8) ** 2, 512)
        return keras(*layers, nn.Flatten(), dense, nn.Linear(512, outputs), _Centred(data.size))


class _Centred(nn.Module):
    """From -1 … 1 across the image to its pixels: the network itself answers (y − 48) / 48, as in the notes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.middle = size / 2

    def forward(self, x: Tensor) -> Tensor:
        return x * self.middle + self.middle


def _pair(channels: int, width: int, kernel: int, rate: float) -> list[nn.Module]:
    convolutions = [SameConv(channels, width, kernel), nn.ReLU(), SameConv(width, width, kernel)]
    return [*convolutions, nn.MaxPool2d(2), nn.ReLU(), Dropout(rate)]


def keras(*layers: nn.Module) -> nn.Sequential:
    """Return layers one after the other that begin as Keras begins: Glorot-uniform weights, zero biases."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)
