"""Detect: boxes become maps, and maps become the same boxes again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import viewfinder as vf
from viewfinder import tasks
from viewfinder.config import load_recipe
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.targets import BoxSets
from viewfinder.errors import DataError, RecipeError
from viewfinder.tasks.base import padded
from viewfinder.tasks.centres import centre_loss, learners, suppressed
from viewfinder.tasks.detect import Detect

NAMES = ("left_hand", "right_hand", "nose")
STEPS = {"data.size": 64, "train.batch": 8, "train.threads": 1, "train.precision": "float32"}
SMALL = {"model.stem": [4, 8], "model.widths": [16, 24], "model.depths": [0, 1], "model.merged": 16}


def task(**changes: object) -> Detect:
    return Detect(load_recipe("detect", {key.replace("__", "."): value for key, value in changes.items()}), NAMES)


def sets(*images: list[tuple[float, float, float, float, int]]) -> BoxSets:
    """Return boxes, for each image a list of (x0, y0, x1, y1, class)."""
    rows = [np.array(image, dtype=float).reshape(-1, 5) for image in images]
    return BoxSets.of([row[:, :4] for row in rows], [row[:, 4].astype(int) for row in rows])


def squares(count: int, seed: int = 0) -> Dataset:
    """Return gray noise with up to two squares, bright "day" or dark "night", and some images without one."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(90, 160, (count, 64, 64, 3), dtype=np.uint8)
    boxes: list[list[tuple[float, float, float, float, int]]] = []
    for image in pixels:
        boxes.append([])
        for side in range(rng.integers(0, 3)):
            size, top, left = rng.integers(12, 26), rng.integers(0, 36), 32 * side + rng.integers(0, 6)
            kind = int(rng.integers(0, 2))
            image[top : top + size, left : left + size] = (250, 10)[kind]
            boxes[-1].append((left, top, left + size, top + size, kind))
    return Dataset("detect", ("day", "night"), ArrayImages.of(pixels), sets(*boxes))


def maps(size: int, *boxes: tuple[float, float, float, float, int, float]) -> Tensor:
    """Return maps (1, C + 5, h, w) that say these boxes: x0, y0, x1, y1, class and the logit of its heat."""
    cells = size // 8
    made = torch.full((1, len(NAMES) + 5, cells, cells), -12.0)
    made[:, 3] = 12
    for x0, y0, x1, y1, kind, logit in boxes:
        column, row = int((x0 + x1) / 16), int((y0 + y1) / 16)
        x, y = 8 * column + 4, 8 * row + 4
        made[0, int(kind), row, column] = logit
        made[0, 4:, row, column] = torch.tensor([x - x0, y - y0, x1 - x, y1 - y]).div(8).log()
    return made


class Says(nn.Module):
    """A network that says the same maps of every image."""

    def __init__(self, said: Tensor) -> None:
        super().__init__()
        self.said = said

    def forward(self, images: Tensor) -> Tensor:
        return self.said


def answer(network: nn.Module, some: Detect) -> dict[str, np.ndarray]:
    outputs = some.answering(network).eval()(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
    return dict(zip(some.output_names, (out.numpy() for out in outputs), strict=True))


def test_maps_that_say_a_box_are_answered_as_that_box() -> None:
    some = task(data__size=64)
    boxes = [(10.0, 20.0, 30.0, 60.0, 2, 3.0), (40.0, 8.0, 60.0, 30.0, 0, 5.0)]
    outputs = answer(Says(maps(64, *boxes)), some)
    found = some.decode(outputs, np.eye(2, 3)[None])[0]
    assert found.classes == ("left_hand", "nose")
    np.testing.assert_allclose(found.xyxy, [boxes[1][:4], boxes[0][:4]], atol=1e-3)
    assert found.scores is not None
    assert found.scores[0] > found.scores[1] > 0.9


def test_boxes_come_back_in_pixels_of_the_original_image() -> None:
    some = task(data__size=64)
    outputs = answer(Says(maps(64, (10, 20, 30, 60, 2, 3.0))), some)
    twice = np.array([[[2.0, 0, 5], [0, 2.0, 0]]])
    np.testing.assert_allclose(some.decode(outputs, twice)[0].xyxy, [[25, 40, 65, 120]], atol=1e-3)


def test_boxes_end_at_the_edge_of_an_input_that_the_cells_do_not_fill() -> None:
    outputs = answer(Says(maps(64, (40, 40, 80, 80, 0, 3.0))), task(data__size=60))
    np.testing.assert_allclose(outputs["boxes"][0, 0], [40, 40, 60, 60], atol=1e-3)


def test_the_better_of_two_boxes_at_one_place_is_kept_and_other_classes_stay() -> None:
    boxes = torch.tensor([[[0, 0, 20, 20], [1, 1, 21, 21], [1, 0, 21, 20], [40, 0, 60, 20]]]).float()
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.6]])
    kept = suppressed(boxes, scores, torch.tensor([[0, 0, 1, 0]]))
    assert (kept > 0).tolist() == [[True, False, True, True]]


