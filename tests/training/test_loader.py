"""A batch is a pure function of seed and step, whatever runs beside it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from viewfinder import tasks
from viewfinder.augment.geometry import identity
from viewfinder.augment.share import Share
from viewfinder.config import Augment, Recipe
from viewfinder.data.dataset import ArrayImages
from viewfinder.data.images import fit
from viewfinder.data.memory import IN_MEMORY
from viewfinder.data.rows import fit_rows, in_memory
from viewfinder.data.targets import Labels, PointSets
from viewfinder.errors import DataError
from viewfinder.training.loader import Batch, Loader

EVERYTHING = Augment(
    rotate=15, zoom=0.2, shift=0.1, shear=5, mirror=0.5, brightness=0.1, contrast=0.2, gamma=0.2,
    channel_shift=0.1, noise=0.05, blur=1, erase=0.3,
)  # fmt: skip
NAMES = ("left_eye", "right_eye", "nose")


class OnDisk:
    """Rows that are not in memory, and which of them were asked for."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.shape, self.asked, self._pixels = pixels.shape, list[NDArray[np.int64]](), pixels

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        self.asked.append(rows)
        return self._pixels[rows]


def digit_loader(count: int = 40, held: Callable[[NDArray[np.uint8]], Any] = np.asarray, **more: Any) -> Loader:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, 12, 12, 1), dtype=np.uint8)
    names = tuple("0123456789")
    task = tasks.create(Recipe(name="test", task="classify"), names)
    labels = Labels(rng.integers(0, 10, count))
    options = {"batch": 8, "augment": EVERYTHING, "seed": 3} | more
    return Loader(held(pixels), labels, names=names, task=task, **options)


def face_loader(augment: Augment, **more: Any) -> Loader:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    points = PointSets(rng.uniform(4, 12, (20, 3, 2)).astype(np.float32))
    task = tasks.create(Recipe(name="test", task="keypoints"), NAMES)
    return Loader(pixels, points, names=NAMES, task=task, batch=5, augment=augment, seed=9, **more)


def same(one: Batch, other: Batch) -> bool:
    targets = all(torch.equal(one.targets[name], other.targets[name]) for name in one.targets)
    return torch.equal(one.images, other.images) and torch.equal(one.rows, other.rows) and targets


@pytest.mark.parametrize(("backend", "batch"), [("numpy", 8), ("torch", 8), ("torch", 96)])
def test_the_same_seed_and_step_give_the_same_bytes_in_any_order(backend: str, batch: int) -> None:
    loader, other = (digit_loader(200, batch=batch, backend=backend) for _ in range(2))
    forwards = [loader.batch_at(step) for step in range(19)]
    backwards = [other.batch_at(step) for step in reversed(range(19))][::-1]
    assert all(same(one, two) for one, two in zip(forwards, backwards, strict=True))
    assert not any(same(one, two) for one, two in itertools.pairwise(forwards))
    assert not same(forwards[0], digit_loader(backend=backend, seed=4).batch_at(0))


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_reading_ahead_changes_nothing(backend: str) -> None:
    loader = digit_loader(backend=backend)
    read = list(loader.batches(3, 14))
    assert len(read) == 11
    assert all(same(batch, loader.batch_at(step)) for step, batch in enumerate(read, start=3))


def test_every_row_comes_once_an_epoch_and_each_epoch_has_its_own_order() -> None:
    loader = digit_loader(count=40)
    epochs = [torch.cat([batch.rows for batch in loader.batches(5 * e, 5 * e + 5)]) for e in range(3)]
    assert loader.steps_per_epoch == 5
    assert all(torch.equal(rows.sort().values, torch.arange(40)) for rows in epochs)
    assert not torch.equal(epochs[0], epochs[1])


def test_rows_that_do_not_fill_a_batch_are_left_out_but_other_ones_each_epoch() -> None:
    loader = digit_loader(count=43)
    first = torch.cat([loader.batch_at(step).rows for step in range(5)])
    every = torch.cat([loader.batch_at(step).rows for step in range(50)])
    assert loader.steps_per_epoch == 5
    assert len(first.unique()) == 40
    assert len(every.unique()) == 43


def test_without_augmentation_the_images_are_those_of_the_rows() -> None:
    loader = digit_loader(augment=Augment())
    batch = loader.batch_at(2)
    assert batch.images.dtype == torch.uint8
    assert np.array_equal(batch.images.numpy(), loader.pixels[batch.rows.numpy()])


@pytest.mark.parametrize("batch", [96, 250])
def test_tiny_images_that_are_made_for_several_steps_at_once_are_those_of_their_rows_and_shares(batch: int) -> None:
    places = np.arange(batch)[1::2]
    whole, part = (digit_loader(500, batch=batch, share=share) for share in (None, Share(places, batch)))
    flat = digit_loader(500, batch=batch, augment=Augment(shift=0.1))
    flat.pixels = np.arange(500).astype(np.uint8).repeat(144).reshape(500, 12, 12, 1)
    for step in (0, 7, 8, 3, 20):
        shown = flat.batch_at(step)
        assert torch.equal(shown.images[:, 6, 6, 0].int(), shown.rows.int() % 256)
        assert torch.equal(part.batch_at(step).images, whole.batch_at(step).images[places])


def test_of_tiny_images_on_disk_nothing_is_read_but_what_is_shown() -> None:
    memory, disk = digit_loader(200, batch=96), digit_loader(200, OnDisk, batch=96)
    batches = [memory.batch_at(step) for step in (3, 8)]
    assert all(same(disk.batch_at(step), batch) for step, batch in zip((3, 8), batches, strict=True))
    assert np.array_equal(np.concatenate(disk.pixels.asked), torch.cat([batch.rows for batch in batches]))


