"""The images that a prediction is about: files, folders, lists of files, and anything else that viewfinder reads."""

from __future__ import annotations

import hashlib
import os
import posixpath
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.dataset import Images
from viewfinder.data.images import SUFFIXES, FileImages
from viewfinder.data.reading import parts, read
from viewfinder.data.remote import READERS, as_given, is_url, place, remote
from viewfinder.data.sources import Source
from viewfinder.errors import DataError

__all__ = ["Pictures", "find_pictures"]

LIST = ".txt"


@dataclass(frozen=True)
class Pictures:
    """Images by the names that people know them by, in an order that is always the same.

    Nothing is loaded before it is asked for; threads may ask at once.

    Args:
        columns: the folder that stands before the names of a source's images, and those images.
    """

    columns: tuple[tuple[str, Images], ...]

    def __len__(self) -> int:
        return self._ends[-1]

    @property
    def of_tables(self) -> bool:
        """Whether images are among them that are no files."""
        return not all(isinstance(images, FileImages) for _, images in self.columns)

    def threads(self, asked: int) -> int:
        """Return how many shall work at once: more than was asked for where they mostly wait for remote images."""
        far = any(isinstance(images, FileImages) and remote(images.root) for _, images in self.columns)
        return max(asked, READERS) if far else asked

    def name(self, row: int) -> str:
        """Return an image's name: "photos/more/tom.jpg", "test.csv row 17"."""
        before, images, inside = self._place(row)
        # what of a name is no UTF-8 is told by its bytes: no file of ours could hold it
        return posixpath.join(before, images.where(inside)).encode("utf-8", "backslashreplace").decode()

    def load(self, row: int) -> NDArray[np.uint8]:
        """Return an image (H, W, C). Raises DataError, which has its name, where it cannot be read."""
        _, images, inside = self._place(row)
        try:
            return images[inside]
        except DataError as error:
            if not error.where.endswith(images.where(inside)):  # of a zip, its name stands before
                raise
            raise DataError(error.what, where=self.name(row), hint=error.hint) from None

    def digest(self) -> str:
        """Return a digest of all names in their order, and of what is known of the images without reading files.

        It is the same on every machine that sees the same images.
        """
        digest = hashlib.blake2b(digest_size=16)
        for row in range(len(self)):
            digest.update(self.name(row).encode() + b"\n")
        for _, images in self.columns:
            digest.update(images.sizes() if isinstance(images, FileImages) else images.fingerprint().encode())
        return digest.hexdigest()

    def column(self) -> Images:
        """Return all images as one column, in which files stay files.

        Raises:
            DataError: there are several sources, and not all are files on one drive.
        """
        every = [images for _, images in self.columns]
        if len(every) == 1:
            return every[0]
        files = [one for one in every if isinstance(one, FileImages) and one.root.is_dir() and not remote(one.root)]
        try:
            if len(files) < len(every):
                raise ValueError
            paths = [one.root.absolute() / one.where(row) for one in files for row in range(len(one))]
            root = Path(os.path.commonpath({path.parent for path in paths}))
        except ValueError:
            raise DataError("these sources cannot become one folder", hint="give them one by one") from None
        return FileImages.of(root, tuple(path.relative_to(root).as_posix() for path in paths))

    def _place(self, row: int) -> tuple[str, Images, int]:
        which = bisect_right(self._ends, row)
        before, images = self.columns[which]
        return before, images, row - (self._ends[which - 1] if which else 0)

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(len(images) for _, images in self.columns))


def find_pictures(sources: Sequence[str | Path], without: Path | None = None) -> Pictures:
    """Return the images of files, folders, lists and anything else that viewfinder reads, such as a download or a URL.

    A list is a text file that ends in .txt, with the path of an image in each line, relative to the list's folder.
    Sources stay in the order given, lines of a list too; images of a folder are sorted by their paths.
    Names begin with a folder's last name; where images of two sources had the same, with all that was given of it.
    What lies in the folder `without`, where predictions were written before, is passed over in the folders around it.

    Raises:
        DataError: a source is not there, or holds no images.
    """
    places = [place(source) if is_url(source) else Path(source) for source in sources]
    columns = []
    for source, here in zip(sources, places, strict=True):
        with as_given(source, here):
            columns.append(_column(here, without))
    if len(columns) > 1 and _share_names(columns):
        given = [_folder(source, here) for source, here in zip(sources, places, strict=True)]
        columns = [(folder, images) for folder, (_, images) in zip(given, columns, strict=True)]
    return Pictures(tuple(columns))


def _folder(source: str | Path, here: Path) -> str:
    """Return the folder of a source as it was given: the source itself, or the one that it lies in."""
    if is_url(source):
        return str(source).rstrip("/") if remote(here) else str(source).split("?", maxsplit=1)[0].rpartition("/")[0]
    folder = here if here.is_dir() else here.parent
    return "" if folder == Path() else folder.as_posix()


def _share_names(columns: Sequence[tuple[str, Images]]) -> bool:
    """Whether images of two sources would have one name; images that are listed twice are of one."""
    sources = [Pictures((column,)) for column in columns]
    names = [{pictures.name(row) for row in range(len(pictures))} for pictures in sources]
    return len(set().union(*names)) < sum(map(len, names))


def _column(source: Path, without: Path | None) -> tuple[str, Images]:
    if not source.exists():
        raise DataError("no such file or folder", where=source, hint="check the path")
    if source.is_dir() and (files := _files_below(source, without)):
        return source.resolve().name, FileImages.of(source, files)
    if source.is_dir() and not Source(source).files():
        raise DataError("is empty", where=source, hint="name a folder with images in it")
    if source.is_file() and source.suffix.lower() in SUFFIXES:
        return "", FileImages.of(source.parent, (source.name,))
    if source.is_file() and source.suffix.lower() == LIST:
        return "", FileImages.of(source.parent, _listed(source))
    there = parts(source)
    return "", read(source, "test" if "test" in there else there[0]).images


def _files_below(folder: Path, without: Path | None) -> tuple[str, ...]:
    """Return the paths of all image files, relative to the folder; hidden ones are passed over, as in all reading."""
    found = [name for name in Source(folder).files() if name.lower().endswith(SUFFIXES)]
    if without is not None and not remote(folder):
        pairs = ((without.resolve(), folder.resolve()), (without.absolute(), folder.absolute()))  # it may be a link
        inside = tuple(f"{out.relative_to(root).as_posix()}/" for out, root in pairs if out.is_relative_to(root))
        found = [name for name in found if not name.startswith(inside)]
    return tuple(sorted(found, key=lambda path: path.replace("/", "\0")))


def _listed(file: Path) -> tuple[str, ...]:
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")  # names may hold what other line ends are made of
    except UnicodeDecodeError:
        raise DataError("is not UTF-8 text", where=file, hint="a list has the path of an image in each line") from None
    paths = tuple(line.strip() for line in lines if line.strip())
    if not any(os.path.isfile(file.parent / path) for path in paths):  # noqa: PTH113 - a Path's raises where it may not look
        hint = "a list has the path of an image in each line, relative to the list's folder"
        raise DataError("names no file that is there", where=file, hint=hint)
    return paths
