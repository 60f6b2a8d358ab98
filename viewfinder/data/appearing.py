"""Files and folders that are there when they are whole, and not before."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from uuid import uuid4

__all__ = ["appearing", "folder_beside", "naming", "put", "replace_files", "replace_folder", "try_place"]

_BESIDE = ".viewfinder-"
"""What the names of folders beside begin with, and, after a kill, of those that were left there."""

_BEFORE = ".before"
"""Where in them lies what is replaced. While it does, nothing deletes them: it may be all that there is of it."""


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a file beside `path` that is renamed to it once its content is on the disk; of a failure nothing stays.

    Raises OSError, which names `path`, where the disk fails.
    """
    beside = path.with_name(f".{path.name[:60]}.{uuid4().hex[:8]}")
    try:
        with naming(path, beside):
            yield beside
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
            beside.replace(path)
    finally:
        with suppress(OSError):
            beside.unlink()


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Give a new folder beside `path`, to make in it what is then moved there; it is removed at the end.

    Missing folders above are made, and removed where nothing came to lie in them. What killed processes left there a
    day ago is removed, too.

    Raises OSError, which names `path`, where no folder can be made there, or the disk fails.
    """
    folder = path.with_name(f"{_BESIDE}{uuid4().hex[:8]}")
    missing = [one for one in path.parents if not os.path.lexists(one)]
    try:
        with naming(path, *path.parents), suppress(FileExistsError):  # of a file in the way the next line tells
            path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        with naming(path, folder):
            folder.mkdir()
            yield folder
    finally:
        _remove(folder)
        for one in missing:
            with suppress(OSError):
                one.rmdir()


def try_place(path: Path) -> None:
    """See that something can be made under a name, before long work for it; nothing is left there.

    Raises OSError, which names `path`, where that is not so.
    """
    with folder_beside(path):
        pass


def put(new: Path, place: Path, index: str) -> None:
    """Move a folder, made in a `folder_beside`, to its place; where one there cannot be renamed, its files into that.

    Args:
        index: the file in it that says what the others are.

    Raises OSError where that fails; what was there is there again then.
    """
    try:
        replace_folder(new, place)
    except OSError:
        if not place.is_dir():
            raise
        replace_files(new, place, index)


def replace_folder(new: Path, place: Path) -> None:
    """Move a folder, made in a `folder_beside`, to its place; what was there is removed once it is replaced.

    Raises OSError where that fails; what was there is there again then.
    """
    before = new.with_name(_BEFORE)
    try:
        if place.exists():
            place.replace(before)
        new.replace(place)
    except BaseException:
        if os.path.lexists(before) and not os.path.lexists(place):
            before.replace(place)
        raise
    with suppress(OSError):
        before.replace(new)  # goes with the folder beside


def replace_files(new: Path, place: Path, index: str) -> None:
    """Move the files of a folder into one that stays, as where a disk is mounted; its own go, but for hidden ones.

    The file `index`, which says what the others are, is the last to go and the first to come: it tells of all that a
    kill leaves there.

    Raises OSError where that fails; what was there is there again then.
    """
    with folder_beside(place / index) as beside:
        ready, before, after = beside / new.name, beside / _BEFORE, beside / "after"
        ready.mkdir()
        for file in new.iterdir():
            shutil.move(file, ready / file.name)  # it may come from another disk
        made = {file.name for file in ready.iterdir()}
        old = {file.name for file in place.iterdir() if file.name in made or not file.name.startswith(".")}
        before.mkdir()
        try:
            _move_all(
                [(place / name, before / name) for name in sorted(old, key=lambda name: name == index)]
                + [(ready / name, place / name) for name in sorted(made, key=lambda name: name != index)]
            )
        except BaseException:
            with suppress(OSError):
                before.rmdir()
            raise
        with suppress(OSError):
            before.replace(after)


def _move_all(moves: list[tuple[Path, Path]]) -> None:
    """Rename files, all or none."""
    done: list[tuple[Path, Path]] = []
    try:
        for here, there in moves:
            here.replace(there)
            done.append((here, there))
    except BaseException:
        for here, there in reversed(done):
            there.replace(here)
        raise


@contextmanager
def naming(path: Path, *own: Path) -> Iterator[None]:
    """Let errors of the system that name no file, or one in a place of our own, name the path that the user knows."""
    try:
        yield
    except OSError as error:
        ours = error.filename is None or any(Path(str(error.filename)).is_relative_to(one) for one in own)
        if error.errno is None or not ours:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


def _sweep(place: Path) -> None:
    """Delete what processes left there that were killed, and in which nothing was written for a day."""
    with suppress(OSError):
        for left in place.glob(_BESIDE + 8 * "[0-9a-f]"):
            if all(one.lstat().st_mtime < time.time() - 86400 for one in chain([left], left.rglob("*"))):
                _remove(left)


def _remove(folder: Path) -> None:
    if not os.path.lexists(folder / _BEFORE):
        shutil.rmtree(folder, ignore_errors=True)
