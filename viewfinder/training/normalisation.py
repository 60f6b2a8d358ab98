"""Batch normalisation over the samples of all processes.

As one process would compute it from the whole batch: mean and variance, their running averages, and the gradient
that goes through them (Ioffe and Szegedy, https://arxiv.org/abs/1502.03167). torch's own SyncBatchNorm needs GPUs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from viewfinder.errors import RecipeError
from viewfinder.models.blocks import widened
from viewfinder.training.distributed import Team

__all__ = ["SharedBatchNorm", "share_statistics"]

_SHAREABLE = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def share_statistics(network: nn.Module, team: Team) -> nn.Module:
    """Make the network's batch normalisations look at the samples of all processes; return the network.

    Names, weights and statistics stay what they are. Raises RecipeError for a normalisation that is of another kind.
    """
    if team.size == 1:
        return network
    for parent in network.modules():
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm):
                if type(child) not in _SHAREABLE:
                    what = f"{type(child).__name__} cannot look at the samples of several processes"
                    raise RecipeError(what, where="model.name", hint="train it in one process")
                setattr(parent, name, SharedBatchNorm(child, team))
    return network


class SharedBatchNorm(_BatchNorm):
    """A batch normalisation that takes the place of another one, whose weights and statistics it goes on with.

    Every process must bring the same number of samples.
    """

    def __init__(self, norm: _BatchNorm, team: Team) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self._parameters, self._buffers = norm._parameters, norm._buffers
        self.team = team

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        y, mean, variance = _Normalised.apply(x, self.weight, self.bias, self)  # type: ignore[no-untyped-call]
        self._remember(mean, variance, self.team.size * x.numel() // x.shape[1])
        return y  # type: ignore[no-any-return]

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        part = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, part)
        self.running_var.lerp_(variance * (count / max(1, count - 1)), part)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""


class _Normalised(torch.autograd.Function):
    """(normalised x, mean, variance) with the statistics of all processes' samples."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, norm: SharedBatchNorm) -> Any:
        variance, mean = torch.var_mean(widened(x), [i for i in range(x.ndim) if i != 1], correction=0)
        digits, mean, variance = mean.dtype, mean.double(), variance.double()
        moments = norm.team.sum_(torch.stack([mean, variance + mean.square()])) / norm.team.size
        mean, variance = moments[0].to(digits), (moments[1] - moments[0].square()).clamp(min=0).to(digits)
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps, ctx.team = norm.eps, norm.team
        ctx.mark_non_differentiable(mean, variance)
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, norm.eps), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        gradient, (x, weight, mean, variance) = gradients[0], ctx.saved_tensors
        known = (gradient, x, weight, mean, variance, None, None, False, ctx.eps, [False, True, True])
        _, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(*known)
        count = ctx.team.size * x.numel() // x.shape[1]
        through = ctx.team.sum_(widened(torch.stack([by_weight, by_bias]))) / count
        inverse = torch.rsqrt(variance + ctx.eps)
        scale = inverse if weight is None else inverse * weight
        slope = -scale * inverse * through[0]
        offset = -scale * through[1] - slope * mean
        shape = (1, -1, *(1,) * (x.ndim - 2))
        by_x = torch.addcmul(offset.view(shape), widened(x), slope.view(shape))
        by_x = by_x.addcmul_(widened(gradient), scale.view(shape)).to(x.dtype)
        return by_x, *((None, None) if weight is None else (by_weight, by_bias)), None
