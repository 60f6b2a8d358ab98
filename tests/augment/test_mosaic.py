"""Four photos side by side: each box lies on what it marks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from viewfinder.augment.geometry import draw, identity, warp_numpy, warp_torch
from viewfinder.augment.mosaic import mosaics
from viewfinder.augment.pieces import Pieces, laid, laid_torch, single
from viewfinder.config import Augment, load_recipe
from viewfinder.data.targets import BoxSets, Labels
from viewfinder.errors import RecipeError
from viewfinder.tasks.classify import Classify
from viewfinder.tasks.detect import Detect
from viewfinder.training.loader import Batch, Loader

SIZE = 64


def photos(count: int) -> tuple[np.ndarray, BoxSets]:
    """Return gray photos with a white square each, and its box."""
    rng = np.random.default_rng(2)
    pixels = np.full((count, SIZE, SIZE, 3), 60, dtype=np.uint8)
    boxes = []
    for image in pixels:
        x, y = rng.integers(8, 40, 2)
        image[y : y + 16, x : x + 16] = 255
        boxes.append(np.array([[x, y, x + 16, y + 16]], dtype=float))
    return pixels, BoxSets.of(boxes, [np.zeros(1, dtype=np.int64)] * count)


def loader(backend: str = "numpy", **augment: object) -> Loader:
    pixels, targets = photos(24)
    recipe = load_recipe("detect", {"data.size": SIZE})
    spec = Augment(mosaic=1, mirror=0.5, zoom=0.2, **augment)
    names, task = ("square",), Detect(recipe, ("square",))
    return Loader(pixels, targets, names=names, task=task, batch=8, augment=spec, seed=3, backend=backend)


def drawn(spec: Augment, count: int = 400) -> Pieces:
    rng = np.random.default_rng(0)
    moves = draw(spec, count, SIZE, rng)
    return mosaics(np.arange(count), moves, spec, size=SIZE, every=count, rng=rng)


def test_the_share_of_mosaics_is_that_of_the_recipe() -> None:
    counts = np.diff(drawn(Augment(mosaic=0.3)).offsets)
    assert set(counts.tolist()) == {1, 4}
    assert np.mean(counts == 4) == pytest.approx(0.3, abs=0.06)


def test_images_of_one_photo_are_moved_as_without_mosaics() -> None:
    spec = Augment(mosaic=0.5, zoom=0.3, rotate=10)
    pieces = drawn(spec)
    alone = pieces.offsets[:-1][np.diff(pieces.offsets) == 1]
    expected = draw(spec, 400, SIZE, np.random.default_rng(0)).matrices
    np.testing.assert_array_equal(pieces.matrices[alone], expected[pieces.rows[alone]])


def boxes_lie_on_squares(batch: Batch) -> None:
    white = batch.images.numpy().min(axis=3) > 200
    boxes = batch.targets["boxes"].numpy().clip(0, SIZE)
    for (x0, y0, x1, y1), sample in zip(boxes.round().astype(int), batch.targets["samples"].tolist(), strict=True):
        inside = white[sample, y0 + 1 : y1 - 1, x0 + 1 : x1 - 1]
        assert inside.size == 0 or inside.mean() > 0.95


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_every_box_lies_on_what_it_marks(backend: str) -> None:
    every = loader(backend)
    assert max(np.bincount(every.batch_at(0).targets["samples"], minlength=8)) > 1
    for step in range(3):
        boxes_lie_on_squares(every.batch_at(step))


def test_a_batch_is_the_same_however_often_it_is_asked_for() -> None:
    first, again = loader().batch_at(5), loader().batch_at(5)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.targets["boxes"], again.targets["boxes"])


def test_both_backends_lay_the_same_picture() -> None:
    pixels, _ = photos(24)
    pieces = drawn(Augment(mosaic=1, zoom=0.2), 6)
    by_numpy = laid(warp_numpy(pixels[pieces.rows], pieces.matrices), pieces)
    by_torch = laid_torch(warp_torch(torch.from_numpy(pixels[pieces.rows]), pieces.matrices), pieces)
    far = np.abs(by_numpy.astype(int) - by_torch.numpy())
    assert by_numpy.shape == (6, SIZE, SIZE, 3)
    assert far.mean() < 1


def test_one_photo_an_image_is_left_as_it_is() -> None:
    pixels, _ = photos(3)
    assert laid(pixels, single(np.arange(3), draw(Augment(), 3, SIZE, np.random.default_rng(0)))) is pixels
    assert warp_numpy(pixels, identity(3)).tolist() == pixels.tolist()


@pytest.mark.parametrize("beside", [{"crop": 32}, {"border": "reflect"}])
def test_mosaics_of_photos_that_reach_beyond_their_place_are_refused(beside: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="whole photos"):
        loader(**beside)


def test_mosaics_of_anything_but_boxes_are_refused() -> None:
    recipe = load_recipe("digits", {"augment.mosaic": 0.5})
    some = {"names": ("a", "b"), "task": Classify(recipe, ("a", "b")), "batch": 2, "seed": 0}
    with pytest.raises(RecipeError, match="for boxes"):
        Loader(np.zeros((4, 28, 28, 1), np.uint8), Labels(np.arange(4) % 2), augment=recipe.augment, **some)
