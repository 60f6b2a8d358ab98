"""What an evaluation says, and on what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import viewfinder as vf
from viewfinder import tasks
from viewfinder.config import load_recipe
from viewfinder.data.answers import Points
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.targets import Labels, PointSets
from viewfinder.errors import DataError
from viewfinder.evaluate.errors import worst, worst_first
from viewfinder.evaluate.evaluation import Evaluation, answer_all


class Brightest(nn.Module):
    """Finds the centre of brightness, in pixels of its input."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        bright = images[..., 0].float()
        total = bright.sum((1, 2))
        x = (bright.sum(1) * (torch.arange(images.shape[2]) + 0.5)).sum(1) / total
        y = (bright.sum(2) * (torch.arange(images.shape[1]) + 0.5)).sum(1) / total
        return torch.stack([x, y], 1)


def test_answers_are_in_pixels_of_the_original_image() -> None:
    pixels = np.zeros((5, 40, 80, 1), dtype=np.uint8)
    centres = np.array([[[8.0 + 16 * i, 4.0 + 8 * i]] for i in range(5)], dtype=np.float32)
    for image, ((x, y),) in zip(pixels, centres, strict=True):
        image[int(y) - 4 : int(y) + 4, int(x) - 4 : int(x) + 4] = 255
    dataset = Dataset("keypoints", ("spot",), ArrayImages.of(pixels), PointSets(centres))
    no_further_than_the_edge = {"predict.mirror": False, "predict.shifts": 2}
    recipe = load_recipe("keypoints", {"data.size": 32} | no_further_than_the_edge)
    found = answer_all(tasks.create(recipe, dataset.names), Brightest(), dataset, recipe)
    xy = np.stack([answer.xy for answer in found if isinstance(answer, Points)])
    assert np.abs(xy - centres).max() < 0.1


def test_metrics_and_errors_are_the_tasks_own(run: vf.Run, evaluation: Evaluation) -> None:
    right = [p.label == t.label for p, t in _pairs(evaluation)]
    assert evaluation.metrics["accuracy"] == pytest.approx(np.mean(right))
    assert (evaluation.errors < 0).tolist() == right
    assert evaluation.names == ("left", "right")
    validations = [event for event in run.events() if event["event"] == "validation"]
    assert evaluation.metrics["accuracy"] == max(event["metrics"]["accuracy"] for event in validations)


def test_classes_are_matched_by_name_and_not_by_number(run: vf.Run, evaluation: Evaluation) -> None:
    data = evaluation.dataset
    swapped = replace(data, names=("right", "left"), targets=Labels(1 - data.labelled().array()))
    assert run.evaluate(swapped).metrics == evaluation.metrics


def test_a_dataset_may_know_fewer_names_than_the_model(run: vf.Run, evaluation: Evaluation) -> None:
    right = evaluation.dataset.select(evaluation.targets.array() == 1)
    only = replace(right, names=("right",), targets=Labels(np.zeros(len(right), dtype=np.int64)))
    assert run.evaluate(only).metrics["accuracy"] == run.evaluate(right).metrics["accuracy"]


def test_data_that_does_not_fit_the_model_is_refused(run: vf.Run, evaluation: Evaluation) -> None:
    data = evaluation.dataset
    for wrong, says in [
        (replace(data, names=("left", "above")), "'above', which the model was not trained on"),
        (replace(data, targets=None), "no targets"),
        (replace(data, task="keypoints"), "trained for classify"),
        (data.select([]), "no images"),
    ]:
        with pytest.raises(DataError, match=says):
            run.evaluate(wrong)


def test_printing_shows_metrics_with_units_and_words_and_the_worst(evaluation: Evaluation) -> None:
    said = str(evaluation)
    assert "32 images of squares.csv" in said
    assert f"{100 * evaluation.metrics['accuracy']:.2f} %" in said
    assert "whose most probable class is the true one" in said
    assert f"squares.csv row {worst_first(evaluation.errors)[0] + 2}" in said
    assert repr(evaluation) == said


def test_images_that_were_trained_on_are_told(run: vf.Run, evaluation: Evaluation) -> None:
    assert evaluation.seen == 0
    flattered = run.evaluate(run.part("train"))
    assert flattered.seen == 64
    assert "trained on 64 of these 64 images" in str(flattered)


def test_images_that_were_trained_on_are_told_wherever_they_lie_now(run: vf.Run) -> None:
    copies = replace(run.part("train").select(range(10, 20)), source="elsewhere.csv", rows=None)
    assert run.evaluate(copies).seen == 10


def test_worst_come_first_and_unknown_errors_last() -> None:
    errors = np.array([0.1, np.nan, 0.9, -0.5])
    assert worst_first(errors).tolist() == [2, 0, 3, 1]


def test_the_worst_are_shown_with_prediction_and_truth(points_run: vf.Run) -> None:
    evaluation = points_run.evaluate()
    assert np.isnan(evaluation.errors[31])
    shown = worst(evaluation, 100)
    assert len(shown) == 31
    assert [one.error for one in shown] == sorted((one.error for one in shown), reverse=True)
    assert shown[0].where == f"places.csv row {shown[0].row + 2}"
    assert max(shown[0].tile.shape) == 320
    plain = evaluation.dataset.images[shown[0].row]
    assert plain.shape == (16, 16, 1)
    assert len(np.unique(shown[0].tile.reshape(-1, 3).std(axis=1))) > 1, "colours on a gray image"


def _pairs(evaluation: Evaluation):  # type: ignore[no-untyped-def]
    truths = [evaluation.targets.one(row, evaluation.names) for row in range(len(evaluation.dataset))]
    return zip(evaluation.predictions, truths, strict=True)
