"""What all tests share: a cache folder of their own, and the real data where it is at hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tests.commands import Commands
from viewfinder.config import as_json, load_recipe
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.targets import BoxSets, Labels, PointSets, Targets
from viewfinder.tasks import create, learns_from
from viewfinder.training.checkpoint import save_checkpoint
from viewfinder.training.run import Run


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    os.environ["VIEWFINDER_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def data_folder() -> Path:
    named = os.environ.get("VIEWFINDER_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real data absent: set VIEWFINDER_DATA to its folder")
    return folder


FACE = [
    "left_eye_center",
    "right_eye_center",
    "left_eye_inner_corner",
    "left_eye_outer_corner",
    "right_eye_inner_corner",
    "right_eye_outer_corner",
    "left_eyebrow_inner_end",
    "left_eyebrow_outer_end",
    "right_eyebrow_inner_end",
    "right_eyebrow_outer_end",
    "nose_tip",
    "mouth_left_corner",
    "mouth_right_corner",
    "mouth_center_top_lip",
    "mouth_center_bottom_lip",
]


def _labels(rng: np.random.Generator, size: int) -> tuple[tuple[str, ...], Targets]:
    return tuple("0123456789"), Labels(rng.integers(0, 10, 96))


def _points(rng: np.random.Generator, size: int) -> tuple[tuple[str, ...], Targets]:
    return tuple(FACE), PointSets(rng.uniform(0, size, (96, len(FACE), 2)).astype(np.float32))


def _boxes(rng: np.random.Generator, size: int) -> tuple[tuple[str, ...], Targets]:
    counts = rng.integers(0, 3, 96)
    boxes = [np.sort(rng.uniform(0, size, (count, 2, 2)), axis=1).reshape(-1, 4) for count in counts]
    return ("face",), BoxSets.of(boxes, [np.zeros(count, dtype=np.int64) for count in counts])


def _distinct(network: torch.nn.Module) -> None:
    """Let a detector's cells differ clearly: fresh ones all say nearly the same, and their order would be chance."""
    if isinstance(cells := list(network.modules())[-1], torch.nn.Conv2d) and cells.kernel_size == (1, 1):
        torch.nn.init.normal_(cells.weight[:-4], 0, 30)
        torch.nn.init.zeros_(cells.bias[:-4])


TRUTHS = {"classify": _labels, "keypoints": _points, "detect": _boxes}


SMALLER: dict[str, dict[str, Any]] = {
    "seed-facetracker": {"model.widths": [8, 8, 16, 16, 24], "model.dense": 32},
    "detect": {"data.size": 96},
    "detect-timm": {"data.size": 96, "model.pretrained": False},
}
"""What makes a network of many millions of parameters, or large images, quick; the rest is as in the recipe."""


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Return a recipe's run with fresh weights and random data: all that export and prediction need."""

    @cache
    def make(recipe_name: str) -> Run:
        recipe = load_recipe(recipe_name, SMALLER.get(recipe_name))
        size, channels = recipe.data.size, recipe.data.channels
        rng = np.random.default_rng(7)
        coarse = rng.integers(0, 256, (96, 8, 8, channels), dtype=np.uint8)
        pixels = np.stack([cv2.resize(one, (size, size)).reshape(size, size, channels) for one in coarse])
        kind = learns_from(recipe)
        names, targets = TRUTHS[kind](rng, size)
        dataset = Dataset(kind, names, ArrayImages.of(pixels), targets)
        parts = {"train": dataset.select(range(24, 96)), "val": dataset.select(range(24))}
        folder = tmp_path_factory.mktemp(recipe_name)
        (folder / "checkpoints").mkdir()
        data = {name: {"source": "", "part": "train", "fingerprint": part.fingerprint} for name, part in parts.items()}
        info = {"recipe": as_json(recipe), "names": list(names), "data": data}
        (folder / "run.json").write_text(json.dumps(info))
        torch.manual_seed(7)
        network = create(recipe, names).build()
        _distinct(network)
        weights = {f"network.{key}": value for key, value in network.state_dict().items()}
        save_checkpoint(folder / "checkpoints", "best", 0, weights, {})
        return Run(folder, info, parts)

    return make


@pytest.fixture(scope="session")
def model_file(untrained: Callable[[str], Run]) -> Callable[[str], Path]:
    """Return the model file of a recipe's untrained run; each is exported once for all tests."""

    @cache
    def make(recipe_name: str) -> Path:
        run = untrained(recipe_name)
        return run.export(run.folder / "model.onnx")

    return make


@pytest.fixture
def viewfinder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    """Run a command line: viewfinder("check", path) → its exit code and what it printed."""
    return Commands(monkeypatch, capsys)
