"""Things of other photos laid over an image: each box lies on what it marks, and what is hidden is not learnt."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from viewfinder.augment.geometry import draw, identity
from viewfinder.augment.paste import HIDDEN, Things, pasted
from viewfinder.augment.pieces import Pieces, single
from viewfinder.augment.share import Share
from viewfinder.config import Augment, load_recipe
from viewfinder.data.targets import BoxSets, Labels
from viewfinder.errors import RecipeError
from viewfinder.tasks.classify import Classify
from viewfinder.tasks.detect import Detect
from viewfinder.training.loader import Loader

SIZE, COUNT = 96, 24
NAMES = ("left_hand", "right_hand")


def photos(seed: int = 0) -> tuple[np.ndarray, BoxSets]:
    """Return photos of one gray level each, with a square of another level each: a pixel tells whose it is."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((COUNT, SIZE, SIZE, 3), dtype=np.uint8)
    boxes = []
    for row, image in enumerate(pixels):
        x, y, side = *rng.integers(4, 60, 2), rng.integers(16, 32)
        image[:] = 10 + 2 * row
        image[y : y + side, x : x + side] = 130 + 5 * row
        boxes.append(np.array([[x, y, x + side, y + side]], dtype=float))
    return pixels, BoxSets.of(boxes, [np.array([row % 2]) for row in range(COUNT)])


def loader(*, backend: str = "numpy", share: Share | None = None, **augment: object) -> Loader:
    pixels, targets = photos()
    recipe = load_recipe("detect", {"data.size": SIZE})
    spec = Augment(**{"paste": 1, **augment})
    task = Detect(recipe, NAMES)
    return Loader(pixels, targets, names=NAMES, task=task, batch=8, augment=spec, seed=3, backend=backend, share=share)


def laid_over(share: float, boxes: BoxSets | None = None, **changes: object) -> tuple[Pieces, BoxSets, Pieces]:
    """Return pieces and boxes of one image a photo after pasting, and the pieces before."""
    shown = boxes or photos()[1]
    rng, spec, count = np.random.default_rng(1), Augment(**changes), len(shown)
    before = single(np.arange(count), draw(Augment(), count, SIZE, rng))
    moves = draw(spec, count, SIZE, rng)
    things = Things(shown, identity(count), SIZE, NAMES)
    return *pasted(before, shown, things, moves, share, size=SIZE, rng=rng), before


def of_boxes(count: int, *boxes: tuple[float, float, float, float]) -> BoxSets:
    """Return `count` samples with those boxes each."""
    one = np.array(boxes, dtype=float).reshape(-1, 4)
    return BoxSets.of([one] * count, [np.arange(len(boxes)) % 2] * count)


def windows_of(pieces: Pieces) -> tuple[np.ndarray, np.ndarray]:
    """Return which images got something, and where it hides what was there."""
    images = np.flatnonzero(np.diff(pieces.offsets) == 2)
    return images, pieces.windows[pieces.offsets[images + 1] - 1]


def shared(box: np.ndarray, window: np.ndarray) -> float:
    """Return the area that both cover."""
    sides = np.minimum(box[2:], window[2:]) - np.maximum(box[:2], window[:2])
    return float(np.prod(sides.clip(0)))


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_every_pasted_box_shows_the_thing_that_it_marks(backend: str) -> None:
    batch = loader(backend=backend).batch_at(0)
    boxes, samples = batch.targets["boxes"].numpy(), batch.targets["samples"].numpy()
    last = np.flatnonzero(np.diff(samples, append=-1))
    more = [i for i in last if np.sum(samples == samples[i]) > 1]
    assert len(more) >= 4
    for i in more:
        x0, y0, x1, y1 = boxes[i].round().astype(int)
        inside = batch.images[samples[i], y0 + 1 : y1 - 1, x0 + 1 : x1 - 1].numpy()
        assert inside.std() == 0
        assert inside.min() >= 130


