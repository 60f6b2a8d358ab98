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


def test_matrices_decay_and_remember() -> None:
    network = nn.Linear(3, 2, bias=False)
    optimiser = build_optimiser(network, Optim(name="muon", lr=0.1, weight_decay=0.5))
    network.weight.grad = torch.zeros(2, 3)
    before = network.weight.detach().clone()
    optimiser.step()
    torch.testing.assert_close(network.weight.detach(), before * 0.95)
    network.weight.grad = torch.eye(2, 3)
    optimiser.step()
    network.weight.grad, after_one = torch.zeros(2, 3), network.weight.detach().clone()
    optimiser.step()
    assert (network.weight - after_one * 0.95).norm() > 0.01


def test_what_is_no_matrix_learns_by_adamw_to_the_bit() -> None:
    torch.manual_seed(3)
    one = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))
    one[0].requires_grad_(False)
    other = copy.deepcopy(one)
    optimisers = [
        build_optimiser(network, Optim(name=name, weight_decay=0.1))
        for network, name in ((one, "muon"), (other, "adamw"))
    ]
    for x in torch.randn(5, 8, 5):
        for network, optimiser in zip((one, other), optimisers, strict=True):
            optimiser.zero_grad()
            network(x).sigmoid().mean().backward()
            optimiser.step()
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(one.parameters(), other.parameters(), strict=True))
