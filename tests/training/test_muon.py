"""Muon: matrices take steps of which all directions are alike, everything else learns by AdamW."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from viewfinder.config import Optim
from viewfinder.training.muon import orthogonalised
from viewfinder.training.optim import build_optimiser


@pytest.mark.parametrize("shape", [(8, 8), (8, 72), (72, 8), (1, 9), (9, 1)])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_all_directions_of_a_matrix_become_about_as_long_and_stay_what_they_are(
    shape: tuple[int, int], scale: float
) -> None:
    torch.manual_seed(1)
    left, _ = torch.linalg.qr(torch.randn(shape[0], min(shape)))
    right, _ = torch.linalg.qr(torch.randn(shape[1], min(shape)))
    lengths = torch.logspace(0, -2, min(shape))
    turned = left.T @ orthogonalised(left * lengths @ right.T * scale) @ right
    assert turned.diagonal().min() > 0.65
    assert turned.diagonal().max() < 1.25
    assert (turned - turned.diagonal().diag()).abs().max() < 1e-3


@pytest.mark.parametrize("shape", [(128, 1152), (30, 432)])
@pytest.mark.parametrize("noise", [0, 1e-6, 1e-3])
def test_what_has_few_directions_is_turned_in_float32_as_in_float64(shape: tuple[int, int], noise: float) -> None:
    torch.manual_seed(5)
    rank_one = torch.rand(shape[0], 1) @ torch.rand(1, shape[1]) + noise * torch.randn(shape)
    exact = orthogonalised(rank_one.double())
    assert (orthogonalised(rank_one) - exact).norm() < 2e-3 * exact.norm()


def test_a_gradient_of_zeros_is_no_direction() -> None:
    assert torch.equal(orthogonalised(torch.zeros(3, 5)), torch.zeros(3, 5))


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_kernel_is_a_matrix_with_a_row_for_each_of_its_outputs(channels_last: bool) -> None:
    torch.manual_seed(2)
    network = nn.Conv2d(6, 4, 3, bias=False)
    if channels_last:
        network.to(memory_format=torch.channels_last)
    before = network.weight.detach().clone()
    network(torch.randn(2, 6, 8, 8)).square().sum().backward()
    assert network.weight.grad is not None
    gradient = network.weight.grad.clone().flatten(1)
    build_optimiser(network, Optim(name="muon", lr=0.1, momentum=0.5)).step()
    step = (before - network.weight.detach()).flatten(1)
    torch.testing.assert_close(step, 0.1 * 0.2 * 54**0.5 * orthogonalised(gradient), rtol=1e-3, atol=1e-4)


def test_steps_are_those_of_the_mean_gradient_looked_at_one_step_ahead() -> None:
    torch.manual_seed(4)
    network = nn.Linear(3, 2, bias=False).double()
    lr, decay, beta = 0.1, 0.5, 0.8
    optimiser = build_optimiser(network, Optim(name="muon", lr=lr, weight_decay=decay, momentum=beta))
    weights, mean = network.weight.detach().clone(), torch.zeros(2, 3, dtype=torch.float64)
    for gradient in torch.randn(3, 2, 3, dtype=torch.float64):
        network.weight.grad = gradient.clone()
        optimiser.step()
        mean = beta * mean + (1 - beta) * gradient
        turned = orthogonalised((1 - beta) * gradient + beta * mean)
        weights = weights * (1 - lr * decay) - lr * 0.2 * 3**0.5 * turned
        torch.testing.assert_close(network.weight.detach(), weights, rtol=1e-12, atol=1e-12)


def test_what_is_no_matrix_learns_by_adamw_to_the_bit() -> None:
    torch.manual_seed(3)
    one = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))
    one[0].requires_grad_(False)
    other = copy.deepcopy(one)
    optimisers = [
        build_optimiser(network, Optim(name=name, lr=0.003, momentum=0.9, weight_decay=0.1))
        for network, name in ((one, "muon"), (other, "adamw"))
    ]
    for x in torch.randn(5, 8, 5):
        for network, optimiser in zip((one, other), optimisers, strict=True):
            optimiser.zero_grad()
            network(x).sigmoid().mean().backward()
            optimiser.step()
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(one.parameters(), other.parameters(), strict=True))
