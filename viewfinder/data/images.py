"""Images from files, and the one way in which they are fitted to a network's input.

Everything that shows images to a network (training, evaluation, prediction, export, the live view) calls `fit`.
Nothing here needs torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.ahead import ahead
from viewfinder.data.cores import usable_cores
from viewfinder.data.dataset import ArrayImages, Images
from viewfinder.data.decoding import decode, with_channels
from viewfinder.data.headers import inspect
from viewfinder.data.remote import READERS, remote
from viewfinder.data.sources import open_zip, readable, unreadable
from viewfinder.data.store import Rows, fetch, key_of, open_entry
from viewfinder.errors import DataError

__all__ = [
    "SUFFIXES",
    "FileImages",
    "Files",
    "Fitted",
    "fit",
    "fit_all",
    "fitting_map",
    "image_file",
    "inverted",
    "threads",
]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")

Progress = Callable[[int, int], None]
_EACH, _EACH_PIXELS = 16, 16 * 128 * 128
"""Images that a thread takes at a time, and their pixels at most: handing over costs time, keeping them memory."""
_ASKING, _ASKED = 16, 256
"""So many threads ask the system for the sizes of so many files each: on a disk far away an answer takes its time."""
_BEGINNING = 1 << 16
_DECODING = threading.BoundedSemaphore(min(8, usable_cores()))
"""Held while a remote image is decoded: many are read at once, and few of them shall be large pictures at once."""
FIND_ALL = "`viewfinder check` lists all such files: repair or delete them"


class Fitted(NamedTuple):
    """An image at a network's input size, and the map that brought it there."""

    pixels: NDArray[np.uint8]
    """(size, size, channels)."""
    matrix: NDArray[np.float64]
    """(2, 3): pixels of the image → pixels of the input, continuous coordinates."""


def fit(image: NDArray[np.uint8], size: int, channels: int) -> Fitted:
    """Fit an image (H, W, C) into a square: the aspect ratio stays, the rest is black, the image is centred.

    Averages when it shrinks, interpolates when it grows, and changes no value when the size is right.
    """
    image = with_channels(image, channels)
    height, width = image.shape[:2]
    to_width, to_height, left, top = _place(width, height, size)
    matrix = fitting_map(width, height, size)
    if (to_height, to_width) != (height, width):
        method = cv2.INTER_AREA if max(height, width) > size else cv2.INTER_LINEAR
        resized = cv2.resize(image, (to_width, to_height), interpolation=method)
        image = np.asarray(resized, dtype=np.uint8).reshape(to_height, to_width, channels)
    if to_height == to_width:
        return Fitted(image, matrix)
    pixels = np.zeros((size, size, channels), dtype=np.uint8)
    pixels[top : top + to_height, left : left + to_width] = image
    return Fitted(pixels, matrix)


def fitting_map(width: int, height: int, size: int) -> NDArray[np.float64]:
    """Return the map (2, 3) of `fit` for an image of this width and height."""
    to_width, to_height, left, top = _place(width, height, size)
    return np.array([[to_width / width, 0, left], [0, to_height / height, top]], dtype=np.float64)


def _place(width: int, height: int, size: int) -> tuple[int, int, int, int]:
    """Return the width and height that an image has in the square, and how far left and top of it is free."""
    to_width, to_height = (max(1, round(side * size / max(width, height))) for side in (width, height))
    return to_width, to_height, (size - to_width) // 2, (size - to_height) // 2


