"""What the two Kaggle competitions share: which file is which part, and the small tables beside them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

from viewfinder.data.formats.csv_text import header
from viewfinder.data.images import SUFFIXES
from viewfinder.data.sources import NoTableError, Source
from viewfinder.errors import DataError

__all__ = ["Files", "side_table"]


@dataclass(frozen=True)
class Files:
    """The names under which a download holds each part, the likeliest first."""

    names: Mapping[str, tuple[str, ...]]

    def part(self, source: Source, part: str) -> str:
        """Return the file of a part; a single csv file is every part."""
        if source.is_csv and part in self.names:
            return source.path.name
        found = source.find(*self.names.get(part, ()))
        if found is None:
            there = ", ".join(self.names if source.is_csv else self.parts(source)) or "none"
            raise DataError(f"has no part {part!r}", where=source.path, hint=f"parts: {there}")
        return found

    def parts(self, source: Source) -> tuple[str, ...]:
        """Return the parts that a download has."""
        return tuple(part for part, names in self.names.items() if source.find(*names) is not None)

    def columns(self, source: Source) -> list[str]:
        """Return the columns of the first file that is there, none where there is no file, or no table among images.

        Raises DataError where it is damaged.
        """
        every = (name for names in self.names.values() for name in names)
        file = source.path.name if source.is_csv else source.find(*every)
        if file is None:
            return []
        try:
            with source.open_inside(file, ".csv") as (_, stream):
                return header(stream, source.where(file))
        except NoTableError:
            if any(name.lower().endswith(SUFFIXES) for name in source.files()):
                return []  # the set is those images, and test.zip holds more of them, say
            raise


def side_table(source: Source, *names: str) -> list[dict[str, str]] | None:
    """Return the rows of the first of the csv files `names` that a download has (zipped or not), or None.

    For a single csv file they are looked for beside it.
    """
    source = Source(source.path.parent) if source.is_csv else source
    found = source.find(*names)
    if found is None:
        return None
    with source.open_inside(found, ".csv") as (_, stream):
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        try:
            return list(csv.DictReader(text))
        except (csv.Error, UnicodeDecodeError):
            raise DataError("is not a csv file", where=f"{source.path.name}/{found}") from None
        finally:
            text.detach()
