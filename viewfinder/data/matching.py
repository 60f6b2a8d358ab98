"""Which predicted box is of which true box, within one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.boxes import overlaps

__all__ = ["MATCH", "Matching", "assigned", "match", "same_class"]

MATCH = 0.5
"""Overlap, intersection over union, from which a predicted box is at the place of a true one."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Matching:
    """What became of P predicted and T true boxes. A box is counted once.

    Args:
        partner: (P,) int64, the true box that each predicted box is of, -1 for none.
        found: (P,) it has a partner, and the right class.
        confused: (P,) it has a partner, and a wrong class.
        doubled: (P,) it has no partner, and is at the place of a true box that another predicted box is of.
        false: (P,) it has no partner, and is at no true box's place.
        missed: (T,) true boxes that are nobody's partner.
        overlap: (P,) intersection over union with the partner, 0 without one.
    """

    partner: NDArray[np.int64]
    found: Flags
    confused: Flags
    doubled: Flags
    false: Flags
    missed: Flags
    overlap: NDArray[np.float32]

    @property
    def mistakes(self) -> dict[str, int]:
        """How many boxes are wrong in which way, in words for people; nothing that there is none of."""
        kinds = (("missed", self.missed), ("false", self.false), ("doubled", self.doubled), ("confused", self.confused))
        return {word: int(flags.sum()) for word, flags in kinds if flags.any()}


def match(xyxy: NDArray[Any], classes: Sequence[str], true_xyxy: NDArray[Any], true_classes: Sequence[str]) -> Matching:
    """Return what became of predicted boxes (P, 4), the best first, and true boxes (T, 4).

    Each takes the true box of its class that it overlaps most, at least by half, and that no better one has taken.
    Those left over then take what is left of the true boxes whatever their class: they are confused.
    """
    overlap, same = overlaps(xyxy, true_xyxy), same_class(classes, true_classes)
    own = assigned(overlap, same)
    free = np.ones(len(true_xyxy), dtype=bool)
    free[own[own >= 0]] = False
    other = assigned(overlap, (own < 0)[:, None] & free)
    partner = np.where(own >= 0, own, other)
    free[other[other >= 0]] = False
    alone, near = partner < 0, (overlap >= MATCH).any(axis=1)
    shared = np.zeros(len(partner), dtype=np.float32)
    shared[~alone] = overlap[np.flatnonzero(~alone), partner[~alone]]
    return Matching(partner, own >= 0, other >= 0, alone & near, alone & ~near, free, shared)


def assigned(overlap: NDArray[Any], allowed: Flags) -> NDArray[np.int64]:
    """Return (P,) the true box of each predicted box or -1, as COCO does it: the best prediction chooses first.

    Args:
        overlap: (P, T) intersection over union, the best prediction first.
        allowed: (P, T) pairs that may be.
    """
    left = np.where(allowed & (overlap >= MATCH), overlap, 0)
    partner = np.full(len(left), -1, dtype=np.int64)
    for row in np.flatnonzero(left.any(axis=1)):
        best = int(left[row].argmax())
        if left[row, best] > 0:
            partner[row] = best
            left[:, best] = 0
    return partner


def same_class(one: Sequence[str], other: Sequence[str]) -> Flags:
    """Return (P, T) which pairs of boxes have the same class."""
    ids = {name: i for i, name in enumerate(dict.fromkeys([*one, *other]))}
    here, there = (np.array([ids[name] for name in classes], dtype=np.int64) for classes in (one, other))
    return np.asarray(here[:, None] == there[None])
