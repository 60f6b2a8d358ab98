"""What is drawn on faces stays on them, and who is hidden is hidden."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import FACE
from tests.live.models import write_points
from viewfinder.data.answers import Boxes, Points
from viewfinder.data.samples import faces
from viewfinder.deploy.predictor import Predictor, load
from viewfinder.errors import InputError
from viewfinder.live import Chain, Scene
from viewfinder.live.effects import EFFECTS, applied, find_effect

SIZE, LEFT, TOP = 192, 200, 120


def crowd(seed: int) -> tuple[NDArray[np.uint8], Scene]:
    """Return a frame with a drawn face in its middle, and what is known of it."""
    data = faces(1, seed=seed, size=SIZE)
    image = np.random.default_rng(seed).integers(90, 160, (480, 640, 3), dtype=np.uint8)
    image[TOP : TOP + SIZE, LEFT : LEFT + SIZE] = data.images[0]
    xy = (data.targets.array()[0] + (LEFT, TOP)).astype(np.float32)
    box = np.array([[LEFT + 20, TOP + 10, LEFT + SIZE - 20, TOP + SIZE - 6]], dtype=np.float32)
    boxes = Boxes(box, ("face",), ("face",), np.ones(1, np.float32))
    return image, Scene(boxes, (1,), (Points(xy, tuple(FACE)),), np.zeros((0, 4), np.float32))


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("seed", range(3))
def test_a_picture_differs_inside_the_face_and_nowhere_else(name: str, seed: int) -> None:
    image, scene = crowd(seed)
    before = image.copy()
    picture = applied(EFFECTS[name], image, scene)
    np.testing.assert_array_equal(image, before)
    changed = (picture != image).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert changed.sum() > 300
    assert rows.min() >= TOP - 40 and rows.max() < TOP + SIZE + 40
    assert columns.min() >= LEFT - 40 and columns.max() < LEFT + SIZE + 40


def test_glasses_darken_the_eyes() -> None:
    image, scene = crowd(1)
    picture = applied(EFFECTS["glasses"], image, scene)
    for name in ("left_eye_center", "right_eye_center"):
        x, y = (round(value) for value in scene.points[0][name])
        around = np.s_[y - 6 : y + 6, x - 8 : x + 8]
        assert picture[around].mean() < 80


def test_big_eyes_are_big_and_keep_their_middle() -> None:
    image, scene = crowd(1)
    image[...] = 200
    x, y = (round(value) for value in scene.points[0]["left_eye_center"])
    cv2.circle(image, (x, y), 6, (0, 0, 0), -1)
    picture = applied(EFFECTS["big-eyes"], image, scene)
    rows, columns = np.nonzero(picture[..., 0] < 100)
    assert len(rows) > 2.2 * (image[..., 0] < 100).sum()
    assert abs(rows.mean() - y) < 1.5 and abs(columns.mean() - x) < 1.5


@pytest.mark.parametrize("seed", range(3))
def test_a_blurred_face_has_nothing_left_to_recognise(seed: int) -> None:
    """No detail inside the cells, and no more numbers than a 5×5 thumbnail has."""
    image, scene = crowd(seed)
    picture = applied(EFFECTS["blur"], image, scene)
    x0, y0, x1, y1 = (round(float(side)) for side in scene.boxes.xyxy[0])
    hidden = picture[y0:y1, x0:x1]
    assert len(np.unique(hidden.reshape(-1, 3), axis=0)) <= 25
    flat = (np.diff(hidden.astype(int), axis=0) == 0).all(axis=2)
    assert flat.mean() > 0.95


def test_blurring_needs_no_points_and_covers_who_was_seen_a_moment_ago() -> None:
    image, scene = crowd(0)
    gone = replace(
        scene,
        boxes=Boxes(np.zeros((0, 4), np.float32), (), ("face",), np.zeros(0, np.float32)),
        identities=(),
        points=(),
        lost=scene.boxes.xyxy,
    )
    np.testing.assert_array_equal(
        applied(EFFECTS["blur"], image, gone), applied(EFFECTS["blur"], image, replace(scene, points=()))
    )
    np.testing.assert_array_equal(applied(EFFECTS["glasses"], image, gone), image)


@pytest.mark.parametrize("name", ["glasses", "big-eyes"])
def test_a_face_whose_eyes_are_unknown_is_left_alone(name: str) -> None:
    image, scene = crowd(0)
    xy = scene.points[0].xy.copy()
    xy[FACE.index("left_eye_center")] = np.nan
    np.testing.assert_array_equal(
        applied(EFFECTS[name], image, replace(scene, points=(Points(xy, tuple(FACE)),))), image
    )


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("shift", [(-LEFT - 100, 0), (0, -TOP - 60), (360, 280), (5000, 5000)])
def test_a_face_at_the_edge_or_outside_is_no_trouble(name: str, shift: tuple[float, float]) -> None:
    image, scene = crowd(0)
    moved = np.array(shift, dtype=np.float32)
    boxes = replace(scene.boxes, xyxy=scene.boxes.xyxy + np.tile(moved, 2))
    there = replace(scene, boxes=boxes, points=(Points(scene.points[0].xy + moved, tuple(FACE)),))
    assert applied(EFFECTS[name], image, there).shape == image.shape


def test_points_alone_are_a_face(points: Predictor) -> None:
    image, scene = crowd(0)
    assert (applied(EFFECTS["glasses"], image, scene.points[0]) != image).any()
    assert find_effect("glasses", Chain(points)).name == "glasses"


def test_what_an_effect_misses_is_one_line(made: Path, tmp_path: Path, bright: Predictor) -> None:
    def refused(name: str, chain: Chain) -> str:
        with pytest.raises(InputError) as caught:
            find_effect(name, chain)
        return str(caught.value)

    assert "did you mean 'glasses'?" in refused("glases", Chain(bright))
    line = refused("glasses", Chain(bright))
    assert "needs the points left_eye_center, right_eye_center" in line and "--points" in line
    noses = load(write_points(tmp_path / "noses.onnx", names=["nose_tip", "right_eye_center"]))
    line = refused("big-eyes", Chain(bright, noses))
    assert "noses.onnx: has no point left_eye_center" in line
    assert "label.onnx: answers label" in refused("blur", Chain(load(made / "label.onnx")))
    assert find_effect("blur", Chain(bright)).name == "blur"