def test_a_share_of_the_images_gets_something() -> None:
    counts = [len(laid_over(share)[0].rows) - COUNT for share in (0, 0.5, 1)]
    assert counts[0] == 0
    assert counts[0] < counts[1] < counts[2] <= COUNT


def test_what_is_hidden_is_not_learnt_and_what_is_half_hidden_is() -> None:
    small, large = (30, 30, 50, 50), (10, 10, 70, 60)
    sets = [of_boxes(1, small if row % 2 else large) for row in range(400)]
    shown = BoxSets.of([one.xyxy for one in sets], [one.classes for one in sets])
    pieces, boxes, _ = laid_over(1, shown)
    seen = set()
    for image, window in zip(*windows_of(pieces), strict=True):
        box = shown.xyxy[image]
        covered = shared(box, window) / np.prod(box[2:] - box[:2])
        if abs(covered - HIDDEN) < 0.05:  # windows are whole pixels
            continue
        hidden = covered > HIDDEN
        seen.add((hidden, covered > 0))
        assert boxes.counts[image] == (1 if hidden else 2)
    assert seen == {(True, True), (False, True), (False, False)}


def test_of_a_box_that_reaches_outside_what_is_in_the_image_counts() -> None:
    half_outside, whole = (-40.0, 20.0, 40.0, 70.0), (0.0, 0.0, SIZE, SIZE)
    shown = BoxSets.of([np.array([half_outside])] * 9 + [np.array([whole])], [np.zeros(1, dtype=np.int64)] * 10)
    things = Things(of_boxes(10, whole), identity(10), SIZE, NAMES)
    rng = np.random.default_rng(0)
    before = single(np.arange(10), draw(Augment(), 10, SIZE, rng))
    pieces, boxes = pasted(before, shown, things, draw(Augment(), 10, SIZE, rng), 1, size=SIZE, rng=rng)
    counts = []
    for image, window in zip(*windows_of(pieces), strict=True):
        visible = np.clip(shown.xyxy[image], 0, SIZE)
        counts.append(2 - int(shared(visible, window) > HIDDEN * np.prod(visible[2:] - visible[:2])))
        assert boxes.counts[image] == counts[-1]
    assert 1 in counts


def test_what_lies_inside_a_thing_comes_along() -> None:
    outer, inner, beside = (10, 10, 60, 60), (20, 25, 40, 45), (75, 75, 90, 90)
    pieces, boxes, _ = laid_over(1, of_boxes(60, outer, inner, beside), zoom=0.2)
    images, windows = windows_of(pieces)
    matrices = pieces.matrices[pieces.offsets[images + 1] - 1]
    both = 0
    for image, window, matrix in zip(images, windows, matrices, strict=True):
        moved = [
            np.concatenate([matrix[:, :2] @ box[:2] + matrix[:, 2], matrix[:, :2] @ box[2:] + matrix[:, 2]])
            for box in np.array([outer, inner, beside], dtype=float)
        ]
        due = [box for box in moved if shared(box, window) > 0.35 * np.prod(box[2:] - box[:2])]
        of_image = boxes.xyxy[boxes.offsets[image] : boxes.offsets[image + 1]]
        for box in due:
            cut = np.concatenate([np.maximum(box[:2], window[:2]), np.minimum(box[2:], window[2:])])
            assert np.abs(of_image - cut).max(axis=1).min() < 1
        both += len(due) == 2
    assert both > 5


def test_things_are_often_laid_beside_or_over_others() -> None:
    pieces, _, _ = laid_over(1, of_boxes(600, (60, 60, 76, 76)))
    images, windows = windows_of(pieces)
    touched = np.mean([shared(np.array([60, 60, 76, 76]), window) > 0 for window in windows])
    assert len(images) == 600
    assert 0.45 < touched < 0.75  # lying anywhere, about one in seven would touch


def test_what_reaches_out_of_its_own_photo_is_pasted_without_what_is_not_there() -> None:
    pieces, boxes, _ = laid_over(1, of_boxes(40, (-30, 20, 30, 60)))
    images, windows = windows_of(pieces)
    assert len(images) > 20
    assert (windows[:, 2] - windows[:, 0]).max() <= 31
    assert (boxes.xyxy[boxes.offsets[images + 1] - 1, 2:] - boxes.xyxy[boxes.offsets[images + 1] - 1, :2]).max() <= 40.1


