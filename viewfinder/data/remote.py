"""Data behind a URL, read through fsspec: s3://bucket/photos, gs://…, abfs://…, https://host/set.zip.

A single file, such as a zip, is downloaded into the cache once. A folder stays where it is: at each reading it is asked
what lies in it, and an image is read when it is needed; what was decoded is kept in the cache, as that of local files.
fsspec reaches each kind of storage through a package of its own (s3fs, gcsfs, adlfs, aiohttp) and names it where it is
missing; access keys are found as that package finds them.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, cast

from viewfinder.data.store import downloaded, key_of
from viewfinder.errors import DataError, InputError, UnreachableError

__all__ = ["READERS", "RemoteFolder", "as_given", "is_url", "place", "remote"]

READERS = 32
"""Threads that read from a remote folder at once: an answer takes long to begin, and then not."""
_URL = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://", re.ASCII | re.IGNORECASE)
_PACKAGES = {
    "s3fs": ("s3", "s3a"),
    "gcsfs": ("gs", "gcs"),
    "adlfs": ("abfs", "abfss", "az"),
    "aiohttp": ("http", "https"),
    "paramiko": ("sftp", "ssh"),
}
_TELLING = (
    *("ETag", "etag", "md5Hash", "Content-MD5", "Digest", "crc32c", "checksum", "generation", "blob_id", "sha"),
    *("mtime", "LastModified", "Last-Modified", "last_modified", "last_write_time", "updated", "modify", "created"),
)
"""What says that a file has changed, the best first: sums, then times; but for those at which it was read."""
_STATE_BYTES = 7
"""Of a digest: what fits a positive int64."""

Files = Mapping[str, Mapping[str, Any]]


class RemoteFolder:
    """A folder behind a URL; it offers what reading asks of a `Path` that is a folder.

    Args:
        url: as it was given.
        system: fsspec's file system.
        root: the folder's name there.
        files: what is known of each file below, by its path relative to the folder.
    """

    suffix = ""

    def __init__(self, url: str, system: Any, root: str, files: Files) -> None:
        self._url, self._system, self._root, self._files = url.rstrip("/"), system, root, files
        self.name = PurePosixPath(self._url).name

    def __str__(self) -> str:
        return self._url

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteFolder) and self._url == other._url

    def __hash__(self) -> int:
        return hash(self._url)

    def exists(self) -> bool:
        return True

    def is_dir(self) -> bool:
        return True

    def is_file(self) -> bool:
        return False

    def resolve(self) -> RemoteFolder:
        return self

    def files(self) -> list[str]:
        """Return the paths of all files below, relative to the folder, with forward slashes, in any order."""
        return list(self._files)

    def state(self, name: str) -> tuple[int, int]:
        """Return the size of a file, and a number that changes with it, by what the storage says; (0, 0) of no file."""
        about = self._files.get(name)
        return (0, 0) if about is None else (about.get("size") or 0, _number(about))

    def content(self, name: str, length: int = -1) -> bytes:
        """Return a file's bytes, or so many of them. Raises DataError where it is not there, else UnreachableError."""
        if name not in self._files:
            raise DataError("no such file", where=name, hint=f"in {self}")
        if self._files[name].get("size") == 0:  # of nothing, no part can be asked for
            return b""
        with _told(name, f"in {self}"):
            content = self._system.cat_file(f"{self._root}/{name}", start=None, end=None if length < 0 else length)
        return bytes(content[: len(content) if length < 0 else length])


def is_url(path: object) -> bool:
    """Whether what was given is a URL."""
    return _URL.match(str(path)) is not None


def remote(path: object) -> RemoteFolder | None:
    """Return a place as a remote folder, if it is one."""
    return path if isinstance(path, RemoteFolder) else None


def place(path: str | Path) -> Path:
    """Return where to read: a local path in full, also of a file behind a URL, which is downloaded first.

    A folder behind a URL is a `RemoteFolder`, which offers of a `Path` what reading asks for.

    Raises:
        DataError: nothing is behind a URL, a package is missing, or the cache has no room for a file.
        UnreachableError: it cannot be reached.
    """
    if remote(path):
        return path  # type: ignore[return-value]
    if not is_url(path):
        return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111 - a Path's raises where there is no such user
    url = str(path)
    with _told(url, "check the URL, and see that you may read it"):
        system, root = _system(url)
        system.invalidate_cache()  # of what was listed before
        about = system.info(root)
        if about["type"] != "file":
            found = _files(system.find(root, detail=True), root)
            return cast(Path, RemoteFolder(url, system, root, found))
        if about.get("mimetype", "") == "text/html":
            raise DataError("is a page, not data", where=url, hint="name a file there, such as a zip")
    name = PurePosixPath(url.split("?", maxsplit=1)[0]).name
    key = key_of("downloaded", url, _number(about))
    with _told(url, "start again"):
        return downloaded(key, name, about.get("size") or 0, lambda file: system.get_file(root, str(file)))


@contextmanager
def as_given(path: str | Path, here: Path) -> Iterator[None]:
    """Let errors about a downloaded file name the URL that it was given by."""
    try:
        yield
    except InputError as error:
        if not is_url(path) or str(here) not in error.where:
            raise
        raise type(error)(error.what, where=error.where.replace(str(here), str(path)), hint=error.hint) from None


def _system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and what the URL is called there."""
    from fsspec.core import url_to_fs

    try:
        system, root = url_to_fs(url)
    except ImportError as error:
        scheme = url.split(":", maxsplit=1)[0].lower()
        package = next((name for name, schemes in _PACKAGES.items() if scheme in schemes), "")
        hint = f"pip install {package}" if package else "install it with pip"
        raise DataError(f"needs another package: {error}", where=url, hint=hint) from None
    return system, root.rstrip("/")


def _files(found: Files, root: str) -> Files:
    """Return what was found below a folder by relative paths."""
    below = {name[len(root) :].strip("/"): about for name, about in found.items() if not name.endswith("/")}
    return {name: about for name, about in below.items() if name}


def _number(about: Mapping[str, Any]) -> int:
    """Return a number that changes with a file: with its size and its checksum, or its time where no sum is known."""
    others = repr(sorted((key, str(value)) for key, value in about.items() if key not in ("name", "url")))
    said = repr((about.get("size"), next((str(about[key]) for key in _TELLING if about.get(key)), others)))
    return int.from_bytes(hashlib.blake2b(said.encode(), digest_size=_STATE_BYTES).digest(), "little")


@contextmanager
def _told(where: str, hint: str) -> Iterator[None]:
    """Turn what a storage's package raises, which may be anything, into DataError or UnreachableError.

    Keys that have expired and a connection that is lost are told of every file: neither is a fault of one.
    """
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        if _is_lost(error.__cause__):
            raise UnreachableError(f"cannot be reached: {error.__cause__}", where=where, hint=hint) from None
        raise DataError("no such file or folder", where=where, hint=hint) from None
    except Exception as error:
        what = str(error) or type(error).__name__
        raise UnreachableError(f"cannot be read: {what}", where=where, hint=hint) from None


def _is_lost(cause: BaseException | None) -> bool:
    """Whether a file is missed for another reason than that it is not there: of https, fsspec says so of any error."""
    of_https = type(cause).__module__.startswith("aiohttp") and getattr(cause, "status", 0) not in (404, 410)
    return isinstance(cause, OSError | asyncio.TimeoutError) or of_https
