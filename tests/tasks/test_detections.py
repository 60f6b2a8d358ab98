"""Measures and sections of boxes: what is counted, at which threshold, and what is wrong where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.tasks.guesses import guesses, true_boxes
from viewfinder.data.answers import Boxes
from viewfinder.data.targets import BoxSets
from viewfinder.tasks.detections import best_threshold, box_errors, box_sections, measure_boxes
from viewfinder.tasks.precision import average_precision
from viewfinder.tasks.sections import Lines, Matrix, Table

NAMES = ("cat", "dog", "bird")
METRICS = ["ap", "ap50", "ap75", "f1", "precision", "recall"]
A, B, FAR = [0, 0, 40, 40], [60, 0, 100, 40], [60, 60, 100, 100]


def said(*boxes: tuple[list[int], str, float]) -> Boxes:
    xyxy = np.array([box for box, _, _ in boxes], np.float32).reshape(-1, 4)
    scores = np.array([score for _, _, score in boxes], np.float32)
    return Boxes(xyxy, tuple(name for _, name, _ in boxes), NAMES, scores)


def disturbed(images: int = 40, seed: int = 0, classes: int = 3) -> tuple[list[Boxes], BoxSets]:
    rng = np.random.default_rng(seed)
    targets = true_boxes(images, classes, rng)
    return guesses(targets, NAMES, rng), targets


def perfect(targets: BoxSets) -> list[Boxes]:
    truths = [targets.one(row, NAMES) for row in range(len(targets))]
    return [replace(truth, scores=np.full(len(truth), 0.9, np.float32)) for truth in truths]


def test_a_perfect_answer_has_perfect_figures_and_no_errors() -> None:
    targets = disturbed()[1]
    assert measure_boxes(perfect(targets), targets, NAMES) == pytest.approx(dict.fromkeys(METRICS, 1.0))
    assert box_errors(perfect(targets), targets, NAMES).tolist() == [0] * 40


def test_the_figures_at_the_best_threshold_are_those_of_the_boxes_above_it() -> None:
    predictions, targets = disturbed()
    measured, threshold = measure_boxes(predictions, targets, NAMES), best_threshold(predictions, targets, NAMES)
    matchings = [one.above(threshold).matching(targets.one(row, NAMES)) for row, one in enumerate(predictions)]
    found = sum(int(one.found.sum()) for one in matchings)
    boxes = sum(len(one.found) for one in matchings)
    assert measured["precision"] == pytest.approx(found / boxes)
    assert measured["recall"] == pytest.approx(found / len(targets.classes))
    assert measured["f1"] == pytest.approx(2 * found / (boxes + len(targets.classes)))
    assert measured["ap"] == average_precision(predictions, targets, NAMES).mean()


def test_no_other_threshold_has_a_better_f1() -> None:
    predictions, targets = disturbed(seed=1)
    best = measure_boxes(predictions, targets, NAMES)["f1"]
    for threshold in np.linspace(0, 1, 41):
        matchings = [one.above(threshold).matching(targets.one(i, NAMES)) for i, one in enumerate(predictions)]
        found = sum(int(one.found.sum()) for one in matchings)
        boxes = sum(len(one.found) for one in matchings)
        assert 2 * found / (boxes + len(targets.classes)) <= best + 1e-9


def test_the_threshold_lies_midway_between_the_last_good_score_and_the_next() -> None:
    targets = BoxSets.of([[A]], [[0]])
    assert best_threshold([said((A, "cat", 0.8), (FAR, "cat", 0.4))], targets, NAMES) == pytest.approx(0.6)
    assert best_threshold([said((A, "cat", 0.8))], targets, NAMES) == pytest.approx(0.4)


def test_neighbouring_scores_are_told_apart_and_equal_ones_are_not() -> None:
    targets = BoxSets.of([[A]], [[0]])
    lower = np.nextafter(np.float32(0.5), np.float32(0))
    close = [said((A, "cat", 0.5), (FAR, "cat", float(lower)))]
    assert len(close[0].above(best_threshold(close, targets, NAMES))) == 1
    equal = [said((FAR, "cat", 0.5), (A, "cat", 0.5))]
    assert measure_boxes(equal, targets, NAMES)["precision"] == 0.5


def test_the_threshold_is_a_usual_one_where_nothing_is_found() -> None:
    targets = BoxSets.of([[A], []], [[0], []])
    for predictions in ([said(), said()], [said((FAR, "cat", 0.9)), said()], [said((A, "dog", 0.9)), said()]):
        assert best_threshold(predictions, targets, NAMES) == 0.3
        assert measure_boxes(predictions, targets, NAMES) == dict.fromkeys(METRICS, 0.0)


def test_without_any_true_box_nothing_is_known_and_nothing_breaks() -> None:
    targets = BoxSets.of([[], []], [[], []])
    predictions = [said((A, "cat", 0.9)), said()]
    measured = measure_boxes(predictions, targets, NAMES)
    assert list(measured) == METRICS and np.isnan(list(measured.values())).all()
    assert best_threshold(predictions, targets, NAMES) == 0.3
    assert box_errors(predictions, targets, NAMES).tolist() == [1, 0]
    assert [section.title for section in box_sections(predictions, targets, NAMES)] == ["Right and wrong boxes"]


def test_the_error_of_an_image_counts_its_wrong_boxes_and_then_how_loose_the_right_ones_are() -> None:
    targets = BoxSets.of([[A, B], [A], [A], []], [[0, 1], [0], [0], []])
    predictions = [
        said((FAR, "dog", 0.95), (A, "cat", 0.7)),
        said((A, "cat", 0.9), ([0, 0, 40, 36], "cat", 0.85)),
        said(([0, 0, 40, 36], "cat", 0.8), (FAR, "cat", 0.1)),
        said(),
    ]
    assert box_errors(predictions, targets, NAMES) == pytest.approx([2, 1, 0.1, 0], abs=1e-6)


def test_the_sections_count_every_box_and_agree_with_each_other() -> None:
    predictions, targets = disturbed()
    sections = {section.title: section for section in box_sections(predictions, targets, NAMES)}
    summary, classes, confusion = (sections[key] for key in ("Right and wrong boxes", "Each class", "Confusion"))
    assert isinstance(summary, Table) and isinstance(classes, Table) and isinstance(confusion, Matrix)
    true, found, confused, missed, doubled, false = (int(row[1]) for row in summary.rows)
    counts = confusion.counts
    assert confusion.names == (*NAMES, "background")
    assert true == len(targets.classes) == found + confused + missed == counts[:-1].sum()
    assert found == np.trace(counts) and missed == counts[:-1, -1].sum() and doubled + false == counts[-1].sum()
    assert min(found, confused, missed, doubled, false) > 0
    assert [sum(int(row[k]) for row in classes.rows) for k in (3, 4, 5, 6)] == [true, found, missed, confused]
    assert f"{best_threshold(predictions, targets, NAMES):.2f}" in summary.about


def test_precision_by_class_and_by_size_are_those_of_coco() -> None:
    predictions, targets = disturbed()
    sections = {section.title: section for section in box_sections(predictions, targets, NAMES)}
    precise = average_precision(predictions, targets, NAMES, ("all", "small"))
    classes, sizes = sections["Each class"], sections["Average precision by size"]
    assert isinstance(classes, Table) and isinstance(sizes, Table)
    assert [row[1] for row in classes.rows] == (100 * precise.by_class()).tolist()
    assert sizes.rows[0][1] == 100 * precise.mean(size="small") and sizes.rows[-1][1] == 100 * precise.mean()
    assert sum(int(row[2]) for row in sizes.rows[:3]) == int(sizes.rows[3][2]) == len(targets.classes)


def test_few_classes_have_a_curve_each_and_of_many_the_worst() -> None:
    predictions, targets = disturbed(classes=2)
    few = curves(predictions, targets, NAMES)
    assert list(few.curves) == ["cat", "dog"], "bird has no true box"
    assert "lowest" not in few.about
    rng = np.random.default_rng(3)
    names = tuple(f"class {k}" for k in range(12))
    targets = true_boxes(60, 12, rng)
    predictions = guesses(targets, names, rng)
    many = curves(predictions, targets, names)
    worst = np.argsort(average_precision(predictions, targets, names).by_class())[:4]
    assert list(many.curves) == ["mean of all", *(names[k] for k in worst)]
    assert "lowest" in many.about


def curves(predictions: list[Boxes], targets: BoxSets, names: tuple[str, ...]) -> Lines:
    section = next(one for one in box_sections(predictions, targets, names) if one.title == "Precision and recall")
    assert isinstance(section, Lines)
    return section


def test_the_curves_over_the_threshold_meet_the_figures_at_the_best_one() -> None:
    predictions, targets = disturbed()
    section = next(one for one in box_sections(predictions, targets, NAMES) if one.title.startswith("The choice"))
    assert isinstance(section, Lines) and section.mark == best_threshold(predictions, targets, NAMES)
    thresholds, f1 = section.curves["F1"]
    measured = measure_boxes(predictions, targets, NAMES)
    assert np.max(f1) == pytest.approx(measured["f1"], abs=0.02) and np.max(f1) <= measured["f1"]
    precision, recall = section.curves["precision"][1], section.curves["recall"][1]
    assert (np.diff(recall) <= 0).all() and recall[-1] == 0 and np.isnan(precision[-1])
    assert thresholds[0] == 0 and precision[0] < measured["precision"]
