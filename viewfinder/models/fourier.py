"""Convolutions computed through Fourier transforms: for a large kernel a quarter of the arithmetic, on a CPU.

To convolve is to multiply, frequency by frequency (Mathieu, Henaff, LeCun 2013, https://arxiv.org/abs/1312.5851).
Images as small as ours are transformed by products with matrices, in layouts that let each step read what the one
before it wrote. All of it is linear, so that the way back is the same products with the matrices transposed.

Where a kernel sees nothing but zeros, as on the empty ground of a digit, the answer is exactly 0 as well: through noise
a ReLU that follows would let gradients pass by chance. What is not finite spreads over its whole image.

Layouts, in memory: images are (B, H, W, C). Spectra are (B, F, N, 2, C): F frequencies down, half of them, since images
are real; N frequencies across; the real part and the imaginary one.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

__all__ = ["convolve", "pays"]

_AT_LEAST = 3
"""So many times less arithmetic: small matrix products do two thirds of it in a second, and some passes come on top."""
_KERNELS_SHARE = 18
"""Transforming the kernels and their gradient takes as long as the products of so many images."""
_FEWEST = 12
"""Channels on either side: with fewer, products are too small to be quick."""


def pays(images: Tensor, weight: Tensor, padding: int) -> bool:
    """Tell whether `convolve` is quicker to learn with than `torch.nn.functional.conv2d`.

    It is on a CPU, in float32 or float64, where the arithmetic for one image in a training step, there and back, says
    so. Nothing is timed: a training is the same whenever it is repeated.

    Args:
        images: (B, C, H, W).
        weight: (O, C, K, K).
        padding: zeros on each side.
    """
    exact = images.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled("cpu")
    if images.device.type != "cpu" or not exact or torch.compiler.is_compiling():
        return False
    batch, _, height, width = images.shape
    outputs, channels, kernel, _ = weight.shape
    if not batch or min(channels, outputs) < _FEWEST:
        return False
    inside = (height + 2 * padding - kernel + 1) * (width + 2 * padding - kernel + 1)
    directly = 3 * kernel**2 * channels * outputs * inside
    down, across = (height + padding) // 2 + 1, width + padding
    transforms = 2 * (channels + outputs) * 2 * down * width * (height + 2 * across)
    products = 3 * 4 * channels * outputs * down * across * (1 + _KERNELS_SHARE / batch)
    return directly >= _AT_LEAST * (transforms + products)


def convolve(images: Tensor, weight: Tensor, padding: int) -> Tensor:
    """Return what `torch.nn.functional.conv2d` returns, but for rounding: (B, O, H′, W′), channels last in memory.

    It can be derived once: a second derivative raises RuntimeError.

    Args:
        images: (B, C, H, W) float32 or float64, best with channels last in memory.
        weight: (O, C, K, K).
        padding: zeros on each side.
    """
    result: Tensor = _Convolution.apply(images, weight, padding)  # type: ignore[no-untyped-call]
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, padding: int) -> Tensor:
        matrices = _matrices(*images.shape[2:], weight.shape[2], padding, images.dtype)
        spectrum = _there(images.permute(0, 2, 3, 1), matrices.down, matrices.across)
        kernels = _spectrum_of(weight, matrices)
        product = torch.bmm(spectrum.transpose(0, 1), kernels).transpose(0, 1)
        ctx.save_for_backward(spectrum, kernels)
        ctx.matrices, ctx.kernel = matrices, weight.shape[2]
        answer = _back(product, matrices.back_across, matrices.back_down).permute(0, 3, 1, 2)
        return answer.mul_(_sees(images, weight.shape[2], padding))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        spectrum, kernels = ctx.saved_tensors
        matrices: _Matrices = ctx.matrices
        product = _there(gradient.permute(0, 2, 3, 1), matrices.back_down.t(), matrices.back_across.t()).transpose(0, 1)
        of_images = of_weight = None
        if ctx.needs_input_grad[0]:
            of_spectrum = torch.bmm(product, kernels.transpose(1, 2)).transpose(0, 1)
            of_images = _back(of_spectrum, matrices.across.t(), matrices.down.t()).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            of_weight = _kernels_from(torch.bmm(spectrum.permute(1, 2, 0), product), ctx.kernel, matrices)
        return of_images, of_weight, None


def _sees(images: Tensor, kernel: int, padding: int) -> Tensor:
    """(B, C, H, W) → (B, 1, H′, W′) bool: whether a kernel that stands there sees anything but zeros."""
    there = F.pad(images.abs().amax(1, keepdim=True), [padding] * 4)
    return F.avg_pool2d(there, kernel, 1) != 0


def _there(images: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """(B, H, W, C) → (B, F·N, 2·C)."""
    batch, height, width, channels = images.shape
    half = torch.matmul(down, images.reshape(batch, height, width * channels))
    whole = torch.matmul(across, half.view(batch, -1, 2 * width, channels))
    return whole.view(batch, -1, 2 * channels)


def _back(spectrum: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """(B, F·N, 2·C) → (B, H, W, C)."""
    batch, _, channels = spectrum.shape
    half = torch.matmul(across, spectrum.reshape(batch, -1, across.shape[1], channels // 2))
    images = torch.matmul(down, half.view(batch, down.shape[1], -1))
    return images.view(batch, down.shape[0], -1, channels // 2)


def _spectrum_of(weight: Tensor, matrices: _Matrices) -> Tensor:
    """(O, C, K, K) → (F·N, 2·C, 2·O): what multiplies a spectrum from the right, as complex numbers multiply."""
    outputs, channels, kernel, _ = weight.shape
    taps = weight.permute(2, 3, 1, 0).reshape(kernel**2, channels * outputs)
    real, imaginary = torch.mm(matrices.kernel, taps).view(-1, 2, channels, outputs).unbind(1)
    kernels = weight.new_empty(real.shape[0], 2, channels, 2, outputs)
    kernels[:, 0, :, 0] = kernels[:, 1, :, 1] = real
    kernels[:, 0, :, 1] = imaginary
    torch.neg(imaginary, out=kernels[:, 1, :, 0])
    return kernels.view(-1, 2 * channels, 2 * outputs)


def _kernels_from(by_frequency: Tensor, kernel: int, matrices: _Matrices) -> Tensor:
    """(F·N, 2·C, 2·O) → (O, C, K, K): the way back of `_spectrum_of`."""
    frequencies, channels, outputs = by_frequency.shape
    parts = by_frequency.view(frequencies, 2, channels // 2, 2, outputs // 2)
    real = parts[:, 0, :, 0] + parts[:, 1, :, 1]
    imaginary = parts[:, 0, :, 1] - parts[:, 1, :, 0]
    taps = torch.mm(matrices.kernel.t(), torch.stack([real, imaginary], 1).view(2 * frequencies, -1))
    return taps.view(kernel, kernel, channels // 2, outputs // 2).permute(3, 2, 0, 1)


class _Matrices(NamedTuple):
    down: Tensor
    """(F·2, H): real pixels of a column to half of their frequencies."""
    across: Tensor
    """(N·2, 2·W): complex numbers of a row to all of their frequencies."""
    back_across: Tensor
    """(2·W′, N·2)."""
    back_down: Tensor
    """(H′, F·2)."""
    kernel: Tensor
    """(F·N·2, K·K): a kernel to its frequencies."""


@lru_cache(maxsize=16)
def _matrices(height: int, width: int, kernel: int, padding: int, dtype: torch.dtype) -> _Matrices:
    """Return the transforms with periods of H + padding and W + padding, long enough that no output is met twice."""
    long, wide = height + padding, width + padding
    half, all_across = torch.arange(long // 2 + 1), torch.arange(wide)
    added = 2 * padding - kernel + 1
    taps = padding - torch.arange(kernel)  # networks correlate: the first tap brings what is furthest to the right
    down = _waves(half, torch.arange(height), long)
    both = _waves(half, taps, long)[:, None, :, None] * _waves(all_across, taps, wide)[:, None, :]
    # a real signal's other half mirrors this one, but for the first frequency and the last of an even period
    mirrored = torch.where((half == 0) | (2 * half == long), 1.0, 2.0).double() / long
    back_down = _waves(torch.arange(height + added), half, long).conj() * mirrored
    back_across = _waves(torch.arange(width + added), all_across, wide).conj() / wide
    exact = _Matrices(
        down=torch.stack([down.real, down.imag], 1).flatten(0, 1),
        across=_products(_waves(all_across, torch.arange(width), wide)).flatten(2).flatten(0, 1),
        back_across=_products(back_across).permute(1, 0, 3, 2).flatten(2).flatten(0, 1),
        back_down=torch.stack([back_down.real, -back_down.imag], 2).flatten(1),
        kernel=torch.stack([both.real, both.imag], 2).flatten(3).flatten(0, 2),
    )
    return _Matrices(*(matrix.to(dtype).contiguous() for matrix in exact))


def _waves(frequencies: Tensor, positions: Tensor, period: int) -> Tensor:
    """(F,), (P,) → (F, P) complex128: each frequency's wave, where it stands at each position."""
    turns = torch.outer(frequencies, positions) % period  # a whole turn changes nothing, and costs digits
    return torch.polar(torch.ones((), dtype=torch.float64), -2 * math.pi * turns.double() / period)


def _products(factors: Tensor) -> Tensor:
    """(M, K) complex → (M, 2, 2, K): multiplying a complex number by each, as a matrix; its rows come second."""
    rows = [torch.stack([factors.real, -factors.imag], 1), torch.stack([factors.imag, factors.real], 1)]
    return torch.stack(rows, 1)
