"""What the host learns of a device, which goes on meanwhile."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["Readout"]


class Readout:
    """Numbers of the device that are on their way: on a CPU they are there at once, on a GPU when it has got so far.

    Args:
        values: one number each, on one device.
    """

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        self._names = tuple(values)
        every = torch.stack([value.detach().double() for value in values.values()])
        self._copy = every.to("cpu", non_blocking=True)
        self._copied = torch.cuda.Event() if every.is_cuda else None  # type: ignore[no-untyped-call]
        if self._copied:
            self._copied.record(torch.cuda.current_stream(every.device))

    def numbers(self) -> dict[str, float]:
        """Return the numbers; wait for them if they are not there yet."""
        if self._copied:
            self._copied.synchronize()
        return dict(zip(self._names, self._copy.tolist(), strict=True))
