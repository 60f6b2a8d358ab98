"""What was parsed or decoded once, kept on disk as arrays that are mapped into memory.

An entry is one file: the rows of `pixels`, the small arrays, a description as JSON, and a fixed tail that says where
the description is. It is written under a name of its own and renamed when it is whole, so that a reader sees all
of it or nothing, and two processes may write the same entry at once: the last one wins, and both are right.
An entry whose size or checksum is wrong is built again. Where the folder cannot be written, all works without it.
Beside these entries lie files that fill row by row (data/filling.py), which describe themselves in the same way, and
files that were downloaded (data/remote.py), each under its own name in a folder of its own.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import DataError

if TYPE_CHECKING:
    from viewfinder.data.findings import Finding

__all__ = [
    "FILLING",
    "OWN",
    "Entry",
    "Stored",
    "cache_folder",
    "clear",
    "description",
    "downloaded",
    "entries",
    "fetch",
    "key_of",
    "open_entry",
    "sweep",
    "taken",
]

VERSION = 2
"""Part of every key: raise it when a reader or the file's layout changes what is stored."""

FILLING = ".rows"
"""The suffix of files that fill row by row."""
OWN = "viewfinder-"
"""What the names of other files begin with that viewfinder keeps there: whose they are must be seen."""
_SUFFIX, _UNFINISHED = ".arrays", ".part"
_KEY = "[0-9a-f]" * 32
_ENTRIES, _FILLING, _PARTS, _WEIGHTS, _DOWNLOADED = (
    f"{_KEY}{_SUFFIX}",
    f"{_KEY}{FILLING}",
    f"{OWN}*{_UNFINISHED}",
    f"{OWN}*.safetensors",
    f"{OWN}{_KEY}/*",
)
_MAGIC = b"viewfinder-1\n\0\0\0"
_TAIL = struct.Struct("<16sQQI")  # magic, where the description starts, its length and its checksum
_PIECE = 1 << 20
"""Every piece of so many bytes has a checksum of its own."""
_PIECES_CHECKED = 256
"""Of a larger entry only so many, evenly spread, are checked at every opening: it stays under 0.1 s."""
LEFT_FREE = 1 << 30
"""Bytes that stay free on the disk: a run that cannot save its checkpoint is worse than one that decodes again."""


@dataclass(frozen=True)
class Stored:
    """What an entry holds.

    Args:
        pixels: (N, …) uint8, mapped from the file, or in memory where nothing could be stored.
        arrays: the small arrays by name.
        digest: of the content of `pixels`, the same on every machine.
        problem: why nothing could be stored, for people; empty where all is well.
    """

    pixels: NDArray[np.uint8]
    arrays: dict[str, NDArray[Any]]
    digest: str
    problem: str = ""

    def notes(self) -> tuple[Finding, ...]:
        """Return what a dataset that was read from here should say about it."""
        if not self.problem:
            return ()
        from viewfinder.data.findings import Finding

        advice = "free some space or name another folder in VIEWFINDER_CACHE; until then every reading takes longer"
        return (Finding("cache", "info", "what was read could not be kept for the next time", (self.problem,), advice),)


@dataclass(frozen=True)
class Entry:
    """What `entries` tells about a file of the cache."""

    path: Path
    source: str
    kind: str
    shape: tuple[int, ...]
    """Of what it holds; () of a download."""
    size: int
    used: float


class Rows(Protocol):
    """Takes the rows of `pixels`, block after block, all of one shape."""

    def __call__(self, block: NDArray[np.uint8], /) -> None: ...


Build = Callable[[Rows], Mapping[str, NDArray[Any]]]
"""Gives the rows of `pixels` to its argument and returns the small arrays."""


def cache_folder() -> Path:
    """Return where entries are kept: $VIEWFINDER_CACHE, else the user's cache folder."""
    named = os.environ.get("VIEWFINDER_CACHE")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("viewfinder", appauthor=False))


def key_of(*parts: object) -> str:
    """Return the key for content that `parts` describe."""
    return hashlib.blake2b(repr((VERSION, *parts)).encode(), digest_size=16).hexdigest()


