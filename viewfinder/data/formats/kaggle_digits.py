"""Kaggle's Digit Recognizer: `label`, then `pixel0` … `pixel783`, a row an image.

Read from the download (a zip), from a folder with its files, or from one csv file. `train.csv` has labels, `test.csv`
none; other columns and another order are fine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.formats.competition import Files, side_table
from viewfinder.data.formats.csv_text import (
    blocks,
    fields,
    gray_line,
    gray_lines,
    gray_row,
    gray_texts,
    header,
    written,
)
from viewfinder.data.sources import Source
from viewfinder.data.store import Rows, fetch, key_of
from viewfinder.data.targets import Labels
from viewfinder.errors import DataError

__all__ = ["parts", "read", "sample", "sniff", "write"]

NAMES = tuple("0123456789")
FILES = Files({"train": ("train.csv", "train.csv.zip"), "test": ("test.csv", "test.csv.zip")})
_BLOCK = 1 << 15
"""Bytes that are parsed at a time: few enough to stay in the processor's cache."""
ENDING = ".csv"
LOOKS_FOR = "train.csv and test.csv with the columns label, pixel0 … pixel783"


def sniff(path: Path) -> bool:
    """Whether a path holds rows of pixel columns."""
    return any(_pixel_number(name) is not None for name in FILES.columns(Source(path)))


def parts(path: Path) -> tuple[str, ...]:
    """Return the parts that a path has."""
    source = Source(path)
    return (read(path, "train").part,) if source.is_csv else FILES.parts(source)


def read(path: Path, part: str) -> Dataset:
    """Return a part: gray images (28, 28, 1), and labels where the file has them.

    A single csv file without labels is the part "test", whatever was asked for.
    Raises DataError with file, row and column for anything that is not a label or a gray value.
    """
    source = Source(path)
    file = FILES.part(source, part)
    key = key_of("kaggle-digits", source.key(file))
    stored = fetch(key, lambda rows: _parse(source, file, rows), source=str(path), kind=f"kaggle-digits {part}")
    labels = stored.arrays.get("labels")
    if labels is None and part == "train" and not source.is_csv:
        raise DataError("has no column 'label'", where=source.where(file), hint="is it the competition's train.csv?")
    if labels is not None and part == "test" and source.is_csv:
        raise DataError("has no part 'test'", where=path, hint="it has labels: read it as part 'train'")
    ids = np.arange(1, len(stored.pixels) + 1) if labels is None else None
    return Dataset(
        "classify",
        NAMES,
        ArrayImages.of(stored.pixels, Path(file).name, first=1, digest=stored.digest),
        None if labels is None else Labels(labels),
        source=str(path),
        format="kaggle-digits",
        part="test" if labels is None else part,
        ids=ids,
        notes=stored.notes(),
    )


def sample(path: Path) -> list[dict[str, str]] | None:
    """Return the rows of the sample submission (ImageId, Label), None where the download has none."""
    return side_table(Source(path), "sample_submission.csv")


def _parse(source: Source, file: str, rows: Rows) -> Mapping[str, NDArray[Any]]:
    with source.open_inside(file, ".csv") as (name, stream):
        where = source.where(file, name)
        columns = _Columns.of(header(stream, where), where)
        labels = list(_blocks(stream, columns, where, rows))
    if not labels:
        raise DataError("has no rows", where=where, hint="download it again")
    return {} if columns.label is None else {"labels": np.concatenate(labels)}


@dataclass(frozen=True)
class _Columns:
    names: list[str]
    label: int | None
    pixels: list[int]

    @classmethod
    def of(cls, names: list[str], where: str) -> _Columns:
        numbered = {number: i for i, name in enumerate(names) if (number := _pixel_number(name)) is not None}
        first = min(numbered, default=0)
        missing = next((n for n in range(first, first + len(numbered)) if n not in numbered), None)
        if not numbered or first > 1 or missing is not None:
            raise DataError(f"has no column 'pixel{missing or 0}'", where=where, hint=f"expected {LOOKS_FOR}")
        if math.isqrt(len(numbered)) ** 2 != len(numbered):
            raise DataError(f"has {len(numbered)} pixel columns, which make no square image", where=where)
        label = names.index("label") if "label" in names else None
        return cls(names, label, [numbered[number] for number in sorted(numbered)])

    @property
    def side(self) -> int:
        return math.isqrt(len(self.pixels))


def _pixel_number(name: str) -> int | None:
    match = re.fullmatch(r"pixel(\d{1,6})", name)
    return int(match[1]) if match else None


def _blocks(stream: IO[bytes], columns: _Columns, where: str, rows: Rows) -> Iterator[NDArray[np.int64]]:
    """Give the pixels of each block of lines to `rows`, and yield its labels (zeros where there are none)."""
    done = 0
    for block in blocks(stream, where, _BLOCK):
        grid = gray_lines(block, len(columns.names))
        if grid is not None and (columns.label is None or grid[:, columns.label].max() <= 9):
            labels = grid[:, columns.label or 0].astype(np.int64)
            pixels = grid[:, columns.pixels]
        else:
            lines = [line.strip() for line in block.split(b"\n") if line.strip()]
            parsed = [_row(line, columns, f"{where} row {done + i}") for i, line in enumerate(lines, 1)]
            if not parsed:
                continue
            labels = np.array([label for label, _ in parsed])
            pixels = np.stack([gray for _, gray in parsed])
        rows(pixels.reshape(-1, columns.side, columns.side, 1))
        done += len(labels)
        yield labels


def _row(line: bytes, columns: _Columns, where: str) -> tuple[int, NDArray[np.uint8]]:
    values = fields(line, where)
    if len(values) != len(columns.names):
        fault = f"has {len(values)} values, expected {len(columns.names)}"
        raise DataError(fault, where=where, hint="correct or delete the row")
    label = 0 if columns.label is None else _label(values[columns.label], f"{where}, label")
    texts = [values[i] for i in columns.pixels]
    gray = gray_line(b" ".join(texts) + b"\n")
    return label, gray_row(texts, [columns.names[i] for i in columns.pixels], where) if gray is None else gray


def _label(text: bytes, where: str) -> int:
    shown = text.decode("utf-8", "replace").strip()
    if shown.removesuffix(".0") not in NAMES:
        fault = f"{shown[:20]!r} is not a digit" if shown else "is blank"
        raise DataError(fault, where=where, hint="expected a whole number from 0 to 9")
    return int(shown.removesuffix(".0"))


def write(dataset: Dataset, path: Path) -> None:
    """Write a csv file in the competition's form.

    Raises DataError unless the classes are digits and all images gray squares of one size.
    """
    labels: Sequence[int] | None = None if dataset.targets is None else dataset.targets_of(Labels).ids.tolist()
    if labels is not None and not {*dataset.names} <= {*NAMES}:
        raise DataError("has classes that are no digits", where=dataset.source, hint="npz holds every dataset")
    texts = gray_texts(dataset.images, ",")
    side = dataset.images[0].shape[0]
    with written(path) as file:
        names = [*([] if labels is None else ["label"]), *(f"pixel{i}" for i in range(side * side))]
        file.write(",".join(names) + "\n")
        for i, text in enumerate(texts):
            file.write(text + "\n" if labels is None else f"{dataset.names[labels[i]]},{text}\n")
