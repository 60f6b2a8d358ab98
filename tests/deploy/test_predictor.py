"""Prediction needs no torch, and gives the same answer however the image comes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import viewfinder as vf
from viewfinder.data.answers import Label, Points
from viewfinder.errors import DataError
from viewfinder.training.run import Run

WITHOUT_TORCH = """
import sys
import numpy as np
import viewfinder as vf
model = vf.load(sys.argv[1])
print(model(np.zeros((28, 28), np.uint8)).label)
assert "torch" not in sys.modules, "torch was imported"
assert not [name for name in sys.modules if name.startswith(("sklearn", "matplotlib", "onnx."))]
"""


@pytest.fixture
def digit(untrained: Callable[[str], Run]) -> np.ndarray:
    return untrained("digits").part("val").images[0]


@pytest.fixture
def model(model_file: Callable[[str], Path]) -> vf.Predictor:
    return vf.load(model_file("digits"))


def test_prediction_never_imports_torch(model_file: Callable[[str], Path]) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, str(model_file("digits"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in "0123456789"


def test_a_file_and_every_form_of_array_give_one_answer(model: vf.Predictor, digit: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    cv2.imwrite(str(path), digit)
    forms = [path, str(path), digit, digit[..., 0], np.repeat(digit, 3, axis=2)]
    answers = [model(form) for form in forms]
    assert isinstance(answers[0], Label) and answers[0].label in model.names
    for answer in answers:
        np.testing.assert_allclose(answer.scores, answers[0].scores, atol=1e-6)


def test_a_batch_is_answered_as_one_by_one_and_in_order(model: vf.Predictor, untrained: Callable[[str], Run]) -> None:
    images = untrained("digits").part("train").images
    every = [images[row] for row in range(len(images))]
    assert len(every) > 64
    for one, alone in zip(model.batch(every), map(model, every), strict=True):
        np.testing.assert_allclose(one.scores, alone.scores, atol=1e-6)
    assert model.batch([]) == []


def test_points_are_in_pixels_of_the_image_that_was_given(
    model_file: Callable[[str], Path], untrained: Callable[[str], Run]
) -> None:
    image = untrained("keypoints").part("val").images[0]
    model = vf.load(model_file("keypoints"))
    wide = np.zeros((96, 192, 1), np.uint8)
    wide[:, 48:144] = image
    twice = cv2.resize(wide, (384, 192), interpolation=cv2.INTER_NEAREST)
    small, large = model(wide), model(twice)
    assert isinstance(small, Points) and small.names == model.names
    np.testing.assert_allclose(large.xy, 2 * small.xy, atol=1e-2)
    assert small["nose_tip"] == tuple(small.xy[10].tolist())


def test_a_folder_is_answered_in_order_and_unreadable_files_are_named(
    model: vf.Predictor, digit: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.png", "a.png", "deep/c.png"):
        cv2.imwrite(str(tmp_path / name), digit)
    (tmp_path / "bad.jpg").write_bytes(b"not an image")
    (tmp_path / "notes.txt").write_text("no image at all")
    (tmp_path / "._a.png").write_bytes(b"what a Mac leaves on other disks")
    found = dict(model.folder(tmp_path))
    assert [path.name for path in found] == ["a.png", "b.png", "bad.jpg", "c.png"]
    assert isinstance(found[tmp_path / "bad.jpg"], DataError)
    assert isinstance(found[tmp_path / "a.png"], Label)
    with pytest.raises(DataError, match="no such folder"):
        next(model.folder(tmp_path / "nowhere"))


def test_it_says_what_it_is(model: vf.Predictor) -> None:
    assert "classify of 10 names, 28×28 gray, accuracy" in repr(model)


@pytest.mark.parametrize(
    "image",
    [np.zeros((28, 28)), np.zeros((28, 28, 2), np.uint8), np.zeros((0, 28), np.uint8), np.zeros(28, np.uint8)],
    ids=["float", "two channels", "empty", "one axis"],
)
def test_an_array_that_is_no_image_is_refused(model: vf.Predictor, image: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"expected an image \(H, W\)"):
        model(image)