def fetch(key: str, build: Build, *, source: str, kind: str) -> Stored:
    """Return the arrays of `key`: from the cache, or built and kept there.

    Args:
        key: from `key_of`.
        build: called where the cache has no whole entry; more than once only where the disk fails half-way.
        source: what it was made from, for people.
        kind: what made it ("kaggle-digits train"), for people.
    """
    return open_entry(key) or _build(key, build, {"source": source, "kind": kind})


def open_entry(key: str) -> Stored | None:
    """Return a whole entry of the cache, or None."""
    path = cache_folder() / f"{key}{_SUFFIX}"
    try:
        about = _description(path)
        if about is None:
            return None
        if not _undamaged(path, about["start"], about["checks"]):
            return None
        content = np.memmap(path, dtype=np.uint8, mode="r", shape=(about["start"],))
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError):  # in a cache that may only be read
        os.utime(path)
    arrays = {name: _array(content, **place) for name, place in about["arrays"].items()}
    return Stored(arrays.pop("pixels"), arrays, about["digest"])


def entries() -> list[Entry]:
    """Return what the cache holds, the last used first."""
    found = [_entry(path) for names in (_ENTRIES, _FILLING) for path in cache_folder().glob(names)]
    found += [_download(path) for path in cache_folder().glob(_DOWNLOADED)]
    return sorted((entry for entry in found if entry is not None), key=lambda entry: -entry.used)


def clear() -> int:
    """Delete everything that viewfinder wrote into the cache folder. Returns the bytes that this freed."""
    freed, every = 0, (_ENTRIES, _FILLING, _PARTS, _WEIGHTS, _DOWNLOADED)
    for path in (path for names in every for path in cache_folder().glob(names)):
        with contextlib.suppress(OSError):  # Windows does not delete what another process has mapped
            size = taken(path.stat())
            path.unlink()
            freed += size
            _leave(path)
    return freed


