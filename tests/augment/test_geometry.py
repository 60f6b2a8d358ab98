"""Image and targets move together, exactly, with both backends."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from viewfinder.augment.geometry import compose, draw, identity, warp_numpy, warp_torch
from viewfinder.config import Augment
from viewfinder.data.targets import PointSets, move_points

ALL = Augment(rotate=30, zoom=0.25, shift=0.1, shear=12, mirror=0.5)
Warp = Callable[..., NDArray[np.uint8]]


def by_torch(images: NDArray[np.uint8], matrices: NDArray[np.float64], border: str = "constant") -> NDArray[np.uint8]:
    return warp_torch(torch.from_numpy(images), matrices, border).numpy()


BACKENDS = pytest.mark.parametrize("warp", [warp_numpy, by_torch], ids=["numpy", "torch"])


def markers(points: NDArray[np.float32], size: int, channels: int) -> NDArray[np.uint8]:
    """Return one image a point (N, 2) with a soft round marker on it; gray levels stay below saturation."""
    centres = np.arange(size) + 0.5
    x, y = points[:, 0, None, None], points[:, 1, None, None]
    distance = (centres[None, None, :] - x) ** 2 + (centres[None, :, None] - y) ** 2
    blob = np.rint(240 * np.exp(-distance / (2 * (size / 24) ** 2))).astype(np.uint8)
    return np.repeat(blob[..., None], channels, axis=3)


def centroids(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    weight = images.astype(np.float64).sum(axis=3)
    centres = np.arange(images.shape[1]) + 0.5
    total = weight.sum(axis=(1, 2))
    return np.stack([(weight.sum(axis=1) @ centres) / total, (weight.sum(axis=2) @ centres) / total], axis=1)


@BACKENDS
@pytest.mark.parametrize(("size", "channels"), [(28, 1), (96, 1), (96, 3), (65, 3)])
def test_a_point_stays_on_the_thing_that_it_marks(warp: Warp, size: int, channels: int) -> None:
    rng = np.random.default_rng(1)
    points = (size * rng.uniform(0.42, 0.58, (200, 2))).astype(np.float32)
    moves = draw(ALL, 200, size, rng)
    expected = move_points(points[:, None], moves.matrices)[:, 0]
    found = centroids(warp(markers(points, size, channels), moves.matrices))
    assert np.abs(found - expected).max() < 0.1


@pytest.mark.parametrize("setting", ["rotate", "zoom", "shift", "shear", "mirror"])
@BACKENDS
def test_every_single_setting_moves_image_and_point_alike(warp: Warp, setting: str) -> None:
    rng = np.random.default_rng(2)
    points = (64 * rng.uniform(0.4, 0.6, (50, 2))).astype(np.float32)
    full = {"rotate": 40.0, "zoom": 0.3, "shift": 0.15, "shear": 20.0, "mirror": 1.0}[setting]
    moves = draw(Augment(**{setting: full}), 50, 64, rng)
    expected = move_points(points[:, None], moves.matrices)[:, 0]
    assert np.abs(expected - points).max() > 1
    assert np.abs(centroids(warp(markers(points, 64, 1), moves.matrices)) - expected).max() < 0.1


@pytest.mark.parametrize("border", ["constant", "replicate", "reflect"])
@pytest.mark.parametrize("channels", [1, 3])
def test_both_backends_give_the_same_picture(border: str, channels: int) -> None:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (20, 7, 7, channels), dtype=np.uint8)
    images = np.stack(
        [cv2.resize(image, (48, 48), interpolation=cv2.INTER_LINEAR).reshape(48, 48, -1) for image in coarse]
    )
    moves = draw(ALL, 20, 48, rng)
    here, there = warp_numpy(images, moves.matrices, border), by_torch(images, moves.matrices, border)
    # OpenCV before 5 rounds places to 1/32 px, which shows where an image ends at black.
    assert np.abs(here.astype(int) - there).max() <= (5 if border == "constant" else 2)


def test_a_full_turn_and_the_identity_change_nothing() -> None:
    images = np.random.default_rng(4).integers(0, 256, (3, 31, 31, 3), dtype=np.uint8)
    for warp, matrices in itertools.product(
        (warp_numpy, by_torch), (identity(3), draw(Augment(), 3, 31, _rng()).matrices)
    ):
        assert np.array_equal(warp(images, matrices), images)


@BACKENDS
def test_mirroring_turns_columns_round_and_x_into_width_minus_x(warp: Warp) -> None:
    images = np.random.default_rng(5).integers(0, 256, (2, 24, 24, 1), dtype=np.uint8)
    moves = draw(Augment(mirror=1), 2, 24, _rng())
    assert np.array_equal(warp(images, moves.matrices), images[:, :, ::-1])
    assert np.allclose(move_points(np.array([[[3.0, 7.0]]] * 2), moves.matrices), [[[21.0, 7.0]]] * 2)


def test_a_mirrored_face_swaps_its_left_and_right_names() -> None:
    names = ("left_eye", "right_eye", "nose")
    before = PointSets(np.array([[[70, 40], [30, 41], [50, 60]]] * 2, dtype=np.float32))
    moves = draw(Augment(mirror=1), 2, 96, _rng())
    after = before.moved(moves.matrices, moves.mirrored, names)
    assert np.allclose(after.xy[0], [[66, 41], [26, 40], [46, 60]])


def test_about_the_given_share_is_mirrored_and_zoom_is_even_on_a_log_scale() -> None:
    moves = draw(Augment(mirror=0.3, zoom=0.5), 20_000, 28, _rng())
    logs = np.log(np.sqrt(np.abs(np.linalg.det(moves.matrices[:, :, :2]))))
    assert abs(moves.mirrored.mean() - 0.3) < 0.02
    assert abs(logs.mean()) < 0.01
    assert np.abs(logs).max() <= np.log(1.5) + 1e-9


def test_one_setting_does_not_disturb_the_numbers_of_another() -> None:
    alone = draw(Augment(shift=0.1), 9, 28, _rng()).matrices
    shifted = draw(Augment(shift=0.1, mirror=1), 9, 28, _rng()).matrices
    assert np.allclose(alone[:, :, 2], shifted[:, :, 2] - [28, 0])


def test_composed_moves_do_one_after_the_other() -> None:
    rng = _rng()
    first, then = draw(ALL, 5, 32, rng).matrices, draw(ALL, 5, 32, rng).matrices
    points = rng.uniform(0, 32, (5, 3, 2))
    assert np.allclose(
        move_points(points, compose(first, then)), move_points(move_points(points, first), then), atol=1e-3
    )


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)
