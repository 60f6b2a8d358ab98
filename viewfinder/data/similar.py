"""Which images look alike: the same picture saved again, or the same person a moment later.

    groups = similar_groups(dataset.images)            # (N,) the same number for images that look alike

An image is described by its 16×16 miniature in gray, free of brightness and contrast. What all images of a set have in
common (the oval of a face, the black around a digit) says nothing about a pair, so the directions in which the
set varies most count less: descriptors are multiplied by the set's covariance to the power of -1/4. Small sets know
little about themselves, so there the covariance is drawn towards that of white noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from viewfinder.data.ahead import ahead
from viewfinder.data.dataset import Images
from viewfinder.data.images import FileImages, threads
from viewfinder.errors import DataError

__all__ = ["SAME_PICTURE", "SAME_THING", "alike", "descriptors", "miniature", "related_groups", "similar_groups"]

SAME_PICTURE = 0.995
"""Similarity of one picture saved twice, smaller or as a JPEG; no two of 42,000 handwritten digits reach it."""
SAME_THING = 0.8
"""Similarity of one person's photos from one occasion; see `similar_groups`."""

STRICTER = (SAME_THING, 0.9, 0.95, SAME_PICTURE)
SIDE, KEPT, BLOCK = 16, 64, 1024
Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


def similar_groups(images: Images, threshold: float = SAME_THING) -> NDArray[np.int64]:
    """Return (N,) int64: images have the same number when a chain of similar pairs connects them.

    The default was chosen by looking at pairs of the 6,273 faces of Facial Keypoints Detection: from 0.86 up 19 of
    20 show the same person on the same occasion, from 0.80 to 0.86 four in five, from 0.75 to 0.80 one in two.
    At 0.80 the groups stay small (16 % of the faces are in one, the largest has 18), and a wrong pair costs nothing in
    a split. Where all images look alike, as digits do, use a higher one: at 0.80 most of them are one group.

    Args:
        images: N images; those that cannot be decoded and those of a single colour are in no group.
        threshold: the similarity of a pair, -1 to 1.
    """
    groups = alike(descriptors(_miniatures(images)), threshold)
    assert groups is not None
    return groups


def related_groups(images: Images) -> NDArray[np.int64]:
    """Return (N,) int64: images have the same number when they should stay on one side of a split.

    These are the similar ones, as long as no group holds more than a third of all. Frames of one camera, or digits, may
    all look alike: then only pairs that are more alike than the rest count, at least those of one picture saved twice.
    """
    described = descriptors(_miniatures(images))
    for threshold in STRICTER:
        groups = alike(described, threshold)
        assert groups is not None
        if np.bincount(groups).max(initial=0) <= max(1, len(groups) / 3):
            return groups
    return np.arange(len(images))


def _miniatures(images: Images) -> Floats:
    """Return (N, 256); of an image that cannot be decoded all is 0."""
    one, rows = partial(_miniature_or_nothing, images), range(len(images))
    each = ahead(one, rows, threads(images)) if isinstance(images, FileImages) else map(one, rows)
    return np.array(list(each), dtype=np.float32)


def _miniature_or_nothing(images: Images, row: int) -> Floats:
    try:
        return miniature(images[row])
    except DataError:
        return np.zeros(SIDE * SIDE, dtype=np.float32)


def miniature(image: NDArray[np.uint8]) -> Floats:
    """Return an image (H, W, C) as (256,) float32 of mean 0 and length 1; all 0 where it is of a single colour."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[2] == 3 else image[:, :, 0]
    area = gray.shape[0] >= SIDE and gray.shape[1] >= SIDE
    small = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA if area else cv2.INTER_LINEAR)
    values = small.astype(np.float32).ravel()
    values -= values.mean()
    return _of_length_1(values[None]).ravel()


def descriptors(small: Floats) -> Floats:
    """Return (N, 64) descriptors of length 1 from miniatures (N, 256); a product of two is their similarity."""
    share = len(small) / (len(small) + small.shape[1])
    centred = small - share * small.mean(axis=0)
    noise = (1 - share) * (centred**2).sum(dtype=np.float64) / small.size
    with _one_thread():
        covariance = share * (centred.T @ centred).astype(np.float64) / len(small)
        variances, directions = np.linalg.eigh(covariance + max(noise, 1e-12) * np.eye(small.shape[1]))
        weighted = directions[:, -KEPT:] * variances[-KEPT:] ** -0.25
        result = _of_length_1(centred @ weighted.astype(np.float32))
    result[~small.any(axis=1)] = 0
    return result


def _of_length_1(values: Floats) -> Floats:
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6), dtype=np.float32)


def alike(descriptors: Floats, threshold: float, most: int | None = None) -> NDArray[np.int64] | None:
    """Return (N,) int64: the connected components of all pairs that are at least so similar, numbered from 0.

    Every pair is compared, a block of 1,024 × 1,024 at a time. Where there are more than `most` pairs, it stops and
    returns None.
    """
    root, pairs = np.arange(len(descriptors)), 0
    with _one_thread():
        for first, second in _similar_pairs(descriptors, threshold):
            _join(root, first, second)
            pairs += len(first)
            if most is not None and pairs > most:
                return None
    return np.unique(root, return_inverse=True)[1].astype(np.int64)


def _one_thread() -> AbstractContextManager[Any]:
    """Keep matrix products to one thread: on busy cores OpenBLAS' threads spin while they wait for each other.

    Measured with 70,000 images beside two trainings on two cores: 123 s on two threads, 19 s on one.
    """
    limits: AbstractContextManager[Any] = threadpool_limits(1, user_api="blas")
    return limits


def _similar_pairs(descriptors: Floats, threshold: float) -> Iterator[tuple[Rows, Rows]]:
    for top in range(0, len(descriptors), BLOCK):
        for left in range(top, len(descriptors), BLOCK):
            product = descriptors[top : top + BLOCK] @ descriptors[left : left + BLOCK].T
            first, second = np.divmod(np.flatnonzero(product.ravel() >= threshold), product.shape[1])
            once = first + top < second + left
            yield first[once] + top, second[once] + left


def _join(root: Rows, first: Rows, second: Rows) -> None:
    """Union-find for many pairs at once: hang the higher root under the lower one until every pair has one root."""
    while True:
        one, other = root[first], root[second]
        apart = one != other
        if not apart.any():
            return
        first, second, one, other = first[apart], second[apart], one[apart], other[apart]
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while (root[root] != root).any():
            root[:] = root[root]
