"""How much of a set may lie in memory: what is larger stays on disk."""

from __future__ import annotations

import math
import os

from viewfinder.errors import InputError

__all__ = ["IN_MEMORY", "most_in_memory"]

IN_MEMORY = "VIEWFINDER_IN_MEMORY"
"""The environment variable that says how many gigabytes of pixels may lie in memory."""
USUAL = 2.0


def most_in_memory() -> float:
    """Return how many bytes of pixels may lie in memory. Raises InputError where the environment says no number."""
    text = os.environ.get(IN_MEMORY) or str(USUAL)
    try:
        most = float(text)
    except ValueError:
        most = math.nan
    if not most >= 0:
        raise InputError(f"is {text!r} instead of a number of gigabytes", where=IN_MEMORY, hint="unset it, or say 4")
    return most * 1e9
