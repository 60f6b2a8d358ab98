"""The pieces that networks are made of."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from viewfinder.models import fourier

__all__ = ["Dropout", "Pixels", "Residual", "SameConv", "Scaling", "conv", "plain_conv", "widened"]

Scaling = Literal["raw", "unit", "image"]


def widened(values: Tensor) -> Tensor:
    """Return values with the digits of float32 at least: bfloat16 has too few for losses, sums and coordinates."""
    return values if values.dtype == torch.float64 else values.float()


class Pixels(nn.Module):
    """(B, H, W, C) uint8 → (B, C, H, W), in channels-last order because the bytes lie so already.

    They are float32, or float64 in a network that `double()` was called on.

    Args:
        scaling: raw: 0 to 255; unit: 0 to 1; image: mean 0 and standard deviation 1 within each image.
    """

    of_the_network: Tensor
    floor = 25.0  # variance added under the root: a blank image stays blank, its noise is not blown up

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        self.scaling = scaling
        self.register_buffer("of_the_network", torch.zeros(()), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.permute(0, 3, 1, 2).to(self.of_the_network.dtype)
        if self.scaling == "raw":
            return pixels
        if self.scaling == "unit":
            return pixels / 255
        centred = pixels - pixels.mean((1, 2, 3), keepdim=True)
        return centred * torch.rsqrt(centred.square().mean((1, 2, 3), keepdim=True) + self.floor)

    def extra_repr(self) -> str:
        return self.scaling


class Dropout(nn.Dropout):
    """Dropout whose chance costs a third on a CPU, where torch draws on one core: four units share 64 random bits.

    The rate is rounded to 1/65,536. On other devices, and compiled, it is torch's own.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p or x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        kept = bits[: x.numel()] >= min(round(self.p * 2**16), 2**16 - 1) - 2**15
        strides = torch.empty_like(x, device="meta").stride()  # where x is not dense, those of the result
        return x * kept.as_strided(x.shape, strides).to(x.dtype).mul_(1 / (1 - self.p))


class SameConv(nn.Conv2d):
    """A convolution that keeps the size, as Keras pads: an even kernel's odd pixel goes right and below.

    A large kernel learns through Fourier transforms where they are quicker; what is learnt answers without them.
    """

    def __init__(self, channels: int, outputs: int, kernel: int, bias: bool = True) -> None:
        super().__init__(channels, outputs, kernel, padding=(kernel - 1) // 2, bias=bias)
        self.even = kernel % 2 == 0

    def forward(self, x: Tensor) -> Tensor:
        padded, padding = F.pad(x, (0, 1, 0, 1)) if self.even else x, int(self.padding[0])
        if not self.training or not fourier.pays(padded, self.weight, padding):
            return super().forward(padded)
        convolved = fourier.convolve(padded, self.weight, padding)
        return convolved if self.bias is None else convolved + self.bias[:, None, None]


def conv(channels: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int | None = None) -> nn.Sequential:
    """Return convolution, batch normalisation and ReLU; the size is kept at stride 1 unless `padding` is given."""
    pad = kernel // 2 if padding is None else padding
    return nn.Sequential(
        nn.Conv2d(channels, outputs, kernel, stride, pad, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def plain_conv(channels: int, outputs: int, kernel: int, scale: float = 1) -> nn.Sequential:
    """Return convolution and batch normalisation, which begins with `scale`; the size is kept."""
    norm = nn.BatchNorm2d(outputs)
    nn.init.constant_(norm.weight, scale)
    return nn.Sequential(nn.Conv2d(channels, outputs, kernel, padding=kernel // 2, bias=False), norm)


class Residual(nn.Module):
    """Two 3×3 convolutions around which the input is carried (He et al. 2015, https://arxiv.org/abs/1512.03385).

    Where the number of channels changes, the carried input is mixed by a 1×1 convolution. The second
    normalisation begins at zero, so that the block begins as if its convolutions were not there.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.first = conv(channels, outputs)
        self.second = plain_conv(outputs, outputs, 3, scale=0)
        self.carried = nn.Identity() if channels == outputs else plain_conv(channels, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.carried(x) + self.second(self.first(x)))
