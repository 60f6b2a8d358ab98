"""How many cores there are for a process: fewer than the machine has where it is bound to some of them."""

from __future__ import annotations

import os

__all__ = ["usable_cores"]


def usable_cores(shared_by: int = 1) -> int:
    """Return how many cores each of so many processes may use, where they share those of this one; at least 1."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, there // max(1, shared_by))
