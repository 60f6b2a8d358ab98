"""Files and folders that are there when they are whole, and not before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

__all__ = ["appearing", "folder_beside", "naming", "try_place"]


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

    Missing folders above are made, and removed where nothing came to lie in them.

    Raises OSError, which names `path`, where no folder can be made there, or the disk fails.
    """
    folder = path.with_name(f".viewfinder-{uuid4().hex[:8]}")
    missing = [one for one in path.parents if not os.path.lexists(one)]
    try:
        with naming(path, *path.parents), suppress(FileExistsError):  # of a file in the way the next line tells
            path.parent.mkdir(parents=True, exist_ok=True)
        with naming(path, folder):
            folder.mkdir()
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for one in missing:
            with suppress(OSError):
                one.rmdir()


def try_place(path: Path) -> None:
    """See that something can be made under a name, before long work for it; nothing is left there.

    Raises OSError, which names `path`, where that is not so.
    """
    with folder_beside(path):
        pass


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
