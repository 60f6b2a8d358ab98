"""Reading any data that viewfinder knows: `read` finds out what a path holds.

A format is one module with `sniff(path)`, `parts(path)`, `read(path, part)` and, where it makes sense,
`write(dataset, path)`, and one line in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from viewfinder.data.appearing import naming
from viewfinder.data.formats.csv_text import header
from viewfinder.data.remote import as_given, is_url, place
from viewfinder.data.sources import Source
from viewfinder.errors import DataError, nearest

if TYPE_CHECKING:
    from viewfinder.data.dataset import Dataset

__all__ = ["FORMATS", "parts", "read", "write"]

FORMATS = {
    "kaggle-digits": "viewfinder.data.formats.kaggle_digits",
    "kaggle-faces": "viewfinder.data.formats.kaggle_faces",
    "idx": "viewfinder.data.formats.idx",
    "npz": "viewfinder.data.formats.npz",
    "labelme": "viewfinder.data.formats.labelme",
    "voc": "viewfinder.data.formats.voc",
    "coco": "viewfinder.data.formats.coco",
    "yolo": "viewfinder.data.formats.yolo",
    "folders": "viewfinder.data.formats.folders",
    "plain": "viewfinder.data.formats.plain",
}
"""In the order in which they are asked."""


class Format(Protocol):
    """What a format's module offers."""

    LOOKS_FOR: str
    """What it needs to find, for the error that says that nothing was found."""
    ENDING: str
    """What the name of a written file must end in to be read again; a format that is a folder has none."""

    def sniff(self, path: Path) -> bool: ...

    def parts(self, path: Path) -> tuple[str, ...]: ...

    def read(self, path: Path, part: str) -> Dataset: ...

    def write(self, dataset: Dataset, path: Path) -> None: ...


def read(path: str | Path, part: str = "train", format: str | None = None) -> Dataset:
    """Return the dataset at a path or behind a URL.

    Args:
        path: a file or a folder, such as a competition's download as it is; or a URL of either, such as
            "s3://bucket/photos", which needs fsspec's package for it (see `data/remote.py`).
        part: "train", or "test": the part of a source that is kept apart.
        format: a name in `FORMATS`; None: found out.

    Raises:
        DataError: nothing is there, it is none of the known formats, or a file, row or value in it is wrong.
        UnreachableError: what it lies on does not answer.
    """
    here = place(path)
    with as_given(path, here):
        dataset = _format(format or _sniffed(here)).read(here, part)
    return replace(dataset, source=str(path)) if is_url(path) else dataset


def parts(path: str | Path, format: str | None = None) -> tuple[str, ...]:
    """Return the names of the parts that a path or a URL has."""
    here = place(path)
    with as_given(path, here):
        return _format(format or _sniffed(here)).parts(here)


def write(dataset: Dataset, path: str | Path, format: str) -> None:
    """Write a dataset in a format.

    Raises:
        DataError: the format cannot hold it, the path lies inside the folder that the dataset was read from, or its
            ending is not that by which the file would be read again.
        OSError: nothing can be written there.
    """
    if is_url(path):
        raise DataError("is a URL", where=path, hint="write to a disk, then copy it there")
    module = _format(format)
    if not hasattr(module, "write"):
        raise DataError(f"the format {format!r} cannot be written", hint="npz holds every dataset")
    into = place(path)
    ending = getattr(module, "ENDING", into.suffix)
    if into.suffix.lower() != ending.lower():
        raise DataError(f"{format} is one {ending} file", where=path, hint=f"call it {into.stem}{ending}")
    if dataset.source and not is_url(dataset.source) and Path(dataset.source).resolve() in into.resolve().parents:
        raise DataError("lies inside the folder that is read", where=path, hint="name one beside it")
    with naming(Path(path), into):
        module.write(dataset, into)


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise DataError(f"unknown format {name!r}", hint=nearest(name, FORMATS))
    return cast(Format, import_module(FORMATS[name]))


def _sniffed(path: Path) -> str:
    if not path.exists():
        raise DataError("no such file or folder", where=path, hint="check the path")
    for name in FORMATS:
        if _format(name).sniff(path):
            return name
    source = Source(path)
    if source.is_container and not source.files():
        raise DataError("is empty", where=path, hint="name a folder or a zip with data in it")
    known = "; ".join(_format(name).LOOKS_FOR for name in FORMATS)
    raise DataError(f"cannot be used: it {_what(path)}", where=path, hint=f"looked for {known}")


def _what(path: Path) -> str:
    """Return what a path holds, for a message."""
    source = Source(path)
    if source.is_csv:
        with source.open(path.name) as stream:
            return "has the columns " + _first(header(stream, path.name))
    if not source.is_container:
        return "is of no known kind"
    return f"holds {_first(source.files())}"


def _first(names: Sequence[str], count: int = 4) -> str:
    shown = ", ".join(name[:40] for name in names[:count])
    return f"{shown} … ({len(names)} in all)" if len(names) > count else shown
