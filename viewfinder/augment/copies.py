"""Varied copies of images with their targets, for who wants them on disk: training varies its images by itself.

    write(varied(whole("faces"), recipe.augment, times=60, seed=42), "aug", "labelme")

Copies are made one by one while they are written. Each is a pure function of the seed, its image and its number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.augment.geometry import Moves, compose, draw, draw_frames, identity, warp_numpy
from viewfinder.augment.pixels import draw_light, light_numpy
from viewfinder.config import Augment
from viewfinder.data.dataset import Dataset, Images
from viewfinder.data.images import fit, image_file

__all__ = ["VariedImages", "varied"]

_QUALITY = 95
_MOVES, _LIGHT = range(2)


def varied(
    dataset: Dataset,
    augment: Augment,
    times: int,
    seed: int,
    *,
    every_part: bool = False,
    progress: Callable[[], None] | None = None,
) -> Dataset:
    """Return a dataset with varied copies in the place of its images, and targets that moved along.

    A copy has the size of the image, or of the crop where that is smaller; what a crop cuts off is no target any more.
    Mosaics are not laid and nothing is pasted: a copy is of one image.

    Args:
        dataset: labelled images.
        augment: how the copies vary.
        times: copies of each image.
        seed: decides which.
        every_part: vary validation and test images too; where the dataset has splits, they stay as they are otherwise.
        progress: called for each file that is made.

    Raises:
        DataError: there are no targets, or an image cannot be read.
    """
    targets = dataset.labelled()
    chosen = np.full(len(dataset), every_part or dataset.splits is None)
    if dataset.splits is not None:
        chosen |= dataset.splits == "train"
    counts = np.where(chosen, times, 1)
    sources = np.repeat(np.arange(len(dataset)), counts)
    numbers = np.arange(len(sources)) - np.repeat(np.cumsum(counts) - counts, counts)
    sizes = np.array([image_file(dataset.images, row)[2] for row in range(len(dataset))]).reshape(-1, 2)
    each = [
        _moves(augment, sizes[row], counts[row], _generator(seed, _MOVES, row))
        for row in np.flatnonzero(chosen).tolist()
    ]
    moves = Moves(identity(len(sources)), np.zeros(len(sources), dtype=bool))
    if each:
        moves.matrices[chosen[sources]] = np.concatenate([one.matrices for one in each])
        moves.mirrored[chosen[sources]] = np.concatenate([one.mirrored for one in each])
    sides = np.where(chosen[:, None] & (augment.crop > 0), _sides(augment, sizes)[:, None], sizes)[sources]
    numbers[~chosen[sources]] = -1
    images = VariedImages(dataset.images, sources, numbers, moves.matrices, sides, augment, seed, progress)
    moved = targets.select(sources).moved(moves.matrices, moves.mirrored, dataset.names).within(sides)
    splits = None if dataset.splits is None else dataset.splits[sources]
    return replace(dataset, images=images, targets=moved, splits=splits, groups=sources, ids=None, rows=None)


@dataclass(frozen=True)
class VariedImages:
    """Images and varied copies of images, made when they are asked for.

    Args:
        images: what they are made of.
        sources: (N,) int64: of which image.
        numbers: (N,) int64: which copy of it, from 0; -1: the image itself.
        matrices: (N, 2, 3) from the image's pixels to the copy's.
        sizes: (N, 2) widths and heights.
        augment: the border, and in what light copies are.
        seed: decides the light.
        progress: called for each file that is made.
    """

    images: Images
    sources: NDArray[np.int64] = field(repr=False)
    numbers: NDArray[np.int64] = field(repr=False)
    matrices: NDArray[np.float64] = field(repr=False)
    sizes: NDArray[np.int64] = field(repr=False)
    augment: Augment
    seed: int
    progress: Callable[[], None] | None = field(default=None, repr=False, compare=False)
    _last: dict[int, NDArray[np.uint8]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, row: int) -> NDArray[np.uint8]:
        source, number, (width, height) = int(self.sources[row]), int(self.numbers[row]), self.sizes[row].tolist()
        image = self._source(source)
        if number < 0:
            return image
        side, longest = max(width, height), max(image.shape[:2])
        square = fit(image, longest, image.shape[2])
        left, top = (side - width) // 2, (side - height) // 2
        there, here = (np.array([matrix]) for matrix in (square.matrix, [[1, 0, left], [0, 1, top]]))
        there[:, :, 2] *= -1
        matrix = compose(compose(there, self.matrices[[row]]), here)
        moved = warp_numpy(square.pixels[None], matrix, self.augment.border, side)
        shown = np.ascontiguousarray(moved[:, top : top + height, left : left + width])
        light = draw_light(self.augment, shown.shape, _generator(self.seed, _LIGHT, source, number))
        return np.asarray(light_numpy(shown, self.augment, light)[0])

    def select(self, rows: NDArray[Any]) -> VariedImages:
        return replace(
            self,
            sources=self.sources[rows],
            numbers=self.numbers[rows],
            matrices=self.matrices[rows],
            sizes=self.sizes[rows],
        )

    def where(self, row: int) -> str:
        path, number = PurePosixPath(self.images.where(int(self.sources[row]))), int(self.numbers[row])
        return str(path if number < 0 else path.with_name(f"{path.stem}-{number + 1:03d}{path.suffix}"))

    def file(self, row: int) -> tuple[bytes, str, tuple[int, int]]:
        """Return a copy as a JPEG where its image is one, else as a PNG; an image that is not varied as it was."""
        if self.progress:
            self.progress()
        if self.numbers[row] < 0:
            return image_file(self.images, int(self.sources[row]))
        suffix = PurePosixPath(self.where(row)).suffix.lower()
        suffix = suffix if suffix in (".jpg", ".jpeg") else ".png"
        image = self[row]
        stored = image[:, :, ::-1] if image.shape[2] == 3 else image
        content = cv2.imencode(suffix, stored, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        return content.tobytes(), suffix, (image.shape[1], image.shape[0])

    def fingerprint(self) -> str:
        digest = hashlib.blake2b(self.images.fingerprint().encode(), digest_size=16)
        digest.update(repr((self.augment, self.seed)).encode())
        for column in (self.sources, self.numbers, self.matrices, self.sizes):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()

    def _source(self, row: int) -> NDArray[np.uint8]:
        """Return an image; the last one is kept, since its copies are asked for one after the other."""
        if row not in self._last:
            self._last.clear()
            self._last[row] = self.images[row]
        return self._last[row]


def _sides(augment: Augment, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (N,) the side of the square that an image's copies are cut out as."""
    longest = sizes.max(axis=1, initial=1)
    return np.asarray(np.minimum(augment.crop or longest, longest))


def _moves(augment: Augment, size: NDArray[np.int64], times: int, rng: np.random.Generator) -> Moves:
    """Return moves from an image of a width and a height to its copies."""
    longest, side = int(size.max()), int(_sides(augment, size[None])[0])
    to_square, back = identity(times), identity(times)
    to_square[:, :, 2] = (longest - size) // 2
    frames = draw_frames(augment, to_square, longest, side, rng)
    moves = draw(augment, times, side, rng)
    if not augment.crop:
        back[:, :, 2] = -to_square[:, :, 2]
    matrices = compose(compose(compose(to_square, frames), moves.matrices), back)
    return Moves(matrices, moves.mirrored)


def _generator(*what: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(what))
