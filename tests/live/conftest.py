"""Model files built by hand, and videos of a bright square."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import clips, models
from viewfinder.deploy.predictor import Predictor, load


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with bright.onnx, points.onnx, label.onnx, clip.avi, clip.mp4."""
    folder = tmp_path_factory.mktemp("live")
    models.write_bright(folder / "bright.onnx")
    models.write_points(folder / "points.onnx")
    models.write_label(folder / "label.onnx")
    clips.write_clip(folder / "clip.avi")
    clips.write_clip(folder / "clip.mp4")
    return folder


@pytest.fixture
def bright(made: Path) -> Predictor:
    return load(made / "bright.onnx", threads=1)


@pytest.fixture
def points(made: Path) -> Predictor:
    return load(made / "points.onnx", threads=1)