def test_suppression_is_greedy_as_in_the_textbook() -> None:
    rng = np.random.default_rng(5)
    corner, side = rng.uniform(0, 60, (1, 80, 2)), rng.uniform(10, 40, (1, 80, 2))
    boxes = torch.tensor(np.concatenate([corner, corner + side], 2), dtype=torch.float32)
    scores = torch.linspace(1, 0.1, 80)[None]
    kept = suppressed(boxes, scores, torch.zeros(1, 80, dtype=torch.int64))[0] > 0
    from viewfinder.data.boxes import overlaps

    shared, expected = overlaps(boxes[0].numpy(), boxes[0].numpy()), []
    for i in range(80):
        expected.append(not any(expected[j] and shared[j, i] > 0.6 for j in range(i)))
    assert kept.tolist() == expected


@pytest.mark.parametrize("size", [64, 60])
def test_right_maps_cost_less_than_wrong_ones_in_both_parts(size: int) -> None:
    some = task(data__size=size)
    assert some.build()(torch.zeros(2, size, size, 3, dtype=torch.uint8)).shape[2:] == (8, 8)
    targets = some.collate(sets([(10, 20, 30, 60, 2)]))
    right = some.loss(maps(64, (10, 20, 30, 60, 2, 9.0)), targets)
    other_class = some.loss(maps(64, (10, 20, 30, 60, 1, 9.0)), targets)
    moved = some.loss(maps(64, (14, 20, 34, 60, 2, 9.0)), targets)
    assert right["classification"] < other_class["classification"]
    assert right["localisation"] < moved["localisation"]
    assert right["total"] == pytest.approx(float(right["classification"] + right["localisation"]))


def test_a_plain_border_where_all_cells_say_the_same_is_one_faint_peak_however_it_is_rounded() -> None:
    some, plain = task(data__size=64), torch.full((1, len(NAMES) + 5, 8, 8), -2.0)
    noise = 1e-6 * torch.randn(plain.shape, generator=torch.Generator().manual_seed(1))
    for said in (plain, plain + noise, plain - noise):
        found = answer(Says(said), some)
        assert (found["scores"] > 0).sum() == len(NAMES)
        assert found["boxes"][found["scores"] > 0][:, :2].min() > 50


def test_a_batch_of_negatives_has_a_finite_loss_that_teaches_silence() -> None:
    some = task(data__size=64)
    outputs = torch.zeros(2, len(NAMES) + 5, 8, 8, requires_grad=True)
    losses = some.loss(outputs, some.collate(sets([], [])))
    losses["total"].backward()
    assert losses["localisation"].item() == 0
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()
    assert (outputs.grad[:, : len(NAMES)] > 0).all()


