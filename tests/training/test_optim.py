import itertools

import pytest
import torch
from torch import nn

from viewfinder.config import Optim
from viewfinder.training.optim import Averages, build_optimiser, learning_rate, lowered


def test_onecycle_rises_to_the_rate_and_falls_to_nothing() -> None:
    spec = Optim(lr=0.01, schedule="onecycle", warmup=0.25)
    rates = [learning_rate(spec, step, 100, 10) for step in range(100)]
    assert max(rates) == pytest.approx(0.01, rel=0.01)
    assert 20 <= rates.index(max(rates)) <= 30
    assert rates[0] < 0.0005
    assert rates[-1] < 0.0001
    assert rates[:25] == sorted(rates[:25])
    assert rates[26:] == sorted(rates[26:], reverse=True)


def test_constant_and_plateau_keep_the_rate() -> None:
    for schedule in ("constant", "plateau"):
        spec = Optim.model_validate({"lr": 0.1, "schedule": schedule})
        assert {learning_rate(spec, step, 10, 5) for step in range(10)} == {0.1}


def test_decay_lowers_the_rate_by_the_epochs_done_a_little_each_step() -> None:
    spec = Optim(lr=0.1, schedule="decay", decay=1 / 0.75 - 1)
    rates = [learning_rate(spec, step, 10**6, 8) for step in range(25)]
    assert rates[0] == 0.1
    assert rates[8] == pytest.approx(0.075)
    assert rates[24] == pytest.approx(0.05)
    assert all(later < earlier for earlier, later in itertools.pairwise(rates))


def test_a_plateau_halves_the_rate_down_to_the_lowest() -> None:
    spec = Optim(lr=1e-3, schedule="plateau", factor=0.5, min_lr=2e-4)
    scales = [1.0]
    for _ in range(4):
        scales.append(lowered(scales[-1], spec))
    assert scales == pytest.approx([1.0, 0.5, 0.25, 0.2, 0.2])


@pytest.mark.parametrize("name", ["muon", "adamw", "adam", "sgd", "rmsprop"])
def test_every_optimiser_lowers_a_loss(name: str) -> None:
    torch.manual_seed(0)
    network = nn.Linear(4, 1)
    x, y = torch.randn(64, 4), torch.randn(64, 1)
    optimiser = build_optimiser(network, Optim.model_validate({"name": name, "lr": 0.01, "weight_decay": 0.001}))
    losses = []
    for _ in range(30):
        loss = (network(x) - y).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] * 0.95


def test_biases_and_scales_do_not_decay() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    optimiser = build_optimiser(network, Optim(weight_decay=0.1))
    decays = {group["weight_decay"]: [p.ndim for p in group["params"]] for group in optimiser.param_groups}
    assert decays == {0.1: [2], 0.0: [1, 1, 1]}


@pytest.mark.parametrize("name", ["muon", "adamw", "adam", "rmsprop"])
def test_the_recipes_epsilon_is_used(name: str) -> None:
    optimiser = build_optimiser(nn.Linear(1, 1), Optim.model_validate({"name": name, "epsilon": 1e-5}))
    assert {group["eps"] for group in optimiser.param_groups} == {1e-5}


def test_averages_follow_the_weights_and_forget_the_beginning() -> None:
    network = nn.Linear(1, 1)
    averages = Averages(network, 0.05)
    with torch.no_grad():
        network.weight.fill_(5.0)
    for step in range(200):
        averages.update(step, 200)
    assert averages.values["weight"].item() == pytest.approx(5.0, abs=1e-3)
