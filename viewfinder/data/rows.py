"""Fitted images as rows that are asked for by number: an array in memory or, of a large set, rows that stay on disk.

    pixels, maps = fit_rows(dataset.images, 224, 3)
    pixels[np.array([5, 0])]          # (2, 224, 224, 3) uint8
    maps[np.array([5, 0])]            # (2, 2, 3), from the images' pixels to these

A set is large where its pixels would take more than VIEWFINDER_IN_MEMORY gigabytes. Its files are decoded when they are
first asked for, and kept in the cache; of an array that is mapped from a file, rows are read from there. The values
are those that would lie in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.dataset import ArrayImages, Images
from viewfinder.data.filling import Filling, Positioned
from viewfinder.data.images import FIND_ALL, FileImages, Fitted, fit, fit_all, fitting_map, threads
from viewfinder.data.memory import most_in_memory
from viewfinder.data.remote import remote
from viewfinder.data.store import key_of
from viewfinder.errors import DataError

__all__ = ["Maps", "PixelRows", "digests", "fit_rows", "in_memory", "is_large", "lying"]

_AT_ONCE = 64

Rows = NDArray[np.int64]
Matrices = NDArray[np.float64]


class PixelRows(Protocol):
    """N fitted images; an array is one form of it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, S, S, C)."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Rows, /) -> NDArray[np.uint8]:
        """Return (n, S, S, C), a copy. Raises DataError where a file cannot be decoded."""
        ...


class Maps(Protocol):
    """The maps of N images to their fitted pixels; an array (N, 2, 3) is one form of it."""

    def __getitem__(self, rows: Rows, /) -> Matrices:
        """Return (n, 2, 3). Raises DataError where a file is no image."""
        ...


def fit_rows(images: Images, size: int, channels: int) -> tuple[PixelRows, Maps]:
    """Fit a column of images: at once, as `fit_all` does, or a large one row by row.

    Raises:
        DataError: an image cannot be read; of a large column, when it is asked for.
        InputError: VIEWFINDER_IN_MEMORY is no number.
    """
    large = is_large(images, size, channels)
    if isinstance(images, ArrayImages) and images.pixels.shape[1:] == (size, size, channels):
        return _ArrayRows(images, on_disk=large), np.tile(np.eye(2, 3), (len(images), 1, 1))
    if not large:
        return fit_all(images, size, channels)
    rows = _FittedRows(images, size, channels)
    return rows, _MapsOf(rows)


def is_large(images: Images, size: int, channels: int) -> bool:
    """Whether all images of the column, of which these may be a selection, are too many for memory once fitted."""
    count = len(images)
    if isinstance(images, FileImages):
        count = len(images.paths)
    elif isinstance(images, ArrayImages):
        count = len(images.pixels)
    return count * size * size * channels > most_in_memory()


def lying(pixels: PixelRows, rows: Rows) -> tuple[NDArray[np.uint8], Rows]:
    """Return an array in memory (M, S, S, C), and where in it these rows (n,) lie.

    Nothing is copied that is in memory already. Raises DataError where a file cannot be decoded.
    """
    if isinstance(pixels, np.ndarray):
        return pixels, rows
    if isinstance(pixels, _ArrayRows) and pixels.array is not None:
        return pixels.array, pixels.rows[rows]
    return pixels[rows], np.arange(len(rows))


def in_memory(pixels: PixelRows) -> bool:
    """Whether all rows lie in memory."""
    return isinstance(pixels, np.ndarray) or (isinstance(pixels, _ArrayRows) and pixels.array is not None)


def digests(pixels: PixelRows) -> NDArray[np.uint64]:
    """Return (N,) a number for each image (N, H, W, C): the same for the same pixels."""
    pieces = (np.arange(at, min(at + _AT_ONCE, len(pixels))) for at in range(0, len(pixels), _AT_ONCE))
    every = (hashlib.blake2b(image.tobytes(), digest_size=8).digest() for piece in pieces for image in pixels[piece])
    return np.array([int.from_bytes(one, "little") for one in every], dtype=np.uint64)


