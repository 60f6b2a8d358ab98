"""Keypoints: what is not annotated never counts, and a mirrored face swaps its names."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from viewfinder.config import load_recipe
from viewfinder.data.answers import Points
from viewfinder.data.targets import PointSets
from viewfinder.errors import InputError, RecipeError
from viewfinder.tasks.keypoints import Keypoints
from viewfinder.tasks.sections import Bars, Lines, Table

NAMES = ("left_eye_center", "right_eye_center", "nose_tip")
NAN = float("nan")


def task(names: tuple[str, ...] = NAMES, recipe: str = "keypoints", **changes: object) -> Keypoints:
    return Keypoints(load_recipe(recipe, {key.replace("__", "."): value for key, value in changes.items()}), names)


def sets(*rows: list[tuple[float, float]]) -> PointSets:
    return PointSets(np.array(rows, dtype=np.float32))


def answers(xy: NDArray[np.float32], names: tuple[str, ...] = NAMES) -> list[Points]:
    return [Points(row, names) for row in xy]


FACES = sets([(70, 40), (30, 40), (50, 60)], [(60, 40), (40, 40), (NAN, NAN)])


class BrightPixels(nn.Module):
    """A network that answers where the pixels of value 1, 2 and 3 are."""

    def forward(self, images: Tensor) -> Tensor:
        found = []
        for value in (1, 2, 3):
            at = (images[..., 0] == value).float()
            total = at.sum((1, 2)).clamp(min=1)
            rows, columns = (torch.arange(size) + 0.5 for size in images.shape[1:3])
            found += [(at.sum(1) * columns).sum(1) / total, (at.sum(2) * rows).sum(1) / total]
        return torch.stack(found, 1)


def test_the_loss_is_the_mean_of_squared_pixels_over_what_is_annotated() -> None:
    some = task()
    outputs = torch.tensor([[72.0, 40, 30, 40, 50, 60], [60, 44, 40, 40, 999, 999]], requires_grad=True)
    loss = some.loss(outputs, some.collate(FACES))["total"]
    loss.backward()
    assert loss.item() == pytest.approx((4 + 16) / 10)
    assert outputs.grad is not None
    assert outputs.grad[1, 4:].tolist() == [0, 0]
    assert torch.isfinite(outputs.grad).all()


def test_a_batch_without_any_annotation_costs_nothing_and_breaks_nothing() -> None:
    some = task()
    outputs = torch.ones(1, 6, requires_grad=True)
    loss = some.loss(outputs, some.collate(sets([(NAN, NAN)] * 3)))["total"]
    loss.backward()
    assert loss.item() == 0
    assert outputs.grad is not None
    assert not outputs.grad.any()


def test_mse_half_is_the_notes_loss_in_units_of_half_the_image() -> None:
    pixels, half = task(), task(recipe="seed-keypoints-mlp")
    outputs = torch.rand(2, 6) * 96
    ratio = pixels.loss(outputs, pixels.collate(FACES))["total"] / half.loss(outputs, half.collate(FACES))["total"]
    assert ratio.item() == pytest.approx(48**2)


def test_measures_are_those_of_a_hand_made_case() -> None:
    predicted = FACES.xy.copy()
    predicted[0, 0] += (3, 4)
    predicted[0, 2] += (0.5, 0)
    predicted[1, 2] = (1, 1)
    measured = task().measure(answers(predicted), FACES)
    assert list(measured) == [metric.name for metric in Keypoints.metrics]
    assert measured["rmse"] == pytest.approx(math.sqrt((9 + 16 + 0.25) / 10))
    assert measured["mean_error"] == pytest.approx((5 + 0.5) / 5)
    assert measured["nme"] == pytest.approx((5 / 40 + 0.5 / 40) / 5)
    assert (measured["within_2"], measured["within_5"]) == (0.8, 0.8)


@pytest.mark.parametrize("names", [("left_eye", "right_eye", "nose"), ("nose", "eye-right", "eye-left")])
def test_eyes_are_found_by_name(names: tuple[str, ...]) -> None:
    assert task(names).measure(answers(FACES.xy, names), FACES)["within_2"] == 1


def test_without_eyes_only_pixels_are_measured() -> None:
    names = ("left_eye_inner_corner", "right_eyebrow", "nose")
    assert list(task(names).measure(answers(FACES.xy, names), FACES)) == ["rmse", "mean_error"]


def test_without_eyes_their_metrics_are_not_offered() -> None:
    assert [metric.name for metric in task(("tail", "ear", "paw")).metrics] == ["rmse", "mean_error"]


def test_nothing_annotated_is_unknown_not_zero() -> None:
    nothing = sets([(NAN, NAN)] * 3)
    assert all(map(math.isnan, task().measure(answers(FACES.xy[:1]), nothing).values()))
    assert math.isnan(task().errors(answers(FACES.xy[:1]), nothing)[0])


def test_errors_are_the_rmse_of_each_image() -> None:
    predicted = FACES.xy.copy()
    predicted[1, 0] += (3, 0)
    assert task().errors(answers(predicted), FACES) == pytest.approx([0, math.sqrt(9 / 4)])


@pytest.mark.parametrize("shifts", [0, 2])
def test_averaged_answers_swap_left_and_right_back_and_undo_every_move(shifts: int) -> None:
    images = torch.zeros(2, 96, 96, 1, dtype=torch.uint8)
    for image, left, right, nose in ((0, (30, 70), (31, 25), (60, 48)), (1, (20, 50), (22, 40), (70, 44))):
        for value, (row, column) in enumerate((left, right, nose), 1):
            images[image, row, column, 0] = value
    averaged = task(predict__mirror=False, predict__shifts=shifts)
    (points,) = averaged.answering(BrightPixels())(images)
    assert torch.allclose(points[0], torch.tensor([[70.5, 30.5], [25.5, 31.5], [48.5, 60.5]]), atol=1e-4)
    answering = task(predict__mirror=True, predict__shifts=shifts).answering(BrightPixels())
    swapped = torch.where(images == 1, 2, torch.where(images == 2, 1, images)).flip(2)
    (first,), (second,) = answering(images), answering(swapped)
    mirrored = torch.stack([96 - second[..., 0], second[..., 1]], 2)[:, [1, 0, 2]]
    assert torch.allclose(first, mirrored, atol=1e-4)


def test_answers_are_in_pixels_of_the_original_image() -> None:
    to_image = np.array([[[2, 0, 10], [0, 2, -4]]], dtype=np.float64)
    outputs = {"points": np.array([[[1, 2], [3, 4], [5, 6]]], dtype=np.float32)}
    assert task().decode(outputs, to_image)[0].xy.tolist() == [[12, 0], [16, 4], [20, 8]]


def test_the_report_gets_every_point_and_the_share_within_a_distance() -> None:
    predicted = FACES.xy.copy()
    predicted[:, 0, 0] += 2
    bars, table, lines = task().sections(answers(predicted), FACES)
    assert isinstance(bars, Bars)
    assert isinstance(table, Table)
    assert isinstance(lines, Lines)
    assert list(bars.values) == pytest.approx([math.sqrt(2), 0, 0])
    assert table.rows[0] == ("left_eye_center", pytest.approx(math.sqrt(2)), 2, 2, 0, 2)
    assert table.rows[2][-1] == 1
    assert lines.curves["model"][1][-1] == 1


def test_an_unknown_loss_suggests_the_nearest() -> None:
    with pytest.raises(RecipeError, match="unknown loss 'smooth_l1'; did you mean 'smooth-l1'"):
        task(train__loss="smooth_l1")


def test_a_point_that_is_not_there_gets_the_nearest_name() -> None:
    points = Points(np.zeros((2, 2), np.float32), ("nose_tip", "left_eye"))
    assert points["nose_tip"] == (0, 0)
    with pytest.raises(InputError, match="did you mean 'nose_tip'"):
        points["nose"]
