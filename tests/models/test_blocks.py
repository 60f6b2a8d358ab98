"""The pieces that networks are made of."""

from __future__ import annotations

import pytest
import torch

from viewfinder.models.blocks import Dropout


def images(memory_format: torch.memory_format, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(64, 13, 9, 11, generator=generator) + 1).to(dtype).contiguous(memory_format=memory_format)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5])
def test_dropout_drops_its_share_and_makes_the_others_larger(rate: float, memory_format: torch.memory_format) -> None:
    torch.manual_seed(1)
    x = images(memory_format).requires_grad_(True)
    y = Dropout(rate).train()(x)
    dropped = y == 0
    assert dropped.float().mean().item() == pytest.approx(rate, abs=0.01)
    assert dropped.float().mean((0, 2, 3)).sub(rate).abs().max() < 0.03, "each channel loses the same share"
    torch.testing.assert_close(y[~dropped], x[~dropped] / (1 - rate))
    assert y.stride() == x.stride()
    y.sum().backward()
    torch.testing.assert_close(x.grad, torch.where(dropped, 0.0, 1 / (1 - rate)))


def test_dropout_is_decided_by_the_seed_and_is_new_each_time() -> None:
    drop, x = Dropout(0.5).train(), images(torch.contiguous_format)
    torch.manual_seed(1)
    first, second = drop(x), drop(x)
    torch.manual_seed(1)
    assert torch.equal(first, drop(x))
    assert not torch.equal(first, second)


def test_neighbours_in_memory_are_dropped_independently() -> None:
    torch.manual_seed(2)
    kept = (Dropout(0.5).train()(torch.ones(4000, 64)) > 0).float()
    together = torch.corrcoef(kept.T) - torch.eye(64)
    assert together.abs().max() < 0.09, "four units share a random number, but none of its bits"


def test_dropout_leaves_evaluation_and_the_type_alone() -> None:
    x = images(torch.channels_last, torch.bfloat16)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0).train()(x), x)
    assert Dropout(0.5).train()(x).dtype == torch.bfloat16


def test_dropout_does_not_break_a_compiled_network_in_two() -> None:
    from torch._dynamo import explain

    assert explain(Dropout(0.5).train())(images(torch.channels_last)).graph_break_count == 0


def test_nearly_everything_can_be_dropped() -> None:
    assert (Dropout(0.9999999).train()(images(torch.channels_last)) == 0).float().mean() > 0.99


def test_relu_after_pooling_is_relu_before_it() -> None:
    pool, relu = torch.nn.MaxPool2d(2), torch.nn.ReLU()
    x = (images(torch.channels_last) - 1.5).requires_grad_(True)
    x.data[:8] = x.data[:8].sign() / 2  # many are equally large
    (before,) = torch.autograd.grad(pool(relu(x)).square().sum(), x)
    (after,) = torch.autograd.grad(relu(pool(x)).square().sum(), x)
    assert torch.equal(pool(relu(x)), relu(pool(x)))
    assert torch.equal(before, after)
