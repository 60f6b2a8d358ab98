"""Findings about what two sides of a split share: a score on images that were learned from is worth nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.findings import Finding, counted
from viewfinder.data.survey import Part

__all__ = ["group_leakage", "leakage", "near_leakage"]


def leakage(parts: Sequence[Part]) -> Iterator[Finding]:
    """Find equal images on two sides: in two given splits of a dataset, or in two datasets."""
    shared = _shared(parts, [part.exact for part in parts])
    if shared:
        yield Finding(
            "leakage",
            "error",
            f"{counted(len(shared), 'image')} on more than one side: {_sides(parts)}",
            tuple(" = ".join(places) for places in shared),
            "Delete the copies on one side: a score on images that were learned from says nothing.",
        )


def near_leakage(parts: Sequence[Part]) -> Iterator[Finding]:
    """Find pictures on two sides that are nearly equal."""
    exact = {tuple(places) for places in _shared(parts, [part.exact for part in parts])}
    shared = [places for places in _shared(parts, [part.near for part in parts]) if tuple(places) not in exact]
    if shared:
        yield Finding(
            "near-leakage",
            "warning",
            f"{counted(len(shared), 'image')}, saved twice, on more than one side: {_sides(parts)}",
            tuple(" ~ ".join(places) for places in shared),
            "Look at them, and keep each picture on one side.",
        )


def group_leakage(parts: Sequence[Part]) -> Iterator[Finding]:
    """Find groups whose samples are in two given splits of one dataset."""
    part = parts[0]
    groups, splits = part.dataset.groups, part.dataset.splits
    if groups is None or splits is None:
        return
    torn = [int(group) for group in np.unique(groups) if len(np.unique(splits[groups == group])) > 1]
    if torn:
        yield Finding(
            "group-leakage",
            "error",
            f"{counted(len(torn), 'group')} in more than one split",
            tuple(f"group {group}: {part.where(int(np.argmax(groups == group)))}" for group in torn),
            "Move each group to one split: what is known of a group's other samples makes the score too good.",
        )


def _shared(parts: Sequence[Part], numbers: Sequence[NDArray[np.int64]]) -> list[list[str]]:
    """Return, for each number that more than one side has, where its images are."""
    sides = _side_numbers(parts)
    every, side = np.concatenate(numbers), np.concatenate(sides)
    readable = np.concatenate([part.seen.readable for part in parts])
    pairs = np.unique(np.stack([every[readable], side[readable]], axis=1), axis=0)
    values, counts = np.unique(pairs[:, 0], return_counts=True)
    wanted = np.flatnonzero(np.isin(every, values[counts > 1]) & readable)
    starts = np.cumsum([0, *(len(part.dataset) for part in parts)])
    places: dict[int, list[str]] = defaultdict(list)
    for row in wanted.tolist():
        index = int(np.searchsorted(starts, row, side="right")) - 1
        places[int(every[row])].append(parts[index].where(row - int(starts[index])))
    return list(places.values())


def _side_numbers(parts: Sequence[Part]) -> list[NDArray[np.int64]]:
    """Return (N,) for each part: a number for each dataset and split."""
    numbers, first = [], 0
    for part in parts:
        splits = part.dataset.splits
        inverse = np.zeros(len(part.dataset), np.int64) if splits is None else np.unique(splits, return_inverse=True)[1]
        numbers.append(inverse + first)
        first += 1 + int(inverse.max(initial=0))
    return numbers


def _sides(parts: Sequence[Part]) -> str:
    names: list[str] = []
    for part in parts:
        splits = part.dataset.splits
        names += [part.dataset.part] if splits is None else np.unique(splits).tolist()
    return ", ".join(names)
