"""One object an image, or none: how well its box fits, and whether it is known to be there."""

from __future__ import annotations

import numpy as np
import pytest

from viewfinder.data.answers import Boxes
from viewfinder.data.targets import BoxSets
from viewfinder.tasks.presence import measure_one, one_errors, one_sections
from viewfinder.tasks.sections import Bars, Matrix, Table

SMALL, LARGE = [60, 60, 70, 70], [0, 0, 40, 40]
TARGETS = BoxSets.of([[SMALL, LARGE], [LARGE], [LARGE], [], []], [[0, 0], [0], [0], [], []])


def said(box: list[int], score: float) -> Boxes:
    return Boxes(np.array([box], np.float32), ("face",), ("face",), np.array([score], np.float32))


PREDICTIONS = [said(LARGE, 0.9), said([0, 0, 40, 20], 0.3), said(SMALL, 0.6), said(SMALL, 0.7), said(SMALL, 0.1)]


def test_the_box_is_judged_against_the_largest_one_whatever_its_score() -> None:
    assert measure_one(PREDICTIONS, TARGETS) == pytest.approx({"iou": 1.5 / 3, "presence": 3 / 5})


def test_the_error_is_what_the_box_and_the_probability_lack() -> None:
    assert one_errors(PREDICTIONS, TARGETS) == pytest.approx([0.1, 0.5 + 0.7, 1.4, 0.7, 0.1], abs=1e-6)


def test_the_sections_count_presence_and_overlap() -> None:
    presence, bars, table = one_sections(PREDICTIONS, TARGETS)
    assert isinstance(presence, Matrix) and isinstance(bars, Bars) and isinstance(table, Table)
    assert presence.counts.tolist() == [[2, 1], [1, 1]]
    assert list(bars.values) == [1, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert [row[2] for row in table.rows] == [2, 1, 1]


def test_where_nothing_is_there_the_overlap_is_unknown() -> None:
    nothing = BoxSets.of([[], []], [[], []])
    measured = measure_one(PREDICTIONS[:2], nothing)
    assert np.isnan(measured["iou"]) and measured["presence"] == 0.5
    assert [section.title for section in one_sections(PREDICTIONS[:2], nothing)] == ["Presence"]


def test_an_answer_without_a_box_says_that_nothing_is_there() -> None:
    nothing = Boxes(np.zeros((0, 4), np.float32), (), ("face",), np.zeros(0, np.float32))
    assert measure_one([nothing] * 5, TARGETS) == pytest.approx({"iou": 0, "presence": 2 / 5})
    assert one_errors([nothing] * 5, TARGETS).tolist() == [2, 2, 2, 0, 0]
