"""Model files without any training: built by hand, opened by the real predictor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.conftest import FACE
from viewfinder.data.samples import faces
from viewfinder.deploy.description import KEY, Description


def write_bright(path: Path, size: int = 128, name: str = "light", threshold: float = 0.5) -> Path:
    """Write a detector of what is brighter than 200: one box around all of it, its score the greatest brightness."""
    constants = {"limit": np.float32(200), "most": np.float32(255), "one": np.int64([1]), "zero": np.int64([0])}
    constants |= {"along": np.int64([1]), "both": np.int64([1, 2])}
    nodes = [
        _node("Cast", ["image"], "float", to=TensorProto.FLOAT),
        _node("ReduceMean", ["float"], "gray", axes=[3], keepdims=0),
        _node("Greater", ["gray", "limit"], "lit"),
        _node("Cast", ["lit"], "mask", to=TensorProto.FLOAT),
    ]
    for axis, other in (("x", 1), ("y", 2)):
        nodes += [
            _node("ReduceMax", ["mask"], f"{axis}_lit", axes=[other], keepdims=0),
            _node("ArgMax", [f"{axis}_lit"], f"{axis}0", axis=1, keepdims=1),
            _node("ArgMax", [f"{axis}_lit"], f"{axis}_last", axis=1, keepdims=1, select_last_index=1),
            _node("Add", [f"{axis}_last", "one"], f"{axis}1"),
        ]
    nodes += [
        _node("Concat", ["x0", "y0", "x1", "y1"], "whole", axis=1),
        _node("Cast", ["whole"], "sides", to=TensorProto.FLOAT),
        _node("Unsqueeze", ["sides", "along"], "boxes"),
        _node("ReduceMax", ["gray"], "brightest", axes=[1, 2], keepdims=0),
        _node("ReduceMax", ["mask"], "any", axes=[1, 2], keepdims=0),
        _node("Mul", ["brightest", "any"], "told"),
        _node("Div", ["told", "most"], "score"),
        _node("Unsqueeze", ["score", "along"], "scores"),
        _node("Mul", ["x0", "zero"], "classes"),
    ]
    outputs = {"boxes": TensorProto.FLOAT, "scores": TensorProto.FLOAT, "classes": TensorProto.INT64}
    about = Description("detect", "boxes", (name,), size, 3, threshold=threshold)
    return _save(path, about, nodes, constants, outputs)


def write_points(path: Path, names: Sequence[str] = FACE, size: int = 96) -> Path:
    """Write a model that sees the same points of a face in every picture: those of the first drawn face."""
    first = faces(1, size=size).targets.array()[0][: len(names)].astype(np.float32)
    constants = {"first": first[None], "rest": np.int64([len(names), 2]), "begin": np.int64([0]), "end": np.int64([1])}
    nodes = [
        _node("Shape", ["image"], "shape"),
        _node("Slice", ["shape", "begin", "end"], "count"),
        _node("Concat", ["count", "rest"], "full", axis=0),
        _node("Expand", ["first", "full"], "points"),
    ]
    about = Description("keypoints", "points", tuple(names), size, 1)
    return _save(path, about, nodes, constants, {"points": TensorProto.FLOAT})


def write_label(path: Path, size: int = 32) -> Path:
    """Write a model that says how bright a picture is: "dark" or "bright"."""
    constants = {"most": np.float32(255), "one": np.float32(1), "along": np.int64([1])}
    nodes = [
        _node("Cast", ["image"], "float", to=TensorProto.FLOAT),
        _node("ReduceMean", ["float"], "level", axes=[1, 2, 3], keepdims=0),
        _node("Div", ["level", "most"], "bright"),
        _node("Sub", ["one", "bright"], "dark"),
        _node("Unsqueeze", ["bright", "along"], "bright_column"),
        _node("Unsqueeze", ["dark", "along"], "dark_column"),
        _node("Concat", ["dark_column", "bright_column"], "scores", axis=1),
    ]
    about = Description("classify", "label", ("dark", "bright"), size, 3)
    return _save(path, about, nodes, constants, {"scores": TensorProto.FLOAT})


def _node(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], **attributes)


def _save(
    path: Path, about: Description, nodes: list[onnx.NodeProto], constants: dict[str, Any], outputs: dict[str, int]
) -> Path:
    shape = ["batch", about.size, about.size, about.channels]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, shape)
    results = [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, about.task, [image], results, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, {KEY: about.as_json()})
    onnx.save(model, str(path))
    return path
