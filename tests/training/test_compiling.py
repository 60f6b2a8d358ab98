"""A compiled network learns the same, and where it cannot be compiled, that is said in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import viewfinder as vf
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.targets import Labels
from viewfinder.errors import RecipeError

QUICK = {"train.batch": 16, "data.size": 16, "data.val": 0.25, "train.precision": "float32", "optim.lr": 0.001}
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler uses what torch deprecates
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler is installed")


def images() -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 16, 16), dtype=np.uint8)
    return Dataset("classify", ("a", "b"), ArrayImages.of(pixels), Labels(np.arange(64) % 2))


@needs_compiler
def test_a_compiled_network_learns_as_the_other_does(tmp_path: Path) -> None:
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    losses, weights, graphs = [], [], []
    for compiled in (False, True):
        changes = QUICK | {"train.compile": compiled}
        run = vf.train(images(), recipe="digits", epochs=1, changes=changes, out=tmp_path / str(compiled))
        losses.append([event["train_loss"]["total"] for event in run.events() if event["event"] == "validation"])
        graphs.append(counters["stats"]["unique_graphs"])
        weights.append(run.network().state_dict())
    assert graphs == [0, 1]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], atol=5e-3, rtol=0, msg=name)


def test_batches_are_the_same_where_the_network_computes_in_bfloat16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)
    told: list[str] = []
    changes = QUICK | {"train.compile": True, "train.precision": "bfloat16", "augment.blur": 1}
    run = vf.train(
        images(), recipe="digits", epochs=1, changes=changes | {"data.val": 0, "train.batch": 64},
        out=tmp_path / "run", on_event=lambda event: told.append(event["event"]),
    )  # fmt: skip
    assert run.ended == "steps"
    assert told[:2] == ["compile", "start"]


def test_what_cannot_be_compiled_is_one_clear_error_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch._inductor.config as inductor

    monkeypatch.setattr(inductor.cpp, "cxx", ("/nowhere/g++",))
    monkeypatch.setattr(inductor, "force_disable_caches", True)
    torch._dynamo.reset()
    changes = QUICK | {"train.compile": True, "model.widths": [8, 16]}
    with pytest.raises(RecipeError, match="cannot be compiled here") as refused:
        vf.train(images(), recipe="digits", epochs=1, changes=changes, out=tmp_path / "run")
    assert refused.value.where == "train.compile"
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()
