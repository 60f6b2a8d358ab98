"""The notes' face tracker: VGG16 without its classifier, a head that says whether there is a face, one that says where.

VGG16 is configuration D of Simonyan and Zisserman 2014 (https://arxiv.org/abs/1409.1556). As everywhere in the notes,
Keras's defaults hold: Glorot-uniform weights, zero biases.
"""

from __future__ import annotations

from pydantic import model_validator
from torch import Tensor, cat, nn
from torch.nn.functional import adaptive_max_pool2d

from viewfinder.config import Data
from viewfinder.models.blocks import Pixels
from viewfinder.models.options import Count, Network, one_each
from viewfinder.models.pretrained import copy_weights, pretrained_file
from viewfinder.models.seeds import keras

__all__ = ["SeedFaceTracker"]

VGG16 = "https://huggingface.co/timm/vgg16.tv_in1k/resolve/main/model.safetensors"
"""Torchvision's weights for ImageNet, as a file that is only data; licensed BSD-3-Clause."""


class SeedFaceTracker(Network):
    """VGG16 without its classifier, the largest value of each channel, two heads: 16,826,181 parameters for one box."""

    widths: tuple[Count, ...] = (64, 128, 256, 512, 512)
    """Channels of each stage."""
    depths: tuple[Count, ...] = (2, 2, 3, 3, 3)
    """3×3 convolutions of each stage; after them the largest of 2×2 is kept."""
    dense: Count = 2048
    """Units of each head's hidden layer."""
    weights: str = ""
    """Where a training starts from: "imagenet", or a .safetensors file of VGG16 with torchvision's names; "": anew."""

    @model_validator(mode="after")
    def _stages_fit(self) -> SeedFaceTracker:
        one_each("widths", self.widths, "depths", self.depths)
        return self

    def build(self, data: Data, outputs: int) -> nn.Module:
        return _FaceTracker(self, data, outputs)

    def start(self, network: nn.Module) -> None:
        """Give VGG16 its pretrained weights. The notes feed them pixels / 255, not ImageNet's mean and deviation."""
        if self.weights:
            file = pretrained_file(self.weights, VGG16, "features.")
            copy_weights(file, network.get_submodule("features"), "features.")


class _FaceTracker(nn.Module):
    """(B, H, W, C) uint8 → (B, outputs): the first says whether it is there, the others where; before the sigmoid.

    The layers of `features` have the numbers that they have in torchvision.
    """

    def __init__(self, options: SeedFaceTracker, data: Data, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels: int = data.channels
        for width, depth in zip(options.widths, options.depths, strict=True):
            for _ in range(depth):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.pixels = Pixels("unit")
        self.features = keras(*layers)
        self.presence = keras(nn.Linear(channels, options.dense), nn.ReLU(), nn.Linear(options.dense, 1))
        self.place = keras(nn.Linear(channels, options.dense), nn.ReLU(), nn.Linear(options.dense, outputs - 1))
        self.both = _Both()

    def forward(self, images: Tensor) -> Tensor:
        largest = adaptive_max_pool2d(self.features(self.pixels(images)), 1).flatten(1)
        both: Tensor = self.both(self.presence(largest), self.place(largest))
        return both


class _Both(nn.Module):
    """Two heads' outputs side by side."""

    def forward(self, presence: Tensor, place: Tensor) -> Tensor:
        return cat([presence, place], 1)