def fit_all(
    images: Images, size: int, channels: int, progress: Progress | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Fit a column of images.

    Nothing is copied where an array has the right form already. Files are decoded once, several at a time, and kept in
    the cache.

    Args:
        images: N images.
        size: the side of the square in pixels.
        channels: 1 or 3.
        progress: called with (done, all) while images are decoded.

    Returns:
        The pixels (N, size, size, channels), and the maps (N, 2, 3) as in `Fitted`.

    Raises:
        DataError: an image cannot be read; it names the file.
    """
    if isinstance(images, ArrayImages) and images.pixels.shape[1:] == (size, size, channels):
        return _rows(images.pixels, images.rows), np.tile(np.eye(2, 3), (len(images), 1, 1))
    if isinstance(images, FileImages):
        return _fit_files(images, size, channels, progress)
    return _fit_now(images, size, channels, progress)


def inverted(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse maps (N, 2, 3) of affine maps (N, 2, 3)."""
    (a, b, x), (c, d, y) = matrices.transpose(1, 2, 0)
    back = np.array([[d, -b, b * y - d * x], [-c, a, c * x - a * y]]) / (a * d - b * c)
    return np.ascontiguousarray(back.transpose(2, 0, 1))


@runtime_checkable
class Files(Protocol):
    """A column of images that are files, or become some in a way of their own."""

    def file(self, row: int) -> tuple[bytes, str, tuple[int, int]]:
        """Return a file's bytes and suffix, and the upright image's width and height. Raises DataError."""
        ...


@dataclass(frozen=True)
class FileImages:
    """Images in files, decoded when they are asked for.

    Args:
        root: the folder, also a remote one, or the zip, that the files are in.
        paths: relative to it, with forward slashes; the same for all selections of one column.
        rows: (N,) int64: which of `paths`, in which order.
    """

    root: Path
    paths: tuple[str, ...] = field(repr=False)
    rows: NDArray[np.int64] = field(repr=False)
    _archives: list[zipfile.ZipFile] = field(default_factory=list, repr=False, compare=False)
    _digests: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, root: Path, paths: tuple[str, ...]) -> FileImages:
        """Return the column of all `paths`."""
        return cls(root, paths, np.arange(len(paths)))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> NDArray[np.uint8]:
        content = self.content(row)
        with _DECODING if remote(self.root) else contextlib.nullcontext():
            return decode(content, None, self.where(row))

    def select(self, rows: NDArray[Any]) -> FileImages:
        return replace(self, rows=self.rows[rows])

    def joined(self, other: FileImages) -> FileImages:
        """Return these images followed by others: of the same folder or zip, or of two folders."""
        both = (self, other)
        if self.root == other.root:
            return FileImages.of(self.root, tuple(one.where(row) for one in both for row in range(len(one))))
        if found := remote(self.root) or remote(other.root):
            raise DataError("cannot be joined with another folder", where=found, hint="copy both to this machine")
        root = Path(os.path.commonpath([self.root.absolute(), other.root.absolute()]))
        places = [(one.root.absolute().relative_to(root).as_posix(), one) for one in both]
        paths = tuple(f"{folder}/{one.where(row)}" for folder, one in places for row in range(len(one)))
        return FileImages.of(root, paths)

    def where(self, row: int) -> str:
        return str(self.paths[self.rows[row]])

    def file(self, row: int) -> tuple[bytes, str, tuple[int, int]]:
        content, where = self.content(row), self.where(row)
        return content, PurePosixPath(where).suffix, inspect(content, where).upright

    def size(self, row: int) -> tuple[int, int]:
        """Return the upright image's width and height, from the beginning of its file alone. Raises DataError."""
        where = self.where(row)
        try:
            return inspect(self.content(row, _BEGINNING), where, whole=False).upright
        except DataError:
            return inspect(self.content(row), where, whole=False).upright

    def content(self, row: int, length: int = -1) -> bytes:
        """Return a file's bytes, or so many of them. Raises DataError, or UnreachableError."""
        name = self.where(row)
        if folder := remote(self.root):
            content = folder.content(name, length)
            if length < 0:  # it would be read once more for its fingerprint
                self._digests[name] = hashlib.blake2b(content, digest_size=16).digest()
            return content
        if self._in_folder:
            path = self._path(name)
            try:
                if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a Path for each would take much longer
                    raise DataError("is no file", where=name, hint=f"in {self.root}")  # a pipe would be waited for
                with open(path, "rb") as file:  # noqa: PTH123
                    return file.read(length)
            except (OSError, ValueError) as error:  # the latter: a name that no file can have
                if not self.root.is_dir():
                    raise  # the folder itself is gone: that is no fault of this file
                raise unreadable(error, name, f"in {self.root}") from None
        with readable(f"{self.root.name}/{name}"), self._archive().open(name) as member:
            return member.read(length)

    def fingerprint(self) -> str:
        if not remote(self.root):
            return hashlib.blake2b(self._digests_of_rows().tobytes(), digest_size=16).hexdigest()
        every = replace(self, rows=np.arange(len(self.paths)))

        def build(rows: Rows) -> Mapping[str, NDArray[Any]]:
            rows(every._digests_of_rows())
            return {}

        # kept: each training would read all images once more
        kept = fetch(key_of("digests", self.stamp()), build, source=str(self.root), kind="checksums")
        return hashlib.blake2b(kept.pixels[self.rows].tobytes(), digest_size=16).hexdigest()

    def _digests_of_rows(self) -> NDArray[np.uint8]:
        """Return (N, 16): a checksum of each file."""
        missing = [row for row in range(len(self)) if self.where(row) not in self._digests]
        with ThreadPoolExecutor(threads(self)) as pool:
            for row, digest in zip(missing, pool.map(self._digest, missing), strict=True):
                self._digests[self.where(row)] = digest
        content = b"".join(self._digests[self.where(row)] for row in range(len(self)))
        return np.frombuffer(content, dtype=np.uint8).reshape(-1, 16)

    def stamp(self) -> str:
        """Return what changes with the content of any of `paths`, without reading it: names, sizes and times.

        And the folder: files of two folders may have all three in common, as those that archives were unpacked to.
        """
        folder = str(self.root.resolve()) if self._in_folder else ""
        return key_of(folder, [(name, *state) for name, state in zip(self.paths, self.states().tolist(), strict=True)])

    def sizes(self) -> bytes:
        """Return the size of each image's file, and of a zip's file its checksum."""
        return self.states()[self.rows, : 1 if self._in_folder else 2].tobytes()

    def states(self) -> NDArray[np.int64]:
        """Return (M, 2): the size of each of `paths`, and when it was changed; of a zip's file its checksum."""
        if not self._in_folder:
            infos = [self._archive().getinfo(name) for name in self.paths]
            return np.array([(info.file_size, info.CRC) for info in infos], dtype=np.int64).reshape(-1, 2)
        pieces = [self.paths[first : first + _ASKED] for first in range(0, len(self.paths), _ASKED)]
        with ThreadPoolExecutor(_ASKING) as pool:
            states = [np.zeros((0, 2), dtype=np.int64), *pool.map(self._states, pieces)]
        return np.concatenate(states)

    def _states(self, paths: Sequence[str]) -> NDArray[np.int64]:
        if folder := remote(self.root):
            return np.array([folder.state(name) for name in paths], dtype=np.int64)
        states = np.zeros((len(paths), 2), dtype=np.int64)
        for state, name in zip(states, paths, strict=True):
            with contextlib.suppress(OSError, ValueError):
                status = os.stat(self._path(name))  # noqa: PTH116 - as above
                state[:] = status.st_size, status.st_mtime_ns
        return states

    @cached_property
    def _in_folder(self) -> bool:
        return self.root.is_dir()

    def _path(self, name: str) -> str:
        return os.path.join(self.root, name)  # noqa: PTH118 - as above

    def _digest(self, row: int) -> bytes:
        return hashlib.blake2b(self.content(row), digest_size=16).digest()

    def _archive(self) -> zipfile.ZipFile:
        if not self._archives:
            self._archives.append(open_zip(self.root, str(self.root)))
        return self._archives[0]