@pytest.mark.parametrize(
    "boxes", [[], [(10, 20, 30, 60, 2)], [(2 * i, i, 2 * i + 9, i + 12, i % 3) for i in range(20)]]
)
def test_rows_that_stand_for_nothing_change_neither_the_loss_nor_what_is_learnt(boxes: list[Any]) -> None:
    some, found = task(data__size=64), []
    targets = some.collate(sets(boxes, [(30, 5, 50, 25, 0)] if boxes else []))
    more = padded(targets, some.padding)
    assert len(more["boxes"]) in (16, 32)
    assert len(more["cells"]) == len(more["learnt"]) == len(more["weights"]) > len(targets["cells"])
    for given in (targets, more):
        outputs = torch.randn(2, len(NAMES) + 5, 8, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
        losses = some.loss(outputs, given)
        losses["total"].backward()
        found.append((losses["classification"], losses["localisation"], outputs.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_two_hundred_boxes_in_an_image_are_learnt_in_one_go() -> None:
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 50, (200, 2))
    boxes = torch.tensor(np.concatenate([corner, corner + rng.uniform(1, 14, (200, 2))], 1), dtype=torch.float32)
    classes, samples = torch.arange(200) % 3, torch.zeros(200, dtype=torch.int64)
    targets = {"boxes": boxes, "classes": classes, "samples": samples, **learners(boxes, samples, 1, 8)}
    parts = centre_loss(torch.zeros(1, 8, 8, 8), targets)
    assert all(torch.isfinite(part) for part in parts)


def test_boxes_that_left_the_picture_are_not_learnt() -> None:
    some = task(data__size=64)
    targets = some.collate(sets([(-30, 0, 10, 40, 0), (-10, 0, 30, 40, 1), (70, 0, 90, 40, 2)]))
    assert targets["boxes"].tolist() == [[0, 0, 10, 40], [0, 0, 30, 40]]


def test_nothing_marked_in_the_whole_set_is_one_clear_error() -> None:
    with pytest.raises(DataError, match="nothing is marked"):
        task().prepare(sets([], []))


def test_options_of_other_tasks_are_refused() -> None:
    with pytest.raises(RecipeError, match="one loss"):
        task(train__loss="mse")
    with pytest.raises(RecipeError, match="no copies"):
        task(predict__mirror=True)


@pytest.mark.parametrize("recipe", ["digits", "keypoints", "seed-facetracker"])
def test_answering_at_another_size_is_refused_where_it_cannot_be(recipe: str) -> None:
    with pytest.raises(RecipeError, match=r"predict\.size: .* answers at the size that it was trained at"):
        tasks.create(load_recipe(recipe, {"predict.size": 128}), NAMES)


def test_a_detector_is_validated_evaluated_and_exported_at_the_size_at_which_it_answers(tmp_path) -> None:
    changes = STEPS | SMALL | {"data.size": 32, "predict.size": 64, "train.validations": 1}
    run = vf.train(squares(96), squares(24, 1), "detect", epochs=4, changes=changes, out=tmp_path / "run")
    validation = next(event for event in run.events() if event["event"] == "validation")
    evaluated = run.evaluate(squares(24, 1)).metrics
    assert evaluated["ap"] == pytest.approx(validation["metrics"]["ap"], abs=1e-6)
    assert vf.load(run.export(tmp_path / "model.onnx")).about.size == 64


def test_a_small_detector_learns_squares_exports_and_answers(tmp_path) -> None:
    changes = STEPS | SMALL | {"augment.zoom": 0.1, "augment.shift": 0.05, "train.validations": 2, "augment.rotate": 0}
    run = vf.train(squares(96), squares(24, 1), "detect", epochs=25, changes=changes, out=tmp_path / "run")
    validation = [event for event in run.events() if event["event"] == "validation"][-1]
    assert set(validation["loss"]) == set(validation["train_loss"]) == {"total", "classification", "localisation"}
    assert validation["metrics"]["ap50"] > 0.8
    exported = run.exported(tmp_path / "squares.onnx")
    assert exported.comparison.metrics["ap"][0] == pytest.approx(exported.comparison.metrics["ap"][1], abs=0.01)
    model = vf.load(tmp_path / "squares.onnx")
    assert 0 < model.threshold < 1
    test = squares(8, 2)
    found = [model(test.images[row]) for row in range(8)]
    assert sum(len(one.classes) for one in found) == pytest.approx(len(test.targets.classes), abs=2)
    report = run.evaluate(squares(24, 1)).save(tmp_path / "report")
    assert {"loss.png", "confusion.png", "worst.png"} <= {file.name for file in report.parent.iterdir()}


def test_classes_can_be_merged_and_a_run_remembers_it(tmp_path) -> None:
    changes = STEPS | SMALL | {"data.merge_classes": "square"}
    run = vf.train(squares(32), squares(8, 1), "detect", epochs=1, changes=changes, out=tmp_path / "run")
    assert run.names == ("square",)
    assert set(run.evaluate(squares(8, 3)).metrics) >= {"ap", "ap50", "f1"}
