"""From the host to the device without waiting for it."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["fits", "on_device"]


def on_device(values: NDArray[Any] | Tensor, device: torch.device) -> Tensor:
    """Return values as a tensor on the device; on a CPU it shares their memory.

    A GPU fetches them from memory that it can reach by itself, when it comes to it: copying from ordinary memory would
    wait until all is done that it was asked for before.
    """
    tensor = torch.as_tensor(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def fits(size: int, gpu: torch.device) -> bool:
    """Whether so many bytes take no more than half of what is free on a GPU: the network needs the rest."""
    free, _ = torch.cuda.mem_get_info(gpu)
    kept = torch.cuda.memory_reserved(gpu) - torch.cuda.memory_allocated(gpu)  # by torch, for whoever asks next
    return 2 * size <= free + kept
