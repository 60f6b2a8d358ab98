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

from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.reading import write
from viewfinder.data.targets import BoxSets, Labels, PointSets, Targets
from viewfinder.training.muon import Muon
from viewfinder.training.uncompiled import uncompiled

TRAINING = """
import sys
import viewfinder as vf

changes = {"train.batch": 8, "optim.clip": 1, "data.size": 32}
run = vf.train(vf.read(sys.argv[1]), recipe=sys.argv[2], epochs=2, changes=changes, out=sys.argv[3])
print(run.ended, sorted({"torch._dynamo", "sympy", "sklearn", "scipy"} & set(sys.modules)))
"""
TARGETS: dict[str, tuple[tuple[str, ...], Targets]] = {
    "digits": (tuple("0123456789"), Labels(np.arange(60) % 10)),
    "keypoints": (("left_eye", "right_eye"), PointSets(np.full((60, 2, 2), 9, dtype=np.float32))),
    "detect": (("face",), BoxSets.of([np.array([[4, 4, 20, 24]])] * 60, [np.array([0])] * 60)),
}


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop, Muon])
def test_steps_and_state_are_those_of_the_plain_one_bit_for_bit(kind: type[torch.optim.Optimizer]) -> None:
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 1))
    theirs = copy.deepcopy(ours)
    networks, optimisers = (ours, theirs), (uncompiled(kind)(ours.parameters()), kind(theirs.parameters()))
    for number, x in enumerate(torch.randn(6, 8, 5)):
        for network, optimiser in zip(networks, optimisers, strict=True):
            optimiser.zero_grad()
            network(x).square().mean().backward()
            optimiser.step()
            if number == 3:
                optimiser.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert all(p.requires_grad for p in ours.parameters())
    assert isinstance(optimisers[0], kind) and repr(optimisers[0]) == repr(optimisers[1])


@pytest.mark.parametrize("recipe", TARGETS)
def test_a_training_and_its_validations_load_no_compiler_and_nothing_for_reports(recipe: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = ArrayImages.of(rng.integers(0, 255, (60, 32, 32, 3 if recipe == "detect" else 1), dtype=np.uint8))
    names, targets = TARGETS[recipe]
    kind = "classify" if recipe == "digits" else recipe
    write(Dataset(kind, names, images, targets), tmp_path / "set.npz", "npz")
    command = [sys.executable, "-c", TRAINING, str(tmp_path / "set.npz"), recipe, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "steps []\n", done.stderr
