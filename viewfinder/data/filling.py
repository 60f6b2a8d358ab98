"""A file of the cache that fills as rows are made: what was decoded once is there the next time, in any process.

Every row has its place: a checksum, a stamp of what it was made from, its map and its pixels. A row counts where its
checksum is that of the rest and its stamp is that of the image's file as it is now. So nothing has to be written in any
order: a place that was never written (such places take no room on the disk), or that a kill or a power cut left half
written, is empty; a file that changed is decoded again; and processes may fill one file at once.
"""

from __future__ import annotations

import os
import shutil
import struct
import threading
import weakref
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.store import FILLING, LEFT_FREE, cache_folder, description, sweep, taken

__all__ = ["Filling", "Positioned"]

Pixels = NDArray[np.uint8]
Matrix = NDArray[np.float64]

_BINARY = getattr(os, "O_BINARY", 0)
_HEAD = struct.Struct("<I4x2q6d")  # checksum of all that follows, stamp, map


class Positioned:
    """A file that is read and written at places, by several threads.

    Nothing of it is mapped: what was read does not count as memory of this process.
    """

    def __init__(self, path: Path, writable: bool = False) -> None:
        self.path = path
        how = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        self._file = open(  # noqa: SIM115 (it is closed with this object)
            path, "r+b" if writable else "rb", buffering=0, opener=lambda name, _: os.open(name, how | _BINARY, 0o644)
        )
        self._lock = threading.Lock()
        weakref.finalize(self, self._file.close)

    def read(self, at: int, into: memoryview | bytearray) -> bool:
        """Fill `into` with the bytes from `at` on; False where the file ends before. Raises OSError."""
        left = memoryview(into).cast("B")
        with self._lock:
            self._file.seek(at)
            while len(left):
                count = self._file.readinto(left)
                if not count:
                    return False
                left = left[count:]
        return True

    def write(self, at: int, *pieces: memoryview | bytes) -> None:
        """Write pieces one behind the other from `at` on. Raises OSError."""
        with self._lock:
            self._file.seek(at)
            for piece in pieces:
                left = memoryview(piece).cast("B")
                while len(left):
                    left = left[self._file.write(left) :]


class Filling:
    """The rows of one column of images, as far as they were made.

    Args:
        path: the file, which is made where it is missing.
        stamps: (N, 2) int64: of each row, what changes with the file that it is made from.
        shape: (H, W, C) of a row.
        about: "source" and "kind", for people.

    Raises:
        OSError: it cannot be written, or the disk has no room for it.
    """

    def __init__(self, path: Path, stamps: NDArray[np.int64], shape: Sequence[int], about: dict[str, str]) -> None:
        self._stamps, self._shape = stamps, tuple(shape)
        self._stride = _HEAD.size + int(np.prod(shape))
        self._whole = np.zeros(len(stamps), dtype=bool)
        self._writable = True
        self._file = Positioned(path, writable=True)
        end = len(stamps) * self._stride
        if end - taken(path.stat()) + LEFT_FREE > shutil.disk_usage(path.parent).free:
            raise OSError(f"{end / 1e9:.1f} GB do not fit")
        places = {"pixels": {"start": 0, "shape": (len(stamps), *self._shape), "type": "|u1"}}
        self._file.write(end, description({**about, "arrays": places, "start": end}, end))

    @classmethod
    def of(cls, key: str, stamps: NDArray[np.int64], shape: Sequence[int], about: dict[str, str]) -> Filling | None:
        """Return the file of a key in the cache, or None where there cannot be one: all works without it, slower."""
        folder = cache_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
            path = folder / f"{key}{FILLING}"
            filling = cls(path, stamps, shape, about)
            os.utime(path)
        except OSError:
            return None
        return filling

    def read(self, row: int, pixels: Pixels) -> Matrix | None:
        """Fill `pixels` (H, W, C) with a row and return its map (2, 3); None where the row is not there."""
        head = bytearray(_HEAD.size)
        at = row * self._stride
        try:
            if not self._file.read(at, head):
                return None
            check, size, time, *matrix = _HEAD.unpack(head)
            if (size, time) != tuple(self._stamps[row].tolist()) or not self._file.read(at + _HEAD.size, pixels.data):
                return None
        except OSError:
            return None
        if not self._whole[row] and zlib.crc32(pixels.data, zlib.crc32(head[4:])) != check:
            return None
        self._whole[row] = True
        return np.array(matrix).reshape(2, 3)

    def write(self, row: int, matrix: Matrix, pixels: Pixels) -> None:
        """Keep a row; where the disk fails, no more rows are kept."""
        if not self._writable:
            return
        head = _HEAD.pack(0, *self._stamps[row].tolist(), *matrix.ravel().tolist())
        check = zlib.crc32(pixels.data, zlib.crc32(head[4:]))
        try:
            self._file.write(row * self._stride, struct.pack("<I", check) + head[4:], pixels.data)
            self._whole[row] = True
        except OSError:
            self._writable = False
