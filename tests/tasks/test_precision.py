"""Average precision is COCO's."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from tests.tasks.guesses import guesses, true_boxes
from viewfinder.data.answers import Boxes
from viewfinder.data.targets import BoxSets
from viewfinder.tasks.precision import SIZES, average_precision, sizes_of

NAMES = ("a", "b", "c", "d", "never")
NONE = Boxes(np.zeros((0, 4), np.float32), (), NAMES, np.zeros(0, np.float32))


def reference(predictions: list[Boxes], targets: BoxSets, names: tuple[str, ...]):  # type: ignore[no-untyped-def]
    """Return pycocotools' evaluation, with its own default settings."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def boxes(xyxy: np.ndarray) -> list[list[float]]:
        sides = xyxy.astype(np.float64)
        return np.concatenate([sides[:, :2], sides[:, 2:] - sides[:, :2]], axis=1).tolist()

    truth = COCO()
    rows = zip(targets.samples.tolist(), targets.classes.tolist(), boxes(targets.xyxy), strict=True)
    truth.dataset = {
        "images": [{"id": i} for i in range(len(targets))],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
        "annotations": [
            {"id": i, "image_id": image, "category_id": kind, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for i, (image, kind, box) in enumerate(rows, 1)
        ],
    }
    said = [
        {"image_id": i, "category_id": names.index(name), "bbox": box, "score": score}
        for i, one in enumerate(predictions)
        for name, box, score in zip(one.classes, boxes(one.xyxy), one.scores.tolist(), strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(said), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge


@pytest.mark.parametrize("seed", range(4))
def test_every_figure_equals_that_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = true_boxes(30, 4, rng)
    predictions = guesses(targets, NAMES, rng)
    predictions[3] = NONE
    ours, theirs = average_precision(predictions, targets, NAMES, tuple(SIZES)), reference(predictions, targets, NAMES)
    assert (targets.counts == 0).any()
    figures = [ours.mean(), ours.mean(0.5), ours.mean(0.75), *(ours.mean(size=size) for size in tuple(SIZES)[1:])]
    assert 0.1 < figures[0] < figures[1] < 1
    assert figures == pytest.approx(theirs.stats[:6].tolist(), abs=1e-9)
    table = theirs.eval["precision"][..., -1]
    assert np.nan_to_num(ours.table, nan=-1) == pytest.approx(table, abs=1e-9)
    for size in SIZES:
        for overlap, chosen in ((None, slice(None)), (0.5, slice(0, 1)), (0.9, slice(8, 9))):
            by_class = table[chosen, :, :, list(SIZES).index(size)].mean(axis=(0, 1))
            assert np.nan_to_num(ours.by_class(overlap, size), nan=-1) == pytest.approx(by_class, abs=1e-9)


def test_a_class_without_true_boxes_does_not_count() -> None:
    targets = BoxSets.of([[[0, 0, 40, 40]]], [[0]])
    wrong = np.array([[0, 0, 40, 40], [50, 50, 90, 90]], np.float32)
    precise = average_precision([Boxes(wrong, ("a", "never"), NAMES, np.array([0.9, 0.8]))], targets, NAMES)
    assert precise.mean() == pytest.approx(1)
    assert np.isfinite(precise.by_class()).tolist() == [True, False, False, False, False]


def test_without_an_answer_precision_is_nothing() -> None:
    targets = BoxSets.of([[[0, 0, 40, 40]], []], [[0], []])
    assert average_precision([NONE, NONE], targets, NAMES).mean() == 0


def test_all_boxes_of_a_crowded_photo_count() -> None:
    places = np.array([[20 * i, 20 * j, 20 * i + 15, 20 * j + 15] for i in range(15) for j in range(10)], np.float32)
    targets = BoxSets.of([places], [np.zeros(150, np.int64)])
    found = Boxes(places, ("a",) * 150, NAMES, np.linspace(1, 0.5, 150, dtype=np.float32))
    assert average_precision([found], targets, NAMES).mean() == pytest.approx(1)
    assert reference([found], targets, NAMES).stats[0] < 0.7, "COCO's own limit is 100 boxes"


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    average_precision([NONE], BoxSets.of([[[0, 0, 40, 40]]], [[0]]), NAMES)
    assert capfd.readouterr() == ("", "")


def test_boxes_are_counted_by_size() -> None:
    sides = [10, 31, 33, 95, 97, 300]
    targets = BoxSets.of([[[0, 0, side, side]] for side in sides], [[0]] * len(sides))
    assert sizes_of(targets) == {"all": 6, "small": 2, "medium": 2, "large": 2}
