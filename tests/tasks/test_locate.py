"""Locate: one box an image, or none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import viewfinder as vf
from viewfinder import tasks
from viewfinder.config import Recipe, load_recipe
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.reading import write
from viewfinder.data.targets import BoxSets
from viewfinder.errors import RecipeError
from viewfinder.tasks.locate import Locate

SMALL = {
    "data.size": 64, "data.detail": 1, "data.val": 0.2, "augment.crop": 0, "augment.flip": 0, "train.threads": 1,
    "model.widths": [8, 16, 32, 48], "model.depths": [1, 1, 1, 2], "model.dense": 64, "optim.lr": 0.002,
}  # fmt: skip


def locate(**changes: object) -> Locate:
    task = tasks.create(load_recipe("seed-facetracker", changes), ("face",))
    assert isinstance(task, Locate)
    return task


def boxes(*samples: list[list[float]]) -> BoxSets:
    return BoxSets.of([np.array(one) for one in samples], [np.zeros(len(one), dtype=np.int64) for one in samples])


def discs(count: int, size: int = 64, seed: int = 0) -> Dataset:
    """Return images of noise; on four of five a bright disc, with the box around it."""
    rng = np.random.default_rng(seed)
    pixels, places = rng.integers(0, 60, (count, size, size, 3), dtype=np.uint8), []
    for row, image in enumerate(pixels):
        radius = int(rng.integers(8, 14))
        x, y = rng.integers(radius, size - radius, 2).tolist()
        if row % 5:
            cv2.circle(image, (x, y), radius, (230, 200, 40), -1)
        places.append([[x - radius, y - radius, x + radius + 1, y + radius + 1]] if row % 5 else [])
    return Dataset("detect", ("face",), ArrayImages.of(pixels), boxes(*places))


def test_the_truth_is_the_largest_box_as_a_share_of_the_input() -> None:
    tensors = locate().collate(boxes([[0, 0, 12, 12], [30, 60, 90, 120], [5, 5, 25, 25]], [], [[12, 24, 36, 48]]))
    assert tensors["presence"].tolist() == [1, 0, 1]
    expected = [[0.25, 0.5, 0.75, 1], [0, 0, 0, 0], [0.1, 0.2, 0.3, 0.4]]
    assert torch.allclose(tensors["box"], torch.tensor(expected))


def test_what_a_crop_cut_off_does_not_count_and_any_rest_does() -> None:
    tensors = locate().collate(boxes([[-300, -300, 6, 6], [60, 60, 72, 72]], [[-50, 10, -1, 40]], [[119, 0, 500, 120]]))
    assert tensors["presence"].tolist() == [1, 0, 1]
    assert torch.allclose(tensors["box"][0], torch.tensor([0.5, 0.5, 0.6, 0.6]))
    assert torch.allclose(tensors["box"][2], torch.tensor([119 / 120, 0, 1, 1]))


def test_the_loss_is_the_described_one() -> None:
    task = locate(**{"train.batch": 2})
    true = torch.tensor([[0.1, 0.2, 0.5, 0.9], [0, 0, 0, 0]])
    said = torch.tensor([[0.2, 0.2, 0.7, 0.8], [0.5, 0.5, 0.6, 0.6]])
    there, logits = torch.tensor([1.0, 0.0]), torch.tensor([2.0, 1.0])
    outputs = torch.cat([logits[:, None], torch.logit(said)], 1)
    losses = task.loss(outputs, {"presence": there, "box": true})
    corner, width, height = 0.1**2, (0.5 - 0.4) ** 2, (0.6 - 0.7) ** 2
    assert losses["localisation"].item() == pytest.approx(corner + width + height, rel=1e-4)
    assert losses["classification"].item() == pytest.approx(F.binary_cross_entropy(logits.sigmoid(), there).item())
    assert losses["total"].item() == pytest.approx(
        losses["localisation"].item() + 0.5 * losses["classification"].item()
    )


def test_localisation_is_a_sum_over_a_batch_whatever_the_size_in_which_it_is_computed() -> None:
    task = locate()
    generator = torch.Generator().manual_seed(0)
    outputs, box = torch.randn(64, 5, generator=generator), torch.rand(64, 4, generator=generator)
    there = (torch.rand(64, generator=generator) > 0.3).float()
    whole = task.loss(outputs, {"presence": there, "box": box})
    parts = [
        task.loss(outputs[i : i + 8], {"presence": there[i : i + 8], "box": box[i : i + 8]}) for i in range(0, 64, 8)
    ]
    for name, value in whole.items():
        assert value.item() == pytest.approx(np.mean([part[name].item() for part in parts]), rel=1e-5)


def test_where_nothing_is_the_box_learns_nothing() -> None:
    outputs = torch.randn(4, 5, requires_grad=True)
    locate().loss(outputs, {"presence": torch.zeros(4), "box": torch.zeros(4, 4)})["total"].backward()
    assert outputs.grad is not None
    assert not outputs.grad[:, 1:].any()
    assert outputs.grad[:, 0].all()


class Bright(nn.Module):
    """Says the box around what is bright."""

    def forward(self, images: Tensor) -> Tensor:
        found = images[..., 0] > 128
        answers = []
        for one in found:
            rows, columns = torch.nonzero(one.any(1))[:, 0], torch.nonzero(one.any(0))[:, 0]
            box = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / len(one)
            answers.append(torch.cat([torch.tensor([2.0]), torch.logit(box)]))
        return torch.stack(answers)


@pytest.mark.parametrize("copies", [{}, {"predict.mirror": True, "predict.shifts": 2}])
def test_answers_are_boxes_in_pixels_and_copies_are_moved_back(copies: dict[str, object]) -> None:
    task = locate(**copies)
    images = torch.zeros(2, 120, 120, 3, dtype=torch.uint8)
    images[0, 30:50, 20:60], images[1, 70:90, 80:110] = 255, 255
    outputs = dict(zip(task.output_names, task.answering(Bright())(images), strict=True))
    assert [outputs[name].shape for name in task.output_names] == [(2, 1, 4), (2, 1), (2, 1)]
    double = np.tile([[2.0, 0, 0], [0, 2, 0]], (2, 1, 1))
    first, second = task.decode({name: value.numpy() for name, value in outputs.items()}, double)
    assert np.allclose(first.xyxy, [[40, 60, 120, 100]], atol=1e-3)
    assert np.allclose(second.xyxy, [[160, 140, 220, 180]], atol=1e-3)
    assert first.classes == ("face",)
    assert first.scores == pytest.approx([torch.tensor(2.0).sigmoid().item()])


def test_exchanged_corners_are_put_right_and_every_box_has_an_area() -> None:
    task = locate()

    class Exchanged(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            box = torch.tensor([0.75, 0.25, 0.5, 0.25])
            return torch.cat([torch.zeros(1), torch.logit(box)]).repeat(len(images), 1)

    boxes = task.answering(Exchanged())(torch.zeros(1, 120, 120, 3, dtype=torch.uint8))[0]
    assert torch.allclose(boxes, torch.tensor([[[60.0, 29.5, 90.0, 30.5]]]))


def test_several_classes_and_another_loss_are_refused_with_what_to_do() -> None:
    recipe = load_recipe("seed-facetracker")
    with pytest.raises(
        RecipeError, match=r"finds one kind of thing, and the data has 2: cat, dog; --merge-classes NAME"
    ):
        tasks.create(recipe, ("cat", "dog"))
    with pytest.raises(RecipeError, match="unknown loss 'mse'; known: squares"):
        locate(**{"train.loss": "mse"})


def test_a_short_training_finds_discs_and_its_model_file_agrees(tmp_path: Path) -> None:
    write(discs(160), tmp_path / "discs.npz", "npz")
    run = vf.train(
        vf.read(tmp_path / "discs.npz"), recipe="seed-facetracker", epochs=15, changes=SMALL, out=tmp_path / "run"
    )
    evaluation = run.evaluate()
    assert evaluation.metrics["iou"] > 0.5
    assert evaluation.metrics["presence"] > 0.9
    assert evaluation.threshold == 0.5
    validated = [event for event in run.events() if event["event"] == "validation"][-1]
    assert {*validated["loss"], *validated["train_loss"]} == {"total", "classification", "localisation"}
    model = vf.load(run.export(tmp_path / "model.onnx"))
    fresh = discs(8, seed=5)
    answers = [model(fresh.images[row]) for row in range(8)]
    assert [len(answer) for answer in answers] == fresh.labelled().counts.tolist()


def test_the_described_training_is_as_described() -> None:
    recipe: Recipe = load_recipe("seed-facetracker")
    augment, optim, train = recipe.augment, recipe.optim, recipe.train
    assert (recipe.data.size, recipe.data.channels, train.batch, train.epochs) == (120, 3, 8, 40)
    assert (augment.crop, augment.mirror, augment.flip, augment.light) == (450, 0.5, 0.5, 0.2)
    assert (augment.brightness, augment.contrast, augment.gamma) == (0.2, 0.2, 0.2)
    assert augment.channel_shift == pytest.approx(20 / 255, rel=1e-3)
    assert (optim.name, optim.lr, optim.schedule) == ("adam", 1e-4, "decay")
    assert optim.decay == pytest.approx(1 / 0.75 - 1, rel=1e-6)
