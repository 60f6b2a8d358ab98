"""A network whose step is compiled, which takes a while once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from viewfinder.errors import RecipeError

__all__ = ["Compiled"]


class Compiled:
    """Calls a network through `torch.compile`; the network itself, its weights and its names stay what they are.

    Raises:
        RecipeError: it cannot be compiled here; found out at the first call.
    """

    def __init__(self, network: nn.Module) -> None:
        from torch._dynamo.exc import TorchDynamoException  # takes seconds to import

        self._refusals = TorchDynamoException
        try:
            self.compiled = torch.compile(network)
        except RuntimeError as error:  # of this Python or this system
            raise _refused(error) from None

    def __call__(self, images: Tensor) -> Any:
        try:
            return self.compiled(images)
        except self._refusals as error:
            raise _refused(error) from None


def _refused(error: Exception) -> RecipeError:
    inner = getattr(error, "inner_exception", error)
    why = next((line for line in str(inner).splitlines() if line.strip()), type(error).__name__)
    return RecipeError(f"the network cannot be compiled here: {why}", where="train.compile", hint="set it to false")
