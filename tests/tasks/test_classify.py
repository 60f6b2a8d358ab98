"""Classify: its loss, its measures, its answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import Tensor, nn

from viewfinder.config import load_recipe
from viewfinder.data.answers import Label
from viewfinder.data.targets import Labels
from viewfinder.errors import RecipeError
from viewfinder.tasks import measures
from viewfinder.tasks.classify import Classify
from viewfinder.tasks.sections import Bars, Lines, Matrix, Table

NAMES = ("ant", "bee", "cat")


def task(**changes: object) -> Classify:
    return Classify(load_recipe("digits", {key.replace("__", "."): value for key, value in changes.items()}), NAMES)


def labels(*ids: int) -> Labels:
    return Labels(np.array(ids, dtype=np.int64))


def predictions(*rows: tuple[float, float, float]) -> list[Label]:
    return Label.decode({"scores": np.array(rows, dtype=np.float32)}, NAMES, np.zeros((len(rows), 2, 3)))


class MeanOfThirds(nn.Module):
    """A network that answers the mean brightness of the image's left, middle and right third."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float().unflatten(2, (3, -1)).mean((1, 3, 4)) / 64


def test_measures_are_those_of_a_hand_made_case() -> None:
    said = predictions((0.8, 0.1, 0.1), (0.6, 0.3, 0.1), (0.2, 0.7, 0.1), (0.1, 0.1, 0.8))
    measured = task().measure(said, labels(0, 1, 1, 2))
    assert list(measured) == [metric.name for metric in Classify.metrics]
    assert measured["accuracy"] == 0.75
    assert measured["f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert measured["log_loss"] == pytest.approx(-sum(map(math.log, (0.8, 0.3, 0.7, 0.8))) / 4, rel=1e-6)
    assert measured["ece"] == pytest.approx((2 * 0.2 + 0.6 + 0.3) / 4, abs=1e-6)


def test_precision_recall_and_f1_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    ids, said = rng.integers(0, 5, 60), rng.integers(1, 7, 60)  # class 0 is never said, 5 and 6 never true, 7 neither
    every = np.arange(8)
    assert np.array_equal(measures.confusion(ids, said, 8), metrics.confusion_matrix(ids, said, labels=every))
    columns = metrics.precision_recall_fscore_support(ids, said, labels=every, zero_division=0)
    ours = measures.by_class(ids, said, 8)
    for one, theirs in zip(ours, columns[:3], strict=True):
        assert np.nan_to_num(one) == pytest.approx(theirs)
    assert measures.mean(ours[2]) == pytest.approx(metrics.f1_score(ids, said, average="macro", zero_division=0))


def test_a_sure_and_wrong_answer_has_a_finite_log_loss() -> None:
    measured = task().measure(predictions((1, 0, 0)), labels(1))
    assert math.isfinite(measured["log_loss"])
    assert measured["accuracy"] == 0


def test_errors_are_above_zero_exactly_for_wrong_answers_and_worst_for_the_surest() -> None:
    said = predictions((0.9, 0.1, 0), (0.5, 0.4, 0.1), (0.9, 0.1, 0), (0.4, 0.35, 0.25))
    errors = task().errors(said, labels(0, 1, 1, 0))
    assert errors == pytest.approx([-0.8, 0.1, 0.8, -0.05], abs=1e-6)


def test_the_loss_is_cross_entropy_with_the_recipes_smoothing() -> None:
    outputs, ids = torch.tensor([[2.0, 0, 0], [0, 1, 0]]), labels(0, 2)
    plain, smooth = task(), task(train__label_smoothing=0.3)
    logs = outputs.log_softmax(1)
    hard = -(logs[0, 0] + logs[1, 2]) / 2
    even = -logs.mean()
    assert torch.isclose(plain.loss(outputs, plain.collate(ids))["total"], hard)
    assert torch.isclose(smooth.loss(outputs, smooth.collate(ids))["total"], 0.7 * hard + 0.3 * even)


def test_balanced_weights_make_every_class_weigh_the_same() -> None:
    balanced, ids = task(train__class_weights="balanced"), labels(0, 0, 0, 0, 1, 1, 2)
    balanced.prepare(ids)
    outputs = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    costs = -outputs.log_softmax(1)[torch.arange(7), torch.from_numpy(ids.ids)]
    of_each_class = torch.stack([costs[:4].mean(), costs[4:6].mean(), costs[6]])
    assert torch.isclose(balanced.loss(outputs, balanced.collate(ids))["total"], of_each_class.mean())


def test_weights_that_a_validation_used_first_can_be_learnt_with() -> None:
    balanced, ids = task(train__class_weights="balanced"), labels(0, 0, 1, 2)
    balanced.prepare(ids)
    outputs = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)  # another type than the weights have at first
    with torch.inference_mode():
        balanced.loss(outputs, balanced.collate(ids))
    balanced.loss(outputs, balanced.collate(ids))["total"].backward()
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()


def test_scores_are_probabilities_of_the_mean_over_copies() -> None:
    averaged = task(predict__mirror=True, predict__shifts=1)
    images = torch.randint(0, 256, (2, 28, 30, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    answering = averaged.answering(MeanOfThirds()).eval()
    (scores,), (mirrored,) = answering(images), answering(images.flip(2))
    assert scores.shape == (2, 3)
    assert torch.allclose(scores.sum(1), torch.ones(2))
    assert torch.allclose(scores, mirrored, atol=1e-6)


def test_without_averaging_the_answer_is_the_softmax() -> None:
    images = torch.randint(0, 256, (2, 28, 30, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plain = task(predict__shifts=0)
    assert torch.equal(plain.answering(MeanOfThirds())(images)[0], MeanOfThirds()(images).softmax(1))


def test_the_report_gets_classes_confusion_reliability_and_counts() -> None:
    said = predictions((0.8, 0.1, 0.1), (0.6, 0.3, 0.1), (0.2, 0.7, 0.1))
    table, matrix, lines, bars = task().sections(said, labels(0, 1, 1))
    assert isinstance(table, Table)
    assert isinstance(matrix, Matrix)
    assert isinstance(lines, Lines)
    assert isinstance(bars, Bars)
    assert list(table.rows) == [
        ("ant", 0.5, 1.0, pytest.approx(2 / 3), 1),
        ("bee", 1.0, 0.5, pytest.approx(2 / 3), 2),
        ("cat", 0, 0, 0, 0),
    ]
    assert matrix.counts.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert list(bars.values) == [1, 2, 0]


def test_an_unknown_loss_is_said() -> None:
    with pytest.raises(RecipeError, match="unknown loss 'mse'; known: cross-entropy"):
        task(train__loss="mse")
