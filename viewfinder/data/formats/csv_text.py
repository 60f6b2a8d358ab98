"""Gray values written as text in a csv file: read in blocks of lines, many values at a time, and checked.

The fast way takes what competitions ship: whole numbers from 0 to 255 with one separator between them. Whatever
it does not understand goes row by row through `gray_row`, which knows what can be forgiven ("12.0", two blanks)
and otherwise says in which row and column the fault is.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.appearing import appearing
from viewfinder.data.dataset import Images
from viewfinder.data.sources import NoTableError
from viewfinder.errors import DataError

__all__ = ["blocks", "fields", "gray_line", "gray_lines", "gray_row", "gray_texts", "header", "long_fields", "written"]

Gray = NDArray[np.uint8]

_SHORT_FIELDS = 1 << 12
"""Bytes within which the columns before a long one are expected."""
_CHUNK, _LONGEST_LINE = 1 << 19, 1 << 26


def header(stream: IO[bytes], where: str) -> list[str]:
    """Return the names of the columns; the stream then stands at the first row.

    Raises:
        NoTableError: its first line is not text.
        DataError: the file is empty.
    """
    line = stream.readline(_LONGEST_LINE)
    try:
        names = next(csv.reader([line.decode("utf-8-sig").strip()]), [])
    except (UnicodeDecodeError, csv.Error):
        raise NoTableError("is not a csv file: its first line is not text", where=where) from None
    if not names:
        raise DataError("is empty", where=where, hint="download it again")
    return [name.strip() for name in names]


def blocks(stream: IO[bytes], where: str, size: int) -> Iterator[bytes]:
    """Give the rest of a stream in blocks of about `size` bytes: whole lines, each with a newline at its end."""
    rest: list[bytes] = []
    for chunk in _read_ahead(stream):
        for start in range(0, len(chunk), size):
            piece = chunk[start : start + size]
            cut = piece.rfind(b"\n") + 1
            if cut:
                yield b"".join((*rest, memoryview(piece)[:cut]))
                rest = []
            rest.append(piece[cut:])
            if len(rest) * size > _LONGEST_LINE:
                raise DataError("is not a csv file: it has no line ends", where=where)
    if (last := b"".join(rest)).strip():
        yield last + b"\n"


def _read_ahead(stream: IO[bytes]) -> Iterator[bytes]:
    """Read, and so inflate, in a thread while the blocks before are parsed."""
    with ThreadPoolExecutor(1) as pool:
        coming = deque(pool.submit(stream.read, _CHUNK) for _ in range(3))
        while chunk := coming.popleft().result():
            coming.append(pool.submit(stream.read, _CHUNK))
            yield chunk


def fields(line: bytes, where: str) -> list[bytes]:
    """Return the values of a line, without quotes."""
    if b'"' not in line:
        return line.split(b",")
    try:
        return [value.encode() for value in next(csv.reader([line.decode("utf-8", "replace")]))]
    except csv.Error as error:
        raise DataError(f"cannot be read: {error}", where=where) from None


def long_fields(block: bytes, column: int, where: str) -> Iterator[tuple[list[bytes], memoryview]]:
    """Give the values of each line that is not blank, where one column is much longer than all others.

    That one is blank among the values; it follows them without having been copied, with the byte that ends it.
    """
    start = 0
    while (newline := block.find(b"\n", start)) >= 0:
        end = newline - (block[newline - 1 : newline] == b"\r")
        if start < end:
            yield _long_field(block, start, end, column, where)
        start = newline + 1


def _long_field(block: bytes, start: int, end: int, column: int, where: str) -> tuple[list[bytes], memoryview]:
    *before, _ = block[start : min(end, start + _SHORT_FIELDS)].split(b",", column)
    first = start + sum(map(len, before)) + column
    if len(before) < column or first >= end or block.find(b'"', start, end) >= 0:
        values = fields(block[start:end], where)
        return values, memoryview((values[column] if column < len(values) else b"") + b"\n")
    last = block.find(b",", first, end)
    if last < 0:
        return [*before, b""], memoryview(block)[first : end + 1]
    return [*before, b"", *block[last + 1 : end].split(b",")], memoryview(block)[first : last + 1]


def gray_lines(block: bytes, width: int) -> Gray | None:
    """Return (lines, width) of lines like "12,255,0"; None where one is irregular."""
    text = np.frombuffer(block.replace(b"\r\n", b"\n") if b"\r" in block else block, np.uint8)
    found = _numbers(text)
    if found is None or len(found[0]) % width:
        return None
    values, ends = found[0].reshape(-1, width), found[1]
    lines = (text[ends[width - 1 :: width]] == ord("\n")).all()
    regular = lines and np.count_nonzero(text == ord(",")) == len(ends) - len(values)
    return values if regular else None


def gray_line(text: bytes | memoryview) -> Gray | None:
    """Return the values of a line like "12 255 0" and one more byte that ends it; None where it is irregular."""
    array = np.frombuffer(text, np.uint8)
    found = _numbers(array)
    return found[0] if found is not None and np.count_nonzero(array == ord(" ")) == len(found[0]) - 1 else None


def _numbers(text: Gray) -> tuple[Gray, NDArray[np.intp]] | None:
    """Return the values in a text, and where the byte after each is.

    None unless every value has one to three digits, is at most 255, and is followed by one byte that is no digit.
    """
    digits = np.empty(len(text) + 3, dtype=np.uint8)
    digits[:3] = 255
    np.subtract(text, 48, out=digits[3:])
    is_end = digits > 9
    ends = is_end[3:].nonzero()[0]
    if not len(ends) or ends[-1] != len(text) - 1 or not 1 <= ends[0] <= 3:
        return None
    lengths = ends[1:] - ends[:-1]
    if np.minimum.reduce(lengths, initial=2) < 2 or np.maximum.reduce(lengths, initial=2) > 4:
        return None
    is_digit = (~is_end).view(np.uint8)
    digits *= is_digit
    low = (digits[2:-1] + digits[1:-2] * np.uint8(10)).take(ends)
    hundreds = (digits[:-3] * is_digit[1:-2]).take(ends)
    values = low + hundreds * np.uint8(100)  # of 256 and more, 256 is lost: then the value is below its last two digits
    return None if np.maximum.reduce(hundreds) > 2 or (values < low).any() else (values, ends)


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
    with appearing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        yield file
