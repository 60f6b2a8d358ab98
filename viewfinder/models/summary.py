"""What a network is made of: a row a layer, as Keras prints it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from viewfinder.config import Data

__all__ = ["Layer", "summary"]

_UNSEEN = (nn.ReLU, nn.Identity)


@dataclass(frozen=True)
class Layer:
    """One layer."""

    name: str
    """Where it is in the network."""
    kind: str
    shape: tuple[int, ...]
    """What comes out for one image: height, width, channels where it is a picture."""
    weights: tuple[int, ...]
    """Inputs and outputs of a linear layer; height, width, inputs, outputs of a kernel; () elsewhere."""
    parameters: int


def summary(network: nn.Module, data: Data) -> list[Layer]:
    """Return the layers in the order in which one image of data.size and data.channels passes them.

    Activations are left out, as they are in Keras. The parameters add up to those of the network.
    """
    layers: list[Layer] = []
    handles = [
        module.register_forward_hook(_noting(layers, name))
        for name, module in network.named_modules()
        if not isinstance(module, _UNSEEN) and not any(module.children())
    ]
    training = network.training
    try:
        network.eval()(torch.zeros(1, data.size, data.size, data.channels, dtype=torch.uint8))
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return layers


def _noting(layers: list[Layer], name: str) -> Any:
    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        shape = output.permute(0, 2, 3, 1).shape if output.ndim == 4 else output.shape
        count = sum(parameter.numel() for parameter in module.parameters())
        layers.append(Layer(name, type(module).__name__, tuple(shape[1:]), _weights(module), count))

    return note


def _weights(module: nn.Module) -> tuple[int, ...]:
    weight = getattr(module, "weight", None)
    if weight is None or weight.ndim < 2:
        return ()
    outputs, inputs, *kernel = weight.shape
    return (*kernel, inputs, outputs)
