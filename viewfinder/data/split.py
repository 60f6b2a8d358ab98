"""Splitting: each class keeps its share, whole groups stay on one side, and the same seed gives the same split.

train_rows, val_rows = split_rows(dataset, val=0.1, seed=42)
rows = split_parts(dataset, {"train": 0.8, "val": 0.1, "test": 0.1}, seed=42)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.dataset import Dataset
from viewfinder.data.targets import Labels
from viewfinder.errors import DataError

__all__ = ["split_parts", "split_rows", "strata_of"]

Rows = NDArray[np.int64]


def split_rows(dataset: Dataset, val: float, seed: int) -> tuple[Rows, Rows]:
    """Return (training rows, validation rows), each in rising order.

    Where the dataset says which rows are for training and for validation, those are returned; rows for testing are in
    neither. Otherwise each class has `val` of its samples on the validation side, to the nearest whole sample, if there
    are no groups, and as nearly as whole groups allow if there are. Every class keeps a sample for training. Points
    are split by whether all of a sample's points are known, boxes by the rarest class of a sample.

    Args:
        dataset: N samples.
        val: share for validation, between 0 and 1.
        seed: decides which; the same on every machine.

    Raises:
        DataError: fewer than two samples, one class only, or nothing would be left on one side.
    """
    if dataset.splits is None:
        parts = split_parts(dataset, {"train": 1 - val, "val": val}, seed)
        return parts["train"], parts["val"]
    train, given = (np.flatnonzero(dataset.splits == name) for name in ("train", "val"))
    if not len(train):
        raise DataError("none of its splits is called 'train'", where=dataset.source)
    if len(given):
        _check_classes(dataset.select(train))
        return train, given
    parts = split_parts(dataset.select(train), {"train": 1 - val, "val": val}, seed)
    return train[parts["train"]], train[parts["val"]]


def split_parts(dataset: Dataset, shares: Mapping[str, float], seed: int) -> dict[str, Rows]:
    """Return the rows of each part by name, in rising order, by the rules of `split_rows`; given splits do not count.

    Args:
        dataset: N samples.
        shares: of each part, adding up to 1; what whole samples and whole groups leave over goes to the first.
        seed: decides which.

    Raises:
        DataError: shares do not add up, fewer samples than parts, one class only, or a part would be empty.
    """
    if min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        shown = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise DataError(f"shares must be above 0 and add up to 1, got {shown}", where=dataset.source)
    if len(dataset) < len(shares):
        fault = f"{len(dataset)} samples cannot be split into {', '.join(shares)}"
        raise DataError(fault, where=dataset.source, hint="add samples")
    _check_classes(dataset)
    strata, groups = strata_of(dataset), _groups(dataset)
    left, generator = np.arange(len(dataset)), np.random.default_rng(seed)
    (first, rest), *others = shares.items()
    parts = {}
    for name, share in reversed(others):
        whole = rest + sum(shares[other] for other, _ in others if other not in parts)
        taken = _taken(strata[left], groups[left], share / whole, generator)
        parts[name], left = left[taken], left[~taken]
    parts[first] = left
    for name, rows in parts.items():
        if not len(rows):
            hint = "change the share, or add samples or groups: a group stays whole, and so does a class of one sample"
            raise DataError(f"a share of {shares[name]:g} leaves no sample for {name}", where=dataset.source, hint=hint)
    return {name: parts[name] for name in shares}


def _check_classes(dataset: Dataset) -> None:
    if isinstance(dataset.targets, Labels) and len(np.unique(dataset.targets.ids)) < 2:
        raise DataError("one class only", where=dataset.source, hint="add samples of another class to tell it from")


def strata_of(dataset: Dataset) -> Rows:
    """Return (N,) numbers from 0: samples with the same one are spread evenly."""
    if dataset.targets is None:
        return np.zeros(len(dataset), dtype=np.int64)
    return np.unique(dataset.targets.strata(), return_inverse=True)[1].astype(np.int64)


def _groups(dataset: Dataset) -> Rows:
    return np.arange(len(dataset)) if dataset.groups is None else dataset.groups


def _taken(strata: Rows, groups: Rows, share: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Return (N,) which samples make up a share: groups in random order, each that brings the counts nearer to it."""
    left = np.bincount(strata)
    missing = _wanted(left, share, generator)
    if len(np.unique(groups)) == len(groups):
        order = np.argsort(groups, kind="stable")[generator.permutation(len(groups))]
        return _first_of_each(strata, order, missing)
    members = _members(groups)
    taken, others = np.zeros(len(strata), dtype=bool), []
    for i in generator.permutation(len(members)):
        counts = np.bincount(strata[members[i]], minlength=len(left))
        if ((counts > 0) & (counts == left)).any():
            continue
        # (missing - counts)² < missing², summed over the strata.
        if (counts * (counts - 2 * missing)).sum() < 0:
            left, missing = left - counts, missing - counts
            taken[members[i]] = True
        else:
            others.append(members[i])
    if not taken.any() and others:
        taken[min(others, key=len)] = True
    return taken


def _first_of_each(strata: Rows, order: Rows, wanted: Rows) -> NDArray[np.bool_]:
    """Return (N,) the first samples in an order, as many of each stratum as are wanted: groups of one, all at once."""
    by_stratum = order[np.argsort(strata[order], kind="stable")]
    counts = np.bincount(strata)
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    taken = np.zeros(len(strata), dtype=bool)
    taken[by_stratum[place < wanted[strata[by_stratum]]]] = True
    return taken


def _wanted(counts: Rows, share: float, generator: np.random.Generator) -> Rows:
    """Return how many samples of each stratum make up a share: whole numbers that add up, at least one, never all."""
    exact = counts * share
    whole = np.floor(exact).astype(np.int64)
    order = generator.permutation(len(counts))
    order = order[np.argsort(-(exact - whole)[order], kind="stable")]
    order = order[whole[order] < counts[order] - 1]
    more = max(round(float(exact.sum())), int(share > 0)) - int(whole.sum())
    whole[order[: max(0, more)]] += 1
    return np.asarray(np.minimum(whole, counts - 1))


def _members(groups: Rows) -> list[Rows]:
    """Return the rows of each group."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
