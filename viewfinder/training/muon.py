"""Muon: each matrix of weights takes a step in which all directions count the same.

The mean of the last gradients is turned into the nearest matrix whose rows are at right angles, by products of matrices
alone (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/). A kernel counts as a matrix with a row for each
of its outputs. Biases and scales, which are no matrices, learn by AdamW.
"""

from __future__ import annotations

import math
from inspect import unwrap
from typing import Any

import torch
from torch import Tensor

__all__ = ["Muon", "orthogonalised"]

ROUNDS = 5
A, B, C = 3.4445, -4.775, 2.0315
"""x → Ax + Bx³ + Cx⁵, so many rounds of it, brings all in 0.002 … 1 to 0.7 … 1.2."""
LIKE_ADAM = 0.2
"""How large AdamW's steps are, in units of the rate, so that one rate does for both (https://arxiv.org/abs/2502.16982)."""


class Muon(torch.optim.AdamW):
    """AdamW, but for weights of more than one dimension, to which AdamW's first beta is the momentum.

    torch's own of that name, where it has one, takes no kernels, and no other weights beside.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Change all weights that have a gradient. The gradients of the matrices are forgotten."""
        for group in self.param_groups:
            for weights in group["params"]:
                if weights.ndim > 1 and weights.grad is not None:
                    self._take(weights, weights.grad, group)
                    weights.grad = None  # AdamW passes over what has none
        unwrap(torch.optim.AdamW.step)(self)

    def _take(self, weights: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, beta = self.state[weights], group["betas"][0]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)  # AdamW looks for it when a state is loaded
            state["exp_avg"] = torch.zeros_like(weights)
        mean = state["exp_avg"].lerp_(gradient, 1 - beta)
        ahead = gradient.lerp(mean, beta)  # after Nesterov
        turned = orthogonalised(ahead.flatten(1))
        turned *= group["lr"] * (LIKE_ADAM * math.sqrt(max(turned.shape)))
        weights.mul_(1 - group["lr"] * group["weight_decay"]).sub_(turned.view(weights.shape))


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return (m, n) with about the same singular vectors, and singular values of 0.7 to 1.2; all zeros stay zeros.

    Very small ones, below about a 500th of the matrix' norm, come out smaller. All rounds are polynomials of the
    matrix' product with itself, whose sides are the smaller one, so that only the first and last product are large.
    They need all digits of float32: with fewer, what should be 0 turns negative and grows.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalised(matrix.T).T
    scaled = matrix / torch.linalg.matrix_norm(matrix).clamp(min=1e-12)
    gram = scaled @ scaled.T
    turn = whole = _round(gram)
    for _ in range(ROUNDS - 1):
        gram = turn @ gram @ turn
        turn = _round(gram)
        whole = turn @ whole
    orthogonal: Tensor = whole @ scaled
    return orthogonal


def _round(gram: Tensor) -> Tensor:
    """Return the matrix that takes x, of which `gram` is the product with itself, to Ax + Bx³ + Cx⁵."""
    turn = torch.addmm(gram, gram, gram, beta=B, alpha=C)
    turn.diagonal().add_(A)
    return turn
