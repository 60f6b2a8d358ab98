"""Names for files that are made of other files' names or paths."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from itertools import chain, count

__all__ = ["shortened", "unlike"]

LONGEST = 200
"""Bytes: file systems take 255, and a number and a suffix must find room."""


def shortened(stem: str) -> str:
    """Return a file's name without its suffix, of which only the end is kept where it is too long for a name."""
    while len(os.fsencode(stem)) > LONGEST:
        stem = stem[1:]
    return stem


def unlike(stems: Sequence[str]) -> list[str]:
    """Return names of which no two are equal, also where capitals count as small letters.

    A name that stands alone stays; of equal ones each gets the number of its row, and one more if that is taken.
    """
    taken = Counter(map(str.lower, stems))
    names = list(stems)
    for row, stem in enumerate(stems):
        if taken[stem.lower()] > 1:
            more = chain([""], (f"-{again}" for again in count(2)))
            names[row] = next(name for name in (f"{stem}-{row}{one}" for one in more) if name.lower() not in taken)
            taken[names[row].lower()] = 1
    return names
