"""A table of answers for any number of images: stopped, killed, gone on with and divided among machines at will.

The images are cut into parts. Each part's rows appear as one file of JSON lines in a folder beside the table, all at
once; when every part is there, they are joined into the table, and the folder is removed. So whoever runs the same
command again does what is missing, and no row is lost or doubled, whatever happened and however many processes there
were. What an image's row says depends on the image and the model alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import uuid4

from viewfinder.data.appearing import appearing, naming
from viewfinder.deploy.pictures import Pictures
from viewfinder.deploy.predictor import Predictor
from viewfinder.deploy.ranks import Share
from viewfinder.deploy.stream import Answered, Progress, answers, told
from viewfinder.deploy.tables import WRITERS, Row, check_table, columns, rows, write_lines
from viewfinder.errors import DataError, InputError

__all__ = ["Tabled", "part_folder", "write_table"]

ABOUT, PART = "about.json", re.compile(r"\d{6,}\.jsonl")
OVERWRITING = "begun with --overwrite"
LEAST, MOST, PARTS = 16, 1024, 256
"""Images of a part: so many that there are about 256 parts, but no fewer than the first and no more than the second."""


@dataclass(frozen=True)
class Tabled:
    """What was done.

    Args:
        path: the table, or the folder of the parts while other processes have not done theirs.
        count: how many images there are in all, or in this process' share.
        unreadable: how many of them could not be read.
        joined: whether the table is there.
    """

    path: Path
    count: int
    unreadable: int
    joined: bool


def write_table(
    predictor: Predictor,
    pictures: Pictures,
    path: Path,
    *,
    share: Share = Share(),  # noqa: B008 - it is frozen
    threads: int = 1,
    overwrite: bool = False,
    progress: Progress = lambda done, of: None,
) -> Tabled:
    """Answer images into a table, and go on where an earlier call was stopped.

    Args:
        predictor: the model file, loaded for one thread.
        pictures: the images.
        path: the table, ending in .csv, .jsonl or .parquet.
        share: which parts are this process' own; of several processes none joins them, one without a share does.
        threads: how many images are worked on at once.
        overwrite: replace an older table, and parts of another prediction.
        progress: called with (done, of) after each image, of this process' share.

    Raises:
        InputError: the name is none of a table; several processes shall overwrite.
        DataError: there is a table of this name already, or parts of another prediction; or another process has joined
            this one's meanwhile.
        OSError: nothing can be written there.
    """
    check_table(path)
    work = _Work(predictor, pictures, path)
    with _seeing_joined(work):
        return _made(work, share, threads, overwrite, progress)


def part_folder(path: Path) -> Path:
    """Return the folder in which a table's parts are collected: beside the table, of a link beside what it leads to."""
    place = _place(path)
    return place.with_name(f"{place.name}.parts")