def downloaded(key: str, name: str, size: int, write: Callable[[Path], object]) -> Path:
    """Return the file of `key` in the cache, called `name`; where it is not there, `write` is given where to write it.

    Raises:
        DataError: the cache has no room for `size` bytes, or cannot be written.
    """
    folder = cache_folder()
    path = folder / f"{OWN}{key}" / name
    with contextlib.suppress(OSError):
        os.utime(path)
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        handle, unfinished = tempfile.mkstemp(_UNFINISHED, OWN, folder)
        os.close(handle)
    except OSError as error:
        raise _no_room(f"cannot be kept: {error.strerror}", folder) from None
    try:
        if size + LEFT_FREE > shutil.disk_usage(folder).free:
            raise _no_room(f"{name} of {size / 1e9:.1f} GB does not fit", folder)
        write(Path(unfinished))
        Path(unfinished).replace(path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
            raise
        raise _no_room(f"{name} does not fit", folder) from None
    finally:
        Path(unfinished).unlink(missing_ok=True)
    return path


def _no_room(what: str, folder: Path) -> DataError:
    return DataError(what, where=folder, hint="name another folder in VIEWFINDER_CACHE")


def _build(key: str, build: Build, about: dict[str, Any]) -> Stored:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        handle, name = tempfile.mkstemp(_UNFINISHED, OWN, folder)
    except OSError as error:
        return _build_in_memory(build, f"{folder}: {error.strerror}")
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            writing = _Writing(file)
            writing.finish(build(writing.rows), about)
        with contextlib.suppress(OSError):  # Windows does not replace what another process has mapped: then it is whole
            unfinished.replace(folder / f"{key}{_SUFFIX}")
    except _DiskError as error:
        return _build_in_memory(build, f"{folder}: {error}")
    finally:
        unfinished.unlink(missing_ok=True)
    return open_entry(key) or _build_in_memory(build, f"{folder}: what was written there cannot be read back")


def _build_in_memory(build: Build, problem: str) -> Stored:
    content, shape = bytearray(), [0]

    def rows(block: NDArray[np.uint8]) -> None:
        content.extend(_bytes(block))
        shape[:] = [shape[0] + len(block), *block.shape[1:]]

    arrays = dict(build(rows))
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return Stored(np.frombuffer(content, np.uint8).reshape(shape), arrays, digest, problem)


class _DiskError(Exception):
    """The disk failed: not a fault of the data, so the caller can go on without the cache."""


class _Writing:
    """Writes one entry."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._at, self._check = file, 0, 0
        self._checks: list[int] = []
        self._shape: tuple[int, ...] = (0,)
        self._digest = hashlib.blake2b(digest_size=16)

    def rows(self, block: NDArray[np.uint8]) -> None:
        content = _bytes(block)
        self._write(content)
        self._digest.update(content)
        self._shape = (self._shape[0] + len(block), *block.shape[1:])

    def finish(self, arrays: Mapping[str, NDArray[Any]], about: dict[str, Any]) -> None:
        places: dict[str, Any] = {"pixels": {"start": 0, "shape": self._shape, "type": "|u1"}}
        for name, array in arrays.items():
            self._write(bytes(-self._at % 64))
            places[name] = {"start": self._at, "shape": array.shape, "type": array.dtype.str}
            self._write(_bytes(array))
        checks = [*self._checks, self._check] if self._at % _PIECE else self._checks
        start, digest = self._at, self._digest.hexdigest()
        self._write(description({**about, "arrays": places, "digest": digest, "start": start, "checks": checks}, start))
        with _disk():
            self._file.flush()

    def _write(self, content: bytes | memoryview) -> None:
        with _disk():
            self._file.write(content)
        while len(content):
            piece = content[: _PIECE - self._at % _PIECE]
            self._check = zlib.crc32(piece, self._check)
            self._at += len(piece)
            if self._at % _PIECE == 0:
                self._checks.append(self._check)
                self._check = 0
            content = content[len(piece) :]


def description(about: dict[str, Any], start: int) -> bytes:
    """Return the end of a file of the cache: what it says about itself, which begins at the byte `start`."""
    text = json.dumps(about).encode()
    return text + _TAIL.pack(_MAGIC, start, len(text), zlib.crc32(text))


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _DiskError(error.strerror) from None


def _bytes(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _description(path: Path) -> dict[str, Any] | None:
    """Return what a whole file says about itself; raises OSError or ValueError, or gives None, for any other."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(-_TAIL.size, os.SEEK_END)
        magic, start, length, check = _TAIL.unpack(file.read())
        if magic != _MAGIC or start + length + _TAIL.size != size:
            return None
        file.seek(start)
        text = file.read(length)
    about: dict[str, Any] = json.loads(text)
    return about if zlib.crc32(text) == check else None


def _undamaged(path: Path, size: int, checks: Sequence[int]) -> bool:
    """Whether pieces of a file's first `size` bytes are as written; read, as what is mapped would stay in memory."""
    step = max(1, math.ceil(len(checks) / _PIECES_CHECKED))
    with path.open("rb") as file:
        for i in {*range(0, len(checks), step), *([len(checks) - 1] if checks else [])}:
            file.seek(i * _PIECE)
            if zlib.crc32(file.read(min(_PIECE, size - i * _PIECE))) != checks[i]:
                return False
    return True


def _array(content: NDArray[np.uint8], start: int, shape: Sequence[int], type: str) -> NDArray[Any]:
    dtype = np.dtype(type)
    return content[start : start + math.prod(shape) * dtype.itemsize].view(dtype).reshape(shape)


def _entry(path: Path) -> Entry | None:
    try:
        about, status = _description(path), path.stat()
    except (OSError, ValueError):
        return None
    if about is None:
        return None
    shape = tuple(about["arrays"]["pixels"]["shape"])
    return Entry(path, about["source"], about["kind"], shape, taken(status), status.st_mtime)


def _download(path: Path) -> Entry | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return Entry(path, path.name, "a download", (), taken(status), status.st_mtime)


def taken(status: os.stat_result) -> int:
    """Return the bytes that a file takes: of one with gaps fewer than its size."""
    return min(status.st_size, 512 * getattr(status, "st_blocks", status.st_size))


def sweep(folder: Path) -> None:
    """Delete what killed processes left behind a day ago, and entries that nobody has opened for a month."""
    for names, days in ((_PARTS, 1), (_ENTRIES, 30), (_FILLING, 30), (_DOWNLOADED, 30)):
        for path in folder.glob(names):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - days * 86400:
                    path.unlink()
                    _leave(path)


def _leave(path: Path) -> None:
    """Delete the folder that a download had for itself."""
    if path.parent != cache_folder():
        with contextlib.suppress(OSError):
            path.parent.rmdir()
