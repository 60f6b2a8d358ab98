"""A model file that finds what is bright, made by hand: what it answers is known, and it needs no training."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from viewfinder.deploy.description import KEY, Description

SIZE, NAMES = 32, ("dim", "bright")


def bright_detector(path: Path, threshold: float = 0.0) -> Path:
    """Write a model file: the box around all pixels above 127; its score is the brightest of them, 255 being 1.

    Its class is "bright" where that is above 250, and "dim" elsewhere.
    """
    constants = {
        "limit": np.float32(127),
        "very": np.float32(250),
        "white": np.float32(255),
        "one": np.int64(1),
        "depth": np.array([3]),
        "down": np.array([1, 3]),
        "across": np.array([2, 3]),
        "both": np.array([1, 2]),
        "last": np.array([1]),
        "zero": np.float32(0),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        node("Greater", ["pixels", "limit"], ["is_lit"]),
        node("Cast", ["is_lit"], ["lit"], to=TensorProto.FLOAT),
        node("ReduceMax", ["lit", "down"], ["columns"], keepdims=0),
        node("ReduceMax", ["lit", "across"], ["rows"], keepdims=0),
        *_first_and_last("columns", "x"),
        *_first_and_last("rows", "y"),
        node("Concat", ["x0", "y0", "x1", "y1"], ["sides"], axis=1),
        node("Cast", ["sides"], ["flat"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["flat", "last"], ["boxes"]),
        node("ReduceMax", ["pixels", "both"], ["deep"], keepdims=0),
        node("ReduceMax", ["deep", "last"], ["highest"], keepdims=1),
        node("Greater", ["highest", "limit"], ["found"]),
        node("Div", ["highest", "white"], ["share"]),
        node("Where", ["found", "share", "zero"], ["scores"]),
        node("Greater", ["highest", "very"], ["is_bright"]),
        node("Cast", ["is_bright"], ["classes"], to=TensorProto.INT64),
    ]
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIZE, SIZE, 1])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["batch", 1, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 1]),
            helper.make_tensor_value_info("classes", TensorProto.INT64, ["batch", 1]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    about = Description("detect", "boxes", NAMES, SIZE, 1, threshold=threshold)
    helper.set_model_props(model, {KEY: about.as_json()})
    onnx.save(model, str(path))
    return path


def bright_images(folder: Path, count: int, seed: int = 7) -> np.ndarray:
    """Write images of 64×48 with a lit rectangle each; return (count, 5): its box, and how bright it is.

    Every fifth shows nothing: its row is zeros.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    truth = np.zeros((count, 5))
    for row in range(count):
        image = np.full((48, 64), 20, np.uint8)
        if row % 5:
            # sides are even, so that halving the image for the network loses nothing
            x0, y0 = 2 * rng.integers(0, 12, 2)
            x1, y1 = x0 + 2 * rng.integers(3, 18), y0 + 2 * rng.integers(3, 10)
            light = rng.choice([150, 200, 255])
            image[y0:y1, x0:x1] = light
            truth[row] = x0, y0, x1, y1, light
        cv2.imwrite(str(folder / f"{row:05d}.png"), image)
    return truth


def _first_and_last(marks: str, axis: str) -> list[onnx.NodeProto]:
    """Return the nodes for the first column or row that is lit, and the one after the last."""
    return [
        helper.make_node("ArgMax", [marks], [f"{axis}0"], axis=1, keepdims=1),
        helper.make_node("ArgMax", [marks], [f"{axis}_last"], axis=1, keepdims=1, select_last_index=1),
        helper.make_node("Add", [f"{axis}_last", "one"], [f"{axis}1"]),
    ]
