"""Tables of answers, whatever is in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from weakref import WeakSet

import pytest

from viewfinder.deploy.tables import WRITERS


class Row(dict[str, object]):
    """A row of which one can see whether somebody still holds it."""

    __hash__ = object.__hash__  # type: ignore[assignment]


def test_parquet_waits_for_fewer_rows_the_wider_they_are(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an extra")
    columns = {"image": str, **{f"score_{row}": float for row in range(2000)}}
    waiting: WeakSet[Row] = WeakSet()
    most = 0

    def rows() -> Iterator[dict[str, object]]:
        nonlocal most
        for number in range(1200):
            row = Row({**dict.fromkeys(columns), "image": f"{number}.png", "score_7": number / 8})
            waiting.add(row)
            most = max(most, len(waiting))
            yield row
            del row

    WRITERS[".parquet"](tmp_path / "table.parquet", columns, rows())
    assert most <= 525, f"{most} rows of 2,001 columns were held"
    table = parquet.read_table(tmp_path / "table.parquet")
    assert table.column_names == list(columns)
    assert table["image"].to_pylist() == [f"{number}.png" for number in range(1200)]
    assert table["score_7"].to_pylist() == [number / 8 for number in range(1200)]
    assert table["score_8"].null_count == 1200