def test_boxes_that_are_no_numbers_are_not_pasted() -> None:
    pieces, _, before = laid_over(1, of_boxes(20, (np.nan, 10, 40, 50)))
    assert len(pieces.rows) == len(before.rows)


def test_a_mirrored_thing_changes_its_name() -> None:
    mirrored, plain = (laid_over(1, mirror=chance)[:2] for chance in (1, 0))
    for (pieces, boxes), other in ((mirrored, True), (plain, False)):
        images = np.flatnonzero(np.diff(pieces.offsets) == 2)
        rows = pieces.rows[pieces.offsets[images + 1] - 1]
        assert (boxes.classes[boxes.offsets[images + 1] - 1] == (rows + other) % 2).all()


def test_things_that_are_smaller_than_a_few_pixels_are_not_pasted() -> None:
    tiny = of_boxes(COUNT, (10, 10, 14, 14))
    pieces, boxes, before = laid_over(1, tiny)
    assert len(pieces.rows) == len(before.rows)
    assert boxes.array().tolist() == tiny.array().tolist()


def test_a_set_without_boxes_has_nothing_to_paste() -> None:
    nothing = of_boxes(COUNT)
    pieces, boxes, before = laid_over(1, nothing)
    assert pieces is before
    assert boxes is nothing


def test_the_images_that_get_nothing_are_as_without() -> None:
    with_some, without = (
        torch.cat([loader(paste=share, mosaic=0.5, zoom=0.2).batch_at(step).images for step in range(4)])
        for share in (0.4, 0)
    )
    same = [torch.equal(one, other) for one, other in zip(with_some, without, strict=True)]
    assert 8 < sum(same) < 32


def test_shares_of_a_batch_are_those_of_the_whole() -> None:
    varied = {"mosaic": 0.5, "zoom": 0.3, "rotate": 5, "brightness": 0.2}
    whole = loader(**varied).batch_at(4)
    for places in (np.arange(3), np.arange(3, 8)):
        part = loader(share=Share(places, 8), **varied).batch_at(4)
        assert torch.equal(part.images, whole.images[torch.from_numpy(places)])
        assert torch.equal(part.targets["boxes"], whole.targets["boxes"])


def test_images_that_are_kept_larger_give_the_same_boxes_and_nearly_the_same_picture() -> None:
    pixels, targets = photos()
    recipe, spec = load_recipe("detect", {"data.size": SIZE}), Augment(paste=1, zoom=0.2)
    same = {"names": NAMES, "task": Detect(recipe, NAMES), "batch": 8, "augment": spec, "seed": 3}
    plain = Loader(pixels, targets, **same).batch_at(1)
    twice, larger = pixels.repeat(2, axis=1).repeat(2, axis=2), 2 * identity(COUNT)
    detailed = Loader(twice, targets, size=SIZE, to_pixels=larger, **same).batch_at(1)
    torch.testing.assert_close(plain.targets["boxes"], detailed.targets["boxes"], atol=1e-3, rtol=0)
    assert (plain.images.float() - detailed.images.float()).abs().mean() < 2


@pytest.mark.parametrize("recipe", ["digits", "detect"])
def test_pasting_without_boxes_or_into_crops_is_refused(recipe: str) -> None:
    with pytest.raises(RecipeError, match="pasted" if recipe == "digits" else "whole photos") as refused:
        if recipe == "detect":
            loader(crop=32)
        else:
            digits = load_recipe("digits", {"augment.paste": 0.5})
            some = {"names": ("a", "b"), "task": Classify(digits, ("a", "b")), "batch": 2, "seed": 0}
            Loader(np.zeros((4, 28, 28, 1), np.uint8), Labels(np.arange(4) % 2), augment=digits.augment, **some)
    assert refused.value.where == "augment.paste"
