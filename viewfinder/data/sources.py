"""Where data comes from: a folder, a zip (with zips inside) or a single file, all read in the same way.

Zips are not trusted: one that is encrypted, damaged or inflates to an absurd size is an error, not a crash.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO

from viewfinder.data.remote import place, remote
from viewfinder.errors import DataError, UnreachableError

__all__ = [
    "LARGEST",
    "ZIP_FAULTS",
    "NoTableError",
    "Source",
    "check_members",
    "hidden",
    "open_zip",
    "readable",
    "unreadable",
]

LARGEST_RATIO, RATIO_MATTERS = 500, 100 << 20
"""How much smaller than its content a member may be, once its content is larger than the second number."""
LARGEST, LARGEST_RATIO_THERE = 8 << 30, 20
"""Beyond so many bytes of content it may be less so: what is honestly that large was hardly compressed."""
_TROUBLES = ("EMFILE", "ENFILE", "ENOMEM", "ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH")
_NOT_OF_A_FILE = {getattr(errno, name, None) for name in _TROUBLES} - {None}
"""What the system says where any file would be as hard to read."""
_SAYS_UTF8 = 0x800
LARGEST_HASHED = 1 << 30
"""Bytes of a file beyond which it is not read a second time only to see whether it is still the same."""

ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError)
"""What Python raises while a damaged zip is opened or a member is read."""


_OF_SYSTEMS = {"__MACOSX", "lost+found", "System Volume Information", "$RECYCLE.BIN"}


class NoTableError(DataError):
    """A file that is called like a competition's table is sound, and something else."""


class Source:
    """A folder, a zip or a single file, and the files in it.

    A file of a zip may itself be a zip: "training.zip/training.csv" is a name like any other.
    Raises DataError where the path is not there, or is a zip that cannot be used.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = place(path) if remote(path) else Path(path)
        if not self.path.exists():
            raise DataError("no such file or folder", where=self.path, hint="check the path")
        self._zipped: dict[str, zipfile.ZipInfo] | None = None
        if self.path.suffix.lower() == ".zip" and self.path.is_file():
            with open_zip(self.path, str(self.path)) as archive:
                self._zipped = {info.filename: info for info in archive.infolist() if not info.is_dir()}

    @property
    def is_csv(self) -> bool:
        """Whether the path itself is one csv file."""
        return self.path.suffix.lower() == ".csv" and self.path.is_file()

    @property
    def is_container(self) -> bool:
        """Whether the path is a folder or a zip."""
        return self._zipped is not None or self.path.is_dir()

    def files(self) -> list[str]:
        """Return all files of a folder or a zip, at any depth, in order, with forward slashes; hidden ones are not.

        Links are followed. Raises DataError where a folder inside cannot be read.
        """
        listed = folder.files() if (folder := remote(self.path)) else self._zipped
        if listed is not None:
            return sorted(name for name in listed if not any(map(hidden, name.split("/"))))
        return sorted(_below(self.path)) if self.path.is_dir() else []

    def where(self, name: str, inside: str = "") -> str:
        """Return where a file is, for people: "faces.zip/training.zip/training.csv"."""
        there = [self.path.name] if self.path.is_file() and self._zipped is None else [self.path.name, name]
        return "/".join([*there, inside] if name.lower().endswith(".zip") and inside else there)

    def find(self, *names: str) -> str | None:
        """Return the first of `names` that is there: in the zip (the least deep one), in the folder, or the file."""
        return next((found for name in names if (found := self._find(name)) is not None), None)

    def _find(self, name: str) -> str | None:
        if self._zipped is not None:
            same = [file for file in self._zipped if PurePosixPath(file).name.lower() == name.lower()]
            return min(same, key=lambda file: (file.count("/"), file), default=None)
        if folder := remote(self.path):
            return name if name in folder.files() else None
        if self.path.is_dir():
            return name if (self.path / name).is_file() else None
        return name if self.path.name.lower() == name.lower() else None

    def key(self, name: str) -> str:
        """Return a digest that changes with the content of a file.

        It comes from a zip's own checksum, else from the content, and of a very large file from its size and time.
        """
        if self._zipped is not None:
            info = self._zipped[name]
            return _digest([f"{PurePosixPath(name).name} {info.file_size} {info.CRC:08x}".encode()])
        if folder := remote(self.path):
            return _digest([f"{PurePosixPath(name).name} {folder.state(name)}".encode()])
        status = (self.path / name if self.path.is_dir() else self.path).stat()
        if status.st_size > LARGEST_HASHED:
            return _digest([f"{PurePosixPath(name).name} {status.st_size} {status.st_mtime_ns}".encode()])
        with self.open(name) as file:
            return _digest(iter(lambda: file.read(1 << 20), b""))

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file for reading. Errors inside the zip, now or while it is read, become DataError."""
        if folder := remote(self.path):
            yield io.BytesIO(folder.content(name))
            return
        if self._zipped is None:
            with (self.path / name if self.path.is_dir() else self.path).open("rb") as file:
                yield file
            return
        where = f"{self.path.name}/{name}"
        with open_zip(self.path, where) as archive, _whole(archive, name, where) as member:
            yield member

    @contextmanager
    def open_inside(self, name: str, suffix: str) -> Iterator[tuple[str, IO[bytes]]]:
        """Open a file; where it is a zip, its only file that ends in `suffix`. Gives the short name and the stream.

        Raises NoTableError where a zip holds none, or several.
        """
        if not name.lower().endswith(".zip"):
            with self.open(name) as file:
                yield PurePosixPath(name).name, file
            return
        where = f"{self.path.name}/{name}"
        with ExitStack() as stack:
            seekable = stack.enter_context(_seekable(stack.enter_context(self.open(name))))
            archive = stack.enter_context(open_zip(seekable, where))
            inside = [info.filename for info in archive.infolist() if info.filename.lower().endswith(suffix)]
            if len(inside) != 1:
                raise NoTableError(f"holds {len(inside)} {suffix} files instead of one", where=where)
            yield PurePosixPath(inside[0]).name, stack.enter_context(_whole(archive, inside[0], where))


