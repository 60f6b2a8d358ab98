"""Several datasets as one: all parts of a source, or the photos of two days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.dataset import Dataset
from viewfinder.data.images import FileImages
from viewfinder.data.reading import parts, read
from viewfinder.errors import DataError

__all__ = ["in_folders", "joined", "whole"]


def whole(path: str | Path) -> Dataset:
    """Return all labelled parts of a path as one dataset, whose splits are those of the source, if it has any.

    Raises DataError where the path cannot be read, or no part has labels.
    """
    return _as_one(_labelled_parts(path))


def in_folders(path: str | Path, hint: str) -> Dataset:
    """Return all labelled parts of a path, as `whole`, whose images are files and may lie in train, val and test.

    Raises DataError, with the hint where images are not files.
    """
    labelled = _labelled_parts(path)
    for dataset in labelled:
        if not isinstance(dataset.images, FileImages):
            raise DataError(f"is of the format {dataset.format}, which has no folders", where=path, hint=hint)
    return _as_one(labelled)


def joined(datasets: Sequence[Dataset]) -> Dataset:
    """Return the samples of datasets one after the other, with all classes that one of them has, matched by name.

    Splits are kept where all have them; groups are not.

    Raises DataError unless all are of one task, labelled, and images in files of one source or of folders.
    """
    first = datasets[0]
    for other in datasets[1:]:
        if other.task != first.task:
            raise DataError(f"is to {other.task}, and {first.name} is to {first.task}", where=other.source)
    names = tuple(dict.fromkeys(name for dataset in datasets for name in dataset.names))
    splits = [dataset.splits for dataset in datasets]
    return Dataset(
        first.task,
        names,
        reduce(FileImages.joined, [_files(dataset) for dataset in datasets]),
        reduce(lambda one, other: one.joined(other), [dataset.named(names).labelled() for dataset in datasets]),
        source=", ".join(dict.fromkeys(dataset.source for dataset in datasets)),
        format=first.format,
        splits=None
        if any(one is None for one in splits)
        else np.concatenate([one for one in splits if one is not None]),
        ids=np.concatenate([_ids(dataset) for dataset in datasets]),
        notes=tuple(dict.fromkeys(note for dataset in datasets for note in dataset.notes)),
    )


def _labelled_parts(path: str | Path) -> list[Dataset]:
    every = [read(path, part) for part in parts(path)]
    labelled = [dataset for dataset in every if dataset.targets is not None]
    if not labelled:
        raise DataError("has no labels", where=path, hint="label some images first")
    return labelled


def _as_one(labelled: Sequence[Dataset]) -> Dataset:
    return joined([_with_splits(dataset) for dataset in labelled]) if len(labelled) > 1 else labelled[0]


def _with_splits(dataset: Dataset) -> Dataset:
    splits = np.full(len(dataset), dataset.part) if dataset.splits is None else dataset.splits
    return replace(dataset, splits=splits)


def _files(dataset: Dataset) -> FileImages:
    if not isinstance(dataset.images, FileImages):
        raise DataError("holds images in an array, which cannot be joined", where=dataset.source)
    return dataset.images


def _ids(dataset: Dataset) -> NDArray[Any]:
    return np.array([dataset.images.where(row) for row in range(len(dataset))]) if dataset.ids is None else dataset.ids
