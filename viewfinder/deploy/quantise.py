"""8 bit numbers in the convolutions of a model file: about a quarter of its size.

Static quantisation (ONNX Runtime's, in QDQ form): weights by channel, activations by the ranges that they have on
real images. The last layer, what scales pixels before the first and what makes coordinates or probabilities after
the last stay in float, where 8 bits would be too few.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

__all__ = ["quantise"]

_BATCH = 16
_LAYERS = ("Conv", "Gemm", "MatMul")


def quantise(model: Path, pixels: NDArray[np.uint8], folder: Path) -> onnx.ModelProto:
    """Return an 8 bit version of a model file.

    Args:
        model: the file in float32.
        pixels: (N, size, size, channels) uint8, real images that the ranges are taken from.
        folder: where intermediate files may be written; they are left to the caller.
    """
    prepared, quantised = folder / "prepared.onnx", folder / "quantised.onnx"
    quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(quantised),
        _Images(pixels),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        op_types_to_quantize=list(_LAYERS),
        nodes_to_exclude=_last_layers(onnx.load(str(prepared)).graph),
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
    )
    return _tidied(onnx.load(str(quantised)))


class _Images(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._chunks = iter(np.array_split(pixels, max(1, len(pixels) // _BATCH)))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        chunk = next(self._chunks, None)
        return None if chunk is None else {"image": np.ascontiguousarray(chunk)}


def _last_layers(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the layers that no other layer comes after."""
    before_a_layer: set[str] = set()
    last = []
    for node in reversed(graph.node):
        followed = any(output in before_a_layer for output in node.output)
        if node.op_type in _LAYERS and not followed:
            last.append(node.name)
        if node.op_type in _LAYERS or followed:
            before_a_layer.update(node.input)
    return last


def _tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without the operator sets that the quantiser names and the graph does not use."""
    domains = {node.domain for node in model.graph.node}
    used = [opset for opset in model.opset_import if opset.domain in domains]
    del model.opset_import[:]
    model.opset_import.extend(used)
    return model
