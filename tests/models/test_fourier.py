"""Convolutions through Fourier transforms are the convolutions they stand for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from viewfinder import tasks
from viewfinder.config import load_recipe
from viewfinder.models import fourier
from viewfinder.models.blocks import SameConv

CASES = [  # height, width, kernel, padding
    (28, 28, 5, 2),
    (14, 14, 3, 1),
    (9, 12, 5, 2),
    (12, 9, 3, 0),
    (6, 7, 4, 1),
    (5, 5, 5, 0),
    (3, 4, 7, 3),
    (8, 5, 3, 2),
    (1, 1, 1, 0),
]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + 1000 * len(shape) + shape[0])
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("height", "width", "kernel", "padding"), CASES)
def test_answers_and_both_gradients_are_those_of_the_convolution(
    height: int, width: int, kernel: int, padding: int, memory_format: torch.memory_format
) -> None:
    images = drawn(3, 2, height, width).contiguous(memory_format=memory_format).requires_grad_(True)
    weight = drawn(4, 2, kernel, kernel).requires_grad_(True)
    expected, found = F.conv2d(images, weight, padding=padding), fourier.convolve(images, weight, padding)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert found.is_contiguous(memory_format=torch.channels_last)
    towards = drawn(*expected.shape, seed=1)
    ours, theirs = (torch.autograd.grad(y, [images, weight], towards) for y in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


def test_in_float32_it_is_at_least_as_exact_as_torch() -> None:
    images, weight, towards = drawn(16, 32, 28, 28), drawn(32, 32, 5, 5), drawn(16, 32, 28, 28, seed=1)

    def all_of(convolve: Callable[..., Tensor], dtype: torch.dtype) -> list[Tensor]:
        given = [tensor.to(dtype).requires_grad_(True) for tensor in (images, weight)]
        answer = convolve(*given, padding=2)
        return [answer.detach(), *torch.autograd.grad(answer, given, towards.to(dtype))]

    exact = all_of(F.conv2d, torch.float64)
    for ours, theirs, right in zip(
        *(all_of(way, torch.float32) for way in (fourier.convolve, F.conv2d)), exact, strict=True
    ):
        assert (ours - right).norm() <= 1.2 * (theirs - right).norm() < 1e-5 * right.norm()


def test_where_a_kernel_sees_nothing_the_answer_is_exactly_0() -> None:
    images, weight = drawn(4, 16, 20, 20), drawn(16, 16, 5, 5)
    images[:, :, 6:] = 0
    images[3] = 0
    expected, found = F.conv2d(images, weight, padding=2), fourier.convolve(images, weight, 2)
    assert torch.equal(found == 0, expected == 0)
    assert (found[:3] == 0).float().mean() == 12 / 20


def test_a_first_step_on_empty_ground_is_that_of_the_convolution_however_the_batch_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = load_recipe("seed-digits", {"model.dropout": "0"})
    torch.manual_seed(0)
    network = tasks.create(recipe, tasks.usual_names(recipe)).build().double().train()
    pixels = torch.zeros(64, 28, 28, 1, dtype=torch.uint8)
    pixels[:, 8:20, 11:15] = 100 + drawn(64, 12, 4, 1).mul(30).round().to(torch.uint8)

    def gradients(pieces: int) -> list[Tensor]:
        network.zero_grad()
        for piece in pixels.chunk(pieces):
            network(piece).logsumexp(1).sum().backward()
        return [parameter.grad.clone() for parameter in network.parameters()]

    whole, halves = gradients(1), gradients(2)
    monkeypatch.setattr(fourier, "pays", lambda *_: False)
    expected = gradients(1)
    for name, *sides in zip(dict(network.named_parameters()), whole, halves, expected, strict=True):
        one, two, right = sides
        for found in (one, two):
            assert (found - right).abs().max() < 1e-9 * right.abs().max(), name


@pytest.mark.parametrize("learnt", ["images", "weight"])
def test_what_needs_no_gradient_gets_none(learnt: str) -> None:
    inputs = {"images": drawn(3, 2, 8, 8), "weight": drawn(4, 2, 5, 5)}
    inputs[learnt].requires_grad_(True)
    fourier.convolve(**inputs, padding=2).sum().backward()
    assert [name for name, tensor in inputs.items() if tensor.grad is not None] == [learnt]


def test_a_second_derivative_is_refused_instead_of_wrong() -> None:
    images, weight = drawn(3, 2, 8, 8).requires_grad_(True), drawn(4, 2, 5, 5).requires_grad_(True)
    (first,) = torch.autograd.grad(fourier.convolve(images, weight, 2).square().sum(), images, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize(
    ("images", "weight", "padding", "expected"),
    [
        ((86, 32, 28, 28), (32, 32, 5, 5), 2, True),  # seed-digits: half of the time
        ((86, 64, 14, 14), (64, 64, 3, 3), 1, False),  # 0.8 of it on one core, but no less on two
        ((86, 1, 28, 28), (32, 1, 5, 5), 2, False),
        ((16, 32, 28, 28), (32, 32, 5, 5), 2, False),  # too few to make up for the kernels' transforms
        ((64, 32, 28, 28), (32, 32, 5, 5), 2, True),
        ((86, 8, 28, 28), (8, 8, 9, 9), 4, False),  # products too small: 1.4 times as long
        ((0, 32, 28, 28), (32, 32, 5, 5), 2, False),
        ((32, 64, 48, 48), (64, 64, 3, 3), 1, False),
    ],
)
def test_it_is_used_where_it_saves_enough(
    images: tuple[int, ...], weight: tuple[int, ...], padding: int, expected: bool
) -> None:
    assert fourier.pays(torch.empty(images), torch.empty(weight), padding) is expected


def test_it_is_not_used_in_bfloat16_nor_elsewhere_than_on_a_cpu() -> None:
    images, weight = torch.empty(86, 32, 28, 28), torch.empty(32, 32, 5, 5)
    assert fourier.pays(images, weight, 2)
    assert not fourier.pays(images.bfloat16(), weight.bfloat16(), 2)
    assert not fourier.pays(images.to("meta"), weight.to("meta"), 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert not fourier.pays(images, weight, 2)


def test_a_compiled_layer_is_an_ordinary_convolution() -> None:
    from torch._dynamo import explain

    explained = explain(SameConv(32, 32, 5).train())(torch.empty(64, 32, 28, 28))
    assert explained.graph_break_count == 0
    assert "conv" in explained.graphs[0].code
    assert "bmm" not in explained.graphs[0].code


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_learns_with_it_and_answers_without(bias: bool) -> None:
    layer, images = SameConv(32, 32, 5, bias), drawn(64, 32, 28, 28).float()
    learning, answer = layer.train()(images), layer.eval()(images)
    assert torch.equal(answer, F.conv2d(images, layer.weight, layer.bias, padding=2))
    assert not torch.equal(learning, answer), "it was not used"
    torch.testing.assert_close(learning, answer, rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad(y.square().sum(), layer.parameters()) for y in (learning, answer)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-2)
