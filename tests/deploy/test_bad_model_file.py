"""A model file that cannot be used is one line of error, exit code 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from tests.commands import Commands
from viewfinder.deploy.predictor import load
from viewfinder.errors import ModelFileError


@pytest.fixture
def changed(model_file: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """Write a copy of a good model file whose description was changed."""

    def write(text: str | None = None, **values: Any) -> Path:
        model = onnx.load(str(model_file("digits")))
        about = json.loads(model.metadata_props[0].value) | values
        model.metadata_props[0].value = json.dumps(about) if text is None else text
        path = tmp_path / "changed.onnx"
        onnx.save(model, str(path))
        return path

    return write


def refused(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        load(path)
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)
    return str(caught.value)


def test_missing(tmp_path: Path) -> None:
    assert "no such model file" in refused(tmp_path / "nothing.onnx")


@pytest.mark.parametrize("content", [b"", b"hello, I am no model", b"\x08\x0a" * 500])
def test_not_a_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text.onnx"
    path.write_bytes(content)
    assert "cannot be read as a model" in refused(path) or "not made by viewfinder" in refused(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_cut_off(model_file: Callable[[str], Path], tmp_path: Path, share: float) -> None:
    content = model_file("digits").read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(content[: int(share * len(content))])
    refused(path)


def test_made_by_another_tool(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "other", [value], [result])
    opset = helper.make_opsetid("", 18)
    path = tmp_path / "other.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), str(path))
    assert "was not made by viewfinder" in refused(path)


def test_made_by_a_newer_viewfinder(changed: Callable[..., Path]) -> None:
    assert "made by a newer viewfinder" in refused(changed(version=99))


@pytest.mark.parametrize("text", ["{", "[]", "{}", "null", '{"version": 1}', '{"version": "1"}'])
def test_a_damaged_description(changed: Callable[..., Path], text: str) -> None:
    assert "its description is damaged" in refused(changed(text))


@pytest.mark.parametrize(
    "values", [{"names": []}, {"names": [1]}, {"size": "28"}, {"channels": 2}, {"metrics": [1]}, {"task": None}]
)
def test_a_description_with_wrong_values(changed: Callable[..., Path], values: dict[str, Any]) -> None:
    assert "its description is damaged" in refused(changed(**values))


@pytest.mark.parametrize("values", [{"size": 32}, {"channels": 3}, {"answer": "poem"}, {"answer": "points"}])
def test_a_description_of_another_graph(changed: Callable[..., Path], values: dict[str, Any]) -> None:
    assert "is not the one it describes" in refused(changed(**values))


def test_names_that_are_not_as_many_as_the_answers(changed: Callable[..., Path]) -> None:
    assert "is not the one it describes" in refused(changed(names=["only", "two"]))


def test_the_command_line_says_it_in_one_line(tmp_path: Path, viewfinder: Commands) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"broken")
    outcome = viewfinder("predict", path, tmp_path, "--out", tmp_path / "predictions")
    assert outcome.code == 2
    assert outcome.err.startswith("viewfinder: ") and len(outcome.err.strip().splitlines()) == 1
    assert not (tmp_path / "predictions").exists()
