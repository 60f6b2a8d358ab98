"""Optimisers without torch's compiler: the same steps, and a training that begins without loading it."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from viewfinder.config import Optim
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.reading import write
from viewfinder.data.targets import Labels
from viewfinder.training.optim import build_optimiser
from viewfinder.training.uncompiled import take_step

TRAINING = """
import sys
import viewfinder as vf

changes = {"train.batch": 8, "data.similar": False, "model.members": 1}
run = vf.train(vf.read(sys.argv[1]), recipe="digits", epochs=2, changes=changes, out=sys.argv[2])
print(run.ended, sorted({"torch._dynamo", "sympy", "sklearn", "scipy"} & set(sys.modules)))
"""


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop"])
def test_a_step_is_that_of_torch_bit_for_bit(name: str) -> None:
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 1))
    theirs = copy.deepcopy(ours)
    spec = Optim.model_validate({"name": name, "lr": 0.01, "weight_decay": 0.01})
    optimisers = build_optimiser(ours, spec), build_optimiser(theirs, spec)
    for x in torch.randn(6, 8, 5):
        for network, optimiser in zip((ours, theirs), optimisers, strict=True):
            optimiser.zero_grad()
            network(x).square().mean().backward()
        take_step(optimisers[0])
        optimisers[1].step()
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert all(p.requires_grad for p in ours.parameters())


def test_a_training_and_its_validations_load_no_compiler_and_nothing_for_reports(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 28, 28), dtype=np.uint8)
    names = tuple("0123456789")
    write(
        Dataset("classify", names, ArrayImages.of(pixels), Labels(np.arange(60) % 10)), tmp_path / "digits.npz", "npz"
    )
    command = [sys.executable, "-c", TRAINING, str(tmp_path / "digits.npz"), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "steps []\n", done.stderr
