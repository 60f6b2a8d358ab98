"""Light changes values, never places, by what the recipe says, with both backends."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from viewfinder.augment.pixels import draw_light, light_numpy, light_torch
from viewfinder.config import Augment

Light = Callable[[NDArray[np.uint8], Augment, np.random.Generator], NDArray[np.uint8]]


def by_torch(images: NDArray[np.uint8], spec: Augment, rng: np.random.Generator) -> NDArray[np.uint8]:
    return light_torch(torch.from_numpy(images), spec, draw_light(spec, images.shape, rng)).numpy()


def by_numpy(images: NDArray[np.uint8], spec: Augment, rng: np.random.Generator) -> NDArray[np.uint8]:
    return light_numpy(images, spec, draw_light(spec, images.shape, rng))


BACKENDS = pytest.mark.parametrize("light", [by_numpy, by_torch], ids=["numpy", "torch"])


def pictures(count: int = 12, size: int = 32, channels: int = 1) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(7).integers(40, 216, (count, 6, 6, channels), dtype=np.uint8)
    return np.stack([cv2.resize(image, (size, size)).reshape(size, size, channels) for image in coarse])


def flat(level: int, count: int = 400, channels: int = 1) -> NDArray[np.uint8]:
    return np.full((count, 8, 8, channels), level, dtype=np.uint8)


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@BACKENDS
def test_a_recipe_without_light_returns_the_very_same_pixels(light: Light) -> None:
    images = pictures()
    assert np.shares_memory(light(images, Augment(rotate=10), rng()), images)


@BACKENDS
@pytest.mark.parametrize("channels", [1, 3])
def test_the_given_images_are_left_alone_and_the_same_seed_gives_the_same_result(light: Light, channels: int) -> None:
    spec = Augment(brightness=0.2, contrast=0.3, gamma=0.3, channel_shift=0.1, noise=0.05, blur=1.5, erase=0.5)
    images = pictures(channels=channels)
    before = images.copy()
    once, again = light(images, spec, rng()), light(images, spec, rng())
    assert np.array_equal(images, before)
    assert np.array_equal(once, again)
    assert once.shape == images.shape
    assert once.dtype == np.uint8


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("setting", ["brightness", "contrast", "gamma", "channel_shift", "blur", "erase"])
def test_both_backends_give_the_same_picture(setting: str, channels: int) -> None:
    spec, images = Augment(**{setting: 0.9}), pictures(channels=channels)
    here, there = by_numpy(images, spec, rng()), by_torch(images, spec, rng())
    assert not np.array_equal(here, images)
    assert np.abs(here.astype(int) - there).max() <= 1


@BACKENDS
def test_brightness_adds_at_most_its_share_of_the_range_to_all_channels_alike(light: Light) -> None:
    added = light(flat(128, channels=3), Augment(brightness=0.2), rng()).astype(int) - 128
    assert np.array_equal(added, np.broadcast_to(added[:, :1, :1, :1], added.shape))
    assert added.max() in (50, 51)
    assert added.min() in (-51, -50)
    assert abs(added.mean()) < 4


@BACKENDS
def test_channel_shift_moves_each_channel_by_itself(light: Light) -> None:
    added = light(flat(128, channels=3), Augment(channel_shift=0.2), rng())[:, 0, 0].astype(int) - 128
    assert np.abs(np.corrcoef(added.T) - np.eye(3)).max() < 0.2


@BACKENDS
def test_contrast_keeps_the_mean_and_scales_the_distance_from_it(light: Light) -> None:
    images = pictures(200)
    changed = light(images, Augment(contrast=0.25), rng())
    ratio = changed.std(axis=(1, 2, 3)) / images.std(axis=(1, 2, 3))
    assert np.abs(changed.mean(axis=(1, 2, 3)) - images.mean(axis=(1, 2, 3))).max() < 1
    assert 1.2 < ratio.max() < 1.27
    assert 0.78 < ratio.min() < 0.83


@BACKENDS
def test_gamma_keeps_black_and_white(light: Light) -> None:
    images = np.array([0, 128, 255], dtype=np.uint8).repeat(50).reshape(-1, 1, 1, 1)
    changed = light(images, Augment(gamma=0.5), rng()).ravel()
    assert (changed[:50] == 0).all()
    assert (changed[100:] == 255).all()
    assert changed[50:100].min() < 100
    assert changed[50:100].max() > 150


@BACKENDS
def test_noise_is_centred_differs_from_sample_to_sample_and_has_the_asked_strength(light: Light) -> None:
    images = np.full((200, 32, 32, 1), 128, dtype=np.uint8)
    grains = light(images, Augment(noise=0.1), rng()).astype(float) - 128
    spread = grains.std(axis=(1, 2, 3))
    assert abs(grains.mean()) < 0.3
    assert spread.min() < 1
    assert 23 < spread.max() < 27
    strong = grains[spread > 10].reshape(-1, 32 * 32)
    assert np.median(np.abs(np.corrcoef(strong))) < 0.1


@BACKENDS
def test_blur_smooths_and_moves_nothing(light: Light) -> None:
    dot = np.zeros((100, 33, 33, 1), dtype=np.uint8)
    dot[:, 15:18, 15:18] = 255
    changed = light(dot, Augment(blur=2), rng()).astype(float)
    centres = np.arange(33)
    assert np.allclose((changed.sum(axis=(1, 3)) @ centres) / changed.sum(axis=(1, 2, 3)), 16, atol=0.05)
    assert changed.max(axis=(1, 2, 3)).min() < 90
    assert changed.max(axis=(1, 2, 3)).max() > 250


@BACKENDS
def test_erasing_fills_one_rectangle_of_the_asked_size_with_the_mean(light: Light) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (300, 40, 40, 3), dtype=np.uint8)
    changed = light(noise, Augment(erase=0.4), rng())
    area = (changed != noise).any(axis=3).mean(axis=(1, 2))
    touched = area > 0
    assert abs(touched.mean() - 0.4) < 0.1
    assert area[touched].min() > 0.015
    assert area[touched].max() < 0.17
    first = np.flatnonzero(touched)[0]
    filled = changed[first][(changed[first] != noise[first]).all(axis=2)]
    assert np.abs(filled.astype(float) - noise[first].mean(axis=(0, 1))).max() <= 1


@BACKENDS
def test_light_is_applied_to_its_share_of_the_samples_brightness_and_contrast_together(light: Light) -> None:
    images = pictures(600, size=8, channels=3)
    by_itself = {
        name: (light(images, Augment(**{name: 0.5, "light": 0.2}), rng()) != images).any(axis=(1, 2, 3))
        for name in ("brightness", "contrast", "gamma", "channel_shift")
    }
    assert all(abs(changed.mean() - 0.2) < 0.05 for changed in by_itself.values())
    assert np.mean(by_itself["brightness"] == by_itself["contrast"]) > 0.98
    assert np.mean(by_itself["brightness"] == by_itself["gamma"]) < 0.8
    assert np.mean(by_itself["gamma"] == by_itself["channel_shift"]) < 0.8


@BACKENDS
def test_where_light_is_applied_it_is_that_of_a_recipe_that_always_applies_it(light: Light) -> None:
    images = pictures(100)
    spec = Augment(brightness=0.3, noise=0.05, erase=0.5)
    always, sometimes = light(images, spec, rng()), light(images, spec.model_copy(update={"light": 0.5}), rng())
    same = (always == sometimes).all(axis=(1, 2, 3))
    assert 30 < same.sum() < 70
