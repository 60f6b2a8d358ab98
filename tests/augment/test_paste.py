"""Things of other photos laid over an image: each box lies on what it marks, and what is hidden is not learnt."""

from __future__ import annotations

from dataclasses import replace

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
    rng, spec = np.random.default_rng(1), Augment(**changes)
    before = single(np.arange(COUNT), draw(Augment(), COUNT, SIZE, rng))
    moves = draw(spec, COUNT, SIZE, rng)
    things = Things(shown, identity(COUNT), NAMES)
    return *pasted(before, shown, things, moves, share, size=SIZE, rng=rng), before


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
    pieces, boxes, _ = laid_over(1)
    shown, images = photos()[1], np.flatnonzero(np.diff(pieces.offsets) == 2)
    seen = set()
    for image in images:
        window = pieces.windows[pieces.offsets[image + 1] - 1]
        x0, y0, x1, y1 = shown.xyxy[image]
        wide, high = min(x1, window[2]) - max(x0, window[0]), min(y1, window[3]) - max(y0, window[1])
        hidden = max(wide, 0) * max(high, 0) > HIDDEN * (x1 - x0) * (y1 - y0)
        seen.add((hidden, wide > 0 and high > 0))
        assert boxes.counts[image] == (1 if hidden else 2)
    assert (False, True) in seen  # covered in part


def test_a_thing_as_large_as_the_image_hides_what_was_there() -> None:
    whole = BoxSets.of([np.array([[0.0, 0, SIZE, SIZE]])] * COUNT, [np.zeros(1, dtype=np.int64)] * COUNT)
    pieces, boxes, _ = laid_over(1, whole)
    pasted_here = np.diff(pieces.offsets) == 2
    assert pasted_here.any()
    windows = pieces.windows[pieces.offsets[1:] - 1][pasted_here]
    covered = (windows[:, 2] - windows[:, 0]) * (windows[:, 3] - windows[:, 1]) > HIDDEN * SIZE**2
    assert boxes.counts[pasted_here].tolist() == np.where(covered, 1, 2).tolist()


def test_a_mirrored_thing_changes_its_name() -> None:
    mirrored, plain = (laid_over(1, mirror=chance)[:2] for chance in (1, 0))
    for (pieces, boxes), other in ((mirrored, True), (plain, False)):
        images = np.flatnonzero(np.diff(pieces.offsets) == 2)
        rows = pieces.rows[pieces.offsets[images + 1] - 1]
        assert (boxes.classes[boxes.offsets[images + 1] - 1] == (rows + other) % 2).all()


def test_things_that_are_smaller_than_a_few_pixels_are_not_pasted() -> None:
    tiny = BoxSets.of([np.array([[10.0, 10, 14, 14]])] * COUNT, [np.zeros(1, dtype=np.int64)] * COUNT)
    pieces, boxes, before = laid_over(1, tiny)
    assert len(pieces.rows) == len(before.rows)
    assert boxes.array().tolist() == tiny.array().tolist()


def test_a_set_without_boxes_has_nothing_to_paste() -> None:
    nothing = BoxSets.of([np.zeros((0, 4))] * COUNT, [np.zeros(0, dtype=np.int64)] * COUNT)
    pieces, boxes, before = laid_over(1, nothing)
    assert pieces is before
    assert boxes is nothing


def test_the_images_that_get_nothing_are_as_without() -> None:
    with_some, without = (loader(paste=share, mosaic=0.5, zoom=0.2).batch_at(2) for share in (0.4, 0))
    same = [torch.equal(one, other) for one, other in zip(with_some.images, without.images, strict=True)]
    assert 0 < sum(same) < 8


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
    with pytest.raises(RecipeError, match="whole photos") as refused:
        if recipe == "detect":
            loader(crop=32)
        else:
            digits = load_recipe("digits", {"augment.paste": 0.5})
            some = {"names": ("a", "b"), "task": Classify(digits, ("a", "b")), "batch": 2, "seed": 0}
            Loader(np.zeros((4, 28, 28, 1), np.uint8), Labels(np.arange(4) % 2), augment=digits.augment, **some)
    assert refused.value.where == "augment.paste"


def test_boxes_are_added_behind_those_of_their_sample() -> None:
    boxes = photos()[1]
    more = boxes.with_more(np.array([0, 2]), np.full((2, 4), 7, np.float32), np.array([1, 1]))
    assert more.counts[:4].tolist() == [2, 1, 2, 1]
    assert more.xyxy[[1, 4]].tolist() == [[7] * 4] * 2
    assert replace(more, xyxy=more.xyxy).kept(more.xyxy[:, 0] != 7).array().tolist() == boxes.array().tolist()
