"""A part of a batch: several processes share the work of each one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Share"]


@dataclass(frozen=True)
class Share:
    """Which samples of a batch are worked on here.

    What is left to chance is drawn for the whole batch, so that the shares together are the batch of one process.

    Args:
        places: (n,) int64, their places in the batch.
        whole: how many samples the batch has.
    """

    places: NDArray[np.int64]
    whole: int

    @classmethod
    def all(cls, count: int) -> Share:
        """Return the share of one who works alone."""
        return cls(np.arange(count), count)