class _ArrayRows:
    """Rows of an array of the right form; those of a large mapped one are read, as mapped pages stay in memory."""

    def __init__(self, images: ArrayImages, on_disk: bool = True) -> None:
        self.shape = (len(images), *images.pixels.shape[1:])
        self.rows = images.rows
        place = _place(images.pixels) if on_disk else None
        self.array = None if place else np.asarray(images.pixels)
        self._file = Positioned(place[0]) if place else None
        self._start = place[1] if place else 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Rows, /) -> NDArray[np.uint8]:
        chosen = self.rows[rows]
        if self.array is not None:
            return self.array[chosen]
        assert self._file is not None
        pixels = np.empty((len(chosen), *self.shape[1:]), dtype=np.uint8)
        for row, one in zip(chosen.tolist(), pixels, strict=True):
            if not self._file.read(self._start + row * one.nbytes, one.data):
                raise DataError("became shorter while it was read", where=self._file.path, hint="start again")
        return pixels


def _place(array: NDArray[np.uint8]) -> tuple[Path, int] | None:
    """Return the file that an array is mapped from, and where in it the array begins; None for one in memory."""
    whole: NDArray[np.uint8] = array
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    if not isinstance(whole, np.memmap) or whole.mode == "c" or not whole.filename or not array.flags.c_contiguous:
        return None
    return Path(whole.filename), whole.offset + array.ctypes.data - whole.ctypes.data


class _FittedRows:
    """Rows that are fitted when they are asked for, several at a time; files are decoded once and kept in the cache."""

    def __init__(self, images: Images, size: int, channels: int) -> None:
        self.shape = (len(images), size, size, channels)
        self._images = _ArrayRows(images) if isinstance(images, ArrayImages) else images
        self._maps = np.full((len(images), 2, 3), np.nan)
        self._kept: Filling | None = None
        self._places = np.arange(len(images))
        if isinstance(images, FileImages):
            source = str(images.root.resolve())
            key = key_of("rows", source, images.paths, size, channels)
            about = {"source": source, "kind": f"images at {size}×{size}"}
            self._kept, self._places = Filling.of(key, images.states(), self.shape[1:], about), images.rows

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, rows: Rows, /) -> NDArray[np.uint8]:
        pixels = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        missing = [i for i, row in enumerate(rows.tolist()) if not self._is_kept(row, pixels[i])]
        for i, fitted in zip(missing, self._fitted([int(rows[i]) for i in missing]), strict=True):
            pixels[i] = fitted.pixels
        return pixels

    def maps(self, rows: Rows) -> Matrices:
        """Return (n, 2, 3); of a file that was not decoded yet from its beginning; a remote one is decoded for it."""
        missing = np.unique(rows[np.isnan(self._maps[rows, 0, 0])])
        if isinstance(self._images, FileImages) and remote(self._images.root):
            for at in range(0, len(missing), _AT_ONCE):
                _ = self[missing[at : at + _AT_ONCE]]
            return self._maps[rows]
        for row in missing.tolist():
            self._maps[row] = fitting_map(*self._size(row), self.shape[1])
        return self._maps[rows]

    def _size(self, row: int) -> tuple[int, int]:
        if isinstance(self._images, FileImages):
            return self._images.size(row)
        height, width = self._image(row).shape[:2]
        return width, height

    def _is_kept(self, row: int, pixels: NDArray[np.uint8]) -> bool:
        matrix = self._kept.read(int(self._places[row]), pixels) if self._kept else None
        if matrix is not None:
            self._maps[row] = matrix
        return matrix is not None

    def _fitted(self, rows: list[int]) -> Iterable[Fitted]:
        if len(rows) < 2 or threads(self._images) == 1:
            return map(self._one, rows)
        with ThreadPoolExecutor(min(threads(self._images), len(rows))) as pool:
            return list(pool.map(self._one, rows))

    def _one(self, row: int) -> Fitted:
        try:
            fitted = fit(self._image(row), *self.shape[2:])
        except DataError as error:
            raise DataError(error.what, where=error.where, hint=FIND_ALL) from None
        if self._kept:
            self._kept.write(int(self._places[row]), fitted.matrix, np.ascontiguousarray(fitted.pixels))
        self._maps[row] = fitted.matrix
        return fitted

    def _image(self, row: int) -> NDArray[np.uint8]:
        if isinstance(self._images, _ArrayRows):
            return np.asarray(self._images[np.array([row])][0])
        return self._images[row]


class _MapsOf:
    """The maps of rows that are fitted when they are asked for."""

    def __init__(self, rows: _FittedRows) -> None:
        self._rows = rows

    def __getitem__(self, rows: Rows, /) -> Matrices:
        return self._rows.maps(rows)
