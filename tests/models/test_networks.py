"""Networks: what they are made of, what comes out, and what a wrong option says."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.recipes import RECIPES
from viewfinder import tasks
from viewfinder.config import Data, Recipe, load_recipe
from viewfinder.data.targets import BoxSets, Labels, PointSets
from viewfinder.errors import RecipeError
from viewfinder.models.blocks import Pixels, SameConv
from viewfinder.models.heatmaps import SoftArgmax
from viewfinder.models.registry import NETWORKS, build_network
from viewfinder.models.summary import summary

SEEDS = {
    "seed-digits": 887_530,
    "seed-keypoints": 1_124_670,
    "seed-keypoints-mlp": 11_249_030,
    "seed-keypoints-cnn": 19_055_134,
    "seed-facetracker": 16_826_181,
}


def network_of(recipe: Recipe) -> nn.Module:
    return tasks.create(recipe, tasks.usual_names(recipe)).build()


def seeded(recipe: Recipe, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return network_of(recipe)


def pixels(recipe: Recipe, count: int) -> torch.Tensor:
    shape = (count, recipe.data.size, recipe.data.size, recipe.data.channels)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", SEEDS)
def test_described_systems_have_the_described_number_of_parameters(name: str) -> None:
    recipe = load_recipe(name)
    assert sum(layer.parameters for layer in summary(network_of(recipe), recipe.data)) == SEEDS[name]


def test_described_digit_network_has_the_described_layers() -> None:
    recipe = load_recipe("seed-digits")
    layers = summary(network_of(recipe), recipe.data)
    weights = [layer.weights for layer in layers if layer.weights]
    assert weights == [(5, 5, 1, 32), (5, 5, 32, 32), (3, 3, 32, 64), (3, 3, 64, 64), (3136, 256), (256, 10)]
    assert [layer.shape for layer in layers if layer.kind == "MaxPool2d"] == [(14, 14, 32), (7, 7, 64)]
    dropouts = [module.p for module in network_of(recipe).modules() if isinstance(module, nn.Dropout)]
    assert dropouts == [0.25, 0.25, 0.5]


def test_described_keypoint_network_ends_in_36864_times_30_and_starts_as_described() -> None:
    recipe = load_recipe("seed-keypoints")
    network = network_of(recipe)
    assert summary(network, recipe.data)[-1].weights == (36_864, 30)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert [layer.bias for layer in convolutions] == [None, None]
    assert float(convolutions[1].weight.detach().std()) == pytest.approx(0.01, rel=0.05)


def test_described_networks_begin_with_keras_weights() -> None:
    dense = next(m for m in network_of(load_recipe("seed-digits")).modules() if isinstance(m, nn.Linear))
    limit = (6 / (3136 + 256)) ** 0.5
    assert 0.99 * limit < float(dense.weight.detach().abs().max()) <= limit
    assert not dense.bias.detach().any()


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_answers_bytes_with_numbers_and_its_summary_adds_up(name: str) -> None:
    recipe = load_recipe(name)
    network = network_of(recipe).eval()
    outputs = network(pixels(recipe, 3))
    layers = summary(network, recipe.data)
    assert outputs.dtype == torch.float32
    assert (len(outputs), outputs.shape[1]) == (3, layers[-1].shape[-1])
    assert sum(layer.parameters for layer in layers) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_computes_and_learns_in_float64(name: str) -> None:
    recipe = load_recipe(name)
    task = tasks.create(recipe, tasks.usual_names(recipe))
    network = task.build().double()
    two = {
        "classify": lambda: Labels(np.array([0, 1])),
        "keypoints": lambda: PointSets(np.full((2, len(tasks.usual_names(recipe)), 2), 9, np.float32)),
        "detect": lambda: BoxSets.of([np.array([[4, 4, 20, 24]])] * 2, [np.array([0])] * 2),
    }
    loss = task.loss(network(pixels(recipe, 2)), task.collate(two[tasks.learns_from(recipe)]()))["total"]
    loss.backward()
    assert loss.dtype == torch.float64
    assert all(p.grad is not None and p.grad.dtype == torch.float64 for p in network.parameters())


@pytest.mark.parametrize("name", ["digits", "keypoints", "seed-digits"])
def test_the_same_seed_gives_the_same_network_bit_for_bit(name: str) -> None:
    recipe = load_recipe(name)
    images = pixels(recipe, 2)
    first, again, other = (seeded(recipe, seed)(images) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", ["digits", "keypoints", "seed-keypoints"])
def test_a_few_steps_on_one_batch_lower_the_loss(name: str) -> None:
    recipe = load_recipe(name)
    network = seeded(recipe, 0).train()
    images, true = pixels(recipe, 4), torch.rand(4, len(tasks.usual_names(recipe)) * (1 + (name != "digits")))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        loss = (network(images) - true).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(("name", "size", "channels"), [("convnet", 33, 3), ("convnet", 64, 1), ("heatmaps", 70, 3)])
def test_our_networks_take_any_size_gray_or_colour(name: str, size: int, channels: int) -> None:
    data = {"size": size, "channels": channels}
    recipe = Recipe.model_validate({"name": "t", "task": "classify", "data": data, "model": {"name": name}})
    assert build_network(recipe, 6).eval()(pixels(recipe, 2)).shape == (2, 6)


def test_darker_and_flatter_light_does_not_change_our_answers() -> None:
    scaled = Pixels("image")
    bright = 60 + 2 * torch.randint(0, 90, (1, 24, 24, 1), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(scaled(bright.byte()), scaled((bright // 2 + 10).byte()), atol=0.04)


def test_even_kernels_pad_on_the_right_and_below_as_keras_does() -> None:
    layer = SameConv(1, 1, 2, bias=False)
    nn.init.ones_(layer.weight)
    corner = torch.zeros(1, 1, 3, 3)
    corner[0, 0, 2, 2] = 1
    assert layer(corner)[0, 0].tolist() == [[0, 0, 0], [0, 1, 1], [0, 1, 1]]


def test_a_map_with_one_peak_answers_the_centre_of_its_cell_in_pixels() -> None:
    maps = torch.zeros(1, 2, 12, 12)
    maps[0, 0, 3, 7] = maps[0, 1, 0, 11] = 100
    assert torch.allclose(SoftArgmax(96)(maps), torch.tensor([[60.0, 28.0, 92.0, 4.0]]))


def test_one_dropout_number_stands_for_all_layers() -> None:
    network = network_of(load_recipe("seed-digits", {"model.dropout": "0"}))
    assert [module.p for module in network.modules() if isinstance(module, nn.Dropout)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"model.name": "convnets"}, "digits: unknown network 'convnets'; did you mean 'convnet'?"),
        ({"model.widhts": "[8]"}, "digits: unknown key 'model.widhts'; did you mean 'widths'?"),
        ({"model.stem": "big"}, "digits: model.stem: expected a whole number"),
        ({"model.widths": "[8, 0]"}, "digits: model.widths.2: expected at least 1"),
        ({"model.widths": "[32, true]"}, "digits: model.widths: true and false mean nothing here, got [32, True]"),
        ({"model.dropout": "2"}, "digits: model.dropout: expected less than 1, got 2"),
        ({"model.widths": "[8]"}, "digits: model: 1 widths and 2 depths, but a stage has one of each"),
        ({"model": {"stem": 3}}, "digits: model.name is missing; known: convnet"),
    ],
)
def test_a_wrong_option_is_one_line_that_says_what_to_do(changes: dict[str, object], line: str) -> None:
    with pytest.raises(RecipeError) as error:
        build_network(load_recipe("digits", changes), 10)
    assert str(error.value).startswith(line)


def test_images_that_are_too_small_for_a_network_are_said() -> None:
    with pytest.raises(RecipeError, match="images of 12 × 12 pixels are too small for the network 'convnet'; raise"):
        build_network(load_recipe("digits", {"data.size": 12}), 10)


def test_a_list_of_dropouts_of_the_wrong_length_is_said() -> None:
    with pytest.raises(RecipeError, match="2 values for 3 places"):
        network_of(load_recipe("seed-digits", {"model.dropout": "[0.1, 0.2]"}))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_recipes_page_lists_every_option_of_a_network(name: str) -> None:
    module, kind = NETWORKS[name].split(":")
    options = getattr(import_module(module), kind)
    page = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    general = page.partition("Every network has")[2].partition("**`")[0]
    part = general + page.partition(f"**`{name}`**")[2].partition("**`")[0]
    lines = [" ".join((field.description or "no docstring").split()) for field in options.model_fields.values()]
    assert [line for line in lines if line not in part] == []


def test_summary_leaves_the_network_as_it_was() -> None:
    network = network_of(load_recipe("digits")).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    summary(network, Data())
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