def image_file(images: Images, row: int) -> tuple[bytes, str, tuple[int, int]]:
    """Return an image as a file's bytes and suffix, and the upright image's width and height.

    A file stays as it is, an image of an array becomes a PNG. Raises DataError for a file that is no image.
    """
    if isinstance(images, Files):
        return images.file(row)
    image = images[row]
    _, png = cv2.imencode(".png", image[:, :, ::-1] if image.shape[2] == 3 else image)
    return png.tobytes(), ".png", (image.shape[1], image.shape[0])


def _rows(array: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return `array[rows]`, without a copy where the rows are consecutive."""
    if len(rows) and (np.diff(rows) == 1).all():
        return array[rows[0] : rows[0] + len(rows)]
    return array[rows]


def _fit_files(
    images: FileImages, size: int, channels: int, progress: Progress | None
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Decode all files of the column, of which `images` may be a selection, so that every selection finds them.

    A small selection that is not in the cache is not worth that: it is decoded by itself.
    """
    key = key_of("fitted", images.stamp(), size, channels)
    if not len(images) or (2 * len(images) < len(images.paths) and open_entry(key) is None):
        return _fit_now(images, size, channels, progress)
    every = replace(images, rows=np.arange(len(images.paths)))
    stored = fetch(
        key,
        lambda rows: _store_fitted(every, size, channels, progress, rows),
        source=str(images.root),
        kind=f"images at {size}×{size}",
    )
    pixels, matrices = _rows(stored.pixels, images.rows), stored.arrays["matrices"][images.rows]
    unreadable = np.flatnonzero(np.isnan(matrices[:, 0, 0]))
    pixels = np.array(pixels) if len(unreadable) else pixels
    for row in unreadable:
        one = images.select(np.array([row]))
        pixels[row : row + 1], matrices[row : row + 1] = _fit_now(one, size, channels, None)
    return pixels, matrices


def _fit_now(
    images: Images, size: int, channels: int, progress: Progress | None
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    pixels = np.zeros((len(images), size, size, channels), dtype=np.uint8)
    matrices = np.zeros((len(images), 2, 3))
    for row, fitted in enumerate(chain.from_iterable(_fitted(images, size, channels, progress))):
        if isinstance(fitted, DataError):
            raise DataError(fitted.what, where=fitted.where, hint=FIND_ALL)
        pixels[row], matrices[row] = fitted
    return pixels, matrices


def _store_fitted(
    images: FileImages, size: int, channels: int, progress: Progress | None, rows: Rows
) -> Mapping[str, NDArray[Any]]:
    """Give all fitted images to the store; one that cannot be read is black, and its map NaN."""
    unreadable = Fitted(np.zeros((size, size, channels), dtype=np.uint8), np.full((2, 3), np.nan))
    matrices: list[NDArray[np.float64]] = []
    for piece in _fitted(images, size, channels, progress):
        whole = [unreadable if isinstance(fitted, DataError) else fitted for fitted in piece]
        rows(np.stack([fitted.pixels for fitted in whole]))
        matrices.extend(fitted.matrix for fitted in whole)
    return {"matrices": np.array(matrices)}


def _fitted(images: Images, size: int, channels: int, progress: Progress | None) -> Iterator[list[Fitted | DataError]]:
    """Give each image fitted, or why it cannot be read, several at a time; a few threads work ahead."""

    def one(row: int) -> Fitted | DataError:
        try:
            return fit(images[row], size, channels)
        except DataError as error:
            return error

    def several(rows: range) -> list[Fitted | DataError]:
        return [one(row) for row in rows]

    count = len(images)
    many = max(1, min(_EACH, _EACH_PIXELS // size**2, -(-count // threads(images))))
    pieces = [range(at, min(at + many, count)) for at in range(0, count, many)]
    each = (
        ahead(several, pieces, threads(images))
        if isinstance(images, FileImages) and threads(images) > 1
        else map(several, pieces)
    )
    for rows, piece in zip(pieces, each, strict=True):
        yield piece
        if progress is not None:
            progress(rows.stop, count)


def threads(images: object) -> int:
    """Return how many threads read and decode at once."""
    return READERS if isinstance(images, FileImages) and remote(images.root) else min(8, usable_cores())
