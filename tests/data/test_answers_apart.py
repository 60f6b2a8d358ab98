"""How far two models' answers are apart."""

from __future__ import annotations

import numpy as np

from viewfinder.data.answers import Boxes, Points


def outputs(boxes: list[list[float]], scores: list[float], classes: list[int]) -> dict[str, np.ndarray]:
    return {
        "boxes": np.array([boxes], dtype=np.float32),
        "scores": np.array([scores], dtype=np.float32),
        "classes": np.array([classes], dtype=np.int64),
    }


TWO = outputs([[0, 0, 10, 10], [20, 20, 40, 60]], [0.9, 0.5], [0, 1])


def small(apart: dict[str, tuple[float, float]]) -> bool:
    return all(largest <= allowed for largest, allowed in apart.values())


def test_boxes_in_another_order_are_the_same_boxes():
    other = outputs([[20, 20, 40, 60], [0, 0, 10, 10]], [0.5, 0.9], [1, 0])
    assert small(Boxes.apart(other, TWO))


def test_a_box_that_moved_by_a_pixel_in_ten_is_too_far_away():
    other = outputs([[1, 0, 11, 10], [20, 20, 40, 60]], [0.9, 0.5], [0, 1])
    assert Boxes.apart(other, TWO)["2 boxes, 1 − overlap"][0] > 0.01


def test_a_box_of_another_class_is_no_partner():
    other = outputs([[0, 0, 10, 10], [20, 20, 40, 60]], [0.9, 0.5], [0, 0])
    assert not small(Boxes.apart(other, TWO))


def test_a_missing_box_is_found_from_either_side():
    other = outputs([[0, 0, 10, 10], [20, 20, 40, 60]], [0.9, 0.0], [0, 1])
    assert not small(Boxes.apart(other, TWO))
    assert not small(Boxes.apart(TWO, other))


def test_a_score_that_differs_by_more_than_a_hundredth_is_too_far_away():
    other = outputs([[0, 0, 10, 10], [20, 20, 40, 60]], [0.88, 0.5], [0, 1])
    assert not small(Boxes.apart(other, TWO))


def test_faint_boxes_need_no_partner():
    faint = outputs([[0, 0, 10, 10], [20, 20, 40, 60], [5, 5, 9, 9]], [0.9, 0.5, 0.04], [0, 1, 0])
    assert small(Boxes.apart(faint, TWO))


def test_nothing_found_on_both_sides_is_the_same():
    nothing = outputs([[0, 0, 1, 1]], [0.0], [0])
    assert small(Boxes.apart(nothing, nothing))
    assert "0 boxes, 1 − overlap" in Boxes.apart(nothing, nothing), "it says that none was compared"


def test_what_is_not_finite_is_apart():
    other = outputs([[0, 0, np.nan, 10], [20, 20, 40, 60]], [0.9, 0.5], [0, 1])
    assert np.isnan(Boxes.apart(other, TWO)["2 boxes, 1 − overlap"][0])


def test_points_may_differ_by_a_share_of_the_largest_coordinate():
    points = {"points": np.full((1, 3, 2), 90, dtype=np.float32)}
    assert small(Points.apart({"points": points["points"] + 0.01}, points))
    assert not small(Points.apart({"points": points["points"] + 0.1}, points))
