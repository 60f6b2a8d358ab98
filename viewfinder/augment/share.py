"""A part of a batch: several processes share the work of each one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Share", "cut"]


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


def cut(places: NDArray[np.int64]) -> NDArray[np.int64] | slice:
    """Return rising places as a slice where they follow each other: by it arrays are cut out without a copy."""
    if len(places) and places[-1] - places[0] == len(places) - 1:
        return slice(int(places[0]), int(places[-1]) + 1)
    return places