def unreadable(error: OSError | ValueError, where: str, hint: str = "") -> DataError | UnreachableError:
    """Return what to raise of a file that cannot be opened or read; ValueError is of a name that no file can have."""
    why = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    lost = isinstance(error, OSError) and error.errno in _NOT_OF_A_FILE
    return (UnreachableError if lost else DataError)(why, where=where, hint=hint)


def hidden(name: str) -> bool:
    """Whether a file or folder is passed over: by its dot, or because a system lays it into zips or on disks."""
    return name.startswith(".") or name in _OF_SYSTEMS


def _below(folder: Path, inside: str = "", above: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the paths of the files below a folder; a link into a folder that it lies in itself leads nowhere."""
    here = os.path.realpath(folder)
    if here in above:
        return
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not hidden(entry.name)]
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise DataError(what, where=folder, hint="see that you may read it") from None
    for entry in entries:
        if _is_folder(entry):
            yield from _below(folder / entry.name, f"{inside}{entry.name}/", above | {here})
        else:
            yield inside + entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, say: whoever opens it as a file is told why that cannot be done
        return False


def open_zip(file: Path | IO[bytes], where: str) -> zipfile.ZipFile:
    """Return an open zip whose members are checked. Raises DataError."""
    try:
        archive = zipfile.ZipFile(file)
    except ZIP_FAULTS:
        raise DataError("is not a zip file, or is cut off", where=where, hint="download it again") from None
    try:
        check_members(archive.infolist(), where)
    except DataError:
        archive.close()
        raise
    for info in archive.infolist():
        info.filename = _meant(info)
    archive.NameToInfo = {info.filename: info for info in archive.infolist()}
    return archive


def _meant(info: zipfile.ZipInfo) -> str:
    """Return a member's name: some write UTF-8 without saying so, or what Windows has between folders."""
    name = info.filename
    if not info.flag_bits & _SAYS_UTF8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return name.replace("\\", "/")


def check_members(members: Iterable[zipfile.ZipInfo], where: str) -> None:
    """Raise DataError for a zip that is damaged, encrypted, compressed in an unusual way, or a bomb."""
    for info in members:
        if info.header_offset < 0:
            raise DataError("is damaged", where=where, hint="download it again")
        usual = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if info.flag_bits & 1 or not usual:
            fault = f"{info.filename} is {'compressed in a rare way' if not usual else 'encrypted'}"
            raise DataError(fault, where=where, hint="unpack it first, then read the folder")
        limits = ((RATIO_MATTERS, LARGEST_RATIO), (LARGEST, LARGEST_RATIO_THERE))
        if any(info.file_size > size and info.file_size > ratio * max(1, info.compress_size) for size, ratio in limits):
            size = f"{info.file_size / 1e9:.1f} GB from {info.compress_size / 1e6:.1f} MB"
            raise DataError(f"{info.filename} would inflate to {size}", where=where, hint="it is not read")


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Turn what goes wrong while a member is inflated into DataError."""
    try:
        yield
    except ZIP_FAULTS:
        raise DataError("is damaged", where=where, hint="download it again") from None


@contextmanager
def _whole(archive: zipfile.ZipFile, name: str, where: str) -> Iterator[IO[bytes]]:
    """Open a member. What is wrong with its content is told only where the zip is not damaged, as its end shows."""
    with readable(where), archive.open(name) as member:
        try:
            yield member
        except DataError:
            while member.read(1 << 20):
                pass
            raise


@contextmanager
def _seekable(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give a seekable copy of a stream: seeking inside a zip's member would inflate it again and again."""
    with tempfile.TemporaryFile() as copy:
        while block := stream.read(1 << 20):
            copy.write(block)
        copy.seek(0)
        yield copy


def _digest(blocks: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()
