"""Small runs that the tests of evaluation share: squares to classify, and to find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import viewfinder as vf
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.targets import Labels, PointSets
from viewfinder.evaluate.evaluation import Evaluation

QUICK = {"train.batch": 16, "data.size": 16, "train.threads": 1}


def squares(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, 16, 16) with a bright square and where its centre is, (N, 2)."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 60, (count, 16, 16), dtype=np.uint8)
    corners = rng.integers(0, 11, (count, 2))
    for image, (x, y) in zip(pixels, corners, strict=True):
        image[y : y + 5, x : x + 5] += 150
    return pixels, (corners + 2.5).astype(np.float32)


def sides(count: int, seed: int, names: tuple[str, ...] = ("left", "right")) -> Dataset:
    pixels, centres = squares(count, seed)
    ids = (centres[:, 0] > 8).astype(np.int64)
    return Dataset("classify", names, ArrayImages.of(pixels, "squares.csv", 2), Labels(ids), source="squares.csv")


def places(count: int, seed: int) -> Dataset:
    """One point an image, and a second that is annotated in half of them; the last image has none."""
    pixels, centres = squares(count, seed)
    xy = np.stack([centres, centres + 1], axis=1)
    xy[::2, 1] = np.nan
    xy[-1] = np.nan
    names = ("left_eye_center", "right_eye_center")
    return Dataset("keypoints", names, ArrayImages.of(pixels, "places.csv", 2), PointSets(xy), source="places.csv")


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> vf.Run:
    out = tmp_path_factory.mktemp("runs") / "sides"
    return vf.train(sides(64, 0), sides(32, 1), recipe="digits", epochs=5, changes=QUICK, out=out)


@pytest.fixture(scope="session")
def evaluation(run: vf.Run) -> Evaluation:
    return run.evaluate()


@pytest.fixture(scope="session")
def points_run(tmp_path_factory: pytest.TempPathFactory) -> vf.Run:
    out = tmp_path_factory.mktemp("runs") / "places"
    changes = QUICK | {"data.complete": False}
    return vf.train(places(64, 0), places(32, 1), recipe="seed-keypoints", epochs=2, changes=changes, out=out)


@pytest.fixture(scope="session")
def saved(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report; a test that changes it copies it first."""
    return evaluation.save(tmp_path_factory.mktemp("reports") / "report").parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "report"
