"""One file that describes itself, and that exists only when it agrees with the trained model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import viewfinder as vf
from viewfinder.data.samples import digits
from viewfinder.deploy.onnx import export
from viewfinder.deploy.predictor import load
from viewfinder.deploy.verify import Comparison, Difference, refuse
from viewfinder.errors import DataError, ExportError, InputError
from viewfinder.tasks.base import Metric
from viewfinder.training.checkpoint import load_checkpoint
from viewfinder.training.run import Run

Untrained = Callable[[str], Run]
ModelFile = Callable[[str], Path]


class Restless(Run):
    """A run whose network says something else each time, as no exported file can."""

    def network(self) -> nn.Module:
        return _Noisy(super().network())


class _Noisy(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.network(images)
        return outputs + torch.rand_like(outputs)


class Broken(Run):
    """A run whose weights became infinite."""

    def network(self) -> nn.Module:
        network = super().network()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(float("inf"))
        return network


def test_the_file_describes_itself(untrained: Untrained, model_file: ModelFile) -> None:
    run = untrained("keypoints")
    model = onnx.load(str(model_file("keypoints")))
    onnx.checker.check_model(model)
    about = json.loads({one.key: one.value for one in model.metadata_props}["viewfinder"])
    assert (about["task"], about["answer"], about["size"], about["channels"]) == ("keypoints", "points", 96, 1)
    assert tuple(about["names"]) == run.names
    assert about["recipe"] == "keypoints" and about["data"] == run.part("train").fingerprint
    assert about["metrics"]["rmse"] > 0 and about["images"] >= 64
    assert about["date"] and about["made_by"] and not about["int8"] and "uint8" in about["pixels"]


def test_a_training_in_float64_ships_float32(tmp_path: Path) -> None:
    changes = {"train.precision": "float64", "train.batch": 64, "data.similar": False, "model.members": 1}
    run = vf.train(digits().select(np.arange(200)), recipe="digits", epochs=0.5, changes=changes, out=tmp_path / "run")
    weights, _ = load_checkpoint(run.folder / "checkpoints", "best")
    assert {value.dtype for value in weights.values() if value.is_floating_point()} == {torch.float64}
    model = onnx.load(str(run.export(tmp_path / "model.onnx")))
    kinds = {weight.data_type for weight in model.graph.initializer}
    assert onnx.TensorProto.FLOAT in kinds and onnx.TensorProto.DOUBLE not in kinds


def test_the_graph_takes_raw_pixels_in_batches_of_any_size(model_file: ModelFile) -> None:
    graph = onnx.load(str(model_file("digits"))).graph
    shape = graph.input[0].type.tensor_type
    assert graph.input[0].name == "image" and shape.elem_type == onnx.TensorProto.UINT8
    assert shape.shape.dim[0].dim_param == "batch" and [d.dim_value for d in shape.shape.dim][1:] == [28, 28, 1]
    assert [output.name for output in graph.output] == ["scores"]


def test_the_file_is_complete_and_tells_nothing_about_the_machine(model_file: ModelFile) -> None:
    content = model_file("digits").read_bytes()
    assert not any(weights.external_data for weights in onnx.load(str(model_file("digits"))).graph.initializer)
    assert b".py" not in content and str(Path.home()).encode() not in content


def test_export_says_how_far_the_file_is_from_the_model(untrained: Untrained, tmp_path: Path) -> None:
    exported = export(untrained("seed-digits"), tmp_path / "new" / "model.onnx")
    assert exported.comparison.images == 64
    assert exported.largest_difference < 1e-4
    trained, file = exported.metrics["accuracy"]
    assert trained == file
    assert "largest difference of scores" in str(exported) and "accuracy" in str(exported)
    assert [path.name for path in exported.path.parent.iterdir()] == ["model.onnx"]


def test_a_file_that_disagrees_is_not_written(untrained: Untrained, tmp_path: Path) -> None:
    run = untrained("seed-digits")
    path = tmp_path / "model.onnx"
    path.write_text("the older one")
    with pytest.raises(ExportError, match=r"differs from the trained one by 0\.\d+") as caught:
        export(Restless(run.folder, run.info, run.known), path)
    assert caught.value.exit_code == 1
    assert path.read_text() == "the older one"
    assert [left.name for left in tmp_path.iterdir()] == ["model.onnx"]


def test_a_model_that_answers_nan_is_not_written(untrained: Untrained, tmp_path: Path) -> None:
    run = untrained("seed-digits")
    with pytest.raises(ExportError, match="not finite"):
        export(Broken(run.folder, run.info, run.known), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_images_without_targets_are_enough_to_compare_but_not_to_quantise(untrained: Untrained, tmp_path: Path) -> None:
    run = untrained("seed-digits")
    images = replace(run.part("train"), targets=None, names=())
    exported = export(run, tmp_path / "model.onnx", images=images)
    assert exported.comparison.images == 72 and exported.metrics == {}
    with pytest.raises(DataError, match="judged by its metric"):
        export(run, tmp_path / "int8.onnx", int8=True, images=images)


def test_what_cannot_be_exported_is_said_first(untrained: Untrained, tmp_path: Path) -> None:
    run = untrained("seed-digits")
    with pytest.raises(DataError, match="no images"):
        export(run, tmp_path / "model.onnx", images=run.part("val").select([]))
    with pytest.raises(InputError, match="is a folder"):
        export(run, tmp_path)


def test_int8_is_smaller_and_nearly_as_good(untrained: Untrained, model_file: ModelFile, tmp_path: Path) -> None:
    run = untrained("keypoints")
    exported = export(run, tmp_path / "int8.onnx", int8=True)
    assert exported.size < model_file("keypoints").stat().st_size / 2
    assert [path.name for path in tmp_path.iterdir()] == ["int8.onnx"]
    model = load(exported.path)
    assert model.about.int8 and "int8" in repr(model)
    kinds = {node.op_type for node in onnx.load(str(exported.path)).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    image = run.part("val").images[0]
    (ours,), (theirs,) = model(image).as_rows(), load(model_file("keypoints"))(image).as_rows()
    assert np.abs([ours[key] - theirs[key] for key in ours]).max() < 1


@pytest.mark.parametrize(
    ("metric", "trained", "file", "fine"),
    [
        (Metric("accuracy", higher_is_better=True, unit="%"), 0.99, 0.987, True),
        (Metric("accuracy", higher_is_better=True, unit="%"), 0.99, 0.982, False),
        (Metric("rmse", higher_is_better=False, unit="px"), 1.50, 1.55, True),
        (Metric("rmse", higher_is_better=False, unit="px"), 1.50, 1.60, False),
        (Metric("rmse", higher_is_better=False, unit="px"), 1.50, float("nan"), False),
    ],
)
def test_a_quantised_file_may_lose_a_little_of_the_first_metric(
    metric: Metric, trained: float, file: float, fine: bool
) -> None:
    far = Difference("points", largest=1.0, allowed=0.02)
    comparison = Comparison(1000, 1000, "", (far,), (), {metric.name: (trained, file)}, (metric,), quantised=True)
    if fine:
        refuse(comparison)
    else:
        with pytest.raises(ExportError, match=f"{metric.name} is .* instead of"):
            refuse(comparison)