def _made(work: _Work, share: Share, threads: int, overwrite: bool, progress: Progress) -> Tabled:
    _begin(work, share, overwrite)
    mine = share.of(work.every)
    there = work.done()
    missing = [part for part in mine if part not in there]
    count = sum(len(work.span(part)) for part in mine)
    done = count - sum(len(work.span(part)) for part in missing)
    progress(done, count)
    stream = answers(work.predictor, work.pictures, map(work.span, missing), threads)
    for part, ones in groupby(told(stream, progress, count, done), key=lambda one: one.row // work.size):
        work.write(part, ones)
    if share.size > 1:
        return Tabled(work.folder, count, sum(row["error"] is not None for row in work.rows(mine)), joined=False)
    return Tabled(work.path, count, work.join(), joined=True)


@dataclass(frozen=True)
class _Work:
    """A table's parts."""

    predictor: Predictor
    pictures: Pictures
    path: Path

    @cached_property
    def place(self) -> Path:
        return _place(self.path)

    @cached_property
    def folder(self) -> Path:
        return part_folder(self.path)

    @property
    def gone(self) -> Path:
        """The same folder while it is removed."""
        return self.folder.with_name(f".{self.folder.name}")

    @cached_property
    def size(self) -> int:
        """How many images a part has."""
        return max(LEAST, min(MOST, len(self.pictures) // PARTS))

    @property
    def every(self) -> range:
        return range(-(-len(self.pictures) // self.size))

    @cached_property
    def columns(self) -> dict[str, type]:
        return columns(self.predictor.about)

    @cached_property
    def about(self) -> dict[str, Any]:
        """What must be the same for parts to be of one table."""
        return {
            "model": _digest(self.predictor.path),
            "threshold": self.predictor.threshold,
            "number of images": len(self.pictures),
            "list of images": self.pictures.digest(),
            "set of columns": list(self.columns),
        }

    def span(self, part: int) -> range:
        """Return a part's rows of the pictures."""
        return range(part * self.size, min((part + 1) * self.size, len(self.pictures)))

    def file(self, part: int) -> Path:
        return self.folder / f"{part:06d}.jsonl"

    def done(self) -> set[int]:
        """Return the parts that are there."""
        found = self.folder.iterdir() if self.folder.is_dir() else []
        return {int(path.stem) for path in found if PART.fullmatch(path.name)}

    def write(self, part: int, ones: Iterable[Answered]) -> None:
        with appearing(self.file(part)) as file:
            every = (row for one in ones for row in rows(self.pictures.name(one.row), one, self.columns))
            write_lines(file, self.columns, every)

    def rows(self, parts: Iterable[int]) -> Iterator[Row]:
        """Yield the rows of parts that are there, in order. Raises DataError where one does not hold what it should."""
        for part in parts:
            try:
                with self.file(part).open(encoding="utf-8") as file:
                    found = [json.loads(line) for line in file]
                names = [name for name, _ in groupby(row["image"] for row in found)]
                whole = all(row.keys() == self.columns.keys() for row in found)
            except (ValueError, LookupError, TypeError, AttributeError):
                names, whole = [], False
            if not whole or names != [name for name, _ in groupby(map(self.pictures.name, self.span(part)))]:
                hint = "delete it: the same command makes it again"
                raise DataError("is damaged", where=self.file(part), hint=hint)
            yield from found

    def join(self) -> int:
        """Make the table of all parts, remove them, and return how many images could not be read."""
        unreadable = 0

        def counted() -> Iterator[Row]:
            nonlocal unreadable
            for row in self.rows(self.every):
                unreadable += row["error"] is not None
                yield row

        # there, so that one that was killed leaves nothing elsewhere; its own, as another process may join as well
        joined = self.folder / f".joined.{uuid4().hex[:8]}"
        with naming(self.path, joined):
            with appearing(joined) as file:
                WRITERS[self.path.suffix.lower()](file, self.columns, counted())
            joined.replace(self.place)
        with suppress(OSError):  # the table is whole: parts that cannot be removed are no failure
            self.remove()
        return unreadable

    def remove(self) -> None:
        """Remove all parts: at once for whoever looks, so that half of them are never taken for what is done."""
        if self.folder.exists():
            self.folder.rename(self.gone)
        shutil.rmtree(self.gone, ignore_errors=True)


def _place(path: Path) -> Path:
    """Return where a table is written: what a link leads to, so that the link stays."""
    place = Path(os.path.realpath(path)) if path.is_symlink() else path
    if place.is_symlink():
        raise DataError("is a link that leads to itself", where=path, hint="remove it")
    return place


@contextmanager
def _seeing_joined(work: _Work) -> Iterator[None]:
    """Raise DataError where a part is gone because another process has joined and removed them all."""
    try:
        yield
    except FileNotFoundError as error:
        ours = any(Path(str(error.filename)).is_relative_to(one) for one in (work.path, work.folder))
        if not ours or work.folder.exists() or not work.path.exists():
            raise
        hint = "it is whole, nothing is left to do (--rank and --world-size share the work among several)"
        raise DataError("another process has joined this table meanwhile", where=work.path, hint=hint) from None


def _begin(work: _Work, share: Share, overwrite: bool) -> None:
    """Make the folder of parts, or see that the one that is there is of the same prediction."""
    if overwrite and share.size > 1:
        hint = f"delete {work.path} and {work.folder} first"
        raise InputError("several processes cannot overwrite", where="--overwrite", hint=hint)
    shutil.rmtree(work.gone, ignore_errors=True)
    known = _known(work)
    anew = not known.pop(OVERWRITING, False) and overwrite
    complete = known == work.about and work.done() >= set(work.every)
    if work.path.exists() and not overwrite and not complete:
        raise DataError("exists", where=work.path, hint="choose another --table, or replace it with --overwrite")
    if known and (anew or known != work.about):
        if not overwrite:
            other = next(key for key, value in work.about.items() if known.get(key) != value)
            hint = "undo that to go on, or start again with --overwrite"
            raise DataError(f"holds parts of a prediction with another {other}", where=work.folder, hint=hint)
        work.remove()
    if anew or known != work.about:
        with naming(work.path, *work.place.parents):
            work.folder.mkdir(parents=True, exist_ok=True)
        about = work.about | ({OVERWRITING: True} if overwrite else {})
        with appearing(work.folder / ABOUT) as file:
            file.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _known(work: _Work) -> dict[str, Any]:
    """Return what the folder says of its parts. Raises DataError where it holds anything but parts."""
    if work.folder.is_file():
        raise DataError("is a file", where=work.folder, hint="move it away, or choose another --table")
    found = [path.name for path in work.folder.iterdir()] if work.folder.is_dir() else []
    names = [name for name in found if not name.startswith(".")]
    if not names:
        return {}
    try:
        known = json.loads((work.folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = None
    other = next((name for name in sorted(names) if name != ABOUT and not PART.fullmatch(name)), None)
    if other or not isinstance(known, dict):
        what = f"holds {other}, which is no part" if other else f"has no {ABOUT} that can be read"
        raise DataError(what, where=work.folder, hint="move it away, or choose another --table")
    return known


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
