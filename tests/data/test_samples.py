"""The data that is always at hand is what it says: real digits, and drawn faces whose points are exact."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from viewfinder.data.dataset import Dataset
from viewfinder.data.drawn.face import Face, draw_face
from viewfinder.data.samples import digits, faces


@pytest.fixture(scope="module")
def people() -> Dataset:
    return faces(60, seed=5)


def xy(dataset: Dataset, name: str) -> NDArray[np.float32]:
    points: NDArray[np.float32] = dataset.labelled().array()[:, dataset.names.index(name)]
    return points


def test_digits_are_all_there_white_on_black_in_the_size_of_the_recipe() -> None:
    dataset = digits()
    assert len(dataset) == 1797
    assert dataset.names == tuple("0123456789")
    assert dataset.images[0].shape == (28, 28, 1)
    assert np.bincount(dataset.labelled().array()).min() > 170
    every = np.stack([dataset.images[row] for row in range(100)])
    assert every[:, :4].max() == 0
    assert every[:, 10:18, 10:18].mean() > 90
    assert dataset.fingerprint == digits().fingerprint


def test_the_same_seed_gives_the_same_faces_and_more_of_them_begin_alike(people: Dataset) -> None:
    few = faces(6, seed=5)
    assert np.array_equal(few.labelled().array(), people.labelled().array()[:6])
    assert all(np.array_equal(few.images[row], people.images[row]) for row in range(6))
    assert not np.array_equal(faces(1, seed=6).images[0], few.images[0])


def test_all_faces_differ(people: Dataset) -> None:
    small = np.stack([people.images[row][::8, ::8].ravel() for row in range(60)]).astype(float)
    distance = np.abs(small[:, None] - small[None]).mean(axis=2) + 99 * np.eye(60)
    assert distance.min() > 8


def test_all_points_lie_in_the_image(people: Dataset) -> None:
    points = people.labelled().array()
    assert points.shape == (60, 15, 2)
    assert points.min() > 1
    assert points.max() < 95


def test_left_is_the_persons_left_as_in_kaggles_set(people: Dataset) -> None:
    for name in ("eye_center", "eye_inner_corner", "eye_outer_corner", "eyebrow_inner_end", "eyebrow_outer_end"):
        assert (xy(people, f"left_{name}")[:, 0] > xy(people, f"right_{name}")[:, 0]).all()
    assert (xy(people, "mouth_left_corner")[:, 0] > xy(people, "mouth_right_corner")[:, 0]).all()


def test_a_face_is_put_together_in_the_right_order(people: Dataset) -> None:
    down = [xy(people, name)[:, 1] for name in ("nose_tip", "mouth_center_top_lip", "mouth_center_bottom_lip")]
    eyes = (xy(people, "left_eye_center")[:, 1] + xy(people, "right_eye_center")[:, 1]) / 2
    brows = (xy(people, "left_eyebrow_inner_end")[:, 1] + xy(people, "right_eyebrow_inner_end")[:, 1]) / 2
    for above, below in ((brows, eyes), (eyes, down[0]), (down[0], down[1]), (down[1], down[2])):
        assert (above < below).all()


@pytest.mark.parametrize(("size", "middle", "nearly_all"), [(96, 0.3, 0.75), (288, 0.15, 0.5)])
def test_the_dark_of_the_pupil_is_where_the_eye_centre_is_said_to_be(
    size: int, middle: float, nearly_all: float
) -> None:
    unit = size / 96
    drawn = [draw_face(seed, size) for seed in range(40)]
    off = [np.hypot(*(_darkest(face, eye, 2.2 * unit) - face.points[eye])) / unit for face in drawn for eye in (0, 1)]
    assert np.median(off) < middle
    assert np.quantile(off, 0.96) < nearly_all


def test_the_box_holds_the_face_and_lies_in_the_image() -> None:
    for face in (draw_face(seed) for seed in range(30)):
        x0, y0, x1, y1 = face.box
        assert 0 <= x0 < x1 <= 96
        assert 0 <= y0 < y1 <= 96
        assert (face.points > [x0 - 3, y0]).all()
        assert (face.points < [x1 + 3, y1]).all()


def test_faces_come_in_gray_and_in_other_sizes() -> None:
    gray, large = faces(2, seed=1, channels=1), faces(2, seed=1, size=192)
    assert gray.images[0].shape == (96, 96, 1)
    assert large.images[0].shape == (192, 192, 3)
    assert np.abs(large.labelled().array() / 2 - gray.labelled().array()).max() < 0.01


def _darkest(face: Face, eye: int, radius: float) -> NDArray[np.float64]:
    gray = face.pixels.astype(float).mean(axis=2)
    y, x = np.mgrid[: len(gray), : len(gray)] + 0.5
    near = np.hypot(x - face.points[eye, 0], y - face.points[eye, 1]) < radius
    weight = np.where(near, np.maximum(0, np.quantile(gray[near], 0.4) - gray), 0)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
