"""What the host learns of a device without making either wait."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["Readout"]


class Readout:
    """Numbers that were asked for and are read once they are there: at once on a CPU, on a GPU some steps later.

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

    def there(self) -> bool:
        """Whether the numbers can be read now."""
        return self._copied is None or bool(self._copied.query())  # type: ignore[no-untyped-call]

    def numbers(self) -> dict[str, float]:
        """Return the numbers, which must be there."""
        assert self.there(), "the copy has not ended"
        return dict(zip(self._names, self._copy.tolist(), strict=True))
