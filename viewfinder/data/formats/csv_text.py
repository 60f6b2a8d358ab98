"""Gray values written as text in a csv file: read in blocks of lines, many values at a time, and checked.

The fast way takes what competitions ship: whole numbers from 0 to 255 with one separator between them. Whatever
it does not understand goes row by row through `gray_row`, which knows what can be forgiven ("12.0", two blanks)
and otherwise says in which row and column the fault is.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.dataset import Images
from viewfinder.errors import DataError

__all__ = ["blocks", "fields", "gray_line", "gray_row", "gray_texts", "header", "numbers", "written"]

Gray = NDArray[np.uint8]

_BLOCK = 1 << 18
"""Bytes a block: what numpy works on at a time stays in the processor's cache."""
_LONGEST_LINE = 1 << 26


def header(stream: IO[bytes], where: str) -> list[str]:
    """Return the names of the columns; the stream then stands at the first row.

    Raises:
        DataError: the file is empty or its first line is not text.
    """
    line = stream.readline(_LONGEST_LINE)
    try:
        text = line.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise DataError("is not a csv file: its first line is not text", where=where) from None
    if not text:
        raise DataError("is empty", where=where, hint="download it again")
    return [name.strip() for name in next(csv.reader([text]))]


def blocks(stream: IO[bytes], where: str) -> Iterator[bytes]:
    """Give the rest of a stream in blocks of whole lines that end in a newline, whatever ended them in the file."""
    rest = b""
    while block := stream.read(_BLOCK):
        lines, newline, tail = block.rpartition(b"\n")
        if newline:
            yield (rest + lines + newline).replace(b"\r\n", b"\n")
            rest = tail
        else:
            rest += block
        if len(rest) > _LONGEST_LINE:
            raise DataError("is not a csv file: it has no line ends", where=where)
    if rest.strip():
        yield rest.rstrip(b"\r") + b"\n"


def fields(line: bytes, where: str) -> list[bytes]:
    """Return the values of a line, without quotes."""
    if b'"' not in line:
        return line.split(b",")
    try:
        return [value.encode() for value in next(csv.reader([line.decode("utf-8", "replace")]))]
    except csv.Error as error:
        raise DataError(f"cannot be read: {error}", where=where) from None


def numbers(text: bytes) -> tuple[Gray, Gray] | None:
    """Return the values of text like "12 255 0 ", and the bytes that follow each; None unless all is regular.

    Regular is: every value has one to three digits, is at most 255, and is followed by one other byte.
    """
    padded = np.frombuffer(b"   " + text, np.uint8)
    digits = padded - 48
    is_digit = digits < 10
    ends = np.flatnonzero(~is_digit)
    lengths = np.diff(ends[2:])
    ends = ends[3:]
    if not len(ends) or ends[-1] != len(padded) - 1 or lengths.min() < 2 or lengths.max() > 4:
        return None
    digits *= is_digit
    value = np.multiply(digits[:-3] * is_digit[1:-2], 100, dtype=np.uint16)
    value += digits[1:-2] * 10
    value += digits[2:-1]
    values = value[ends - 3]
    return None if values.max() > 255 else (values.astype(np.uint8), padded[ends])


def gray_line(text: bytes) -> Gray | None:
    """Return the values of "12 255 0"; None where it is irregular."""
    found = numbers(text + b" ")
    return found[0] if found is not None and (found[1] == 32).all() else None


def gray_row(values: Sequence[bytes], columns: Sequence[str], where: str) -> Gray:
    """Return one row's gray values from their texts. Raises DataError with the column of the first bad one."""
    row = np.empty(len(values), dtype=np.uint8)
    for i, text in enumerate(values):
        row[i] = _gray(text, f"{where}, {columns[i]}")
    return row


def _gray(text: bytes, where: str) -> int:
    shown = text.decode("utf-8", "replace").strip()
    try:
        value = float(shown)
    except ValueError:
        fault = f"{shown[:20]!r} is not a gray value" if shown else "is blank"
        raise DataError(fault, where=where, hint="expected a whole number from 0 to 255") from None
    if not (value.is_integer() and 0 <= value <= 255):
        raise DataError(f"{shown[:20]} is not a gray value", where=where, hint="expected a whole number from 0 to 255")
    return int(value)


def gray_texts(images: Images, separator: str) -> Iterator[str]:
    """Give each image's gray values as text. Raises DataError unless all are gray and of one square size."""
    texts = [str(value) for value in range(256)]
    side = images[0].shape[0]
    for row in range(len(images)):
        image = images[row]
        if image.shape != (side, side, 1):
            fault = f"is {image.shape[1]}×{image.shape[0]} with {image.shape[2]} channels"
            raise DataError(fault, where=images.where(row), hint=f"this format holds gray images of {side}×{side}")
        yield separator.join([texts[value] for value in image.ravel().tolist()])


@contextmanager
def written(path: Path) -> Iterator[IO[str]]:
    """Open a text file for writing that gets its name only when it is whole."""
    beside = path.with_name(f"{path.name}.part")
    try:
        with beside.open("w", encoding="utf-8", newline="") as file:
            yield file
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
