"""A table of answers, as csv, JSON lines or Parquet: the same columns and rows in all three.

A row an image; of a model that finds boxes a row a box, and one with empty cells where nothing was found. An image that
cannot be read is a row, too, with its error. Numbers have four decimals, a hundredth of what any model knows.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from viewfinder.data.answers import ANSWERS
from viewfinder.deploy.description import Description
from viewfinder.deploy.stream import Answered
from viewfinder.errors import DataError, InputError

__all__ = ["WRITERS", "check_table", "columns", "rounded", "rows", "write_csv", "write_lines"]

Row = dict[str, Any]
Columns = Mapping[str, type]

LEAST, MOST, CELLS = 1 << 8, 1 << 14, 1 << 20
"""Rows of one group in a Parquet file: of so many cells, but no fewer than the first and no more than the second."""


def columns(about: Description) -> dict[str, type]:
    """Return the columns of a model's table, with the type of what is in them: str, int or float."""
    said = ANSWERS[about.answer].columns(about.names)
    return {"image": str, "width": int, "height": int, **said, "error": str}


def rows(name: str, one: Answered, columns: Columns) -> list[Row]:
    """Return the rows of one image, each with all columns."""
    about = {**dict.fromkeys(columns), "image": name, "width": one.width, "height": one.height}
    if isinstance(one.answer, DataError):
        return [{**about, "error": one.answer.what}]
    return [{**about, **rounded(row)} for row in one.answer.as_rows() or [{}]]


def check_table(path: Path) -> None:
    """Raise InputError where a table cannot be written under this name."""
    if path.suffix.lower() not in WRITERS:
        raise InputError("is none of the tables we know", where=path, hint=f"name it {' or '.join(WRITERS)}")
    if path.is_dir():
        raise InputError("is a folder", where=path, hint="name the table to write")
    if path.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        hint = "pip install 'viewfinder[parquet]', or name it .csv or .jsonl"
        raise InputError("Parquet needs pyarrow, which is not installed", where=path, hint=hint)


def write_csv(path: Path, columns: Columns, rows: Iterable[Row]) -> None:
    """Write rows below a line with the columns; None is an empty cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows)


def write_lines(path: Path, columns: Columns, rows: Iterable[Row]) -> None:
    """Write a JSON object a line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_parquet(path: Path, columns: Columns, rows: Iterable[Row]) -> None:
    """Write a Parquet file, a group of rows after the other."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {str: pa.string(), int: pa.int32(), float: pa.float64()}
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    every, many = iter(rows), max(LEAST, min(MOST, CELLS // len(columns)))
    with pq.ParquetWriter(path, schema) as writer:
        while group := pa.Table.from_pylist(list(islice(every, many)), schema):
            writer.write_table(group)


WRITERS: dict[str, Callable[[Path, Columns, Iterable[Row]], None]] = {
    ".csv": write_csv,
    ".jsonl": write_lines,
    ".parquet": write_parquet,
}
"""By the suffix of the table's name."""


def rounded(value: Any) -> Any:
    """Return the same JSON values with numbers to four decimals; what is no finite number becomes None."""
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value
