"""Which predicted box is of which true box, and how that is said and drawn."""

from __future__ import annotations

import numpy as np

from viewfinder.data.answers import PREDICTED_COLOUR, TRUE_COLOUR, Boxes
from viewfinder.data.matching import Matching, match
from viewfinder.data.strokes import tags

A, B, FAR = [0, 0, 10, 10], [20, 0, 30, 10], [70, 70, 80, 80]
SHIFTED = [1, 0, 11, 10]
NAMES = ("cat", "dog")


def matched(said: list[tuple[list[int], str]], true: list[tuple[list[int], str]]) -> Matching:
    (xyxy, classes), (true_xyxy, true_classes) = (
        (np.array([box for box, _ in boxes], np.float32).reshape(-1, 4), [name for _, name in boxes])
        for boxes in (said, true)
    )
    return match(xyxy, classes, true_xyxy, true_classes)


def test_every_box_is_counted_once() -> None:
    true = [(A, "cat"), (B, "dog"), ([40, 40, 50, 50], "cat")]
    said = [(A, "cat"), (SHIFTED, "cat"), (B, "cat"), (FAR, "dog")]
    matching = matched(said, true)
    assert matching.partner.tolist() == [0, -1, 1, -1]
    assert matching.found.tolist() == [True, False, False, False]
    assert matching.doubled.tolist() == [False, True, False, False]
    assert matching.confused.tolist() == [False, False, True, False]
    assert matching.false.tolist() == [False, False, False, True]
    assert matching.missed.tolist() == [False, False, True]
    assert matching.mistakes == {"missed": 1, "false": 1, "doubled": 1, "confused": 1}
    assert matching.overlap.tolist() == [1, 0, 1, 0]


def test_the_best_answer_chooses_first_even_if_it_fits_worse() -> None:
    matching = matched([(SHIFTED, "cat"), (A, "cat")], [(A, "cat")])
    assert matching.partner.tolist() == [0, -1]
    assert matching.doubled.tolist() == [False, True]


def test_an_answer_takes_the_true_box_that_it_overlaps_most_and_leaves_the_other() -> None:
    matching = matched([(SHIFTED, "cat"), (SHIFTED, "cat")], [(A, "cat"), (SHIFTED, "cat")])
    assert matching.partner.tolist() == [1, 0]


def test_the_right_class_goes_before_a_better_score_of_a_wrong_one() -> None:
    matching = matched([(A, "dog"), (SHIFTED, "cat")], [(A, "cat")])
    assert matching.found.tolist() == [False, True]
    assert matching.doubled.tolist() == [True, False]


def test_less_than_half_an_overlap_is_another_place() -> None:
    assert matched([([0, 0, 10, 4], "cat")], [(A, "cat")]).mistakes == {"missed": 1, "false": 1}
    assert matched([([0, 0, 10, 5], "cat")], [(A, "cat")]).mistakes == {}


def test_nothing_said_or_nothing_true_is_no_special_case() -> None:
    assert matched([], [(A, "cat")]).mistakes == {"missed": 1}
    assert matched([(A, "cat")], []).mistakes == {"false": 1}
    assert matched([], []).mistakes == {}


def test_differences_are_said_in_words() -> None:
    truth = Boxes(np.array([A, B], np.float32), ("cat", "dog"), NAMES)
    assert truth.differences(truth) == "all right, overlap 1.00"
    said = Boxes(np.array([SHIFTED, FAR], np.float32), ("cat", "dog"), NAMES, np.array([0.9, 0.8], np.float32))
    assert said.differences(truth) == "1 missed, 1 false, overlap 0.82"
    nothing = Boxes(np.zeros((0, 4), np.float32), (), NAMES, np.zeros(0, np.float32))
    assert nothing.differences(nothing) == "all right"


def test_words_at_wrong_boxes_are_orange_and_those_at_missed_ones_blue() -> None:
    image = np.full((200, 300, 3), 128, np.uint8)
    box = np.array([[100, 80, 220, 150]], np.float32)
    truth, score = Boxes(box, ("cat",), NAMES), np.array([0.9], np.float32)
    right = Boxes(box, ("cat",), NAMES, score).draw(image, truth)
    wrong = Boxes(box, ("dog",), NAMES, score).draw(image, truth)

    def papers(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
        outside = np.concatenate([picture[:76], picture[156:]])
        return int((np.abs(outside.astype(int) - colour).max(axis=2) < 3).sum())

    assert papers(right, PREDICTED_COLOUR) == papers(right, TRUE_COLOUR) == 0
    assert papers(wrong, PREDICTED_COLOUR) > 200 and papers(wrong, TRUE_COLOUR) > 60


def test_words_never_cover_each_other() -> None:
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 250, (40, 2))
    boxes = np.concatenate([start, start + rng.uniform(40, 90, (40, 2))], axis=1).astype(np.float32)
    picture, taken = np.zeros((300, 400, 3), np.uint8), list[tuple[int, int, int, int]]()
    tags(picture, boxes[:20], ["some words"] * 20, taken=taken)
    first = len(taken)
    tags(picture, boxes[20:], ["others"] * 20, below=True, taken=taken)
    assert 5 < first < len(taken)
    for i, (x0, y0, x1, y1) in enumerate(taken):
        assert 0 <= x0 < x1 <= 400 and 0 <= y0 < y1 <= 300
        assert not any(x0 < u1 and u0 < x1 and y0 < v1 and v0 < y1 for u0, v0, u1, v1 in taken[:i])
