"""What the weights are changed with: optimisers, the learning rate's course, averaged weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from viewfinder.config import Optim
from viewfinder.training.muon import Muon
from viewfinder.training.uncompiled import uncompiled

__all__ = ["Averages", "build_optimiser", "learning_rate", "lowered", "set_rate"]

Groups = list[dict[str, Any]]
Rate = float | Tensor
"""On a GPU a tensor there, so that a recorded step follows it; float32, whatever the precision, as its kernels want."""


def build_optimiser(network: nn.Module, spec: Optim) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over two groups: matrices and kernels decay, biases and scales do not."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups: Groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": spec.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    device = parameters[0].device
    on_gpu = device.type == "cuda"
    rate = torch.tensor(spec.lr, device=device) if on_gpu else spec.lr
    return _OPTIMISERS[spec.name]([group for group in groups if group["params"]], spec, rate, on_gpu)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Let the next step be taken at a rate."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _muon(groups: Groups, spec: Optim, rate: Rate, on_gpu: bool) -> torch.optim.Optimizer:
    betas = (spec.momentum, spec.rho)
    return uncompiled(Muon)(groups, lr=rate, betas=betas, eps=spec.epsilon, fused=True, capturable=on_gpu)


def _adamw(groups: Groups, spec: Optim, rate: Rate, on_gpu: bool) -> torch.optim.Optimizer:
    betas = (spec.momentum, spec.rho)
    return uncompiled(torch.optim.AdamW)(groups, lr=rate, betas=betas, eps=spec.epsilon, fused=True, capturable=on_gpu)


def _adam(groups: Groups, spec: Optim, rate: Rate, on_gpu: bool) -> torch.optim.Optimizer:
    betas = (spec.momentum, spec.rho)
    return uncompiled(torch.optim.Adam)(groups, lr=rate, betas=betas, eps=spec.epsilon, fused=True, capturable=on_gpu)


def _sgd(groups: Groups, spec: Optim, rate: Rate, on_gpu: bool) -> torch.optim.Optimizer:
    nesterov = spec.momentum > 0
    return uncompiled(torch.optim.SGD)(groups, lr=rate, momentum=spec.momentum, nesterov=nesterov, fused=on_gpu)


def _rmsprop(groups: Groups, spec: Optim, rate: Rate, on_gpu: bool) -> torch.optim.Optimizer:
    return uncompiled(torch.optim.RMSprop)(groups, lr=rate, alpha=spec.rho, eps=spec.epsilon, capturable=on_gpu)


_OPTIMISERS: dict[str, Callable[[Groups, Optim, Rate, bool], torch.optim.Optimizer]] = {
    "muon": _muon,
    "adamw": _adamw,
    "adam": _adam,
    "sgd": _sgd,
    "rmsprop": _rmsprop,
}


def learning_rate(spec: Optim, step: int, total: int, steps_per_epoch: int) -> float:
    """Return the scheduled rate of a step in 0 … total − 1.

    onecycle: up over `warmup` and down to nothing, both along a cosine (Smith and Topin, arXiv 1708.07120);
    cosine: up along a line, down along a cosine (Loshchilov and Hutter, arXiv 1608.03983);
    decay: lower with every step and never zero, whatever the total, as Keras's optimisers had it built in.
    """
    if spec.schedule in ("constant", "plateau"):
        return spec.lr
    if spec.schedule == "decay":
        return spec.lr / (1 + spec.decay * step / steps_per_epoch)
    done, rise = (step + 0.5) / max(1, total), max(spec.warmup, 1e-9)
    if done < rise:
        part = done / rise
        return spec.lr * (_half_cosine(part) if spec.schedule == "onecycle" else part)
    return spec.lr * _half_cosine((1 - done) / (1 - rise))


def _half_cosine(part: float) -> float:
    return 0.5 - 0.5 * math.cos(math.pi * part)


def lowered(scale: float, spec: Optim) -> float:
    """Return the factor on the rate after a plateau: `factor` times lower, the rate not below `min_lr`."""
    return max(scale * spec.factor, min(scale, spec.min_lr / spec.lr))


class Averages:
    """An exponential moving average of a network's weights (Polyak and Juditsky; as in arXiv 1806.05594).

    Its window is a share of all steps. It is shorter at the start, at most a tenth of the steps done, so that
    early weights are soon forgotten. Running statistics are averaged likewise, whole numbers are copied.
    """

    def __init__(self, network: nn.Module, share: float) -> None:
        self.share, state = share, network.state_dict()
        self.values = {name: tensor.clone() for name, tensor in state.items()}
        self._floats = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
        self._whole = {name: tensor for name, tensor in state.items() if name not in self._floats}

    def update(self, step: int, total: int) -> None:
        """Move towards what the network's weights are after `step` (0 is the first) of `total`."""
        weight = min(1.0, max(1 / max(1.0, self.share * total), 9 / (10 + step)))
        torch._foreach_lerp_([self.values[name] for name in self._floats], [*self._floats.values()], weight)
        if self._whole:
            torch._foreach_copy_([self.values[name] for name in self._whole], [*self._whole.values()])
