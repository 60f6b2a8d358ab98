"""One look at every image: what `check` needs to know of the pixels, gathered in a single pass.

parts = survey_all([train, test])       # each dataset with its survey, and with who equals whom over all of them
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.dataset import Dataset, Images
from viewfinder.data.images import threads
from viewfinder.data.similar import SAME_PICTURE, SAME_THING, SIDE, alike, descriptors, miniature
from viewfinder.errors import DataError

__all__ = ["Part", "Survey", "survey", "survey_all"]

ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Survey:
    """N images at a glance; of an image that cannot be decoded all is 0.

    Args:
        digests: (N,) 16 bytes, equal where shape and all pixels are.
        miniatures: (N, 256) float32, see `similar.miniature`.
        sizes: (N, 3) int64 height, width, channels.
        lowest: (N,) uint8 the darkest value.
        highest: (N,) uint8 the brightest value.
        unreadable: by row, why it could not be decoded.
    """

    digests: NDArray[np.bytes_]
    miniatures: NDArray[np.float32]
    sizes: NDArray[np.int64]
    lowest: NDArray[np.uint8]
    highest: NDArray[np.uint8]
    unreadable: dict[int, str]

    @property
    def readable(self) -> NDArray[np.bool_]:
        """(N,) whether an image could be decoded."""
        return self.sizes[:, 0] > 0


def survey(images: Images) -> Survey:
    """Look at every image once; nothing but the result is kept in memory."""
    count = len(images)
    result = Survey(
        np.zeros(count, dtype="S16"),
        np.zeros((count, SIDE * SIDE), dtype=np.float32),
        np.zeros((count, 3), dtype=np.int64),
        np.zeros(count, dtype=np.uint8),
        np.zeros(count, dtype=np.uint8),
        {},
    )
    many = max(4, threads(images))
    each = max(1, min(ROWS_AT_ONCE, count // many))
    pieces = [range(first, min(first + each, count)) for first in range(0, count, each)]
    with ThreadPoolExecutor(many) as pool:
        list(pool.map(lambda rows: _look(images, rows, result), pieces))
    return result


def _look(images: Images, rows: Iterable[int], result: Survey) -> None:
    for row in rows:
        try:
            image = images[row]
        except DataError as error:
            result.unreadable[row] = error.what
            continue
        digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(image).data)
        result.digests[row] = digest.digest()
        result.miniatures[row] = miniature(image)
        result.sizes[row] = image.shape
        result.lowest[row], result.highest[row] = image.min(), image.max()


@dataclass(frozen=True)
class Part:
    """A dataset of N samples and what its images look like.

    Args:
        dataset: the samples.
        seen: the survey of its images.
        exact: (N,) int64, the same number for equal images, over all datasets that are looked at together.
        near: (N,) int64, the same number for one picture that was saved again.
        similar: (N,) int64, the same number for images of this dataset that look alike; None where so many pairs do
            that it says nothing, where groups are known already, and where there are no targets to train on.
    """

    dataset: Dataset
    seen: Survey
    exact: NDArray[np.int64]
    near: NDArray[np.int64]
    similar: NDArray[np.int64] | None

    def where(self, row: int) -> str:
        """Return where a sample is, for people."""
        return self.dataset.images.where(int(row))

    def wheres(self, rows: Iterable[int]) -> tuple[str, ...]:
        """Return where samples are."""
        return tuple(self.where(row) for row in rows)

    def repeated(self, numbers: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return the rows of each number that stands more than once, without images that cannot be decoded."""
        rows = np.flatnonzero(self.seen.readable)
        order = rows[np.argsort(numbers[rows], kind="stable")]
        pieces = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
        return sorted((piece for piece in pieces if len(piece) > 1), key=lambda piece: int(piece[0]))


def survey_all(datasets: Sequence[Dataset]) -> list[Part]:
    """Look at all images of all datasets, and compare each with each."""
    surveys = [survey(dataset.images) for dataset in datasets]
    exact = np.unique(np.concatenate([seen.digests for seen in surveys]), return_inverse=True)[1].astype(np.int64)
    near = alike(descriptors(np.concatenate([seen.miniatures for seen in surveys])), SAME_PICTURE)
    assert near is not None
    ends = np.cumsum([len(dataset) for dataset in datasets])[:-1]
    columns = (datasets, surveys, np.split(exact, ends), np.split(near, ends))
    return [Part(*column, _similar(column[0], column[1])) for column in zip(*columns, strict=True)]


def _similar(dataset: Dataset, seen: Survey) -> NDArray[np.int64] | None:
    if dataset.targets is None or dataset.groups is not None:
        return None
    return alike(descriptors(seen.miniatures), SAME_THING, most=len(dataset))
