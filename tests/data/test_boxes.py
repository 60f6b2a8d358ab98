"""Boxes as a column of targets and as one image's answer."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from viewfinder.augment.geometry import draw, warp_numpy
from viewfinder.config import Augment
from viewfinder.data.answers import ANSWERS, PREDICTED_COLOUR, TRUE_COLOUR, Boxes
from viewfinder.data.boxes import overlaps
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.targets import BoxSets

NAMES = ("cat", "left_hand", "right_hand")


def column(count: int = 20, seed: int = 0, most: int = 5) -> BoxSets:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, most, count)
    corners = [rng.uniform(0, 40, (m, 2)) for m in counts]
    boxes = [np.concatenate([xy, xy + rng.uniform(2, 20, xy.shape)], axis=1) for xy in corners]
    return BoxSets.of(boxes, [rng.integers(0, len(NAMES), m) for m in counts])


def same(one: BoxSets, other: BoxSets) -> bool:
    return len(one) == len(other) and np.array_equal(one.array(), other.array())


def test_a_sample_without_boxes_is_complete_and_keeps_its_place() -> None:
    boxes = BoxSets.of([np.zeros((0, 4)), [[1, 2, 3, 4]], np.zeros((0, 4))], [[], [2], []])
    assert (len(boxes), boxes.counts.tolist(), boxes.samples.tolist()) == (3, [0, 1, 0], [1])
    assert boxes.complete().all() and len(boxes.one(0, NAMES)) == 0
    assert boxes.one(1, NAMES).classes == ("right_hand",)
    assert len(BoxSets.of([], [])) == 0


@pytest.mark.parametrize("rows", [[3, 3, 0], [], [-1, 5], np.arange(20) % 2 == 0])
def test_selected_samples_have_their_own_boxes(rows: object) -> None:
    boxes = column()
    chosen = boxes.select(np.array(rows, dtype=None if len(rows) else np.int64))
    for i, row in enumerate(np.arange(20)[np.array(rows, dtype=None if len(rows) else np.int64)]):
        assert np.array_equal(chosen.one(i, NAMES).xyxy, boxes.one(row, NAMES).xyxy)
        assert chosen.one(i, NAMES).classes == boxes.one(row, NAMES).classes


def test_two_halves_joined_are_the_whole_and_the_order_counts() -> None:
    boxes = column()
    halves = boxes.select(np.arange(7)), boxes.select(np.arange(7, 20))
    assert same(halves[0].joined(halves[1]), boxes)
    assert not same(halves[1].joined(halves[0]), boxes)


def test_the_fingerprint_notices_a_box_in_another_sample_and_another_class() -> None:
    images = ArrayImages.of(np.zeros((2, 8, 8), np.uint8))
    variants = ([[0], []], [[], [0]], [[1], []])
    prints = {
        Dataset("detect", NAMES, images, BoxSets.of([[[1, 2, 3, 4]] * len(c) for c in ids], ids)).fingerprint
        for ids in variants
    }
    assert len(prints) == 3
    again = Dataset("detect", NAMES, images, BoxSets.of([[[1, 2, 3, 4]], []], [[0], []]))
    assert again.fingerprint in prints


def test_a_column_whose_parts_do_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected xyxy of shape \(1, 4\)"):
        BoxSets(np.zeros((2, 4), np.float32), np.zeros(1, np.int64), np.array([0, 1]))
    with pytest.raises(ValueError, match="offsets that rise from 0 to 1"):
        BoxSets(np.zeros((1, 4), np.float32), np.zeros(1, np.int64), np.array([0, 2]))


def test_boxes_stay_on_what_they_mark_after_every_move() -> None:
    spec = Augment(rotate=25, zoom=0.3, shift=0.1, shear=8, mirror=0.5)
    images, boxes = np.zeros((16, 96, 96, 1), np.uint8), np.tile([38.0, 44, 56, 53], (16, 1, 1))
    images[:, 44:53, 38:56] = 255
    moves = draw(spec, 16, 96, np.random.default_rng(3))
    moved = BoxSets.of(boxes, np.zeros((16, 1), np.int64)).moved(moves.matrices, moves.mirrored, NAMES)
    for image, box in zip(warp_numpy(images, moves.matrices), moved.xyxy, strict=True):
        x, y, wide, high = cv2.boundingRect((image > 127).astype(np.uint8))
        assert np.abs(box - [x, y, x + wide, y + high]).max() < 1.2


def test_a_mirror_exchanges_left_and_right_of_that_sample_alone() -> None:
    boxes = BoxSets.of([[[10, 0, 20, 5]], [[10, 0, 20, 5]]], [[1], [1]])
    mirror = np.array([[[-1.0, 0, 64], [0, 1, 0]], [[1, 0, 0], [0, 1, 0]]])
    moved = boxes.moved(mirror, np.array([True, False]), NAMES)
    assert moved.xyxy.tolist() == [[44, 0, 54, 5], [10, 0, 20, 5]]
    assert moved.classes.tolist() == [2, 1]


def test_boxes_that_left_the_image_are_dropped_when_clipped() -> None:
    boxes = BoxSets.of([[[-5, 2, 5, 8], [90, 2, 120, 8], [101, 0, 120, 9]], [[0, 0, 100, 50]]], [[0, 1, 2], [0]])
    cut = boxes.clipped(100, 50)
    assert cut.xyxy.tolist() == [[0, 2, 5, 8], [90, 2, 100, 8], [0, 0, 100, 50]]
    assert cut.counts.tolist() == [2, 1]
    assert boxes.clipped(100, 50, least=0.4).classes.tolist() == [0, 0]


def test_classes_are_matched_by_name() -> None:
    boxes = BoxSets.of([[[0, 0, 1, 1]]], [[1]]).renamed(("a", "b"), ("b", "c", "a"))
    assert boxes.one(0, ("b", "c", "a")).classes == ("b",)


def test_rare_classes_and_negatives_are_spread_over_both_sides_of_a_split() -> None:
    ids = [[0, 0]] * 60 + [[0, 1]] * 20 + [[]] * 20
    boxes = BoxSets.of([np.tile([1, 1, 5, 5], (len(one), 1)) for one in ids], ids)
    data = Dataset("detect", NAMES, ArrayImages.of(np.zeros((100, 8, 8), np.uint8)), boxes)
    val = data.split(0.2, seed=1)[1].labelled()
    assert isinstance(val, BoxSets)
    assert len(val) == 20 and (val.counts == 0).sum() == 4 and (val.classes == 1).sum() == 4


def test_what_a_model_says_is_decoded_into_the_images_pixels_best_first() -> None:
    outputs = {
        "boxes": np.array([[[10, 20, 30, 40], [0, 0, 9, 9], [2, 2, 6, 6]], [[1, 1, 1, 1]] * 3], np.float32),
        "scores": np.array([[0.5, 0, 0.9], [0, 0, 0]], np.float32),
        "classes": np.array([[1, 0, 0], [0, 0, 0]]),
    }
    halved = np.tile([[2.0, 0, -8], [0, 2, 0]], (2, 1, 1))
    first, second = ANSWERS["boxes"].decode(outputs, NAMES, halved)
    assert first.xyxy.tolist() == [[-4, 4, 4, 12], [12, 40, 52, 80]]
    assert first.classes == ("cat", "left_hand") and first.scores.tolist() == pytest.approx([0.9, 0.5])
    assert len(second) == 0 and second.as_dict() == {"boxes": []} and second.as_rows() == []


def test_an_answer_can_be_said_and_tabulated() -> None:
    boxes = Boxes(np.array([[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 1, 1]], np.float32), ("b", "a", "b"), ("a", "b"))
    assert boxes.text() == "1 a, 2 b"
    assert Boxes(np.zeros((0, 4), np.float32), (), ("a",)).text() == "nothing"
    assert boxes.as_dict()["boxes"][1] == {"class": "a", "box": [5, 6, 7, 8]}
    assert boxes.as_rows()[1] == {"class": "a", "score": 1.0, "x0": 5, "y0": 6, "x1": 7, "y1": 8}
    assert boxes.scaled(2).xyxy.tolist()[0] == [2, 4, 6, 8]


def near(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(picture.astype(int) - colour).max(axis=2) < 12).sum())


def test_truth_and_prediction_are_seen_even_where_they_are_equal() -> None:
    image = np.full((240, 320, 3), 128, np.uint8)
    box = np.array([[40, 50, 200, 180]], np.float32)
    truth, prediction = Boxes(box, ("a",), ("a",)), Boxes(box, ("a",), ("a",), np.array([0.9], np.float32))
    both = prediction.draw(image, truth)
    assert near(both, TRUE_COLOUR) > 100 and near(both, PREDICTED_COLOUR) > 300
    assert near(prediction.draw(image), TRUE_COLOUR) == 0
    assert np.array_equal(image, np.full((240, 320, 3), 128, np.uint8))
    alone = Boxes(box[:0], (), ("a",)).draw(image, truth)
    assert near(alone, PREDICTED_COLOUR) == 0
    assert near(alone[:, 100:140], TRUE_COLOUR) == 0, "the truth is corners, the prediction is closed"


def test_twenty_thousand_boxes_far_outside_or_nowhere_are_drawn_without_a_fault() -> None:
    rng = np.random.default_rng(0)
    boxes = rng.uniform(-1e9, 1e9, (20_000, 4)).astype(np.float32)
    boxes[3] = np.nan
    answer = Boxes(boxes, ("a", "b") * 10_000, ("a", "b"), rng.random(20_000).astype(np.float32))
    assert answer.draw(np.zeros((60, 80, 3), np.uint8), answer).shape == (60, 80, 3)


def test_overlaps_are_intersection_over_union() -> None:
    one = np.array([[0, 0, 10, 10], [5, 5, 5, 5]], np.float32)
    other = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    assert overlaps(one, other) == pytest.approx(np.array([[1, 1 / 3, 0], [0, 0, 0]]))


def test_boxes_are_added_behind_those_of_their_samples() -> None:
    boxes = BoxSets.of([np.full((1, 4), row) for row in range(4)], [np.zeros(1, dtype=np.int64)] * 4)
    more = boxes.with_more(np.array([0, 2, 2]), np.full((3, 4), 7, np.float32), np.ones(3, dtype=np.int64))
    assert more.counts.tolist() == [2, 1, 3, 1]
    assert more.xyxy[:, 0].tolist() == [0, 7, 1, 2, 7, 7, 3]
    assert more.classes.tolist() == [0, 1, 0, 0, 1, 1, 0]
