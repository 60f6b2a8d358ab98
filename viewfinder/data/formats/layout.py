"""Images and label files in folders or a zip: which belong together, and which are for training, validation, testing.

All of these are the same to us, with any format's label files:

    images/tom.jpg        labels/tom.json               the two side by side
    tom.jpg               tom.json                      both in one folder
    train/images/tom.jpg  train/labels/tom.json         below train, val and test
    images/train/tom.jpg  labels/train/tom.json         the other way round
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.ahead import ahead
from viewfinder.data.formats.folders import SPLITS
from viewfinder.data.headers import inspect
from viewfinder.data.images import SUFFIXES, FileImages
from viewfinder.data.remote import READERS, remote
from viewfinder.data.sources import Source, open_zip, readable, unreadable
from viewfinder.data.store import Rows, fetch, key_of
from viewfinder.errors import DataError

__all__ = ["Layout"]

_OF_IMAGES = ("images", "image", "img", "imgs", "photos", "jpegimages")
_OF_LABELS = ("labels", "label", "annotations", "annotation", "annots", "xml", "xmls", "json", "jsons", "txt")
FOLDERS = frozenset((*_OF_IMAGES, *_OF_LABELS))
"""Names of folders that say what kind of files are in them, not which ones."""
_HEAD = 1 << 16


@dataclass(frozen=True)
class Layout:
    """The files of a source.

    Args:
        source: the folder or zip.
        images: all image files, in order.
        files: all other files, in order.
        splits: by image "train", "val" or "test"; empty where the source is not laid out so.
    """

    source: Source
    images: tuple[str, ...]
    files: tuple[str, ...]
    splits: Mapping[str, str]
    _archives: list[zipfile.ZipFile] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def of(cls, path: Path) -> Layout:
        """Return the layout of a folder or a zip; a single file has none. Raises DataError where nothing is there."""
        source = Source(path)
        every = source.files() if source.is_container else []
        images = tuple(name for name in every if name.lower().endswith(SUFFIXES))
        files = tuple(name for name in every if not name.lower().endswith(SUFFIXES))
        splits = {name: _split(name) for name in images}
        return cls(source, images, files, splits if all(splits.values()) else {})

    def ending(self, *suffixes: str) -> tuple[str, ...]:
        """Return the files that end in one of `suffixes`, in order."""
        return tuple(name for name in self.files if name.lower().endswith(suffixes))

    def parts(self) -> tuple[str, ...]:
        """Return the parts that there are."""
        there = {self.part(image) for image in self.images}
        return tuple(part for part in ("train", "test") if part in there)

    def part(self, image: str) -> str:
        """Return the part that an image is in; validation images are in the part "train"."""
        return "test" if self.splits.get(image) == "test" else "train"

    def part_of_file(self, name: str) -> str:
        """Return the part that a file without an image would be in."""
        return "test" if self.splits and _split(name) == "test" else "train"

    def image_of(self, file: str, said: str = "") -> str | None:
        """Return the image that a label file is about: the one that it names, else the one of its own name.

        Paths that lead out of the source are paths to nothing.
        """
        said = said.replace("\\", "/")
        named = posixpath.normpath(posixpath.join(posixpath.dirname(file), said))
        if said and named in self._there:
            return named
        by_said = _key(posixpath.join(posixpath.dirname(file), said)) if said else ""
        return self._by_key.get(_key(file)) or self._by_key.get(by_said)

    def find(self, said: str, folders: Iterable[str]) -> str | None:
        """Return the image of a name or path that is given relative to one of `folders`."""
        said = said.replace("\\", "/")
        for folder in folders:
            if (path := posixpath.normpath(posixpath.join(folder, said))) in self._there:
                return path
        same = self._by_name.get(posixpath.basename(said), ())
        return same[0] if len(same) == 1 else None

    def content(self, name: str) -> bytes:
        """Return a file's bytes. Raises DataError."""
        return self._read(name, -1)

    def contents(self, names: Iterable[str]) -> Iterator[bytes | DataError]:
        """Give the bytes of each file, or why it cannot be read; of a remote folder several are read at once."""

        def one(name: str) -> bytes | DataError:
            try:
                return self.content(name)
            except DataError as error:
                return error

        return ahead(one, names, READERS) if remote(self.source.path) else map(one, names)

    def sizes(self, images: Sequence[str]) -> list[tuple[int, int] | None]:
        """Return each image's upright width and height, None where the file does not say; nothing is decoded."""
        if not (folder := remote(self.source.path)):
            with ThreadPoolExecutor(4) as pool:
                return list(pool.map(self._size, images))

        def build(rows: Rows) -> Mapping[str, NDArray[Any]]:
            with ThreadPoolExecutor(READERS) as pool:
                found = [size or (0, 0) for size in pool.map(self._size, images)]
            rows(np.array(found, dtype=np.int64).reshape(-1, 2).view(np.uint8))
            return {}

        key = key_of("sizes", str(folder), [(name, folder.state(name)) for name in images])
        kept = fetch(key, build, source=str(folder), kind="sizes of images")
        sizes = np.array(kept.pixels).view(np.int64)
        return [(width, height) if width else None for width, height in sizes.tolist()]

    def column(self, images: Sequence[str]) -> FileImages:
        """Return images as a dataset's column."""
        return FileImages.of(self.source.path, tuple(images))

    def _size(self, image: str) -> tuple[int, int] | None:
        for length in (_HEAD, -1):
            try:
                width, height = inspect(self._read(image, length), image, whole=False).upright
            except DataError:
                continue
            return (width, height) if width > 0 and height > 0 else None
        return None

    def _read(self, name: str, length: int) -> bytes:
        if folder := remote(self.source.path):
            return folder.content(name, length)
        if self.source.path.is_dir():
            try:
                with (self.source.path / name).open("rb") as file:
                    return file.read(length)
            except OSError as error:
                raise unreadable(error, name) from None
        if not self._archives:
            self._archives.append(open_zip(self.source.path, str(self.source.path)))
        with readable(name), self._archives[0].open(name) as member:
            return member.read(length)

    @cached_property
    def _there(self) -> frozenset[str]:
        return frozenset(self.images)

    @cached_property
    def _by_key(self) -> dict[str, str]:
        return {_key(image): image for image in reversed(self.images)}

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        for image in self.images:
            names.setdefault(posixpath.basename(image), []).append(image)
        return names


def _split(name: str) -> str:
    """Return the split that a file's folders say it is in, or nothing."""
    return next((SPLITS[one] for one in name.lower().split("/")[:-1] if one in SPLITS), "")


def _key(name: str) -> str:
    """Return what an image and its label file have in common."""
    path = PurePosixPath(name)
    folders = [one for one in path.parts[:-1] if one.lower() not in FOLDERS]
    return "/".join([*folders, path.stem])
