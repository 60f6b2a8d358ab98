"""Boxes have a report: what is wrong in words and pictures, and a loss of several parts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.tasks.guesses import guesses, true_boxes
from viewfinder import tasks
from viewfinder.config import load_recipe
from viewfinder.data.answers import Boxes
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.targets import BoxSets
from viewfinder.evaluate.errors import worst
from viewfinder.evaluate.evaluation import Evaluation

NAMES = ("cat", "<i>dog</i>")


@pytest.fixture(scope="module")
def boxes_evaluation(evaluation: Evaluation) -> Evaluation:
    rng = np.random.default_rng(0)
    targets = true_boxes(12, 2, rng)
    pixels = rng.integers(90, 160, (12, 400, 400, 3), dtype=np.uint8)
    dataset = Dataset("detect", NAMES, ArrayImages.of(pixels, "pets.npz", 0), targets, source="pets.npz")
    found = guesses(targets, NAMES, rng)
    task = tasks.create(load_recipe("detect"), NAMES)
    measured, wrong, threshold = (ask(found, targets) for ask in (task.measure, task.errors, task.threshold))
    events = [with_parts(event, measured) for event in evaluation.events]
    changed = {"task": task, "dataset": dataset, "predictions": found, "metrics": measured, "errors": wrong}
    return replace(evaluation, **changed, threshold=threshold, events=events)


def with_parts(event: Any, metrics: dict[str, float]) -> dict[str, Any]:
    changed = dict(event)
    for key in ("loss", "train_loss"):
        if key in event:
            total = event[key]["total"]
            changed[key] = {"total": total, "classification": total / 3, "localisation": 2 * total / 3}
    return changed | ({"metrics": metrics} if "metrics" in event else {})


@pytest.fixture(scope="module")
def report(boxes_evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return boxes_evaluation.save(tmp_path_factory.mktemp("boxes") / "report").parent


def test_every_image_of_the_gallery_says_what_is_wrong_with_it(boxes_evaluation: Evaluation, report: Path) -> None:
    html = (report / "index.html").read_text(encoding="utf-8")
    said = re.findall(r'class="error">([^<]*)<', html)
    expected = [one.prediction.differences(one.target) for one in worst(boxes_evaluation, 24)]
    assert said == expected and len(said) == 12
    assert any("missed" in words for words in said) and any("doubled" in words for words in said)


def test_the_legend_shows_the_marks_that_are_in_the_pictures(report: Path, saved: Path) -> None:
    legend = re.compile(r'<p class="legend">.*<i class="(\w+)"></i> prediction.*<i class="(\w+)"></i> truth')
    for folder, marks in ((report, ("rectangle", "corners")), (saved, ("dot", "ring"))):
        found = legend.search((folder / "index.html").read_text(encoding="utf-8"))
        assert found and found.groups() == marks


def test_boxes_that_are_not_shown_to_people_are_not_in_the_gallery(boxes_evaluation: Evaluation) -> None:
    for one in worst(boxes_evaluation, 24):
        assert isinstance(one.prediction, Boxes) and one.prediction.scores is not None
        assert (one.prediction.scores >= boxes_evaluation.threshold).all()


def test_the_parts_of_the_loss_and_two_metrics_are_drawn(report: Path) -> None:
    tall, wide = cv2.imread(str(report / "loss.png")).shape[:2]
    assert wide > 2 * tall
    names = {path.name for path in report.iterdir()}
    assert names >= {"validation-ap.png", "validation-ap50.png", "confusion.png", "precision-and-recall.png"}
    assert set(json.loads((report / "metrics.json").read_text(encoding="utf-8"))["files"]) == names


def test_names_of_classes_are_text_and_never_markup(report: Path) -> None:
    html = (report / "index.html").read_text(encoding="utf-8")
    assert "<i>dog" not in html and "&lt;i&gt;dog" in html


@pytest.mark.parametrize(("side", "expected"), [(16, 320), (400, 400), (1000, 480)])
def test_tiles_are_large_where_the_images_are(boxes_evaluation: Evaluation, side: int, expected: int) -> None:
    pixels = np.full((12, side, side // 2, 3), 128, np.uint8)
    shown = worst(
        replace(boxes_evaluation, dataset=replace(boxes_evaluation.dataset, images=ArrayImages.of(pixels))), 1
    )
    assert shown[0].tile.shape == (expected, expected // 2, 3)
    assert shown[0].large == (expected > 320)


def test_a_metric_that_was_never_known_has_no_chart(boxes_evaluation: Evaluation, tmp_path: Path) -> None:
    unknown = dict.fromkeys(boxes_evaluation.metrics)
    events = [event | ({"metrics": unknown} if "metrics" in event else {}) for event in boxes_evaluation.events]
    replace(boxes_evaluation, events=events, errors=np.full(12, np.nan)).save(tmp_path / "report")
    assert not (tmp_path / "report" / "validation-ap.png").exists()
    assert (tmp_path / "report" / "loss.png").exists()


def test_images_in_which_nothing_is_marked_have_a_report(boxes_evaluation: Evaluation, tmp_path: Path) -> None:
    task, found = boxes_evaluation.task, boxes_evaluation.predictions[:3]
    dataset = replace(boxes_evaluation.dataset.select(range(3)), targets=BoxSets.of([[]] * 3, [[]] * 3))
    changed = {"metrics": task.measure(found, dataset.targets), "errors": task.errors(found, dataset.targets)}
    html = replace(boxes_evaluation, dataset=dataset, predictions=found, events=[], **changed).save(tmp_path / "report")
    assert "Right and wrong boxes" in html.read_text(encoding="utf-8")
    assert json.loads((tmp_path / "report" / "metrics.json").read_text(encoding="utf-8"))["metrics"]["ap"] is None