def test_light_changes_no_targets() -> None:
    still = Augment(rotate=20)
    dark = still.model_copy(update={"brightness": 0.5})
    one, two = face_loader(still).batch_at(4), face_loader(dark).batch_at(4)
    assert not torch.equal(one.images, two.images)
    assert all(torch.equal(one.targets[name], two.targets[name]) for name in one.targets)


def test_mirroring_moves_the_points_and_swaps_left_and_right() -> None:
    plain, turned = face_loader(Augment()), face_loader(Augment(mirror=1))
    one, two = plain.batch_at(0), turned.batch_at(0)
    mirrored = plain.targets.select(one.rows.numpy()).array()[:, [1, 0, 2]] * [-1, 1] + [16, 0]
    expected = plain.task.collate(PointSets(mirrored.astype(np.float32)))
    assert torch.equal(two.images, one.images.flip(2))
    assert all(torch.allclose(two.targets[name], expected[name], atol=1e-4) for name in expected)


def test_both_backends_show_the_same_samples_with_the_same_targets() -> None:
    spec = EVERYTHING.model_copy(update={"noise": 0.0})
    here, there = face_loader(spec, backend="numpy").batch_at(7), face_loader(spec, backend="torch").batch_at(7)
    difference = (here.images.int() - there.images.int()).abs().float()
    assert torch.equal(here.rows, there.rows)
    assert all(torch.equal(here.targets[name], there.targets[name]) for name in here.targets)
    assert difference.mean() < 1


@pytest.mark.parametrize(("batch", "backend"), [(8, "numpy"), (64, "torch")])
def test_on_a_cpu_many_tiny_images_are_varied_at_once_and_few_one_by_one(batch: int, backend: str) -> None:
    auto, numpy, torch_ = (
        digit_loader(80, batch=batch, backend=backend).batch_at(1) for backend in ("auto", "numpy", "torch")
    )
    assert same(auto, {"numpy": numpy, "torch": torch_}[backend])
    assert not same(numpy, torch_)


@pytest.mark.parametrize("more", [{"size": 8}, {"augment": Augment(brightness=0.2)}])
def test_tiny_images_that_come_from_larger_ones_or_do_not_move_are_varied_one_by_one(more: dict[str, Any]) -> None:
    auto, numpy = (digit_loader(80, batch=64, backend=backend, **more).batch_at(1) for backend in ("auto", "numpy"))
    assert same(auto, numpy)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_images_kept_larger_come_at_the_networks_size_as_validation_sees_them(backend: str) -> None:
    loader = face_loader(Augment(), size=8, backend=backend)
    batch = loader.batch_at(0)
    rows = batch.rows.numpy()
    fitted = np.stack([fit(image, 8, 3).pixels for image in loader.pixels[rows]])
    assert batch.images.shape == (5, 8, 8, 3)
    assert (batch.images - torch.from_numpy(fitted).int()).abs().max() <= 1
    assert np.allclose(batch.targets["points"], loader.targets.select(rows).array() / 2)


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_rows_that_stay_where_they_are_change_nothing(
    backend: str, mapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, other = (face_loader(EVERYTHING, backend=backend) for _ in range(2))
    monkeypatch.setenv(IN_MEMORY, "0")
    np.save(tmp_path / "pixels.npy", plain.pixels[::-1])
    there = np.load(tmp_path / "pixels.npy", mmap_mode="r" if mapped else None)
    pixels, maps = fit_rows(ArrayImages.of(there).select(np.arange(20)[::-1]), 16, 3)
    assert in_memory(pixels) != mapped
    about = {"names": NAMES, "task": other.task, "batch": 5, "augment": EVERYTHING, "seed": 9, "backend": backend}
    rows = Loader(pixels, other.targets, to_pixels=maps, **about)
    assert not isinstance(pixels, np.ndarray)
    assert all(same(plain.batch_at(step), rows.batch_at(step)) for step in range(4))


def test_the_size_that_images_have_changes_nothing() -> None:
    plain, told = face_loader(EVERYTHING), face_loader(EVERYTHING, size=16, to_pixels=identity(20))
    assert all(same(plain.batch_at(step), told.batch_at(step)) for step in range(4))


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_crops_are_cut_in_pixels_of_the_original_and_move_nothing_else(backend: str) -> None:
    halved = identity(20) / 2
    loader = face_loader(Augment(crop=16), size=8, to_pixels=halved, backend=backend)  # 8 of the 16 pixels here
    batch, again = loader.batch_at(3), loader.batch_at(3)
    moved = batch.targets["points"].numpy() - loader.targets.select(batch.rows.numpy()).array() / 2
    assert same(batch, again)
    assert np.allclose(moved, moved[:, :1], atol=1e-5)
    assert len(np.unique(moved[:, 0].round(3), axis=0)) > 2
    assert moved.min() >= -8
    assert moved.max() <= 0


def test_fewer_rows_than_a_batch_say_what_to_do() -> None:
    with pytest.raises(DataError, match=r"fewer rows than a batch: 5 training samples, batches of 8; .*train\.batch"):
        digit_loader(count=5)


def test_the_thread_ends_when_the_reader_stops_early_or_fails() -> None:
    before = threading.active_count()
    batches = digit_loader().batches(0, 10**6)
    next(batches)
    batches.close()
    assert threading.active_count() == before
    broken = digit_loader()
    broken.targets = replace(broken.targets, ids=np.zeros(3, dtype=np.int64))
    with pytest.raises(IndexError):
        next(broken.batches(0, 9))
    assert threading.active_count() == before


def test_the_set_itself_is_never_changed() -> None:
    loader = digit_loader()
    before = loader.pixels.copy()
    list(loader.batches(0, 5))
    assert np.array_equal(loader.pixels, before)
