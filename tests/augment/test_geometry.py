"""Image and targets move together, exactly, with both backends."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from viewfinder.augment.geometry import as_pixels, compose, draw, draw_frames, identity, warp_numpy, warp_torch
from viewfinder.config import Augment
from viewfinder.data.images import fit
from viewfinder.data.targets import PointSets, move_points

ALL = Augment(rotate=30, zoom=0.25, shift=0.1, shear=12, mirror=0.5)
Warp = Callable[..., NDArray[np.uint8]]


def by_torch(images: NDArray[np.uint8], *how: Any) -> NDArray[np.uint8]:
    return warp_torch(torch.from_numpy(images), *how).numpy()


def test_values_become_the_nearest_gray_level_and_what_is_too_bright_is_white() -> None:
    values = torch.tensor([0.0, 0.4, 0.6, 1.5, 2.5, 254.4, 254.6, 300.0]).reshape(2, 2, 2, 1)
    assert as_pixels(values).flatten().tolist() == [0, 0, 1, 2, 2, 254, 255, 255]
    assert as_pixels(values.permute(0, 2, 1, 3)).flatten().tolist() == [0, 1, 0, 2, 2, 255, 254, 255]


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


@BACKENDS
def test_flipping_turns_rows_round_and_swaps_names_as_every_mirror_does(warp: Warp) -> None:
    images = np.random.default_rng(6).integers(0, 256, (2, 24, 24, 3), dtype=np.uint8)
    moves = draw(Augment(flip=1), 2, 24, _rng())
    before = PointSets(np.array([[[3, 7], [9, 7]]] * 2, dtype=np.float32))
    assert np.array_equal(warp(images, moves.matrices), images[:, ::-1])
    after = before.moved(moves.matrices, moves.mirrored, ("left_eye", "right_eye"))
    assert np.allclose(after.xy[0], [[9, 17], [3, 17]])


def test_mirrored_and_flipped_is_a_half_turn_which_swaps_no_names() -> None:
    images = np.random.default_rng(6).integers(0, 256, (2, 24, 24, 1), dtype=np.uint8)
    moves = draw(Augment(mirror=1, flip=1), 2, 24, _rng())
    assert np.array_equal(warp_numpy(images, moves.matrices), images[:, ::-1, ::-1])
    assert not moves.mirrored.any()


def test_flips_leave_the_other_numbers_alone_and_have_their_share() -> None:
    with_flips, without = (draw(ALL.model_copy(update={"flip": flip}), 5_000, 28, _rng()) for flip in (0.3, 0.0))
    flipped = with_flips.mirrored != without.mirrored
    assert abs(flipped.mean() - 0.3) < 0.02
    assert np.array_equal(with_flips.matrices[~flipped], without.matrices[~flipped])


def fitted(height: int, width: int, side: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return one smooth picture fitted to side × side, and the map that brought it there, as batches of one."""
    coarse = np.random.default_rng(8).integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    one = fit(cv2.resize(coarse, (width, height)), side, 3)
    return one.pixels[None], one.matrix[None]


def test_without_a_crop_a_frame_shows_all_of_an_image() -> None:
    _, to_pixels = fitted(240, 320, 96)
    frame = draw_frames(Augment(), to_pixels, 96, 32, _rng())
    assert np.allclose(frame, [[[1 / 3, 0, 0], [0, 1 / 3, 0]]])


def test_crops_are_squares_of_the_original_and_lie_all_over_it() -> None:
    _, to_pixels = fitted(480, 640, 480)
    many = np.repeat(to_pixels, 2_000, axis=0)
    to_input = compose(many, draw_frames(Augment(crop=450), many, 480, 120, _rng()))
    corner = -to_input[:, :, 2] / to_input[:, [0, 1], [0, 1]]
    assert np.allclose(120 / to_input[:, [0, 1], [0, 1]], 450)
    assert corner.min() > -1e-6
    assert np.allclose(corner.max(axis=0), [190, 30], atol=1)
    assert np.allclose(corner.mean(axis=0), [95, 15], atol=4)


def test_an_image_that_is_lower_than_the_crop_is_shown_with_black_above_and_below() -> None:
    pixels, to_pixels = fitted(160, 640, 320)
    frames = draw_frames(Augment(crop=320), np.repeat(to_pixels, 50, axis=0), 320, 64, _rng())
    shown = warp_numpy(np.repeat(pixels, 50, axis=0), frames, "constant", 64)
    assert (shown[:, :16] == 0).all()
    assert (shown[:, -16:] == 0).all()
    assert (shown[:, 17:-17].max(axis=(2, 3)) > 0).all()
    assert len(np.unique(frames[:, 0, 2])) > 20


def test_of_an_image_smaller_than_the_crop_all_is_shown() -> None:
    _, to_pixels = fitted(96, 64, 96)
    assert np.allclose(draw_frames(Augment(crop=450), to_pixels, 96, 32, _rng()), [[[1 / 3, 0, 0], [0, 1 / 3, 0]]])


@BACKENDS
@pytest.mark.parametrize("detail", [2, 3, 4])
def test_what_shrinks_is_averaged_as_fitting_does(warp: Warp, detail: int) -> None:
    original = np.random.default_rng(9).integers(0, 256, (192, 192, 3), dtype=np.uint8)
    kept, small = fit(original, 48 * detail, 3), fit(original, 48, 3)
    frame = draw_frames(Augment(), kept.matrix[None], 48 * detail, 48, _rng())
    assert np.abs(warp(kept.pixels[None], frame, "constant", 48)[0].astype(int) - small.pixels).max() <= 1


@BACKENDS
def test_a_point_stays_on_its_thing_in_a_crop_of_a_larger_image(warp: Warp) -> None:
    rng = np.random.default_rng(1)
    points = (192 * rng.uniform(0.42, 0.58, (100, 2))).astype(np.float32)
    spec = Augment(rotate=20, zoom=0.3, mirror=0.5, flip=0.5, crop=150)
    moves = draw(spec, 100, 64, rng)
    matrices = compose(draw_frames(spec, identity(100), 192, 64, rng), moves.matrices)
    expected = move_points(points[:, None], matrices)[:, 0]
    inside = ((expected > 12) & (expected < 52)).all(axis=1)
    found = centroids(warp(markers(points / 2, 96, 1).repeat(2, axis=1).repeat(2, axis=2), matrices, "constant", 64))
    assert inside.sum() > 40
    assert np.abs(found - expected)[inside].max() < 0.15


def test_both_backends_give_the_same_picture_of_a_larger_image() -> None:
    rng = np.random.default_rng(3)
    pixels, to_pixels = fitted(240, 320, 240)
    many = np.repeat(pixels, 20, axis=0)
    frames = draw_frames(Augment(crop=200), np.repeat(to_pixels, 20, axis=0), 240, 48, rng)
    matrices = compose(frames, draw(ALL, 20, 48, rng).matrices)
    here, there = (
        warp_numpy(many, matrices, "replicate", 48),
        warp_torch(torch.from_numpy(many), matrices, "replicate", 48),
    )
    assert np.abs(here.astype(int) - there.numpy()).max() <= 2


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
